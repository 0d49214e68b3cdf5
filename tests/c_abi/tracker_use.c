/*
 * Uses every function of the tracker as it is meant to be, and checks that the ways that must agree do:
 * tracker_use MODEL
 */
#include "tracker.h"

enum { FRAMES = 6 };

/* The logits of an object on a frame as the model predicts them. The caller frees them. */
static float *low_res(const vitrum_tracker *tracker, uint32_t object, int64_t frame, size_t *count) {
    float *logits;
    *count = 0;
    EXPECT(VITRUM_OK, vitrum_tracker_low_res(tracker, object, frame, NULL, 0, count, &error));
    logits = calloc(*count + 1, sizeof *logits);
    EXPECT(VITRUM_OK, vitrum_tracker_low_res(tracker, object, frame, logits, *count, NULL, &error));
    return logits;
}

/* Both trackers found the same on their current frames, to the bit. */
static void check_equal(const vitrum_tracker *a, const vitrum_tracker *b, uint32_t object) {
    size_t a_count, b_count;
    float *x = low_res(a, object, VITRUM_FRAME_CURRENT, &a_count);
    float *y = low_res(b, object, VITRUM_FRAME_CURRENT, &b_count);
    CHECK(a_count == b_count && a_count > 0 && memcmp(x, y, a_count * sizeof *x) == 0);
    free(x);
    free(y);
}

static int32_t stop_at_once(void *user, float fraction) {
    CHECK(fraction >= 0 && fraction <= 1);
    ++*(int *)user;
    return 1;
}

static int32_t go_on(void *user, float fraction) {
    CHECK(fraction >= *(float *)user && fraction <= 1);
    *(float *)user = fraction;
    return 0;
}

/* The polygons of a mask are those of its run lengths. */
static void check_polygons(const vitrum_tracker *tracker, uint32_t object, int64_t frame, const uint32_t *counts,
                           size_t count) {
    size_t numbers = 0, found = 0, same = 0;
    uint32_t *corners, *same_corners;
    vitrum_polygon *polygons;
    EXPECT(VITRUM_OK, vitrum_tracker_polygons(tracker, object, frame, 0, 0, NULL, 0, &numbers, NULL, 0, &found, &error));
    corners = calloc(numbers + 1, sizeof *corners);
    same_corners = calloc(numbers + 1, sizeof *corners);
    polygons = calloc(found + 1, sizeof *polygons);
    EXPECT(VITRUM_OK, vitrum_tracker_polygons(tracker, object, frame, 0, 0, corners, numbers, &numbers, polygons, found,
                                              &found, &error));
    EXPECT(VITRUM_OK, vitrum_rle_polygons(counts, count, WIDTH, HEIGHT, 0, same_corners, numbers, &same, NULL, 0, &found,
                                          &error));
    CHECK(same == numbers && memcmp(corners, same_corners, numbers * sizeof *corners) == 0);
    CHECK(found == 0 || polygons[found - 1].first + polygons[found - 1].count == numbers / 2);
    free(corners);
    free(same_corners);
    free(polygons);
}

