/* relume: what the Cortex-M4 kernels demand of an op (SPEC 2.7.2). A table
 * may hold anything: it is only computed with. Shapes decide every address. */
#include "m4.h"

#define TABLE_BYTES (4u * RL_M4_TABLE)

static uint64_t whole_words(uint64_t bytes)
{
    return (bytes + 3u) & ~(uint64_t)3u;
}

static int none_from(const rl_op *op, uint32_t i)
{
    for (; i < 8; i++) {
        if (op->p[i]) {
            return 0;
        }
    }
    return 1;
}

/* Columns overlap: 2 group + kw - 2 of them, and one at either end. */
static uint64_t conv_scratch(const rl_op *op, uint32_t c, uint64_t terms)
{
    uint64_t group = (uint32_t)op->p[1];
    uint64_t spare = op->p[3] ? 2u * group * (((uint32_t)op->p[3] + 3u) & ~3u)
                              : 0;

    if (op->p[2]) {
        return spare + c + 4u * (2u * group + op->kw) * op->kh * c;
    }
    return spare + 2u * terms + 4u * group * terms;
}

static int conv(const rl_op *op, const rl_tensor *in, const rl_tensor *out,
                rl_m4_layout *layout)
{
    uint64_t terms = op->kh * whole_words((uint64_t)op->kw * in->c);
    int columns = op->sw == 1 && op->dil_h == 1 && op->dil_w == 1
        && in->c % 4u == 0;
    uint32_t channels = out->c;

    if (terms >= (1u << 24) || op->p[1] < 1 || op->p[1] >= (1 << 24)
        || !none_from(op, 4)
        || (op->p[2] != 0 && !(op->p[2] == 1 && columns))
        || op->p[3] < 0 || op->p[3] > out->c
        || (op->p[3] == 0 && out->c % 4u)) {
        return 0;
    }
    if (op->p[3]) {
        channels = ((uint32_t)op->p[3] + 3u) & ~3u;
        layout->mult = out->c;
        layout->shift = 2u * (uint32_t)op->p[3];
    }
    layout->w = terms * channels;
    layout->bias = TABLE_BYTES * (channels / 4u);
    layout->scratch = conv_scratch(op, in->c, terms);
    return 1;
}

static int depthwise(const rl_op *op, const rl_tensor *in,
                     const rl_tensor *out, rl_m4_layout *layout)
{
    uint64_t row = 16u * ((uint64_t)(out->w - 1u) * op->sw + 3u);

    layout->w = 4u * RL_M4_DEPTHWISE_TABLE * (uint64_t)out->c;
    layout->scratch = 4u + ((uint64_t)(uint32_t)op->p[1] + 1u) * row;
    return op->kh == 3 && op->kw == 3 && in->c == out->c
        && op->dil_h == 1 && op->dil_w == 1 && op->sh == op->sw
        && (op->sh == 1 || op->sh == 2) && op->depth_mult == 1
        && out->c % 4u == 0 && op->p[0] == 0 && op->p[1] >= 1
        && none_from(op, 2);
}

/* Any filter. */
static int taps(const rl_op *op, const rl_tensor *in, const rl_tensor *out,
                rl_m4_layout *layout)
{
    uint64_t n = (uint32_t)op->kh * op->kw;
    uint32_t channels = (out->c + 3u) & ~3u;

    layout->w = 2u * n * channels;
    layout->bias = TABLE_BYTES * (channels / 4u);
    layout->scratch = (n + 1u) * channels;
    return (uint32_t)in->c * op->depth_mult == out->c && none_from(op, 0);
}

/* One input channel: each of the output's is a filter of a CONV_2D. */
static int as_conv(const rl_op *op, const rl_tensor *in,
                   const rl_tensor *out, rl_m4_layout *layout)
{
    return in->c == 1 && op->depth_mult == out->c
        && conv(op, in, out, layout);
}

static int dense(const rl_op *op, const rl_tensor *in, const rl_tensor *out,
                 rl_m4_layout *layout)
{
    uint32_t rows = (uint32_t)out->h * out->w;
    uint64_t terms = whole_words(in->size / rows);
    uint32_t blocks = ((uint32_t)out->c + 7u) / 8u;

    layout->w = 8u * blocks * terms;
    layout->bias = 2u * TABLE_BYTES * blocks;
    layout->scratch = 8u + 3u * terms;
    return in->size % rows == 0 && none_from(op, 1);
}

int rl_m4_layout_of(const rl_op *op, const rl_tensor *in,
                    const rl_tensor *out, rl_m4_layout *layout)
{
    layout->bias = layout->mult = layout->shift = 0;
    if (op->kernel != RL_M4_KERNEL) {
        return op->kind == RL_DEPTHWISE_CONV_2D
            && (op->kernel == RL_M4_TAPS ? taps(op, in, out, layout)
                : op->kernel == RL_M4_AS_CONV
                && as_conv(op, in, out, layout));
    }
    switch (op->kind) {
    case RL_CONV_2D: return conv(op, in, out, layout);
    case RL_DEPTHWISE_CONV_2D: return depthwise(op, in, out, layout);
    case RL_FULLY_CONNECTED: return dense(op, in, out, layout);
    case RL_ADD:
        layout->w = 4u * RL_M4_ADD_TABLE;
        layout->scratch = 0;
        return in->size == out->size && none_from(op, 0);
    default: return 0;
    }
}
