/* relume: what the parts of the blob checker share. Not for others. */
#ifndef RELUME_BLOB_CHECK_H
#define RELUME_BLOB_CHECK_H

#include "blob.h"
#include "blob_faults.h"

#define RL_MAX_OPS 4096u
#define RL_MAX_ARENA (1u << 24) /* kernels count bytes in 32 bits */

typedef struct {
    rl_blob        blob;
    rl_blob_fault *fault;
    uint32_t       channels; /* entries of multiplier arrays read so far */
    const rl_op   *op;       /* the op whose constants are looked at */
    const rl_tensor *in, *out; /* its in0 and out */
    const uint32_t *run; /* the first offset of staged constants */
    uint32_t       run_size; /* bytes of these; 0: none */
} rl_blob_state;

/* Proves an op's shapes, parameters and constants, by its kind. in0 and out
 * are known to be tensors, in1 to be one or none: never none with
 * CONCATENATION, always with kinds other than that, ADD and MUL. */
RL_CHECKED rl_status rl_blob_check_kind(rl_blob_state *c, const rl_op *op);

/* Constants of `size` bytes at *offset lie in the blob, aligned. */
RL_CHECKED rl_status rl_blob_check_array(rl_blob_state *c,
                                         const uint32_t *offset,
                                         uint32_t size);

/* op.w_size is `size`, and the weights lie in the blob. */
RL_CHECKED rl_status rl_blob_check_weights(rl_blob_state *c, const rl_op *op,
                                           uint64_t size);

/* Constants that are copied to SRAM: their run in the blob and their block,
 * before the op's arrays are looked at, which must lie in the run. */
RL_CHECKED rl_status rl_blob_check_run(rl_blob_state *c, const rl_op *op);

/* Ops may share arrays; the entries read for all ops together are bounded by
 * the constants' size, which keeps the time linear. n is below 2^26. */
RL_CHECKED rl_status rl_blob_count(rl_blob_state *c, const uint32_t *offset,
                                   uint32_t n);

/* GATHER and CONCATENATION. */
RL_CHECKED rl_status rl_blob_check_gather(rl_blob_state *c, const rl_op *op);
RL_CHECKED rl_status rl_blob_check_concatenation(rl_blob_state *c,
                                                 const rl_op *op);

/* Ops with op.kernel != 0, by core; their window is proven (SPEC 2.7). */
RL_CHECKED rl_status rl_blob_check_m0plus(rl_blob_state *c, const rl_op *op);
RL_CHECKED rl_status rl_blob_check_m0plus_depthwise(rl_blob_state *c,
                                                   const rl_op *op);

/* Parts of both: n entries of `words` words, two more with corners, at
 * off_mult; p[2] rows of exact constants at off_shift. */
RL_CHECKED rl_status rl_blob_check_table(rl_blob_state *c, const rl_op *op,
                                         uint32_t n, uint32_t words);
RL_CHECKED rl_status rl_blob_check_exact(rl_blob_state *c, const rl_op *op);

RL_CHECKED rl_status rl_blob_check_m4(rl_blob_state *c, const rl_op *op);

/* Proves that each tensor has one writer, that tiles cover the ops in an
 * order in which inputs come first, and that segments cover the tiles. Each
 * op, and the number of ops and tiles, is proven already. */
RL_CHECKED rl_status rl_blob_check_plan(rl_blob_state *c);

/* ------------------------------------------------------------------ faults */

/* Notes a fault at `field`, which lies in the blob; returns its status. */
rl_status rl_blob_refuse(rl_blob_state *c, const void *field, rl_fault fault);

static inline uint32_t offset_of(const rl_blob_state *c, const void *field)
{
    return (uint32_t)((const uint8_t *)field - c->blob.base);
}

#define REFUSE_UNLESS(condition, field, fault)                              \
    do {                                                                    \
        if (!(condition)) {                                                 \
            return rl_blob_refuse(c, &(field), RL_FAULT_##fault);           \
        }                                                                   \
    } while (0)

/* A field is from low to high. high: a number up to 128, BITS(n) for 2^n - 1
 * (n up to 31) or POWER(n) for 2^n (n up to 30). Five bytes of table instead of
 * some fifteen of code. */
typedef struct {
    uint8_t fault;    /* rl_fault */
    uint8_t at, size; /* bytes from the struct's start, bytes; 4 are signed */
    int8_t  low;
    uint8_t high;
} rl_blob_range;

#define BITS(n) (128 + (n))
#define POWER(n) (160 + (n))

#define RANGE(name, type, field, low, high)                                 \
    { RL_FAULT_##name, offsetof(type, field), sizeof(((type *)0)->field),   \
      low, high }

/* Of multiplier p[n] and shift p[n + 1]. */
#define RANGES_OF_MULTIPLIER(name, n)                                       \
    RANGE(name, rl_op, p[n], 0, BITS(31)),                                  \
    RANGE(name, rl_op, p[(n) + 1], -31, 30)

/* n ranges of fields of the struct at base, which lies in the blob. */
RL_CHECKED rl_status rl_blob_check_ranges(rl_blob_state *c, const void *base,
                                          const rl_blob_range *ranges,
                                          uint32_t n);

#define CHECK_RANGES(c, base, ranges)                                       \
    CHECK(rl_blob_check_ranges(c, base, ranges,                             \
                               sizeof(ranges) / sizeof((ranges)[0])))

#define CHECK(call)                                                         \
    do {                                                                    \
        rl_status status_ = call;                                           \
        if (status_ != RL_OK) {                                             \
            return status_;                                                 \
        }                                                                   \
    } while (0)

/* ----------------------------------------------------------------- numbers */

/* [offset, offset + size) lies in [low, high). */
static inline int within(uint32_t offset, uint32_t size, uint32_t low,
                         uint32_t high)
{
    return offset >= low && offset <= high && size <= high - offset;
}

/* Bytes of SRAM: tensors and what lies behind them; at most 2^25. */
static inline uint32_t memory_of(const rl_blob_state *c)
{
    return c->blob.header->arena_size + c->blob.header->scratch_size;
}

static inline int is_multiplier(int32_t multiplier, int32_t shift)
{
    return multiplier >= 0 && shift >= -31 && shift <= 30;
}

#endif
