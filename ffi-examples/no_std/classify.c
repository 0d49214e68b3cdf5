/* Zero-shot classification without an operating system: model and picture lie in the program's memory, which
 * comes from a static array, and nothing is linked but this directory and the library. */
#include "machine.h"
#include "vitrum.h"

extern const unsigned char config[], config_end[], preprocessor[], preprocessor_end[];
extern const unsigned char tokenizer[], tokenizer_end[], model[], model_end[];
extern const unsigned char picture[];

#define COUNT(array) (sizeof(array) / sizeof *(array))
/* Of `P6\n96 96\n255\n`, before the pixels. */
#define PPM_HEADER 13
#define SIDE 96

static vitrum_error error;

static void require(vitrum_status status)
{
    if (status != VITRUM_OK) {
        print(error.message);
        print("\n");
        finish(1);
    }
}

static void print_thousandths(unsigned value)
{
    char digits[] = "0.000";
    int i;
    digits[0] = (char)('0' + value / 1000);
    for (i = 4; i > 1; i--, value /= 10)
        digits[i] = (char)('0' + value % 10);
    print(digits);
}

int classify(void)
{
    static const char *const labels[] = {"bicycle", "strawberry", "octopus", "castle"};
    const vitrum_file files[] = {
        {"config.json", config, (size_t)(config_end - config)},
        {"preprocessor_config.json", preprocessor, (size_t)(preprocessor_end - preprocessor)},
        {"tokenizer.json", tokenizer, (size_t)(tokenizer_end - tokenizer)},
        {"model.safetensors", model, (size_t)(model_end - model)},
    };
    float probabilities[COUNT(labels)];
    vitrum_context *context;
    vitrum_clip *clip;
    vitrum_image image;
    size_t i, best = 0;

    vitrum_error_init(&error, sizeof error);
    require(vitrum_allocator_set(heap_alloc, heap_free, NULL, &error));
    require(vitrum_context_new(NULL, &context, &error));
    require(vitrum_clip_load_memory(context, files, COUNT(files), NULL, &clip, &error));

    vitrum_image_init(&image, sizeof image);
    image.format = VITRUM_PIXEL_RGB8;
    image.data = picture + PPM_HEADER;
    image.width = image.height = SIDE;
    image.row_stride = SIDE * 3;
    require(vitrum_clip_classify(clip, &image, labels, COUNT(labels), NULL, probabilities, COUNT(probabilities),
                                 NULL, &error));
    for (i = 0; i < COUNT(labels); i++) {
        print_thousandths((unsigned)(probabilities[i] * 1000 + 0.5f));
        print(" ");
        print(labels[i]);
        print("\n");
        if (probabilities[i] > probabilities[best])
            best = i;
    }

    vitrum_clip_free(clip);
    vitrum_context_free(context);
    return best == 1 && heap_blocks() == 0 ? 0 : 1;
}
