/* relume: the blob checker, part two: ops by kind (SPEC 2.3, 2.4). */
#include "blob_check.h"
#include "engine_fast.h"

#define MAX_SOFTMAX 4095u /* Q12.19 sum of exponentials */

/* --------------------------------------------------------------- constants */

rl_status rl_blob_check_array(rl_blob_state *c, const uint32_t *offset,
                              uint32_t size)
{
    const rl_header *h = c->blob.header;

    REFUSE_UNLESS(*offset % 4 == 0, *offset, ARRAY_ALIGN);
    REFUSE_UNLESS(within(*offset, size, h->meta_size, h->total_size), *offset,
                  ARRAY);
    REFUSE_UNLESS(c->run_size == 0 || offset < c->run
                  || within(*offset, size, *c->run,
                            *c->run + c->run_size),
                  *offset, ARRAY_STAGE);
    return RL_OK;
}

rl_status rl_blob_check_weights(rl_blob_state *c, const rl_op *op,
                                uint64_t size)
{
    REFUSE_UNLESS(op->w_size == size, op->w_size, W_SIZE);
    return rl_blob_check_array(c, &op->off_w, op->w_size);
}

rl_status rl_blob_count(rl_blob_state *c, const uint32_t *offset, uint32_t n)
{
    const rl_header *h = c->blob.header;

    c->channels += n; /* stays below 2^32: refused above the constants */
    REFUSE_UNLESS(c->channels <= h->total_size - h->meta_size, *offset, COUNT);
    return RL_OK;
}

/* Multipliers and exponents, one per channel. */
static rl_status check_multipliers(rl_blob_state *c, const rl_op *op)
{
    uint32_t n = c->out->c;
    const int32_t *mult;
    const int8_t *shift;
    uint32_t i;

    CHECK(rl_blob_check_array(c, &op->off_mult, 4u * n));
    CHECK(rl_blob_check_array(c, &op->off_shift, n));
    CHECK(rl_blob_count(c, &op->off_mult, n));
    mult = (const int32_t *)(const void *)(c->blob.base + op->off_mult);
    shift = (const int8_t *)(c->blob.base + op->off_shift);
    for (i = 0; i < n; i++) {
        REFUSE_UNLESS(is_multiplier(mult[i], shift[i]), mult[i], MULTIPLIER);
    }
    return RL_OK;
}

static rl_status check_weights(rl_blob_state *c, const rl_op *op,
                               uint64_t size)
{
    CHECK(rl_blob_check_weights(c, op, size));
    if (op->off_bias) {
        CHECK(rl_blob_check_array(c, &op->off_bias, 4u * c->out->c));
    }
    return check_multipliers(c, op);
}

/* ------------------------------------------------------------- ops by kind */

/* Windows of one axis: none lies wholly outside the input, unless a dilated
 * filter straddles it. All terms are below 2^16, the reach below 2^32. */
static int window_fits(uint32_t in, uint32_t out, uint32_t taps,
                       uint32_t step, uint32_t before, uint32_t dilation)
{
    return taps >= 1 && step >= 1 && dilation >= 1
        && before <= (taps - 1u) * dilation
        && (out - 1u) * step < in + before;
}

static rl_status check_window(rl_blob_state *c, const rl_op *op, uint32_t dil_h,
                              uint32_t dil_w)
{
    const rl_tensor *in = c->in;
    const rl_tensor *out = c->out;

    REFUSE_UNLESS(window_fits(in->h, out->h, op->kh, op->sh, op->pad_top,
                              dil_h), op->kh, WINDOW_HEIGHT);
    REFUSE_UNLESS(window_fits(in->w, out->w, op->kw, op->sw, op->pad_left,
                              dil_w), op->kw, WINDOW_WIDTH);
    /* Positions of taps fit int32: reach below 2^31. */
    REFUSE_UNLESS((uint64_t)(op->kh - 1u) * dil_h < (1u << 30)
                  && (uint64_t)(op->kw - 1u) * dil_w < (1u << 30), op->dil_h,
                  DILATION);
    return RL_OK;
}

static rl_status check_conv(rl_blob_state *c, const rl_op *op)
{
    const rl_tensor *in = c->in;
    uint64_t k = (uint64_t)((uint32_t)op->kh * op->kw) * in->c;

    CHECK(check_window(c, op, op->dil_h, op->dil_w));
    REFUSE_UNLESS(k * 4u <= memory_of(c), op->kh, WINDOW_SCRATCH);
    return check_weights(c, op, k * c->out->c);
}

