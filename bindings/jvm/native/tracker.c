/* SAM 2: objects through a video. */
#include "vitrum_jni.h"

/* The fields of `vitrum_tracker_options` in the order of `TrackerOptions.java`. */
#define OPTIONS(X)                    \
    X(max_objects)                    \
    X(max_prompted_frames)            \
    X(held_frames)                    \
    X(num_frames)                     \
    X(fill_hole_area)                 \
    X(both_directions)                \
    X(non_overlap_output)             \
    X(non_overlap_memory)             \
    X(binarize_clicked_masks)         \
    X(corrections_are_conditioning)   \
    X(clear_memory_around_input)      \
    X(dynamic_multimask_via_stability)
enum { OPTION_COUNT = 12 };

static void tracker_defaults(JNIEnv *env, jclass class, jdoubleArray array) {
    double values[OPTION_COUNT], *value = values;
    vitrum_tracker_options options;
    call it;
    (void)class;
    begin(&it, env, NULL);
    vitrum_tracker_options_init(&options, sizeof options);
#define X(field) *value++ = (double)options.field;
    OPTIONS(X)
#undef X
    to_numbers(&it, values, array, OPTION_COUNT);
    end(&it);
}

static void options_of(call *it, jdoubleArray array, vitrum_tracker_options *options) {
    double values[OPTION_COUNT], *value = values;
    vitrum_tracker_options_init(options, sizeof *options);
    numbers_of(it, array, values, OPTION_COUNT);
    if (!it->ok) return;
#define X(field) options->field = *value++;
    OPTIONS(X)
#undef X
}

static jlong tracker_new(JNIEnv *env, jclass class, jlong sam, jint width, jint height, jdoubleArray values) {
    vitrum_tracker *tracker = NULL;
    vitrum_tracker_options options;
    call it;
    (void)class;
    begin(&it, env, NULL);
    options_of(&it, values, &options);
    if (it.ok)
        tried(&it, vitrum_tracker_new(POINTER(vitrum_sam, sam), (uint32_t)width, (uint32_t)height, &options, &tracker,
                                      &it.error));
    end(&it);
    return HANDLE(tracker);
}

static jlong tracker_memory_limit(JNIEnv *env, jclass class, jlong sam, jint width, jint height, jdoubleArray values) {
    vitrum_tracker_options options;
    size_t limit = 0;
    call it;
    (void)class;
    begin(&it, env, NULL);
    options_of(&it, values, &options);
    if (it.ok)
        tried(&it, vitrum_tracker_memory_limit(POINTER(vitrum_sam, sam), (uint32_t)width, (uint32_t)height, &options,
                                               &limit, &it.error));
    end(&it);
    return (jlong)limit;
}

static jlong tracker_load(JNIEnv *env, jclass class, jlong sam, jbyteArray array) {
    vitrum_tracker *tracker = NULL;
    const uint8_t *bytes;
    size_t size;
    call it;
    (void)class;
    begin(&it, env, NULL);
    bytes = bytes_of(&it, array, &size);
    if (it.ok) tried(&it, vitrum_tracker_load(POINTER(vitrum_sam, sam), bytes, size, &tracker, &it.error));
    end(&it);
    return HANDLE(tracker);
}

static jbyteArray tracker_save(JNIEnv *env, jclass class, jlong tracker) {
    size_t room = 0, needed = 0;
    uint8_t *values = NULL;
    jbyteArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    TWICE(&it, values, room, needed,
          vitrum_tracker_save(POINTER(vitrum_tracker, tracker), values, room, &needed, &it.error));
    result = to_bytes(&it, values, needed);
    end(&it);
    return result;
}

static jint tracker_width(JNIEnv *env, jclass class, jlong tracker) {
    (void)env;
    (void)class;
    return (jint)vitrum_tracker_width(POINTER(vitrum_tracker, tracker));
}

static jint tracker_height(JNIEnv *env, jclass class, jlong tracker) {
    (void)env;
    (void)class;
    return (jint)vitrum_tracker_height(POINTER(vitrum_tracker, tracker));
}

