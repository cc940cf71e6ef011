/* relume: portable twins of depthwise_sums.S (see depthwise.h). */
#include "depthwise.h"

#if !RL_M0_ASM

/* A filter row times three inputs. */
static uint32_t dot(const uint32_t *w, const uint32_t *x)
{
    return x[0] * w[0] + x[4] * w[1] + x[8] * w[2];
}

/* Filter rows [first, end), both lanes. */
static uint32_t sum_rows(const rl_m0_dw_job *job, const uint32_t *x,
                         int32_t first, int32_t end)
{
    int32_t pitch = (int32_t)job->x_row / 4; /* split: up or down */
    uint32_t sum = 0;

    for (; first < end; first++) {
        sum += dot(job->w + 3 * first, x + first * pitch);
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
            uint32_t first = sum_rows(job, x, 0, 2) + job->w[9];
            uint32_t last = sum_rows(job, x, 2, 3) + job->w[10];

            put_pair(to, (first & 0xFFFFu) + (last & 0xFFFFu),
                     (first >> 16) + (last >> 16));
            x += row + 1 < job->rows ? pitch : 0;
        }
    }
}

/* One window's groups, each with lanes of its own. */
static void put_window(const rl_m0_dw_job *job, const uint32_t *x,
                       uint32_t *to)
{
    const uint32_t *table = job->w;

    to[0] = 0;
    to[1] = 0;
    while (table != job->end) {
        uint32_t sum = table[0];
        uint32_t n = RL_M0_DW_GROUP - table[1] / RL_M0_DW_SKIP(8);

        for (table += 2; n; n--, table += 2) {
            sum += table[0] * x[table[1] / 4u];
        }
        to[0] += sum & 0xFFFFu;
        to[1] += sum >> 16;
    }
}

void rl_m0_dw_taps(const rl_m0_dw_job *job)
{
    uint32_t *to = job->sums;
    uint32_t row, column;

    for (column = 0; column < job->columns; column++) {
        const uint32_t *x = job->x + column * (job->x_column / 4u);

        for (row = 0; row < job->rows; row++, to += 2) {
            put_window(job, x + row * (job->y_row / 4u), to);
        }
    }
}

#endif