/* Pixels, logits, run lengths and statistics of a mask say the same. */
static void check_forms(const vitrum_tracker *tracker, uint32_t object, int64_t frame) {
    uint8_t mask[WIDTH * HEIGHT];
    float logits[WIDTH * HEIGHT];
    uint32_t *counts, area = 0, run_area = 0;
    size_t needed = 0, i;
    vitrum_tracker_stats stats;
    CHECK(vitrum_tracker_stats_init(&stats, sizeof stats) == VITRUM_OK);
    CHECK(vitrum_tracker_has_mask(tracker, object, frame) == 1);
    EXPECT(VITRUM_OK, vitrum_tracker_mask(tracker, object, frame, 0, NULL, 0, &needed, &error));
    CHECK(needed == sizeof mask);
    EXPECT(VITRUM_OK, vitrum_tracker_mask(tracker, object, frame, 0, mask, sizeof mask, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_logits(tracker, object, frame, logits, needed, &needed, &error));
    for (i = 0; i < sizeof mask; i++) {
        CHECK(mask[i] == (logits[i] > 0));
        area += mask[i];
    }
    EXPECT(VITRUM_OK, vitrum_tracker_rle(tracker, object, frame, 0, NULL, 0, &needed, &error));
    counts = calloc(needed + 1, sizeof *counts);
    EXPECT(VITRUM_OK, vitrum_tracker_rle(tracker, object, frame, 0, counts, needed, &needed, &error));
    for (i = 1; i < needed; i += 2) {
        run_area += counts[i];
    }
    EXPECT(VITRUM_OK, vitrum_tracker_mask_stats(tracker, object, frame, 0, &stats, &error));
    CHECK(stats.area == area && run_area == area);
    check_polygons(tracker, object, frame, counts, needed);
    CHECK(stats.bounding_box[0] + stats.bounding_box[2] <= WIDTH);
    CHECK(stats.bounding_box[1] + stats.bounding_box[3] <= HEIGHT);
    free(counts);
}

/* Frames are pushed; two objects; what is known of them on the way. */
static void check_stream(const vitrum_sam *sam) {
    vitrum_tracker *tracker = new_tracker(sam, 2);
    vitrum_sam_prompt box = new_click();
    uint32_t objects[2] = {0, 0};
    int64_t frames[2] = {0, 0};
    size_t needed = 0, count = 0, limit = 0, bytes;
    float fraction = 0, *logits;
    vitrum_tracker_options options;
    int i;
    vitrum_tracker_options_init(&options, sizeof options);
    options.held_frames = 2;
    EXPECT(VITRUM_OK, vitrum_tracker_memory_limit(sam, WIDTH, HEIGHT, &options, &limit, &error));
    CHECK(vitrum_tracker_width(tracker) == WIDTH && vitrum_tracker_height(tracker) == HEIGHT);
    CHECK(vitrum_tracker_frame(tracker) == -1);
    push(tracker, APPLE);
    check_forms(tracker, APPLE, VITRUM_FRAME_CURRENT);
    EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, NULL, NULL, &error));
    push(tracker, 0);
    box.has_box = 1;
    box.bounding_box[2] = 20;
    box.bounding_box[3] = 15;
    EXPECT(VITRUM_OK, vitrum_tracker_add_points(tracker, 1, PEAR, &box, NULL, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, go_on, &fraction, &error));
    CHECK(fraction > 0.5F);
    check_forms(tracker, APPLE, 0);
    check_forms(tracker, APPLE, 1);
    check_forms(tracker, PEAR, 1);
    CHECK(vitrum_tracker_has_mask(tracker, PEAR, 0) == 0);
    EXPECT(VITRUM_OK, vitrum_tracker_objects(tracker, NULL, 0, &needed, &error));
    CHECK(needed == 2);
    EXPECT(VITRUM_OK, vitrum_tracker_objects(tracker, objects, 2, NULL, &error));
    CHECK(objects[0] == APPLE && objects[1] == PEAR);
    EXPECT(VITRUM_OK, vitrum_tracker_held_frames(tracker, frames, 2, &needed, &error));
    CHECK(needed == 2 && frames[0] == 0 && frames[1] == 1);
    logits = low_res(tracker, PEAR, 1, &count);
    CHECK(count == vitrum_sam_mask_side(sam) * vitrum_sam_mask_side(sam));
    free(logits);
    /* The memory is full after a while, and then stays as it is. */
    for (i = 2; i < 20; i++) {
        push(tracker, 0);
        EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, NULL, NULL, &error));
    }
    bytes = vitrum_tracker_memory_bytes(tracker);
    CHECK(bytes > 0 && bytes <= limit);
    for (i = 0; i < 4; i++) {
        push(tracker, 0);
        EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, NULL, NULL, &error));
        CHECK(vitrum_tracker_memory_bytes(tracker) == bytes);
    }
    EXPECT(VITRUM_OK, vitrum_tracker_remove_object(tracker, APPLE, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_objects(tracker, objects, 2, &needed, &error));
    CHECK(needed == 1 && objects[0] == PEAR);
    EXPECT(VITRUM_OK, vitrum_tracker_reset(tracker, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_objects(tracker, NULL, 0, &needed, &error));
    CHECK(needed == 0);
    vitrum_tracker_free(tracker);
}

/* A video for `vitrum_tracker_propagate`, and what comes out of it. */
struct video {
    int reads;
    int64_t seen[FRAMES];
    int count;
    const vitrum_tracker *tracker;
    vitrum_tracker *other;
    int stopped;
};

static vitrum_read_result read_frame(void *user, int64_t frame, vitrum_image *image) {
    struct video *video = user;
    CHECK(image->struct_size == sizeof *image && image->data == NULL);
    video->reads++;
    if (frame >= FRAMES) {
        return VITRUM_READ_END;
    }
    *image = new_frame(frame);
    return VITRUM_READ_OK;
}

/* Takes the same step in `other`, frame by frame. */
static int32_t step_too(void *user, const vitrum_tracker *tracker, int64_t frame) {
    struct video *video = user;
    CHECK(tracker == video->tracker && vitrum_tracker_frame(tracker) == frame && video->count < FRAMES);
    video->seen[video->count++] = frame;
    if (frame) {
        push(video->other, 0);
    }
    EXPECT(VITRUM_OK, vitrum_tracker_step(video->other, NULL, NULL, &error));
    check_equal(tracker, video->other, APPLE);
    return 0;
}

static int32_t count_frames(void *user, const vitrum_tracker *tracker, int64_t frame) {
    struct video *video = user;
    CHECK(vitrum_tracker_has_mask(tracker, APPLE, frame));
    video->seen[video->count++] = frame;
    return 0;
}

static int32_t stop_after_two(void *user, const vitrum_tracker *tracker, int64_t frame) {
    struct video *video = user;
    count_frames(user, tracker, frame);
    video->stopped = video->count == 2;
    return video->stopped;
}

/* Nothing is asked any more once the work is to stop. */
static int32_t before_the_stop(void *user, float fraction) {
    struct video *video = user;
    CHECK(!video->stopped && fraction >= 0 && fraction < 1);
    return 0;
}

static void check_propagation(const vitrum_sam *sam) {
    vitrum_tracker *tracker = new_tracker(sam, 1), *other = new_tracker(sam, 1);
    struct video video;
    memset(&video, 0, sizeof video);
    video.tracker = tracker;
    video.other = other;
    push(tracker, APPLE);
    push(other, APPLE);
    EXPECT(VITRUM_OK, vitrum_tracker_propagate(tracker, NULL, read_frame, step_too, NULL,
                                               &video, &error));
    /* Frame 0 was held; the last read finds the end. */
    CHECK(video.reads == FRAMES && video.count == FRAMES && video.seen[FRAMES - 1] == FRAMES - 1);
    /* Two frames more, backward. */
    video.count = 0;
    EXPECT(VITRUM_OK, vitrum_tracker_propagate(tracker, through(4, VITRUM_DIRECTION_BACKWARD, 2), read_frame, count_frames,
                                               NULL, &video, &error));
    CHECK(video.count == 3 && video.seen[0] == 4 && video.seen[2] == 2);
    video.count = 0;
    EXPECT(VITRUM_E_CANCELLED, vitrum_tracker_propagate(tracker, through(1, VITRUM_DIRECTION_FORWARD, 4), read_frame,
                                                        stop_after_two, before_the_stop, &video, &error));
    CHECK(video.stopped && video.count == 2);
    vitrum_tracker_free(tracker);
    vitrum_tracker_free(other);
}

/* A tracker that was saved goes on as if nothing had happened. */
static void check_saving(const vitrum_sam *sam) {
    vitrum_tracker *tracker = new_tracker(sam, 1), *restored = NULL;
    uint8_t *bytes;
    size_t needed = 0;
    int i;
    push(tracker, APPLE);
    EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, NULL, NULL, &error));
    push(tracker, PEAR);
    EXPECT(VITRUM_OK, vitrum_tracker_save(tracker, NULL, 0, &needed, &error));
    bytes = malloc(needed);
    EXPECT(VITRUM_OK, vitrum_tracker_save(tracker, bytes, needed, &needed, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_load(sam, bytes, needed, &restored, &error));
    free(bytes);
    for (i = 0; i < 3; i++) {
        if (i) {
            push(tracker, 0);
            push(restored, 0);
        }
        EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, NULL, NULL, &error));
        EXPECT(VITRUM_OK, vitrum_tracker_step(restored, NULL, NULL, &error));
        check_equal(tracker, restored, APPLE);
        check_equal(tracker, restored, PEAR);
    }
    vitrum_tracker_free(tracker);
    vitrum_tracker_free(restored);
}

