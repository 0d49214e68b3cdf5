/*
 * Calls every function in every wrong way that can be detected, and checks the status, the message, that
 * results are untouched and that the handles still work: misuse MODEL
 *
 * Not here, because nothing can detect it: handles used or freed after they were freed, and pointers to less
 * memory than the caller says.
 */
#include "check.h"

static const char *const LABELS[] = {"cat", "dog", "tree"};
static const char *const BAD_UTF8[] = {"cat", "d\xffg"};
static const char *const WITH_NULL[] = {"cat", NULL};

static void misuse_structs(void) {
    static const size_t wrong[] = {0, 4, sizeof(vitrum_error) - 1, (size_t)-1};
    vitrum_error e;
    vitrum_image image;
    vitrum_clip_options clip_options;
    vitrum_clip_encode_options encode_options;
    vitrum_clip_classify_options classify_options;
    vitrum_context_options context_options;
    vitrum_limits limits;
    vitrum_context *context = NULL;
    size_t i;

    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memset(&e, 0x5a, sizeof e);
        CHECK(vitrum_error_init(&e, wrong[i]) == VITRUM_E_STRUCT_SIZE);
        CHECK(e.code == 0x5a5a5a5a);
        CHECK(vitrum_image_init(&image, wrong[i]) == VITRUM_E_STRUCT_SIZE);
        CHECK(vitrum_clip_options_init(&clip_options, wrong[i]) == VITRUM_E_STRUCT_SIZE);
        CHECK(vitrum_clip_encode_options_init(&encode_options, wrong[i]) == VITRUM_E_STRUCT_SIZE);
        CHECK(vitrum_clip_classify_options_init(&classify_options, wrong[i]) == VITRUM_E_STRUCT_SIZE);
        CHECK(vitrum_context_options_init(&context_options, wrong[i]) == VITRUM_E_STRUCT_SIZE);
        CHECK(vitrum_limits_init(&limits, wrong[i]) == VITRUM_E_STRUCT_SIZE);

        memset(&context_options, 0, sizeof context_options);
        context_options.struct_size = (uint32_t)wrong[i];
        EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_context_new(&context_options, &context, &error));
        /* An error of another size is not touched. */
        e.struct_size = (uint32_t)wrong[i];
        CHECK(vitrum_context_new(NULL, &context, &e) == VITRUM_E_STRUCT_SIZE);
        CHECK(e.code == 0x5a5a5a5a && context == NULL);
    }
    CHECK(vitrum_error_init(NULL, sizeof e) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_image_init(NULL, sizeof image) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_clip_options_init(NULL, sizeof clip_options) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_clip_encode_options_init(NULL, sizeof encode_options) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_clip_classify_options_init(NULL, sizeof classify_options) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_context_options_init(NULL, sizeof context_options) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_context_new(NULL, NULL, NULL) == VITRUM_E_NULL_POINTER);
    CHECK(strcmp(vitrum_status_string(-1), vitrum_status_string(12345)) == 0);
    CHECK(strcmp(vitrum_version_string(), VITRUM_VERSION) == 0);
    CHECK(vitrum_abi_version() == VITRUM_ABI_VERSION);
}

static void *alloc_nothing(void *user, size_t size, size_t alignment) {
    (void)user, (void)size, (void)alignment;
    return NULL;
}

static void run_serially(void *user, size_t count, void *data, vitrum_work work) {
    size_t i;
    (void)user;
    for (i = 0; i < count; i++) {
        work(data, i);
    }
}

