/*
 * Uses every function of SAM as it is meant to be, and checks that the ways that must agree do:
 * sam_use SAM CLIP
 */
#include <math.h>
#include <pthread.h>

#include "check.h"

enum { PIXELS = SIDE * (SIDE - 7), MASKS = 3, PROMPTS = 4, THREADS = 3 };

static const vitrum_point CLICKS[] = {{12, 9.5f, VITRUM_LABEL_FOREGROUND}, {30, 2, VITRUM_LABEL_BACKGROUND}};

/* 40 x 33, so that the input is padded. */
static vitrum_image new_scene(void) {
    vitrum_image image = new_image(VITRUM_PIXEL_RGBA8);
    image.height = SIDE - 7;
    return image;
}

/* A click, two clicks, a box, a click in a box. */
static void new_prompts(vitrum_sam_prompt *prompts) {
    static const float box[4] = {3, 4, 25.5f, 30};
    size_t i;
    for (i = 0; i < PROMPTS; i++) {
        CHECK(vitrum_sam_prompt_init(&prompts[i], sizeof *prompts) == VITRUM_OK);
        if (i != 2) {
            prompts[i].points = CLICKS;
            prompts[i].point_count = i == 1 ? 2 : 1;
        }
        if (i >= 2) {
            prompts[i].has_box = 1;
            memcpy(prompts[i].bounding_box, box, sizeof box);
        }
    }
}

static vitrum_sam_embedding *encode(const vitrum_sam *sam) {
    vitrum_sam_embedding *embedding = NULL;
    const vitrum_image image = new_scene();
    EXPECT(VITRUM_OK, vitrum_sam_encode(sam, &image, NULL, NULL, &embedding, &error));
    return embedding;
}

static vitrum_sam_prediction *predict(const vitrum_sam *sam, const vitrum_sam_embedding *embedding,
                                      const vitrum_sam_prompt *prompts, size_t count, uint32_t multimask) {
    vitrum_sam_prediction *prediction = NULL;
    vitrum_sam_predict_options options;
    EXPECT(VITRUM_OK, vitrum_sam_prediction_new(sam, &prediction, &error));
    CHECK(vitrum_sam_predict_options_init(&options, sizeof options) == VITRUM_OK && options.multimask == 1);
    options.multimask = multimask;
    EXPECT(VITRUM_OK, vitrum_sam_predict(sam, embedding, prompts, count, &options, prediction, &error));
    CHECK(vitrum_sam_prediction_prompts(prediction) == count);
    CHECK(vitrum_sam_prediction_masks(prediction) == (multimask ? MASKS : 1));
    return prediction;
}

/* Values of an embedding, the caller's to free. */
static float *values_of(const vitrum_sam_embedding *embedding, size_t *count) {
    float *values;
    EXPECT(VITRUM_OK, vitrum_sam_embedding_values(embedding, NULL, 0, count, &error));
    values = calloc(*count, sizeof *values);
    EXPECT(VITRUM_OK, vitrum_sam_embedding_values(embedding, values, *count, NULL, &error));
    return values;
}

