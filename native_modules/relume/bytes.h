/* relume: bytes without libc. */
#ifndef RELUME_BYTES_H
#define RELUME_BYTES_H

#include <stdint.h>

static inline void rl_bytes_copy(void *to, const void *from, uint32_t n)
{
    uint8_t *t = (uint8_t *)to;
    const uint8_t *f = (const uint8_t *)from;
    for (uint32_t i = 0; i < n; i++) {
        t[i] = f[i];
    }
}

static inline void rl_bytes_fill(void *to, uint8_t value, uint32_t n)
{
    uint8_t *t = (uint8_t *)to;
    for (uint32_t i = 0; i < n; i++) {
        t[i] = value;
    }
}

static inline int rl_bytes_equal(const void *a, const void *b, uint32_t n)
{
    const uint8_t *x = (const uint8_t *)a;
    const uint8_t *y = (const uint8_t *)b;
    for (uint32_t i = 0; i < n; i++) {
        if (x[i] != y[i]) {
            return 0;
        }
    }
    return 1;
}

/* All n bytes are 0xFF: erased flash. */
static inline int rl_bytes_blank(const void *data, uint32_t n)
{
    const uint8_t *x = (const uint8_t *)data;
    for (uint32_t i = 0; i < n; i++) {
        if (x[i] != 0xFFu) {
            return 0;
        }
    }
    return 1;
}

#endif