static jlong tracker_push(JNIEnv *env, jclass class, jlong tracker, jlong frame, jobject picture, jobject callbacks) {
    vitrum_progress progress;
    vitrum_image image;
    int64_t number = frame;
    call it;
    (void)class;
    begin(&it, env, callbacks);
    image_of(&it, picture, &image);
    progress = progress_of(&it);
    if (it.ok && frame == VITRUM_FRAME_CURRENT)
        tried(&it, vitrum_tracker_push_frame(POINTER(vitrum_tracker, tracker), &image, progress, &it, &number, &it.error));
    else if (it.ok)
        tried(&it, vitrum_tracker_push_frame_at(POINTER(vitrum_tracker, tracker), frame, &image, progress, &it, &it.error));
    end(&it);
    return number;
}

static jlong tracker_frame(JNIEnv *env, jclass class, jlong tracker) {
    (void)env;
    (void)class;
    return vitrum_tracker_frame(POINTER(vitrum_tracker, tracker));
}

static jlongArray tracker_held_frames(JNIEnv *env, jclass class, jlong tracker) {
    size_t room = 0, needed = 0;
    int64_t *values = NULL;
    jlongArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    TWICE(&it, values, room, needed,
          vitrum_tracker_held_frames(POINTER(vitrum_tracker, tracker), values, room, &needed, &it.error));
    result = to_longs(&it, values, needed);
    end(&it);
    return result;
}

static void tracker_add_points(JNIEnv *env, jclass class, jlong tracker, jlong frame, jint object, jobject prompt,
                               jboolean keep_earlier, jobject callbacks) {
    vitrum_tracker_prompt_options options;
    vitrum_sam_prompt wanted;
    vitrum_progress progress;
    call it;
    (void)class;
    begin(&it, env, callbacks);
    vitrum_tracker_prompt_options_init(&options, sizeof options);
    options.keep_earlier = keep_earlier;
    prompt_of(&it, prompt, &wanted);
    progress = progress_of(&it);
    if (it.ok)
        tried(&it, vitrum_tracker_add_points(POINTER(vitrum_tracker, tracker), frame, (uint32_t)object, &wanted, &options,
                                             progress, &it, &it.error));
    end(&it);
}

static void tracker_add_mask(JNIEnv *env, jclass class, jlong tracker, jlong frame, jint object, jbyteArray array,
                             jint width, jint height, jobject callbacks) {
    vitrum_progress progress;
    const uint8_t *pixels;
    call it;
    (void)class;
    begin(&it, env, callbacks);
    pixels = bytes_of(&it, array, NULL);
    progress = progress_of(&it);
    if (it.ok)
        tried(&it, vitrum_tracker_add_mask(POINTER(vitrum_tracker, tracker), frame, (uint32_t)object, pixels,
                                           (uint32_t)width, (uint32_t)height, progress, &it, &it.error));
    end(&it);
}

static void tracker_clear_prompts(JNIEnv *env, jclass class, jlong tracker, jlong frame, jint object) {
    call it;
    (void)class;
    begin(&it, env, NULL);
    tried(&it, vitrum_tracker_clear_prompts(POINTER(vitrum_tracker, tracker), frame, (uint32_t)object, &it.error));
    end(&it);
}

static void tracker_remove_object(JNIEnv *env, jclass class, jlong tracker, jint object) {
    call it;
    (void)class;
    begin(&it, env, NULL);
    tried(&it, vitrum_tracker_remove_object(POINTER(vitrum_tracker, tracker), (uint32_t)object, &it.error));
    end(&it);
}

static void tracker_reset(JNIEnv *env, jclass class, jlong tracker) {
    call it;
    (void)class;
    begin(&it, env, NULL);
    tried(&it, vitrum_tracker_reset(POINTER(vitrum_tracker, tracker), &it.error));
    end(&it);
}

static jintArray tracker_objects(JNIEnv *env, jclass class, jlong tracker) {
    size_t room = 0, needed = 0;
    uint32_t *values = NULL;
    jintArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    TWICE(&it, values, room, needed,
          vitrum_tracker_objects(POINTER(vitrum_tracker, tracker), values, room, &needed, &it.error));
    result = to_ints(&it, values, needed);
    end(&it);
    return result;
}

