/* relume: PAD and RESHAPE, portable: bytes are moved, not changed. */
#include "copy.h"

static RL_HOT void fill(int8_t *to, int8_t value, uint32_t n)
{
    while (n--) {
        *to++ = value;
    }
}

static RL_HOT void move(int8_t *to, const int8_t *from, uint32_t n)
{
    while (n--) {
        *to++ = *from++;
    }
}

/* One word at multiples of 4. */
static inline void move_word(uint8_t *to, const uint8_t *from)
{
    uint32_t word;

    __builtin_memcpy(&word, __builtin_assume_aligned(from, 4), 4);
    __builtin_memcpy(__builtin_assume_aligned(to, 4), &word, 4);
}

/* Keeps gcc from counting turns ahead of a loop: most runs are short. */
#if defined(__GNUC__)
#define PIN(pointer) __asm__("" : "+r"(pointer))
#else
#define PIN(pointer) ((void)(pointer))
#endif

RL_HOT void rl_copy_bytes(int8_t *y, const int8_t *x, uint32_t n)
{
    uint8_t *to = (uint8_t *)y, *end = to + n;
    const uint8_t *from = (const uint8_t *)x;

    if ((((uintptr_t)to ^ (uintptr_t)from) & 3u) == 0) {
        while (((uintptr_t)to & 3u) && to != end) {
            *to++ = *from++;
            PIN(to);
        }
        for (; end - to >= 16; to += 16, from += 16) {
            move_word(to, from);
            move_word(to + 4, from + 4);
            move_word(to + 8, from + 8);
            move_word(to + 12, from + 12);
            PIN(to);
        }
        for (; end - to >= 4; to += 4, from += 4) {
            move_word(to, from);
            PIN(to);
        }
    }
    for (; end - to >= 4; to += 4, from += 4) {
        to[0] = from[0];
        to[1] = from[1];
        to[2] = from[2];
        to[3] = from[3];
        PIN(to);
    }
    while (to != end) {
        *to++ = *from++;
        PIN(to);
    }
}

RL_HOT void rl_copy_pad_tile(const rl_call *call)
{
    const rl_op *op = call->op;
    const rl_tensor *in = call->in0;
    uint32_t width = call->out->w;
    uint32_t channels = call->out->c;
    uint32_t row = call->first / width;
    uint32_t column = call->first - row * width;
    uint32_t top = (uint32_t)op->p[0], left = (uint32_t)op->p[1];
    uint32_t front = (uint32_t)op->p[2];
    int8_t value = (int8_t)op->p[3];
    int8_t *y = call->y + call->first * channels;
    uint32_t n;

    for (n = call->count; n; n--, y += channels) {
        fill(y, value, channels);
        /* Unsigned: a pixel above or left of the input wraps past it. */
        if (row - top < in->h && column - left < in->w) {
            move(y + front,
                 call->a + ((row - top) * in->w + column - left) * in->c,
                 in->c);
        }
        if (++column == width) {
            column = 0;
            row++;
        }
    }
}

RL_HOT void rl_copy_reshape_tile(const rl_call *call)
{
    rl_copy_bytes(call->y + call->first, call->a + call->first, call->count);
}