/* Saved, restored: the same values, and the same bytes again. */
static void check_saving(const vitrum_sam *sam, const vitrum_sam_embedding *embedding) {
    vitrum_sam_embedding *restored = NULL;
    vitrum_image scene = new_scene();
    vitrum_picture_match match = VITRUM_PICTURE_UNKNOWN;
    size_t size = 0, count = 0, same = 0;
    float *values = values_of(embedding, &count), *again;
    uint8_t *bytes, *twice;

    EXPECT(VITRUM_OK, vitrum_sam_embedding_save(embedding, NULL, 0, &size, &error));
    CHECK(size > count * sizeof *values && vitrum_sam_embedding_memory_bytes(embedding) > count * sizeof *values);
    bytes = malloc(size);
    twice = malloc(size);
    EXPECT(VITRUM_OK, vitrum_sam_embedding_save(embedding, bytes, size, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_sam_embedding_load(sam, bytes, size, &restored, &error));
    CHECK(vitrum_sam_embedding_width(restored) == SIDE && vitrum_sam_embedding_height(restored) == SIDE - 7);
    again = values_of(restored, &same);
    CHECK(same == count && memcmp(values, again, count * sizeof *values) == 0);
    EXPECT(VITRUM_OK, vitrum_sam_embedding_save(restored, twice, size, &same, &error));
    CHECK(same == size && memcmp(bytes, twice, size) == 0);
    EXPECT(VITRUM_OK, vitrum_sam_embedding_is_of(restored, &scene, &match, &error));
    CHECK(match == VITRUM_PICTURE_SAME);
    scene.height--;
    EXPECT(VITRUM_OK, vitrum_sam_embedding_is_of(restored, &scene, &match, &error));
    CHECK(match == VITRUM_PICTURE_OTHER);
    vitrum_sam_embedding_free(restored);
    free(values);
    free(again);
    free(bytes);
    free(twice);
}

/* Twice the area that outlines enclose, holes less. */
static int64_t twice_enclosed(const uint32_t *corners, const vitrum_polygon *polygons, size_t count) {
    int64_t twice = 0;
    size_t i, j;
    for (i = 0; i < count; i++) {
        const uint32_t *at = corners + 2 * polygons[i].first;
        CHECK(polygons[i].count >= 3 && polygons[i].is_hole <= 1);
        CHECK(polygons[i].is_hole || i == 0 || polygons[i].part == polygons[i - 1].part + 1);
        for (j = 0; j < polygons[i].count; j++) {
            const uint32_t *next = at + 2 * ((j + 1) % polygons[i].count);
            twice += (int64_t)at[2 * j] * next[1] - (int64_t)next[0] * at[2 * j + 1];
        }
    }
    return twice;
}

/* Polygons enclose the mask, whether they are of the prediction or of its run lengths. */
static void check_polygons(const vitrum_sam_prediction *prediction, size_t prompt, size_t index,
                           const uint32_t *counts, size_t count, uint32_t area) {
    size_t numbers = 0, found = 0, same_numbers = 0, same_found = 0, fewer = 0;
    uint32_t *corners, *same_corners;
    vitrum_polygon *polygons, *same_polygons;
    EXPECT(VITRUM_OK, vitrum_sam_prediction_polygons(prediction, prompt, index, 0, 0, NULL, 0, &numbers, NULL, 0,
                                                     &found, &error));
    corners = calloc(numbers + 1, sizeof *corners);
    same_corners = calloc(numbers + 1, sizeof *corners);
    polygons = calloc(found + 1, sizeof *polygons);
    same_polygons = calloc(found + 1, sizeof *polygons);
    EXPECT(VITRUM_OK, vitrum_sam_prediction_polygons(prediction, prompt, index, 0, 0, corners, numbers, NULL, polygons,
                                                     found, NULL, &error));
    CHECK(twice_enclosed(corners, polygons, found) == 2 * (int64_t)area);
    EXPECT(VITRUM_OK, vitrum_rle_polygons(counts, count, SIDE, SIDE - 7, 0, same_corners, numbers, &same_numbers,
                                          same_polygons, found, &same_found, &error));
    CHECK(same_numbers == numbers && memcmp(corners, same_corners, numbers * sizeof *corners) == 0);
    CHECK(same_found == found && memcmp(polygons, same_polygons, found * sizeof *polygons) == 0);
    EXPECT(VITRUM_OK, vitrum_rle_polygons(counts, count, SIDE, SIDE - 7, 2, NULL, 0, &fewer, NULL, 0, &same_found,
                                          &error));
    CHECK(fewer <= numbers && same_found == found);
    free(corners);
    free(same_corners);
    free(polygons);
    free(same_polygons);
}

/* Run lengths and statistics are those of the mask. */
static void check_stats(const vitrum_sam_prediction *prediction, size_t prompt, size_t index, const uint8_t *mask,
                        float score) {
    float stability = -1;
    vitrum_sam_mask_stats stats;
    uint32_t *counts = calloc(PIXELS + 1, sizeof *counts), area = 0, at = 0, run, value;
    uint32_t left = SIDE, top = SIDE, right = 0, bottom = 0, x, y;
    size_t needed = 0, i;

    EXPECT(VITRUM_OK, vitrum_sam_prediction_rle(prediction, prompt, index, 0, NULL, 0, &needed, &error));
    EXPECT(VITRUM_OK,
           vitrum_sam_prediction_rle(prediction, prompt, index, 0, counts, PIXELS + 1, &needed, &error));
    for (i = 0; i < needed; i++) {
        for (run = 0, value = i % 2; run < counts[i]; run++, at++) {
            x = at / (SIDE - 7);
            y = at % (SIDE - 7);
            CHECK(mask[y * SIDE + x] == value);
            if (value) {
                area++;
                left = x < left ? x : left;
                top = y < top ? y : top;
                right = x >= right ? x + 1 : right;
                bottom = y >= bottom ? y + 1 : bottom;
            }
        }
    }
    CHECK(at == PIXELS);
    CHECK(vitrum_sam_mask_stats_init(&stats, sizeof stats) == VITRUM_OK);
    EXPECT(VITRUM_OK, vitrum_sam_prediction_stats(prediction, prompt, index, 0, &stats, &error));
    CHECK(stats.area == area && stats.score == score);
    check_polygons(prediction, prompt, index, counts, needed, area);
    CHECK(!(stats.stability_score < 0) && !(stats.stability_score > 1));
    EXPECT(VITRUM_OK, vitrum_sam_prediction_stability(prediction, prompt, index, 0, 1, &stability, &error));
    CHECK(memcmp(&stability, &stats.stability_score, sizeof stability) == 0);
    if (area) {
        CHECK(stats.bounding_box[0] == left && stats.bounding_box[2] == right - left);
        CHECK(stats.bounding_box[1] == top && stats.bounding_box[3] == bottom - top);
    }
    free(counts);
}

/* A mask is its logits above the threshold, and a batch gives what its prompts give alone. */
static void check_predictions(const vitrum_sam *sam, const vitrum_sam_embedding *embedding) {
    const size_t side = vitrum_sam_mask_side(sam);
    vitrum_sam_prompt prompts[PROMPTS], refined;
    vitrum_sam_predict_options single_mask;
    vitrum_sam_prediction *batch, *single;
    float scores[PROMPTS * MASKS], own[MASKS], *logits = calloc(2 * PIXELS, sizeof *logits);
    float *low_res = calloc(side * side, sizeof *low_res);
    uint8_t *mask = calloc(PIXELS, 1);
    size_t i, k, needed = 0, different = 0;

    new_prompts(prompts);
    batch = predict(sam, embedding, prompts, PROMPTS, 1);
    EXPECT(VITRUM_OK, vitrum_sam_prediction_scores(batch, scores, PROMPTS * MASKS, &needed, &error));
    CHECK(needed == PROMPTS * MASKS);
    for (i = 0; i < PROMPTS; i++) {
        single = predict(sam, embedding, &prompts[i], 1, 1);
        EXPECT(VITRUM_OK, vitrum_sam_prediction_scores(single, own, MASKS, NULL, &error));
        for (k = 0; k < MASKS; k++) {
            CHECK(fabsf(own[k] - scores[i * MASKS + k]) < 1e-5f);
            EXPECT(VITRUM_OK, vitrum_sam_prediction_logits(batch, i, k, logits, PIXELS, &needed, &error));
            CHECK(needed == PIXELS);
            EXPECT(VITRUM_OK,
                   vitrum_sam_prediction_logits(single, 0, k, logits + PIXELS, PIXELS, NULL, &error));
            EXPECT(VITRUM_OK, vitrum_sam_prediction_mask(batch, i, k, 0, mask, PIXELS, &needed, &error));
            CHECK(needed == PIXELS);
            check_stats(batch, i, k, mask, scores[i * MASKS + k]);
            for (needed = 0; needed < PIXELS; needed++) {
                different += mask[needed] != (logits[needed] > 0);
                different += fabsf(logits[needed] - logits[PIXELS + needed]) > 1e-4f * (1 + fabsf(logits[needed]));
            }
        }
        vitrum_sam_prediction_free(single);
    }
    CHECK(different == 0);

    /* Nothing is above an infinite threshold. */
    EXPECT(VITRUM_OK, vitrum_sam_prediction_mask(batch, 0, 0, INFINITY, mask, PIXELS, NULL, &error));
    CHECK(memchr(mask, 1, PIXELS) == NULL);

    /* Refined by its own mask; the prediction is used again. */
    EXPECT(VITRUM_OK, vitrum_sam_prediction_low_res(batch, 1, 2, low_res, side * side, &needed, &error));
    CHECK(needed == side * side);
    refined = prompts[1];
    refined.mask = low_res;
    refined.mask_size = needed;
    CHECK(vitrum_sam_predict_options_init(&single_mask, sizeof single_mask) == VITRUM_OK);
    single_mask.multimask = 0;
    EXPECT(VITRUM_OK, vitrum_sam_predict(sam, embedding, &refined, 1, &single_mask, batch, &error));
    CHECK(vitrum_sam_prediction_prompts(batch) == 1 && vitrum_sam_prediction_masks(batch) == 1);
    EXPECT(VITRUM_OK, vitrum_sam_prediction_logits(batch, 0, 0, logits, PIXELS, NULL, &error));
    single = predict(sam, embedding, &prompts[1], 1, 0);
    EXPECT(VITRUM_OK, vitrum_sam_prediction_logits(single, 0, 0, logits + PIXELS, PIXELS, NULL, &error));
    CHECK(memcmp(logits, logits + PIXELS, PIXELS * sizeof *logits) != 0);

    vitrum_sam_prediction_free(single);
    vitrum_sam_prediction_free(batch);
    free(logits);
    free(low_res);
    free(mask);
}

struct found {
    size_t records, most;
    float progress[2];
};

/* Checks that a record agrees with itself; stops at the record number `most`. */
static int32_t on_record(void *user, const vitrum_sam_record *record) {
    struct found *found = user;
    uint32_t pixels = 0, area = 0;
    size_t i;
    CHECK(record->struct_size == sizeof *record && record->width == SIDE && record->height == SIDE - 7);
    for (i = 0; i < record->count_size; i++) {
        pixels += record->counts[i];
        area += i % 2 ? record->counts[i] : 0;
    }
    CHECK(pixels == PIXELS && area == record->area);
    CHECK(record->bounding_box[0] + record->bounding_box[2] <= SIDE);
    CHECK(record->crop_box[2] == SIDE && record->crop_box[3] == SIDE - 7);
    CHECK(record->point[0] > 0 && record->point[0] < SIDE && record->point[1] > 0 && record->point[1] < SIDE - 7);
    return ++found->records == found->most;
}

static int32_t on_progress(void *user, float fraction) {
    return count_steps(((struct found *)user)->progress, fraction);
}

/* Every mask of a coarse grid, as the weights are random; then only the first of them. */
static void check_everything(const vitrum_sam *sam, const float *expected, size_t count) {
    const vitrum_image image = new_scene();
    struct found all = {0, 0, {0, 0}}, first = {0, 1, {0, 0}};
    vitrum_sam_everything_options options;
    vitrum_sam_embedding *embedding = NULL, *none = NULL;
    float *values;
    size_t same = 0;
    CHECK(vitrum_sam_everything_options_init(&options, sizeof options) == VITRUM_OK);
    CHECK(options.points_per_side == 32 && options.box_nms_thresh == 0.7);
    options.pred_iou_thresh = 0;
    CHECK(vitrum_sam_everything_defaults(sam, &options, sizeof options) == VITRUM_OK);
    CHECK(options.pred_iou_thresh == 0.88 && options.stability_score_thresh == 0.95);
    options.points_per_side = 3;
    options.points_per_batch = 4;
    options.pred_iou_thresh = 0;
    options.stability_score_thresh = 0;
    EXPECT(VITRUM_OK,
           vitrum_sam_everything(sam, &image, &options, on_record, on_progress, &all, &embedding, &error));
    CHECK(all.records > 0 && all.progress[0] == 1 && all.progress[1] > 1);
    values = values_of(embedding, &same);
    CHECK(same == count && memcmp(values, expected, count * sizeof *values) == 0);
    free(values);
    vitrum_sam_embedding_free(embedding);

    EXPECT(VITRUM_E_CANCELLED,
           vitrum_sam_everything(sam, &image, &options, on_record, NULL, &first, &none, &error));
    CHECK(first.records == 1 && none == NULL);
    first.most = 0;
    EXPECT(VITRUM_OK, vitrum_sam_everything(sam, &image, &options, on_record, NULL, &first, NULL, &error));
    CHECK(first.records == 1 + all.records);
}

struct matches {
    size_t count, text;
    float probability;
};

/* Texts come in order, and the masks of each the best first. */
static int32_t on_match(void *user, size_t text, float probability, const vitrum_sam_record *record) {
    struct matches *matches = user;
    CHECK(probability > 0 && probability <= 1 && record->width == SIDE);
    CHECK(matches->count == 0 || text > matches->text ||
          (text == matches->text && probability <= matches->probability));
    matches->count++;
    matches->text = text;
    matches->probability = probability;
    return 0;
}

static void check_words(const vitrum_sam *sam, const vitrum_clip *clip, const float *expected, size_t count) {
    static const char *const texts[] = {"a cat", "two dogs"};
    static const char *const others[] = {"the sea"};
    const vitrum_image image = new_scene();
    struct matches matches = {0, 0, 0};
    vitrum_sam_everything_options candidates;
    vitrum_sam_text_prompt prompt;
    vitrum_sam_embedding *embedding = NULL;
    float *values;
    size_t same = 0;
    CHECK(vitrum_sam_everything_options_init(&candidates, sizeof candidates) == VITRUM_OK);
    candidates.points_per_side = 3;
    candidates.pred_iou_thresh = 0;
    candidates.stability_score_thresh = 0;
    candidates.box_nms_thresh = 1;
    CHECK(vitrum_sam_text_prompt_init(&prompt, sizeof prompt) == VITRUM_OK);
    CHECK(prompt.top == 1);
    prompt.texts = texts;
    prompt.text_count = 2;
    prompt.others = others;
    prompt.other_count = 1;
    prompt.top = 3;
    prompt.text_template = "a picture of {}";
    prompt.candidates = &candidates;
    EXPECT(VITRUM_OK,
           vitrum_sam_ground(sam, clip, &image, &prompt, on_match, NULL, &matches, &embedding, &error));
    CHECK(matches.count == 6 && matches.text == 1);
    values = values_of(embedding, &same);
    CHECK(same == count && memcmp(values, expected, count * sizeof *values) == 0);
    free(values);
    vitrum_sam_embedding_free(embedding);

    /* Nothing is as sure as that. */
    matches.count = 0;
    prompt.min_probability = 1;
    EXPECT(VITRUM_OK, vitrum_sam_ground(sam, clip, &image, &prompt, on_match, NULL, &matches, NULL, &error));
    CHECK(matches.count == 0);
}

/* The same model, loaded in another way, gives the same bits. */
static void check_same(const vitrum_sam *sam, const float *expected, size_t count) {
    vitrum_sam_embedding *embedding = encode(sam);
    size_t same = 0;
    float *values = values_of(embedding, &same);
    CHECK(same == count && memcmp(values, expected, count * sizeof *values) == 0);
    free(values);
    vitrum_sam_embedding_free(embedding);
}

static vitrum_sam *load_from_memory(const vitrum_context *context, const char *model) {
    vitrum_sam *sam = NULL;
    const vitrum_file file = read_file(model, "model.safetensors");
    EXPECT(VITRUM_OK, vitrum_sam_load_memory(context, &file, 1, NULL, &sam, &error));
    /* The model does not need it any more. */
    free((void *)file.data);
    return sam;
}

struct shared {
    const vitrum_sam *sam;
    const vitrum_sam_embedding *embedding;
};

/* The scores of a click, on a thread of its own. */
static void *click_on_thread(void *user) {
    const struct shared *shared = user;
    vitrum_sam_prediction *prediction = NULL;
    vitrum_sam_prompt prompt;
    float *scores = calloc(MASKS, sizeof *scores);
    vitrum_sam_prompt_init(&prompt, sizeof prompt);
    prompt.points = CLICKS;
    prompt.point_count = 1;
    if (vitrum_sam_prediction_new(shared->sam, &prediction, NULL) ||
        vitrum_sam_predict(shared->sam, shared->embedding, &prompt, 1, NULL, prediction, NULL) ||
        vitrum_sam_prediction_scores(prediction, scores, MASKS, NULL, NULL)) {
        scores[0] = NAN;
    }
    vitrum_sam_prediction_free(prediction);
    return scores;
}

/* One model and one embedding, several threads at the same time. */
static void check_sharing(const vitrum_sam *sam, const vitrum_sam_embedding *embedding) {
    struct shared shared = {sam, embedding};
    pthread_t threads[THREADS];
    void *scores, *expected = click_on_thread(&shared);
    int i;
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, click_on_thread, &shared) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &scores);
        CHECK(memcmp(scores, expected, MASKS * sizeof(float)) == 0);
        free(scores);
    }
    free(expected);
}

