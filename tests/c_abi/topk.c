/*
 * Searches among vectors in both forms, as it is meant to be and as it is not: topk
 */
#include "check.h"

enum { COUNT = 1000, DIM = 7, QUERIES = 12, K = 5 };

static float values[COUNT * DIM], queries[QUERIES * DIM], scales[COUNT];
static int8_t codes[COUNT * DIM];

/* Small whole numbers, so that scores are exact. */
static void fill(float *to, size_t len, unsigned seed) {
    size_t i;
    for (i = 0; i < len; i++) {
        seed = seed * 1103515245u + 12345u;
        to[i] = (float)(int)(seed >> 16 & 15) - 7;
    }
}

static float dot(const float *a, const float *b) {
    float sum = 0;
    size_t i;
    for (i = 0; i < DIM; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* The hits of a query are the best K, in their order. */
static void check_hits(const float *query, const vitrum_hit *hits) {
    size_t i, j;
    for (i = 0; i < COUNT; i++) {
        const float score = dot(query, &values[i * DIM]);
        size_t better = 0, place = K;
        for (j = 0; j < COUNT; j++) {
            const float other = dot(query, &values[j * DIM]);
            better += other > score || (other == score && j < i);
        }
        for (j = 0; j < K; j++) {
            if (hits[j].index == i) {
                place = j;
            }
        }
        CHECK(better < K ? place == better : place == K);
        CHECK(place == K || hits[place].score == score);
    }
}

static int32_t stop(void *user, float fraction) {
    (void)fraction;
    ++*(int *)user;
    return 1;
}

static void use(const vitrum_context *context, vitrum_vectors vectors) {
    vitrum_hit hits[QUERIES * K];
    vitrum_topk_options options;
    size_t needed = 0, i;
    int calls = 0;
    EXPECT(VITRUM_OK, vitrum_topk(context, queries, QUERIES, &vectors, K, NULL, NULL, 0, &needed, &error));
    CHECK(needed == QUERIES * K);
    EXPECT(VITRUM_OK, vitrum_topk(context, queries, QUERIES, &vectors, K, NULL, hits, QUERIES * K, NULL, &error));
    for (i = 0; i < QUERIES; i++) {
        check_hits(&queries[i * DIM], &hits[i * K]);
    }
    EXPECT(VITRUM_OK, vitrum_topk(context, queries, 1, &vectors, K, NULL, hits, K, NULL, &error));
    check_hits(queries, hits);
    CHECK(vitrum_topk_options_init(&options, sizeof options) == VITRUM_OK);
    options.progress = stop;
    options.progress_user = &calls;
    hits[0].index = 77777;
    EXPECT(VITRUM_E_CANCELLED, vitrum_topk(context, queries, 1, &vectors, K, &options, hits, K, NULL, &error));
    CHECK(calls == 1 && hits[0].index == 77777);

    /* More than there are are all; there may be none. */
    vectors.count = 3;
    EXPECT(VITRUM_OK, vitrum_topk(context, queries, 1, &vectors, K, NULL, hits, K, &needed, &error));
    CHECK(needed == 3);
    vectors.count = 0;
    EXPECT(VITRUM_OK, vitrum_topk(context, queries, 1, &vectors, K, NULL, hits, K, &needed, &error));
    CHECK(needed == 0);
}

static void misuse(const vitrum_context *context, vitrum_vectors vectors) {
    vitrum_hit hit = {42, 42};
    vitrum_vectors bad = vectors;
    float nan[DIM] = {0}, zero = 0;
    size_t needed = 0;
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_topk(NULL, queries, 1, &vectors, 1, NULL, &hit, 1, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_topk(context, NULL, 1, &vectors, 1, NULL, &hit, 1, NULL, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_topk(context, queries, 1, NULL, 1, NULL, &hit, 1, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_topk(context, queries, 0, &vectors, 1, NULL, &hit, 1, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_topk(context, queries, 1, &vectors, 0, NULL, &hit, 1, NULL, &error));
    EXPECT(VITRUM_E_BUFFER_TOO_SMALL, vitrum_topk(context, queries, 1, &vectors, 2, NULL, &hit, 1, &needed, &error));
    CHECK(needed == 2);
    nan[3] = zero / zero;
    EXPECT(VITRUM_E_NON_FINITE, vitrum_topk(context, nan, 1, &vectors, 1, NULL, &hit, 1, NULL, &error));
    bad.dim = 0;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_topk(context, queries, 1, &bad, 1, NULL, &hit, 1, NULL, &error));
    bad.dim = (size_t)-1;
    EXPECT(VITRUM_E_LIMIT, vitrum_topk(context, queries, 1, &bad, 1, NULL, &hit, 1, NULL, &error));
    bad = vectors;
    bad.values = NULL;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_topk(context, queries, 1, &bad, 1, NULL, &hit, 1, NULL, &error));
    bad.codes = codes;
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_topk(context, queries, 1, &bad, 1, NULL, &hit, 1, NULL, &error));
    bad.values = values;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_topk(context, queries, 1, &bad, 1, NULL, &hit, 1, NULL, &error));
    bad = vectors;
    bad.reserved = 1;
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_topk(context, queries, 1, &bad, 1, NULL, &hit, 1, NULL, &error));
    bad.struct_size = 1;
    EXPECT(VITRUM_E_STRUCT_SIZE, vitrum_topk(context, queries, 1, &bad, 1, NULL, &hit, 1, NULL, &error));
    CHECK(hit.index == 42);
    CHECK(vitrum_vectors_init(NULL, sizeof bad) == VITRUM_E_NULL_POINTER);
    CHECK(vitrum_vectors_init(&bad, 3) == VITRUM_E_STRUCT_SIZE);

    EXPECT(VITRUM_E_NULL_POINTER, vitrum_quantize_vectors(NULL, 1, DIM, codes, scales, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_quantize_vectors(values, 1, DIM, NULL, scales, &error));
    EXPECT(VITRUM_E_NULL_POINTER, vitrum_quantize_vectors(values, 1, DIM, codes, NULL, &error));
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_quantize_vectors(values, 0, DIM, codes, scales, &error));
    EXPECT(VITRUM_E_LIMIT, vitrum_quantize_vectors(values, (size_t)-1, DIM, codes, scales, &error));
    EXPECT(VITRUM_E_NON_FINITE, vitrum_quantize_vectors(nan, 1, DIM, codes, scales, &error));
}

