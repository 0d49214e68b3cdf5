/* Versions, handles, limits, contexts. */
#include "vitrum_jni.h"

#include <string.h>

static jbyteArray version(JNIEnv *env, jclass class) {
    const char *text = vitrum_version_string();
    jbyteArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    result = to_bytes(&it, text, strlen(text));
    end(&it);
    return result;
}

static void free_handle(JNIEnv *env, jclass class, jint kind, jlong handle) {
    (void)env;
    (void)class;
    switch (kind) {
    case KIND_CONTEXT: vitrum_context_free(POINTER(vitrum_context, handle)); break;
    case KIND_CLIP: vitrum_clip_free(POINTER(vitrum_clip, handle)); break;
    case KIND_SAM: vitrum_sam_free(POINTER(vitrum_sam, handle)); break;
    case KIND_EMBEDDING: vitrum_sam_embedding_free(POINTER(vitrum_sam_embedding, handle)); break;
    case KIND_PREDICTION: vitrum_sam_prediction_free(POINTER(vitrum_sam_prediction, handle)); break;
    case KIND_TRACKER: vitrum_tracker_free(POINTER(vitrum_tracker, handle)); break;
    }
}

static jbyteArray warnings(JNIEnv *env, jclass class, jint kind, jlong handle) {
    char *values = NULL;
    size_t room = 0, needed = 0;
    jbyteArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    TWICE(&it, values, room, needed,
          kind == KIND_CLIP ? vitrum_clip_warnings(POINTER(vitrum_clip, handle), values, room, &needed, &it.error)
                            : vitrum_sam_warnings(POINTER(vitrum_sam, handle), values, room, &needed, &it.error));
    result = to_bytes(&it, values, needed == 0 ? 0 : needed - 1);
    end(&it);
    return result;
}

static jlong memory_bytes(JNIEnv *env, jclass class, jint kind, jlong handle) {
    (void)env;
    (void)class;
    switch (kind) {
    case KIND_CLIP: return (jlong)vitrum_clip_memory_bytes(POINTER(vitrum_clip, handle));
    case KIND_SAM: return (jlong)vitrum_sam_memory_bytes(POINTER(vitrum_sam, handle));
    case KIND_EMBEDDING: return (jlong)vitrum_sam_embedding_memory_bytes(POINTER(vitrum_sam_embedding, handle));
    case KIND_TRACKER: return (jlong)vitrum_tracker_memory_bytes(POINTER(vitrum_tracker, handle));
    default: return 0;
    }
}

static jlong address(JNIEnv *env, jclass class, jobject direct) {
    (void)class;
    return HANDLE((*env)->GetDirectBufferAddress(env, direct));
}

/* The fields of `vitrum_limits` in the order of `Limits.java`. */
#define LIMITS(X)        \
    X(allow_non_finite)  \
    X(pixels)            \
    X(points)            \
    X(objects)           \
    X(image_size)        \
    X(weights_bytes)     \
    X(scratch_bytes)     \
    X(idle_scratch_bytes)
enum { LIMIT_COUNT = 8 };

static void limits_defaults(JNIEnv *env, jclass class, jdoubleArray array) {
    double values[LIMIT_COUNT], *value = values;
    vitrum_limits limits;
    call it;
    (void)class;
    begin(&it, env, NULL);
    vitrum_limits_init(&limits, sizeof limits);
#define X(field) *value++ = (double)limits.field;
    LIMITS(X)
#undef X
    to_numbers(&it, values, array, LIMIT_COUNT);
    end(&it);
}

static jlong context_new(JNIEnv *env, jclass class, jint threads, jint isa, jboolean amx, jdoubleArray array) {
    double values[LIMIT_COUNT], *value = values;
    vitrum_context *context = NULL;
    vitrum_context_options options;
    vitrum_limits limits;
    call it;
    (void)class;
    begin(&it, env, NULL);
    vitrum_context_options_init(&options, sizeof options);
    options.threads = (uint32_t)threads;
    options.isa = isa;
    options.amx = amx;
    if (array != NULL) {
        vitrum_limits_init(&limits, sizeof limits);
        numbers_of(&it, array, values, LIMIT_COUNT);
        if (it.ok) {
#define X(field) limits.field = *value++;
            LIMITS(X)
#undef X
        }
        options.limits = &limits;
    }
    if (it.ok) tried(&it, vitrum_context_new(&options, &context, &it.error));
    end(&it);
    return HANDLE(context);
}

static jint context_threads(JNIEnv *env, jclass class, jlong context) {
    (void)env;
    (void)class;
    return (jint)vitrum_context_threads(POINTER(vitrum_context, context));
}

static jint context_isa(JNIEnv *env, jclass class, jlong context) {
    (void)env;
    (void)class;
    return vitrum_context_isa(POINTER(vitrum_context, context));
}

static jint context_amx(JNIEnv *env, jclass class, jlong context) {
    (void)env;
    (void)class;
    return vitrum_context_amx(POINTER(vitrum_context, context));
}

static void context_trim(JNIEnv *env, jclass class, jlong context) {
    (void)env;
    (void)class;
    vitrum_context_trim(POINTER(vitrum_context, context));
}

static const JNINativeMethod list[] = {
    METHOD("version", "()" BYTES, version),
    METHOD("free", "(IJ)V", free_handle),
    METHOD("warnings", "(IJ)" BYTES, warnings),
    METHOD("memoryBytes", "(IJ)J", memory_bytes),
    METHOD("address", "(" BUFFER ")J", address),
    METHOD("limitsDefaults", "([D)V", limits_defaults),
    METHOD("contextNew", "(IIZ[D)J", context_new),
    METHOD("contextThreads", "(J)I", context_threads),
    METHOD("contextIsa", "(J)I", context_isa),
    METHOD("contextAmx", "(J)I", context_amx),
    METHOD("contextTrim", "(J)V", context_trim),
};
const methods context_methods = METHODS(list);
