/* Hosts with other floating-point settings get the same results and their own setting back. */
#include <stdio.h>
#include <string.h>

#include "vitrum.h"

static vitrum_error error;
static int failures;

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: %s %s\n", __FILE__, __LINE__, #condition, error.message);  \
            failures++;                                                                        \
        }                                                                                      \
    } while (0)

#if defined(__x86_64__)
#include <xmmintrin.h>

typedef unsigned int setting;

/* The default; flush to zero; round down; divisions by zero and subnormal operands are signals. */
static const setting HOSTS[] = {0x1f80, 0x9fc0, 0x3f80, 0x1c80};

static setting get(void) { return _mm_getcsr() & ~0x3fu; }
static void set(setting value) { _mm_setcsr(value); }
#elif defined(__aarch64__)
typedef unsigned long long setting;

/* The default; flush to zero; round down. */
static const setting HOSTS[] = {0, 1ull << 24, 2ull << 22};

static setting get(void) {
    setting value;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
}
static void set(setting value) { __asm__ volatile("msr fpcr, %0" : : "r"(value)); }
#endif

#if defined(__x86_64__) || defined(__aarch64__)
enum { MOST = 1 << 18 };

/* The embedding of a picture by a model that is loaded and used under these settings. */
static size_t embed(const char *model, unsigned threads, setting made_under, setting used_under, float *values) {
    static unsigned char pixels[64 * 48 * 3];
    vitrum_context_options options;
    vitrum_context *context = NULL;
    vitrum_sam *sam = NULL;
    vitrum_sam_embedding *embedding = NULL;
    vitrum_image image;
    size_t i, needed = 0;
    for (i = 0; i < sizeof pixels; i++) pixels[i] = (unsigned char)(i * 7 % 253);
    vitrum_context_options_init(&options, sizeof options);
    options.threads = threads;
    vitrum_image_init(&image, sizeof image);
    image.data = pixels;
    image.width = 64;
    image.height = 48;
    image.row_stride = 3 * 64;
    image.format = VITRUM_PIXEL_RGB8;

    set(made_under);
    CHECK(vitrum_context_new(&options, &context, &error) == VITRUM_OK);
    CHECK(vitrum_sam_load(context, model, NULL, &sam, &error) == VITRUM_OK);
    CHECK(get() == made_under);
    set(used_under);
    CHECK(vitrum_sam_encode(sam, &image, NULL, NULL, &embedding, &error) == VITRUM_OK);
    CHECK(vitrum_sam_embedding_values(embedding, values, MOST, &needed, &error) == VITRUM_OK);
    CHECK(get() == used_under);
    set(HOSTS[0]);
    vitrum_sam_embedding_free(embedding);
    vitrum_sam_free(sam);
    vitrum_context_free(context);
    return needed;
}

int main(int argc, char **argv) {
    static float expected[MOST], values[MOST];
    const size_t hosts = sizeof HOSTS / sizeof HOSTS[0];
    size_t len, i, j;
    unsigned threads;
    if (argc != 2) return 2;
    vitrum_error_init(&error, sizeof error);
    len = embed(argv[1], 1, HOSTS[0], HOSTS[0], expected);
    CHECK(len > 0 && len <= MOST);
    for (threads = 1; threads <= 2; threads++) {
        for (i = 0; i < hosts; i++) {
            for (j = 0; j < hosts; j++) {
                memset(values, 0xff, sizeof values);
                CHECK(embed(argv[1], threads, HOSTS[i], HOSTS[j], values) == len);
                CHECK(memcmp(values, expected, len * sizeof *values) == 0);
            }
        }
    }
    if (failures == 0) printf("float_env: ok\n");
    return failures != 0;
}
#else
int main(void) {
    printf("float_env: ok\n");
    return 0;
}
#endif
