/*
 * Uses every function as it is meant to be, and checks that the ways that must agree do: use MODEL
 */
#include <math.h>
#include <pthread.h>

#include "check.h"

enum { IMAGES = 3, TEXTS = 2, THREADS = 3 };

static const char *const LABELS[TEXTS] = {"cat", "dog"};
static const char *const PROMPTS[TEXTS] = {"a photo of a cat", "a photo of a dog"};

/* A host's threads: every piece of work on a thread of its own. */
struct job {
    vitrum_work work;
    void *data;
    size_t index;
};

static void *run_job(void *job) {
    struct job *j = job;
    j->work(j->data, j->index);
    return NULL;
}

static void run_on_threads(void *user, size_t count, void *data, vitrum_work work) {
    pthread_t threads[THREADS];
    struct job jobs[THREADS];
    size_t i, started = 0;
    CHECK(count <= THREADS);
    for (i = 0; i < count; i++) {
        jobs[i].work = work;
        jobs[i].data = data;
        jobs[i].index = i;
        started += pthread_create(&threads[i], NULL, run_job, &jobs[i]) == 0;
    }
    for (i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    ++*(int *)user;
}

static float *encode(const vitrum_clip *clip, uint32_t normalize) {
    vitrum_image images[IMAGES];
    vitrum_clip_encode_options options;
    size_t needed = 0;
    float *out;
    CHECK(vitrum_clip_encode_options_init(&options, sizeof options) == VITRUM_OK && options.normalize == 1);
    options.normalize = normalize;
    images[0] = new_image(VITRUM_PIXEL_RGBA8);
    images[1] = new_image(VITRUM_PIXEL_GRAY8);
    images[2] = images[0];
    images[2].format = VITRUM_PIXEL_BGRA8;
    images[2].width = SIDE - 7;
    EXPECT(VITRUM_OK, vitrum_clip_encode_image(clip, images, IMAGES, &options, NULL, 0, &needed, &error));
    CHECK(needed == IMAGES * vitrum_clip_embed_dim(clip));
    out = calloc(needed, sizeof *out);
    EXPECT(VITRUM_OK,
           vitrum_clip_encode_image(clip, images, IMAGES, &options, out, needed, &needed, &error));
    return out;
}

/* Probabilities from `classify` are the softmax of `similarity` between the embeddings. */
static void check_results(const vitrum_clip *clip) {
    const size_t dim = vitrum_clip_embed_dim(clip);
    float *images = encode(clip, 1), *raw = encode(clip, 0), *texts = calloc(TEXTS * dim, sizeof *texts);
    float logits[IMAGES * TEXTS], probabilities[TEXTS];
    const vitrum_image image = new_image(VITRUM_PIXEL_RGBA8);
    uint32_t tokens[80];
    size_t needed = 0, i;
    double length = 0, raw_length = 0, expected;
    vitrum_clip_classify_options options;

    CHECK(vitrum_clip_has_independent_probabilities(clip) == 0);
    for (i = 0; i < dim; i++) {
        length += (double)images[i] * images[i];
        raw_length += (double)raw[i] * raw[i];
    }
    CHECK(fabs(length - 1) < 1e-5);
    for (i = 0; i < dim; i++) {
        CHECK(fabs(images[i] - raw[i] / sqrt(raw_length)) < 1e-5);
    }
    EXPECT(VITRUM_OK, vitrum_clip_encode_text(clip, PROMPTS, TEXTS, NULL, texts, TEXTS * dim, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_clip_similarity(clip, images, IMAGES, texts, TEXTS, logits, IMAGES * TEXTS,
                                             &needed, &error));
    CHECK(needed == IMAGES * TEXTS);
    EXPECT(VITRUM_OK, vitrum_clip_classify(clip, &image, LABELS, TEXTS, NULL, probabilities, TEXTS, &needed,
                                           &error));
    CHECK(needed == TEXTS);
    expected = 1 / (1 + exp((double)logits[1] - logits[0]));
    CHECK(fabs(probabilities[0] - expected) < 1e-4);
    CHECK(fabs(probabilities[0] + probabilities[1] - 1.0) < 1e-5);
    CHECK(vitrum_clip_classify_options_init(&options, sizeof options) == VITRUM_OK);
    options.label_template = "a photo of a {}";
    EXPECT(VITRUM_OK, vitrum_clip_classify(clip, &image, LABELS, TEXTS, &options, &logits[0], TEXTS, NULL, &error));
    CHECK(memcmp(logits, probabilities, sizeof probabilities) == 0);
    options.label_template = "not {}";
    EXPECT(VITRUM_OK, vitrum_clip_classify(clip, &image, LABELS, TEXTS, &options, &logits[0], TEXTS, NULL, &error));
    CHECK(memcmp(logits, probabilities, sizeof probabilities) != 0);

    EXPECT(VITRUM_OK, vitrum_clip_tokenize(clip, PROMPTS[0], NULL, 0, &needed, &error));
    CHECK(needed > 2 && needed <= 80);
    EXPECT(VITRUM_OK, vitrum_clip_tokenize(clip, PROMPTS[0], tokens, 80, &needed, &error));
    CHECK(tokens[0] != tokens[needed - 1]);
    CHECK(vitrum_clip_memory_bytes(clip) > 100000);
    free(images);
    free(raw);
    free(texts);
}

/* The same model, loaded in another way, gives the same bits. */
static void check_same(const vitrum_clip *clip, const float *expected) {
    float *embeddings = encode(clip, 1);
    CHECK(memcmp(embeddings, expected, IMAGES * vitrum_clip_embed_dim(clip) * sizeof *embeddings) == 0);
    free(embeddings);
}

static int32_t stop(void *user, float fraction) {
    float *last = user;
    last[0] = fraction;
    last[1] += 1;
    return -1;
}

/* Every call but loading that has a callback in its options; each is handed 2 floats of `users`. */
static void call_all(const vitrum_clip *clip, vitrum_progress progress, float *users, vitrum_status expected,
                     float *out) {
    const vitrum_image image = new_image(VITRUM_PIXEL_RGBA8);
    const size_t dim = vitrum_clip_embed_dim(clip);
    vitrum_clip_encode_options encode_options;
    vitrum_clip_classify_options options;
    CHECK(vitrum_clip_encode_options_init(&encode_options, sizeof encode_options) == VITRUM_OK);
    CHECK(vitrum_clip_classify_options_init(&options, sizeof options) == VITRUM_OK);
    CHECK(encode_options.progress == NULL && options.progress == NULL);
    encode_options.progress = options.progress = progress;
    encode_options.progress_user = users;
    EXPECT(expected, vitrum_clip_encode_image(clip, &image, 1, &encode_options, out, dim, NULL, &error));
    encode_options.progress_user = users + 2;
    EXPECT(expected, vitrum_clip_encode_text(clip, LABELS, 1, &encode_options, out + dim, dim, NULL, &error));
    options.progress_user = users + 4;
    EXPECT(expected, vitrum_clip_classify(clip, &image, LABELS, TEXTS, &options, out + 2 * dim, TEXTS, NULL, &error));
}

/* Calls report to their end. One that is stopped writes nothing, and the next gives the same bits. */
static void check_progress(const vitrum_context *context, const char *model) {
    vitrum_clip_options options;
    vitrum_clip *clip = NULL;
    float progress[6] = {0}, stopped[6] = {0}, *out[3];
    size_t len, i;
    CHECK(vitrum_clip_options_init(&options, sizeof options) == VITRUM_OK && options.progress == NULL);
    options.progress = stop;
    options.progress_user = stopped;
    EXPECT(VITRUM_E_CANCELLED, vitrum_clip_load(context, model, &options, &clip, &error));
    CHECK(clip == NULL && stopped[1] == 1);
    options.progress = count_steps;
    options.progress_user = progress;
    EXPECT(VITRUM_OK, vitrum_clip_load(context, model, &options, &clip, &error));
    CHECK(progress[0] == 1 && progress[1] >= 1);

    len = 2 * vitrum_clip_embed_dim(clip) + TEXTS;
    for (i = 0; i < 3; i++) {
        out[i] = calloc(len, sizeof **out);
    }
    memset(progress, 0, sizeof progress);
    memset(stopped, 0, sizeof stopped);
    call_all(clip, NULL, progress, VITRUM_OK, out[0]);
    call_all(clip, stop, stopped, VITRUM_E_CANCELLED, out[1]);
    for (i = 0; i < len; i++) {
        CHECK(out[1][i] == 0);
    }
    call_all(clip, count_steps, progress, VITRUM_OK, out[2]);
    CHECK(memcmp(out[0], out[2], len * sizeof **out) == 0);
    for (i = 0; i < 6; i += 2) {
        CHECK(progress[i] == 1 && stopped[i + 1] == 1);
    }
    for (i = 0; i < 3; i++) {
        free(out[i]);
    }
    vitrum_clip_free(clip);
}

static vitrum_clip *load_from_memory(const vitrum_context *context, const char *model) {
    static const char *const names[] = {"tokenizer.json", "preprocessor_config.json", "model.safetensors",
                                        "config.json"};
    vitrum_clip *clip = NULL;
    vitrum_file files[4];
    size_t i;
    for (i = 0; i < 4; i++) {
        files[i] = read_file(model, names[i]);
    }
    EXPECT(VITRUM_OK, vitrum_clip_load_memory(context, files, 4, NULL, &clip, &error));
    /* The model does not need them any more. */
    for (i = 0; i < 4; i++) {
        free((void *)files[i].data);
    }
    return clip;
}

/* `vitrum_image` before there was NV12. */
struct old_image {
    uint32_t struct_size;
    vitrum_pixel_format format;
    const uint8_t *data;
    uint32_t width;
    uint32_t height;
    size_t row_stride;
};

/* Programs built with the old struct get what they got; luma without colour is a grey picture. */
static void check_image_versions(const vitrum_clip *clip) {
    const size_t dim = vitrum_clip_embed_dim(clip);
    float *new_out = calloc(2 * dim, sizeof *new_out), *old_out = calloc(2 * dim, sizeof *old_out);
    uint8_t grey[SIDE * SIDE / 2];
    vitrum_image images[2];
    struct old_image old[2];
    size_t i;
    images[0] = new_image(VITRUM_PIXEL_RGBA8);
    images[1] = new_image(VITRUM_PIXEL_GRAY8);
    images[1].row_stride = SIDE;
    for (i = 0; i < 2; i++) {
        /* Nothing is written beyond the old struct. */
        vitrum_image_init((vitrum_image *)(void *)&old[i], sizeof old[i]);
        old[i].format = images[i].format;
        old[i].data = images[i].data;
        old[i].width = images[i].width;
        old[i].height = images[i].height;
        old[i].row_stride = images[i].row_stride;
    }
    EXPECT(VITRUM_OK, vitrum_clip_encode_image(clip, images, 2, NULL, new_out, 2 * dim, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_clip_encode_image(clip, (const vitrum_image *)(const void *)old, 2, NULL, old_out,
                                               2 * dim, NULL, &error));
    CHECK(memcmp(new_out, old_out, 2 * dim * sizeof *new_out) == 0);

    memset(grey, 128, sizeof grey);
    images[0] = images[1];
    images[0].format = VITRUM_PIXEL_NV12;
    images[0].chroma = grey;
    images[0].chroma_stride = SIDE;
    images[0].yuv_matrix = VITRUM_YUV_BT709;
    images[0].yuv_full_range = 1;
    EXPECT(VITRUM_OK, vitrum_clip_encode_image(clip, images, 1, NULL, old_out, dim, NULL, &error));
    CHECK(memcmp(new_out + dim, old_out, dim * sizeof *new_out) == 0);
    images[0].yuv_full_range = 0;
    EXPECT(VITRUM_OK, vitrum_clip_encode_image(clip, images, 1, NULL, old_out, dim, NULL, &error));
    CHECK(memcmp(new_out + dim, old_out, dim * sizeof *new_out) != 0);
    free(new_out);
    free(old_out);
}

static void *encode_on_thread(void *clip) {
    vitrum_error own;
    /* As new_image makes it, which is for one thread. */
    const vitrum_image image = {sizeof image, VITRUM_PIXEL_RGBA8, pixels, SIDE, SIDE, SIDE * 4, NULL, 0, 0, 0};
    float *out = calloc(vitrum_clip_embed_dim(clip), sizeof *out);
    vitrum_error_init(&own, sizeof own);
    if (vitrum_clip_encode_image(clip, &image, 1, NULL, out, vitrum_clip_embed_dim(clip), NULL, &own)) {
        free(out);
        return NULL;
    }
    return out;
}

/* One model, several threads at the same time. */
static void check_sharing(vitrum_clip *clip, const float *expected) {
    pthread_t threads[THREADS];
    int i;
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, encode_on_thread, clip) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        void *embedding = NULL;
        pthread_join(threads[i], &embedding);
        CHECK(embedding && !memcmp(embedding, expected, vitrum_clip_embed_dim(clip) * sizeof *expected));
        free(embedding);
    }
}

static vitrum_context *new_threaded_context(uint32_t threads, vitrum_parallel_for parallel_for, int *calls) {
    vitrum_context *context = NULL;
    vitrum_context_options options;
    vitrum_context_options_init(&options, sizeof options);
    options.threads = threads;
    options.isa = VITRUM_ISA_PORTABLE;
    options.parallel_for = parallel_for;
    options.parallel_for_user = calls;
    EXPECT(VITRUM_OK, vitrum_context_new(&options, &context, &error));
    CHECK(vitrum_context_threads(context) == threads);
    CHECK(vitrum_context_isa(context) == VITRUM_ISA_PORTABLE);
    return context;
}

/* What exceeds a limit of the context is refused; limits that are large enough change nothing. */
static void check_limits(const char *path, const float *expected) {
    vitrum_limits limits;
    vitrum_context_options options;
    vitrum_context *context = NULL;
    vitrum_clip *clip = NULL;
    int i;
    CHECK(vitrum_limits_init(&limits, sizeof limits) == VITRUM_OK);
    CHECK(limits.image_size == 2048 && limits.objects == 1024 && limits.weights_bytes == (uint64_t)16 << 30);
    CHECK(vitrum_context_options_init(&options, sizeof options) == VITRUM_OK);
    options.threads = 2;
    options.isa = VITRUM_ISA_PORTABLE;
    options.limits = &limits;
    for (i = 0; i < 2; i++) {
        limits.image_size = i == 0 ? 8 : 0;
        limits.weights_bytes = i == 0 ? 0 : 1000;
        EXPECT(VITRUM_OK, vitrum_context_new(&options, &context, &error));
        EXPECT(VITRUM_E_LIMIT, vitrum_clip_load(context, path, NULL, &clip, &error));
        CHECK(strstr(error.message, i == 0 ? "limit image_size is 8" : "limit weights_bytes is 1000"));
        CHECK(clip == NULL);
        vitrum_context_free(context);
    }
    /* Nothing is kept, and every call takes memory again. */
    memset(&limits, 0, sizeof limits);
    limits.struct_size = sizeof limits;
    limits.idle_scratch_bytes = 1;
    limits.allow_non_finite = 1;
    EXPECT(VITRUM_OK, vitrum_context_new(&options, &context, &error));
    EXPECT(VITRUM_OK, vitrum_clip_load(context, path, NULL, &clip, &error));
    check_same(clip, expected);
    vitrum_clip_free(clip);
    vitrum_context_free(context);
}

int main(int argc, char **argv) {
    vitrum_context *context = NULL;
    vitrum_clip *clip = NULL;
    vitrum_clip_options options;
    char warning[2];
    float *expected;
    int calls = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: use MODEL\n");
        return 2;
    }
    CHECK(vitrum_error_init(&error, sizeof error) == VITRUM_OK);

    /* The model outlives the handle of its context. */
    context = new_context();
    check_progress(context, argv[1]);
    EXPECT(VITRUM_OK, vitrum_clip_load(context, argv[1], NULL, &clip, &error));
    vitrum_context_trim(context);
    vitrum_context_free(context);
    check_results(clip);
    check_image_versions(clip);
    expected = encode(clip, 1);
    check_sharing(clip, expected);
    vitrum_clip_free(clip);

    context = new_threaded_context(THREADS, run_on_threads, &calls);
    clip = load_from_memory(context, argv[1]);
    check_same(clip, expected);
    check_progress(context, argv[1]);
    CHECK(calls > 0);
    vitrum_clip_free(clip);
    vitrum_context_free(context);

    context = new_threaded_context(2, NULL, NULL);
    vitrum_clip_options_init(&options, sizeof options);
    for (options.mmap = 1; options.mmap <= 2; options.mmap++) {
        EXPECT(VITRUM_OK, vitrum_clip_load(context, argv[1], &options, &clip, &error));
        check_same(clip, expected);
        EXPECT(VITRUM_OK, vitrum_clip_warnings(clip, warning, sizeof warning, NULL, &error));
        CHECK(warning[0] == 0);
        vitrum_clip_free(clip);
    }
    options.mmap = 1;
    /* As a program has it that was built before there was more than these two fields. */
    options.struct_size = 2 * sizeof options.struct_size;
    options.activation = 7;
    options.weights = 77;
    EXPECT(VITRUM_OK, vitrum_clip_load(context, argv[1], &options, &clip, &error));
    check_same(clip, expected);
    vitrum_clip_free(clip);
    vitrum_context_free(context);

    /* Weights in the fewest bits that tell the pictures apart, with AMX if there is any. */
    {
        vitrum_context_options context_options;
        vitrum_context_options_init(&context_options, sizeof context_options);
        context_options.amx = 1;
        EXPECT(VITRUM_OK, vitrum_context_new(&context_options, &context, &error));
        CHECK(vitrum_context_amx(context) != VITRUM_AMX_NOT_ASKED);
        vitrum_clip_options_init(&options, sizeof options);
        options.weights = VITRUM_WEIGHTS_INT8;
        EXPECT(VITRUM_OK, vitrum_clip_load(context, argv[1], &options, &clip, &error));
        check_results(clip);
        vitrum_clip_free(clip);
        vitrum_context_free(context);
    }

    check_limits(argv[1], expected);

    /* Defaults: the best instruction set, all cores, no AMX. */
    EXPECT(VITRUM_OK, vitrum_context_new(NULL, &context, &error));
    CHECK(vitrum_context_isa(context) != VITRUM_ISA_BEST);
    CHECK(vitrum_context_amx(context) == VITRUM_AMX_NOT_ASKED);
    vitrum_context_free(context);

    free(expected);
    printf("use: %s\n", failures ? "failed" : "ok");
    return failures != 0;
}
