/* relume: what the files of the depthwise kernel share. Not for others. */
#ifndef RELUME_M0PLUS_DEPTHWISE_PART_H
#define RELUME_M0PLUS_DEPTHWISE_PART_H

#include "depthwise.h"

#define RL_M0_DW_LANES 0x00010001u

/* A rectangle of pixels. */
typedef struct {
    uint32_t row, rows, column, columns;
} rl_m0_dw_block;

/* Inputs under the first word of a plane. */
typedef struct {
    int32_t y, x;
} rl_m0_dw_place;

/* Halves lie below or beside each other, so their inputs begin and end at no
 * more than four rows and two columns, or the other way round. */
#define RL_M0_DW_PATCHES 15u

/* Pixels of a plane whose lanes are all inside the input or all padding. */
typedef struct {
    rl_m0_dw_source source; /* of the next four channels */
    uint32_t        a, b;   /* bytes to the four after them; 0 for padding */
    int             lasts;  /* padding that no sum takes the place of */
} rl_m0_dw_patch;

/* Two halves of outputs, and the planes of the inputs under them. */
typedef struct {
    const rl_call      *call;
    rl_m0_dw_job        job;
    rl_m0_dw_finish_job finish;
    uint32_t           *plane;         /* [rows_in][columns_in][4] */
    uint32_t           *sums;          /* [columns][rows][2] */
    int8_t             *y;             /* first output of half 0, channel 0 */
    int                 is_3x3;
    uint32_t            rows, columns; /* of outputs of a half */
    uint32_t            rows_in, columns_in;
    uint32_t            w[11];         /* of a channel, and starts of split */
    uint32_t           *table;         /* of taps */
    rl_m0_dw_place      half[2];
    int8_t              zero[4];       /* padding */
    uint32_t            zero_u;
    uint32_t            patches;
    rl_m0_dw_patch      patch[RL_M0_DW_PATCHES];
} rl_m0_dw_part;

/* Lists the patches of a plane, from the halves' places and sizes. */
void rl_m0_dw_put_patches(rl_m0_dw_part *p);

/* The next n of four channels; returns a byte each: their u, ored. */
uint32_t rl_m0_dw_weave_part(rl_m0_dw_part *p, uint32_t channel, uint32_t n);

/* One channel, of a plane whose inputs are at most top. */
void rl_m0_dw_channel(rl_m0_dw_part *p, uint32_t channel, uint32_t top);

#endif