int main(void) {
    vitrum_context *context;
    vitrum_vectors vectors;
    size_t i;
    CHECK(vitrum_error_init(&error, sizeof error) == VITRUM_OK);
    context = new_context();
    fill(values, COUNT * DIM, 1);
    fill(queries, QUERIES * DIM, 2);
    CHECK(vitrum_vectors_init(&vectors, sizeof vectors) == VITRUM_OK);
    vectors.count = COUNT;
    vectors.dim = DIM;
    vectors.values = values;
    use(context, vectors);
    misuse(context, vectors);

    /* Rounding is by half a step at most. */
    EXPECT(VITRUM_OK, vitrum_quantize_vectors(values, COUNT, DIM, codes, scales, &error));
    for (i = 0; i < COUNT * DIM; i++) {
        const float error_of = values[i] - scales[i / DIM] * codes[i];
        CHECK(error_of < 0.501f * scales[i / DIM] && error_of > -0.501f * scales[i / DIM]);
    }
    {
        vitrum_hit exact, rounded;
        EXPECT(VITRUM_OK, vitrum_topk(context, queries, 1, &vectors, 1, NULL, &exact, 1, NULL, &error));
        vectors.values = NULL;
        vectors.codes = codes;
        vectors.scales = scales;
        EXPECT(VITRUM_OK, vitrum_topk(context, queries, 1, &vectors, 1, NULL, &rounded, 1, NULL, &error));
        CHECK(exact.score - rounded.score < 2 && rounded.score - exact.score < 2);
    }
    vitrum_context_free(context);
    printf("topk: %s\n", failures ? "failed" : "ok");
    return failures != 0;
}
