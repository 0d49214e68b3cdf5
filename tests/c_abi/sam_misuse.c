/*
 * Calls every function of SAM in every wrong way that can be detected, and checks the status, the message, that
 * results are untouched and that the handles still work: sam_misuse SAM CLIP
 */
#include <math.h>

#include "check.h"

enum { PIXELS = SIDE * SIDE };

static void misuse_structs(void) {
    static const size_t wrong[] = {0, 4, sizeof(vitrum_sam_prompt) - 1, (size_t)-1};
    vitrum_sam_options options;
    vitrum_sam_prompt prompt;
    vitrum_sam_mask_stats stats;
    vitrum_sam_predict_options predict_options;
    size_t i;
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(vitrum_sam_options_init(&options, wrong[i]) == VITRUM_E_STRUCT_SIZE);
        CHECK(vitrum_sam_prompt_init(&prompt, wrong[i]) == VITRUM_E_STRUCT_SIZE);
        CHECK(vitrum_sam_predict_options_init(&predict_options, wrong[i]) == VITRUM_E_STRUCT_SIZE);
        CHECK(vitrum_sam_mask_stats_init(&stats, wrong[i]) == VITRUM_E_STRUCT_SIZE);
    }
    CHECK(vitrum_sam_options_init(NULL, sizeof options) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_sam_prompt_init(NULL, sizeof prompt) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_sam_predict_options_init(NULL, sizeof predict_options) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_sam_mask_stats_init(NULL, sizeof stats) == VITRUM_E_NULL_POINTER);
}

static void misuse_null(void) {
    vitrum_sam_free(NULL);
    vitrum_sam_embedding_free(NULL);
    vitrum_sam_prediction_free(NULL);
    CHECK(vitrum_sam_image_size(NULL) == 0 && vitrum_sam_mask_side(NULL) == 0);
    CHECK(vitrum_sam_memory_bytes(NULL) == 0 && vitrum_sam_embedding_memory_bytes(NULL) == 0);
    CHECK(vitrum_sam_embedding_width(NULL) == 0 && vitrum_sam_embedding_height(NULL) == 0);
    CHECK(vitrum_sam_prediction_prompts(NULL) == 0 && vitrum_sam_prediction_masks(NULL) == 0);
}