static int32_t stop(void *user, float fraction) {
    (void)fraction;
    ++*(int *)user;
    return 7;
}

/* Loading reports to its end, or stops there and leaves no model. */
static void check_loading(const vitrum_context *context, const char *model) {
    vitrum_sam_options options;
    vitrum_sam *sam = NULL;
    float progress[2] = {0, 0};
    int asked = 0;
    CHECK(vitrum_sam_options_init(&options, sizeof options) == VITRUM_OK && options.progress == NULL);
    options.progress = stop;
    options.progress_user = &asked;
    EXPECT(VITRUM_E_CANCELLED, vitrum_sam_load(context, model, &options, &sam, &error));
    CHECK(sam == NULL && asked == 1);
    options.progress = count_steps;
    options.progress_user = progress;
    EXPECT(VITRUM_OK, vitrum_sam_load(context, model, &options, &sam, &error));
    CHECK(progress[0] == 1);
    vitrum_sam_free(sam);
    options.reserved = 1;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_load(context, model, &options, &sam, &error));
}

/* So does a prediction; one that was stopped has no masks, and is as good as new. */
static void check_stopping(const vitrum_sam *sam, const vitrum_sam_embedding *embedding) {
    vitrum_sam_predict_options options;
    vitrum_sam_prediction *prediction = NULL;
    vitrum_sam_prompt prompt;
    const vitrum_point point = {9, 9, VITRUM_LABEL_FOREGROUND};
    float progress[2] = {0, 0}, scores[2][3];
    int asked = 0;
    CHECK(vitrum_sam_prompt_init(&prompt, sizeof prompt) == VITRUM_OK);
    prompt.points = &point;
    prompt.point_count = 1;
    EXPECT(VITRUM_OK, vitrum_sam_prediction_new(sam, &prediction, &error));
    EXPECT(VITRUM_OK, vitrum_sam_predict(sam, embedding, &prompt, 1, NULL, prediction, &error));
    EXPECT(VITRUM_OK, vitrum_sam_prediction_scores(prediction, scores[0], 3, NULL, &error));
    CHECK(vitrum_sam_predict_options_init(&options, sizeof options) == VITRUM_OK && options.progress == NULL);
    options.progress = stop;
    options.progress_user = &asked;
    EXPECT(VITRUM_E_CANCELLED, vitrum_sam_predict(sam, embedding, &prompt, 1, &options, prediction, &error));
    CHECK(asked == 1 && vitrum_sam_prediction_prompts(prediction) == 0);
    options.progress = count_steps;
    options.progress_user = progress;
    EXPECT(VITRUM_OK, vitrum_sam_predict(sam, embedding, &prompt, 1, &options, prediction, &error));
    EXPECT(VITRUM_OK, vitrum_sam_prediction_scores(prediction, scores[1], 3, NULL, &error));
    CHECK(progress[0] == 1 && memcmp(scores[0], scores[1], sizeof scores[0]) == 0);
    vitrum_sam_prediction_free(prediction);
}

