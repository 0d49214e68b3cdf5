/*
 * Vitrum: CLIP and SAM on CPUs.
 *
 * Written by `cargo run -p xtask -- header` from src/ffi: do not edit.
 *
 * Functions that can fail return a vitrum_status and take a vitrum_error, which may be NULL. They write their
 * results only if they succeed. Strings are UTF-8 and NUL-terminated. A function says which threads may call
 * it; "any thread" means several at the same time, too. Pointers must not be NULL unless it is said.
 */
#ifndef VITRUM_H
#define VITRUM_H

#include <stddef.h>
#include <stdint.h>

/* What may be NULL, for Swift and for clang's analyser. */
#ifdef __clang__
#define VITRUM_NULLABLE _Nullable
#define VITRUM_NONNULL _Nonnull
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wnullability-extension"
#pragma clang assume_nonnull begin
#else
#define VITRUM_NULLABLE
#define VITRUM_NONNULL
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Version of this header. */
#define VITRUM_VERSION_MAJOR 0
#define VITRUM_VERSION_MINOR 1
#define VITRUM_VERSION_PATCH 0
#define VITRUM_VERSION "0.1.0"

/*
 * Version of the binary interface that this header describes. It changes only when a program built with an
 * older header would no longer work.
 */
#define VITRUM_ABI_VERSION 1

/* Bytes of an error's message, with its NUL. */
#define VITRUM_ERROR_MESSAGE_SIZE 512

/*
 * A CLIP model: image tower, text tower, tokenizer. Opaque and immutable.
 *
 * Several threads may use one model at the same time. It keeps what it needs of its context alive.
 */
typedef struct vitrum_clip vitrum_clip;

/*
 * Threads, an instruction set and scratch memory that is kept for reuse. Opaque.
 *
 * Models keep what they need of their context alive: it may be freed before them. Several threads may use one
 * context and its models at the same time. Nothing is shared between contexts.
 */
typedef struct vitrum_context vitrum_context;

/*
 * A SAM model: image encoder, prompt encoder, mask decoder. Opaque and immutable.
 *
 * Several threads may use one model at the same time. It keeps what it needs of its context alive.
 */
typedef struct vitrum_sam vitrum_sam;

/*
 * A picture as a SAM model sees it. Opaque and immutable.
 *
 * Several threads may use one embedding at the same time. It belongs to the model that made it, or to one loaded
 * from the same weights with the same input size.
 */
typedef struct vitrum_sam_embedding vitrum_sam_embedding;

/*
 * The answers to a call's prompts, and memory that the next call reuses. Opaque.
 *
 * Several threads may read a prediction at the same time, but none while `vitrum_sam_predict` changes it.
 */
typedef struct vitrum_sam_prediction vitrum_sam_prediction;

/*
 * What a call came to: `VITRUM_OK` or one of `VITRUM_E_*`. Codes never change their meaning and new ones may
 * be added, so treat an unknown code as a failure.
 */
typedef int32_t vitrum_status;

/*
 * Receives what went wrong. Owned by the caller, who may pass NULL where one is expected.
 *
 * Every function that takes one sets `code` to what it returns and `message` to a sentence that names the
 * thing at fault, or to an empty string on success. One error must not be used by two calls at the same time.
 */
typedef struct vitrum_error {
    /* `sizeof(vitrum_error)`; set by `vitrum_error_init`. */
    uint32_t struct_size;
    /* The status of the last call. */
    vitrum_status code;
    /* UTF-8, NUL-terminated, cut short if it does not fit. */
    char message[VITRUM_ERROR_MESSAGE_SIZE];
} vitrum_error;

/* Allocates `size` bytes, not 0, at a multiple of `alignment`, a power of two, or returns NULL. Any thread. */
typedef void *VITRUM_NULLABLE (*vitrum_alloc)(void *VITRUM_NULLABLE user, size_t size, size_t alignment);

/* Frees a block that the `vitrum_alloc` set with it returned for this `size` and `alignment`. Any thread. */
typedef void (*vitrum_dealloc)(void *VITRUM_NULLABLE user, void *block, size_t size, size_t alignment);

/* An instruction set: one of `VITRUM_ISA_*`. */
typedef int32_t vitrum_isa;

/* A piece of work that the library hands to a `vitrum_parallel_for`. */
typedef void (*vitrum_work)(void *data, size_t index);

/*
 * A host's way to run work on its own threads: calls `work(data, index)` for every index below `count`, each
 * once, on any threads and in any order, and returns when all have returned.
 *
 * It is called often, from every thread that uses the context's models, several at the same time if they do.
 * If some of the work is not called, it is done on the calling thread. It must not unwind, nor return while
 * `work` is running. Apple's `dispatch_apply_f(count, queue, data, work)` is of this form.
 */
typedef void (*vitrum_parallel_for)(void *VITRUM_NULLABLE user, size_t count, void *data, vitrum_work work);

/* How to make a context. All zeros but `struct_size` are the defaults. */
typedef struct vitrum_context_options {
    /* `sizeof(vitrum_context_options)`; set by `vitrum_context_options_init`. */
    uint32_t struct_size;
    /*
     * Threads that work on one call, at most 1024; 1 is the calling thread alone. 0: one for each core that this
     * process may use, or 1 in a library without threads. Must not be 0 with `parallel_for`.
     */
    uint32_t threads;
    /* The instruction set. */
    vitrum_isa isa;
    /* The host's threads, or NULL for threads that the context starts, owns and joins. */
    vitrum_parallel_for VITRUM_NULLABLE parallel_for;
    /* Handed to `parallel_for`. Must stay valid as long as the context and every model made with it. */
    void *VITRUM_NULLABLE parallel_for_user;
} vitrum_context_options;

/* Layout of a pixel, 8 bits a channel: one of `VITRUM_PIXEL_*`. */
typedef int32_t vitrum_pixel_format;

/*
 * A picture in the caller's memory, which is only read, and only during the call.
 *
 * Row `y` begins at `data + y * row_stride`, so that `(height - 1) * row_stride` bytes and one row are read.
 */
