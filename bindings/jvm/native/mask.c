/* Masks, of a prediction (prompt and mask) or a tracker (object and frame). */
#include "vitrum_jni.h"

/* The same function of either: with the handle, which mask, and what follows. */
#define OF_EITHER(kind, handle, first, second, prediction_function, tracker_function, ...)                             \
    ((kind) == KIND_PREDICTION                                                                                         \
         ? prediction_function(POINTER(vitrum_sam_prediction, handle), (size_t)(first), (size_t)(second), __VA_ARGS__) \
         : tracker_function(POINTER(vitrum_tracker, handle), (uint32_t)(first), (int64_t)(second), __VA_ARGS__))

static jint prediction_prompts(JNIEnv *env, jclass class, jlong prediction) {
    (void)env;
    (void)class;
    return (jint)vitrum_sam_prediction_prompts(POINTER(vitrum_sam_prediction, prediction));
}

static jint prediction_masks(JNIEnv *env, jclass class, jlong prediction) {
    (void)env;
    (void)class;
    return (jint)vitrum_sam_prediction_masks(POINTER(vitrum_sam_prediction, prediction));
}

static jfloatArray prediction_scores(JNIEnv *env, jclass class, jlong prediction) {
    size_t room = 0, needed = 0;
    float *values = NULL;
    jfloatArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    TWICE(&it, values, room, needed,
          vitrum_sam_prediction_scores(POINTER(vitrum_sam_prediction, prediction), values, room, &needed, &it.error));
    result = to_floats(&it, values, needed);
    end(&it);
    return result;
}

static jfloat prediction_stability(JNIEnv *env, jclass class, jlong prediction, jlong prompt, jlong mask, jfloat threshold,
                                   jfloat offset) {
    float stability = 0;
    call it;
    (void)class;
    begin(&it, env, NULL);
    tried(&it, vitrum_sam_prediction_stability(POINTER(vitrum_sam_prediction, prediction), (size_t)prompt, (size_t)mask,
                                               threshold, offset, &stability, &it.error));
    end(&it);
    return stability;
}

static jdoubleArray mask_stats(JNIEnv *env, jclass class, jint kind, jlong handle, jlong first, jlong second,
                               jfloat threshold) {
    enum { COUNT = 7 };
    jdoubleArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    if (kind == KIND_PREDICTION) {
        vitrum_sam_mask_stats stats;
        vitrum_sam_mask_stats_init(&stats, sizeof stats);
        tried(&it, vitrum_sam_prediction_stats(POINTER(vitrum_sam_prediction, handle), (size_t)first, (size_t)second,
                                               threshold, &stats, &it.error));
        const double values[COUNT] = {stats.area, stats.bounding_box[0], stats.bounding_box[1], stats.bounding_box[2],
                                      stats.bounding_box[3], stats.score, stats.stability_score};
        result = to_doubles(&it, values, COUNT);
    } else {
        vitrum_tracker_stats stats;
        vitrum_tracker_stats_init(&stats, sizeof stats);
        tried(&it, vitrum_tracker_mask_stats(POINTER(vitrum_tracker, handle), (uint32_t)first, (int64_t)second, threshold,
                                             &stats, &it.error));
        const double values[COUNT] = {stats.area, stats.bounding_box[0], stats.bounding_box[1], stats.bounding_box[2],
                                      stats.bounding_box[3], stats.score, stats.object_score};
        result = to_doubles(&it, values, COUNT);
    }
    end(&it);
    return result;
}

static jbyteArray mask_pixels(JNIEnv *env, jclass class, jint kind, jlong handle, jlong first, jlong second,
                              jfloat threshold) {
    size_t room = 0, needed = 0;
    uint8_t *values = NULL;
    jbyteArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    TWICE(&it, values, room, needed,
          OF_EITHER(kind, handle, first, second, vitrum_sam_prediction_mask, vitrum_tracker_mask, threshold, values, room,
                    &needed, &it.error));
    result = to_bytes(&it, values, needed);
    end(&it);
    return result;
}

static void mask_pixels_into(JNIEnv *env, jclass class, jint kind, jlong handle, jlong first, jlong second,
                             jfloat threshold, jobject buffer) {
    uint8_t *pixels = (*env)->GetDirectBufferAddress(env, buffer);
    size_t room = (size_t)(*env)->GetDirectBufferCapacity(env, buffer);
    call it;
    (void)class;
    begin(&it, env, NULL);
    tried(&it, OF_EITHER(kind, handle, first, second, vitrum_sam_prediction_mask, vitrum_tracker_mask, threshold, pixels,
                         room, NULL, &it.error));
    end(&it);
}

static jintArray mask_rle(JNIEnv *env, jclass class, jint kind, jlong handle, jlong first, jlong second, jfloat threshold) {
    size_t room = 0, needed = 0;
    uint32_t *values = NULL;
    jintArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    TWICE(&it, values, room, needed,
          OF_EITHER(kind, handle, first, second, vitrum_sam_prediction_rle, vitrum_tracker_rle, threshold, values, room,
                    &needed, &it.error));
    result = to_ints(&it, values, needed);
    end(&it);
    return result;
}

