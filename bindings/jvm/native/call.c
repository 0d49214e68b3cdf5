/* A call from Java: its memory, its failure, its arguments, its results. */
#include "vitrum_jni.h"

#include <stdlib.h>
#include <string.h>

struct block {
    struct block *next;
};

/* Behind a block's link, memory is aligned for everything that is kept there. */
enum { LINK = 16 };

void begin(call *it, JNIEnv *env, jobject callbacks) {
    memset(it, 0, sizeof *it);
    it->env = env;
    it->ok = 1;
    vitrum_error_init(&it->error, sizeof it->error);
    if (callbacks != NULL && (it->callbacks = (*env)->NewGlobalRef(env, callbacks)) == NULL)
        throw_new(it, "java/lang/OutOfMemoryError", "no room for a global reference");
}

void end(call *it) {
    while (it->memory != NULL) {
        struct block *next = it->memory->next;
        free(it->memory);
        it->memory = next;
    }
    if (it->callbacks != NULL) (*it->env)->DeleteGlobalRef(it->env, it->callbacks);
    if (it->thrown != NULL) (*it->env)->DeleteGlobalRef(it->env, it->thrown);
}

void throw_new(call *it, const char *class_name, const char *message) {
    jclass class = (*it->env)->FindClass(it->env, class_name);
    it->ok = 0;
    if (class == NULL) return; /* Then that is thrown. */
    (*it->env)->ThrowNew(it->env, class, message);
    (*it->env)->DeleteLocalRef(it->env, class);
}

/* A function of JNI may have failed. */
static int checked(call *it) {
    if ((*it->env)->ExceptionCheck(it->env)) it->ok = 0;
    return it->ok;
}

int tried(call *it, vitrum_status status) {
    JNIEnv *env = it->env;
    jbyteArray message;
    jthrowable exception;
    if (!it->ok) return 0;
    if (status == VITRUM_OK && it->thrown == NULL) return 1;
    if (it->thrown != NULL) {
        it->ok = 0;
        (*env)->Throw(env, it->thrown);
        return 0;
    }
    message = to_bytes(it, it->error.message, strlen(it->error.message));
    if (!it->ok) return 0;
    it->ok = 0;
    exception = (*env)->CallStaticObjectMethod(env, ids.exception, ids.exception_of, (jint)status, message);
    if (!(*env)->ExceptionCheck(env) && exception != NULL) (*env)->Throw(env, exception);
    return 0;
}

void *take(call *it, size_t count, size_t size) {
    struct block *block = NULL;
    if (!it->ok) return NULL;
    if (count <= (SIZE_MAX - LINK) / size) block = malloc(LINK + count * size);
    if (block == NULL) {
        throw_new(it, "java/lang/OutOfMemoryError", "no native memory");
        return NULL;
    }
    block->next = it->memory;
    it->memory = block;
    return (char *)block + LINK;
}

/* The length of an array; 0 for NULL. */
static jsize length_of(call *it, jarray array) {
    return it->ok && array != NULL ? (*it->env)->GetArrayLength(it->env, array) : 0;
}

const uint8_t *bytes_of(call *it, jbyteArray array, size_t *size) {
    jsize length = length_of(it, array);
    uint8_t *bytes;
    if (size != NULL) *size = (size_t)length;
    if (array == NULL || (bytes = take(it, (size_t)length, 1)) == NULL) return NULL;
    (*it->env)->GetByteArrayRegion(it->env, array, 0, length, (jbyte *)bytes);
    return checked(it) ? bytes : NULL;
}

const char *text_of(call *it, jbyteArray utf8) {
    return (const char *)bytes_of(it, utf8, NULL);
}

const char *const *texts_of(call *it, jbyteArray utf8, jint count) {
    const char **texts = take(it, (size_t)count, sizeof *texts);
    const char *text = text_of(it, utf8);
    jint i;
    if (!it->ok || text == NULL) return NULL;
    for (i = 0; i < count; i++) {
        texts[i] = text;
        text += strlen(text) + 1;
    }
    return texts;
}

const float *floats_of(call *it, jfloatArray array, size_t *count) {
    jsize length = length_of(it, array);
    float *values;
    *count = (size_t)length;
    if (array == NULL || (values = take(it, (size_t)length, sizeof *values)) == NULL) return NULL;
    (*it->env)->GetFloatArrayRegion(it->env, array, 0, length, values);
    return checked(it) ? values : NULL;
}

void numbers_of(call *it, jdoubleArray array, double *values, jsize count) {
    if (!it->ok) return;
    (*it->env)->GetDoubleArrayRegion(it->env, array, 0, count, values);
    checked(it);
}

void to_numbers(call *it, const double *values, jdoubleArray array, jsize count) {
    if (!it->ok) return;
    (*it->env)->SetDoubleArrayRegion(it->env, array, 0, count, values);
    checked(it);
}