typedef struct vitrum_image {
    /* `sizeof(vitrum_image)`; set by `vitrum_image_init`. */
    uint32_t struct_size;
    /* Layout of a pixel. */
    vitrum_pixel_format format;
    /* The first row. Needs no alignment. */
    const uint8_t *data;
    /* Width in pixels, 1 to 32768. */
    uint32_t width;
    /* Height in pixels, 1 to 32768; at most 2^28 pixels in all. */
    uint32_t height;
    /* Bytes from one row to the next, at least `width` times the bytes of a pixel. */
    size_t row_stride;
} vitrum_image;

/* How to load a CLIP model. All zeros but `struct_size` are the defaults. */
typedef struct vitrum_clip_options {
    /* `sizeof(vitrum_clip_options)`; set by `vitrum_clip_options_init`. */
    uint32_t struct_size;
    /*
     * 1: read the weights through a memory map, which saves system calls. If another process truncates the file
     * meanwhile, the system kills this one. 0: read them by ordinary file operations. Only for
     * `vitrum_clip_load`.
     */
    uint32_t mmap;
} vitrum_clip_options;

/* A file of a model in the caller's memory. This struct will never change. */
typedef struct vitrum_file {
    /* Its name without directories, NUL-terminated UTF-8: such as `config.json`. */
    const char *name;
    /* Its contents. Need no alignment. */
    const uint8_t *data;
    /* How many bytes there are at `data`. */
    size_t size;
} vitrum_file;

/* How to load a SAM model. All zeros but `struct_size` are the defaults. */
typedef struct vitrum_sam_options {
    /* `sizeof(vitrum_sam_options)`; set by `vitrum_sam_options_init`. */
    uint32_t struct_size;
    /*
     * 1: read the weights through a memory map, which saves system calls. If another process truncates the file
     * meanwhile, the system kills this one. 0: read them by ordinary file operations. Only for
     * `vitrum_sam_load`.
     */
    uint32_t mmap;
    /*
     * Side of the model's square input in pixels, a multiple of its patches' side; 0 for that of the checkpoint.
     * Pictures are resized to it. A smaller one is faster and sees less.
     */
    uint32_t image_size;
} vitrum_sam_options;

/*
 * Called between the steps of long work, on the thread that made the call, with the fraction that is done: from
 * 0 to 1, never decreasing. Anything but 0 stops the work, which then returns `VITRUM_E_CANCELLED`.
 *
 * It must return: neither an exception nor `longjmp` may leave it.
 */
typedef int32_t (*vitrum_progress)(void *VITRUM_NULLABLE user, float fraction);

/* What a click says: one of `VITRUM_LABEL_*`. */
typedef int32_t vitrum_label;

/*
 * A click, in pixels of the picture from its top left corner. It may be outside the picture. This struct will
 * never change.
 */
typedef struct vitrum_point {
    /* From the left. */
    float x;
    /* From the top. */
    float y;
    /* What it says. */
    vitrum_label label;
} vitrum_point;

/* All that is said about one object. With nothing set it means the most prominent object. */
typedef struct vitrum_sam_prompt {
    /* `sizeof(vitrum_sam_prompt)`; set by `vitrum_sam_prompt_init`. */
    uint32_t struct_size;
    /* 1 if `bounding_box` is set, otherwise 0. */
    uint32_t has_box;
    /* Clicks, or NULL if `point_count` is 0. */
    const struct vitrum_point *VITRUM_NULLABLE points;
    /* How many clicks there are. */
    size_t point_count;
    /*
     * Left, top, right and bottom of a box, in pixels of the picture: at least left <= right and top <= bottom. It may
     * reach beyond the picture.
     */
    float bounding_box[4];
    /*
     * An earlier low-resolution mask of this object (`vitrum_sam_prediction_low_res`), to be refined, or NULL if
     * `mask_size` is 0.
     */
    const float *VITRUM_NULLABLE mask;
    /* How many values there are at `mask`: the square of `vitrum_sam_mask_side`, or 0. */
    size_t mask_size;
} vitrum_sam_prompt;

/* What there is to know of a mask. */
typedef struct vitrum_sam_mask_stats {
    /* `sizeof(vitrum_sam_mask_stats)`; set by `vitrum_sam_mask_stats_init`. */
    uint32_t struct_size;
    /* Pixels of the mask. */
    uint32_t area;
    /* Left, top, width and height of its box, in pixels; all 0 if the mask is empty. */
    uint32_t bounding_box[4];
    /* How well the model thinks that it covers an object, as the intersection over the union of both. */
    float score;
    /*
     * How little it depends on the threshold: the pixels above a threshold that is higher by 1, over those above
     * one that is lower by 1. Not a number if there are none.
     */
    float stability_score;
} vitrum_sam_mask_stats;

/*
 * How to look for everything in a picture. The names and the defaults are those of segment-anything's
 * `SamAutomaticMaskGenerator`; the defaults are not zeros.
 */
typedef struct vitrum_sam_everything_options {
    /* `sizeof(vitrum_sam_everything_options)`; set by `vitrum_sam_everything_options_init`. */
    uint32_t struct_size;
    /* Points along each side of the grid that is asked. */
    uint32_t points_per_side;
    /* Points that go through the mask decoder at once: more need more memory. */
    uint32_t points_per_batch;
    /*
     * Layers of crops that are looked at in addition to the whole picture: 4 in the first layer, 16 in the second
     * and so on.
     */
    uint32_t crop_n_layers;
    /* Points along a side in layer `i` of crops are divided by this to the power of `i`. */
    uint32_t crop_n_points_downscale_factor;
    /* Holes and islands of fewer pixels are removed from masks; 0 leaves them. */
    uint32_t min_mask_region_area;
    /* Masks whose predicted quality is not above this are dropped; 0 keeps all. */
    double pred_iou_thresh;
    /* Masks that depend more than this on their threshold are dropped; 0 keeps all. */
    double stability_score_thresh;
    /* How far the threshold is moved to see that. */
    double stability_score_offset;
    /* Of two masks whose boxes overlap more than this, the better one is kept. */
    double box_nms_thresh;
    /* The same of masks from different crops, where the one from the smaller crop is kept. */
    double crop_nms_thresh;
    /* How much the crops of the first layer overlap, as a part of the picture's shorter side. */
    double crop_overlap_ratio;
} vitrum_sam_everything_options;