static void misuse_contexts(void) {
    vitrum_context *context = NULL;
    vitrum_context_options options;
    vitrum_limits limits;
    vitrum_context_options_init(&options, sizeof options);

    EXPECT(VITRUM_E_NULL_POINTER, vitrum_context_new(NULL, NULL, &error));
    options.threads = 100000;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_context_new(&options, &context, &error));
    options.parallel_for = run_serially;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_context_new(&options, &context, &error));
    options.threads = 0;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_context_new(&options, &context, &error));
    options.parallel_for = NULL;
    options.threads = 1;
    options.isa = 77;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_context_new(&options, &context, &error));
    options.isa = -1;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_context_new(&options, &context, &error));
    options.isa = VITRUM_ISA_BEST;
    options.amx = 2;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_context_new(&options, &context, &error));
    options.amx = 0;
    options.reserved = 1;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_context_new(&options, &context, &error));
    options.reserved = 0;
    options.limits = &limits;
    limits.struct_size = 3;
    EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_context_new(&options, &context, &error));
    CHECK(vitrum_limits_init(&limits, sizeof limits) == VITRUM_OK);
    limits.allow_non_finite = 2;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_context_new(&options, &context, &error));
    options.limits = NULL;
    options.isa = VITRUM_ISA_SIMD128;
    EXPECT(VITRUM_E_UNSUPPORTED, vitrum_context_new(&options, &context, &error));
    CHECK(context == NULL);
    CHECK(vitrum_context_threads(NULL) == 0);
    CHECK(vitrum_context_isa(NULL) == 0);
    CHECK(vitrum_context_amx(NULL) == VITRUM_AMX_NOT_ASKED);
    vitrum_context_trim(NULL);
    vitrum_context_free(NULL);

    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_allocator_set(alloc_nothing, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_allocator_set(NULL, NULL, NULL, &error));
}

/* Of a model whose tokenizer is none. */
static void misuse_warnings(const vitrum_clip *clip) {
    char text[512];
    size_t needed = 0;
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_warnings(NULL, text, sizeof text, &needed, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_warnings(clip, NULL, 1, &needed, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_warnings(clip, NULL, 0, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_clip_warnings(clip, NULL, 0, &needed, &error));
    CHECK(needed > 1 && needed <= sizeof text);
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL, vitrum_clip_warnings(clip, text, needed - 1, &needed, &error));
    EXPECT(VITRUM_OK, vitrum_clip_warnings(clip, text, sizeof text, NULL, &error));
    CHECK(strlen(text) + 1 == needed && strstr(text, "texts cannot be encoded") != NULL);
}

static void misuse_loading(const vitrum_context *context, const char *model) {
    vitrum_clip *clip = NULL;
    vitrum_clip_options options;
    vitrum_file files[3];
    vitrum_clip_options_init(&options, sizeof options);

    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_load(NULL, model, NULL, &clip, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_load(context, NULL, NULL, &clip, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_load(context, model, NULL, NULL, &error));
    EXPECT(VITRUM_E_NOT_FOUND, vitrum_clip_load(context, "no/such/model", NULL, &clip, &error));
    CHECK(strstr(error.message, "no/such/model") != NULL);
    EXPECT(VITRUM_E_UTF8, vitrum_clip_load(context, "mod\xff" "el", NULL, &clip, &error));
    options.mmap = 3;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_load(context, model, &options, &clip, &error));
    options.mmap = 0;
    options.lenient = 2;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_load(context, model, &options, &clip, &error));
    options.lenient = 0;
    options.activation = 7;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_load(context, model, &options, &clip, &error));
    options.activation = VITRUM_ACTIVATION_OF_FILES;
    options.vocabulary_size = 1;
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_load(context, model, &options, &clip, &error));
    options.struct_size = 4;
    EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_clip_load(context, model, &options, &clip, &error));

    files[0] = read_file(model, "model.safetensors");
    files[1] = read_file(model, "config.json");
    files[2] = files[1];
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_load_memory(context, files, 0, NULL, &clip, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_load_memory(context, NULL, 2, NULL, &clip, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_load_memory(NULL, files, 2, NULL, &clip, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_load_memory(context, files, 2, NULL, NULL, &error));
    /* No weights; a file twice; a file of no model; a missing name; missing contents; mmap. */
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_load_memory(context, files + 1, 1, NULL, &clip, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_load_memory(context, files, 3, NULL, &clip, &error));
    files[2].name = "passwd";
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_load_memory(context, files, 3, NULL, &clip, &error));
    files[2].name = NULL;
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_load_memory(context, files, 3, NULL, &clip, &error));
    files[2].name = "tokenizer.json";
    files[2].data = NULL;
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_load_memory(context, files, 3, NULL, &clip, &error));
    files[2].data = files[1].data;
    EXPECT(VITRUM_OK, vitrum_clip_load_memory(context, files, 3, NULL, &clip, &error));
    misuse_warnings(clip);
    vitrum_clip_free(clip);
    clip = NULL;
    vitrum_clip_options_init(&options, sizeof options);
    options.mmap = 1;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_load_memory(context, files, 2, &options, &clip, &error));
    /* Truncated and empty weights. */
    files[0].size -= 1;
    EXPECT(VITRUM_E_FORMAT, vitrum_clip_load_memory(context, files, 2, NULL, &clip, &error));
    files[0].size = 0;
    EXPECT(VITRUM_E_FORMAT, vitrum_clip_load_memory(context, files, 2, NULL, &clip, &error));
    CHECK(clip == NULL);
    free((void *)files[0].data);
    free((void *)files[1].data);

    CHECK(vitrum_clip_embed_dim(NULL) == 0);
    CHECK(vitrum_clip_has_independent_probabilities(NULL) == 0);
    CHECK(vitrum_clip_memory_bytes(NULL) == 0);
    vitrum_clip_free(NULL);
}

