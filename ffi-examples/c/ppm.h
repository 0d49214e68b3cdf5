/* Pictures for the examples, which would bring no codec along. */
#ifndef PPM_H
#define PPM_H

#include <stdio.h>
#include <stdlib.h>

#include "vitrum.h"

/* Reads a binary PPM: "P6", width, height, 255, and RGB rows. The caller frees image->data. */
static int read_ppm(const char *path, vitrum_image *image) {
    unsigned width = 0, height = 0, maximum = 0;
    uint8_t *data = NULL;
    size_t size;
    FILE *file = fopen(path, "rb");
    vitrum_image_init(image, sizeof *image);
    if (file && fscanf(file, "P6 %5u %5u %3u", &width, &height, &maximum) == 3 && maximum == 255 &&
        width && height && fgetc(file) != EOF) {
        size = (size_t)width * height * 3;
        data = malloc(size);
        if (data && fread(data, 1, size, file) != size) {
            free(data);
            data = NULL;
        }
    }
    if (file) {
        fclose(file);
    }
    image->format = VITRUM_PIXEL_RGB8;
    image->data = data;
    image->width = width;
    image->height = height;
    image->row_stride = (size_t)width * 3;
    return data != NULL;
}

#endif
