/* relume: portable twin of depthwise_finish.S (see depthwise.h). */
#include "depthwise.h"

#if !RL_M0_ASM

static void put(const rl_m0_dw_finish_job *f, uint32_t sum, int corner,
                uint8_t *y)
{
    const uint32_t *table = f->table; /* a, b, c, limit, origin, corner, c' */
    uint32_t d = sum - f->start - table[4];
    uint32_t c = corner && d >= table[5] ? table[6] : table[2];

    if ((int32_t)d < 0) {
        return;
    }
    *y = d < table[3]
        ? (uint8_t)((d * table[0] + (d * table[1] >> 14) + c) >> 24)
        : (uint8_t)f->high;
}

void rl_m0_dw_finish(const rl_m0_dw_finish_job *f, uint32_t kind)
{
    int wide = kind >= RL_M0_DW_WIDE;
    int corner = kind == RL_M0_DW_CORNER
        || kind == RL_M0_DW_CORNER + RL_M0_DW_WIDE;
    const uint32_t *s = f->s;
    uint32_t at = 0; /* in y */
    uint32_t column, done;

    for (column = 0; column < f->columns; column++) {
        for (done = 0; done != f->s_height; done += f->s_row) {
            const uint32_t *pair = s + done / 4u;
            uint8_t *y = f->y + (int32_t)at;

            put(f, wide ? pair[0] : pair[0] & 0xFFFFu, corner, y);
            put(f, wide ? pair[1] : pair[0] >> 16, corner, y + f->y_lane);
            at += f->y_row;
        }
        s += (int32_t)(f->s_height + f->s_skip) / 4;
        at += f->y_skip;
    }
}

#endif