static void misuse_images(const vitrum_clip *clip) {
    const vitrum_image good = new_image(VITRUM_PIXEL_RGB8);
    const size_t dim = vitrum_clip_embed_dim(clip);
    float *out = malloc(2 * dim * sizeof *out);
    size_t needed = 0, i;
    vitrum_image images[2], image = good;
    vitrum_clip_encode_options bad_options;
    struct {
        uint32_t width, height;
        size_t row_stride;
        vitrum_pixel_format format;
        vitrum_status status;
    } bad[] = {
        {0, SIDE, SIDE * 3, VITRUM_PIXEL_RGB8, VITRUM_E_IMAGE},
        {SIDE, 0, SIDE * 3, VITRUM_PIXEL_RGB8, VITRUM_E_IMAGE},
        {SIDE, SIDE, SIDE * 3 - 1, VITRUM_PIXEL_RGB8, VITRUM_E_IMAGE},
        {SIDE, SIDE, 0, VITRUM_PIXEL_GRAY8, VITRUM_E_IMAGE},
        {SIDE, SIDE, (size_t)-1, VITRUM_PIXEL_RGB8, VITRUM_E_IMAGE},
        {65536, 65536, 65536 * 3, VITRUM_PIXEL_RGB8, VITRUM_E_IMAGE},
        {0xffffffff, 0xffffffff, (size_t)-1, VITRUM_PIXEL_RGBA8, VITRUM_E_IMAGE},
        {SIDE, SIDE, SIDE * 3, 0, VITRUM_E_INVALID_ARGUMENT},
        {SIDE, SIDE, SIDE * 3, 7, VITRUM_E_INVALID_ARGUMENT},
        {SIDE, SIDE, SIDE * 3, -1, VITRUM_E_INVALID_ARGUMENT},
    };
    out[0] = 42;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        images[0] = good;
        images[1] = good;
        images[1].width = bad[i].width;
        images[1].height = bad[i].height;
        images[1].row_stride = bad[i].row_stride;
        images[1].format = bad[i].format;
        EXPECT(bad[i].status, vitrum_clip_encode_image(clip, images, 2, NULL, out, 2 * dim, &needed, &error));
        CHECK(strstr(error.message, "images[1]") != NULL);
        EXPECT(bad[i].status,
               vitrum_clip_classify(clip, &images[1], LABELS, 3, NULL, out, 3, &needed, &error));
    }
    image.struct_size = 4;
    EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_clip_encode_image(clip, &image, 1, NULL, out, dim, &needed, &error));
    image = good;
    image.data = NULL;
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_encode_image(clip, &image, 1, NULL, out, dim, &needed, &error));

    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_encode_image(NULL, &good, 1, NULL, out, dim, &needed, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_encode_image(clip, NULL, 1, NULL, out, dim, &needed, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_encode_image(clip, &good, 0, NULL, out, dim, &needed, &error));
    vitrum_clip_encode_options_init(&bad_options, sizeof bad_options);
    bad_options.normalize = 2;
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_clip_encode_image(clip, &good, 1, &bad_options, out, dim, &needed, &error));
    CHECK(strstr(error.message, "normalize") != NULL);
    bad_options.struct_size = 4;
    EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_clip_encode_image(clip, &good, 1, &bad_options, out, dim, &needed, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_encode_image(clip, &good, 1, NULL, NULL, dim, &needed, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_encode_image(clip, &good, 1, NULL, NULL, 0, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_clip_encode_image(clip, &good, 1, NULL, (float *)(void *)((char *)out + 1), dim, NULL, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL,
           vitrum_clip_encode_image(clip, &good, 1, NULL, out, dim - 1, &needed, &error));
    CHECK(needed == dim);
    CHECK(out[0] == 42);
    EXPECT(VITRUM_OK, vitrum_clip_encode_image(clip, &good, 1, NULL, NULL, 0, &needed, &error));
    EXPECT(VITRUM_OK, vitrum_clip_encode_image(clip, &good, 1, NULL, out, dim, NULL, &error));
    CHECK(vitrum_clip_encode_image(clip, &good, 1, NULL, out, dim, NULL, NULL) == VITRUM_OK);
    free(out);
}

static void misuse_nv12(const vitrum_clip *clip) {
    const size_t dim = vitrum_clip_embed_dim(clip);
    float *out = calloc(2 * dim, sizeof *out);
    vitrum_image images[2], good = new_image(VITRUM_PIXEL_NV12), image;
    good.row_stride = SIDE;
    good.chroma = pixels + SIDE * SIDE;
    good.chroma_stride = SIDE;
    EXPECT(VITRUM_OK, vitrum_clip_encode_image(clip, &good, 1, NULL, out, dim, NULL, &error));
    image = good;
    image.chroma = NULL;
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_encode_image(clip, &image, 1, NULL, out, dim, NULL, &error));
    image = good;
    image.chroma_stride = SIDE - 1;
    EXPECT(VITRUM_E_IMAGE, vitrum_clip_encode_image(clip, &image, 1, NULL, out, dim, NULL, &error));
    image.chroma_stride = (size_t)-1;
    EXPECT(VITRUM_E_IMAGE, vitrum_clip_encode_image(clip, &image, 1, NULL, out, dim, NULL, &error));
    /* An odd width needs one more pair. */
    image = good;
    image.width = SIDE - 1;
    image.chroma_stride = SIDE - 2;
    EXPECT(VITRUM_E_IMAGE, vitrum_clip_encode_image(clip, &image, 1, NULL, out, dim, NULL, &error));
    image = good;
    image.yuv_matrix = 2;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_encode_image(clip, &image, 1, NULL, out, dim, NULL, &error));
    image = good;
    image.yuv_full_range = 2;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_encode_image(clip, &image, 1, NULL, out, dim, NULL, &error));
    /* A size of no version, the size of the version without NV12, and two versions in one array. */
    image = good;
    image.struct_size = (uint32_t)sizeof image - 4;
    EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_clip_encode_image(clip, &image, 1, NULL, out, dim, NULL, &error));
    image.struct_size = (uint32_t)offsetof(vitrum_image, chroma);
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_encode_image(clip, &image, 1, NULL, out, dim, NULL, &error));
    images[0] = images[1] = good;
    images[1].struct_size = (uint32_t)offsetof(vitrum_image, chroma);
    EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_clip_encode_image(clip, images, 2, NULL, out, 2 * dim, NULL, &error));
    CHECK(strstr(error.message, "images[1]") != NULL);
    free(out);
}

