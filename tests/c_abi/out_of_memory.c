/*
 * Every function survives that there is no memory, whichever allocation it is: it succeeds or returns
 * VITRUM_E_OUT_OF_MEMORY, nothing is lost, and the next call works: out_of_memory CLIP SAM SAM2 [MOST]
 *
 * Each of thirteen operations runs once for every one of its allocations, which fails alone, and with all that follow it;
 * for at most MOST of them, if that is given. Replaces malloc and its kin, which glibc allows.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#include "check.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

/* Allocations since `arm`; the one that fails, or 0; whether those after it do, too; blocks that are not freed yet. */
static volatile long count, failing, persistent, live;
static volatile int armed;

static int fails(void) {
    long number;
    if (!armed) {
        return 0;
    }
    number = __sync_add_and_fetch(&count, 1);
    if (failing == 0 || number < failing || (number > failing && !persistent)) {
        return 0;
    }
    errno = ENOMEM;
    return 1;
}

/* The program, and the library in it: where it is loaded and where its code ends. */
extern char __executable_start, etext;

static int is_own(const char *caller) {
    return caller >= &__executable_start && caller < &etext;
}

/* Only blocks of the program's own are counted: what glibc keeps for threads stays for the next ones. */
static void *counted(void *block, const char *caller) {
    if (block != NULL && is_own(caller)) {
        __sync_add_and_fetch(&live, 1);
    }
    return block;
}

#define CALLER ((const char *)__builtin_return_address(0))

void *malloc(size_t size) {
    return fails() ? NULL : counted(__libc_malloc(size), CALLER);
}

/*
 * glibc calls it for what a thread has of its own, and ends the process itself if it gets nothing. That is out of a
 * library's hands: such calls are let through.
 */
void *calloc(size_t number, size_t size) {
    return is_own(CALLER) && fails() ? NULL : counted(__libc_calloc(number, size), CALLER);
}

void *realloc(void *block, size_t size) {
    void *moved = fails() ? NULL : __libc_realloc(block, size);
    return block == NULL ? counted(moved, CALLER) : moved;
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    *block = fails() ? NULL : counted(__libc_memalign(alignment, size), CALLER);
    return *block == NULL ? ENOMEM : 0;
}

void *aligned_alloc(size_t alignment, size_t size) {
    return fails() ? NULL : counted(__libc_memalign(alignment, size), CALLER);
}

void free(void *block) {
    if (block != NULL && is_own(CALLER)) {
        __sync_sub_and_fetch(&live, 1);
    }
    __libc_free(block);
}

static void arm(long number, int and_all_after) {
    count = 0;
    failing = number;
    persistent = and_all_after;
    armed = 1;
}

static const char *clip_path, *sam_path, *sam2_path;
static vitrum_context *context;
static vitrum_clip *clip;
static vitrum_sam *sam, *sam2;
static vitrum_sam_embedding *embedding;
static vitrum_sam_prediction *prediction;
static vitrum_tracker *tracker;
static vitrum_image image;
static vitrum_point point = {20, 15, VITRUM_LABEL_FOREGROUND};
static vitrum_sam_prompt prompt;
static uint8_t saved[1 << 22], copy[1 << 22], mask[SIDE * SIDE];
static size_t saved_size;

#define TRY(call)                          \
    do {                                   \
        vitrum_status status = (call);     \
        if (status != VITRUM_OK) {         \
            return status;                 \
        }                                  \
    } while (0)

static vitrum_status make_context(void) {
    vitrum_context *made = NULL;
    vitrum_context_options options;
    vitrum_context_options_init(&options, sizeof options);
    options.threads = 3;
    TRY(vitrum_context_new(&options, &made, &error));
    vitrum_context_free(made);
    return VITRUM_OK;
}

static vitrum_status load_clip(void) {
    vitrum_clip *made = NULL;
    TRY(vitrum_clip_load(context, clip_path, NULL, &made, &error));
    vitrum_clip_free(made);
    return VITRUM_OK;
}

static vitrum_status load_a_sam(const char *path) {
    vitrum_sam *made = NULL;
    TRY(vitrum_sam_load(context, path, NULL, &made, &error));
    vitrum_sam_free(made);
    return VITRUM_OK;
}

static vitrum_status load_sam(void) {
    return load_a_sam(sam_path);
}

static vitrum_status load_sam2(void) {
    return load_a_sam(sam2_path);
}

static vitrum_status classify(void) {
    const char *labels[2] = {"a cat", "a dog"};
    float probabilities[2];
    return vitrum_clip_classify(clip, &image, labels, 2, NULL, probabilities, 2, NULL, &error);
}

static vitrum_status encode(void) {
    vitrum_sam_embedding *made = NULL;
    TRY(vitrum_sam_encode(sam, &image, NULL, NULL, &made, &error));
    vitrum_sam_embedding_free(made);
    return VITRUM_OK;
}

