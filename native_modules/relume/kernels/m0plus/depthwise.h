/* relume: parts of the Cortex-M0+ kernel for DEPTHWISE_CONV_2D, 3 x 3.
 *
 * A word holds two inputs of one channel, u = x + 128 of two pixels that are
 * half a tile apart: lane 0 in bits 0 to 15, lane 1 above. Layout of the
 * constants: SPEC 2.7.3. Each function exists in Thumb assembly
 * (depthwise_planes.S) and as portable C (depthwise_planes.c). */
#ifndef RELUME_M0PLUS_DEPTHWISE_H
#define RELUME_M0PLUS_DEPTHWISE_H

#include "m0plus.h"

#define RL_M0_DW_PIXEL 16u /* bytes of a plane's pixel: four channels */

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

/* Sums of one channel over a plane, first output's window at x. */
typedef struct {
    uint32_t      *x;
    const int32_t *w;       /* [3][3]; split: two starts follow */
    uint32_t       x_row;   /* bytes from row to row of the plane */
    uint32_t       rows, columns; /* of outputs, each two lanes */
    uint32_t       start;   /* narrow: what makes both lanes unsigned */
    uint32_t      *sums;    /* split, wide: [columns][rows][2] */
    uint32_t       x_column, y_row; /* wide: bytes from window to window */
} rl_m0_dw_job;

/* narrow1 and split1: two rows or more, stride 1. narrow2: stride 2.
 *
 * Both lanes in one word; the sum of output (r, c) takes the place of input
 * (2 + r * stride, c). The caller has proven that no lane leaves 16 bits. */
void rl_m0_dw_narrow1(const rl_m0_dw_job *job);
void rl_m0_dw_narrow2(const rl_m0_dw_job *job);

/* Row 2 of the filter, from the second start on, has lanes of its
 * own; rows 0 and 1 go from the first. */
void rl_m0_dw_split1(const rl_m0_dw_job *job);

/* Two words of 32 bits, any stride. rows: w is [3][4], each row of the filter
 * and what makes its own lanes unsigned. wide: any weights. */
void rl_m0_dw_rows(const rl_m0_dw_job *job);
void rl_m0_dw_wide(const rl_m0_dw_job *job);

/* Requantises sums, column by column; outputs below the staircase stay as
 * they are. Steps and skips are bytes, modulo 2^32. */
typedef struct {
    const uint32_t *s;       /* first pair of sums */
    uint8_t        *y;       /* output of lane 0 */
    uint32_t        a, y_lane, b, origin; /* d = sum - origin */
    uint32_t        limit, c, y_row, s_row;
    uint32_t        s_height; /* rows * s_row */
    uint32_t        columns, s_skip, y_skip, high;
    uint32_t        corner, delta; /* added to c from d = corner on */
} rl_m0_dw_finish;

void rl_m0_dw_finish_narrow(const rl_m0_dw_finish *f);
void rl_m0_dw_finish_wide(const rl_m0_dw_finish *f);

/* free: the caller knows that d < limit. short: b is 0. lean: both. Only
 * corner looks at corner and delta. */
void rl_m0_dw_free_narrow(const rl_m0_dw_finish *f);
void rl_m0_dw_free_wide(const rl_m0_dw_finish *f);
void rl_m0_dw_short_narrow(const rl_m0_dw_finish *f);
void rl_m0_dw_short_wide(const rl_m0_dw_finish *f);
void rl_m0_dw_lean_narrow(const rl_m0_dw_finish *f);
void rl_m0_dw_lean_wide(const rl_m0_dw_finish *f);
void rl_m0_dw_corner_narrow(const rl_m0_dw_finish *f);
void rl_m0_dw_corner_wide(const rl_m0_dw_finish *f);

/* Bit 15 or 31 is set if a lane of n pixels of a channel is above top, with
 * word = (0x7fff - top) * 0x10001. */
uint32_t rl_m0_dw_above(const uint32_t *x, uint32_t n, uint32_t word);

/* The word 4 n times, n >= 1. */
void rl_m0_dw_fill(uint32_t *to, uint32_t word, uint32_t n);

/* Pixels of a plane; skip: bytes from a row's end to the next. */
void rl_m0_dw_pad(uint32_t *to, uint32_t word, uint32_t columns,
                  uint32_t rows, uint32_t skip);

void rl_m0_depthwise_tile(const rl_call *call);

#define RL_M0_DW_MOST 4096 /* p[0] and p[1] */

/* Scratch bytes; p[0] and p[1] are 1 to RL_M0_DW_MOST. */
uint32_t rl_m0_depthwise_scratch(const rl_op *op);

#endif
