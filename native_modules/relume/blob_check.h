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
} rl_blob_state;

/* Proves an op's shapes, parameters and constants, by its kind. in0 and out
 * are known to be tensors, in1 to be one or none: never none with
 * CONCATENATION, always with kinds other than that, ADD and MUL. */
RL_CHECKED rl_status rl_blob_check_kind(rl_blob_state *c, const rl_op *op);

/* Constants of `size` bytes at *offset lie in the blob, aligned. */
RL_CHECKED rl_status rl_blob_check_array(rl_blob_state *c,
                                         const uint32_t *offset,
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

#define CHECK(call)                                                         \
    do {                                                                    \
        rl_status status_ = call;                                           \
        if (status_ != RL_OK) {                                             \
            return status_;                                                 \
        }                                                                   \
    } while (0)

/* ----------------------------------------------------------------- numbers */

static inline int within(uint64_t offset, uint64_t size, uint64_t low,
                         uint64_t high)
{
    return offset >= low && offset + size <= high;
}

/* Bytes of SRAM: tensors and what lies behind them; at most 2^25. */
static inline uint32_t memory_of(const rl_blob_state *c)
{
    return c->blob.header->arena_size + c->blob.header->scratch_size;
}

static inline int is_int8(int32_t x)
{
    return x >= -128 && x <= 127;
}

static inline int is_multiplier(int32_t multiplier, int32_t shift)
{
    return multiplier >= 0 && shift >= -31 && shift <= 30;
}

#endif
