/*
 * What a forked process can do with what its parent made: all of it, on one thread, and free it. It has none of the
 * parent's threads, and locks may have been held when it was forked: fork SAM
 */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { FORKS = 25 };

static vitrum_context *context;
static vitrum_sam *sam;
static vitrum_image image;
static float *expected;
static size_t count;
static volatile sig_atomic_t done;

static int is_expected(void) {
    vitrum_sam_embedding *embedding = NULL;
    vitrum_error own;
    float *values = malloc(count * sizeof *values);
    size_t needed = 0;
    int same;
    vitrum_error_init(&own, sizeof own);
    if (values == NULL || vitrum_sam_encode(sam, &image, NULL, NULL, &embedding, &own) != VITRUM_OK) {
        fprintf(stderr, "%s\n", own.message);
        return 0;
    }
    same = vitrum_sam_embedding_values(embedding, values, count, &needed, &own) == VITRUM_OK &&
           memcmp(values, expected, count * sizeof *values) == 0;
    vitrum_sam_embedding_free(embedding);
    free(values);
    return same;
}

/* Keeps threads, scratch memory and their locks busy. */
static void *encode_on(void *unused) {
    (void)unused;
    while (!done) {
        CHECK(is_expected());
    }
    return NULL;
}

static void fork_once(int frees) {
    int status = 0;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int ok;
        alarm(120);
        ok = is_expected() && is_expected();
        if (frees) {
            vitrum_sam_free(sam);
            vitrum_context_free(context);
        }
        _exit(ok ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "the child ended with status %d\n", status);
        failures++;
    }
}

int main(int argc, char **argv) {
    vitrum_context_options options;
    vitrum_sam_embedding *embedding = NULL;
    pthread_t threads[2];
    int i;
    CHECK(argc == 2);
    vitrum_error_init(&error, sizeof error);
    CHECK(vitrum_context_options_init(&options, sizeof options) == VITRUM_OK);
    options.threads = 3;
    EXPECT(VITRUM_OK, vitrum_context_new(&options, &context, &error));
    EXPECT(VITRUM_OK, vitrum_sam_load(context, argv[1], NULL, &sam, &error));
    image = new_image(VITRUM_PIXEL_RGBA8);
    EXPECT(VITRUM_OK, vitrum_sam_encode(sam, &image, NULL, NULL, &embedding, &error));
    EXPECT(VITRUM_OK, vitrum_sam_embedding_values(embedding, NULL, 0, &count, &error));
    expected = malloc(count * sizeof *expected);
    CHECK(expected != NULL);
    EXPECT(VITRUM_OK, vitrum_sam_embedding_values(embedding, expected, count, NULL, &error));
    vitrum_sam_embedding_free(embedding);

    fork_once(0);
    fork_once(1);
    for (i = 0; i < 2; i++) {
        CHECK(pthread_create(&threads[i], NULL, encode_on, NULL) == 0);
    }
    for (i = 0; i < FORKS; i++) {
        fork_once(0);
    }
    done = 1;
    for (i = 0; i < 2; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(is_expected());

    free(expected);
    vitrum_sam_free(sam);
    vitrum_context_free(context);
    printf("fork: %s\n", failures ? "failed" : "ok");
    return failures != 0;
}