static vitrum_status predict(void) {
    vitrum_sam_prediction *made = NULL;
    vitrum_status status;
    TRY(vitrum_sam_prediction_new(sam, &made, &error));
    status = vitrum_sam_predict(sam, embedding, &prompt, 1, NULL, made, &error);
    if (status == VITRUM_OK) {
        status = vitrum_sam_prediction_mask(made, 0, 0, 0.0f, mask, sizeof mask, NULL, &error);
    }
    vitrum_sam_prediction_free(made);
    return status;
}

static int32_t on_mask(void *user, const vitrum_sam_record *record) {
    (void)user;
    (void)record;
    return 0;
}

static vitrum_status everything(void) {
    vitrum_sam_everything_options options;
    vitrum_sam_everything_options_init(&options, sizeof options);
    options.points_per_side = 4;
    options.pred_iou_thresh = 0.0;
    options.stability_score_thresh = 0.0;
    return vitrum_sam_everything(sam, &image, &options, on_mask, NULL, NULL, NULL, &error);
}

static vitrum_status follow(vitrum_tracker *made) {
    TRY(vitrum_tracker_push_frame(made, &image, NULL, NULL, NULL, &error));
    TRY(vitrum_tracker_add_points(made, -1, 1, &prompt, 0, NULL, NULL, &error));
    TRY(vitrum_tracker_step(made, NULL, NULL, &error));
    TRY(vitrum_tracker_push_frame(made, &image, NULL, NULL, NULL, &error));
    TRY(vitrum_tracker_step(made, NULL, NULL, &error));
    return vitrum_tracker_mask(made, 1, -1, 0.0f, mask, sizeof mask, NULL, &error);
}

static vitrum_status track(void) {
    vitrum_tracker *made = NULL;
    vitrum_status status;
    TRY(vitrum_tracker_new(sam2, SIDE, SIDE, NULL, &made, &error));
    status = follow(made);
    vitrum_tracker_free(made);
    return status;
}

static vitrum_status save(void) {
    size_t needed = 0;
    return vitrum_tracker_save(tracker, copy, sizeof copy, &needed, &error);
}

static vitrum_status restore(void) {
    vitrum_tracker *made = NULL;
    TRY(vitrum_tracker_load(sam2, saved, saved_size, &made, &error));
    vitrum_tracker_free(made);
    return VITRUM_OK;
}

static vitrum_status outline(void) {
    uint32_t corners[2000];
    vitrum_polygon polygons[500];
    size_t needed[2];
    return vitrum_sam_prediction_polygons(prediction, 0, 0, 0.0f, 0.5f, corners, 2000, &needed[0], polygons, 500,
                                          &needed[1], &error);
}

/* More queries than are compared as vectors come from memory, among vectors in both forms. */
static vitrum_status search(void) {
    enum { COUNT = 200, DIM = 16, QUERIES = 12, K = 5 };
    static float values[COUNT * DIM], scales[COUNT];
    static int8_t codes[COUNT * DIM];
    static vitrum_hit hits[QUERIES * K];
    vitrum_vectors vectors;
    size_t i;
    for (i = 0; i < COUNT * DIM; i++) {
        values[i] = (float)(i * 37 % 101) - 50;
    }
    TRY(vitrum_vectors_init(&vectors, sizeof vectors));
    vectors.values = values;
    vectors.count = COUNT;
    vectors.dim = DIM;
    TRY(vitrum_topk(context, values, QUERIES, &vectors, K, NULL, hits, QUERIES * K, NULL, &error));
    TRY(vitrum_quantize_vectors(values, COUNT, DIM, codes, scales, &error));
    vectors.values = NULL;
    vectors.codes = codes;
    vectors.scales = scales;
    return vitrum_topk(context, values, QUERIES, &vectors, K, NULL, hits, QUERIES * K, NULL, &error);
}

