/* relume: PAD and RESHAPE, portable: bytes are moved, not changed. */
#include "../kernels.h"

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
    move(call->y + call->first, call->a + call->first, call->count);
}
