/* relume: ADD and MUL of two operands, portable. SPEC 2.4.
 *
 * An operand's axis of 1 serves every index of the output's axis. The second
 * operand may be a constant of the blob. */
#include "../kernels.h"
#include "../requant.h"

typedef struct {
    const int8_t *at;
    uint32_t      down, right, along; /* to the next row, pixel, channel */
    uint32_t      size;
    int32_t       zero;
} operand;

typedef void run_fn(const rl_call *call, const operand *a, const operand *b,
                    int8_t *y, uint32_t n);

static operand operand_of(const int8_t *data, uint32_t h, uint32_t w,
                          uint32_t c, int32_t zero)
{
    operand o;

    o.at = data;
    o.along = c > 1;
    o.right = w > 1 ? c : 0u;
    o.down = h > 1 ? w * c : 0u;
    o.size = h * w * c;
    o.zero = zero;
    return o;
}

/* Not inlined: three copies of it would be a third of this file's code. */
RL_APART RL_HOT int32_t scaled(int32_t acc, const int32_t *p)
{
    return rl_requant_scale(acc, p[0], p[1]);
}

static RL_HOT void add_run(const rl_call *call, const operand *a,
                           const operand *b, int8_t *y, uint32_t n)
{
    const rl_op *op = call->op;
    const int8_t *x0 = a->at, *x1 = b->at;
    uint32_t left_shift = (uint32_t)op->p[0] & 31u;
    int32_t zero0 = a->zero, zero1 = b->zero;
    int32_t sign0 = -(op->p[7] & RL_NEGATE_0);
    int32_t sign1 = -((op->p[7] & RL_NEGATE_1) >> 1);
    int8_t *end = y + n;

    for (; y != end; x0 += a->along, x1 += b->along) {
        int32_t u = (int32_t)((uint32_t)(*x0 - zero0) << left_shift);
        int32_t v = (int32_t)((uint32_t)(*x1 - zero1) << left_shift);
        int32_t sum;

        u = scaled(u, op->p + 1);
        v = scaled(v, op->p + 3);
        u = rl_requant_add(u ^ sign0, -sign0);
        v = rl_requant_add(v ^ sign1, -sign1);
        sum = scaled(rl_requant_add(u, v), op->p + 5);
        sum = rl_requant_add(sum, call->out->zero_point);
        *y++ = rl_requant_clamp(sum, op->act_min, op->act_max);
    }
}

static RL_HOT void mul_run(const rl_call *call, const operand *a,
                           const operand *b, int8_t *y, uint32_t n)
{
    const rl_op *op = call->op;
    const int8_t *x0 = a->at, *x1 = b->at;
    int32_t zero0 = a->zero, zero1 = b->zero;
    int8_t *end = y + n;

    for (; y != end; x0 += a->along, x1 += b->along) {
        int32_t acc = (*x0 - zero0) * (*x1 - zero1);

        acc = rl_requant_add(scaled(acc, op->p), call->out->zero_point);
        *y++ = rl_requant_clamp(acc, op->act_min, op->act_max);
    }
}

/* One run for each pixel; a single one where no operand is repeated. */
static RL_HOT void pair(const rl_call *call, run_fn *run)
{
    const rl_op *op = call->op;
    const rl_tensor *in0 = call->in0, *in1 = call->in1, *out = call->out;
    operand a = operand_of(call->a, in0->h, in0->w, in0->c, in0->zero_point);
    operand b = in1 ? operand_of(call->b, in1->h, in1->w, in1->c,
                                 in1->zero_point)
        : operand_of(call->w, op->kh, op->kw, op->sh,
                     (int8_t)((uint32_t)op->p[7] >> 8));
    const int8_t *a0 = a.at, *b0 = b.at;
    int8_t *y = call->y + call->first, *end = y + call->count;
    uint32_t width = out->w, channels = out->c;
    uint32_t row, column, channel;

    if (a.size == out->size && b.size == out->size) {
        a.along = b.along = width = 1;
        channels = out->size;
    }
    column = call->first / channels;
    channel = call->first - column * channels;
    row = column / width;
    column -= row * width;
    while (y != end) {
        uint32_t n = channels - channel;

        if (n > (uint32_t)(end - y)) {
            n = (uint32_t)(end - y);
        }
        a.at = a0 + row * a.down + column * a.right + channel * a.along;
        b.at = b0 + row * b.down + column * b.right + channel * b.along;
        run(call, &a, &b, y, n);
        y += n;
        channel = 0;
        if (++column == width) {
            column = 0;
            row++;
        }
    }
}

RL_HOT void rl_add_tile(const rl_call *call)
{
    pair(call, add_run);
}

RL_HOT void rl_mul_tile(const rl_call *call)
{
    pair(call, mul_run);
}
