/* Which label fits a picture best? classify MODEL IMAGE.ppm LABEL... */
#include <stdio.h>
#include <stdlib.h>

#include "vitrum.h"

/* Reads a binary PPM: "P6", width, height, 255, and RGB rows. The caller frees image->data. */
static int read_ppm(const char *path, vitrum_image *image) {
    unsigned width = 0, height = 0, maximum = 0;
    uint8_t *data = NULL;
    size_t size;
    FILE *file = fopen(path, "rb");
    vitrum_image_init(image, sizeof *image);
    if (file && fscanf(file, "P6 %5u %5u %3u", &width, &height, &maximum) == 3 && maximum == 255 &&
        width && height && fgetc(file) != EOF) {
        size = (size_t)width * height * 3;
        data = malloc(size);
        if (data && fread(data, 1, size, file) != size) {
            free(data);
            data = NULL;
        }
    }
    if (file) {
        fclose(file);
    }
    image->format = VITRUM_PIXEL_RGB8;
    image->data = data;
    image->width = width;
    image->height = height;
    image->row_stride = (size_t)width * 3;
    return data != NULL;
}

/* Prints `path <tab> probability <tab> label`, the best label first. */
static void print_best_first(const char *path, char **labels, float *probabilities, size_t count) {
    size_t printed, i, best;
    for (printed = 0; printed < count; printed++) {
        for (i = 0, best = 0; i < count; i++) {
            if (probabilities[i] > probabilities[best]) {
                best = i;
            }
        }
        printf("%s\t%.4f\t%s\n", path, probabilities[best], labels[best]);
        probabilities[best] = -1;
    }
}

int main(int argc, char **argv) {
    vitrum_error error;
    vitrum_image image;
    vitrum_context *context = NULL;
    vitrum_clip *clip = NULL;
    float *probabilities = NULL;
    char **labels = argv + 3;
    size_t count = (size_t)(argc - 3);
    int failed = 1;
    if (argc < 4) {
        fprintf(stderr, "usage: classify MODEL IMAGE.ppm LABEL...\n");
        return 2;
    }
    vitrum_error_init(&error, sizeof error);
    if (!read_ppm(argv[2], &image)) {
        fprintf(stderr, "%s: not a binary 8-bit PPM\n", argv[2]);
        return 1;
    }
    probabilities = malloc(count * sizeof *probabilities);
    if (probabilities && vitrum_context_new(NULL, &context, &error) == VITRUM_OK &&
        vitrum_clip_load(context, argv[1], NULL, &clip, &error) == VITRUM_OK &&
        vitrum_clip_classify(clip, &image, (const char *const *)labels, count, NULL, probabilities, count,
                             NULL, &error) == VITRUM_OK) {
        print_best_first(argv[2], labels, probabilities, count);
        failed = 0;
    } else {
        fprintf(stderr, "classify: %s (%s)\n", error.message, vitrum_status_string(error.code));
    }
    vitrum_clip_free(clip);
    vitrum_context_free(context);
    free(probabilities);
    free((void *)image.data);
    return failed;
}
