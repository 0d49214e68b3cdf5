/*
 * What Android's C library has in another form than glibc, for programs of Linux that load the package's library: in copies of it,
 * `check_android` gives the names here an X in the place of their first letter. All else has the same form in both, on x86-64 and
 * on AArch64: structs that the kernel fills, constants that it reads, the functions of ISO C.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int *__errno(void) {
    return &errno;
}

/* There are none. */
int __system_property_get(const char *name, char *value) {
    (void)name;
    value[0] = '\0';
    return 0;
}

/* Of POSIX, not of GNU, which glibc calls by another name. */
extern int __xpg_strerror_r(int number, char *text, size_t size);
int Xtrerror_r(int number, char *text, size_t size) {
    return __xpg_strerror_r(number, text, size);
}

/* The numbers are Android's. */
long Xysconf(int name) {
    switch (name) {
    case 0x27:
    case 0x28: return sysconf(_SC_PAGESIZE);
    case 0x60: return sysconf(_SC_NPROCESSORS_CONF);
    case 0x61: return sysconf(_SC_NPROCESSORS_ONLN);
    default: fprintf(stderr, "shim: sysconf(%d)\n", name); abort();
    }
}

/* Attributes have 56 bytes there, and more on AArch64 here: what the caller has is a pointer to them. */
int Xthread_attr_init(pthread_attr_t **attributes) {
    *attributes = malloc(sizeof **attributes);
    return *attributes == NULL ? ENOMEM : pthread_attr_init(*attributes);
}

int Xthread_attr_destroy(pthread_attr_t **attributes) {
    int result = pthread_attr_destroy(*attributes);
    free(*attributes);
    return result;
}

int Xthread_attr_setstacksize(pthread_attr_t **attributes, size_t size) {
    return pthread_attr_setstacksize(*attributes, size);
}

int Xthread_create(pthread_t *thread, pthread_attr_t *const *attributes, void *(*begin)(void *), void *data) {
    return pthread_create(thread, attributes == NULL ? NULL : *attributes, begin, data);
}
