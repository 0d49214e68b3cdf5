/* What a host without an operating system brings: a heap, a way out for text, an end. */
#ifndef MACHINE_H
#define MACHINE_H

#include <stddef.h>

void *heap_alloc(void *user, size_t size, size_t alignment);
void heap_free(void *user, void *block, size_t size, size_t alignment);
/* Blocks that are allocated. */
size_t heap_blocks(void);
void print(const char *text);
void finish(int status);

/* The program; returns its exit status. */
int classify(void);

#endif
