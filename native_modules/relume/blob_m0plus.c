/* relume: the blob checker, ops laid out for Cortex-M0+ (SPEC 2.7.1). A
 * hostile table may give wrong numbers; every offset that a kernel follows
 * is proven here. */
#include "blob_check.h"
#include "engine_fast.h"

#if RL_WITH_M0PLUS
#include "kernels/m0plus/m0plus.h"

#define MAX_INPUTS 32768u /* of a window */
#define MAX_ROWS 15u      /* of a filter, sparse: scratch below 2^32 */

/* Sizes that follow from the shapes. */
typedef struct {
    uint32_t depth, inputs, live, quads, flags;
} shape;

static rl_status check_parameters(rl_blob_state *c, const rl_op *op)
{
    static const rl_blob_range ranges[] = {
        RANGE(BAND, rl_op, p[0], 1, BITS(16)),
        RANGE(LIVE, rl_op, p[1], 1, BITS(16)),
        RANGE(EXACT_CHANNELS, rl_op, p[2], 0, BITS(16)),
        RANGE(FLAGS, rl_op, p[3], 0, 7),
        RANGE(NARROW_LIMIT, rl_op, p[4], 0, BITS(16)),
        RANGE(WEIGHT_OFFSET, rl_op, p[5], 0, 128),
        RANGE(UNUSED, rl_op, p[6], 0, 0),
        RANGE(UNUSED, rl_op, p[7], 0, 0),
    };
    const int32_t *p = op->p;

    CHECK_RANGES(c, op, ranges);
    REFUSE_UNLESS(p[1] <= c->out->c, p[1], LIVE);
    REFUSE_UNLESS(p[2] <= p[1], p[2], EXACT_CHANNELS);
    REFUSE_UNLESS(((uint32_t)p[3] & RL_M0_SCATTER) || p[1] == c->out->c, p[1],
                  LEFT_OUT);
    return RL_OK;
}

static rl_status check_dense_shape(rl_blob_state *c, const rl_op *op,
                                   uint64_t *taps, shape *s)
{
    const rl_tensor *in = c->in;
    const rl_tensor *out = c->out;
    uint32_t rows = (uint32_t)out->h * out->w;

    REFUSE_UNLESS(in->size % rows == 0, op->in0, DENSE_ROWS);
    REFUSE_UNLESS(((uint32_t)op->p[3] & RL_M0_SCATTER) == 0, op->p[3],
                  DENSE_SCATTER);
    *taps = 1;
    s->depth = in->size / rows;
    return RL_OK;
}

static rl_status check_conv_shape(rl_blob_state *c, const rl_op *op,
                                  uint64_t *taps, shape *s)
{
    REFUSE_UNLESS(op->dil_h == 1 && op->dil_w == 1, op->dil_h, DILATION);
    REFUSE_UNLESS(((uint32_t)op->p[3] & RL_M0_SPARSE) == 0
                  || op->kh <= MAX_ROWS, op->kh, SPARSE_ROWS);
    *taps = (uint64_t)op->kh * op->kw;
    s->depth = c->in->c;
    return RL_OK;
}

/* taps and depth are at least 1; their product is below 2^57. */
static rl_status check_shape(rl_blob_state *c, const rl_op *op, shape *s)
{
    uint64_t taps = 1;

    CHECK(check_parameters(c, op));
    if (op->kind == RL_CONV_2D) {
        CHECK(check_conv_shape(c, op, &taps, s));
    } else {
        CHECK(check_dense_shape(c, op, &taps, s));
    }
    REFUSE_UNLESS(taps * s->depth <= MAX_INPUTS, op->kh, INPUTS);
    s->inputs = ((uint32_t)taps * s->depth + 1u) & ~1u;
    s->live = (uint32_t)op->p[1];
    s->quads = (s->live + 3u) / 4u;
    s->flags = (uint32_t)op->p[3];
    REFUSE_UNLESS((s->flags & RL_M0_SPARSE) == 0 || s->depth % 4u == 0,
                  op->p[3], SPARSE_WORDS);
    REFUSE_UNLESS(rl_m0_scratch(op, c->in, c->out) <= memory_of(c), op->kind,
                  SCRATCH);
    return RL_OK;
}

/* A block of channels fits the buffer. CONV_2D: what is computed of a pixel
 * can be stored. FULLY_CONNECTED: nothing is in flash, which cannot be read
 * while the next part comes. */
static int takes_parts(const rl_blob_state *c, const rl_op *op,
                       const shape *s)
{
    uint32_t block = s->inputs * RL_M0_WIDTH;

    if (op->kind == RL_FULLY_CONNECTED) {
        return (c->run_size || op->p[2] == 0)
            && RL_GRAIN * op->chunk
               >= block + rl_m0_tables(s->flags & RL_M0_CORNER);
    }
    return RL_GRAIN * op->chunk >= block
        && s->live == c->blob.tensors[op->out].c && s->live % 4u == 0;
}

