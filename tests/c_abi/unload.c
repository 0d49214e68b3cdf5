/*
 * The shared library is loaded, used with threads of its own, and closed, a hundred times. It stays, as the header says:
 * nothing grows, its threads are gone, and a thread that used it ends in peace. Linux with glibc: unload LIBRARY SAM
 */
#include <dlfcn.h>
#include <pthread.h>

#include "check.h"
#include "resources.h"

/* Blocks that ended threads give back later. */
static const long LATE = 8;

enum { ROUNDS = 100, WARM_UP = 5 };

/* Nothing of the library is linked; this is for the messages of check.h. */
const char *vitrum_status_string(vitrum_status status) {
    (void)status;
    return "";
}

/* The functions of what is loaded. */
static struct {
    vitrum_status (*error_init)(vitrum_error *, size_t);
    vitrum_status (*context_options_init)(vitrum_context_options *, size_t);
    vitrum_status (*context_new)(const vitrum_context_options *, vitrum_context **, vitrum_error *);
    void (*context_free)(vitrum_context *);
    vitrum_status (*image_init)(vitrum_image *, size_t);
    vitrum_status (*sam_load)(const vitrum_context *, const char *, const vitrum_sam_options *, vitrum_sam **,
                              vitrum_error *);
    void (*sam_free)(vitrum_sam *);
    vitrum_status (*sam_encode)(const vitrum_sam *, const vitrum_image *, vitrum_progress, void *,
                                vitrum_sam_embedding **, vitrum_error *);
    void (*sam_embedding_free)(vitrum_sam_embedding *);
} api;

#define FIND(name) CHECK((*(void **)&api.name = dlsym(library, "vitrum_" #name)) != NULL)

static const char *model;

/* All that a user does, on a thread of the host's. */
static void *use(void *library) {
    vitrum_context_options options;
    vitrum_context *context = NULL;
    vitrum_sam *sam = NULL, *none = NULL;
    vitrum_sam_embedding *embedding = NULL;
    vitrum_image image;
    FIND(error_init);
    FIND(context_options_init);
    FIND(context_new);
    FIND(context_free);
    FIND(image_init);
    FIND(sam_load);
    FIND(sam_free);
    FIND(sam_encode);
    FIND(sam_embedding_free);
    if (failures) {
        return NULL;
    }
    api.error_init(&error, sizeof error);
    api.context_options_init(&options, sizeof options);
    options.threads = 3;
    EXPECT(VITRUM_OK, api.context_new(&options, &context, &error));
    EXPECT(VITRUM_E_NOT_FOUND, api.sam_load(context, "there is no such model", NULL, &none, &error));
    EXPECT(VITRUM_OK, api.sam_load(context, model, NULL, &sam, &error));
    api.image_init(&image, sizeof image);
    image.data = pixels;
    image.width = SIDE;
    image.height = SIDE;
    image.row_stride = SIDE * 4;
    image.format = VITRUM_PIXEL_RGBA8;
    EXPECT(VITRUM_OK, api.sam_encode(sam, &image, NULL, NULL, &embedding, &error));
    api.sam_embedding_free(embedding);
    api.sam_free(sam);
    api.context_free(context);
    return NULL;
}

/* Whether a map of the process is of the file. */
static int is_mapped(const char *file) {
    char line[4096];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        found |= strstr(line, file) != NULL;
    }
    if (maps) {
        fclose(maps);
    }
    return found;
}

int main(int argc, char **argv) {
    struct resources first = {0, 0, 0, 0, 0, 0}, now;
    const char *file;
    int round;
    if (argc != 3) {
        fprintf(stderr, "unload LIBRARY SAM\n");
        return 2;
    }
    file = strrchr(argv[1], '/') ? strrchr(argv[1], '/') + 1 : argv[1];
    model = argv[2];
    for (round = 0; round < ROUNDS && failures == 0; round++) {
        void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (library == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        if (round % 2) {
            pthread_t thread;
            CHECK(pthread_create(&thread, NULL, use, library) == 0 && pthread_join(thread, NULL) == 0);
        } else {
            use(library);
        }
        CHECK(is_mapped(file));
        CHECK(dlclose(library) == 0);
        CHECK(is_mapped(file));
        now = held();
        if (round < WARM_UP) {
            first = now;
        } else {
            CHECK(now.blocks <= first.blocks + LATE && now.maps == first.maps && now.threads == first.threads);
            CHECK(now.descriptors == first.descriptors && now.resident_kb <= first.resident_kb + 2048);
        }
    }
    show("unload", round, ROUNDS, &first);
    show("unload", round, ROUNDS, &now);
    printf("unload: %s\n", failures ? "failed" : "ok");
    return failures != 0;
}
