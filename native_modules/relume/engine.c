/* relume: one tile of a checked blob: pointers are put together here, the
 * kernels do the rest. SPEC 2, 3. */
#include "engine.h"

#include "engine_fast.h"

uint32_t rl_engine_scratch(const rl_blob *blob, const rl_op *op)
{
    uint32_t taps = (uint32_t)op->kh * op->kw;

    if (op->kernel) {
        return rl_fast_scratch(blob->header->core, op,
                               &blob->tensors[op->in0],
                               &blob->tensors[op->out]);
    }
    if (op->kind != RL_CONV_2D) {
        return 0;
    }
    return taps * blob->tensors[op->in0].c * (uint32_t)sizeof(int32_t);
}

/* origin: where the blob's first byte would lie. */
static RL_HOT const void *constant(uintptr_t origin, uint32_t offset)
{
    return offset ? (const void *)(origin + offset) : NULL;
}

/* Weights, bias and multipliers, shifts: each from an origin of its own. */
static RL_HOT void set_constants(rl_call *call, const rl_op *op, uintptr_t w,
                                 uintptr_t tables, uintptr_t last)
{
    call->w = constant(w, op->off_w);
    call->bias = constant(tables, op->off_bias);
    call->mult = constant(tables, op->off_mult);
    call->shift = constant(last, op->off_shift);
}

static RL_HOT void set_staged(rl_call *call, const rl_op *op, uintptr_t base,
                              uint8_t *stage)
{
    uint32_t buffer = RL_GRAIN * op->chunk;
    const uint32_t *from = rl_stage_from(op);
    uintptr_t moved = (uintptr_t)stage + buffer - *from;

    call->chunk = buffer ? stage : NULL;
    if (op->stage_size > buffer) {
        set_constants(call, op, buffer ? base : moved,
                      from == &op->off_shift ? base : moved, moved);
    }
}

static RL_HOT void prepare(const rl_blob *blob, uint8_t *arena,
                           const rl_tile *tile, uint8_t *stage,
                           rl_call *call)
{
    const rl_op *op = &blob->ops[tile->op];
    uintptr_t base = (uintptr_t)blob->base;

    call->op = op;
    call->in0 = &blob->tensors[op->in0];
    call->in1 = op->in1 == RL_NONE ? NULL : &blob->tensors[op->in1];
    call->out = &blob->tensors[op->out];
    call->a = (const int8_t *)arena + call->in0->arena_off;
    call->b = call->in1 ? (const int8_t *)arena + call->in1->arena_off : NULL;
    call->y = (int8_t *)arena + call->out->arena_off;
    set_constants(call, op, base, base, base);
    call->scratch = (int32_t *)(void *)(arena + RL_GRAIN * tile->scratch);
    call->first = tile->first;
    call->count = tile->count;
    call->resident = RL_WITH_STAGES && stage != NULL;
    call->chunk = NULL;
    if (RL_WITH_STAGES && stage) {
        set_staged(call, op, base, stage);
    }
}

RL_HOT void rl_engine_tile(const rl_blob *blob, uint8_t *arena, uint32_t tile)
{
    rl_engine_tile_with(blob, arena, &blob->tiles[tile], NULL, NULL);
}

RL_HOT void rl_engine_tile_with(const rl_blob *blob, uint8_t *arena,
                                const rl_tile *tile, uint8_t *stage,
                                const rl_fetch *fetch)
{
    rl_call call;

    prepare(blob, arena, tile, stage, &call);
    call.fetch = fetch;
    if (call.op->kernel) {
        rl_fast_tile(blob->header->core, &call);
        return;
    }
    switch (call.op->kind) {
    case RL_CONV_2D: rl_conv_tile(&call); break;
    case RL_DEPTHWISE_CONV_2D: rl_depthwise_tile(&call); break;
    case RL_FULLY_CONNECTED: rl_dense_tile(&call); break;
    case RL_AVERAGE_POOL_2D: rl_pool_average_tile(&call); break;
    case RL_MAX_POOL_2D: rl_pool_max_tile(&call); break;
    case RL_ADD: rl_add_tile(&call); break;
    case RL_SOFTMAX: rl_softmax_tile(&call); break;
    case RL_PAD: rl_copy_pad_tile(&call); break;
    case RL_MEAN: rl_mean_tile(&call); break;
    case RL_MAP: rl_map_tile(&call); break;
    case RL_MUL: rl_mul_tile(&call); break;
    case RL_GATHER: rl_gather_tile(&call); break;
    case RL_CONCATENATION: rl_concatenation_tile(&call); break;
    default: rl_copy_reshape_tile(&call); break;
    }
}

/* First byte of rows [row * step - before, ...) of a tensor, clamped. The
 * product fits: the checker bounds the last row's start by in.h + before. */