static void tracker_step(JNIEnv *env, jclass class, jlong tracker, jobject callbacks) {
    vitrum_progress progress;
    call it;
    (void)class;
    begin(&it, env, callbacks);
    progress = progress_of(&it);
    if (it.ok) tried(&it, vitrum_tracker_step(POINTER(vitrum_tracker, tracker), progress, &it, &it.error));
    end(&it);
}

static void tracker_step_at(JNIEnv *env, jclass class, jlong tracker, jlong frame, jboolean backward, jobject callbacks) {
    vitrum_direction direction = backward ? VITRUM_DIRECTION_BACKWARD : VITRUM_DIRECTION_FORWARD;
    vitrum_progress progress;
    call it;
    (void)class;
    begin(&it, env, callbacks);
    progress = progress_of(&it);
    if (it.ok)
        tried(&it, vitrum_tracker_step_at(POINTER(vitrum_tracker, tracker), frame, direction, progress, &it, &it.error));
    end(&it);
}

static void tracker_propagate(JNIEnv *env, jclass class, jlong tracker, jboolean backward, jlong start, jlong max_frames,
                              jobject callbacks) {
    vitrum_tracker_propagate_options options;
    vitrum_progress progress;
    call it;
    (void)class;
    begin(&it, env, callbacks);
    vitrum_tracker_propagate_options_init(&options, sizeof options);
    options.direction = backward ? VITRUM_DIRECTION_BACKWARD : VITRUM_DIRECTION_FORWARD;
    options.start = start;
    options.max_frames = max_frames;
    progress = progress_of(&it);
    if (it.ok)
        tried(&it, vitrum_tracker_propagate(POINTER(vitrum_tracker, tracker), &options, on_read, on_frame, progress, &it,
                                            &it.error));
    end(&it);
}

static jboolean tracker_has_mask(JNIEnv *env, jclass class, jlong tracker, jint object, jlong frame) {
    (void)env;
    (void)class;
    return vitrum_tracker_has_mask(POINTER(vitrum_tracker, tracker), (uint32_t)object, frame) != 0;
}

static const JNINativeMethod list[] = {
    METHOD("trackerDefaults", "([D)V", tracker_defaults),
    METHOD("trackerNew", "(JII[D)J", tracker_new),
    METHOD("trackerMemoryLimit", "(JII[D)J", tracker_memory_limit),
    METHOD("trackerLoad", "(J" BYTES ")J", tracker_load),
    METHOD("trackerSave", "(J)" BYTES, tracker_save),
    METHOD("trackerWidth", "(J)I", tracker_width),
    METHOD("trackerHeight", "(J)I", tracker_height),
    METHOD("trackerPush", "(JJ" PICTURE CALLBACKS ")J", tracker_push),
    METHOD("trackerFrame", "(J)J", tracker_frame),
    METHOD("trackerHeldFrames", "(J)[J", tracker_held_frames),
    METHOD("trackerAddPoints", "(JJI" PROMPT "Z" CALLBACKS ")V", tracker_add_points),
    METHOD("trackerAddMask", "(JJI" BYTES "II" CALLBACKS ")V", tracker_add_mask),
    METHOD("trackerClearPrompts", "(JJI)V", tracker_clear_prompts),
    METHOD("trackerRemoveObject", "(JI)V", tracker_remove_object),
    METHOD("trackerReset", "(J)V", tracker_reset),
    METHOD("trackerObjects", "(J)[I", tracker_objects),
    METHOD("trackerStep", "(J" CALLBACKS ")V", tracker_step),
    METHOD("trackerStepAt", "(JJZ" CALLBACKS ")V", tracker_step_at),
    METHOD("trackerPropagate", "(JZJJ" CALLBACKS ")V", tracker_propagate),
    METHOD("trackerHasMask", "(JIJ)Z", tracker_has_mask),
};
const methods tracker_methods = METHODS(list);
