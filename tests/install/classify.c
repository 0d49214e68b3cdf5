/* Which label fits a picture of one colour best? classify CLIP: prints the version and the probabilities. */
#include <stdio.h>
#include <string.h>

#include <vitrum.h>

int main(int argc, char **argv) {
    static unsigned char pixels[32 * 32 * 3];
    const char *labels[] = {"red heart", "octopus"};
    float probabilities[2];
    vitrum_context *context = NULL;
    vitrum_clip *clip = NULL;
    vitrum_image image;
    vitrum_error error;

    memset(pixels, 200, sizeof pixels);
    vitrum_error_init(&error, sizeof error);
    vitrum_image_init(&image, sizeof image);
    image.format = VITRUM_PIXEL_RGB8;
    image.data = pixels;
    image.width = image.height = 32;
    image.row_stride = 32 * 3;
    if (argc != 2 || vitrum_context_new(NULL, &context, &error) || vitrum_clip_load(context, argv[1], NULL, &clip, &error) ||
        vitrum_clip_classify(clip, &image, labels, 2, NULL, probabilities, 2, NULL, &error)) {
        fprintf(stderr, "classify: %s\n", argc == 2 ? error.message : "usage: classify CLIP");
        return 1;
    }
    printf("%s %.4f %.4f\n", vitrum_version_string(), probabilities[0], probabilities[1]);
    vitrum_clip_free(clip);
    vitrum_context_free(context);
    return 0;
}
