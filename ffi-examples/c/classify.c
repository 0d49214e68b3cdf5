/* Which label fits a picture best? classify MODEL IMAGE.ppm LABEL... */
#include "ppm.h"

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
