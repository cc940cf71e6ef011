/* relume: Cortex-M4 kernels (SPEC 2.7.2). Sources run on every host: where
 * RL_M4_ASM is 0 a portable C twin with the same algorithm and the same
 * layouts takes the assembly's place. */
#ifndef RELUME_M4_H
#define RELUME_M4_H

#include "../kernels.h"
#include "../requant.h"
#include "asm.h"

/* Words of a block's table: what starts the sums (channel pair 0: S0 + 256
 * S1, S0; pair 1 likewise), then {multiplier, addend, shift} of channels 0 to
 * 3. */
#define RL_M4_TABLE 16u
#define RL_M4_DEPTHWISE_TABLE 10u
#define RL_M4_FULL 0x100u /* in the shift's word: tail FULL */
#define RL_M4_ADD_TABLE 512u

/* How a sum becomes a byte (SPEC 2.7.2). */
#define RL_M4_TAIL_SHORT 0
#define RL_M4_TAIL_FULL 1

/* Pairs of pixels: a run of [steps][2] words each, x_step bytes (a multiple
 * of 4) from the end of one to the next. The pixels of a pair are `pixel`
 * bytes apart in y, pairs twice that; 0: one pair, its second pixel is lost. */
typedef struct {
    const uint32_t *x;
    int32_t         x_step;
    const uint32_t *w;     /* [blocks][steps][2] */
    const uint32_t *table; /* [blocks][RL_M4_TABLE] */
    uint8_t        *y;
    uint32_t        pixel, pairs, steps, blocks, tail;
} rl_m4_job;

/* One row vector: x [steps], w [blocks][steps][4], table [2 * blocks][]. */
typedef struct {
    const uint32_t *x;
    const uint32_t *w;
    const uint32_t *table;
    uint8_t        *y; /* 8 bytes a block */
    uint32_t        steps, blocks, tail;
} rl_m4_row;

/* One channel of a band of output rows. */
typedef struct {
    const uint32_t *x;     /* [pair row][column][4]: first pair, column */
    const uint32_t *table; /* [RL_M4_DEPTHWISE_TABLE] */
    uint8_t        *y;
    uint32_t x_row;        /* bytes from pair row to pair row */
    uint32_t y_column, y_row;
    uint32_t columns, bands;
} rl_m4_plane;

/* Windows of one pixel, four channels a block: rows times columns of taps,
 * each blocks words. */
typedef struct {
    const int8_t   *x;     /* first tap, a multiple of 4 */
    uint32_t x_column, x_row;
    const uint32_t *w;     /* [blocks][rows][columns][2] */
    const uint32_t *table; /* [blocks][RL_M4_TABLE] */
    uint8_t        *y;
    uint32_t columns, rows, blocks;
} rl_m4_window;

/* n bytes to `to`, of which the end is returned: copied, or of `fill`. */
int8_t *rl_m4_put(int8_t *to, const int8_t *from, uint32_t n);
int8_t *rl_m4_put_fill(int8_t *to, uint32_t fill, uint32_t n);

/* `rows` times n words of a and b -> to[rows][n][2][2]: of each four bytes
 * first (0, 2) of a, of b, then (1, 3) of a, of b, sign-extended to
 * halfwords. Rows are `step` bytes apart. n, rows >= 1. */
void rl_m4_widen_two(uint32_t *to, const int8_t *a, const int8_t *b,
                     uint32_t n, uint32_t step, uint32_t rows);

/* Columns of `rows` times n words, columns 4 n bytes and rows `step` bytes
 * apart -> to[columns][rows][n][2][2] and too[][][][][], of which the words
 * [][][][][0] are written. All >= 1. */
void rl_m4_widen_columns(uint32_t *to, uint32_t *too, const int8_t *a,
                         uint32_t n, uint32_t step, uint32_t rows,
                         uint32_t columns);

/* Bytes a[0, 4n) -> to[n][2]. */
void rl_m4_widen_one(uint32_t *to, const int8_t *a, uint32_t n);

/* All blocks of four channels of all pairs. pairs, blocks >= 1, steps >= 2. */
void rl_m4_blocks(const rl_m4_job *job);

void rl_m4_rows(const rl_m4_row *row);

/* n pixels of rows a and b, a_step and b_step bytes from one to the next,
 * four channels each -> to[n][4] words (a, b). n >= 1. */
void rl_m4_weave(uint32_t *to, const int8_t *a, const int8_t *b, uint32_t n,
                 uint32_t a_step, uint32_t b_step);

/* 3 x 3, two output rows a band (stride 1) or one (stride 2). */
void rl_m4_plane_one(const rl_m4_plane *plane);
void rl_m4_plane_two(const rl_m4_plane *plane);
void rl_m4_plane_one_full(const rl_m4_plane *plane);
void rl_m4_plane_two_full(const rl_m4_plane *plane);

/* Any filter; columns, rows, blocks >= 1. */
void rl_m4_taps(const rl_m4_window *job);

/* n groups of four bytes: y = clamp((t[a] + t[256 + b]) >> 20), a and b as
 * unsigned bytes. n >= 1. */
void rl_m4_add_words(uint8_t *y, const int8_t *a, const int8_t *b,
                     const int32_t *t, uint32_t n);

/* op.kernel; the kind says which of the tiles. DEPTHWISE_CONV_2D has two
 * more: any filter, and the CONV_2D that it is with one input channel. */
#define RL_M4_KERNEL 1u
#define RL_M4_TAPS 2u
#define RL_M4_AS_CONV 3u

void rl_m4_conv_tile(const rl_call *call);
void rl_m4_depthwise_tile(const rl_call *call);
void rl_m4_taps_tile(const rl_call *call);
void rl_m4_dense_tile(const rl_call *call);
void rl_m4_add_tile(const rl_call *call);

/* Bytes of constants and scratch memory that an op's kernel reads. */
typedef struct {
    uint64_t w, scratch;
    uint32_t bias, mult, shift; /* 0: absent */
} rl_m4_layout;

/* Fills *layout for an op whose window, if its kind has one, and tensors are
 * proven. Returns 0 when there is no kernel for it. */
int rl_m4_layout_of(const rl_op *op, const rl_tensor *in,
                    const rl_tensor *out, rl_m4_layout *layout);

#endif