/*
 * A mask that was found. Owned by the library and valid until the callback returns; fields may be added at its
 * end.
 */
typedef struct vitrum_sam_record {
    /* Bytes of this struct. */
    uint32_t struct_size;
    /* Pixels of the mask. */
    uint32_t area;
    /* Width of the picture. */
    uint32_t width;
    /* Height of the picture. */
    uint32_t height;
    /*
     * The mask as run lengths: of 0, of 1, of 0 and so on, down the columns from left to right, as COCO stores
     * masks.
     */
    const uint32_t *VITRUM_NULLABLE counts;
    /* How many runs there are. */
    size_t count_size;
    /*
     * Left, top, width and height of the mask's box, in pixels. As in segment-anything, width and height are from the
     * first pixel to the last one, which is 1 less than `vitrum_sam_prediction_stats` counts.
     */
    uint32_t bounding_box[4];
    /* Left, top, width and height of the crop in which it was found. */
    uint32_t crop_box[4];
    /* The point that found it: from the left and from the top, in pixels. */
    double point[2];
    /* How well the model thinks that it covers an object, as the intersection over the union of both. */
    float predicted_iou;
    /* How little it depends on the threshold. */
    float stability_score;
} vitrum_sam_record;

/*
 * Receives a mask, on the thread that made the call. Anything but 0 ends the work, which then returns
 * `VITRUM_E_CANCELLED`. Neither an exception nor `longjmp` may leave it.
 */
typedef int32_t (*vitrum_sam_record_callback)(void *VITRUM_NULLABLE user, const struct vitrum_sam_record *record);

/* What is looked for, in words. The defaults are not all zeros. */
typedef struct vitrum_sam_text_prompt {
    /* `sizeof(vitrum_sam_text_prompt)`; set by `vitrum_sam_text_prompt_init`. */
    uint32_t struct_size;
    /* Most masks for a text; 1 by default. */
    uint32_t top;
    /* Masks of a lower probability are no answer; 0 by default. */
    double min_probability;
    /* Each of these texts is looked for, with its article: "a red apple". */
    const char *VITRUM_NONNULL const *VITRUM_NONNULL texts;
    /* How many there are, at least 1. */
    size_t text_count;
    /*
     * What else is in the picture and must not be taken for it, or NULL if `other_count` is 0. Then a text has to
     * fit better than words for the background do.
     */
    const char *VITRUM_NONNULL const *VITRUM_NULLABLE others;
    /* How many there are. */
    size_t other_count;
    /* A sentence with `{}` in the place of the text. NULL means "a photo of {}". */
    const char *VITRUM_NULLABLE text_template;
    /* How to find what is then compared with the texts, or NULL for the defaults. */
    const struct vitrum_sam_everything_options *VITRUM_NULLABLE candidates;
} vitrum_sam_text_prompt;

/*
 * Receives a mask that answers text number `text`, with the probability of that text, on the thread that made the
 * call. Anything but 0 ends the call, which then returns `VITRUM_E_CANCELLED`. Neither an exception nor `longjmp`
 * may leave it.
 */
typedef int32_t (*vitrum_sam_match_callback)(void *VITRUM_NULLABLE user,
                                             size_t text,
                                             float probability,
                                             const struct vitrum_sam_record *record);

/* The call succeeded. */
#define VITRUM_OK 0

/* A parameter is outside its domain: unknown enum value, empty list, template without `{}` and so on. */
#define VITRUM_E_INVALID_ARGUMENT 1

/* A pointer that must not be NULL is NULL. */
#define VITRUM_E_NULL_POINTER 2

/* A struct's `struct_size` is not one that this library knows. */
#define VITRUM_E_STRUCT_SIZE 3

/* The caller's buffer is too small for the result. */
#define VITRUM_E_BUFFER_TOO_SMALL 4

/* Text is not valid UTF-8. */
#define VITRUM_E_UTF8 5

/* An image has no pixels, is too large, or its stride is shorter than a row. */
#define VITRUM_E_IMAGE 6

/* The operating system could not read a file. */
#define VITRUM_E_IO 7

/* A file or directory that must exist does not. */
#define VITRUM_E_NOT_FOUND 8

/* A file is malformed: its bytes do not follow its format. */
#define VITRUM_E_FORMAT 9

/* A size in a file or call exceeds a limit of this library. */
#define VITRUM_E_LIMIT 10

/* A tensor that the model needs is absent. */
#define VITRUM_E_MISSING_TENSOR 11

/* A tensor has another shape than the model needs. */
#define VITRUM_E_TENSOR_SHAPE 12

/* A tensor has a data type that the model cannot use. */
#define VITRUM_E_TENSOR_DTYPE 13

/* A configuration value is absent, of the wrong type or impossible. */
#define VITRUM_E_CONFIG 14

/* A tokenizer file is inconsistent. */
#define VITRUM_E_TOKENIZER 15

/* The input is valid but of a kind that this library or this build of it does not implement. */
#define VITRUM_E_UNSUPPORTED 16

/* Memory could not be allocated. */
#define VITRUM_E_OUT_OF_MEMORY 17

/* The caller cancelled the call. */
#define VITRUM_E_CANCELLED 18

/* A bug in this library was caught before it could do harm. Please report it with the error's message. */
#define VITRUM_E_PANIC 19

/* The best that this CPU has. */
#define VITRUM_ISA_BEST 0

/* The baseline of the target that the library was compiled for. */
#define VITRUM_ISA_PORTABLE 1

/* x86-64: AVX2 with FMA and F16C. */
#define VITRUM_ISA_AVX2 2

/* x86-64: AVX-512 F, VL, BW and DQ. */
#define VITRUM_ISA_AVX512 3

/* AArch64: Advanced SIMD. */
#define VITRUM_ISA_NEON 4

/* WebAssembly: 128-bit SIMD. */
#define VITRUM_ISA_SIMD128 5

/* Red, green, blue. */
#define VITRUM_PIXEL_RGB8 1

/* Blue, green, red (OpenCV's order). */
#define VITRUM_PIXEL_BGR8 2

