/*
 * Handles of the wrong kind, freed ones, and ones that are in use: each an error with a sentence, and nothing is lost:
 * handles CLIP SAM SAM2
 *
 * A freed handle is only looked at right after it was freed: what its memory becomes later, nobody can know.
 */
#include <pthread.h>

#include "check.h"

static vitrum_context *context;
static vitrum_clip *clip;
static vitrum_sam *sam, *sam2;
static vitrum_sam_embedding *embedding;
static vitrum_sam_prediction *prediction;
static vitrum_tracker *tracker;
static vitrum_image image;
static vitrum_point point = {20, 20, VITRUM_LABEL_FOREGROUND};
static vitrum_sam_prompt prompt;

/* The last error is of a handle, and says `what`. */
static void says(const char *what) {
    if (strstr(error.message, what) == NULL) {
        fprintf(stderr, "\"%s\" is not in \"%s\"\n", what, error.message);
        failures++;
    }
}

static void wrong_kinds(void) {
    float out[8];
    size_t needed = 77;
    void *wrong = sam;

    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_encode_image(wrong, &image, 1, NULL, out, 8, &needed, &error));
    says("clip is a vitrum_sam, expected a vitrum_clip");
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_embedding_values(wrong, out, 8, &needed, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_step(wrong, NULL, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_predict(wrong, wrong, &prompt, 1, NULL, wrong, &error));
    wrong = context;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_sam_predict(sam, wrong, &prompt, 1, NULL, prediction, &error));
    says("embedding is a vitrum_context");
    wrong = clip;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_load(wrong, "x", NULL, &clip, &error));
    CHECK(needed == 77 && (void *)clip == wrong);
    /* What returns no status knows nothing of it. */
    CHECK(vitrum_sam_image_size(wrong) == 0 && vitrum_context_threads(wrong) == 0);
    CHECK(vitrum_tracker_frame(wrong) == -1);
    /* And what frees leaves it alone. */
    vitrum_sam_free(wrong);
    vitrum_context_free(wrong);
    vitrum_tracker_free(wrong);
    CHECK(vitrum_clip_embed_dim(clip) > 0);
    EXPECT(VITRUM_OK, vitrum_clip_encode_image(clip, &image, 1, NULL, NULL, 0, &needed, &error));
}

static int32_t busy;

static void refused(vitrum_status status, const vitrum_error *inner) {
    CHECK(status == VITRUM_E_INVALID_ARGUMENT && strstr(inner->message, "in use") != NULL);
    busy++;
}

/* Changes, reads and frees the tracker that reports to it. */
static int32_t meddle(void *user, float fraction) {
    vitrum_error inner;
    (void)fraction;
    vitrum_error_init(&inner, sizeof inner);
    refused(vitrum_tracker_push_frame(user, &image, NULL, NULL, NULL, &inner), &inner);
    refused(vitrum_tracker_add_points(user, VITRUM_FRAME_CURRENT, 7, &prompt, NULL, NULL, NULL, &inner), &inner);
    refused(vitrum_tracker_step(user, NULL, NULL, &inner), &inner);
    refused(vitrum_tracker_reset(user, &inner), &inner);
    CHECK(vitrum_tracker_width(user) == 0);
    return 0;
}

static int32_t free_it(void *user, float fraction) {
    static int is_free;
    (void)fraction;
    if (!is_free++) {
        vitrum_tracker_free(user);
    }
    return 0;
}

static int elsewhere;

/* What else the context has works in a callback. Twice is enough: they come every few milliseconds. */
static int32_t work_elsewhere(void *user, float fraction) {
    vitrum_sam_embedding *other = NULL;
    vitrum_error inner;
    (void)fraction;
    vitrum_error_init(&inner, sizeof inner);
    if (user != NULL && elsewhere++ < 2) {
        CHECK(vitrum_sam_encode(user, &image, NULL, NULL, &other, &inner) == VITRUM_OK);
        vitrum_sam_embedding_free(other);
    }
    return 0;
}

static vitrum_read_result read_frame(void *user, int64_t frame, vitrum_image *out) {
    vitrum_error inner;
    vitrum_error_init(&inner, sizeof inner);
    refused(vitrum_tracker_reset(user, &inner), &inner);
    if (frame > 3) {
        return VITRUM_READ_END;
    }
    *out = image;
    return VITRUM_READ_OK;
}

