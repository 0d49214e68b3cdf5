/* What the native part shares: a call from Java with its memory, its arguments, its results and its callbacks. */
#ifndef VITRUM_JNI_H
#define VITRUM_JNI_H

#include <jni.h>
#include <stddef.h>
#include <stdint.h>

#include <vitrum.h>

/* Kinds of handles, as in `Native.java`. */
enum { KIND_CONTEXT, KIND_CLIP, KIND_SAM, KIND_EMBEDDING, KIND_PREDICTION, KIND_TRACKER };

/* Classes, methods and fields of the Java part: found once, because threads of the library could not find them. */
struct ids {
    JavaVM *vm;
    jclass exception, ints;
    jmethodID exception_of;
    jmethodID watches, progress, mask, read, tracked;
    jfieldID picture;
    jfieldID pixels, chroma, layout;
    jfieldID points, labels, box, prompt_mask;
};
extern struct ids ids;

/*
 * A call from Java. Functions on it do nothing once one has failed, so that only results need a look: then `ok` is 0 and a
 * Java exception is pending.
 */
typedef struct call {
    JNIEnv *env;
    int ok;
    vitrum_error error;
    struct block *memory;
    /* `Callbacks`, for any thread; NULL without. */
    jobject callbacks;
    /* What a callback threw; the call throws it when it ends. */
    jthrowable thrown;
} call;

void begin(call *it, JNIEnv *env, jobject callbacks);
void end(call *it);

/* Throws what `status` stands for, or what a callback threw. Returns `ok`. */
int tried(call *it, vitrum_status status);
void throw_new(call *it, const char *class_name, const char *message);

/* Memory for `count` values of `size` bytes, until the call ends; not NULL as long as the call is ok. */
void *take(call *it, size_t count, size_t size);

/*
 * A result of any length. `expression`, a call of the library that names `values`, `room` and `needed`, says how long it is,
 * and then fills it.
 */
#define TWICE(it, values, room, needed, expression)   \
    do {                                              \
        if ((it)->ok && tried(it, expression)) {      \
            values = take(it, needed, sizeof *values); \
            room = needed;                            \
            if ((it)->ok) tried(it, expression);      \
        }                                             \
    } while (0)

/* Arguments. Pointers to what Java may leave out are NULL then. */
const char *text_of(call *it, jbyteArray utf8);
const char *const *texts_of(call *it, jbyteArray utf8, jint count);
const uint8_t *bytes_of(call *it, jbyteArray array, size_t *size);
const float *floats_of(call *it, jfloatArray array, size_t *count);
/* Where a direct buffer begins; it must stay reachable during the call. */
void *address_of(call *it, jobject buffer);
void numbers_of(call *it, jdoubleArray array, double *values, jsize count);
void image_of(call *it, jobject picture, vitrum_image *image);
const vitrum_file *files_of(call *it, jbyteArray names, jobjectArray contents, size_t *count);
const vitrum_sam_everything_options *everything_of(call *it, jdoubleArray values, jobjectArray grids,
                                                   vitrum_sam_everything_options *options);
void prompt_of(call *it, jobject object, vitrum_sam_prompt *prompt);

/* Results. */
jbyteArray to_bytes(call *it, const void *values, size_t count);
jintArray to_ints(call *it, const void *values, size_t count);
jlongArray to_longs(call *it, const int64_t *values, size_t count);
jfloatArray to_floats(call *it, const float *values, size_t count);
jdoubleArray to_doubles(call *it, const double *values, size_t count);
void to_numbers(call *it, const double *values, jdoubleArray array, jsize count);

/* Callbacks; `user` is the call. The first is NULL if Java has no progress. */
vitrum_progress progress_of(call *it);
int32_t on_record(void *user, const vitrum_sam_record *record);
int32_t on_match(void *user, size_t text, float probability, const vitrum_sam_record *record);
vitrum_read_result on_read(void *user, int64_t frame, vitrum_image *image);
int32_t on_frame(void *user, const vitrum_tracker *tracker, int64_t frame);

/* Tables of the functions of `Native.java`. */
typedef struct methods {
    const JNINativeMethod *list;
    jint count;
} methods;
extern const methods context_methods, clip_methods, sam_methods, mask_methods, tracker_methods, search_methods;

#define POINTER(type, handle) ((type *)(intptr_t)(handle))
#define HANDLE(pointer) ((jlong)(intptr_t)(pointer))
#define METHOD(name, signature, function) {(char *)(name), (char *)(signature), (void *)(function)}
#define METHODS(table) {table, (jint)(sizeof table / sizeof *table)}

/* Parts of signatures. */
#define BYTES "[B"
#define BUFFER "Ljava/nio/ByteBuffer;"
#define FLOATS "Ljava/nio/FloatBuffer;"
#define BUFFERS "[Ljava/nio/ByteBuffer;"
#define PICTURE "Lvitrum/Picture;"
#define PICTURES "[Lvitrum/Picture;"
#define PROMPT "Lvitrum/Prompt;"
#define PROMPTS "[Lvitrum/Prompt;"
#define CALLBACKS "Lvitrum/Callbacks;"

#endif
