/* SAM and SAM 2: models, encoded pictures, masks from prompts, of everything, from words. */
#include "vitrum_jni.h"

#include <string.h>

static jlong sam_load(JNIEnv *env, jclass class, jlong context, jbyteArray path, jbyteArray names, jobjectArray contents,
                      jintArray numbers, jobject callbacks) {
    enum { MAP, IMAGE_SIZE, LENIENT, WEIGHTS, COUNT };
    vitrum_sam *sam = NULL;
    vitrum_sam_options options;
    jint values[COUNT];
    call it;
    (void)class;
    begin(&it, env, callbacks);
    vitrum_sam_options_init(&options, sizeof options);
    (*env)->GetIntArrayRegion(env, numbers, 0, COUNT, values);
    options.mmap = (uint32_t)values[MAP];
    options.image_size = (uint32_t)values[IMAGE_SIZE];
    options.lenient = (uint32_t)values[LENIENT];
    options.weights = values[WEIGHTS];
    options.progress = progress_of(&it);
    options.progress_user = &it;
    if (path != NULL) {
        const char *text = text_of(&it, path);
        if (it.ok) tried(&it, vitrum_sam_load(POINTER(vitrum_context, context), text, &options, &sam, &it.error));
    } else {
        size_t count;
        const vitrum_file *files = files_of(&it, names, contents, &count);
        if (it.ok)
            tried(&it, vitrum_sam_load_memory(POINTER(vitrum_context, context), files, count, &options, &sam, &it.error));
    }
    end(&it);
    return HANDLE(sam);
}

static jint sam_image_size(JNIEnv *env, jclass class, jlong sam) {
    (void)env;
    (void)class;
    return (jint)vitrum_sam_image_size(POINTER(vitrum_sam, sam));
}

static jint sam_mask_side(JNIEnv *env, jclass class, jlong sam) {
    (void)env;
    (void)class;
    return (jint)vitrum_sam_mask_side(POINTER(vitrum_sam, sam));
}

static jlong sam_encode(JNIEnv *env, jclass class, jlong sam, jobject picture, jobject callbacks) {
    vitrum_sam_embedding *embedding = NULL;
    vitrum_progress progress;
    vitrum_image image;
    call it;
    (void)class;
    begin(&it, env, callbacks);
    image_of(&it, picture, &image);
    progress = progress_of(&it);
    if (it.ok) tried(&it, vitrum_sam_encode(POINTER(vitrum_sam, sam), &image, progress, &it, &embedding, &it.error));
    end(&it);
    return HANDLE(embedding);
}

static jint embedding_width(JNIEnv *env, jclass class, jlong embedding) {
    (void)env;
    (void)class;
    return (jint)vitrum_sam_embedding_width(POINTER(vitrum_sam_embedding, embedding));
}

static jint embedding_height(JNIEnv *env, jclass class, jlong embedding) {
    (void)env;
    (void)class;
    return (jint)vitrum_sam_embedding_height(POINTER(vitrum_sam_embedding, embedding));
}

static jfloatArray embedding_values(JNIEnv *env, jclass class, jlong embedding) {
    size_t room = 0, needed = 0;
    float *values = NULL;
    jfloatArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    TWICE(&it, values, room, needed,
          vitrum_sam_embedding_values(POINTER(vitrum_sam_embedding, embedding), values, room, &needed, &it.error));
    result = to_floats(&it, values, needed);
    end(&it);
    return result;
}

static jbyteArray embedding_save(JNIEnv *env, jclass class, jlong embedding) {
    size_t room = 0, needed = 0;
    uint8_t *values = NULL;
    jbyteArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    TWICE(&it, values, room, needed,
          vitrum_sam_embedding_save(POINTER(vitrum_sam_embedding, embedding), values, room, &needed, &it.error));
    result = to_bytes(&it, values, needed);
    end(&it);
    return result;
}

static jint embedding_is_of(JNIEnv *env, jclass class, jlong embedding, jobject picture) {
    vitrum_picture_match answer = VITRUM_PICTURE_UNKNOWN;
    vitrum_image image;
    call it;
    (void)class;
    begin(&it, env, NULL);
    image_of(&it, picture, &image);
    if (it.ok)
        tried(&it, vitrum_sam_embedding_is_of(POINTER(vitrum_sam_embedding, embedding), &image, &answer, &it.error));
    end(&it);
    return answer;
}

static jlong embedding_load(JNIEnv *env, jclass class, jlong sam, jbyteArray array) {
    vitrum_sam_embedding *embedding = NULL;
    const uint8_t *bytes;
    size_t size;
    call it;
    (void)class;
    begin(&it, env, NULL);
    bytes = bytes_of(&it, array, &size);
    if (it.ok) tried(&it, vitrum_sam_embedding_load(POINTER(vitrum_sam, sam), bytes, size, &embedding, &it.error));
    end(&it);
    return HANDLE(embedding);
}

