/* What the programs of the tracker share: a small input, frames, a click. */
#ifndef TRACKER_H
#define TRACKER_H

#include "check.h"

/* Frames are windows of `pixels` that move to the right. */
enum { WIDTH = 32, HEIGHT = 28, APPLE = 7, PEAR = 3 };

/* From memory, as an application that carries its model along does it. */
static inline vitrum_sam *load_sam(const vitrum_context *context, const char *model) {
    static const char *const names[] = {"model.safetensors", "config.json", "preprocessor_config.json"};
    vitrum_sam_options options;
    vitrum_sam *sam = NULL;
    vitrum_file files[3];
    int i;
    vitrum_sam_options_init(&options, sizeof options);
    options.image_size = 64;
    for (i = 0; i < 3; i++) {
        files[i] = read_file(model, names[i]);
    }
    EXPECT(VITRUM_OK, vitrum_sam_load_memory(context, files, 3, &options, &sam, &error));
    for (i = 0; i < 3; i++) {
        free((void *)files[i].data);
    }
    return sam;
}

static vitrum_image new_frame(int64_t number) {
    vitrum_image frame = new_image(VITRUM_PIXEL_RGBA8);
    frame.data += 4 * (number % (SIDE - WIDTH));
    frame.width = WIDTH;
    frame.height = HEIGHT;
    return frame;
}

static const vitrum_point CENTRE = {12, 14, VITRUM_LABEL_FOREGROUND};

static vitrum_sam_prompt new_click(void) {
    vitrum_sam_prompt prompt;
    CHECK(vitrum_sam_prompt_init(&prompt, sizeof prompt) == VITRUM_OK);
    prompt.points = &CENTRE;
    prompt.point_count = 1;
    return prompt;
}

static vitrum_tracker *new_tracker(const vitrum_sam *sam, uint32_t held_frames) {
    vitrum_tracker *tracker = NULL;
    vitrum_tracker_options options;
    CHECK(vitrum_tracker_options_init(&options, sizeof options) == VITRUM_OK);
    options.held_frames = held_frames;
    EXPECT(VITRUM_OK, vitrum_tracker_new(sam, WIDTH, HEIGHT, &options, &tracker, &error));
    return tracker;
}

/* Options that say through which frames to go; valid until the next call. */
static inline const vitrum_tracker_propagate_options *through(int64_t start, vitrum_direction direction, int64_t max_frames) {
    static vitrum_tracker_propagate_options options;
    CHECK(vitrum_tracker_propagate_options_init(&options, sizeof options) == VITRUM_OK);
    CHECK(options.start == -1 && options.direction == VITRUM_DIRECTION_FORWARD && options.max_frames == -1);
    options.start = start;
    options.direction = direction;
    options.max_frames = max_frames;
    return &options;
}

/* The next frame, with a click on object `object` if it is not 0. */
static void push(vitrum_tracker *tracker, uint32_t object) {
    const vitrum_image frame = new_frame(vitrum_tracker_frame(tracker) + 1);
    const vitrum_sam_prompt click = new_click();
    EXPECT(VITRUM_OK, vitrum_tracker_push_frame(tracker, &frame, NULL, NULL, NULL, &error));
    if (object) {
        EXPECT(VITRUM_OK, vitrum_tracker_add_points(tracker, VITRUM_FRAME_CURRENT, object, &click, NULL, NULL, NULL,
                                                    &error));
    }
}

#endif
