/* Is the library the one that the header describes? */
#include <stdio.h>
#include <string.h>

#include <vitrum.h>

int main(void) {
    vitrum_context *context = NULL;
    if (strcmp(vitrum_version_string(), VITRUM_VERSION) != 0 || vitrum_context_new(NULL, &context, NULL) != VITRUM_OK) {
        return 1;
    }
    printf("vitrum %s, %u threads\n", vitrum_version_string(), (unsigned)vitrum_context_threads(context));
    vitrum_context_free(context);
    return 0;
}
