/* relume: what the Cortex-M0+ kernels for CONV_2D and FULLY_CONNECTED share.
 *
 * Layout of the constants: SPEC 2.7.1. Each function below exists twice with
 * the same result: in Thumb assembly for ARMv6-M and as portable C. */
#ifndef RELUME_M0PLUS_H
#define RELUME_M0PLUS_H

#include <stdint.h>

#include "../kernels.h"
#include "../requant.h"

#if defined(__ARM_ARCH_6M__)
#define RL_M0_ASM 1
#else
#define RL_M0_ASM 0
#endif

#define RL_M0_KERNEL 1u  /* op.kernel */

/* op.p[3] */
#define RL_M0_CORNER 1u  /* the table has corners */
#define RL_M0_SCATTER 2u /* some channels are constant */
#define RL_M0_SPARSE 4u  /* zero inputs may be left out */

#define RL_M0_RUN 32u /* entries of a run at most */

/* One non-zero input: u = x + 128, and the bytes from the weights of the
 * first channel of the list's row to those of the input. */
typedef struct {
    uint32_t u, offset;
} rl_m0_entry;

/* Where a word of scratch memory is: its address where addresses have 32
 * bits, else bytes from the scratch memory's start. So the same blob asks
 * for the same scratch memory everywhere. */
typedef uint32_t rl_m0_ref;

RL_INLINE uintptr_t rl_m0_origin(const void *scratch)
{
    return sizeof(uintptr_t) == 4 ? 0 : (uintptr_t)scratch;
}

RL_INLINE rl_m0_ref rl_m0_refer(const void *scratch, const void *at)
{
    return (rl_m0_ref)((uintptr_t)at - rl_m0_origin(scratch));
}

/* Place in a list: the next entry, and the sum of u of all before it. */
typedef struct {
    rl_m0_ref at;
    uint32_t  sum;
} rl_m0_mark;

/* Step of a script: n entries with weights `base` bytes further on. */
typedef struct {
    rl_m0_ref at;
    uint32_t  n;    /* entries, 0 to RL_M0_RUN, and flags */
    uint32_t  base; /* modulo 2^32: may stand for less than 0 */
} rl_m0_step;

#define RL_M0_FLUSH 0x80000000u /* before the step: empty the lanes */
#define RL_M0_END 0xC0000000u   /* empty the lanes; the script ends */

/* Two inputs for the dense kernel; z = 0x8000 - offset (a + b)
 * (2^16 + 1), with the offset of the weights. */
typedef struct {
    int32_t  a, b;
    uint32_t z;
} rl_m0_pair;

/* Blocks of output channels with the same number of channels. */
typedef struct {
    const void    *inputs; /* script or pairs */
    const uint8_t *w;      /* [blocks][step / width][width] */
    const uint32_t *start; /* [blocks][width] what to add to the sums */
    uint32_t      *acc;    /* [blocks][width] results */
    uint32_t       blocks;
    uint32_t       step;   /* bytes of weights of a block */
    uint32_t       pairs;  /* dense: at least 1 */
    uint32_t       row;    /* dense: bytes of weights of an input, 8 or 12 */
    const void    *scratch; /* what the script's references are to */
} rl_m0_job;

/* Requantises. A quad of sums: of channels 0 + 2^16 2, 2, 1 + 2^16 3, 3. */
typedef struct {
    const uint32_t *acc;   /* [quads][4] */
    const uint32_t *table; /* [quads][4][4], with corners [quads][4][6], of
                            * channels 0, 2, 1, 3 */
    int8_t         *y;     /* [quads][4] in the channels' own order */
    uint32_t        quads;
    uint32_t        add;   /* to every accumulator */
    int32_t         low, high;   /* clamp */
    const uint32_t *exact; /* [][3] multiplier, exponent, origin */
    int32_t         zero_point;
} rl_m0_finish;

/* A list of inputs x[words][4], 4-byte aligned; offsets go up by `row` from
 * 0. marks[words + 1]: one before each word, one at the end. */
typedef struct {
    const int8_t *x;
    rl_m0_mark   *marks;
    rl_m0_entry  *to;
    uint32_t      words, row;
    const void   *scratch;
} rl_m0_source;

void rl_m0_list(const rl_m0_source *source);

/* One row of a filter: the list of the input's row, its weights' place. */
typedef struct {
    rl_m0_ref marks;
    uint32_t  base;
} rl_m0_line;

/* What a script is made of: words [first, last) of each line's inputs, in
 * bytes of marks. */
typedef struct {
    const rl_m0_line *lines;
    uint32_t n, first, last;
    uint32_t base;       /* to add to each line's */
    rl_m0_step *steps;
    uint32_t limit;      /* of sums of u between flushes, at least 255 */
    rl_m0_step *end;     /* of the steps; room for one more is behind it */
    uint32_t entry_cost; /* cycles of a block of channels */
    uint32_t step_cost;  /* with a flush */
    uint32_t most;       /* what the dense way takes */
    uint32_t byte_cost;  /* step_cost / 12: of a byte of a step */
    const void *scratch;
} rl_m0_window;

#define RL_M0_NONE 0xFFFFFFFFu

/* Writes the script; returns the sum of u, RL_M0_NONE if the dense way takes
 * less time or the steps do not suffice. */
uint32_t rl_m0_script(const rl_m0_window *window);

/* acc = start + sums of u * (w + offset) of a script, in pairs (rl_m0_finish).
 * Sums of u between two flushes are at most what 16 bits hold of u times
 * the largest w + offset. */
void rl_m0_sparse12(const rl_m0_job *job);
void rl_m0_sparse8(const rl_m0_job *job);
void rl_m0_sparse4(const rl_m0_job *job);

/* acc = start + sums of x * w, likewise, for `blocks` quads of channels;
 * 32768 too much for each pair in channels 0 and 1. */
void rl_m0_dense(const rl_m0_job *job);

/* n pairs of x[2 n], which is 4-byte aligned; the weights' offset. */
void rl_m0_pairs(const int8_t *x, rl_m0_pair *to, uint32_t n,
                 uint32_t offset);

/* Pairs of x[rows][bytes], rows `stride` bytes apart, as if they followed
 * one another; an odd last input is paired with 0. */
typedef struct {
    const int8_t *x;
    rl_m0_pair   *to;
    uint32_t      rows, bytes, stride, offset;
} rl_m0_patch;

void rl_m0_pairs_of(const rl_m0_patch *patch);

void rl_m0_finish_plain(const rl_m0_finish *f);
void rl_m0_finish_corner(const rl_m0_finish *f);

/* One output by TFLite's own arithmetic; entry: multiplier, exponent, origin;
 * d: accumulator - origin. */
int8_t rl_m0_exact(const rl_m0_finish *f, uint32_t d, uint32_t entry);

void rl_m0_conv_tile(const rl_call *call);
void rl_m0_dense_tile(const rl_call *call);

/* Bytes of scratch memory of an op that is laid out for these kernels. */
uint32_t rl_m0_scratch(const rl_op *op, const rl_tensor *in,
                       const rl_tensor *out);

#endif