static jlong prediction_new(JNIEnv *env, jclass class, jlong sam) {
    vitrum_sam_prediction *prediction = NULL;
    call it;
    (void)class;
    begin(&it, env, NULL);
    tried(&it, vitrum_sam_prediction_new(POINTER(vitrum_sam, sam), &prediction, &it.error));
    end(&it);
    return HANDLE(prediction);
}

void prompt_of(call *it, jobject object, vitrum_sam_prompt *prompt) {
    JNIEnv *env = it->env;
    jfloatArray points, box, mask;
    jintArray labels;
    const float *xy, *sides;
    vitrum_point *clicks;
    size_t count, i;
    if (!it->ok) return;
    vitrum_sam_prompt_init(prompt, sizeof *prompt);
    points = (*env)->GetObjectField(env, object, ids.points);
    labels = (*env)->GetObjectField(env, object, ids.labels);
    box = (*env)->GetObjectField(env, object, ids.box);
    mask = (*env)->GetObjectField(env, object, ids.prompt_mask);
    xy = floats_of(it, points, &count);
    count = (size_t)(*env)->GetArrayLength(env, labels);
    clicks = take(it, count, sizeof *clicks);
    for (i = 0; it->ok && i < count; i++) {
        jint label;
        (*env)->GetIntArrayRegion(env, labels, (jsize)i, 1, &label);
        clicks[i].x = xy[2 * i];
        clicks[i].y = xy[2 * i + 1];
        clicks[i].label = label;
    }
    prompt->points = clicks;
    prompt->point_count = count;
    sides = floats_of(it, box, &count);
    if (sides != NULL) {
        prompt->has_box = 1;
        memcpy(prompt->bounding_box, sides, sizeof prompt->bounding_box);
    }
    prompt->mask = floats_of(it, mask, &prompt->mask_size);
    if (!it->ok) return;
    /* A call may have thousands of prompts. */
    (*env)->DeleteLocalRef(env, points);
    (*env)->DeleteLocalRef(env, labels);
    (*env)->DeleteLocalRef(env, box);
    (*env)->DeleteLocalRef(env, mask);
}

static void sam_predict(JNIEnv *env, jclass class, jlong sam, jlong embedding, jobjectArray array, jboolean multimask,
                        jint max_hole_area, jint max_sprinkle_area, jlong prediction, jobject callbacks) {
    jsize count = (*env)->GetArrayLength(env, array), i;
    vitrum_sam_predict_options options;
    vitrum_sam_prompt *prompts;
    call it;
    (void)class;
    begin(&it, env, callbacks);
    prompts = take(&it, (size_t)count, sizeof *prompts);
    for (i = 0; it.ok && i < count; i++) {
        jobject prompt = (*env)->GetObjectArrayElement(env, array, i);
        prompt_of(&it, prompt, &prompts[i]);
        (*env)->DeleteLocalRef(env, prompt);
    }
    vitrum_sam_predict_options_init(&options, sizeof options);
    options.multimask = multimask;
    options.max_hole_area = (uint32_t)max_hole_area;
    options.max_sprinkle_area = (uint32_t)max_sprinkle_area;
    options.progress = progress_of(&it);
    options.progress_user = &it;
    if (it.ok)
        tried(&it, vitrum_sam_predict(POINTER(vitrum_sam, sam), POINTER(vitrum_sam_embedding, embedding), prompts,
                                      (size_t)count, &options, POINTER(vitrum_sam_prediction, prediction), &it.error));
    end(&it);
}

/* The fields of `vitrum_sam_everything_options` that are numbers, in the order of `EverythingOptions.java`. */
#define EVERYTHING(X)                  \
    X(points_per_side)                 \
    X(points_per_batch)                \
    X(crop_n_layers)                   \
    X(crop_n_points_downscale_factor)  \
    X(min_mask_region_area)            \
    X(pred_iou_thresh)                 \
    X(stability_score_thresh)          \
    X(stability_score_offset)          \
    X(box_nms_thresh)                  \
    X(crop_nms_thresh)                 \
    X(crop_overlap_ratio)              \
    X(use_m2m)                         \
    X(single_mask)
enum { EVERYTHING_COUNT = 13 };

static void everything_defaults(JNIEnv *env, jclass class, jlong sam, jdoubleArray array) {
    double values[EVERYTHING_COUNT], *value = values;
    vitrum_sam_everything_options options;
    call it;
    (void)class;
    begin(&it, env, NULL);
    if (sam == 0)
        vitrum_sam_everything_options_init(&options, sizeof options);
    else
        vitrum_sam_everything_defaults(POINTER(vitrum_sam, sam), &options, sizeof options);
#define X(field) *value++ = options.field;
    EVERYTHING(X)
#undef X
    to_numbers(&it, values, array, EVERYTHING_COUNT);
    end(&it);
}