/* Red, green, blue, alpha; alpha is ignored. */
#define VITRUM_PIXEL_RGBA8 3

/* Blue, green, red, alpha; alpha is ignored. */
#define VITRUM_PIXEL_BGRA8 4

/* One grey channel. */
#define VITRUM_PIXEL_GRAY8 5

/*
 * No click. Only there to bring prompts to a common length, as the reference does; it changes the result a little.
 * Its coordinates do not matter.
 */
#define VITRUM_LABEL_PADDING -1

/* Not this. */
#define VITRUM_LABEL_BACKGROUND 0

/* This. */
#define VITRUM_LABEL_FOREGROUND 1

/*
 * The library's version, "major.minor.patch"; compare it with `VITRUM_VERSION` to see whether header and
 * library belong together.
 *
 * The string is static: never free it. Any thread.
 */
const char *vitrum_version_string(void);

/*
 * The library's `VITRUM_ABI_VERSION`. A program that loads the library at run time should refuse another one
 * than its header's. Any thread.
 */
uint32_t vitrum_abi_version(void);

/*
 * A short English description of `status`, "unknown status" for an unknown one.
 *
 * The string is static: never free it. Any thread.
 */
const char *vitrum_status_string(vitrum_status status);

/*
 * Prepares `error` for its first use. `struct_size` is `sizeof *error`.
 *
 * Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
 */
vitrum_status vitrum_error_init(struct vitrum_error *error, size_t struct_size);

/*
 * Sets the functions by which the library allocates all of its memory, for a library that was built without an
 * operating system (Rust's `std`). It needs them before any other call that takes a `vitrum_error`. Both NULL:
 * none. `user` is handed to them and may be NULL. No other call may run at the same time.
 *
 * Errors: `VITRUM_E_UNSUPPORTED` in a library with an operating system, which uses the C library's `malloc`;
 * `VITRUM_E_INVALID_ARGUMENT` if only one function is given, or while anything is allocated: free all handles
 * first.
 */
