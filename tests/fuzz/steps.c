/* relume tests: basic blocks that the blob checker runs through. Its sources
 * are compiled with -fsanitize-coverage=trace-pc; this file is not.
 *
 *   steps PATH...    prints {"status": s, "steps": n} for each blob */
#include <stdio.h>
#include <stdlib.h>

#include "blob.h"

void __sanitizer_cov_trace_pc(void);

static uint64_t steps;

void __sanitizer_cov_trace_pc(void)
{
    steps++;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        static uint32_t image[1u << 19];
        rl_blob blob;
        rl_blob_fault fault;
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            return 2;
        }
        size_t n = fread(image, 1, sizeof image, file);
        fclose(file);
        steps = 0;
        int status = rl_blob_check((const uint8_t *)image, n, 1, &blob,
                                   &fault);
        printf("{\"status\": %d, \"steps\": %llu}\n", status,
               (unsigned long long)steps);
    }
    return 0;
}