/* May read, by its own handle too, and not change. */
static int32_t on_frame(void *user, const vitrum_tracker *it, int64_t frame) {
    uint8_t mask[SIDE * SIDE];
    vitrum_error inner;
    (void)frame;
    vitrum_error_init(&inner, sizeof inner);
    CHECK(it == user && vitrum_tracker_width(it) == SIDE);
    CHECK(vitrum_tracker_mask(user, 1, VITRUM_FRAME_CURRENT, 0, mask, sizeof mask, NULL, &inner) == VITRUM_OK);
    refused(vitrum_tracker_step(user, NULL, NULL, &inner), &inner);
    return 0;
}

static void callbacks(void) {
    EXPECT(VITRUM_OK, vitrum_tracker_new(sam2, SIDE, SIDE, NULL, &tracker, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_push_frame(tracker, &image, meddle, tracker, NULL, &error));
    CHECK(busy > 0);
    EXPECT(VITRUM_OK,
           vitrum_tracker_add_points(tracker, VITRUM_FRAME_CURRENT, 1, &prompt, NULL, meddle, tracker, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, meddle, tracker, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_push_frame(tracker, &image, work_elsewhere, sam, NULL, &error));
    busy = 0;
    EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, meddle, tracker, &error));
    CHECK(busy > 0);
    EXPECT(VITRUM_OK, vitrum_sam_encode(sam, &image, work_elsewhere, NULL, &embedding, &error));
    vitrum_sam_embedding_free(embedding);
    CHECK(elsewhere > 0);
    elsewhere = 0;
    EXPECT(VITRUM_OK, vitrum_sam_encode(sam, &image, work_elsewhere, sam, &embedding, &error));
    CHECK(elsewhere > 0);
    busy = 0;
    EXPECT(VITRUM_OK, vitrum_tracker_propagate(tracker, NULL, read_frame, on_frame, NULL, tracker, &error));
    CHECK(busy > 2);
    /* Freed in the middle: the call goes on, and takes the tracker with it. */
    EXPECT(VITRUM_OK, vitrum_tracker_push_frame(tracker, &image, free_it, tracker, NULL, &error));
    tracker = NULL;
}

enum { ROUNDS = 60 };

static void *predict_and_read(void *unused) {
    vitrum_sam_prompt prompts[3];
    uint8_t mask[SIDE * SIDE];
    vitrum_error own;
    int i;
    (void)unused;
    vitrum_error_init(&own, sizeof own);
    prompts[0] = prompts[1] = prompts[2] = prompt;
    for (i = 0; i < ROUNDS; i++) {
        vitrum_status status =
            vitrum_sam_predict(sam, embedding, prompts, (size_t)(1 + i % 3), NULL, prediction, &own);
        CHECK(status == VITRUM_OK || (status == VITRUM_E_INVALID_ARGUMENT && strstr(own.message, "in use")));
        status = vitrum_sam_prediction_mask(prediction, 0, 0, 0, mask, sizeof mask, NULL, &own);
        CHECK(status == VITRUM_OK || status == VITRUM_E_INVALID_ARGUMENT);
    }
    return NULL;
}

static void two_threads(void) {
    pthread_t threads[2];
    int i;
    EXPECT(VITRUM_OK, vitrum_sam_prediction_new(sam, &prediction, &error));
    for (i = 0; i < 2; i++) {
        CHECK(pthread_create(&threads[i], NULL, predict_and_read, NULL) == 0);
    }
    for (i = 0; i < 2; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    EXPECT(VITRUM_OK, vitrum_sam_predict(sam, embedding, &prompt, 1, NULL, prediction, &error));
}

int main(int argc, char **argv) {
    CHECK(argc == 4);
    vitrum_error_init(&error, sizeof error);
    image = new_image(VITRUM_PIXEL_RGBA8);
    vitrum_sam_prompt_init(&prompt, sizeof prompt);
    prompt.points = &point;
    prompt.point_count = 1;
    context = new_context();
    EXPECT(VITRUM_OK, vitrum_clip_load(context, argv[1], NULL, &clip, &error));
    EXPECT(VITRUM_OK, vitrum_sam_load(context, argv[2], NULL, &sam, &error));
    EXPECT(VITRUM_OK, vitrum_sam_load(context, argv[3], NULL, &sam2, &error));

    callbacks();
    two_threads();
    wrong_kinds();

    vitrum_sam_prediction_free(prediction);
    vitrum_sam_embedding_free(embedding);
    vitrum_clip_free(clip);
    vitrum_sam_free(sam2);
    vitrum_sam_free(sam);
    vitrum_context_free(context);
    printf("handles: %s\n", failures ? "failed" : "ok");
    return failures != 0;
}