/* Calls that are stopped leave no trace. */
static void check_cancelling(const vitrum_sam *sam) {
    vitrum_tracker *tracker = new_tracker(sam, 1), *other = new_tracker(sam, 1);
    const vitrum_image frame = new_frame(0);
    const vitrum_sam_prompt click = new_click();
    uint8_t mask[WIDTH * HEIGHT] = {1};
    int stops = 0, i;
    EXPECT(VITRUM_E_CANCELLED, vitrum_tracker_push_frame(tracker, &frame, stop_at_once, &stops, NULL, &error));
    CHECK(stops == 1 && vitrum_tracker_frame(tracker) == -1);
    push(tracker, 0);
    push(other, APPLE);
    EXPECT(VITRUM_E_CANCELLED,
           vitrum_tracker_add_points(tracker, 0, APPLE, &click, NULL, stop_at_once, &stops, &error));
    EXPECT(VITRUM_E_CANCELLED, vitrum_tracker_add_mask(tracker, 0, APPLE, mask, WIDTH, HEIGHT, stop_at_once, &stops,
                                                       &error));
    CHECK(stops == 3 && vitrum_tracker_has_mask(tracker, APPLE, 0) == 0);
    EXPECT(VITRUM_OK, vitrum_tracker_add_points(tracker, 0, APPLE, &click, NULL, NULL, NULL, &error));
    for (i = 0; i < 3; i++) {
        const vitrum_image next = new_frame(i + 1);
        EXPECT(VITRUM_E_CANCELLED, vitrum_tracker_step(tracker, stop_at_once, &stops, &error));
        EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, NULL, NULL, &error));
        EXPECT(VITRUM_OK, vitrum_tracker_step(other, NULL, NULL, &error));
        check_equal(tracker, other, APPLE);
        EXPECT(VITRUM_E_CANCELLED, vitrum_tracker_push_frame(tracker, &next, stop_at_once, &stops, NULL, &error));
        push(tracker, 0);
        push(other, 0);
    }
    vitrum_tracker_free(tracker);
    vitrum_tracker_free(other);
}