static jfloatArray mask_logits(JNIEnv *env, jclass class, jint kind, jlong handle, jlong first, jlong second,
                               jboolean low_res) {
    size_t room = 0, needed = 0;
    float *values = NULL;
    jfloatArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    if (low_res) {
        TWICE(&it, values, room, needed,
              OF_EITHER(kind, handle, first, second, vitrum_sam_prediction_low_res, vitrum_tracker_low_res, values, room,
                        &needed, &it.error));
    } else {
        TWICE(&it, values, room, needed,
              OF_EITHER(kind, handle, first, second, vitrum_sam_prediction_logits, vitrum_tracker_logits, values, room,
                        &needed, &it.error));
    }
    result = to_floats(&it, values, needed);
    end(&it);
    return result;
}

/* Corners, and four numbers for each polygon: where its corners begin, how many it has, its part, whether it is a hole. */
struct outlines {
    uint32_t *corners;
    size_t corner_room, corners_needed;
    vitrum_polygon *polygons;
    size_t polygon_room, polygons_needed;
};

/* Asks `expression`, which names `own`, how long its results are, and for them. */
#define OUTLINES(it, own, expression)                                                      \
    do {                                                                                   \
        if ((it)->ok && tried(it, expression)) {                                           \
            own.corners = take(it, own.corners_needed, sizeof *own.corners);               \
            own.polygons = take(it, own.polygons_needed, sizeof *own.polygons);            \
            own.corner_room = own.corners_needed;                                          \
            own.polygon_room = own.polygons_needed;                                        \
            if ((it)->ok) tried(it, expression);                                           \
        }                                                                                  \
    } while (0)
#define OUTLINE_ARGUMENTS(own)                                                                                  \
    own.corners, own.corner_room, &own.corners_needed, own.polygons, own.polygon_room, &own.polygons_needed

static jobjectArray to_outlines(call *it, const struct outlines *own) {
    JNIEnv *env = it->env;
    jint *numbers = take(it, own->polygons_needed, 4 * sizeof *numbers);
    jobjectArray result;
    jintArray parts[2];
    size_t i;
    for (i = 0; it->ok && i < own->polygons_needed; i++) {
        numbers[4 * i] = (jint)own->polygons[i].first;
        numbers[4 * i + 1] = (jint)own->polygons[i].count;
        numbers[4 * i + 2] = (jint)own->polygons[i].part;
        numbers[4 * i + 3] = (jint)own->polygons[i].is_hole;
    }
    parts[0] = to_ints(it, own->corners, own->corners_needed);
    parts[1] = to_ints(it, numbers, 4 * own->polygons_needed);
    if (!it->ok || (result = (*env)->NewObjectArray(env, 2, ids.ints, NULL)) == NULL) return NULL;
    for (i = 0; i < 2; i++) {
        (*env)->SetObjectArrayElement(env, result, (jsize)i, parts[i]);
        if ((*env)->ExceptionCheck(env)) return NULL;
    }
    return result;
}

static jobjectArray mask_polygons(JNIEnv *env, jclass class, jint kind, jlong handle, jlong first, jlong second,
                                  jfloat threshold, jfloat tolerance) {
    struct outlines own = {NULL, 0, 0, NULL, 0, 0};
    jobjectArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    OUTLINES(&it, own,
             OF_EITHER(kind, handle, first, second, vitrum_sam_prediction_polygons, vitrum_tracker_polygons, threshold,
                       tolerance, OUTLINE_ARGUMENTS(own), &it.error));
    result = to_outlines(&it, &own);
    end(&it);
    return result;
}

static jobjectArray rle_polygons(JNIEnv *env, jclass class, jintArray array, jint width, jint height, jfloat tolerance) {
    struct outlines own = {NULL, 0, 0, NULL, 0, 0};
    jsize count = (*env)->GetArrayLength(env, array);
    uint32_t *runs;
    jobjectArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    runs = take(&it, (size_t)count, sizeof *runs);
    if (it.ok) (*env)->GetIntArrayRegion(env, array, 0, count, (jint *)runs);
    OUTLINES(&it, own,
             vitrum_rle_polygons(runs, (size_t)count, (uint32_t)width, (uint32_t)height, tolerance, OUTLINE_ARGUMENTS(own),
                                 &it.error));
    result = to_outlines(&it, &own);
    end(&it);
    return result;
}

static const JNINativeMethod list[] = {
    METHOD("predictionPrompts", "(J)I", prediction_prompts),
    METHOD("predictionMasks", "(J)I", prediction_masks),
    METHOD("predictionScores", "(J)[F", prediction_scores),
    METHOD("predictionStability", "(JJJFF)F", prediction_stability),
    METHOD("maskStats", "(IJJJF)[D", mask_stats),
    METHOD("maskPixels", "(IJJJF)" BYTES, mask_pixels),
    METHOD("maskPixelsInto", "(IJJJF" BUFFER ")V", mask_pixels_into),
    METHOD("maskRle", "(IJJJF)[I", mask_rle),
    METHOD("maskPolygons", "(IJJJFF)[[I", mask_polygons),
    METHOD("maskLogits", "(IJJJZ)[F", mask_logits),
    METHOD("rlePolygons", "([IIIF)[[I", rle_polygons),
};
const methods mask_methods = METHODS(list);
