/* Everything that can be done wrong with a tracker, which must be reported and harm nothing: tracker_misuse MODEL SAM */
#include <math.h>

#include "tracker.h"

static vitrum_read_result read_nothing(void *user, int64_t frame, vitrum_image *image) {
    (void)user;
    (void)frame;
    (void)image;
    return VITRUM_READ_OK;
}

static vitrum_read_result fail_to_read(void *user, int64_t frame, vitrum_image *image) {
    (void)user;
    (void)frame;
    (void)image;
    return -5;
}

static vitrum_read_result read_another_size(void *user, int64_t frame, vitrum_image *image) {
    (void)user;
    *image = new_frame(frame);
    image->width -= 1;
    return VITRUM_READ_OK;
}

static vitrum_read_result read_frame(void *user, int64_t frame, vitrum_image *image) {
    (void)user;
    *image = new_frame(frame);
    return VITRUM_READ_OK;
}

static int32_t stop_after_frame(void *user, const vitrum_tracker *tracker, int64_t frame) {
    CHECK(vitrum_tracker_frame(tracker) == frame);
    ++*(int *)user;
    return 1;
}

static void misuse_making(const vitrum_sam *sam, const vitrum_sam *image_model) {
    vitrum_tracker *tracker = NULL;
    vitrum_tracker_options options, good;
    vitrum_tracker_stats stats;
    vitrum_tracker_prompt_options prompt_options;
    vitrum_tracker_propagate_options propagate_options;
    size_t limit = 42;
    CHECK(vitrum_tracker_options_init(NULL, sizeof options) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_tracker_options_init(&options, sizeof options - 4) == VITRUM_E_STRUCT_SIZE);
    CHECK(vitrum_tracker_prompt_options_init(NULL, sizeof prompt_options) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_tracker_prompt_options_init(&prompt_options, 4) == VITRUM_E_STRUCT_SIZE);
    CHECK(vitrum_tracker_propagate_options_init(NULL, sizeof propagate_options) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_tracker_propagate_options_init(&propagate_options, 4) == VITRUM_E_STRUCT_SIZE);
    CHECK(vitrum_tracker_stats_init(NULL, sizeof stats) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_tracker_stats_init(&stats, 0) == VITRUM_E_STRUCT_SIZE);
    CHECK(vitrum_tracker_options_init(&good, sizeof good) == VITRUM_OK);

    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_new(NULL, WIDTH, HEIGHT, NULL, &tracker, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_new(sam, WIDTH, HEIGHT, NULL, NULL, &error));
    EXPECT(VITRUM_E_UNSUPPORTED, vitrum_tracker_new(image_model, WIDTH, HEIGHT, NULL, &tracker, &error));
    EXPECT(VITRUM_E_UNSUPPORTED,
           vitrum_tracker_memory_limit(image_model, WIDTH, HEIGHT, NULL, &limit, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_memory_limit(NULL, WIDTH, HEIGHT, NULL, &limit, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_memory_limit(sam, WIDTH, HEIGHT, NULL, NULL, &error));
    CHECK(vitrum_tracker_new(sam, 0, HEIGHT, NULL, &tracker, &error) != VITRUM_OK);
    CHECK(vitrum_tracker_new(sam, WIDTH, 0xffffffff, NULL, &tracker, &error) != VITRUM_OK);
    options = good;
    options.struct_size = 4;
    EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_tracker_new(sam, WIDTH, HEIGHT, &options, &tracker, &error));
    options = good;
    options.max_objects = 0;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_new(sam, WIDTH, HEIGHT, &options, &tracker, &error));
    options.max_objects = 0xffffffff;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_new(sam, WIDTH, HEIGHT, &options, &tracker, &error));
    options = good;
    options.held_frames = 0;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_new(sam, WIDTH, HEIGHT, &options, &tracker, &error));
    options = good;
    options.max_prompted_frames = 5000;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_memory_limit(sam, WIDTH, HEIGHT, &options, &limit, &error));
    options = good;
    options.num_frames = (uint64_t)-1;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_new(sam, WIDTH, HEIGHT, &options, &tracker, &error));
    options = good;
    options.clear_memory_around_input = 2;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_new(sam, WIDTH, HEIGHT, &options, &tracker, &error));
    CHECK(strstr(error.message, "clear_memory_around_input") != NULL);
    CHECK(tracker == NULL && limit == 42);

    CHECK(vitrum_tracker_width(NULL) == 0 && vitrum_tracker_height(NULL) == 0);
    CHECK(vitrum_tracker_memory_bytes(NULL) == 0 && vitrum_tracker_frame(NULL) == -1);
    CHECK(vitrum_tracker_has_mask(NULL, APPLE, 0) == 0);
    vitrum_tracker_free(NULL);
}