static uint32_t row_start(const rl_tensor *in, uint32_t row, uint32_t step,
                          uint32_t before)
{
    uint32_t start = row * step;

    if (start <= before) {
        return 0;
    }
    start -= before;
    return start >= in->h ? in->size : start * in->w * in->c;
}

/* A repeated operand is needed by rows where it has the output's, else to the
 * end. */
static uint32_t pair_start(const rl_tensor *in, const rl_tensor *out,
                           uint32_t unit)
{
    if (in->size == out->size) {
        return unit;
    }
    if (in->h != out->h) {
        return 0;
    }
    return unit / ((uint32_t)out->w * out->c) * in->w * in->c;
}

/* Rows of axis 0 come in rising order; nothing lies before a row's start. */
static uint32_t gather_need(const rl_blob *blob, const rl_op *op,
                            uint32_t unit)
{
    const uint32_t *map = constant((uintptr_t)blob->base, op->off_w);
    uint32_t maps = (uint32_t)op->p[RL_GATHER_MAPS];
    uint32_t row = unit / ((uint32_t)op->p[1] * (uint32_t)op->p[2]
                           * (uint32_t)op->p[3]);

    if (!(maps & 1u)) {
        return (uint32_t)op->p[0] + row * (uint32_t)op->p[RL_GATHER_STEP];
    }
    row += maps & 2u ? (uint32_t)op->p[1] : 0;
    row += maps & 4u ? (uint32_t)op->p[2] : 0;
    return (uint32_t)op->p[0] + map[row];
}

/* Rounds before the unit's, and what the unit has left of its own. */
static uint32_t concatenation_need(const rl_op *op, int which, uint32_t unit)
{
    uint32_t run0 = (uint32_t)op->p[0], run1 = (uint32_t)op->p[1];
    uint32_t round = unit / (run0 + run1);
    uint32_t skip = unit - round * (run0 + run1);
    uint32_t of0 = skip < run0 ? skip : run0;

    return which ? round * run1 + (skip - of0) : round * run0 + of0;
}

uint32_t rl_engine_need(const rl_blob *blob, const rl_op *op, int which,
                        uint32_t unit)
{
    const rl_tensor *in = &blob->tensors[which ? op->in1 : op->in0];
    const rl_tensor *out = &blob->tensors[op->out];

    if (unit >= op->units) {
        return in->size;
    }
    switch (op->kind) {
    case RL_CONV_2D:
    case RL_DEPTHWISE_CONV_2D:
    case RL_AVERAGE_POOL_2D:
    case RL_MAX_POOL_2D:
        return row_start(in, unit / out->w, op->sh, op->pad_top);
    case RL_PAD:
        return row_start(in, unit / out->w, 1, (uint32_t)op->p[0]);
    case RL_FULLY_CONNECTED:
        return unit / out->c * (in->size / ((uint32_t)out->h * out->w));
    case RL_SOFTMAX:
        return unit * out->c;
    case RL_MEAN:
        return 0;
    case RL_ADD:
    case RL_MUL:
        return pair_start(in, out, unit);
    case RL_GATHER:
        return gather_need(blob, op, unit);
    case RL_CONCATENATION:
        return concatenation_need(op, which, unit);
    default:
        return unit;
    }
}

/* Bytes of rows [0, last] of a tensor, clamped; last counts from `before`
 * rows above it. */
static uint32_t row_end(const rl_tensor *in, uint32_t last, uint32_t before)
{
    if (last < before) {
        return 0;
    }
    last -= before;
    return last >= in->h ? in->size : (last + 1u) * in->w * in->c;
}

uint32_t rl_engine_reach(const rl_blob *blob, const rl_op *op, int which,
                         uint32_t unit)
{
    const rl_tensor *in = &blob->tensors[which ? op->in1 : op->in0];
    const rl_tensor *out = &blob->tensors[op->out];
    uint32_t dilation = 1;

    switch (op->kind) {
    case RL_CONV_2D:
    case RL_DEPTHWISE_CONV_2D:
        dilation = op->dil_h;
        /* fall through */
    case RL_AVERAGE_POOL_2D:
    case RL_MAX_POOL_2D:
        return row_end(in, unit / out->w * op->sh + (op->kh - 1u) * dilation,
                       op->pad_top);
    case RL_PAD:
        return row_end(in, unit / out->w, (uint32_t)op->p[0]);
    case RL_FULLY_CONNECTED:
        return (unit / out->c + 1u)
             * (in->size / ((uint32_t)out->h * out->w));
    case RL_SOFTMAX:
        return (unit + 1u) * out->c;
    case RL_CONCATENATION:
        return concatenation_need(op, which, unit + 1u);
    case RL_ADD:
    case RL_MUL:
    case RL_MAP:
    case RL_RESHAPE: /* a repeated operand is read as a whole */
        return in->size == out->size ? unit + 1u : in->size;
    default: /* MEAN, GATHER */
        return in->size;
    }
}
