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

/* A filter row times three inputs, shifted right. */
static uint32_t dot(const int32_t *w, const uint32_t *x, uint32_t by)
{
    return (x[0] >> by) * (uint32_t)w[0] + (x[4] >> by) * (uint32_t)w[1]
        + (x[8] >> by) * (uint32_t)w[2];
}

/* Filter rows [first, end), both lanes. */
static uint32_t sum_rows(const rl_m0_dw_job *job, const uint32_t *x,
                         int32_t first, int32_t end)
{
    int32_t pitch = (int32_t)job->x_row / 4; /* split: up or down */
    uint32_t sum = 0;

    for (; first < end; first++) {
        sum += dot(job->w + 3 * first, x + first * pitch, 0);
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

static void put_pair(uint32_t *to, uint32_t low, uint32_t high)
{
    to[0] = low;
    to[1] = high;
}

void rl_m0_dw_split1(const rl_m0_dw_job *job)
{
    int32_t pitch = (int32_t)job->x_row / 4;
    uint32_t *to = job->sums;
    uint32_t row, column;

    for (column = 0; column < job->columns; column++) {
        const uint32_t *x = job->x + 4u * column;

        for (row = 0; row < job->rows; row++, to += 2) {
            uint32_t first = sum_rows(job, x, 0, 2) + (uint32_t)job->w[9];
            uint32_t last = sum_rows(job, x, 2, 3) + (uint32_t)job->w[10];

            put_pair(to, (first & 0xFFFFu) + (last & 0xFFFFu),
                     (first >> 16) + (last >> 16));
            x += row + 1 < job->rows ? pitch : 0;
        }
    }
}

void rl_m0_dw_rows(const rl_m0_dw_job *job)
{
    uint32_t pitch = job->x_row / 4u;
    uint32_t *to = job->sums;
    uint32_t row, column, r;

    for (column = 0; column < job->columns; column++) {
        const uint32_t *x = job->x + column * (job->x_column / 4u);

        for (row = 0; row < job->rows; row++, to += 2) {
            put_pair(to, 0, 0);
            for (r = 0; r < 3; r++) {
                const int32_t *w = job->w + 4u * r;
                uint32_t sum = dot(w, x + r * pitch, 0) + (uint32_t)w[3];

                to[0] += sum & 0xFFFFu;
                to[1] += sum >> 16;
            }
            x += job->y_row / 4u;
        }
    }
}

void rl_m0_dw_wide(const rl_m0_dw_job *job)
{
    uint32_t pitch = job->x_row / 4u;
    uint32_t *to = job->sums;
    uint32_t row, column, r;

    for (column = 0; column < job->columns; column++) {
        const uint32_t *x = job->x + column * (job->x_column / 4u);

        for (row = 0; row < job->rows; row++, to += 2) {
            uint32_t all = sum_rows(job, x, 0, 3), high = 0;

            for (r = 0; r < 3; r++) {
                high += dot(job->w + 3u * r, x + r * pitch, 16);
            }
            put_pair(to, all - (high << 16), high);
            x += job->y_row / 4u;
        }
    }
}

/* ------------------------------------------------------------------ finish */

static void put(const rl_m0_dw_finish *f, uint32_t sum, int corner,
                uint8_t *y)
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
    if (corner && d >= f->corner) {
        t += f->delta;
    }
    *y = (uint8_t)((d * f->a + t + f->c) >> 24);
}

static void finish(const rl_m0_dw_finish *f, int wide, int corner)
{
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

void rl_m0_dw_finish_narrow(const rl_m0_dw_finish *f)
{
    finish(f, 0, 0);
}

void rl_m0_dw_free_narrow(const rl_m0_dw_finish *f)
{
    finish(f, 0, 0);
}

void rl_m0_dw_short_narrow(const rl_m0_dw_finish *f)
{
    finish(f, 0, 0);
}

void rl_m0_dw_lean_narrow(const rl_m0_dw_finish *f)
{
    finish(f, 0, 0);
}

void rl_m0_dw_corner_narrow(const rl_m0_dw_finish *f)
{
    finish(f, 0, 1);
}

void rl_m0_dw_finish_wide(const rl_m0_dw_finish *f)
{
    finish(f, 1, 0);
}

void rl_m0_dw_free_wide(const rl_m0_dw_finish *f)
{
    finish(f, 1, 0);
}

void rl_m0_dw_short_wide(const rl_m0_dw_finish *f)
{
    finish(f, 1, 0);
}

void rl_m0_dw_lean_wide(const rl_m0_dw_finish *f)
{
    finish(f, 1, 0);
}

void rl_m0_dw_corner_wide(const rl_m0_dw_finish *f)
{
    finish(f, 1, 1);
}

uint32_t rl_m0_dw_above(const uint32_t *x, uint32_t n, uint32_t word)
{
    uint32_t seen = 0;

    for (; n; n--, x += 4) {
        seen |= *x + word;
    }
    return seen;
}

/* -------------------------------------------------------------------- fill */

void rl_m0_dw_fill(uint32_t *to, uint32_t word, uint32_t n)
{
    for (n *= 4u; n; n--) {
        *to++ = word;
    }
}

void rl_m0_dw_pad(uint32_t *to, uint32_t word, uint32_t columns,
                  uint32_t rows, uint32_t skip)
{
    uint32_t row;

    for (row = 0; row < rows; row++) {
        rl_m0_dw_fill(to + row * (4u * columns + skip / 4u), word, columns);
    }
}

#endif
