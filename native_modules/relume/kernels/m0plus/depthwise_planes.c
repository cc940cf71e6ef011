/* relume: portable twins of depthwise_planes.S (see depthwise.h). */
#include "depthwise.h"

#if !RL_M0_ASM

static uint32_t unsigned_of(int8_t x)
{
    return (uint32_t)(x + 128);
}

uint32_t rl_m0_dw_weave(const rl_m0_dw_source *source)
{
    const int8_t *a = source->a, *b = source->b;
    uint32_t *to = source->to;
    uint32_t seen = 0;
    uint32_t row, column, i;

    for (row = 0; row < source->rows; row++) {
        for (column = 0; column < source->columns; column++) {
            for (i = 0; i < 4; i++) {
                uint32_t u = unsigned_of(a[i]), v = unsigned_of(b[i]);

                *to++ = u | v << 16;
                seen |= (u | v) << (8 * i);
            }
            a += source->a_step;
            b += source->b_step;
        }
        /* After the last row they would leave the tensor. */
        if (row + 1 < source->rows) {
            a += (int32_t)source->a_skip;
            b += (int32_t)source->b_skip;
            to += source->to_skip / 4u;
        }
    }
    return seen;
}

/* Filter row r times three inputs. */
static uint32_t times(const rl_m0_dw_job *job, uint32_t r, const uint32_t *x,
                      uint32_t by)
{
    const int32_t *w = job->w + 3u * r;

    return (x[0] >> by) * (uint32_t)w[0] + (x[4] >> by) * (uint32_t)w[1]
        + (x[8] >> by) * (uint32_t)w[2];
}

/* Filter rows [first, end), both lanes. */
static uint32_t sum_rows(const rl_m0_dw_job *job, const uint32_t *x,
                         uint32_t first, uint32_t end)
{
    uint32_t sum = 0;

    for (; first < end; first++) {
        sum += times(job, first, x + first * (job->x_row / 4u), 0);
    }
    return sum;
}

static void narrow(const rl_m0_dw_job *job, uint32_t stride)
{
    uint32_t pitch = job->x_row / 4u;
    uint32_t row, column;

    for (column = 0; column < job->columns; column++) {
        uint32_t *x = job->x + 4u * stride * column;
        uint32_t *to = job->x + 4u * column + 2u * pitch;

        /* Upwards: no output above reads what is written here, nor does
         * one to the right, as column <= stride * column. */
        for (row = job->rows; row--;) {
            uint32_t at = row * stride * pitch;

            to[at] = job->start + sum_rows(job, x + at, 0, 3);
        }
    }
}

void rl_m0_dw_narrow1(const rl_m0_dw_job *job)
{
    narrow(job, 1);
}

void rl_m0_dw_narrow2(const rl_m0_dw_job *job)
{
    narrow(job, 2);
}

void rl_m0_dw_wide(const rl_m0_dw_job *job)
{
    uint32_t pitch = job->x_row / 4u;
    uint32_t *to = job->sums;
    uint32_t row, column, r;

    for (row = 0; row < job->rows; row++) {
        const uint32_t *x = job->x + row * (job->y_row / 4u);

        for (column = 0; column < job->columns; column++) {
            uint32_t all = sum_rows(job, x, 0, 3), high = 0;

            for (r = 0; r < 3; r++) {
                high += times(job, r, x + r * pitch, 16);
            }
            *to++ = all - (high << 16);
            *to++ = high;
            x += job->x_column / 4u;
        }
    }
}

/* ------------------------------------------------------------------ finish */

static void put(const rl_m0_dw_finish *f, uint32_t sum, uint8_t *y)
{
    uint32_t d = sum - f->origin;
    uint32_t t = d * f->b >> 14;

    if ((int32_t)d < 0) {
        return;
    }
    if (d >= f->limit) {
        *y = (uint8_t)f->high;
        return;
    }
    if (d >= f->corner) {
        t += f->delta;
    }
    *y = (uint8_t)((d * f->a + t + f->c) >> 24);
}

/* A pair is `step` words. */
static void finish(const rl_m0_dw_finish *f, uint32_t step)
{
    const uint32_t *s = f->s;
    uint8_t *y = f->y;
    uint32_t row, left;

    for (row = 0; row < f->rows; row++) {
        for (left = f->s_width; left; left -= 4u * step) {
            put(f, step == 2 ? s[0] : s[0] & 0xFFFFu, y);
            put(f, step == 2 ? s[1] : s[0] >> 16, y + f->y_lane);
            s += step;
            if (row + 1 < f->rows || left > 4u * step) {
                y += f->y_column;
            }
        }
        if (row + 1 < f->rows) {
            s += f->s_skip / 4u;
            y += f->y_skip;
        }
    }
}

void rl_m0_dw_finish_narrow(const rl_m0_dw_finish *f)
{
    finish(f, 4);
}

void rl_m0_dw_finish_wide(const rl_m0_dw_finish *f)
{
    finish(f, 2);
}

void rl_m0_dw_fill(uint32_t *to, uint32_t word, uint32_t n)
{
    while (n--) {
        *to++ = word;
    }
}

#endif