static void misuse_loading(const vitrum_context *context, const char *model) {
    vitrum_sam *sam = NULL;
    vitrum_clip *clip = NULL;
    vitrum_sam_options options;
    vitrum_file files[3];
    vitrum_sam_options_init(&options, sizeof options);

    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_load(NULL, model, NULL, &sam, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_load(context, NULL, NULL, &sam, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_load(context, model, NULL, NULL, &error));
    EXPECT(VITRUM_E_NOT_FOUND, vitrum_sam_load(context, "no/such/model", NULL, &sam, &error));
    EXPECT(VITRUM_E_UTF8, vitrum_sam_load(context, "mod\xff" "el", NULL, &sam, &error));
    options.mmap = 3;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_load(context, model, &options, &sam, &error));
    options.mmap = 0;
    options.lenient = 2;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_load(context, model, &options, &sam, &error));
    options.lenient = 0;
    options.image_size = 33;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_load(context, model, &options, &sam, &error));
    options.image_size = 0x80000000;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_load(context, model, &options, &sam, &error));
    options.struct_size = 4;
    EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_sam_load(context, model, &options, &sam, &error));
    /* A model of another kind. */
    CHECK(vitrum_clip_load(context, model, NULL, &clip, NULL) != VITRUM_OK && clip == NULL);

    files[0] = read_file(model, "model.safetensors");
    files[1].name = "config.json";
    files[1].data = (const uint8_t *)"{";
    files[1].size = 1;
    files[2] = files[0];
    files[2].name = "passwd";
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_load_memory(NULL, files, 2, NULL, &sam, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_load_memory(context, NULL, 2, NULL, &sam, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_load_memory(context, files, 2, NULL, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_load_memory(context, files, 0, NULL, &sam, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_load_memory(context, files + 1, 1, NULL, &sam, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_load_memory(context, files, 3, NULL, &sam, &error));
    vitrum_sam_options_init(&options, sizeof options);
    options.mmap = 1;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_load_memory(context, files, 1, &options, &sam, &error));
    files[0].size -= 1;
    EXPECT(VITRUM_E_FORMAT, vitrum_sam_load_memory(context, files, 1, NULL, &sam, &error));
    CHECK(sam == NULL);
    free((void *)files[0].data);
}

/* Stops at the third step. */
static int32_t stop_soon(void *user, float fraction) {
    CHECK(fraction >= 0 && fraction <= 1);
    return ++*(int *)user >= 3;
}

static void misuse_encoding(const vitrum_sam *sam) {
    const vitrum_image good = new_image(VITRUM_PIXEL_RGB8);
    vitrum_sam_embedding *embedding = NULL;
    vitrum_image image;
    size_t i;
    int steps = 0;
    struct {
        uint32_t width, height;
        size_t row_stride;
        vitrum_pixel_format format;
        vitrum_status status;
    } bad[] = {
        {0, SIDE, SIDE * 3, VITRUM_PIXEL_RGB8, VITRUM_E_IMAGE},
        {SIDE, 0, SIDE * 3, VITRUM_PIXEL_RGB8, VITRUM_E_IMAGE},
        {SIDE, SIDE, SIDE * 3 - 1, VITRUM_PIXEL_RGB8, VITRUM_E_IMAGE},
        {65536, 65536, 65536 * 4, VITRUM_PIXEL_RGBA8, VITRUM_E_IMAGE},
        {SIDE * SIDE, 1, SIDE * SIDE, VITRUM_PIXEL_GRAY8, VITRUM_E_IMAGE}, /* nothing of its height is left */
        {SIDE, SIDE, SIDE * 3, 7, VITRUM_E_INVALID_ARGUMENT},
    };
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        image = good;
        image.width = bad[i].width;
        image.height = bad[i].height;
        image.row_stride = bad[i].row_stride;
        image.format = bad[i].format;
        EXPECT(bad[i].status, vitrum_sam_encode(sam, &image, NULL, NULL, &embedding, &error));
    }
    image = good;
    image.data = NULL;
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_encode(sam, &image, NULL, NULL, &embedding, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_encode(sam, NULL, NULL, NULL, &embedding, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_encode(NULL, &good, NULL, NULL, &embedding, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_encode(sam, &good, NULL, NULL, NULL, &error));
    EXPECT(VITRUM_E_CANCELLED, vitrum_sam_encode(sam, &good, stop_soon, &steps, &embedding, &error));
    CHECK(steps == 3 && embedding == NULL);
}

/* Prompts that are refused, each beside a good one; and those that look odd but mean something. */
static void misuse_prompts(const vitrum_sam *sam, const vitrum_sam_embedding *embedding,
                           vitrum_sam_prediction *prediction) {
    const size_t side = vitrum_sam_mask_side(sam);
    const float nan = NAN, infinity = INFINITY;
    float *mask = calloc(side * side + 1, sizeof *mask);
    vitrum_point point = {10, 10, VITRUM_LABEL_FOREGROUND};
    vitrum_sam_prompt prompts[2], *prompt = &prompts[1];
    vitrum_sam_predict_options options;
    size_t i;
    const vitrum_point bad_points[] = {{nan, 1, 1}, {1, nan, 0}, {1e30f, 1, 1}, {1, -1e30f, 1}, {infinity, 1, 1},
                                       {1, 1, 7},   {1, 1, -2},  {1, 1, 2}};
    const vitrum_point odd_points[] = {{-50, 1000, 1}, {SIDE, SIDE, 0}, {nan, nan, VITRUM_LABEL_PADDING}};
    const float bad_boxes[][4] = {{20, 5, 10, 15}, {5, 20, 15, 10}, {nan, 0, 1, 1}, {0, 0, 1, 1e30f}};
    const float odd_boxes[][4] = {{10, 10, 10, 10}, {-100, -100, 5000, 5000}};

    vitrum_sam_prompt_init(&prompts[0], sizeof *prompts);
    prompts[0].points = &point;
    prompts[0].point_count = 1;
#define PREDICT(status) EXPECT(status, vitrum_sam_predict(sam, embedding, prompts, 2, NULL, prediction, &error))
#define RESET() vitrum_sam_prompt_init(prompt, sizeof *prompt)
    RESET();
    for (i = 0; i < sizeof bad_points / sizeof *bad_points; i++) {
        prompt->points = &bad_points[i];
        prompt->point_count = 1;
        PREDICT(VITRUM_E_INVALID_ARGUMENT);
        CHECK(strstr(error.message, i < 5 ? "point" : "label") != NULL);
    }
    for (i = 0; i < sizeof odd_points / sizeof *odd_points; i++) {
        prompt->points = &odd_points[i];
        PREDICT(VITRUM_OK);
    }
    prompt->points = NULL;
    PREDICT(VITRUM_E_NULL_POINTER);
    prompt->points = odd_points;
    prompt->point_count = (size_t)-1;
    PREDICT(VITRUM_E_LIMIT);
    /* Refused by the number alone: so many points are not there. */
    prompt->point_count = 16385;
    PREDICT(VITRUM_E_LIMIT);

    RESET();
    prompt->has_box = 1;
    for (i = 0; i < sizeof bad_boxes / sizeof *bad_boxes; i++) {
        memcpy(prompt->bounding_box, bad_boxes[i], sizeof *bad_boxes);
        PREDICT(VITRUM_E_INVALID_ARGUMENT);
    }
    for (i = 0; i < sizeof odd_boxes / sizeof *odd_boxes; i++) {
        memcpy(prompt->bounding_box, odd_boxes[i], sizeof *odd_boxes);
        PREDICT(VITRUM_OK);
    }
    prompt->has_box = 2;
    PREDICT(VITRUM_E_INVALID_ARGUMENT);

    RESET();
    prompt->mask = mask;
    prompt->mask_size = side * side - 1;
    PREDICT(VITRUM_E_INVALID_ARGUMENT);
    prompt->mask_size = side * side + 1;
    PREDICT(VITRUM_E_INVALID_ARGUMENT);
    prompt->mask_size = side * side;
    PREDICT(VITRUM_OK);
    mask[3] = nan;
    PREDICT(VITRUM_E_INVALID_ARGUMENT);
    prompt->mask = NULL;
    PREDICT(VITRUM_E_NULL_POINTER);

    /* An empty prompt is a prompt. */
    RESET();
    PREDICT(VITRUM_OK);
    prompt->struct_size -= 8;
    PREDICT(VITRUM_E_STRUCT_SIZE);
    CHECK(strstr(error.message, "prompts[1]") != NULL);
#undef PREDICT
#undef RESET
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_predict(sam, embedding, prompts, 0, NULL, prediction, &error));
    EXPECT(VITRUM_E_LIMIT, vitrum_sam_predict(sam, embedding, prompts, (size_t)-1, NULL, prediction, &error));
    vitrum_sam_predict_options_init(&options, sizeof options);
    options.multimask = 2;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_predict(sam, embedding, prompts, 1, &options, prediction, &error));
    CHECK(strstr(error.message, "multimask") != NULL);
    options.struct_size = 4;
    EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_sam_predict(sam, embedding, prompts, 1, &options, prediction, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_predict(NULL, embedding, prompts, 1, NULL, prediction, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_predict(sam, NULL, prompts, 1, NULL, prediction, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_predict(sam, embedding, NULL, 1, NULL, prediction, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_predict(sam, embedding, prompts, 1, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_sam_predict(sam, embedding, prompts, 1, NULL, prediction, &error));
    free(mask);
}

static void misuse_polygons(const vitrum_sam_prediction *prediction) {
    static const uint32_t runs[3] = {1, 2, 3}, huge[2] = {0, 0xffffffff};
    uint32_t corners[8] = {42};
    vitrum_polygon polygons[1] = {{42, 0, 0, 0}};
    size_t numbers = 0, found = 0;
#define POLYGONS(status, prompt, tolerance, room, places)                                                     \
    EXPECT(status, vitrum_sam_prediction_polygons(prediction, prompt, 0, 0, tolerance, corners, room, &numbers, \
                                                  polygons, places, &found, &error))
    POLYGONS(VITRUM_E_INVALID_ARGUMENT, 1, 0, 8, 1);
    POLYGONS(VITRUM_E_INVALID_ARGUMENT, 0, -1, 8, 1);
    POLYGONS(VITRUM_E_INVALID_ARGUMENT, 0, NAN, 8, 1);
    POLYGONS(VITRUM_E_INVALID_ARGUMENT, 0, INFINITY, 8, 1);
    CHECK(numbers == 0 && found == 0);
#undef POLYGONS
#define RUNS(status, runs, count, width, height, room, places)                                                \
    EXPECT(status, vitrum_rle_polygons(runs, count, width, height, 0, corners, room, &numbers, polygons, places, \
                                       &found, &error))
    RUNS(VITRUM_E_BUFFER_TOO_SMALL, runs, 3, 2, 3, 7, 1);
    CHECK(numbers == 8 && found == 1);
    RUNS(VITRUM_E_BUFFER_TOO_SMALL, runs, 3, 2, 3, 8, 0);
    RUNS(VITRUM_E_FORMAT, runs, 3, 2, 4, 8, 1);
    RUNS(VITRUM_E_FORMAT, runs, 2, 2, 3, 8, 1);
    RUNS(VITRUM_E_IMAGE, runs, 3, 0, 3, 8, 1);
    RUNS(VITRUM_E_IMAGE, huge, 2, 65535, 65537, 8, 1);
    RUNS(VITRUM_E_INVALID_ARGUMENT, runs, 0, 2, 3, 8, 1);
    RUNS(VITRUM_E_NULL_POINTER, NULL, 3, 2, 3, 8, 1);
    RUNS(VITRUM_E_LIMIT, runs, (size_t)-1, 2, 3, 8, 1);
    EXPECT(VITRUM_E_NULL_POINTER,
           vitrum_rle_polygons(runs, 3, 2, 3, 0, NULL, 8, &numbers, polygons, 1, &found, &error));
    EXPECT(VITRUM_E_NULL_POINTER,
           vitrum_rle_polygons(runs, 3, 2, 3, 0, corners, 8, &numbers, NULL, 0, NULL, &error));
    CHECK(corners[0] == 42 && polygons[0].first == 42);
    RUNS(VITRUM_OK, runs, 3, 2, 3, 8, 1);
    CHECK(corners[0] == 0 && corners[1] == 1 && polygons[0].first == 0 && polygons[0].count == 4);
#undef RUNS
}

/* `prediction` holds three masks of one prompt. */
static void misuse_results(const vitrum_sam *sam, const vitrum_sam_prediction *prediction) {
    const size_t side = vitrum_sam_mask_side(sam);
    vitrum_sam_prediction *empty = NULL;
    vitrum_sam_mask_stats stats = {0, 0, {0, 0, 0, 0}, 0, 0};
    uint32_t count = 42;
    uint8_t mask[PIXELS] = {42};
    float *out = calloc(side * side + PIXELS, sizeof *out);
    size_t needed = 0;
    out[0] = 42;

    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_prediction_new(NULL, &empty, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_prediction_new(sam, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_sam_prediction_new(sam, &empty, &error));
    CHECK(vitrum_sam_prediction_prompts(empty) == 0 && vitrum_sam_prediction_masks(empty) == 0);
    EXPECT(VITRUM_OK, vitrum_sam_prediction_scores(empty, NULL, 0, &needed, &error));
    CHECK(needed == 0);
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_prediction_mask(empty, 0, 0, 0, mask, PIXELS, &needed, &error));
    vitrum_sam_prediction_free(empty);

    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_prediction_scores(NULL, out, 3, &needed, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_prediction_scores(prediction, NULL, 3, &needed, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL, vitrum_sam_prediction_scores(prediction, out, 2, &needed, &error));
    CHECK(needed == 3);
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_prediction_mask(NULL, 0, 0, 0, mask, PIXELS, &needed, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_sam_prediction_mask(prediction, 1, 0, 0, mask, PIXELS, &needed, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_sam_prediction_mask(prediction, 0, 3, 0, mask, PIXELS, &needed, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_sam_prediction_mask(prediction, (size_t)-1, (size_t)-1, 0, mask, PIXELS, &needed, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL,
           vitrum_sam_prediction_mask(prediction, 0, 0, 0, mask, PIXELS - 1, &needed, &error));
    CHECK(needed == PIXELS);
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_sam_prediction_mask(prediction, 0, 0, NAN, mask, PIXELS, &needed, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_sam_prediction_rle(prediction, 0, 3, 0, &count, 1, &needed, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL,
           vitrum_sam_prediction_rle(prediction, 0, 0, 0, &count, 0, &needed, &error));
    CHECK(needed > 0 && count == 42);
    misuse_polygons(prediction);
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_prediction_stats(prediction, 0, 0, 0, NULL, &error));
    EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_sam_prediction_stats(prediction, 0, 0, 0, &stats, &error));
    vitrum_sam_mask_stats_init(&stats, sizeof stats);
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_prediction_stats(NULL, 0, 0, 0, &stats, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_prediction_stats(prediction, 1, 0, 0, &stats, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_prediction_stats(prediction, 0, 0, NAN, &stats, &error));
    CHECK(stats.area == 0 && stats.score == 0);
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_prediction_stability(prediction, 0, 0, 0, 1, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_prediction_stability(NULL, 0, 0, 0, 1, out, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_prediction_stability(prediction, 1, 0, 0, 1, out, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_prediction_stability(prediction, 0, 0, 0, NAN, out, &error));
    CHECK(out[0] == 42);
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_sam_prediction_logits(prediction, 0, 3, out, PIXELS, &needed, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL,
           vitrum_sam_prediction_logits(prediction, 0, 0, out, PIXELS - 1, &needed, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_sam_prediction_logits(prediction, 0, 0, (float *)(void *)((char *)out + 1), PIXELS, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_sam_prediction_low_res(prediction, 0, 3, out, side * side, &needed, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL,
           vitrum_sam_prediction_low_res(prediction, 0, 0, out, side * side - 1, &needed, &error));
    CHECK(needed == side * side);
    CHECK(out[0] == 42 && mask[0] == 42);
    free(out);
}

static int32_t count_records(void *user, const vitrum_sam_record *record) {
    CHECK(record->area <= PIXELS);
    ++*(int *)user;
    return 0;
}

static void misuse_everything(const vitrum_sam *sam) {
    const vitrum_image image = new_image(VITRUM_PIXEL_GRAY8);
    /* A point outside the picture. */
    const double outside[] = {0.5, 1.5};
    const vitrum_point_grid grid = {outside, 1};
    vitrum_sam_everything_options options;
    vitrum_sam_embedding *embedding = NULL;
    int calls = 0;
#define EVERYTHING(status, callback)                                                                          \
    EXPECT(status, vitrum_sam_everything(sam, &image, &options, callback, NULL, &calls, &embedding, &error));  \
    CHECK(vitrum_sam_everything_options_init(&options, sizeof options) == VITRUM_OK)
    CHECK(vitrum_sam_everything_options_init(&options, sizeof options) == VITRUM_OK);
    options.points_per_side = 0;
    EVERYTHING(VITRUM_E_INVALID_ARGUMENT, count_records);
    options.points_per_side = 0xffffffff;
    EVERYTHING(VITRUM_E_LIMIT, count_records);
    options.points_per_batch = 0;
    EVERYTHING(VITRUM_E_INVALID_ARGUMENT, count_records);
    CHECK(vitrum_sam_everything_defaults(NULL, &options, sizeof options) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_sam_everything_defaults(sam, NULL, sizeof options) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_sam_everything_defaults(sam, &options, 7) == VITRUM_E_STRUCT_SIZE);
    options.crop_n_layers = 40;
    EVERYTHING(VITRUM_E_LIMIT, count_records);
    options.crop_n_points_downscale_factor = 0;
    EVERYTHING(VITRUM_E_INVALID_ARGUMENT, count_records);
    options.pred_iou_thresh = NAN;
    EVERYTHING(VITRUM_E_INVALID_ARGUMENT, count_records);
    options.crop_overlap_ratio = -1;
    EVERYTHING(VITRUM_E_INVALID_ARGUMENT, count_records);
    options.use_m2m = 2;
    EVERYTHING(VITRUM_E_INVALID_ARGUMENT, count_records);
    options.single_mask = 2;
    EVERYTHING(VITRUM_E_INVALID_ARGUMENT, count_records);
    options.point_grid_count = 1;
    EVERYTHING(VITRUM_E_NULL_POINTER, count_records);
    options.point_grids = &grid;
    options.point_grid_count = 1;
    EVERYTHING(VITRUM_E_INVALID_ARGUMENT, count_records);
    options.point_grids = &grid;
    options.point_grid_count = (size_t)-1;
    EVERYTHING(VITRUM_E_LIMIT, count_records);
    options.struct_size -= 4;
    EVERYTHING(VITRUM_E_STRUCT_SIZE, count_records);
    EVERYTHING(VITRUM_E_NULL_POINTER, NULL);
#undef EVERYTHING
    EXPECT(VITRUM_E_NULL_POINTER,
           vitrum_sam_everything(NULL, &image, NULL, count_records, NULL, &calls, &embedding, &error));
    EXPECT(VITRUM_E_NULL_POINTER,
           vitrum_sam_everything(sam, NULL, NULL, count_records, NULL, &calls, &embedding, &error));
    CHECK(vitrum_sam_everything_options_init(NULL, sizeof options) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_sam_everything_options_init(&options, 8) == VITRUM_E_STRUCT_SIZE);
    /* In the middle, by the other callback. */
    EXPECT(VITRUM_E_CANCELLED,
           vitrum_sam_everything(sam, &image, NULL, count_records, stop_soon, &calls, &embedding, &error));
    CHECK(embedding == NULL);
}

static int32_t refuse_match(void *user, size_t text, float probability, const vitrum_sam_record *record) {
    CHECK(text == 0 && probability >= 0 && record->area > 0);
    ++*(int *)user;
    return -1;
}

static void misuse_words(const vitrum_sam *sam, const vitrum_clip *clip) {
    static const char *const texts[] = {"a cat", " ", "d\xffg", NULL};
    const vitrum_image image = new_image(VITRUM_PIXEL_GRAY8);
    vitrum_sam_everything_options candidates;
    vitrum_sam_text_prompt prompt;
    vitrum_sam_embedding *embedding = NULL;
    int calls = 0;
#define RESET()                                                                                               \
    CHECK(vitrum_sam_text_prompt_init(&prompt, sizeof prompt) == VITRUM_OK);                                   \
    prompt.texts = texts;                                                                                      \
    prompt.text_count = 1
#define GROUND(status)                                                                                         \
    EXPECT(status,                                                                                             \
           vitrum_sam_ground(sam, clip, &image, &prompt, refuse_match, NULL, &calls, &embedding, &error));     \
    RESET()
    CHECK(vitrum_sam_text_prompt_init(NULL, sizeof prompt) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_sam_text_prompt_init(&prompt, sizeof prompt - 1) == VITRUM_E_STRUCT_SIZE);
    RESET();
    prompt.text_count = 0;
    GROUND(VITRUM_E_INVALID_ARGUMENT);
    prompt.text_count = 2;
    GROUND(VITRUM_E_INVALID_ARGUMENT);
    prompt.text_count = 3;
    GROUND(VITRUM_E_UTF8);
    prompt.texts = NULL;
    GROUND(VITRUM_E_NULL_POINTER);
    prompt.others = texts + 3;
    prompt.other_count = 1;
    GROUND(VITRUM_E_NULL_POINTER);
    prompt.text_template = "a photo";
    GROUND(VITRUM_E_INVALID_ARGUMENT);
    prompt.top = 0;
    GROUND(VITRUM_E_INVALID_ARGUMENT);
    prompt.min_probability = NAN;
    GROUND(VITRUM_E_INVALID_ARGUMENT);
    prompt.struct_size = 8;
    GROUND(VITRUM_E_STRUCT_SIZE);
    CHECK(vitrum_sam_everything_options_init(&candidates, sizeof candidates) == VITRUM_OK);
    candidates.struct_size = 8;
    prompt.candidates = &candidates;
    GROUND(VITRUM_E_STRUCT_SIZE);
    EXPECT(VITRUM_E_NULL_POINTER,
           vitrum_sam_ground(NULL, clip, &image, &prompt, refuse_match, NULL, &calls, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER,
           vitrum_sam_ground(sam, NULL, &image, &prompt, refuse_match, NULL, &calls, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER,
           vitrum_sam_ground(sam, clip, NULL, &prompt, refuse_match, NULL, &calls, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER,
           vitrum_sam_ground(sam, clip, &image, NULL, refuse_match, NULL, &calls, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER,
           vitrum_sam_ground(sam, clip, &image, &prompt, NULL, NULL, &calls, NULL, &error));
    EXPECT(VITRUM_E_CANCELLED,
           vitrum_sam_ground(sam, clip, &image, &prompt, refuse_match, stop_soon, &calls, NULL, &error));
    CHECK(calls == 3);
    CHECK(vitrum_sam_everything_options_init(&candidates, sizeof candidates) == VITRUM_OK);
    candidates.points_per_side = 2;
    candidates.pred_iou_thresh = 0;
    candidates.stability_score_thresh = 0;
    prompt.candidates = &candidates;
    GROUND(VITRUM_E_CANCELLED);
    CHECK(calls == 4 && embedding == NULL);
#undef GROUND
#undef RESET
}

/* Saved embeddings that are cut off, damaged, or another model's. */
static void misuse_embeddings(const vitrum_sam *sam, const vitrum_sam *other,
                              const vitrum_sam_embedding *embedding, vitrum_sam_prediction *prediction) {
    vitrum_sam_embedding *restored = NULL;
    vitrum_image image = new_image(VITRUM_PIXEL_BGRA8);
    vitrum_picture_match match = 42;
    vitrum_sam_prompt prompt;
    size_t size = 0, i;
    uint8_t *bytes;
    float value = 42;

    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_embedding_is_of(NULL, &image, &match, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_embedding_is_of(embedding, NULL, &match, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_embedding_is_of(embedding, &image, NULL, &error));
    image.format = 99;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_embedding_is_of(embedding, &image, &match, &error));
    image.struct_size = 3;
    EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_sam_embedding_is_of(embedding, &image, &match, &error));
    CHECK(match == 42);
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_embedding_save(NULL, NULL, 0, &size, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_embedding_save(embedding, NULL, 0, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_embedding_values(NULL, &value, 1, NULL, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL, vitrum_sam_embedding_values(embedding, &value, 1, &size, &error));
    CHECK(value == 42 && size > 1);
    EXPECT(VITRUM_OK, vitrum_sam_embedding_save(embedding, NULL, 0, &size, &error));
    bytes = malloc(size);
    bytes[0] = 42;
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL, vitrum_sam_embedding_save(embedding, bytes, size - 1, NULL, &error));
    CHECK(bytes[0] == 42);
    EXPECT(VITRUM_OK, vitrum_sam_embedding_save(embedding, bytes, size, NULL, &error));

#define LOAD(status, bytes, size) EXPECT(status, vitrum_sam_embedding_load(sam, bytes, size, &restored, &error))
    for (i = 1; i < size; i += i < 100 ? 1 : size / 7) {
        LOAD(VITRUM_E_FORMAT, bytes, i);
    }
    LOAD(VITRUM_E_INVALID_ARGUMENT, bytes, 0);
    LOAD(VITRUM_E_NULL_POINTER, NULL, size);
    for (i = 0; i < size; i += i < 100 ? 1 : size / 7) {
        bytes[i] ^= 0x10;
        CHECK(vitrum_sam_embedding_load(sam, bytes, size, &restored, NULL) != VITRUM_OK);
        bytes[i] ^= 0x10;
    }
#undef LOAD
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_embedding_load(NULL, bytes, size, &restored, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_embedding_load(sam, bytes, size, NULL, &error));
    /* The same weights with another input size. */
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_embedding_load(other, bytes, size, &restored, &error));
    vitrum_sam_prompt_init(&prompt, sizeof prompt);
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_predict(other, embedding, &prompt, 1, NULL, prediction, &error));
    CHECK(restored == NULL);
    free(bytes);
}

int main(int argc, char **argv) {
    vitrum_context *context;
    vitrum_sam *sam = NULL, *other = NULL;
    vitrum_clip *clip = NULL;
    vitrum_sam_embedding *embedding = NULL;
    vitrum_sam_prediction *prediction = NULL;
    vitrum_sam_options options;
    vitrum_image image;
    size_t needed = 0;
    if (argc != 3) {
        fprintf(stderr, "usage: sam_misuse SAM CLIP\n");
        return 2;
    }
    CHECK(vitrum_error_init(&error, sizeof error) == VITRUM_OK);
    misuse_structs();
    misuse_null();
    context = new_context();
    misuse_loading(context, argv[1]);
    EXPECT(VITRUM_OK, vitrum_sam_load(context, argv[1], NULL, &sam, &error));
    EXPECT(VITRUM_OK, vitrum_clip_load(context, argv[2], NULL, &clip, &error));
    if (sam && clip) {
        vitrum_sam_options_init(&options, sizeof options);
        options.image_size = (uint32_t)vitrum_sam_image_size(sam) / 2;
        EXPECT(VITRUM_OK, vitrum_sam_load(context, argv[1], &options, &other, &error));
        EXPECT(VITRUM_E_NULL_POINTER, vitrum_sam_warnings(NULL, NULL, 0, &needed, &error));
        EXPECT(VITRUM_OK, vitrum_sam_warnings(sam, NULL, 0, &needed, &error));
        CHECK(needed == 1);
        misuse_encoding(sam);
        /* After all that, the handles work. */
        image = new_image(VITRUM_PIXEL_BGRA8);
        EXPECT(VITRUM_OK, vitrum_sam_encode(sam, &image, NULL, NULL, &embedding, &error));
        EXPECT(VITRUM_OK, vitrum_sam_prediction_new(sam, &prediction, &error));
        misuse_prompts(sam, embedding, prediction);
        misuse_results(sam, prediction);
        misuse_everything(sam);
        misuse_words(sam, clip);
        misuse_embeddings(sam, other, embedding, prediction);
    }
    vitrum_sam_prediction_free(prediction);
    vitrum_sam_embedding_free(embedding);
    vitrum_clip_free(clip);
    vitrum_sam_free(other);
    vitrum_sam_free(sam);
    vitrum_context_free(context);
    printf("sam_misuse: %s\n", failures ? "failed" : "ok");
    return failures != 0;
}
