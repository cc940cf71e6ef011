/* relume: parts of the Cortex-M0+ kernel for DEPTHWISE_CONV_2D.
 *
 * A word holds two inputs of one channel, u = x + 128 of two pixels that are
 * half a part apart: lane 0 in bits 0 to 15, lane 1 above. Layout of the
 * constants: SPEC 2.7.3. Functions in assembly (depthwise_*.S) exist as
 * portable C, too (the .c of the same name). */
#ifndef RELUME_M0PLUS_DEPTHWISE_H
#define RELUME_M0PLUS_DEPTHWISE_H

#include "m0plus.h"

#define RL_M0_DW_PIXEL 16u /* bytes of a plane's pixel: four channels */

/* op.p[3], beside RL_M0_CORNER */
#define RL_M0_DW_BESIDE 2u /* halves lie beside one another */

/* ------------------------------------------------------------------ planes */

/* Rows of a plane, put together from two places of the input. */
typedef struct {
    uint32_t     *to;   /* [rows][columns][4] */
    const int8_t *a, *b; /* lanes 0 and 1: four channels, 4-byte aligned */
    uint32_t      columns, rows;    /* >= 1 */
    uint32_t      a_step, b_step;   /* bytes from pixel to pixel */
    uint32_t      a_skip, b_skip;   /* bytes from a row's end to the next */
    uint32_t      to_skip;
} rl_m0_dw_source;

/* Returns a byte per channel: all its u, ored. */
uint32_t rl_m0_dw_weave(const rl_m0_dw_source *source);

/* The same for the first n of four channels, at any address. */
uint32_t rl_m0_dw_weave_bytes(const rl_m0_dw_source *source, uint32_t n);

/* Bit 15 or 31 is set if a lane of n pixels of a channel is above top, with
 * word = (0x7fff - top) * 0x10001. */
uint32_t rl_m0_dw_above(const uint32_t *x, uint32_t n, uint32_t word);

/* Pixels of a plane; skip: bytes from a row's end to the next. */
void rl_m0_dw_pad(uint32_t *to, uint32_t word, uint32_t columns,
                  uint32_t rows, uint32_t skip);

/* -------------------------------------------------------------------- sums */

/* Sums of one channel over a plane, first output's window at x. */
typedef struct {
    uint32_t       *x;
    const uint32_t *w;      /* [3][3]; split: two starts follow; taps: table */
    uint32_t        x_row;  /* bytes from row to row of the plane */
    uint32_t        rows, columns; /* of outputs, each two lanes */
    uint32_t        start;  /* narrow: what makes both lanes unsigned */
    uint32_t       *sums;   /* split, taps: [columns][rows][2] */
    uint32_t        x_column, y_row; /* bytes from window to window */
    const uint32_t *end;    /* taps: of the table */
} rl_m0_dw_job;

/* 3 x 3 without dilation. Both lanes in one word; the sum of output (r, c)
 * takes the place of input (2 + r * stride, c). The caller has proven that no
 * lane leaves 16 bits. narrow1, split1: two rows or more, stride 1. narrow2:
 * stride 2. */
void rl_m0_dw_narrow1(const rl_m0_dw_job *job);
void rl_m0_dw_narrow2(const rl_m0_dw_job *job);

/* Row 2 of the filter, from the second start on, has lanes of its
 * own; rows 0 and 1 go from the first. */
void rl_m0_dw_split1(const rl_m0_dw_job *job);

#define RL_M0_DW_GROUP 9u /* taps at most */

/* Any filter. The table holds groups, each with lanes of its own, which the
 * caller has proven: what makes them unsigned, RL_M0_DW_SKIP(n), and n times
 * a weight and the place of its input, in bytes from the window's first. */
void rl_m0_dw_taps(const rl_m0_dw_job *job);

#define RL_M0_DW_SKIP(n) (8u * (RL_M0_DW_GROUP - (n))) /* bytes of code */

/* ------------------------------------------------------------------ finish */

/* Requantises sums, column by column; outputs below the staircase stay as
 * they are. Steps and skips are bytes, modulo 2^32. */
typedef struct {
    const uint32_t *s;       /* first pair of sums */
    uint8_t        *y;       /* output of lane 0 */
    uint32_t        y_lane, y_row, s_row;
    const uint32_t *table;   /* a, b, c, limit, origin, corner, c' */
    uint32_t        start;   /* d = sum - start - origin */
    uint32_t        columns, s_skip, y_skip, high;
    uint32_t        s_height; /* rows * s_row */
} rl_m0_dw_finish_job;

#define RL_M0_DW_FREE 1u   /* the caller knows that d < limit */
#define RL_M0_DW_SHORT 2u  /* b is 0 */
#define RL_M0_DW_CORNER 4u /* c' takes the place of c from d = corner on */
#define RL_M0_DW_WIDE 5u   /* to be added: a sum is a word, not a lane */

/* kind: FREE and SHORT, or CORNER alone. */
void rl_m0_dw_finish(const rl_m0_dw_finish_job *f, uint32_t kind);

/* -------------------------------------------------------------------- tile */

void rl_m0_depthwise_tile(const rl_call *call);

#define RL_M0_DW_MOST 4096 /* p[0] and p[1] */
#define RL_M0_DW_SIDE 8195u /* rows and columns of a plane */

/* 3 x 3 without dilation, stride 1 or 2: filters of SPEC 2.7.3, table A. */
int rl_m0_dw_is_3x3(const rl_op *op);

/* Rows or columns of inputs under n windows. */
RL_INLINE uint32_t rl_m0_dw_reach(uint32_t n, uint32_t taps, uint32_t stride,
                                  uint32_t dilation)
{
    return (n - 1u) * stride + (taps - 1u) * dilation + 1u;
}

/* Scratch bytes, below 2^32 within the limits above. */
uint32_t rl_m0_depthwise_scratch(const rl_op *op);

#endif
