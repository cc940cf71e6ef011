/* relume tests: what a fuzz target is. Each is a libFuzzer target (clang) and,
 * with standalone.c, a program of its own (any C99 compiler).
 *
 * A target is one function of bytes: the same bytes do the same. A promise
 * that is broken, and any report of a sanitizer, ends the program. */
#ifndef TARGET_H
#define TARGET_H

#include <stddef.h>
#include <stdint.h>

#define TARGET_MOST 65536u /* bytes of an input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most,
                               unsigned seed);

/* How deep the inputs went; ends with a NULL name. */
typedef struct {
    const char *name;
    uint64_t    n;
} target_count;
extern target_count target_counts[];

/* Input `number` of those that the target thinks of itself, into to[0, most);
 * 0: there is none. */
size_t target_seed(uint32_t number, uint8_t *to, size_t most);

/* Ends the program. */
void target_broken(const char *what) __attribute__((noreturn));
#define PROMISE(condition, what) \
    do { \
        if (!(condition)) { \
            target_broken(what); \
        } \
    } while (0)

/* n bytes, so that a sanitizer sees what lies behind them. Never NULL. */
void *target_exact(const void *data, size_t n);

/* Deterministic numbers; target_roll is below `below`. */
void target_dice(uint64_t seed);
uint32_t target_roll(uint32_t below);

/* A number that an attacker tries in a field that holds `old`. */
uint32_t target_near(uint32_t old);

/* CRC-32 of at[0, n). */
uint32_t target_crc(const uint8_t *at, uint32_t n);

/* The same, behind at[0, n). */
void target_seal(uint8_t *at, uint32_t n);

#endif