static rl_status check_weights(rl_blob_state *c, const rl_op *op,
                               const shape *s)
{
    uint32_t blocks = (s->quads + 1u) / 2u; /* at most 2^13, of 2^18 bytes */

    CHECK(rl_blob_check_weights(c, op, blocks * s->inputs * RL_M0_WIDTH));
    REFUSE_UNLESS(op->chunk == 0 || takes_parts(c, op, s), op->chunk,
                  CHUNK_BLOCK);
    return rl_blob_check_array(c, &op->off_bias,
                               blocks * 2u * (uint32_t)sizeof(rl_m0_sums));
}

/* Entries without a formula name a row of the exact constants. */
rl_status rl_blob_check_table(rl_blob_state *c, const rl_op *op, uint32_t n,
                              uint32_t words)
{
    const uint32_t *entry;

    if ((uint32_t)op->p[3] & RL_M0_CORNER) {
        words += 2;
    }
    CHECK(rl_blob_check_array(c, &op->off_mult, 4u * n * words));
    CHECK(rl_blob_count(c, &op->off_mult, n));
    entry = (const uint32_t *)(const void *)(c->blob.base + op->off_mult);
    for (; n; n--, entry += words) {
        REFUSE_UNLESS(entry[3] || entry[0] < (uint32_t)op->p[2], entry[0],
                      EXACT_ROW);
    }
    return RL_OK;
}

rl_status rl_blob_check_exact(rl_blob_state *c, const rl_op *op)
{
    const int32_t *row =
        (const int32_t *)(const void *)(c->blob.base + op->off_shift);
    uint32_t n = (uint32_t)op->p[2];

    CHECK(rl_blob_count(c, &op->off_shift, n));
    for (; n; n--, row += 3) {
        REFUSE_UNLESS(is_multiplier(row[0], row[1]), row[0], MULTIPLIER);
    }
    return RL_OK;
}

static rl_status check_places(rl_blob_state *c, const rl_op *op,
                              const shape *s, uint32_t at)
{
    uint32_t channels = c->out->c;
    const uint16_t *place =
        (const uint16_t *)(const void *)(c->blob.base + op->off_shift + at);
    uint32_t i;

    CHECK(rl_blob_count(c, &op->off_shift, s->live));
    for (i = 0; i < s->live; i++) {
        REFUSE_UNLESS(place[i] < channels, place[i], PLACE);
    }
    return RL_OK;
}

static rl_status check_extra(rl_blob_state *c, const rl_op *op,
                             const shape *s)
{
    uint32_t exact = 12u * (uint32_t)op->p[2];
    uint32_t constants = ((uint32_t)c->out->c + 3u) & ~3u;
    int scatter = (s->flags & RL_M0_SCATTER) != 0;

    CHECK(rl_blob_check_array(c, &op->off_shift, scatter
                              ? exact + constants + 2u * s->live : exact));
    CHECK(rl_blob_check_exact(c, op));
    return scatter ? check_places(c, op, s, exact + constants) : RL_OK;
}

/* No constants, three parameters that are only computed with, and a shift. */
static rl_status check_add(rl_blob_state *c, const rl_op *op)
{
    static const rl_blob_range ranges[] = {
        RANGE(ADD_SHIFT, rl_op, p[3], 0, 31),
        RANGE(UNUSED, rl_op, p[4], 0, 0),
        RANGE(UNUSED, rl_op, p[5], 0, 0),
        RANGE(UNUSED, rl_op, p[6], 0, 0),
        RANGE(UNUSED, rl_op, p[7], 0, 0),
        RANGE(NO_ARRAY, rl_op, w_size, 0, 0),
        RANGE(NO_ARRAY, rl_op, off_w, 0, 0),
        RANGE(NO_ARRAY, rl_op, off_bias, 0, 0),
        RANGE(NO_ARRAY, rl_op, off_mult, 0, 0),
        RANGE(NO_ARRAY, rl_op, off_shift, 0, 0),
    };
    uint32_t size = c->out->size;

    REFUSE_UNLESS(c->in->size == size && op->in1 != RL_NONE
                  && c->blob.tensors[op->in1].size == size, op->in0,
                  ADD_SIZES);
    return rl_blob_check_ranges(c, op, ranges,
                                sizeof(ranges) / sizeof(ranges[0]));
}

rl_status rl_blob_check_m0plus(rl_blob_state *c, const rl_op *op)
{
    shape s = { 0, 0, 0, 0, 0 };

    if (op->kernel == RL_M0_KERNEL && op->kind == RL_DEPTHWISE_CONV_2D) {
        return rl_blob_check_m0plus_depthwise(c, op);
    }
    if (op->kernel == RL_M0_KERNEL && op->kind == RL_ADD) {
        return check_add(c, op);
    }
    REFUSE_UNLESS(op->kernel == RL_M0_KERNEL
                  && (op->kind == RL_CONV_2D
                      || op->kind == RL_FULLY_CONNECTED), op->kernel, KERNEL);
    CHECK(check_shape(c, op, &s));
    CHECK(check_weights(c, op, &s));
    CHECK(rl_blob_check_table(c, op, 4u * s.quads, 4));
    return check_extra(c, op, &s);
}

#else

rl_status rl_blob_check_m0plus(rl_blob_state *c, const rl_op *op)
{
    return rl_blob_refuse(c, &op->kernel, RL_FAULT_KERNEL);
}

#endif
