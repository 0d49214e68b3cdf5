/*
 * The host allocates for the library: all its memory comes from the host's functions and goes back to them, with the size
 * and the alignment that it was asked for with: allocator CLIP
 */
#include "check.h"

/* Before each block: what it was asked for with. */
struct block {
    size_t size, alignment;
    void *start;
};

static volatile long blocks, calls, wrong;
static int has_memory = 1;
static int host;

static void *host_alloc(void *user, size_t size, size_t alignment) {
    struct block block;
    char *start, *memory;
    CHECK(user == &host && size > 0 && alignment > 0 && (alignment & (alignment - 1)) == 0);
    if (!has_memory) {
        return NULL;
    }
    start = malloc(sizeof block + alignment + size);
    if (start == NULL) {
        return NULL;
    }
    memory = start + sizeof block;
    memory += (alignment - (size_t)memory % alignment) % alignment;
    block.size = size;
    block.alignment = alignment;
    block.start = start;
    memcpy(memory - sizeof block, &block, sizeof block);
    __sync_add_and_fetch(&blocks, 1);
    __sync_add_and_fetch(&calls, 1);
    return memory;
}

static void host_dealloc(void *user, void *memory, size_t size, size_t alignment) {
    struct block block;
    memcpy(&block, (char *)memory - sizeof block, sizeof block);
    if (user != &host || block.size != size || block.alignment != alignment) {
        __sync_add_and_fetch(&wrong, 1);
    }
    __sync_sub_and_fetch(&blocks, 1);
    free(block.start);
}

int main(int argc, char **argv) {
    const char *labels[2] = {"a cat", "a dog"};
    float expected[2], probabilities[2];
    vitrum_context *context = NULL;
    vitrum_clip *clip = NULL, *other = NULL;
    vitrum_image image;
    long kept;
    if (argc != 2) {
        return 2;
    }
    vitrum_error_init(&error, sizeof error);
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_allocator_set(host_alloc, NULL, &host, &error));
    EXPECT(VITRUM_OK, vitrum_allocator_set(host_alloc, host_dealloc, &host, &error));
    EXPECT(VITRUM_OK, vitrum_allocator_set(NULL, NULL, NULL, &error));
    EXPECT(VITRUM_OK, vitrum_allocator_set(host_alloc, host_dealloc, &host, &error));

    EXPECT(VITRUM_OK, vitrum_context_new(NULL, &context, &error));
    EXPECT(VITRUM_OK, vitrum_clip_load(context, argv[1], NULL, &clip, &error));
    image = new_image(VITRUM_PIXEL_RGBA8);
    EXPECT(VITRUM_OK, vitrum_clip_classify(clip, &image, labels, 2, NULL, expected, 2, NULL, &error));
    CHECK(calls > 100 && blocks > 10 && wrong == 0);
    EXPECT(VITRUM_E_INVALID_ARGUMENT, vitrum_allocator_set(NULL, NULL, NULL, &error));

    /* A host without memory. */
    kept = blocks;
    has_memory = 0;
    vitrum_context_trim(context);
    EXPECT(VITRUM_E_OUT_OF_MEMORY, vitrum_clip_load(context, argv[1], NULL, &other, &error));
    CHECK(other == NULL && blocks < kept);
    has_memory = 1;
    EXPECT(VITRUM_OK, vitrum_clip_classify(clip, &image, labels, 2, NULL, probabilities, 2, NULL, &error));
    CHECK(memcmp(probabilities, expected, sizeof expected) == 0);

    vitrum_clip_free(clip);
    vitrum_context_free(context);
    /* Threads that still live keep some. */
    CHECK(blocks < 10 && wrong == 0);
    if (failures == 0) {
        puts("allocator: ok");
    }
    return failures != 0;
}