static rl_status check_depthwise(rl_blob_state *c, const rl_op *op)
{
    const rl_tensor *in = c->in;
    const rl_tensor *out = c->out;

    CHECK(check_window(c, op, op->dil_h, op->dil_w));
    REFUSE_UNLESS((uint32_t)in->c * op->depth_mult == out->c, op->depth_mult,
                  DEPTH_CHANNELS);
    return check_weights(c, op, (uint64_t)((uint32_t)op->kh * op->kw)
                                * out->c);
}

static rl_status check_dense(rl_blob_state *c, const rl_op *op)
{
    const rl_tensor *in = c->in;
    const rl_tensor *out = c->out;
    uint32_t rows = (uint32_t)out->h * out->w;

    REFUSE_UNLESS(in->size % rows == 0, op->in0, DENSE_ROWS);
    return check_weights(c, op, (uint64_t)(in->size / rows) * out->c);
}

static rl_status check_pool(rl_blob_state *c, const rl_op *op)
{
    const rl_tensor *in = c->in;
    const rl_tensor *out = c->out;

    REFUSE_UNLESS(in->c == out->c, op->in0, CHANNELS_DIFFER);
    return check_window(c, op, 1, 1);
}

static int repeats(uint32_t in, uint32_t out)
{
    return in == out || in == 1;
}

/* Each axis of an operand is the output's, or 1. */
static int operand_fits(const rl_tensor *out, uint32_t h, uint32_t w,
                        uint32_t c)
{
    return repeats(h, out->h) && repeats(w, out->w) && repeats(c, out->c);
}

/* The first operand is in0, the second in1 or a constant of shape kh, kw, sh.
 * flags: bits of p[7] that the kind has. */
static rl_status check_pair(rl_blob_state *c, const rl_op *op, int32_t flags)
{
    const rl_tensor *out = c->out;
    const rl_tensor *in = c->in;

    REFUSE_UNLESS(operand_fits(out, in->h, in->w, in->c), op->in0, OPERAND);
    if (op->in1 == RL_NONE) {
        flags |= 0xFF00; /* its zero point */
        REFUSE_UNLESS(operand_fits(out, op->kh, op->kw, op->sh), op->kh,
                      OPERAND);
        /* It divides the output's size, which is below 2^24. */
        CHECK(rl_blob_check_weights(c, op,
                                    (uint32_t)op->kh * op->kw * op->sh));
    } else {
        in = &c->blob.tensors[op->in1];
        REFUSE_UNLESS(operand_fits(out, in->h, in->w, in->c), op->in1,
                      OPERAND);
    }
    REFUSE_UNLESS((op->p[7] & ~flags) == 0, op->p[7], FLAGS);
    return RL_OK;
}

static rl_status check_add(rl_blob_state *c, const rl_op *op)
{
    static const rl_blob_range ranges[] = {
        RANGE(LEFT_SHIFT, rl_op, p[0], 0, 22),
        RANGES_OF_MULTIPLIER(MULTIPLIER_IN0, 1),
        RANGES_OF_MULTIPLIER(MULTIPLIER_IN1, 3),
        RANGES_OF_MULTIPLIER(MULTIPLIER_OUT, 5),
    };

    CHECK_RANGES(c, op, ranges);
    return check_pair(c, op, RL_NEGATE_0 | RL_NEGATE_1);
}

static rl_status check_mul(rl_blob_state *c, const rl_op *op)
{
    static const rl_blob_range ranges[] = {
        RANGES_OF_MULTIPLIER(MULTIPLIER, 0),
    };

    CHECK_RANGES(c, op, ranges);
    return check_pair(c, op, 0);
}

/* The scaled difference stays in Q5.26: diff_min * 2^shift >= -31. */
static rl_status check_softmax(rl_blob_state *c, const rl_op *op)
{
    static const rl_blob_range ranges[] = {
        RANGE(SOFTMAX_MULTIPLIER, rl_op, p[0], 0, BITS(31)),
        RANGE(SOFTMAX_MULTIPLIER, rl_op, p[1], 0, 30),
    };
    const rl_tensor *in = c->in;
    const rl_tensor *out = c->out;

    REFUSE_UNLESS(in->size == out->size && in->c == out->c, op->in0,
                  SOFTMAX_SHAPE);
    REFUSE_UNLESS(out->c <= MAX_SOFTMAX, op->in0, SOFTMAX_SIZE);
    CHECK_RANGES(c, op, ranges);
    REFUSE_UNLESS(op->p[2] <= 0 && op->p[2] >= -(31 << 26)
                  && -(int64_t)op->p[2] * (1 << op->p[1]) <= 31 << 26,
                  op->p[2], DIFF_MIN);
    return RL_OK;
}