static void misuse_frames(vitrum_tracker *tracker) {
    const vitrum_image good = new_frame(1);
    vitrum_image image = good;
    int64_t frame = 42;
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_push_frame(NULL, &good, NULL, NULL, &frame, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_push_frame(tracker, NULL, NULL, NULL, &frame, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_push_frame_at(NULL, 0, &good, NULL, NULL, &error));
    /* Another size. */
    image.width -= 1;
    EXPECT(VITRUM_E_IMAGE, vitrum_tracker_push_frame(tracker, &image, NULL, NULL, &frame, &error));
    image = good;
    image.height += 1;
    EXPECT(VITRUM_E_IMAGE, vitrum_tracker_push_frame(tracker, &image, NULL, NULL, &frame, &error));
    EXPECT(VITRUM_E_IMAGE, vitrum_tracker_push_frame_at(tracker, 1, &image, NULL, NULL, &error));
    image = good;
    image.format = 77;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_push_frame(tracker, &image, NULL, NULL, &frame, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_push_frame_at(tracker, -1, &good, NULL, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_push_frame_at(tracker, INT64_MIN, &good, NULL, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_push_frame_at(tracker, INT64_MAX, &good, NULL, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_tracker_push_frame_at(tracker, ((int64_t)1 << 48) + 1, &good, NULL, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_held_frames(tracker, NULL, 1, NULL, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL, vitrum_tracker_held_frames(tracker, &frame, 0, NULL, &error));
    CHECK(frame == 42 && vitrum_tracker_frame(tracker) == 0);
}

static void misuse_prompts(vitrum_tracker *tracker) {
    const vitrum_sam_prompt good = new_click();
    vitrum_point point = CENTRE;
    vitrum_sam_prompt prompt = good;
    vitrum_tracker_prompt_options bad;
    uint8_t mask[WIDTH * HEIGHT] = {0};
    float logits[4] = {0, 0, 0, 0};
    uint32_t i;
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_add_points(NULL, 0, 1, &good, NULL, NULL, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_add_points(tracker, 0, 1, NULL, NULL, NULL, NULL, &error));
    CHECK(vitrum_tracker_prompt_options_init(&bad, sizeof bad) == VITRUM_OK && bad.keep_earlier == 0);
    bad.keep_earlier = 2;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_add_points(tracker, 0, 1, &good, &bad, NULL, NULL, &error));
    bad.struct_size = 4;
    EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_tracker_add_points(tracker, 0, 1, &good, &bad, NULL, NULL, &error));
    /* Frames that are not held, or no numbers at all. */
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_add_points(tracker, 1, 1, &good, NULL, NULL, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_tracker_add_points(tracker, (int64_t)UINT32_MAX, 1, &good, NULL, NULL, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_add_points(tracker, -2, 1, &good, NULL, NULL, NULL, &error));
    prompt.point_count = 0;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_add_points(tracker, 0, 1, &prompt, NULL, NULL, NULL, &error));
    prompt = good;
    prompt.points = NULL;
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_add_points(tracker, 0, 1, &prompt, NULL, NULL, NULL, &error));
    prompt.points = &point;
    point.x = NAN;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_add_points(tracker, 0, 1, &prompt, NULL, NULL, NULL, &error));
    point = CENTRE;
    point.y = INFINITY;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_add_points(tracker, 0, 1, &prompt, NULL, NULL, NULL, &error));
    point = CENTRE;
    point.label = 9;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_add_points(tracker, 0, 1, &prompt, NULL, NULL, NULL, &error));
    prompt = good;
    prompt.point_count = 1 << 20;
    EXPECT(VITRUM_E_LIMIT, vitrum_tracker_add_points(tracker, 0, 1, &prompt, NULL, NULL, NULL, &error));
    prompt = good;
    prompt.has_box = 1;
    prompt.bounding_box[0] = 5;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_add_points(tracker, 0, 1, &prompt, NULL, NULL, NULL, &error));
    prompt.bounding_box[2] = NAN;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_add_points(tracker, 0, 1, &prompt, NULL, NULL, NULL, &error));
    prompt = good;
    prompt.mask = logits;
    prompt.mask_size = 4;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_add_points(tracker, 0, 1, &prompt, NULL, NULL, NULL, &error));

    EXPECT(VITRUM_E_NULL_POINTER,
           vitrum_tracker_add_mask(tracker, 0, 1, NULL, WIDTH, HEIGHT, NULL, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_tracker_add_mask(tracker, 0, 1, mask, HEIGHT, WIDTH, NULL, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_add_mask(tracker, 0, 1, mask, 0, 0, NULL, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_tracker_add_mask(tracker, 3, 1, mask, WIDTH, HEIGHT, NULL, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_clear_prompts(tracker, 0, 1, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_remove_object(tracker, 1, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_step(tracker, NULL, NULL, &error));

    /* As many objects as there may be, and one more. */
    for (i = 0; i < 16; i++) {
        EXPECT(VITRUM_OK, vitrum_tracker_add_mask(tracker, 0, i, mask, WIDTH, HEIGHT, NULL, NULL, &error));
    }
    EXPECT(VITRUM_E_LIMIT, vitrum_tracker_add_mask(tracker, 0, i, mask, WIDTH, HEIGHT, NULL, NULL, &error));
    EXPECT(VITRUM_E_LIMIT, vitrum_tracker_add_points(tracker, 0, i, &good, NULL, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_reset(tracker, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_reset(NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_remove_object(NULL, 1, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_clear_prompts(NULL, 0, 1, &error));
}

static void misuse_steps(vitrum_tracker *tracker) {
    int stops = 0;
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_step(NULL, NULL, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_step_at(NULL, 0, 0, NULL, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_step_at(tracker, 0, 2, NULL, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_step_at(tracker, 9, 0, NULL, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER,
           vitrum_tracker_propagate(NULL, NULL, read_frame, stop_after_frame, NULL, &stops, &error));
    EXPECT(VITRUM_E_NULL_POINTER,
           vitrum_tracker_propagate(tracker, NULL, NULL, stop_after_frame, NULL, &stops, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_propagate(tracker, NULL, read_frame, NULL, NULL, &stops, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_tracker_propagate(tracker, through(-1, -1, -1), read_frame, stop_after_frame, NULL, &stops, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_tracker_propagate(tracker, through(-2, 0, -1), read_frame, stop_after_frame, NULL, &stops, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_tracker_propagate(tracker, through(0, 0, -7), read_frame, stop_after_frame, NULL, &stops, &error));
    /* Frame 1 must be read. */
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_tracker_propagate(tracker, through(1, 0, -1), read_nothing, stop_after_frame, NULL, &stops, &error));
    EXPECT(VITRUM_E_IO,
           vitrum_tracker_propagate(tracker, through(1, 0, -1), fail_to_read, stop_after_frame, NULL, &stops, &error));
    CHECK(strstr(error.message, "frame 1") != NULL);
    EXPECT(VITRUM_E_IMAGE,
           vitrum_tracker_propagate(tracker, through(1, 0, -1), read_another_size, stop_after_frame, NULL, &stops, &error));
    CHECK(stops == 0 && vitrum_tracker_frame(tracker) == 0);
    EXPECT(VITRUM_E_CANCELLED,
           vitrum_tracker_propagate(tracker, through(0, 0, -1), read_frame, stop_after_frame, NULL, &stops, &error));
    CHECK(stops == 1);
}

static void misuse_masks(const vitrum_tracker *tracker) {
    uint8_t mask[WIDTH * HEIGHT] = {9};
    float logits[WIDTH * HEIGHT] = {9};
    uint32_t counts[1] = {9}, objects[1] = {9};
    size_t needed = 0;
    vitrum_tracker_stats stats;
    vitrum_tracker_stats_init(&stats, sizeof stats);
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_mask(NULL, APPLE, 0, 0, mask, sizeof mask, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_mask(tracker, APPLE, 0, 0, NULL, 0, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_mask(tracker, 99, 0, 0, mask, sizeof mask, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_mask(tracker, APPLE, 7, 0, mask, sizeof mask, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_mask(tracker, APPLE, -3, 0, mask, sizeof mask, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_mask(tracker, APPLE, 0, NAN, mask, sizeof mask, NULL, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL,
           vitrum_tracker_mask(tracker, APPLE, 0, 0, mask, sizeof mask - 1, &needed, &error));
    CHECK(needed == sizeof mask);
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL, vitrum_tracker_logits(tracker, APPLE, 0, logits, 1, &needed, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_logits(NULL, APPLE, 0, logits, 1, &needed, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL, vitrum_tracker_low_res(tracker, APPLE, 0, logits, 1, &needed, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_low_res(tracker, 99, 0, logits, 1, &needed, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL, vitrum_tracker_rle(tracker, APPLE, 0, 0, counts, 0, &needed, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_rle(tracker, APPLE, 0, NAN, counts, 1, &needed, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_polygons(tracker, APPLE, 0, 0, NAN, NULL, 0, &needed, NULL, 0,
                                                              &needed, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_polygons(tracker, 99, 0, 0, 0, NULL, 0, &needed, NULL, 0, &needed,
                                                              &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_polygons(tracker, APPLE, 0, 0, 0, NULL, 0, NULL, NULL, 0, &needed,
                                                          &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_polygons(NULL, APPLE, 0, 0, 0, NULL, 0, &needed, NULL, 0, &needed,
                                                          &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_mask_stats(tracker, APPLE, 0, 0, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_mask_stats(tracker, APPLE, 0, NAN, &stats, &error));
    stats.struct_size = 8;
    EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_tracker_mask_stats(tracker, APPLE, 0, 0, &stats, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL, vitrum_tracker_objects(tracker, objects, 0, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_objects(NULL, objects, 1, NULL, &error));
    CHECK(mask[0] == 9 && logits[0] == 9 && counts[0] == 9 && objects[0] == 9);
}

static void misuse_saving(const vitrum_sam *sam, const vitrum_sam *image_model, const vitrum_tracker *tracker) {
    vitrum_tracker *loaded = NULL;
    uint8_t *bytes;
    size_t size = 0, i;
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_save(NULL, NULL, 0, &size, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_save(tracker, NULL, 0, &size, &error));
    bytes = malloc(size);
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL, vitrum_tracker_save(tracker, bytes, size - 1, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_save(tracker, bytes, size, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_load(NULL, bytes, size, &loaded, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_load(sam, NULL, size, &loaded, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_tracker_load(sam, bytes, size, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_load(sam, bytes, 0, &loaded, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_load(image_model, bytes, size, &loaded, &error));
    for (i = 1; i <= size; i += 1 + size / 9) {
        EXPECT(VITRUM_E_FORMAT, vitrum_tracker_load(sam, bytes, size - i, &loaded, &error));
        bytes[size - i] ^= 0x10;
        CHECK(vitrum_tracker_load(sam, bytes, size, &loaded, &error) != VITRUM_OK);
        bytes[size - i] ^= 0x10;
    }
    CHECK(loaded == NULL);
    free(bytes);
}

int main(int argc, char **argv) {
    vitrum_context *context;
    vitrum_sam *sam, *image_model = NULL;
    vitrum_tracker *tracker;
    if (argc != 3) {
        fprintf(stderr, "usage: tracker_misuse MODEL SAM\n");
        return 2;
    }
    CHECK(vitrum_error_init(&error, sizeof error) == VITRUM_OK);
    context = new_context();
    sam = load_sam(context, argv[1]);
    EXPECT(VITRUM_OK, vitrum_sam_load(context, argv[2], NULL, &image_model, &error));
    if (sam && image_model) {
        misuse_making(sam, image_model);
        tracker = new_tracker(sam, 1);
        EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_step(tracker, NULL, NULL, &error));
        EXPECT(VITRUM_E_INVALID_ARGUMENT,
               vitrum_tracker_mask(tracker, APPLE, VITRUM_FRAME_CURRENT, 0, NULL, 0, NULL, &error));
        push(tracker, 0);
        misuse_frames(tracker);
        misuse_prompts(tracker);
        EXPECT(VITRUM_E_INVALID_ARGUMENT,
               vitrum_tracker_propagate(tracker, NULL, read_frame, stop_after_frame, NULL, NULL, &error));
        vitrum_tracker_free(tracker);

        tracker = new_tracker(sam, 1);
        push(tracker, APPLE);
        misuse_steps(tracker);
        misuse_masks(tracker);
        misuse_saving(sam, image_model, tracker);
        /* After all that, it goes on. */
        push(tracker, 0);
        EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, NULL, NULL, &error));
        CHECK(vitrum_tracker_has_mask(tracker, APPLE, 1));
        vitrum_tracker_free(tracker);
    }
    vitrum_sam_free(sam);
    vitrum_sam_free(image_model);
    vitrum_context_free(context);
    printf("tracker_misuse: %s\n", failures ? "failed" : "ok");
    return failures != 0;
}
