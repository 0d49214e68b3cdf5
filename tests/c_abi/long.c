/*
 * A process that goes on for long holds what it held after the warm-up: as many blocks of the heap with as many bytes,
 * as many descriptors, maps and threads, and resident memory up to a bound. Linux with glibc.
 *
 * long tracker SAM2 FRAMES THREADS [S] a video with two objects, clicks, objects that go and come, sessions saved and restored; S: the
 *                                      side of the model's input, 0 for its own
 * long sam SAM ROUNDS THREADS          pictures encoded, saved, restored, asked
 * long clip CLIP COUNT THREADS         classifications, and now and then one that fails
 * long contexts CLIP COUNT THREADS     contexts with their threads, each with a model that is loaded and used
 */
#include "resources.h"
#include "tracker.h"

enum { LABELS = 3, SAMPLES = 10, CYCLE = 20 };

/* A block is larger than was asked for by what would be too small for a block of its own. */
static const long SLACK = 32;

/* What threads that ended have left is freed now and then and not at once: so many blocks, with so many bytes. */
static const long LATE = 8, LATE_BYTES = 16384;

/* Resident memory may differ by what the allocator keeps: free memory of threads that ended, and fragments. */
static const long RESIDENT_KB = 4096;

static const char *const NAMES[LABELS] = {"a red apple", "two dogs", "the sea"};
static vitrum_context *context;
static uint8_t mask[WIDTH * HEIGHT];

static void new_threads(uint32_t threads) {
    vitrum_context_options options;
    CHECK(vitrum_context_options_init(&options, sizeof options) == VITRUM_OK);
    options.threads = threads;
    EXPECT(VITRUM_OK, vitrum_context_new(&options, &context, &error));
}

/* Video ---------------------------------------------------------------------------------------------------------- */

static vitrum_sam *sam;
static vitrum_tracker *tracker;

static void save_and_restore(void) {
    vitrum_tracker *restored = NULL;
    size_t size = 0;
    uint8_t *bytes;
    EXPECT(VITRUM_OK, vitrum_tracker_save(tracker, NULL, 0, &size, &error));
    bytes = malloc(size);
    EXPECT(VITRUM_OK, vitrum_tracker_save(tracker, bytes, size, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_load(sam, bytes, size, &restored, &error));
    free(bytes);
    vitrum_tracker_free(tracker);
    tracker = restored;
}

/* One frame. In every cycle, one object is corrected, the other one removed and added, and the session restored. */
static void track(long number) {
    const int64_t now = VITRUM_FRAME_CURRENT;
    const long in_cycle = number % CYCLE;
    size_t count = 0;
    if (in_cycle == CYCLE / 2) {
        EXPECT(VITRUM_OK, vitrum_tracker_remove_object(tracker, PEAR, &error));
    }
    push(tracker, in_cycle == 0 ? PEAR : in_cycle == 3 ? APPLE : 0);
    EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_mask(tracker, APPLE, now, 0, mask, sizeof mask, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_rle(tracker, APPLE, now, 0, NULL, 0, &count, &error));
    if (in_cycle == CYCLE - 1) {
        /* Fails, and changes nothing. */
        EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_tracker_remove_object(tracker, 99, &error));
        save_and_restore();
    }
}

static void begin_tracker(const char *model, uint32_t image_size) {
    vitrum_sam_options options;
    CHECK(vitrum_sam_options_init(&options, sizeof options) == VITRUM_OK);
    options.image_size = image_size;
    EXPECT(VITRUM_OK, vitrum_sam_load(context, model, &options, &sam, &error));
    tracker = new_tracker(sam, 3);
    push(tracker, APPLE);
    EXPECT(VITRUM_OK, vitrum_tracker_step(tracker, NULL, NULL, &error));
}

/* Pictures ------------------------------------------------------------------------------------------------------- */

static vitrum_sam_prediction *prediction;

static void segment(long number) {
    const vitrum_image image = new_frame(number);
    const vitrum_sam_prompt click = new_click();
    vitrum_sam_embedding *made = NULL, *restored = NULL;
    size_t size = 0;
    uint8_t *bytes;
    EXPECT(VITRUM_OK, vitrum_sam_encode(sam, &image, NULL, NULL, &made, &error));
    EXPECT(VITRUM_OK, vitrum_sam_embedding_save(made, NULL, 0, &size, &error));
    bytes = malloc(size);
    EXPECT(VITRUM_OK, vitrum_sam_embedding_save(made, bytes, size, NULL, &error));
    vitrum_sam_embedding_free(made);
    EXPECT(VITRUM_OK, vitrum_sam_embedding_load(sam, bytes, size, &restored, &error));
    bytes[size / 2] ^= 1;
    EXPECT(VITRUM_E_FORMAT, vitrum_sam_embedding_load(sam, bytes, size, &made, &error));
    free(bytes);
    EXPECT(VITRUM_OK, vitrum_sam_predict(sam, restored, &click, 1, NULL, prediction, &error));
    EXPECT(VITRUM_OK, vitrum_sam_prediction_mask(prediction, 0, 0, 0, mask, sizeof mask, NULL, &error));
    vitrum_sam_embedding_free(restored);
}

