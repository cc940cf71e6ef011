/* relume tests: what the fuzz targets share. */
#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

void target_broken(const char *what)
{
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

void *target_exact(const void *data, size_t n)
{
    void *memory = malloc(n > 0 ? n : 1);
    if (memory == NULL) {
        exit(2);
    }
    if (data != NULL) {
        memcpy(memory, data, n);
    } else {
        memset(memory, 0xA5, n);
    }
    return memory;
}

void target_dice(uint64_t seed)
{
    state = seed * 0x9E3779B97F4A7C15u + 0x2545F4914F6CDD1Du;
}

uint32_t target_roll(uint32_t below)
{
    state += 0x9E3779B97F4A7C15u;
    uint64_t x = (state ^ state >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)((x ^ x >> 31) >> 20) % below;
}

uint32_t target_near(uint32_t old)
{
    static const uint32_t few[] = {
        0, 1, 2, 3, 4, 8, 16, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF,
        0x10000, 0xFFFFFF, 0x1000000, 0x7FFFFFFF, 0x80000000u, 0xFFFFFFFFu
    };
    switch (target_roll(9)) {
    case 0: return old + 1u;
    case 1: return old - 1u;
    case 2: return old * 2u;
    case 3: return old / 2u;
    case 4: return 0u - old;
    case 5: return target_roll(256);
    case 6: return target_roll(1u << 31);
    case 7: return old + (target_roll(2) ? 1u : 0xFFFFFFFFu) * (4u << target_roll(5));
    default: return few[target_roll(sizeof few / sizeof few[0])];
    }
}

/* A byte at a time: faster than the shipping CRC, and a peer of it. */
uint32_t target_crc(const uint8_t *at, uint32_t n)
{
    static uint32_t table[256];
    uint32_t crc = 0xFFFFFFFFu;
    for (uint32_t i = 0; table[255] == 0 && i < 256u; i++) {
        uint32_t x = i;
        for (uint32_t bit = 0; bit < 8u; bit++) {
            x = x >> 1 ^ (x & 1u ? 0xEDB88320u : 0);
        }
        table[i] = x;
    }
    while (n-- > 0) {
        crc = crc >> 8 ^ table[(crc ^ *at++) & 255u];
    }
    return ~crc;
}

void target_seal(uint8_t *at, uint32_t n)
{
    uint32_t crc = target_crc(at, n);
    memcpy(at + n, &crc, 4);
}
