/* What the NDK's `crtbegin_so.o` would add to the library. */

/* Stands for this library in calls of `__cxa_thread_atexit_impl` and `__register_atfork`. */
__attribute__((visibility("hidden"))) void *__dso_handle = &__dso_handle;

/* The API level that it was made for. */
__attribute__((section(".note.android.ident"), used, aligned(4))) static const struct {
    int name_size, size, type;
    char name[8];
    int level;
} note = {8, 4, 1, "Android", 21};
