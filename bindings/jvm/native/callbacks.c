/* Calls from the library to Java. What Java throws waits in the call, which is told to stop, and throws it when it ends. */
#include "vitrum_jni.h"

/*
 * The environment of this thread, one of the library's if it is not the caller's: such a thread belongs to the virtual machine
 * only for the length of a callback, so that neither keeps anything of the other. That costs some microseconds, every few
 * milliseconds at most.
 */
static JNIEnv *attach(int *attached) {
    static char name[] = "vitrum";
    JavaVMAttachArgs args = {JNI_VERSION_1_6, name, NULL};
    void *env = NULL;
    *attached = 0;
    if ((*ids.vm)->GetEnv(ids.vm, &env, JNI_VERSION_1_6) == JNI_OK) return env;
    /* `void *`: this parameter has one type in the headers of JDKs and another in Android's. */
    if ((*ids.vm)->AttachCurrentThreadAsDaemon(ids.vm, (void *)&env, &args) != JNI_OK) return NULL;
    *attached = 1;
    return env;
}

static void detach(int attached) {
    if (attached) (*ids.vm)->DetachCurrentThread(ids.vm);
}

/* Whether Java said to go on; keeps what it threw, if that is the first. */
static int goes_on(call *it, JNIEnv *env, jboolean answer) {
    jthrowable thrown = (*env)->ExceptionOccurred(env);
    if (thrown == NULL) return answer == JNI_TRUE;
    (*env)->ExceptionClear(env);
    if (it->thrown == NULL) it->thrown = (*env)->NewGlobalRef(env, thrown);
    (*env)->DeleteLocalRef(env, thrown);
    return 0;
}

static int32_t on_progress(void *user, float fraction) {
    call *it = user;
    int attached, go;
    JNIEnv *env = attach(&attached);
    if (env == NULL) return 1;
    go = goes_on(it, env, (*env)->CallBooleanMethod(env, it->callbacks, ids.progress, (jfloat)fraction));
    detach(attached);
    return !go;
}

vitrum_progress progress_of(call *it) {
    jboolean watches;
    if (!it->ok || it->callbacks == NULL) return NULL;
    watches = (*it->env)->CallBooleanMethod(it->env, it->callbacks, ids.watches);
    if ((*it->env)->ExceptionCheck(it->env)) it->ok = 0;
    return it->ok && watches ? on_progress : NULL;
}

int32_t on_match(void *user, size_t text, float probability, const vitrum_sam_record *record) {
    call *it = user;
    JNIEnv *env = it->env; /* It runs on the thread that made the call. */
    const double numbers[] = {
        record->width,           record->height,          record->bounding_box[0], record->bounding_box[1],
        record->bounding_box[2], record->bounding_box[3], record->crop_box[0],     record->crop_box[1],
        record->crop_box[2],     record->crop_box[3],     record->point[0],        record->point[1],
        record->predicted_iou,   record->stability_score,
    };
    const jsize length = (jsize)(sizeof numbers / sizeof *numbers);
    jboolean answer = JNI_FALSE;
    jintArray counts;
    jdoubleArray values;
    int go;
    if ((*env)->PushLocalFrame(env, 4) != 0) return !goes_on(it, env, JNI_FALSE);
    counts = (*env)->NewIntArray(env, (jsize)record->count_size);
    values = counts == NULL ? NULL : (*env)->NewDoubleArray(env, length);
    if (values != NULL) {
        (*env)->SetIntArrayRegion(env, counts, 0, (jsize)record->count_size, (const jint *)record->counts);
        (*env)->SetDoubleArrayRegion(env, values, 0, length, numbers);
        if (!(*env)->ExceptionCheck(env))
            answer = (*env)->CallBooleanMethod(env, it->callbacks, ids.mask, (jint)text, (jfloat)probability, counts, values);
    }
    go = goes_on(it, env, answer);
    (*env)->PopLocalFrame(env, NULL);
    return !go;
}

int32_t on_record(void *user, const vitrum_sam_record *record) {
    return on_match(user, 0, 0, record);
}

vitrum_read_result on_read(void *user, int64_t frame, vitrum_image *image) {
    enum { FAILED = 2 };
    call *it = user;
    JNIEnv *env = it->env;
    vitrum_read_result result = FAILED;
    jboolean found;
    if ((*env)->PushLocalFrame(env, 8) != 0) {
        goes_on(it, env, JNI_FALSE);
        return FAILED;
    }
    found = (*env)->CallBooleanMethod(env, it->callbacks, ids.read, (jlong)frame);
    if ((*env)->ExceptionCheck(env)) {
        goes_on(it, env, JNI_FALSE);
    } else if (!found) {
        result = VITRUM_READ_END;
    } else {
        /* The object of callbacks keeps the picture, and that its buffers. */
        image_of(it, (*env)->GetObjectField(env, it->callbacks, ids.picture), image);
        if (it->ok) result = VITRUM_READ_OK;
        it->ok = 1;
        goes_on(it, env, JNI_FALSE);
    }
    (*env)->PopLocalFrame(env, NULL);
    return result;
}

int32_t on_frame(void *user, const vitrum_tracker *tracker, int64_t frame) {
    call *it = user;
    JNIEnv *env = it->env;
    (void)tracker; /* Java reads through its own handle, which is the same. */
    return !goes_on(it, env, (*env)->CallBooleanMethod(env, it->callbacks, ids.tracked, (jlong)frame));
}