const vitrum_sam_everything_options *everything_of(call *it, jdoubleArray array, jobjectArray grid_arrays,
                                                   vitrum_sam_everything_options *options) {
    JNIEnv *env = it->env;
    double values[EVERYTHING_COUNT], *value = values;
    vitrum_point_grid *grids;
    jsize count, i;
    if (!it->ok || array == NULL) return NULL;
    vitrum_sam_everything_options_init(options, sizeof *options);
    numbers_of(it, array, values, EVERYTHING_COUNT);
    if (!it->ok) return NULL;
#define X(field) options->field = *value++;
    EVERYTHING(X)
#undef X
    count = (*env)->GetArrayLength(env, grid_arrays);
    grids = take(it, (size_t)count, sizeof *grids);
    for (i = 0; it->ok && i < count; i++) {
        jdoubleArray grid = (*env)->GetObjectArrayElement(env, grid_arrays, i);
        jsize length = (*env)->GetArrayLength(env, grid);
        double *points = take(it, (size_t)length, sizeof *points);
        numbers_of(it, grid, points, length);
        if (!it->ok) return NULL;
        (*env)->DeleteLocalRef(env, grid);
        grids[i].points = points;
        grids[i].count = (size_t)length / 2;
    }
    if (count > 0) options->point_grids = grids;
    options->point_grid_count = (size_t)count;
    return options;
}

static jlong sam_everything(JNIEnv *env, jclass class, jlong sam, jobject picture, jdoubleArray values, jobjectArray grids,
                            jobject callbacks) {
    vitrum_sam_everything_options options;
    const vitrum_sam_everything_options *wanted;
    vitrum_sam_embedding *kept = NULL;
    vitrum_progress progress;
    vitrum_image image;
    call it;
    (void)class;
    begin(&it, env, callbacks);
    image_of(&it, picture, &image);
    wanted = everything_of(&it, values, grids, &options);
    progress = progress_of(&it);
    if (it.ok)
        tried(&it, vitrum_sam_everything(POINTER(vitrum_sam, sam), &image, wanted, on_record, progress, &it, &kept,
                                         &it.error));
    end(&it);
    return HANDLE(kept);
}

static void sam_ground(JNIEnv *env, jclass class, jlong sam, jlong clip, jobject picture, jbyteArray texts, jint text_count,
                       jbyteArray others, jint other_count, jbyteArray template, jint top, jdouble min_probability,
                       jdoubleArray candidates, jobjectArray grids, jobject callbacks) {
    vitrum_sam_everything_options options;
    vitrum_sam_text_prompt prompt;
    vitrum_progress progress;
    vitrum_image image;
    const char *const *all;
    call it;
    (void)class;
    begin(&it, env, callbacks);
    vitrum_sam_text_prompt_init(&prompt, sizeof prompt);
    image_of(&it, picture, &image);
    if ((all = texts_of(&it, texts, text_count)) != NULL) prompt.texts = all;
    prompt.text_count = (size_t)text_count;
    prompt.others = texts_of(&it, others, other_count);
    prompt.other_count = (size_t)other_count;
    prompt.text_template = text_of(&it, template);
    prompt.top = (uint32_t)top;
    prompt.min_probability = min_probability;
    prompt.candidates = everything_of(&it, candidates, grids, &options);
    progress = progress_of(&it);
    if (it.ok)
        tried(&it, vitrum_sam_ground(POINTER(vitrum_sam, sam), POINTER(vitrum_clip, clip), &image, &prompt, on_match,
                                     progress, &it, NULL, &it.error));
    end(&it);
}

static const JNINativeMethod list[] = {
    METHOD("samLoad", "(J" BYTES BYTES BUFFERS "[I" CALLBACKS ")J", sam_load),
    METHOD("samImageSize", "(J)I", sam_image_size),
    METHOD("samMaskSide", "(J)I", sam_mask_side),
    METHOD("samEncode", "(J" PICTURE CALLBACKS ")J", sam_encode),
    METHOD("embeddingWidth", "(J)I", embedding_width),
    METHOD("embeddingHeight", "(J)I", embedding_height),
    METHOD("embeddingValues", "(J)[F", embedding_values),
    METHOD("embeddingSave", "(J)" BYTES, embedding_save),
    METHOD("embeddingIsOf", "(J" PICTURE ")I", embedding_is_of),
    METHOD("embeddingLoad", "(J" BYTES ")J", embedding_load),
    METHOD("predictionNew", "(J)J", prediction_new),
    METHOD("samPredict", "(JJ" PROMPTS "ZIIJ" CALLBACKS ")V", sam_predict),
    METHOD("everythingDefaults", "(J[D)V", everything_defaults),
    METHOD("samEverything", "(J" PICTURE "[D[[D" CALLBACKS ")J", sam_everything),
    METHOD("samGround", "(JJ" PICTURE BYTES "I" BYTES "I" BYTES "ID[D[[D" CALLBACKS ")V", sam_ground),
};
const methods sam_methods = METHODS(list);
