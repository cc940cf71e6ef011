/* relume tests: a fuzz target as a program of its own.
 *
 *   TARGET PATH...                   runs the files
 *   TARGET seeds DIRECTORY N         writes inputs that the target thinks of
 *   TARGET mutate ROUNDS SEED PATH...  runs mutants of the files
 *
 * Prints how deep the inputs went, as JSON. A mutant is written to the file
 * that RELUME_FUZZ_LAST names before it runs, so that what ends the program
 * is there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

typedef struct {
    uint8_t *data;
    size_t   n;
} input;

static uint64_t runs;

static input read_input(const char *path)
{
    input in = { NULL, 0 };
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(2);
    }
    in.data = target_exact(NULL, TARGET_MOST);
    in.n = fread(in.data, 1, TARGET_MOST, file);
    fclose(file);
    return in;
}

static void write_input(const char *path, const uint8_t *data, size_t n)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, n, file) != n || fclose(file) != 0) {
        fprintf(stderr, "%s: cannot be written\n", path);
        exit(2);
    }
}

/* The input ends where its memory does, so that a sanitizer sees what lies
 * behind. */
static void run(const uint8_t *data, size_t n)
{
    static uint8_t *memory;
    if (memory == NULL) {
        memory = target_exact(NULL, TARGET_MOST);
    }
    runs++;
    memcpy(memory + TARGET_MOST - n, data, n);
    (void)LLVMFuzzerTestOneInput(memory + TARGET_MOST - n, n);
}

static void run_files(char **paths, int n)
{
    for (int i = 0; i < n; i++) {
        input in = read_input(paths[i]);
        run(in.data, in.n);
        free(in.data);
    }
}

static void write_seeds(const char *folder, uint32_t n)
{
    uint8_t *data = target_exact(NULL, TARGET_MOST);
    for (uint32_t i = 0; i < n; i++) {
        char path[4096];
        size_t size = target_seed(i, data, TARGET_MOST);
        if (size > 0) {
            snprintf(path, sizeof path, "%s/own-%u.bin", folder, i);
            write_input(path, data, size);
        }
    }
    free(data);
}

/* ------------------------------------------------------------- mutants -- */

/* Bytes and runs of bytes; what libFuzzer brings along with clang. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t most)
{
    if (n == 0) {
        data[0] = (uint8_t)target_roll(256);
        return 1;
    }
    uint32_t at = target_roll((uint32_t)n), m = 1u + target_roll(16);
    switch (target_roll(6)) {
    case 0: data[at] ^= (uint8_t)(1u << target_roll(8)); return n;
    case 1: data[at] = (uint8_t)target_roll(256); return n;
    case 2: data[at] = (uint8_t)target_near(data[at]); return n;
    case 3: /* a run goes */
        m = m < n - at ? m : (uint32_t)(n - at);
        memmove(data + at, data + at + m, n - at - m);
        return n - m;
    case 4: /* a run comes */
        m = m < most - n ? m : (uint32_t)(most - n);
        memmove(data + at + m, data + at, n - at);
        memset(data + at, (int)target_roll(256), m);
        return n + m;
    default: /* a run is copied */
        m = m < n - at ? m : (uint32_t)(n - at);
        memmove(data + target_roll((uint32_t)(n - m) + 1u), data + at, m);
        return n;
    }
}

static void run_mutants(uint32_t rounds, uint32_t seed, char **paths, int n)
{
    const char *last = getenv("RELUME_FUZZ_LAST");
    input *pool = target_exact(NULL, (size_t)n * sizeof *pool);
    uint8_t *data = target_exact(NULL, TARGET_MOST);
    for (int i = 0; i < n; i++) {
        pool[i] = read_input(paths[i]);
    }
    for (uint32_t round = 0; round < rounds; round++) {
        target_dice((uint64_t)seed << 32 | round);
        const input *in = &pool[target_roll((uint32_t)n)];
        size_t size = in->n;
        memcpy(data, in->data, size);
        for (uint32_t i = 1u + target_roll(4); i > 0; i--) {
            size = LLVMFuzzerCustomMutator(data, size, TARGET_MOST,
                                           target_roll(1u << 31));
        }
        if (last != NULL) {
            write_input(last, data, size);
        }
        run(data, size);
    }
    for (int i = 0; i < n; i++) {
        free(pool[i].data);
    }
    free(pool);
    free(data);
}

static uint32_t number(const char *text)
{
    return (uint32_t)strtoul(text, NULL, 0);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "seeds") == 0) {
        write_seeds(argv[2], number(argv[3]));
    } else if (argc > 4 && strcmp(argv[1], "mutate") == 0) {
        run_mutants(number(argv[2]), number(argv[3]), argv + 4, argc - 4);
    } else {
        run_files(argv + 1, argc - 1);
    }
    printf("{\"runs\": %llu", (unsigned long long)runs);
    for (const target_count *c = target_counts; c->name != NULL; c++) {
        printf(", \"%s\": %llu", c->name, (unsigned long long)c->n);
    }
    printf("}\n");
    return 0;
}
