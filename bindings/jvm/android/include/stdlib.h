/* What the native part and `jni.h` want of the C library's headers, for a compiler that has none for Android. */
#ifndef VITRUM_STDLIB_H
#define VITRUM_STDLIB_H

#include <stddef.h>

void *malloc(size_t size);
void free(void *block);

#endif
