/* What the C test programs share: counted checks, a picture, a file read into memory. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vitrum.h"

static vitrum_error error;
static int failures;

#define CHECK(condition)                                                         \
    do {                                                                         \
        if (!(condition)) {                                                      \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);      \
            failures++;                                                          \
        }                                                                        \
    } while (0)

/* The call returns `expected`, and `error` says the same with a sentence, or none on success. */
#define EXPECT(expected, call) expect(expected, call, #call, __LINE__)

static void expect(vitrum_status expected, vitrum_status status, const char *call, int line) {
    if (status != expected || error.code != expected || (error.message[0] == 0) != (expected == VITRUM_OK)) {
        fprintf(stderr, "line %d: %s\n  status %d, code %d, message \"%s\", expected %d (%s)\n", line, call,
                status, error.code, error.message, expected, vitrum_status_string(expected));
        failures++;
    }
}

/* A context with one thread, at a level that valgrind knows. */
static inline vitrum_context *new_context(void) {
    vitrum_context *context = NULL;
    vitrum_context_options options;
    CHECK(vitrum_context_options_init(&options, sizeof options) == VITRUM_OK);
    options.threads = 1;
    options.isa = VITRUM_ISA_PORTABLE;
    EXPECT(VITRUM_OK, vitrum_context_new(&options, &context, &error));
    return context;
}

/* Progress that goes on to its end. `user`: the fraction that was told last, and how often one was. */
static inline int32_t count_steps(void *user, float fraction) {
    float *last = user;
    CHECK(fraction >= last[0] && fraction <= 1);
    last[0] = fraction;
    last[1] += 1;
    return 0;
}

enum { SIDE = 40 };
static uint8_t pixels[SIDE * SIDE * 4];

/* A picture of 40 x 40 pixels with some structure. */
static inline vitrum_image new_image(vitrum_pixel_format format) {
    vitrum_image image;
    size_t i;
    for (i = 0; i < sizeof pixels; i++) {
        pixels[i] = (uint8_t)(i * 7 + (i >> 6) * 31);
    }
    CHECK(vitrum_image_init(&image, sizeof image) == VITRUM_OK);
    image.data = pixels;
    image.width = SIDE;
    image.height = SIDE;
    image.row_stride = SIDE * 4;
    image.format = format;
    return image;
}

/* The contents of DIRECTORY/NAME. The caller frees them. */
static inline vitrum_file read_file(const char *directory, const char *name) {
    vitrum_file file = {NULL, NULL, 0};
    char path[1024];
    uint8_t *data = NULL;
    long size = 0;
    FILE *stream;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    stream = fopen(path, "rb");
    if (stream && fseek(stream, 0, SEEK_END) == 0) {
        size = ftell(stream);
        rewind(stream);
        data = malloc((size_t)size + 1);
        if (data && fread(data, 1, (size_t)size, stream) != (size_t)size) {
            size = 0;
        }
    }
    if (stream) {
        fclose(stream);
    }
    CHECK(size > 0);
    file.name = name;
    file.data = data;
    file.size = (size_t)size;
    return file;
}

#endif
