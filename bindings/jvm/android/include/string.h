/* What the native part wants of the C library's headers, for a compiler that has none for Android. */
#ifndef VITRUM_STRING_H
#define VITRUM_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
size_t strlen(const char *text);

#endif