static void begin_sam(const char *model) {
    EXPECT(VITRUM_OK, vitrum_sam_load(context, model, NULL, &sam, &error));
    EXPECT(VITRUM_OK, vitrum_sam_prediction_new(sam, &prediction, &error));
}

/* Classification ------------------------------------------------------------------------------------------------- */

static vitrum_clip *clip;

static void classify(long number) {
    const vitrum_image image = new_frame(number);
    float probabilities[LABELS];
    EXPECT(VITRUM_OK, vitrum_clip_classify(clip, &image, NAMES, LABELS, NULL, probabilities, LABELS, NULL, &error));
    if (number % CYCLE == 1) {
        EXPECT(VITRUM_E_BUFFER_TOO_SMALL,
               vitrum_clip_classify(clip, &image, NAMES, LABELS, NULL, probabilities, 1, NULL, &error));
    }
}

static void begin_clip(const char *model) {
    EXPECT(VITRUM_OK, vitrum_clip_load(context, model, NULL, &clip, &error));
}

/* Contexts ------------------------------------------------------------------------------------------------------- */

static const char *clip_model;
static uint32_t context_threads;

static void make_and_free(long number) {
    vitrum_clip *none = NULL;
    new_threads(context_threads);
    begin_clip(clip_model);
    classify(number);
    EXPECT(VITRUM_E_NOT_FOUND, vitrum_clip_load(context, "there is no such model", NULL, &none, &error));
    vitrum_clip_free(clip);
    vitrum_context_free(context);
    clip = NULL;
    context = NULL;
}

/* ---------------------------------------------------------------------------------------------------------------- */

static void compare(const struct resources *first, const struct resources *now) {
    CHECK(now->blocks <= first->blocks + LATE);
    CHECK(now->bytes <= first->bytes + LATE_BYTES + SLACK * now->blocks);
    CHECK(now->descriptors == first->descriptors);
    CHECK(now->maps == first->maps);
    CHECK(now->threads == first->threads);
    CHECK(now->resident_kb <= first->resident_kb + RESIDENT_KB);
}

/* `count` rounds of work; what is held is looked at in the same place of a cycle each time. */
static void repeat(const char *what, void (*work)(long number), long count) {
    struct resources first, now;
    long cycles = count / CYCLE / SAMPLES, sample, done = 0, warm_up;
    cycles = cycles > 0 ? cycles : 1;
    /* A fifth, or what the tracker's memory needs to be full. */
    warm_up = 2 * cycles * CYCLE;
    while (done < warm_up) {
        work(done++);
    }
    first = held();
    show(what, done, count, &first);
    for (sample = 2; sample < SAMPLES && failures == 0; sample++) {
        const long end = done + cycles * CYCLE;
        while (done < end && failures == 0) {
            work(done++);
        }
        now = held();
        show(what, done, count, &now);
        compare(&first, &now);
    }
}

int main(int argc, char **argv) {
    const char *what;
    long count;
    if (argc < 5) {
        fprintf(stderr, "long tracker|sam|clip|contexts MODEL COUNT THREADS [IMAGE_SIZE]\n");
        return 2;
    }
    what = argv[1];
    count = atol(argv[3]);
    context_threads = (uint32_t)atol(argv[4]);
    vitrum_error_init(&error, sizeof error);
    if (strcmp(what, "contexts") == 0) {
        clip_model = argv[2];
        repeat(what, make_and_free, count);
    } else {
        new_threads(context_threads);
        if (strcmp(what, "tracker") == 0) {
            begin_tracker(argv[2], argc > 5 ? (uint32_t)atol(argv[5]) : 0);
            repeat(what, track, count);
        } else if (strcmp(what, "sam") == 0) {
            begin_sam(argv[2]);
            repeat(what, segment, count);
        } else if (strcmp(what, "clip") == 0) {
            begin_clip(argv[2]);
            repeat(what, classify, count);
        } else {
            CHECK(!"a known kind of work");
        }
    }
    vitrum_tracker_free(tracker);
    vitrum_sam_prediction_free(prediction);
    vitrum_sam_free(sam);
    vitrum_clip_free(clip);
    vitrum_context_free(context);
    printf("long: %s\n", failures ? "failed" : "ok");
    return failures != 0;
}