static void misuse_texts(const vitrum_clip *clip) {
    const vitrum_image image = new_image(VITRUM_PIXEL_RGBA8);
    const size_t dim = vitrum_clip_embed_dim(clip);
    float *out = malloc(2 * dim * sizeof *out);
    uint32_t tokens[2] = {7, 7};
    size_t needed = 0;
    vitrum_clip_classify_options no_place, not_utf8;
    out[0] = 42;
    vitrum_clip_classify_options_init(&no_place, sizeof no_place);
    not_utf8 = no_place;
    no_place.label_template = "a photo";
    not_utf8.label_template = "{}\xc3";

    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_encode_text(NULL, LABELS, 2, NULL, out, 2 * dim, &needed, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_encode_text(clip, NULL, 2, NULL, out, 2 * dim, &needed, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_clip_encode_text(clip, LABELS, 0, NULL, out, 2 * dim, &needed, &error));
    EXPECT(VITRUM_E_NULL_POINTER,
           vitrum_clip_encode_text(clip, WITH_NULL, 2, NULL, out, 2 * dim, &needed, &error));
    CHECK(strstr(error.message, "texts[1]") != NULL);
    EXPECT(VITRUM_E_UTF8, vitrum_clip_encode_text(clip, BAD_UTF8, 2, NULL, out, 2 * dim, &needed, &error));
    CHECK(strstr(error.message, "texts[1]") != NULL);
    EXPECT(VITRUM_E_LIMIT,
           vitrum_clip_encode_text(clip, LABELS, (size_t)-1, NULL, out, 2 * dim, &needed, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL,
           vitrum_clip_encode_text(clip, LABELS, 2, NULL, out, 2 * dim - 1, &needed, &error));
    CHECK(needed == 2 * dim);

    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_classify(NULL, &image, LABELS, 3, NULL, out, 3, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_classify(clip, NULL, LABELS, 3, NULL, out, 3, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_classify(clip, &image, NULL, 3, NULL, out, 3, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_clip_classify(clip, &image, LABELS, 0, NULL, out, 3, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT,
           vitrum_clip_classify(clip, &image, LABELS, 3, &no_place, out, 3, NULL, &error));
    EXPECT(VITRUM_E_UTF8, vitrum_clip_classify(clip, &image, LABELS, 3, &not_utf8, out, 3, NULL, &error));
    EXPECT(VITRUM_E_UTF8, vitrum_clip_classify(clip, &image, BAD_UTF8, 2, NULL, out, 3, NULL, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL,
           vitrum_clip_classify(clip, &image, LABELS, 3, NULL, out, 2, &needed, &error));
    CHECK(needed == 3);

    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_tokenize(NULL, "a cat", tokens, 2, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_tokenize(clip, NULL, tokens, 2, NULL, &error));
    EXPECT(VITRUM_E_UTF8, vitrum_clip_tokenize(clip, "\xff", tokens, 2, NULL, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL, vitrum_clip_tokenize(clip, "a cat", tokens, 2, &needed, &error));
    CHECK(needed > 2);
    CHECK(tokens[0] == 7 && out[0] == 42);
    /* Empty texts are texts. */
    EXPECT(VITRUM_OK, vitrum_clip_tokenize(clip, "", tokens, 2, &needed, &error));
    CHECK(needed == 2);
    free(out);
}

static void misuse_similarity(const vitrum_clip *clip) {
    const size_t dim = vitrum_clip_embed_dim(clip);
    float *in = calloc(dim, sizeof *in), out[2] = {42, 42};
    size_t needed = 0;

    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_similarity(NULL, in, 1, in, 1, out, 1, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_similarity(clip, NULL, 1, in, 1, out, 1, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_clip_similarity(clip, in, 1, NULL, 1, out, 1, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_similarity(clip, in, 0, in, 1, out, 1, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_clip_similarity(clip, in, 1, in, 0, out, 1, NULL, &error));
    EXPECT(VITRUM_E_LIMIT, vitrum_clip_similarity(clip, in, (size_t)-1, in, 1, out, 1, NULL, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL, vitrum_clip_similarity(clip, in, 1, in, 1, out, 0, &needed, &error));
    CHECK(needed == 1);
    CHECK(out[0] == 42);
    free(in);
}

int main(int argc, char **argv) {
    vitrum_context *context;
    vitrum_clip *clip = NULL;
    vitrum_image image;
    float probabilities[3] = {0, 0, 0};
    if (argc != 2) {
        fprintf(stderr, "usage: misuse MODEL\n");
        return 2;
    }
    CHECK(vitrum_error_init(&error, sizeof error) == VITRUM_OK);
    misuse_structs();
    misuse_contexts();
    context = new_context();
    misuse_loading(context, argv[1]);
    EXPECT(VITRUM_OK, vitrum_clip_load(context, argv[1], NULL, &clip, &error));
    if (clip) {
        misuse_images(clip);
        misuse_nv12(clip);
        misuse_texts(clip);
        misuse_similarity(clip);
        /* After all that, the handle works. */
        image = new_image(VITRUM_PIXEL_BGRA8);
        EXPECT(VITRUM_OK,
               vitrum_clip_classify(clip, &image, LABELS, 3, NULL, probabilities, 3, NULL, &error));
        CHECK(probabilities[0] > 0 && probabilities[0] < 1);
    }
    vitrum_clip_free(clip);
    vitrum_context_free(context);
    printf("misuse: %s\n", failures ? "failed" : "ok");
    return failures != 0;
}
