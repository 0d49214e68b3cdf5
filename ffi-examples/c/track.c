/* Follows what is at a place in the first picture through the others: track MODEL X Y FRAME.ppm... */
#include "ppm.h"

/* Prints what is on the current frame: frame, object, how sure it is that the object is seen, area, box. */
static vitrum_status print_mask(const vitrum_tracker *tracker, uint32_t object, vitrum_error *error) {
    vitrum_tracker_stats stats;
    vitrum_status status;
    vitrum_tracker_stats_init(&stats, sizeof stats);
    status = vitrum_tracker_mask_stats(tracker, object, VITRUM_FRAME_CURRENT, 0, &stats, error);
    if (status == VITRUM_OK) {
        printf("%ld\t%u\t%.4f\t%u\t%u,%u,%u,%u\n", (long)vitrum_tracker_frame(tracker), (unsigned)object,
               stats.object_score, (unsigned)stats.area, (unsigned)stats.bounding_box[0],
               (unsigned)stats.bounding_box[1], (unsigned)stats.bounding_box[2], (unsigned)stats.bounding_box[3]);
    }
    return status;
}

/* Takes a frame as a camera would hand it out; on the first one, says where the object is. */
static vitrum_status track(vitrum_tracker *tracker, const vitrum_image *image, const vitrum_sam_prompt *click,
                           vitrum_error *error) {
    const uint32_t object = 1;
    int64_t frame = 0;
    vitrum_status status = vitrum_tracker_push_frame(tracker, image, NULL, NULL, &frame, error);
    if (status == VITRUM_OK && frame == 0) {
        status = vitrum_tracker_add_points(tracker, frame, object, click, NULL, NULL, NULL, error);
    }
    if (status == VITRUM_OK) {
        status = vitrum_tracker_step(tracker, NULL, NULL, error);
    }
    return status == VITRUM_OK ? print_mask(tracker, object, error) : status;
}

int main(int argc, char **argv) {
    vitrum_error error;
    vitrum_image image;
    vitrum_point point = {0, 0, VITRUM_LABEL_FOREGROUND};
    vitrum_sam_prompt click;
    vitrum_context *context = NULL;
    vitrum_sam *sam = NULL;
    vitrum_tracker *tracker = NULL;
    vitrum_status status;
    int i, unreadable = 0;
    if (argc < 5) {
        fprintf(stderr, "usage: track MODEL X Y FRAME.ppm...\n");
        return 2;
    }
    vitrum_error_init(&error, sizeof error);
    vitrum_sam_prompt_init(&click, sizeof click);
    point.x = (float)atof(argv[2]);
    point.y = (float)atof(argv[3]);
    click.points = &point;
    click.point_count = 1;
    status = vitrum_context_new(NULL, &context, &error);
    if (status == VITRUM_OK) {
        status = vitrum_sam_load(context, argv[1], NULL, &sam, &error);
    }
    for (i = 4; i < argc && status == VITRUM_OK && !unreadable; i++) {
        unreadable = !read_ppm(argv[i], &image);
        if (unreadable) {
            fprintf(stderr, "%s: not a binary 8-bit PPM\n", argv[i]);
        } else if (!tracker) {
            status = vitrum_tracker_new(sam, image.width, image.height, NULL, &tracker, &error);
        }
        if (status == VITRUM_OK && !unreadable) {
            status = track(tracker, &image, &click, &error);
        }
        free((void *)image.data);
    }
    if (status != VITRUM_OK) {
        fprintf(stderr, "track: %s (%s)\n", error.message, vitrum_status_string(status));
    }
    vitrum_tracker_free(tracker);
    vitrum_sam_free(sam);
    vitrum_context_free(context);
    return status != VITRUM_OK || unreadable;
}
