/* relume: from sums to the output's bytes, CONV_2D and FULLY_CONNECTED on
 * Cortex-M0+. */
#include "conv.h"

RL_HOT void rl_m0_put_bytes(int8_t *to, const int8_t *x, uint32_t n)
{
    for (; n >= 4; n -= 4) {
        int8_t a = x[0], b = x[1], c = x[2], d = x[3];

        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
        to += 4;
        x += 4;
    }
    while (n--) {
        *to++ = *x++;
    }
}

static RL_HOT void put_words(int8_t *to, const int8_t *x, uint32_t bytes)
{
    const uint32_t *from = (const uint32_t *)(const void *)x;
    const uint32_t *end = from + bytes / 4u;
    uint32_t *word = (uint32_t *)(void *)to;

    while (from != end) {
        *word++ = *from++;
    }
}

/* Channels of a pixel that are computed, among those that are constant. */
static RL_HOT void scatter(const rl_m0_kernel *m, int8_t *y)
{
    const rl_call *call = m->call;
    uint32_t channels = call->out->c;
    const int8_t *constant = call->shift + 12u * (uint32_t)call->op->p[2];
    const uint16_t *place =
        (const uint16_t *)(const void *)(constant + ((channels + 3u) & ~3u));
    const int8_t *from = m->row, *end = from + m->live;

    if (channels & 3u) {
        rl_m0_put_bytes(y, constant, channels);
    } else {
        put_words(y, constant, channels);
    }
    while (from != end) {
        y[*place++] = *from++;
    }
}

RL_HOT void rl_m0_put_pixel(const rl_m0_kernel *m, int8_t *y)
{
    if (m->flags & RL_M0_SCATTER) {
        scatter(m, y);
    } else {
        rl_m0_put_bytes(y, m->row, m->live);
    }
}
