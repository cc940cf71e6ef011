/* relume: what a tile of CONV_2D or FULLY_CONNECTED carries along. */
#ifndef RELUME_M0PLUS_CONV_H
#define RELUME_M0PLUS_CONV_H

#include "m0plus.h"

typedef struct {
    const rl_call *call;
    uint32_t k, pairs;       /* inputs of a window, rounded up to pairs */
    uint32_t live, quads;
    uint32_t flags, offset;  /* of the weights */
    uint32_t narrow;         /* two sums are enough up to this sum of u */
    int          direct;     /* outputs are stored as they are computed */
    int8_t      *y;          /* channel 0 of the span, of the first pixel */
    rl_m0_job    job;
    rl_m0_finish finish;
    /* scratch */
    int8_t      *row;        /* [quads][4] outputs of a pixel */
    rl_m0_run   *runs;       /* sparse: [rows + 1] */
    rl_m0_mark  *marks;      /* sparse: [rows of the filter][columns + 1] */
    rl_m0_entry *entries;    /* sparse: [rows][columns * depth] */
    uint32_t    *words;      /* dense: [2 * pairs] */
    rl_m0_patch  patch;      /* dense: of a window inside the input, a row */
    int32_t      bottom, right; /* the last such window's place */
} rl_m0_kernel;

/* n / by, by >= 1, below 2^24 both: this core has no division, and a library
 * call would not do in a native module. */
uint32_t rl_m0_quotient(uint32_t n, uint32_t by);

void rl_m0_prepare(rl_m0_kernel *m, const rl_call *call);

/* Quads [first, first + n) come next; first begins a block. */
void rl_m0_set_span(rl_m0_kernel *m, uint32_t first, uint32_t n);

/* Sums of the runs, whose u sum up to total. */
RL_INLINE void rl_m0_sum_runs(const rl_m0_kernel *m, uint32_t total)
{
    if (total <= m->narrow) {
        rl_m0_narrow(&m->job);
    } else {
        rl_m0_sparse(&m->job);
    }
}

/* Lists of the input's rows that windows touch, columns [low, high). */
typedef struct {
    uint32_t low, high;
    uint32_t marks, entries; /* of a list */
    int32_t  built; /* rows below are built, or above all need */
    uint32_t slot;  /* of row `built`; rows follow one another, mod kh */
    uint32_t begin; /* slot of the window's first row */
    uint32_t base;  /* of that row's weights */
    rl_m0_run *end; /* of the runs of the windows */
} rl_m0_ring;

/* Begins lists for the windows of outputs first to last of every row. */
void rl_m0_ring_begin(const rl_m0_kernel *m, rl_m0_ring *r, uint32_t first,
                      uint32_t last);

/* Builds those of the windows whose first row is y; y does not go down. */
void rl_m0_ring_rows(const rl_m0_kernel *m, rl_m0_ring *r, int32_t y);

/* The runs of the window whose first column is x; returns the sum of u. */
uint32_t rl_m0_ring_runs(const rl_m0_kernel *m, const rl_m0_ring *r,
                         int32_t x);

/* The one run of each of several x[k]: what does not change. */
RL_INLINE void rl_m0_run_begin(const rl_m0_kernel *m, rl_m0_source *source)
{
    source->marks = m->marks;
    source->to = m->entries;
    source->bytes = m->k;
    source->depth = m->k;
    source->scratch = m->call->scratch;
    m->runs[0].at = rl_m0_refer(source->scratch, source->to);
    m->runs[0].base = 0;
    m->runs[1].n = RL_M0_END;
}

/* The run of the next one; returns the sum of u. */
RL_INLINE uint32_t rl_m0_run_of(const rl_m0_kernel *m, rl_m0_source *source,
                                const int8_t *x)
{
    const rl_m0_mark *marks = source->marks;

    source->x = x;
    rl_m0_list(source);
    m->runs[0].n = (marks[1].at - marks[0].at)
        / (uint32_t)sizeof(rl_m0_entry);
    return marks[1].sum;
}

/* The words of the window that begins at row y, column x, of which those
 * outside the input are padding; returns their sum. */
uint32_t rl_m0_gather(rl_m0_kernel *m, int32_t y, int32_t x);

/* n pixels of a CONV_2D of one tap, sparse, their inputs from x on. */
void rl_m0_point_row(rl_m0_kernel *m, const int8_t *x, uint32_t n,
                     int8_t *to);

/* Requantises the span to y, which is 4-byte aligned; the inputs sum up to
 * total. */
RL_INLINE void rl_m0_finish_span(rl_m0_kernel *m, uint32_t total, int8_t *y)
{
    uint32_t add = 0u - m->offset * total;

    m->finish.add = add * 0x01010101u;
    m->finish.add_upper = add * 0x0101u;
    m->finish.y = y;
    if (m->flags & RL_M0_CORNER) {
        rl_m0_finish_corner(&m->finish);
    } else {
        rl_m0_finish_plain(&m->finish);
    }
}

/* All channels of a pixel, some of which are in m->row, to y[out.c]. */
void rl_m0_put_pixel(const rl_m0_kernel *m, int8_t *y);

/* The span's channels of a pixel to y, all channels to y[out.c]. */
RL_INLINE void rl_m0_finish_pixel(rl_m0_kernel *m, uint32_t total, int8_t *y)
{
    rl_m0_finish_span(m, total, m->direct ? y : m->row);
    if (!m->direct) {
        rl_m0_put_pixel(m, y);
    }
}

void rl_m0_put_bytes(int8_t *to, const int8_t *x, uint32_t n);

#endif
