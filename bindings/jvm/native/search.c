/* Exact search among embeddings. */
#include "vitrum_jni.h"

#include <string.h>

/* Vectors are floats, or codes and scales; the others are NULL. */
static jintArray topk(JNIEnv *env, jclass class, jlong context, jfloatArray query_values, jobject values, jobject codes,
                      jobject scales, jint count, jint dim, jint k, jobject callbacks) {
    size_t room = 0, needed = 0, length;
    vitrum_hit *hits = NULL;
    vitrum_topk_options options;
    vitrum_vectors vectors;
    const float *queries;
    jint *numbers;
    jintArray result;
    call it;
    size_t i;
    (void)class;
    begin(&it, env, callbacks);
    vitrum_vectors_init(&vectors, sizeof vectors);
    vectors.values = address_of(&it, values);
    vectors.codes = address_of(&it, codes);
    vectors.scales = address_of(&it, scales);
    vectors.count = (size_t)count;
    vectors.dim = (size_t)dim;
    vitrum_topk_options_init(&options, sizeof options);
    options.progress = progress_of(&it);
    options.progress_user = &it;
    queries = floats_of(&it, query_values, &length);
    TWICE(&it, hits, room, needed,
          vitrum_topk(POINTER(vitrum_context, context), queries, length / (size_t)dim, &vectors, (size_t)k, &options, hits,
                      room, &needed, &it.error));
    numbers = take(&it, needed, 2 * sizeof *numbers);
    for (i = 0; it.ok && i < needed; i++) {
        numbers[2 * i] = (jint)hits[i].index;
        memcpy(&numbers[2 * i + 1], &hits[i].score, sizeof *numbers);
    }
    result = to_ints(&it, numbers, 2 * needed);
    end(&it);
    return result;
}

static void quantize_vectors(JNIEnv *env, jclass class, jobject values, jint count, jint dim, jobject codes, jobject scales) {
    const float *from;
    void *to_codes, *to_scales;
    call it;
    (void)class;
    begin(&it, env, NULL);
    from = address_of(&it, values);
    to_codes = address_of(&it, codes);
    to_scales = address_of(&it, scales);
    if (it.ok) tried(&it, vitrum_quantize_vectors(from, (size_t)count, (size_t)dim, to_codes, to_scales, &it.error));
    end(&it);
}

static const JNINativeMethod list[] = {
    METHOD("topk", "(J[F" FLOATS BUFFER FLOATS "III" CALLBACKS ")[I", topk),
    METHOD("quantizeVectors", "(" FLOATS "II" BUFFER FLOATS ")V", quantize_vectors),
};
const methods search_methods = METHODS(list);
