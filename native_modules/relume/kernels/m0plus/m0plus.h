/* relume: what the Cortex-M0+ kernels for CONV_2D and FULLY_CONNECTED share.
 *
 * Layout of the constants: SPEC 2.7.1. Each function of the first part exists
 * twice with the same result: in Thumb assembly for ARMv6-M and as portable
 * C (lists.c). */
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
#define RL_M0_SPARSE 4u  /* zero inputs are left out */

#define RL_M0_WIDTH 8u   /* channels of a block: two quads */

/* One non-zero input: u = x + 128, and the bytes from the weights of the
 * first input of the list to its own. */
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

/* n entries, their weights `base` bytes further on. */
typedef struct {
    rl_m0_ref at;
    uint32_t  n;    /* RL_M0_END: no entries, and no run follows */
    uint32_t  base; /* modulo 2^32: may stand for less than 0 */
} rl_m0_run;

#define RL_M0_END 0x80000000u

/* Sums of a quad of channels, from which its four sums S0 to S3 follow as
 * long as each is within 24 bits (rl_m0_finish): with the words W of the
 * weights, the sums of u * W, of u * rev16(W) and of u * (W >> 16). */
typedef struct {
    uint32_t all, turned, upper;
} rl_m0_sums;

/* Blocks of channels. */
typedef struct {
    const void       *inputs; /* runs; dense: words [2 * pairs] */
    const uint8_t    *w;      /* [blocks][step / 8][8] */
    const rl_m0_sums *start;  /* [blocks][2] what the sums begin with */
    rl_m0_sums       *sums;   /* [blocks][2] results */
    uint32_t          blocks; /* at least 1 */
    uint32_t          step;   /* bytes of weights of a block */
    uint32_t          pairs;  /* dense: at least 1 */
    const void       *scratch; /* what the runs' references are to */
} rl_m0_job;

void rl_m0_sparse(const rl_m0_job *job);

/* The same, as long as no sum of u times bytes of weights is above 65535. */
void rl_m0_narrow(const rl_m0_job *job);

void rl_m0_dense(const rl_m0_job *job);

/* Bytes of a block of channels: what its sums begin with, and its table. */
RL_INLINE uint32_t rl_m0_tables(uint32_t corner)
{
    return 2u * ((uint32_t)sizeof(rl_m0_sums) + (corner ? 96u : 64u));
}

/* Takes sums apart and requantises. */
typedef struct {
    const rl_m0_sums *sums;  /* [quads] */
    const uint32_t   *table; /* [quads][4][4], with corners [quads][4][6] */
    int8_t           *y;     /* [quads][4], 4-byte aligned */
    uint32_t          quads;
    uint32_t          add;   /* to every S, times 0x01010101 */
    uint32_t          low;   /* low end of the clamp, the byte four times */
    int32_t           high;  /* high end */
    uint32_t          add_upper; /* add, times 0x0101 */
    const uint32_t   *exact; /* [][3] multiplier, exponent, origin */
    int32_t           zero_point;
} rl_m0_finish;

void rl_m0_finish_plain(const rl_m0_finish *f);
void rl_m0_finish_corner(const rl_m0_finish *f);

/* A list of inputs x[pixels][depth], 4-byte aligned, depth a multiple of 4;
 * offsets go up by RL_M0_WIDTH from 0. marks[pixels + 1]: one before each
 * pixel, one at the end. */
typedef struct {
    const int8_t *x;
    rl_m0_mark   *marks;
    rl_m0_entry  *to;
    uint32_t      bytes; /* pixels * depth, at least 4 */
    uint32_t      depth;
    const void   *scratch;
} rl_m0_source;

void rl_m0_list(const rl_m0_source *source);

/* Bytes x[rows][bytes], rows `stride` bytes apart, as words one after the
 * other. Returns their sum. bytes and rows are at least 1. */
typedef struct {
    const int8_t *x;
    uint32_t     *to;
    uint32_t      rows, bytes, stride;
} rl_m0_patch;

uint32_t rl_m0_spread(const rl_m0_patch *patch);

/* One output by TFLite's own arithmetic; entry: multiplier, exponent, origin;
 * d: accumulator - origin. Looks at exact, low, high and zero_point. */
int8_t rl_m0_exact(const rl_m0_finish *f, uint32_t d, uint32_t entry);

void rl_m0_conv_tile(const rl_call *call);
void rl_m0_dense_tile(const rl_call *call);

/* Bytes of scratch memory of an op that is laid out for these kernels. */
uint32_t rl_m0_scratch(const rl_op *op, const rl_tensor *in,
                       const rl_tensor *out);

#endif