vitrum_status vitrum_allocator_set(vitrum_alloc VITRUM_NULLABLE alloc,
                                   vitrum_dealloc VITRUM_NULLABLE dealloc,
                                   void *VITRUM_NULLABLE user,
                                   struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Fills `options` with the defaults. `struct_size` is `sizeof *options`.
 *
 * Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
 */
vitrum_status vitrum_context_options_init(struct vitrum_context_options *options, size_t struct_size);

/*
 * Makes a context and writes it to `context`; the caller frees it with `vitrum_context_free`. Any thread.
 *
 * `options` may be NULL for the defaults; it is only read during the call.
 *
 * Errors: `VITRUM_E_INVALID_ARGUMENT` for too many threads, or an unknown instruction set;
 * `VITRUM_E_UNSUPPORTED` for an instruction set that this CPU lacks, or several threads without `parallel_for`
 * in a library without threads; `VITRUM_E_OUT_OF_MEMORY` if the system refuses the threads.
 */
vitrum_status vitrum_context_new(const struct vitrum_context_options *VITRUM_NULLABLE options,
                                 struct vitrum_context *VITRUM_NULLABLE *VITRUM_NONNULL context,
                                 struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Frees `context`, which may be NULL. Its threads end with the last model made with it. No other call may be
 * using it, and it must not be used, nor freed again, afterwards.
 */
void vitrum_context_free(struct vitrum_context *VITRUM_NULLABLE context);

/* How many threads work on one call; 0 if `context` is NULL. Any thread. */
uint32_t vitrum_context_threads(const struct vitrum_context *VITRUM_NULLABLE context);

/* The instruction set in use, never `VITRUM_ISA_BEST`; 0 if `context` is NULL. Any thread. */
vitrum_isa vitrum_context_isa(const struct vitrum_context *VITRUM_NULLABLE context);

/*
 * Frees the scratch memory that is kept for reuse, for instance when an application is short of memory.
 * `context` may be NULL. Any thread.
 */
void vitrum_context_trim(const struct vitrum_context *VITRUM_NULLABLE context);

/*
 * Prepares `image`: sets its `struct_size` to `struct_size`, which is `sizeof *image`, and the other fields to
 * 0. All of them must be set before it is used.
 *
 * Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
 */
vitrum_status vitrum_image_init(struct vitrum_image *image, size_t struct_size);

/*
 * Fills `options` with the defaults. `struct_size` is `sizeof *options`.
 *
 * Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
 */
vitrum_status vitrum_clip_options_init(struct vitrum_clip_options *options, size_t struct_size);

/*
 * Loads the model at `path` and writes it to `clip`; the caller frees it with `vitrum_clip_free`. Any thread.
 *
 * `path` is UTF-8: a directory in Hugging Face layout, or a safetensors file whose directory holds the
 * tokenizer and, if there is one, the configuration. `options` may be NULL for the defaults. Nothing is kept of
 * the arguments but what the model needs of `context`.
 *
 * Errors: `VITRUM_E_NOT_FOUND`, `VITRUM_E_IO`; `VITRUM_E_FORMAT`, `VITRUM_E_LIMIT`,
 * `VITRUM_E_MISSING_TENSOR`, `VITRUM_E_TENSOR_SHAPE`, `VITRUM_E_TENSOR_DTYPE`, `VITRUM_E_CONFIG` or
 * `VITRUM_E_TOKENIZER` for what is wrong in the files; `VITRUM_E_UNSUPPORTED` for a model of another kind, and
 * always in a library built without files.
 */
vitrum_status vitrum_clip_load(const struct vitrum_context *context,
                               const char *path,
                               const struct vitrum_clip_options *VITRUM_NULLABLE options,
                               struct vitrum_clip *VITRUM_NULLABLE *VITRUM_NONNULL clip,
                               struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Loads a model from memory and writes it to `clip`; the caller frees it with `vitrum_clip_free`. Any thread.
 *
 * `files` are `file_count` files as a model directory holds them: weights, whose names end in `.safetensors`
 * (shards need no index), and beside them `config.json`, `preprocessor_config.json`, `tokenizer.json` or
 * `vocab.json` and `merges.txt`, in any order. They are only read during the call. `options` may be NULL for
 * the defaults.
 *
 * Errors: `VITRUM_E_INVALID_ARGUMENT` if there are no weights, for a file that no model has or one given
 * twice, or if `mmap` is set; otherwise those of `vitrum_clip_load`.
 */
vitrum_status vitrum_clip_load_memory(const struct vitrum_context *context,
                                      const struct vitrum_file *files,
                                      size_t file_count,
                                      const struct vitrum_clip_options *VITRUM_NULLABLE options,
                                      struct vitrum_clip *VITRUM_NULLABLE *VITRUM_NONNULL clip,
                                      struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Frees `clip`, which may be NULL. No other call may be using it, and it must not be used, nor freed again,
 * afterwards.
 */
void vitrum_clip_free(struct vitrum_clip *VITRUM_NULLABLE clip);

/* Values of an embedding; 0 if `clip` is NULL. Any thread. */
size_t vitrum_clip_embed_dim(const struct vitrum_clip *VITRUM_NULLABLE clip);

/* Bytes of memory that the model occupies; 0 if `clip` is NULL. Any thread. */
size_t vitrum_clip_memory_bytes(const struct vitrum_clip *VITRUM_NULLABLE clip);

/*
 * Embeds `image_count` pictures of any sizes: resizes, crops and normalises each as the model's preprocessing
 * says, runs the image tower and projects. Any thread.
 *
 * `embeddings` receives `image_count` times `vitrum_clip_embed_dim` floats, picture after picture; with
 * `normalize` 1 each has length 1, with 0 they are as the model gives them. `capacity` is the room there, in
 * floats. `needed`, if not NULL, receives the number of floats, also when `capacity` is too small; with
 * `embeddings` NULL and `capacity` 0 that is all that happens.
 *
 * Errors: `VITRUM_E_INVALID_ARGUMENT` for no images, an unknown format or another `normalize`;
 * `VITRUM_E_IMAGE`; `VITRUM_E_BUFFER_TOO_SMALL`.
 */
vitrum_status vitrum_clip_encode_image(const struct vitrum_clip *clip,
                                       const struct vitrum_image *images,
                                       size_t image_count,
                                       uint32_t normalize,
                                       float *VITRUM_NULLABLE embeddings,
                                       size_t capacity,
                                       size_t *VITRUM_NULLABLE needed,
                                       struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Embeds `text_count` texts, NUL-terminated UTF-8. Any thread.
 *
 * Texts longer than the model's context are cut as the model's reference does. `normalize`, `embeddings`,
 * `capacity` and `needed` are as for `vitrum_clip_encode_image`.
 *
 * Errors: `VITRUM_E_INVALID_ARGUMENT` for no texts, an empty text or another `normalize`;
 * `VITRUM_E_NULL_POINTER`, `VITRUM_E_UTF8` or `VITRUM_E_LIMIT`, with the text's index in the message;
 * `VITRUM_E_NOT_FOUND` if the model was loaded without a tokenizer; `VITRUM_E_BUFFER_TOO_SMALL`.
 */
vitrum_status vitrum_clip_encode_text(const struct vitrum_clip *clip,
                                      const char *VITRUM_NONNULL const *VITRUM_NONNULL texts,
                                      size_t text_count,
                                      uint32_t normalize,
                                      float *VITRUM_NULLABLE embeddings,
                                      size_t capacity,
                                      size_t *VITRUM_NULLABLE needed,
                                      struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Zero-shot classification: how well each of `label_count` labels describes `image`. Any thread.
 *
 * Each label takes the place of `{}` in `label_template`; NULL means "a photo of a {}". `probabilities`
 * receives `label_count` floats that sum to 1, in the order of the labels. `capacity` and `needed` are as for
 * `vitrum_clip_encode_image`.
 *
 * To classify many pictures, embed the labels once and compare: `vitrum_clip_similarity`.
 *
 * Errors: `VITRUM_E_INVALID_ARGUMENT` for no labels, an empty label, an unknown format or a template without
 * `{}`; `VITRUM_E_IMAGE`; `VITRUM_E_UTF8`; `VITRUM_E_LIMIT` for a gigantic label; `VITRUM_E_NOT_FOUND` if the
 * model was loaded without a tokenizer; `VITRUM_E_BUFFER_TOO_SMALL`.
 */
vitrum_status vitrum_clip_classify(const struct vitrum_clip *clip,
                                   const struct vitrum_image *image,
                                   const char *VITRUM_NONNULL const *VITRUM_NONNULL labels,
                                   size_t label_count,
                                   const char *VITRUM_NULLABLE label_template,
                                   float *VITRUM_NULLABLE probabilities,
                                   size_t capacity,
                                   size_t *VITRUM_NULLABLE needed,
                                   struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Compares embeddings: `logits[i * text_count + j]` becomes the cosine of image `i` and text `j`, multiplied by
 * the scale that the model has learnt. A softmax over a row gives the probabilities of the texts. Any thread.
 *
 * `images` and `texts` hold `image_count` and `text_count` embeddings of this model, normalised or not, one
 * after the other. `logits` receives `image_count * text_count` floats and may be one of the inputs.
 * `capacity` and `needed` are as for `vitrum_clip_encode_image`.
 *
 * Errors: `VITRUM_E_INVALID_ARGUMENT` for no images or no texts; `VITRUM_E_BUFFER_TOO_SMALL`.
 */
vitrum_status vitrum_clip_similarity(const struct vitrum_clip *clip,
                                     const float *images,
                                     size_t image_count,
                                     const float *texts,
                                     size_t text_count,
                                     float *VITRUM_NULLABLE logits,
                                     size_t capacity,
                                     size_t *VITRUM_NULLABLE needed,
                                     struct vitrum_error *VITRUM_NULLABLE error);

/*
 * The token ids of `text`, NUL-terminated UTF-8, with the start and end tokens, at most as many as the model's
 * context holds. Any thread.
 *
 * `tokens` receives them. `capacity`, in tokens, and `needed` are as for `vitrum_clip_encode_image`.
 *
 * Errors: `VITRUM_E_UTF8`; `VITRUM_E_LIMIT` for a gigantic text; `VITRUM_E_NOT_FOUND` if the model was loaded
 * without a tokenizer; `VITRUM_E_BUFFER_TOO_SMALL`.
 */
vitrum_status vitrum_clip_tokenize(const struct vitrum_clip *clip,
                                   const char *text,
                                   uint32_t *VITRUM_NULLABLE tokens,
                                   size_t capacity,
                                   size_t *VITRUM_NULLABLE needed,
                                   struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Fills `options` with the defaults. `struct_size` is `sizeof *options`.
 *
 * Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
 */
vitrum_status vitrum_sam_options_init(struct vitrum_sam_options *options, size_t struct_size);

/*
 * Loads the model at `path` and writes it to `sam`; the caller frees it with `vitrum_sam_free`. Any thread.
 *
 * `path` is UTF-8: a directory in Hugging Face layout, or a safetensors file in the naming of the original SAM or
 * of MobileSAM. `options` may be NULL for the defaults. Nothing is kept of the arguments but what the model needs
 * of `context`.
 *
 * Errors: `VITRUM_E_NOT_FOUND`, `VITRUM_E_IO`; `VITRUM_E_FORMAT`, `VITRUM_E_LIMIT`,
 * `VITRUM_E_MISSING_TENSOR`, `VITRUM_E_TENSOR_SHAPE`, `VITRUM_E_TENSOR_DTYPE` or `VITRUM_E_CONFIG` for what is
 * wrong in the files; `VITRUM_E_INVALID_ARGUMENT` for an impossible `image_size`; `VITRUM_E_UNSUPPORTED` for a
 * model of another kind, and always in a library built without files.
 */
vitrum_status vitrum_sam_load(const struct vitrum_context *context,
                              const char *path,
                              const struct vitrum_sam_options *VITRUM_NULLABLE options,
                              struct vitrum_sam *VITRUM_NULLABLE *VITRUM_NONNULL sam,
                              struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Loads a model from memory and writes it to `sam`; the caller frees it with `vitrum_sam_free`. Any thread.
 *
 * `files` are `file_count` files as a model directory holds them: weights, whose names end in `.safetensors`
 * (shards need no index), and beside them `config.json` and `preprocessor_config.json` if there are any, in any
 * order. They are only read during the call. `options` may be NULL for the defaults.
 *
 * Errors: `VITRUM_E_INVALID_ARGUMENT` if there are no weights, for a file that no model has or one given
 * twice, or if `mmap` is set; otherwise those of `vitrum_sam_load`.
 */
vitrum_status vitrum_sam_load_memory(const struct vitrum_context *context,
                                     const struct vitrum_file *files,
                                     size_t file_count,
                                     const struct vitrum_sam_options *VITRUM_NULLABLE options,
                                     struct vitrum_sam *VITRUM_NULLABLE *VITRUM_NONNULL sam,
                                     struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Frees `sam`, which may be NULL. No other call may be using it, and it must not be used, nor freed again,
 * afterwards. Embeddings and predictions made with it can still be read, saved and freed.
 */
void vitrum_sam_free(struct vitrum_sam *VITRUM_NULLABLE sam);

/* Side of the model's square input, in pixels; 0 if `sam` is NULL. Any thread. */
size_t vitrum_sam_image_size(const struct vitrum_sam *VITRUM_NULLABLE sam);

/*
 * Side of the squares in which masks are predicted, and in which a mask is given as a prompt, in values; 0 if
 * `sam` is NULL. Any thread.
 */
size_t vitrum_sam_mask_side(const struct vitrum_sam *VITRUM_NULLABLE sam);

/* Bytes of memory that the model occupies; 0 if `sam` is NULL. Any thread. */
size_t vitrum_sam_memory_bytes(const struct vitrum_sam *VITRUM_NULLABLE sam);

/*
 * Encodes `image`, the work that does not depend on prompts, and writes the result to `embedding`; the caller
 * frees it with `vitrum_sam_embedding_free`. Any thread.
 *
 * Any number of prompts can then be answered from the embedding. `progress` may be NULL; it is called with
 * `progress_user` during the call.
 *
 * Errors: `VITRUM_E_INVALID_ARGUMENT` for an unknown format; `VITRUM_E_IMAGE`, also for a picture so narrow that
 * nothing would be left of it; `VITRUM_E_CANCELLED`; `VITRUM_E_OUT_OF_MEMORY`.
 */
vitrum_status vitrum_sam_encode(const struct vitrum_sam *sam,
                                const struct vitrum_image *image,
                                vitrum_progress VITRUM_NULLABLE progress,
                                void *VITRUM_NULLABLE progress_user,
                                struct vitrum_sam_embedding *VITRUM_NULLABLE *VITRUM_NONNULL embedding,
                                struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Frees `embedding`, which may be NULL. No other call may be using it, and it must not be used, nor freed again,
 * afterwards.
 */
void vitrum_sam_embedding_free(struct vitrum_sam_embedding *VITRUM_NULLABLE embedding);

/* Width of the picture in pixels; 0 if `embedding` is NULL. Any thread. */
uint32_t vitrum_sam_embedding_width(const struct vitrum_sam_embedding *VITRUM_NULLABLE embedding);

/* Height of the picture in pixels; 0 if `embedding` is NULL. Any thread. */
uint32_t vitrum_sam_embedding_height(const struct vitrum_sam_embedding *VITRUM_NULLABLE embedding);

/* Bytes of memory that the embedding occupies; 0 if it is NULL. Any thread. */
size_t vitrum_sam_embedding_memory_bytes(const struct vitrum_sam_embedding *VITRUM_NULLABLE embedding);

/*
 * The output of the image encoder: a square grid of tokens, row by row, the channels of a token together. Any
 * thread.
 *
 * `values` receives it. `capacity` is the room there, in floats. `needed`, if not NULL, receives the number of
 * floats, also when `capacity` is too small; with `values` NULL and `capacity` 0 that is all that happens.
 *
 * Errors: `VITRUM_E_BUFFER_TOO_SMALL`.
 */
vitrum_status vitrum_sam_embedding_values(const struct vitrum_sam_embedding *embedding,
                                          float *VITRUM_NULLABLE values,
                                          size_t capacity,
                                          size_t *VITRUM_NULLABLE needed,
                                          struct vitrum_error *VITRUM_NULLABLE error);

/*
 * The embedding as bytes, for a file or a database; `vitrum_sam_embedding_load` makes it an embedding again, on
 * any machine. Any thread.
 *
 * `bytes` receives them. `capacity` and `needed`, in bytes, are as for `vitrum_sam_embedding_values`.
 *
 * Errors: `VITRUM_E_BUFFER_TOO_SMALL`.
 */
vitrum_status vitrum_sam_embedding_save(const struct vitrum_sam_embedding *embedding,
                                        uint8_t *VITRUM_NULLABLE bytes,
                                        size_t capacity,
                                        size_t *VITRUM_NULLABLE needed,
                                        struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Restores a saved embedding and writes it to `embedding`; the caller frees it with `vitrum_sam_embedding_free`.
 * Any thread.
 *
 * `data` are the `size` bytes that `vitrum_sam_embedding_save` wrote. They need not be trusted: they carry a
 * checksum, and say which model they are from. They are only read during the call.
 *
 * Errors: `VITRUM_E_FORMAT` if they are not a whole, undamaged embedding; `VITRUM_E_UNSUPPORTED` if a later
 * version of this library wrote them; `VITRUM_E_INVALID_ARGUMENT` if another model did, or one with another
 * input size; `VITRUM_E_OUT_OF_MEMORY`.
 */
vitrum_status vitrum_sam_embedding_load(const struct vitrum_sam *sam,
                                        const uint8_t *data,
                                        size_t size,
                                        struct vitrum_sam_embedding *VITRUM_NULLABLE *VITRUM_NONNULL embedding,
                                        struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Makes `prompt` an empty one. `struct_size` is `sizeof *prompt`.
 *
 * Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
 */
vitrum_status vitrum_sam_prompt_init(struct vitrum_sam_prompt *prompt, size_t struct_size);

/*
 * Prepares `stats` for `vitrum_sam_prediction_stats`. `struct_size` is `sizeof *stats`.
 *
 * Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
 */
vitrum_status vitrum_sam_mask_stats_init(struct vitrum_sam_mask_stats *stats, size_t struct_size);

/*
 * Makes an empty prediction for results of `sam` and writes it to `prediction`; the caller frees it with
 * `vitrum_sam_prediction_free`. Any thread.
 */
vitrum_status vitrum_sam_prediction_new(const struct vitrum_sam *sam,
                                        struct vitrum_sam_prediction *VITRUM_NULLABLE *VITRUM_NONNULL prediction,
                                        struct vitrum_error *VITRUM_NULLABLE error);

/* Frees `prediction`, which may be NULL. It must not be used, nor freed again, afterwards. */
void vitrum_sam_prediction_free(struct vitrum_sam_prediction *VITRUM_NULLABLE prediction);

/*
 * Predicts the masks of `prompt_count` objects, independently of each other, in the picture that `embedding` was
 * made from. The answers replace what `prediction` held; if the call fails, it holds none or the earlier ones.
 * Any thread, each with a prediction of its own.
 *
 * `multimask` 1: three masks for each prompt, for prompts that may mean a part, the whole or more, such as a
 * single click. 0: one mask. Many prompts in one call are faster than one after the other.
 *
 * Errors: `VITRUM_E_INVALID_ARGUMENT` for no prompts, an unknown label, coordinates that are not finite or beyond
 * a million, a box whose right or bottom comes before its left or top, a mask of another size or with values that
 * are not finite, or an embedding of another model; `VITRUM_E_OUT_OF_MEMORY`.
 */
vitrum_status vitrum_sam_predict(const struct vitrum_sam *sam,
                                 const struct vitrum_sam_embedding *embedding,
                                 const struct vitrum_sam_prompt *prompts,
                                 size_t prompt_count,
                                 uint32_t multimask,
                                 struct vitrum_sam_prediction *prediction,
                                 struct vitrum_error *VITRUM_NULLABLE error);

/* How many prompts were answered; 0 if `prediction` is NULL. Any thread. */
size_t vitrum_sam_prediction_prompts(const struct vitrum_sam_prediction *VITRUM_NULLABLE prediction);

/* How many masks there are for each prompt; 0 if `prediction` is NULL. Any thread. */
size_t vitrum_sam_prediction_masks(const struct vitrum_sam_prediction *VITRUM_NULLABLE prediction);

/*
 * The scores of all masks, prompt after prompt: how well the model thinks that each covers an object, as the
 * intersection over the union of both. Any thread.
 *
 * `scores` receives them. `capacity` is the room there, in floats. `needed`, if not NULL, receives the number of
 * floats, also when `capacity` is too small; with `scores` NULL and `capacity` 0 that is all that happens.
 *
 * Errors: `VITRUM_E_BUFFER_TOO_SMALL`.
 */
vitrum_status vitrum_sam_prediction_scores(const struct vitrum_sam_prediction *prediction,
                                           float *VITRUM_NULLABLE scores,
                                           size_t capacity,
                                           size_t *VITRUM_NULLABLE needed,
                                           struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Mask number `mask` of prompt number `prompt`, as bytes: 1 where its logits are above `threshold`, otherwise 0;
 * row after row, in the size of the picture. Any thread. The models are made for a threshold of 0.
 *
 * `pixels` receives it. `capacity` and `needed`, in bytes, are as for `vitrum_sam_prediction_scores`.
 *
 * Errors: `VITRUM_E_INVALID_ARGUMENT` if there is no such mask, or the threshold is not a number;
 * `VITRUM_E_BUFFER_TOO_SMALL`; `VITRUM_E_OUT_OF_MEMORY`.
 */
vitrum_status vitrum_sam_prediction_mask(const struct vitrum_sam_prediction *prediction,
                                         size_t prompt,
                                         size_t mask,
                                         float threshold,
                                         uint8_t *VITRUM_NULLABLE pixels,
                                         size_t capacity,
                                         size_t *VITRUM_NULLABLE needed,
                                         struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Mask number `mask` of prompt number `prompt` at `threshold` as run lengths: of 0, of 1, of 0 and so on, down the
 * columns from left to right, as COCO stores masks. Any thread.
 *
 * `counts` receives them. The other parameters and the errors are those of `vitrum_sam_prediction_mask`;
 * `capacity` and `needed` count runs.
 */
vitrum_status vitrum_sam_prediction_rle(const struct vitrum_sam_prediction *prediction,
                                        size_t prompt,
                                        size_t mask,
                                        float threshold,
                                        uint32_t *VITRUM_NULLABLE counts,
                                        size_t capacity,
                                        size_t *VITRUM_NULLABLE needed,
                                        struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Area, box and scores of mask number `mask` of prompt number `prompt` at `threshold`, without the mask. Any
 * thread.
 *
 * `stats` receives them; prepare it by `vitrum_sam_mask_stats_init`.
 *
 * Errors: `VITRUM_E_INVALID_ARGUMENT` if there is no such mask, or the threshold is not a number;
 * `VITRUM_E_OUT_OF_MEMORY`.
 */
vitrum_status vitrum_sam_prediction_stats(const struct vitrum_sam_prediction *prediction,
                                          size_t prompt,
                                          size_t mask,
                                          float threshold,
                                          struct vitrum_sam_mask_stats *stats,
                                          struct vitrum_error *VITRUM_NULLABLE error);

/*
 * The logits of a mask in the size of the picture, row after row: above 0 where the object is. Any thread.
 *
 * `logits` receives them. The other parameters and the errors are those of `vitrum_sam_prediction_mask`;
 * `capacity` and `needed` count floats.
 */
vitrum_status vitrum_sam_prediction_logits(const struct vitrum_sam_prediction *prediction,
                                           size_t prompt,
                                           size_t mask,
                                           float *VITRUM_NULLABLE logits,
                                           size_t capacity,
                                           size_t *VITRUM_NULLABLE needed,
                                           struct vitrum_error *VITRUM_NULLABLE error);

/*
 * The logits of a mask as the model predicts them: a square of `vitrum_sam_mask_side`, which covers the model's
 * input. They can refine a later prompt. Any thread.
 *
 * `logits` receives them. The other parameters and the errors are those of `vitrum_sam_prediction_mask`;
 * `capacity` and `needed` count floats.
 */
vitrum_status vitrum_sam_prediction_low_res(const struct vitrum_sam_prediction *prediction,
                                            size_t prompt,
                                            size_t mask,
                                            float *VITRUM_NULLABLE logits,
                                            size_t capacity,
                                            size_t *VITRUM_NULLABLE needed,
                                            struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Fills `options` with the defaults. `struct_size` is `sizeof *options`.
 *
 * Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
 */
vitrum_status vitrum_sam_everything_options_init(struct vitrum_sam_everything_options *options,
                                                 size_t struct_size);

/*
 * Finds the masks of everything in `image`, and hands each to `on_record`. Any thread.
 *
 * `options` may be NULL for the defaults, and so may `progress` be. Both callbacks are handed `user` and run during
 * the call. `kept`, if not NULL, receives the embedding of the picture, for prompts; the caller frees it with
 * `vitrum_sam_embedding_free`. If the work is ended early, the masks handed out by then are good ones.
 *
 * Errors: `VITRUM_E_INVALID_ARGUMENT` for an unknown pixel format or an option outside its domain;
 * `VITRUM_E_LIMIT` for too many points or layers; `VITRUM_E_IMAGE`; `VITRUM_E_CANCELLED`;
 * `VITRUM_E_OUT_OF_MEMORY`.
 */
vitrum_status vitrum_sam_everything(const struct vitrum_sam *sam,
                                    const struct vitrum_image *image,
                                    const struct vitrum_sam_everything_options *VITRUM_NULLABLE options,
                                    vitrum_sam_record_callback on_record,
                                    vitrum_progress VITRUM_NULLABLE progress,
                                    void *VITRUM_NULLABLE user,
                                    struct vitrum_sam_embedding *VITRUM_NULLABLE *VITRUM_NULLABLE kept,
                                    struct vitrum_error *VITRUM_NULLABLE error);

/*
 * Fills `prompt` with the defaults and no texts. `struct_size` is `sizeof *prompt`.
 *
 * Returns `VITRUM_E_NULL_POINTER` or `VITRUM_E_STRUCT_SIZE` without writing anything.
 */
vitrum_status vitrum_sam_text_prompt_init(struct vitrum_sam_text_prompt *prompt, size_t struct_size);

/*
 * Finds what `prompt` says in `image`: `clip` looks at the masks of everything, cut out and in their surroundings,
 * and those that fit a text best are handed to `on_match`, text by text, the best first. Any thread.
 *
 * `progress` may be NULL. Both callbacks are handed `user` and run during the call. `kept`, if not NULL, receives the
 * embedding of the picture, for prompts; the caller frees it with `vitrum_sam_embedding_free`.
 *
 * Errors: `VITRUM_E_INVALID_ARGUMENT` for no texts, an empty text, a template without `{}`, an unknown pixel format or
 * a number outside its domain; `VITRUM_E_UTF8`; `VITRUM_E_LIMIT`; `VITRUM_E_NOT_FOUND` if `clip` was loaded without
 * a tokenizer; `VITRUM_E_IMAGE`; `VITRUM_E_CANCELLED`; `VITRUM_E_OUT_OF_MEMORY`.
 */
vitrum_status vitrum_sam_ground(const struct vitrum_sam *sam,
                                const struct vitrum_clip *clip,
                                const struct vitrum_image *image,
                                const struct vitrum_sam_text_prompt *prompt,
                                vitrum_sam_match_callback on_match,
                                vitrum_progress VITRUM_NULLABLE progress,
                                void *VITRUM_NULLABLE user,
                                struct vitrum_sam_embedding *VITRUM_NULLABLE *VITRUM_NULLABLE kept,
                                struct vitrum_error *VITRUM_NULLABLE error);

#ifdef __cplusplus
} /* extern "C" */
#endif

#ifdef __clang__
#pragma clang assume_nonnull end
#pragma clang diagnostic pop
#endif

#endif /* VITRUM_H */