void *address_of(call *it, jobject buffer) {
    void *address;
    if (!it->ok || buffer == NULL) return NULL;
    address = (*it->env)->GetDirectBufferAddress(it->env, buffer);
    if (address == NULL) throw_new(it, "java/lang/IllegalArgumentException", "this buffer has no address");
    return address;
}

/* Where the direct buffer in a field begins. The object that has the field keeps it alive. */
static const uint8_t *buffer_of(call *it, jobject object, jfieldID field) {
    jobject buffer = (*it->env)->GetObjectField(it->env, object, field);
    const uint8_t *address = address_of(it, buffer);
    if (buffer != NULL) (*it->env)->DeleteLocalRef(it->env, buffer);
    return address;
}

void image_of(call *it, jobject picture, vitrum_image *image) {
    enum { FORMAT, WIDTH, HEIGHT, ROW_STRIDE, CHROMA_STRIDE, MATRIX, FULL_RANGE, COUNT };
    JNIEnv *env = it->env;
    jlong layout[COUNT];
    jlongArray array;
    if (!it->ok) return;
    vitrum_image_init(image, sizeof *image);
    image->data = buffer_of(it, picture, ids.pixels);
    if (it->ok) image->chroma = buffer_of(it, picture, ids.chroma);
    if (!it->ok) return;
    array = (*env)->GetObjectField(env, picture, ids.layout);
    (*env)->GetLongArrayRegion(env, array, 0, COUNT, layout);
    if (!checked(it)) return;
    (*env)->DeleteLocalRef(env, array);
    image->format = (vitrum_pixel_format)layout[FORMAT];
    image->width = (uint32_t)layout[WIDTH];
    image->height = (uint32_t)layout[HEIGHT];
    image->row_stride = (size_t)layout[ROW_STRIDE];
    image->chroma_stride = (size_t)layout[CHROMA_STRIDE];
    image->yuv_matrix = (vitrum_yuv_matrix)layout[MATRIX];
    image->yuv_full_range = (uint32_t)layout[FULL_RANGE];
}

const vitrum_file *files_of(call *it, jbyteArray names, jobjectArray contents, size_t *count) {
    JNIEnv *env = it->env;
    jsize length = length_of(it, contents), i;
    vitrum_file *files = take(it, (size_t)length, sizeof *files);
    const char *const *all = texts_of(it, names, length);
    *count = (size_t)length;
    for (i = 0; it->ok && i < length; i++) {
        jobject buffer = (*env)->GetObjectArrayElement(env, contents, i);
        if (!checked(it)) break;
        files[i].name = all[i];
        files[i].data = (*env)->GetDirectBufferAddress(env, buffer);
        files[i].size = (size_t)(*env)->GetDirectBufferCapacity(env, buffer);
        (*env)->DeleteLocalRef(env, buffer);
    }
    return files;
}

jbyteArray to_bytes(call *it, const void *values, size_t count) {
    jbyteArray array = NULL;
    if (it->ok && count > INT32_MAX) throw_new(it, "java/lang/OutOfMemoryError", "more than an array can hold");
    if (it->ok) array = (*it->env)->NewByteArray(it->env, (jsize)count);
    if (array != NULL) (*it->env)->SetByteArrayRegion(it->env, array, 0, (jsize)count, values);
    return checked(it) ? array : NULL;
}

jintArray to_ints(call *it, const void *values, size_t count) {
    jintArray array = NULL;
    if (it->ok && count > INT32_MAX) throw_new(it, "java/lang/OutOfMemoryError", "more than an array can hold");
    if (it->ok) array = (*it->env)->NewIntArray(it->env, (jsize)count);
    if (array != NULL) (*it->env)->SetIntArrayRegion(it->env, array, 0, (jsize)count, values);
    return checked(it) ? array : NULL;
}

jlongArray to_longs(call *it, const int64_t *values, size_t count) {
    jlongArray array = NULL;
    if (it->ok) array = (*it->env)->NewLongArray(it->env, (jsize)count);
    if (array != NULL) (*it->env)->SetLongArrayRegion(it->env, array, 0, (jsize)count, (const jlong *)values);
    return checked(it) ? array : NULL;
}

jfloatArray to_floats(call *it, const float *values, size_t count) {
    jfloatArray array = NULL;
    if (it->ok && count > INT32_MAX) throw_new(it, "java/lang/OutOfMemoryError", "more than an array can hold");
    if (it->ok) array = (*it->env)->NewFloatArray(it->env, (jsize)count);
    if (array != NULL) (*it->env)->SetFloatArrayRegion(it->env, array, 0, (jsize)count, values);
    return checked(it) ? array : NULL;
}

jdoubleArray to_doubles(call *it, const double *values, size_t count) {
    jdoubleArray array = NULL;
    if (it->ok) array = (*it->env)->NewDoubleArray(it->env, (jsize)count);
    if (array != NULL) (*it->env)->SetDoubleArrayRegion(it->env, array, 0, (jsize)count, values);
    return checked(it) ? array : NULL;
}