/* before is at most 2^16 - 1. */
static int pad_fits(int32_t before, uint32_t in, uint32_t out)
{
    return (uint32_t)before + in <= out;
}

static rl_status check_pad(rl_blob_state *c, const rl_op *op)
{
    static const rl_blob_range ranges[] = {
        RANGE(PAD_TOP, rl_op, p[0], 0, BITS(16)),
        RANGE(PAD_LEFT, rl_op, p[1], 0, BITS(16)),
        RANGE(PAD_FRONT, rl_op, p[2], 0, BITS(16)),
        RANGE(PAD_VALUE, rl_op, p[3], -128, 127),
    };
    const rl_tensor *in = c->in;
    const rl_tensor *out = c->out;

    CHECK_RANGES(c, op, ranges);
    REFUSE_UNLESS(pad_fits(op->p[0], in->h, out->h), op->p[0], PAD_TOP);
    REFUSE_UNLESS(pad_fits(op->p[1], in->w, out->w), op->p[1], PAD_LEFT);
    REFUSE_UNLESS(pad_fits(op->p[2], in->c, out->c), op->p[2], PAD_FRONT);
    return RL_OK;
}

static rl_status check_mean(rl_blob_state *c, const rl_op *op)
{
    static const rl_blob_range ranges[] = {
        RANGE(MEAN_AXES, rl_op, p[0], 1, 3),
        RANGES_OF_MULTIPLIER(MULTIPLIER, 1),
    };
    const rl_tensor *in = c->in;
    uint32_t over;

    CHECK_RANGES(c, op, ranges);
    over = (op->p[0] & 1 ? in->h : 1u) * (op->p[0] & 2 ? in->w : 1u);
    REFUSE_UNLESS(c->out->size == in->size / over, op->in0, MEAN_SHAPE);
    REFUSE_UNLESS((uint32_t)op->p[3] == over, op->p[3], MEAN_COUNT);
    return RL_OK;
}

static rl_status check_reshape(rl_blob_state *c, const rl_op *op)
{
    REFUSE_UNLESS(c->in->size == c->out->size, op->in0, SIZES_DIFFER);
    return RL_OK;
}

static rl_status check_map(rl_blob_state *c, const rl_op *op)
{
    CHECK(rl_blob_check_weights(c, op, 256));
    return check_reshape(c, op);
}

/* Laid out for the kernels of the blob's core. */
static rl_status check_fast(rl_blob_state *c, const rl_op *op)
{
    if (op->kind == RL_CONV_2D || op->kind == RL_DEPTHWISE_CONV_2D) {
        CHECK(check_window(c, op, op->dil_h, op->dil_w));
    }
    if (c->blob.header->core == RL_FOR_M4) {
        return rl_blob_check_m4(c, op);
    }
    REFUSE_UNLESS(c->blob.header->core == RL_FOR_M0PLUS, op->kernel, KERNEL);
    return rl_blob_check_m0plus(c, op);
}

rl_status rl_blob_check_kind(rl_blob_state *c, const rl_op *op)
{
    if (op->kernel) {
        return check_fast(c, op);
    }
    switch (op->kind) {
    case RL_CONV_2D: return check_conv(c, op);
    case RL_DEPTHWISE_CONV_2D: return check_depthwise(c, op);
    case RL_FULLY_CONNECTED: return check_dense(c, op);
    case RL_AVERAGE_POOL_2D: return check_pool(c, op);
    case RL_MAX_POOL_2D: return check_pool(c, op);
    case RL_ADD: return check_add(c, op);
    case RL_SOFTMAX: return check_softmax(c, op);
    case RL_PAD: return check_pad(c, op);
    case RL_MEAN: return check_mean(c, op);
    case RL_RESHAPE: return check_reshape(c, op);
    case RL_MAP: return check_map(c, op);
    case RL_MUL: return check_mul(c, op);
    case RL_GATHER: return rl_blob_check_gather(c, op);
    case RL_CONCATENATION: return rl_blob_check_concatenation(c, op);
    default: return rl_blob_refuse(c, op, RL_FAULT_OP_KIND);
    }
}