int main(int argc, char **argv) {
    vitrum_context *context;
    vitrum_sam *sam = NULL;
    vitrum_clip *clip = NULL;
    vitrum_sam_embedding *embedding = NULL;
    vitrum_sam_options options;
    vitrum_image image;
    float *expected, progress[2] = {0, 0};
    size_t count = 0, quarter = 0;
    if (argc != 3) {
        fprintf(stderr, "usage: sam_use SAM CLIP\n");
        return 2;
    }
    CHECK(vitrum_error_init(&error, sizeof error) == VITRUM_OK);

    /* The model outlives the handle of its context. */
    context = new_context();
    check_loading(context, argv[1]);
    EXPECT(VITRUM_OK, vitrum_sam_load(context, argv[1], NULL, &sam, &error));
    EXPECT(VITRUM_OK, vitrum_clip_load(context, argv[2], NULL, &clip, &error));
    CHECK(vitrum_sam_memory_bytes(sam) > 100000);
    image = new_scene();
    EXPECT(VITRUM_OK, vitrum_sam_encode(sam, &image, count_steps, progress, &embedding, &error));
    CHECK(progress[0] == 1 && progress[1] > 1);
    vitrum_context_free(context);
    CHECK(vitrum_sam_embedding_width(embedding) == SIDE && vitrum_sam_embedding_height(embedding) == SIDE - 7);
    expected = values_of(embedding, &count);
    check_same(sam, expected, count);
    check_saving(sam, embedding);
    check_predictions(sam, embedding);
    check_stopping(sam, embedding);
    check_sharing(sam, embedding);
    check_everything(sam, expected, count);
    check_words(sam, clip, expected, count);
    vitrum_clip_free(clip);
    vitrum_sam_free(sam);
    vitrum_sam_embedding_free(embedding);

    context = new_context();
    sam = load_from_memory(context, argv[1]);
    check_same(sam, expected, count);
    vitrum_sam_free(sam);

    CHECK(vitrum_sam_options_init(&options, sizeof options) == VITRUM_OK);
    options.mmap = 2;
    EXPECT(VITRUM_OK, vitrum_sam_load(context, argv[1], &options, &sam, &error));
    check_same(sam, expected, count);
    options.image_size = (uint32_t)vitrum_sam_image_size(sam) / 2;
    vitrum_sam_free(sam);

    /* Half the input: a quarter of the embedding. */
    EXPECT(VITRUM_OK, vitrum_sam_load(context, argv[1], &options, &sam, &error));
    CHECK(vitrum_sam_image_size(sam) == options.image_size);
    embedding = encode(sam);
    EXPECT(VITRUM_OK, vitrum_sam_embedding_values(embedding, NULL, 0, &quarter, &error));
    CHECK(4 * quarter == count);
    vitrum_sam_embedding_free(embedding);
    vitrum_sam_free(sam);
    vitrum_context_free(context);

    free(expected);
    printf("sam_use: %s\n", failures ? "failed" : "ok");
    return failures != 0;
}