static const struct {
    const char *name;
    vitrum_status (*run)(void);
    int is_load;
} operations[] = {
    {"context of 3 threads", make_context, 1}, {"CLIP", load_clip, 1},
    {"SAM", load_sam, 1},                      {"SAM 2", load_sam2, 1},
    {"classify", classify, 0},                 {"encode", encode, 0},
    {"predict", predict, 0},                   {"everything", everything, 0},
    {"track", track, 0},                       {"save", save, 0},
    {"restore", restore, 0},                   {"polygons", outline, 0},
    {"topk", search, 0},
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

static const char *running;
static long tried, refused;

/* Says what was running when the process is ended. */
static void on_abort(int signal) {
    char text[200];
    int length = snprintf(text, sizeof text, "%s: ended the process when allocation %ld failed, %s\n", running, failing,
                          persistent ? "and all after it" : "alone");
    (void)signal;
    if (write(2, text, (size_t)length) < 0) {
        _exit(2);
    }
    _exit(1);
}

/* Runs operation `index` while allocation `number` fails; says how it ended. */
static vitrum_status run_short(int index, long number, int and_all_after) {
    vitrum_status status;
    running = operations[index].name;
    arm(number, and_all_after);
    status = operations[index].run();
    armed = 0;
    if (status != VITRUM_OK && status != VITRUM_E_OUT_OF_MEMORY) {
        fprintf(stderr, "%s, allocation %ld%s: status %d (%s)\n", running, number,
                and_all_after ? " and all after it" : "", status, error.message);
        failures++;
    }
    vitrum_context_trim(context);
    return status;
}

/* The same for all of its allocations, or at most `most`; how many there are. `slack` blocks may be left. */
static long run_all(int index, long most, long slack) {
    long number, all, step, before;
    int and_all_after;
    /* The first time, some memory is taken that stays. */
    CHECK(run_short(index, 0, 0) == VITRUM_OK);
    CHECK(run_short(index, 0, 0) == VITRUM_OK);
    all = count;
    CHECK(all > 0);
    step = most > 0 && all > most ? all / most : 1;
    for (and_all_after = 0; and_all_after < 2; and_all_after++) {
        for (number = 1; number <= all; number += step) {
            before = live;
            tried++;
            refused += run_short(index, number, and_all_after) == VITRUM_E_OUT_OF_MEMORY;
            if (labs(live - before) > slack) {
                fprintf(stderr, "%s, allocation %ld%s: %ld blocks are left\n", running, number,
                        and_all_after ? " and all after it" : "", live - before);
                failures++;
            }
        }
    }
    CHECK(run_short(index, 0, 0) == VITRUM_OK);
    return all;
}

static void open_models(uint32_t threads) {
    vitrum_context_options options;
    image = new_image(VITRUM_PIXEL_RGBA8);
    vitrum_context_options_init(&options, sizeof options);
    options.threads = threads;
    EXPECT(VITRUM_OK, vitrum_context_new(&options, &context, &error));
    EXPECT(VITRUM_OK, vitrum_clip_load(context, clip_path, NULL, &clip, &error));
    EXPECT(VITRUM_OK, vitrum_sam_load(context, sam_path, NULL, &sam, &error));
    EXPECT(VITRUM_OK, vitrum_sam_load(context, sam2_path, NULL, &sam2, &error));
    EXPECT(VITRUM_OK, vitrum_sam_encode(sam, &image, NULL, NULL, &embedding, &error));
    vitrum_sam_prompt_init(&prompt, sizeof prompt);
    prompt.points = &point;
    prompt.point_count = 1;
    EXPECT(VITRUM_OK, vitrum_sam_prediction_new(sam, &prediction, &error));
    EXPECT(VITRUM_OK, vitrum_sam_predict(sam, embedding, &prompt, 1, NULL, prediction, &error));
    EXPECT(VITRUM_OK, vitrum_tracker_new(sam2, SIDE, SIDE, NULL, &tracker, &error));
    CHECK(follow(tracker) == VITRUM_OK);
    EXPECT(VITRUM_OK, vitrum_tracker_save(tracker, saved, sizeof saved, &saved_size, &error));
}

static void close_models(void) {
    vitrum_tracker_free(tracker);
    vitrum_sam_prediction_free(prediction);
    vitrum_sam_embedding_free(embedding);
    vitrum_sam_free(sam2);
    vitrum_sam_free(sam);
    vitrum_clip_free(clip);
    vitrum_context_free(context);
    tracker = NULL;
    prediction = NULL;
    embedding = NULL;
    sam2 = sam = NULL;
    clip = NULL;
    context = NULL;
}

int main(int argc, char **argv) {
    long most = argc > 4 ? atol(argv[4]) : 0;
    uint32_t threads;
    int index;
    if (argc < 4) {
        return 2;
    }
    clip_path = argv[1];
    sam_path = argv[2];
    sam2_path = argv[3];
    vitrum_error_init(&error, sizeof error);
    signal(SIGABRT, on_abort);
    for (threads = 1; threads <= 2 && failures == 0; threads++) {
        open_models(threads);
        for (index = 0; index < OPERATIONS && failures == 0; index++) {
            /* Threads free blocks of their queues when it suits them. */
            long slack = threads == 1 && operations[index].run != make_context ? 0 : 16, all;
            if (threads == 2 && operations[index].is_load) {
                continue;
            }
            all = run_all(index, most, slack);
            printf("%-22s %u threads, %6ld allocations\n", operations[index].name, (unsigned)threads, all);
            fflush(stdout);
        }
        close_models();
    }
    /* Else nothing was refused, and nothing tried. */
    CHECK(refused > 0);
    printf("%ld failures of memory, %ld calls refused\n", tried, refused);
    if (failures == 0) {
        puts("out_of_memory: ok");
    }
    return failures != 0;
}
