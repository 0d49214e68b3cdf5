/* What is at a place in a picture? segment MODEL IMAGE.ppm X Y [MASK.pgm] */
#include "ppm.h"

/* Writes mask `index` as a grey picture, white where the object is. */
static int write_mask(const vitrum_sam_prediction *prediction, size_t index, const vitrum_image *image,
                      const char *path, vitrum_error *error) {
    const size_t size = (size_t)image->width * image->height;
    uint8_t *mask = malloc(size);
    FILE *file = NULL;
    size_t i, written = 0;
    if (mask && vitrum_sam_prediction_mask(prediction, 0, index, 0, mask, size, NULL, error) == VITRUM_OK) {
        for (i = 0; i < size; i++) {
            mask[i] = mask[i] ? 255 : 0;
        }
        file = fopen(path, "wb");
        if (file && fprintf(file, "P5\n%u %u\n255\n", image->width, image->height) > 0) {
            written = fwrite(mask, 1, size, file);
        }
    }
    if (file && fclose(file) != 0) {
        written = 0;
    }
    free(mask);
    if (written != size) {
        fprintf(stderr, "segment: %s: not written\n", path);
    }
    return written == size;
}

/* Prints the masks: number, score, stability, area, box. Returns the one with the highest score. */
static size_t print_masks(const vitrum_sam_prediction *prediction, vitrum_error *error) {
    vitrum_sam_mask_stats stats;
    size_t i, best = 0;
    float score = 0;
    vitrum_sam_mask_stats_init(&stats, sizeof stats);
    for (i = 0; i < vitrum_sam_prediction_masks(prediction); i++) {
        if (vitrum_sam_prediction_stats(prediction, 0, i, 0, &stats, error) == VITRUM_OK) {
            printf("%u\t%.4f\t%.4f\t%u\t%u,%u,%u,%u\n", (unsigned)i, stats.score, stats.stability_score,
                   stats.area, stats.bounding_box[0], stats.bounding_box[1], stats.bounding_box[2],
                   stats.bounding_box[3]);
            if (i == 0 || stats.score > score) {
                score = stats.score;
                best = i;
            }
        }
    }
    return best;
}

int main(int argc, char **argv) {
    vitrum_error error;
    vitrum_image image;
    vitrum_point point = {0, 0, VITRUM_LABEL_FOREGROUND};
    vitrum_sam_prompt prompt;
    vitrum_context *context = NULL;
    vitrum_sam *sam = NULL;
    vitrum_sam_embedding *embedding = NULL;
    vitrum_sam_prediction *prediction = NULL;
    size_t best;
    int failed = 1;
    if (argc < 5) {
        fprintf(stderr, "usage: segment MODEL IMAGE.ppm X Y [MASK.pgm]\n");
        return 2;
    }
    if (!read_ppm(argv[2], &image)) {
        fprintf(stderr, "%s: not a binary 8-bit PPM\n", argv[2]);
        return 1;
    }
    vitrum_error_init(&error, sizeof error);
    vitrum_sam_prompt_init(&prompt, sizeof prompt);
    point.x = (float)atof(argv[3]);
    point.y = (float)atof(argv[4]);
    prompt.points = &point;
    prompt.point_count = 1;
    /* The picture once, then as many prompts as one likes. */
    if (vitrum_context_new(NULL, &context, &error) == VITRUM_OK &&
        vitrum_sam_load(context, argv[1], NULL, &sam, &error) == VITRUM_OK &&
        vitrum_sam_encode(sam, &image, NULL, NULL, &embedding, &error) == VITRUM_OK &&
        vitrum_sam_prediction_new(sam, &prediction, &error) == VITRUM_OK &&
        vitrum_sam_predict(sam, embedding, &prompt, 1, NULL, prediction, &error) == VITRUM_OK) {
        best = print_masks(prediction, &error);
        failed = error.code != VITRUM_OK ||
                 (argc > 5 && !write_mask(prediction, best, &image, argv[5], &error));
    }
    if (error.code != VITRUM_OK) {
        fprintf(stderr, "segment: %s (%s)\n", error.message, vitrum_status_string(error.code));
    }
    vitrum_sam_prediction_free(prediction);
    vitrum_sam_embedding_free(embedding);
    vitrum_sam_free(sam);
    vitrum_context_free(context);
    free((void *)image.data);
    return failed;
}
