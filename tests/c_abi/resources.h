/*
 * What a process holds: bytes and blocks of the heap to the byte, resident memory, descriptors, maps, threads. Linux with
 * glibc: the allocator is replaced by one that counts and passes on to glibc's.
 */
#ifndef RESOURCES_H
#define RESOURCES_H

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static long live_bytes, live_blocks;

static void *taken(void *block) {
    if (block) {
        __atomic_fetch_add(&live_bytes, (long)malloc_usable_size(block), __ATOMIC_RELAXED);
        __atomic_fetch_add(&live_blocks, 1, __ATOMIC_RELAXED);
    }
    return block;
}

static void given_back(size_t bytes) {
    __atomic_fetch_sub(&live_bytes, (long)bytes, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&live_blocks, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size) {
    return taken(__libc_malloc(size));
}

void *calloc(size_t count, size_t size) {
    return taken(__libc_calloc(count, size));
}

void *memalign(size_t alignment, size_t size) {
    return taken(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) {
    return memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    *block = memalign(alignment, size);
    return *block ? 0 : ENOMEM;
}

void free(void *block) {
    if (block) {
        given_back(malloc_usable_size(block));
        __libc_free(block);
    }
}

void *realloc(void *block, size_t size) {
    const size_t before = block ? malloc_usable_size(block) : 0;
    void *moved = __libc_realloc(block, size);
    if (block && (moved || size == 0)) {
        given_back(before);
    }
    return taken(moved);
}

struct resources {
    long bytes, blocks, resident_kb, descriptors, maps, threads;
};

/* Entries of a directory of /proc. */
static long entries(const char *path) {
    DIR *directory = opendir(path);
    long count = 0;
    while (directory && readdir(directory)) {
        count++;
    }
    if (directory) {
        closedir(directory);
    }
    return count;
}

static long lines(const char *path) {
    FILE *stream = fopen(path, "r");
    long count = 0;
    int byte;
    while (stream && (byte = getc(stream)) != EOF) {
        count += byte == '\n';
    }
    if (stream) {
        fclose(stream);
    }
    return count;
}

static struct resources held(void) {
    struct resources now;
    long pages = 0;
    FILE *stream = fopen("/proc/self/statm", "r");
    if (stream) {
        if (fscanf(stream, "%*d %ld", &pages) != 1) {
            pages = 0;
        }
        fclose(stream);
    }
    now.resident_kb = pages * (sysconf(_SC_PAGESIZE) / 1024);
    now.bytes = __atomic_load_n(&live_bytes, __ATOMIC_RELAXED);
    now.blocks = __atomic_load_n(&live_blocks, __ATOMIC_RELAXED);
    now.descriptors = entries("/proc/self/fd");
    now.threads = entries("/proc/self/task") - 2;
    now.maps = lines("/proc/self/maps");
    return now;
}

static void show(const char *what, long done, long count, const struct resources *now) {
    fprintf(stderr, "%s %ld/%ld: %ld bytes in %ld blocks, %ld kB resident, %ld descriptors, %ld maps, %ld threads\n",
            what, done, count, now->bytes, now->blocks, now->resident_kb, now->descriptors, now->maps, now->threads);
}

#endif