/* Masks given, corrections, prompts taken back, frames out of order and large numbers. */
static void check_prompts(const vitrum_sam *sam) {
    vitrum_tracker_prompt_options keep;
    vitrum_tracker *tracker = new_tracker(sam, 3);
    const vitrum_sam_prompt click = new_click();
    const vitrum_point corner = {1, 1, VITRUM_LABEL_BACKGROUND};
    vitrum_sam_prompt correction = new_click();
    vitrum_image frame = new_frame(5);
    uint8_t mask[WIDTH * HEIGHT];
    int64_t number = 0;
    size_t i, needed = 0;
    vitrum_tracker_stats stats;
    vitrum_tracker_stats_init(&stats, sizeof stats);
    for (i = 0; i < sizeof mask; i++) {
        mask[i] = i % WIDTH < 16;
    }
    EXPECT(VITRUM_OK, vitrum_tracker_push_frame_at(tracker, 5, &frame, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_add_mask(tracker, 5, APPLE, mask, WIDTH, HEIGHT, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_mask_stats(tracker, APPLE, 5, 0, &stats, &error));
    CHECK(stats.area > 14 * HEIGHT && stats.area < 18 * HEIGHT && stats.object_score > 0);
    EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, NULL, NULL, &error));
    /* Backward, then a correction of what was found, in two clicks. */
    frame = new_frame(4);
    EXPECT(VITRUM_OK, vitrum_tracker_push_frame_at(tracker, 4, &frame, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_step_at(tracker, 4, VITRUM_DIRECTION_BACKWARD, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_add_points(tracker, 4, APPLE, &click, NULL, NULL, NULL, &error));
    correction.points = &corner;
    CHECK(vitrum_tracker_prompt_options_init(&keep, sizeof keep) == VITRUM_OK);
    keep.keep_earlier = 1;
    EXPECT(VITRUM_OK, vitrum_tracker_add_points(tracker, 4, APPLE, &correction, &keep, NULL, NULL, &error));
    check_forms(tracker, APPLE, 4);
    EXPECT(VITRUM_OK, vitrum_tracker_clear_prompts(tracker, 4, APPLE, &error));
    /* No pixel at all: the object is not there. */
    memset(mask, 0, sizeof mask);
    EXPECT(VITRUM_OK, vitrum_tracker_add_mask(tracker, 4, PEAR, mask, WIDTH, HEIGHT, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_mask_stats(tracker, PEAR, 4, 0, &stats, &error));
    CHECK(stats.area == 0 && stats.object_score < 0);
    /* Numbers do not end at 32 bits. */
    EXPECT(VITRUM_OK, vitrum_tracker_push_frame_at(tracker, (int64_t)UINT32_MAX, &frame, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_push_frame(tracker, &frame, NULL, NULL, &number, &error));
    CHECK(number == (int64_t)UINT32_MAX + 1 && vitrum_tracker_frame(tracker) == number);
    EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, NULL, NULL, &error));
    check_forms(tracker, APPLE, number);
    EXPECT(VITRUM_OK, vitrum_tracker_held_frames(tracker, NULL, 0, &needed, &error));
    CHECK(needed == 3);
    vitrum_tracker_free(tracker);
}

/* Luma without colour is a grey frame. */
static void check_nv12(const vitrum_sam *sam) {
    vitrum_tracker *tracker = new_tracker(sam, 1), *other = new_tracker(sam, 1);
    const vitrum_sam_prompt click = new_click();
    uint8_t chroma[WIDTH * HEIGHT / 2];
    vitrum_image grey = new_frame(0), nv12;
    memset(chroma, 128, sizeof chroma);
    grey.format = VITRUM_PIXEL_GRAY8;
    nv12 = grey;
    nv12.format = VITRUM_PIXEL_NV12;
    nv12.chroma = chroma;
    nv12.chroma_stride = WIDTH;
    nv12.yuv_full_range = 1;
    EXPECT(VITRUM_OK, vitrum_tracker_push_frame(tracker, &grey, NULL, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_push_frame(other, &nv12, NULL, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_add_points(tracker, 0, APPLE, &click, NULL, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_add_points(other, 0, APPLE, &click, NULL, NULL, NULL, &error));
    check_equal(tracker, other, APPLE);
    vitrum_tracker_free(tracker);
    vitrum_tracker_free(other);
}

int main(int argc, char **argv) {
    vitrum_context *context;
    vitrum_sam *sam;
    vitrum_tracker *tracker;
    if (argc != 2) {
        fprintf(stderr, "usage: tracker_use MODEL\n");
        return 2;
    }
    CHECK(vitrum_error_init(&error, sizeof error) == VITRUM_OK);
    context = new_context();
    sam = load_sam(context, argv[1]);
    if (sam) {
        check_stream(sam);
        check_propagation(sam);
        check_saving(sam);
        check_cancelling(sam);
        check_prompts(sam);
        check_nv12(sam);
        /* The handles of the model and the context may go first. */
        tracker = new_tracker(sam, 1);
        vitrum_sam_free(sam);
        vitrum_context_free(context);
        push(tracker, APPLE);
        EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, NULL, NULL, &error));
        vitrum_tracker_free(tracker);
    }
    printf("tracker_use: %s\n", failures ? "failed" : "ok");
    return failures != 0;
}
