/* What happens when the library is loaded: the Java part is found, and gets its native methods. */
#include "vitrum_jni.h"

struct ids ids;

static jclass find(JNIEnv *env, const char *name) {
    jclass local = (*env)->FindClass(env, name), global;
    if (local == NULL) return NULL;
    global = (*env)->NewGlobalRef(env, local);
    (*env)->DeleteLocalRef(env, local);
    return global;
}

/* Every lookup that fails leaves an exception, with which the class that loads the library fails. */
static int find_all(JNIEnv *env) {
    jclass callbacks, picture, prompt;
    return (ids.exception = find(env, "vitrum/VitrumException")) != NULL &&
           (ids.exception_of = (*env)->GetStaticMethodID(env, ids.exception, "of", "(I[B)Lvitrum/VitrumException;")) != NULL &&
           (ids.ints = find(env, "[I")) != NULL &&
           (callbacks = (*env)->FindClass(env, "vitrum/Callbacks")) != NULL &&
           (ids.watches = (*env)->GetMethodID(env, callbacks, "watches", "()Z")) != NULL &&
           (ids.progress = (*env)->GetMethodID(env, callbacks, "progress", "(F)Z")) != NULL &&
           (ids.mask = (*env)->GetMethodID(env, callbacks, "mask", "(IF[I[D)Z")) != NULL &&
           (ids.read = (*env)->GetMethodID(env, callbacks, "read", "(J)Z")) != NULL &&
           (ids.tracked = (*env)->GetMethodID(env, callbacks, "tracked", "(J)Z")) != NULL &&
           (ids.picture = (*env)->GetFieldID(env, callbacks, "picture", PICTURE)) != NULL &&
           (picture = (*env)->FindClass(env, "vitrum/Picture")) != NULL &&
           (ids.pixels = (*env)->GetFieldID(env, picture, "pixels", BUFFER)) != NULL &&
           (ids.chroma = (*env)->GetFieldID(env, picture, "chroma", BUFFER)) != NULL &&
           (ids.layout = (*env)->GetFieldID(env, picture, "layout", "[J")) != NULL &&
           (prompt = (*env)->FindClass(env, "vitrum/Prompt")) != NULL &&
           (ids.points = (*env)->GetFieldID(env, prompt, "points", "[F")) != NULL &&
           (ids.labels = (*env)->GetFieldID(env, prompt, "labels", "[I")) != NULL &&
           (ids.box = (*env)->GetFieldID(env, prompt, "box", "[F")) != NULL &&
           (ids.prompt_mask = (*env)->GetFieldID(env, prompt, "mask", "[F")) != NULL;
}

JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM *vm, void *reserved) {
    const methods *const tables[] = {&context_methods, &clip_methods, &search_methods,
                                     &sam_methods,     &mask_methods, &tracker_methods};
    JNIEnv *env;
    jclass native;
    size_t i;
    (void)reserved;
    if ((*vm)->GetEnv(vm, (void **)&env, JNI_VERSION_1_6) != JNI_OK) return JNI_ERR;
    ids.vm = vm;
    if (!find_all(env) || (native = (*env)->FindClass(env, "vitrum/Native")) == NULL) return JNI_ERR;
    for (i = 0; i < sizeof tables / sizeof *tables; i++)
        if ((*env)->RegisterNatives(env, native, tables[i]->list, tables[i]->count) != 0) return JNI_ERR;
    return JNI_VERSION_1_6;
}
