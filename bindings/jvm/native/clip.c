/* CLIP: pictures and texts in one space. */
#include "vitrum_jni.h"

static jlong clip_load(JNIEnv *env, jclass class, jlong context, jbyteArray path, jbyteArray names, jobjectArray contents,
                       jintArray numbers, jbyteArray vocabulary, jobject callbacks) {
    enum { MAP, LENIENT, ACTIVATION, WEIGHTS, COUNT };
    vitrum_clip *clip = NULL;
    vitrum_clip_options options;
    jint values[COUNT];
    call it;
    (void)class;
    begin(&it, env, callbacks);
    vitrum_clip_options_init(&options, sizeof options);
    (*env)->GetIntArrayRegion(env, numbers, 0, COUNT, values);
    options.mmap = (uint32_t)values[MAP];
    options.lenient = (uint32_t)values[LENIENT];
    options.activation = values[ACTIVATION];
    options.weights = values[WEIGHTS];
    options.vocabulary = bytes_of(&it, vocabulary, &options.vocabulary_size);
    options.progress = progress_of(&it);
    options.progress_user = &it;
    if (path != NULL) {
        const char *text = text_of(&it, path);
        if (it.ok) tried(&it, vitrum_clip_load(POINTER(vitrum_context, context), text, &options, &clip, &it.error));
    } else {
        size_t count;
        const vitrum_file *files = files_of(&it, names, contents, &count);
        if (it.ok)
            tried(&it, vitrum_clip_load_memory(POINTER(vitrum_context, context), files, count, &options, &clip, &it.error));
    }
    end(&it);
    return HANDLE(clip);
}

static jint clip_embed_dim(JNIEnv *env, jclass class, jlong clip) {
    (void)env;
    (void)class;
    return (jint)vitrum_clip_embed_dim(POINTER(vitrum_clip, clip));
}

static jboolean clip_independent(JNIEnv *env, jclass class, jlong clip) {
    (void)env;
    (void)class;
    return vitrum_clip_has_independent_probabilities(POINTER(vitrum_clip, clip)) != 0;
}

static vitrum_clip_encode_options encode_options(call *it, jboolean normalize) {
    vitrum_clip_encode_options options;
    vitrum_clip_encode_options_init(&options, sizeof options);
    options.normalize = normalize;
    options.progress = progress_of(it);
    options.progress_user = it;
    return options;
}

static jfloatArray clip_encode_image(JNIEnv *env, jclass class, jlong clip, jobjectArray pictures, jboolean normalize,
                                     jobject callbacks) {
    jsize count = (*env)->GetArrayLength(env, pictures), i;
    size_t room = 0, needed = 0;
    float *values = NULL;
    vitrum_clip_encode_options options;
    vitrum_image *images;
    jfloatArray result;
    call it;
    (void)class;
    begin(&it, env, callbacks);
    images = take(&it, (size_t)count, sizeof *images);
    for (i = 0; it.ok && i < count; i++) {
        jobject picture = (*env)->GetObjectArrayElement(env, pictures, i);
        image_of(&it, picture, &images[i]);
        (*env)->DeleteLocalRef(env, picture);
    }
    options = encode_options(&it, normalize);
    TWICE(&it, values, room, needed,
          vitrum_clip_encode_image(POINTER(vitrum_clip, clip), images, (size_t)count, &options, values, room, &needed,
                                   &it.error));
    result = to_floats(&it, values, needed);
    end(&it);
    return result;
}

static jfloatArray clip_encode_text(JNIEnv *env, jclass class, jlong clip, jbyteArray utf8, jint count, jboolean normalize,
                                    jobject callbacks) {
    size_t room = 0, needed = 0;
    float *values = NULL;
    vitrum_clip_encode_options options;
    const char *const *texts;
    jfloatArray result;
    call it;
    (void)class;
    begin(&it, env, callbacks);
    texts = texts_of(&it, utf8, count);
    options = encode_options(&it, normalize);
    TWICE(&it, values, room, needed,
          vitrum_clip_encode_text(POINTER(vitrum_clip, clip), texts, (size_t)count, &options, values, room, &needed,
                                  &it.error));
    result = to_floats(&it, values, needed);
    end(&it);
    return result;
}

static jfloatArray clip_classify(JNIEnv *env, jclass class, jlong clip, jobject picture, jbyteArray utf8, jint count,
                                 jbyteArray template, jobject callbacks) {
    size_t room = 0, needed = 0;
    float *values = NULL;
    vitrum_clip_classify_options options;
    vitrum_image image;
    const char *const *labels;
    jfloatArray result;
    call it;
    (void)class;
    begin(&it, env, callbacks);
    vitrum_clip_classify_options_init(&options, sizeof options);
    image_of(&it, picture, &image);
    labels = texts_of(&it, utf8, count);
    options.label_template = text_of(&it, template);
    options.progress = progress_of(&it);
    options.progress_user = &it;
    TWICE(&it, values, room, needed,
          vitrum_clip_classify(POINTER(vitrum_clip, clip), &image, labels, (size_t)count, &options, values, room, &needed,
                               &it.error));
    result = to_floats(&it, values, needed);
    end(&it);
    return result;
}

static jfloatArray clip_similarity(JNIEnv *env, jclass class, jlong clip, jfloatArray image_values, jint image_count,
                                   jfloatArray text_values, jint text_count) {
    size_t room = 0, needed = 0, unused;
    float *values = NULL;
    const float *images, *texts;
    jfloatArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    images = floats_of(&it, image_values, &unused);
    texts = floats_of(&it, text_values, &unused);
    TWICE(&it, values, room, needed,
          vitrum_clip_similarity(POINTER(vitrum_clip, clip), images, (size_t)image_count, texts, (size_t)text_count, values,
                                 room, &needed, &it.error));
    result = to_floats(&it, values, needed);
    end(&it);
    return result;
}

static jintArray clip_tokenize(JNIEnv *env, jclass class, jlong clip, jbyteArray utf8) {
    size_t room = 0, needed = 0;
    uint32_t *values = NULL;
    const char *text;
    jintArray result;
    call it;
    (void)class;
    begin(&it, env, NULL);
    text = text_of(&it, utf8);
    TWICE(&it, values, room, needed,
          vitrum_clip_tokenize(POINTER(vitrum_clip, clip), text, values, room, &needed, &it.error));
    result = to_ints(&it, values, needed);
    end(&it);
    return result;
}

static const JNINativeMethod list[] = {
    METHOD("clipLoad", "(J" BYTES BYTES BUFFERS "[I" BYTES CALLBACKS ")J", clip_load),
    METHOD("clipEmbedDim", "(J)I", clip_embed_dim),
    METHOD("clipIndependent", "(J)Z", clip_independent),
    METHOD("clipEncodeImage", "(J" PICTURES "Z" CALLBACKS ")[F", clip_encode_image),
    METHOD("clipEncodeText", "(J" BYTES "IZ" CALLBACKS ")[F", clip_encode_text),
    METHOD("clipClassify", "(J" PICTURE BYTES "I" BYTES CALLBACKS ")[F", clip_classify),
    METHOD("clipSimilarity", "(J[FI[FI)[F", clip_similarity),
    METHOD("clipTokenize", "(J" BYTES ")[I", clip_tokenize),
};
const methods clip_methods = METHODS(list);
