/* relume: CONV_2D and FULLY_CONNECTED on Cortex-M0+: which way a pixel goes.
 *
 * Sparse: only inputs other than zero (x != -128) are multiplied. Each row of
 * the input is turned once into a list of (u, offset of weights); a pixel's
 * script names the runs of the lists that its window covers, one a filter
 * row, and the places where the 16-bit lanes must be emptied. Offsets grow
 * along the whole row of the input, so that neighbouring pixels of a window
 * make one run, and one base for the weights serves it.
 * Dense: all inputs of the window, two at a time. Its time depends on nothing
 * but the shape, and it is taken whenever the script would take longer.
 * SPEC 2.7.1 has the layout, docs/KERNELS.md the bounds. */
#include "m0plus.h"

#define MAX_STEPS 64u /* of a script, the end included */

/* Cycles of a block of channels, to choose by. */
#define STEP_COST 16u

typedef struct {
    const rl_call *call;
    uint32_t k, inputs;      /* of a window; rounded up to 8 */
    uint32_t width;          /* channels of a block: 8 or 12 */
    uint32_t live, quads;
    uint32_t flags, limit, words;
    uint32_t entry_cost, flush_cost, dense_cost;
    /* scratch */
    int32_t     *acc;        /* [quads][4] */
    int8_t      *row;        /* [quads][4] outputs of a pixel */
    rl_m0_step  *script;     /* [MAX_STEPS] */
    int8_t      *window;     /* [inputs] */
    rl_m0_pair  *pairs;      /* [inputs / 2] */
    uint8_t     *lists;
} kernel;

static uint32_t align4(uint32_t n)
{
    return (n + 3u) & ~3u;
}

/* ----------------------------------------------------------------- scratch */

static uint32_t taps_of(const rl_op *op)
{
    return op->kind == RL_FULLY_CONNECTED ? 1u : (uint32_t)op->kh * op->kw;
}

static uint32_t depth_of(const rl_op *op, const rl_tensor *in,
                         const rl_tensor *out)
{
    if (op->kind == RL_FULLY_CONNECTED) {
        return in->size / ((uint32_t)out->h * out->w);
    }
    return in->c;
}

/* Bytes of the list of a row of `n` inputs with marks every 4 * words. */
static uint32_t list_bytes(uint32_t n, uint32_t words)
{
    return (n / (4u * words) + 1u) * (uint32_t)sizeof(rl_m0_mark)
        + n * (uint32_t)sizeof(rl_m0_entry);
}

/* Inputs of one list: a pixel's where windows do not overlap. */
static uint32_t list_inputs(const rl_op *op, const rl_tensor *in,
                            const rl_tensor *out)
{
    uint32_t depth = depth_of(op, in, out);

    return taps_of(op) == 1 ? depth : depth * in->w;
}

uint32_t rl_m0_scratch(const rl_op *op, const rl_tensor *in,
                       const rl_tensor *out)
{
    uint32_t quads = ((uint32_t)op->p[1] + 3u) / 4u;
    uint32_t k = taps_of(op) * depth_of(op, in, out);
    uint32_t inputs = (k + 7u) & ~7u;
    uint32_t size = quads * 20u + MAX_STEPS * (uint32_t)sizeof(rl_m0_step)
        + inputs + inputs / 2u * (uint32_t)sizeof(rl_m0_pair);

    if ((uint32_t)op->p[3] & RL_M0_SPARSE) {
        uint32_t rows = op->kind == RL_FULLY_CONNECTED ? 1u : op->kh;

        size += rows * list_bytes(list_inputs(op, in, out),
                                  (uint32_t)op->p[5]);
    }
    return size;
}

static RL_HOT void prepare(kernel *m, const rl_call *call)
{
    const rl_op *op = call->op;
    uint8_t *at = (uint8_t *)call->scratch;

    m->call = call;
    m->k = taps_of(op) * depth_of(op, call->in0, call->out);
    m->inputs = (m->k + 7u) & ~7u;
    m->width = (uint32_t)op->p[0];
    m->live = (uint32_t)op->p[1];
    m->quads = (m->live + 3u) / 4u;
    m->flags = (uint32_t)op->p[3];
    m->limit = (uint32_t)op->p[4];
    m->words = (uint32_t)op->p[5];
    m->entry_cost = m->width == 12 ? 26u : 19u;
    m->flush_cost = m->width == 12 ? 92u : 66u;
    m->dense_cost = m->inputs / 2u * (m->width == 12 ? 96u : 64u);
    m->acc = (int32_t *)(void *)at;
    at += m->quads * 16u;
    m->row = (int8_t *)at;
    at += m->quads * 4u;
    m->script = (rl_m0_step *)(void *)at;
    at += MAX_STEPS * sizeof(rl_m0_step);
    m->window = (int8_t *)at;
    at += m->inputs;
    m->pairs = (rl_m0_pair *)(void *)at;
    m->lists = at + m->inputs / 2u * sizeof(rl_m0_pair);
}

/* ----------------------------------------------------------------- scripts */

/* A script under construction. */
typedef struct {
    rl_m0_step *next, *last;
    uint32_t    sum;    /* of u since the lanes were emptied */
    uint32_t    total;  /* of u */
    uint32_t    flags;  /* of the next step */
    uint32_t    cost, most;
} writer;

/* Steps for entries [at, end). Returns 0 if there is no room. */
static RL_HOT int put_run(writer *s, rl_m0_ref at, rl_m0_ref end,
                          uint32_t base)
{
    while (at != end) {
        uint32_t bytes = end - at;

        if (bytes > RL_M0_RUN * sizeof(rl_m0_entry)) {
            bytes = RL_M0_RUN * (uint32_t)sizeof(rl_m0_entry);
        }
        if (s->next == s->last) {
            return 0;
        }
        s->next->at = at;
        s->next->n = bytes / (uint32_t)sizeof(rl_m0_entry) | s->flags;
        s->next->base = base;
        s->next++;
        s->flags = 0;
        s->cost += STEP_COST;
        at += bytes;
    }
    return 1;
}

/* Ends the segment; the next step begins with a flush. */
static RL_HOT void put_flush(const kernel *m, writer *s)
{
    s->flags = RL_M0_FLUSH;
    s->sum = 0;
    s->cost += m->flush_cost;
}

/* A granule whose own sum is above the limit, entry by entry. */
static RL_HOT int put_granule(const kernel *m, writer *s, rl_m0_ref at,
                              rl_m0_ref end, uint32_t base)
{
    rl_m0_ref from = at;

    for (; at != end; at += (uint32_t)sizeof(rl_m0_entry)) {
        uint32_t u = ((const rl_m0_entry *)
                      (rl_m0_origin(m->call->scratch) + at))->u;

        if (s->sum + u > m->limit) {
            if (!put_run(s, from, at, base)) {
                return 0;
            }
            put_flush(m, s);
            from = at;
        }
        s->sum += u;
    }
    return put_run(s, from, end, base);
}

/* The runs of granules [mark, end) of one list. Returns 0 if the dense way is
 * shorter. */
static RL_HOT int put_list(const kernel *m, writer *s, const rl_m0_mark *mark,
                           const rl_m0_mark *end, uint32_t base)
{
    rl_m0_ref from = mark->at;

    s->total += end->sum - mark->sum;
    s->cost += (end->at - mark->at) / 8u * m->entry_cost;
    if (s->sum + end->sum - mark->sum <= m->limit) {
        s->sum += end->sum - mark->sum;
        return put_run(s, from, end->at, base);
    }
    for (; mark != end; mark++) {
        uint32_t sum = mark[1].sum - mark->sum;

        if (s->sum + sum > m->limit) {
            if (!put_run(s, from, mark->at, base)) {
                return 0;
            }
            from = mark->at;
            if (sum > m->limit) {
                if (!put_granule(m, s, from, mark[1].at, base)) {
                    return 0;
                }
                from = mark[1].at;
                continue;
            }
            put_flush(m, s);
            if (s->cost > s->most) {
                return 0;
            }
        }
        s->sum += sum;
    }
    return put_run(s, from, end->at, base);
}

static RL_HOT void begin_script(const kernel *m, writer *s)
{
    s->next = m->script;
    s->last = m->script + MAX_STEPS - 1;
    s->sum = 0;
    s->total = 0;
    s->flags = 0;
    s->cost = m->flush_cost;
    s->most = m->dense_cost;
}

static RL_HOT int end_script(const writer *s)
{
    s->next->n = RL_M0_END;
    return s->cost <= s->most;
}

/* ------------------------------------------------------------------ blocks */

/* Quads [first, first + n) of a layer: whole blocks, or up to the end. */
typedef struct {
    uint32_t first, n;
} span;

static RL_HOT void set_job(const kernel *m, rl_m0_job *job, span part)
{
    uint32_t per = m->width / 4u;

    job->step = m->inputs * m->width;
    job->row = m->width;
    job->pairs = m->inputs / 2u;
    job->scratch = m->call->scratch;
    job->w = (const uint8_t *)m->call->w + part.first / per * job->step;
    job->acc = m->acc + 4u * part.first;
    job->start = m->call->bias + 4u * part.first;
}

static RL_HOT void run_sparse(const kernel *m, span part)
{
    uint32_t per = m->width / 4u;
    uint32_t rest;
    rl_m0_job job;

    set_job(m, &job, part);
    job.inputs = m->script;
    job.blocks = part.n / per;
    rest = part.n - job.blocks * per;
    if (job.blocks) {
        if (per == 3) {
            rl_m0_sparse12(&job);
        } else {
            rl_m0_sparse8(&job);
        }
        job.w += job.blocks * job.step;
        job.start += job.blocks * m->width;
        job.acc += job.blocks * m->width;
    }
    if (rest) {
        job.blocks = 1;
        if (rest == 2) {
            rl_m0_sparse8(&job);
        } else {
            rl_m0_sparse4(&job);
        }
    }
}

static RL_HOT void run_dense(const kernel *m, span part)
{
    uint32_t per = m->width / 4u;
    uint32_t lane = 0;
    rl_m0_job job;

    set_job(m, &job, part);
    job.inputs = m->pairs;
    job.start += 4u * m->quads;
    for (; part.n; part.n--) {
        rl_m0_dense4(&job);
        job.start += 4;
        job.acc += 4;
        job.w += 4;
        if (++lane == per) {
            lane = 0;
            job.w += job.step - m->width;
        }
    }
}

/* Requantises quads [first, first + n) to y. */
static RL_HOT void finish(const kernel *m, span part, uint32_t add, int8_t *y)
{
    const rl_call *call = m->call;
    uint32_t words = m->flags & RL_M0_CORNER ? 6u : 4u;
    rl_m0_finish f;

    f.acc = m->acc + 4u * part.first;
    f.table = (const uint32_t *)call->mult + 4u * words * part.first;
    f.y = y;
    f.quads = part.n;
    f.add = add;
    f.low = call->op->act_min;
    f.high = call->op->act_max;
    f.exact = (const uint32_t *)(const void *)call->shift;
    f.zero_point = call->out->zero_point;
    if (words == 6) {
        rl_m0_finish_corner(&f);
    } else {
        rl_m0_finish_plain(&f);
    }
}

/* All channels of a pixel to y[out.c]. */
static RL_HOT void finish_pixel(const kernel *m, uint32_t add, int8_t *y)
{
    const rl_call *call = m->call;
    uint32_t channels = call->out->c;
    span all = { 0, m->quads };
    uint32_t i;

    if (m->live == channels && (channels & 3u) == 0) {
        finish(m, all, add, y);
        return;
    }
    finish(m, all, add, m->row);
    if (m->flags & RL_M0_SCATTER) {
        const int8_t *constant = call->shift + 12u * (uint32_t)call->op->p[2];
        const uint16_t *place =
            (const uint16_t *)(const void *)(constant + align4(channels));

        for (i = 0; i < channels; i++) {
            y[i] = constant[i];
        }
        for (i = 0; i < m->live; i++) {
            y[place[i]] = m->row[i];
        }
        return;
    }
    for (i = 0; i < channels; i++) {
        y[i] = m->row[i];
    }
}

/* ----------------------------------------------------------------- windows */

static RL_HOT int8_t *put_same(int8_t *to, int8_t x, uint32_t n)
{
    while (n--) {
        *to++ = x;
    }
    return to;
}

static RL_HOT int8_t *put_bytes(int8_t *to, const int8_t *x, uint32_t n)
{
    while (n--) {
        *to++ = *x++;
    }
    return to;
}

/* One filter row of the window: columns from x on, of which those outside
 * [0, in.w) are padding. */
static RL_HOT int8_t *gather_row(const rl_call *call, int8_t *to,
                                 const int8_t *row, int32_t x)
{
    const rl_op *op = call->op;
    uint32_t c = call->in0->c;
    int8_t zero = (int8_t)call->in0->zero_point;
    int32_t width = call->in0->w;
    uint32_t left = op->kw;

    if (op->dil_w == 1 && x >= 0 && x + (int32_t)left <= width) {
        return put_bytes(to, row + (uint32_t)x * c, left * c);
    }
    for (; left; left--, x += op->dil_w) {
        if (x < 0 || x >= width) {
            to = put_same(to, zero, c);
        } else {
            to = put_bytes(to, row + (uint32_t)x * c, c);
        }
    }
    return to;
}

static RL_HOT void gather(const kernel *m, int32_t y, int32_t x)
{
    const rl_call *call = m->call;
    const rl_op *op = call->op;
    uint32_t stride = (uint32_t)call->in0->w * call->in0->c;
    int8_t *to = m->window;
    uint32_t rows;

    for (rows = op->kh; rows; rows--, y += op->dil_h) {
        if (y < 0 || y >= (int32_t)call->in0->h) {
            to = put_same(to, (int8_t)call->in0->zero_point,
                          (uint32_t)op->kw * call->in0->c);
        } else {
            to = gather_row(call, to, call->a + (uint32_t)y * stride, x);
        }
    }
    put_same(to, 0, m->inputs - m->k);
    rl_m0_pairs(m->window, m->pairs, m->inputs / 2u);
}

/* x[k], as it lies. */
static RL_HOT void pair_up(const kernel *m, const int8_t *x)
{
    if (m->inputs != m->k) {
        int8_t *to = put_bytes(m->window, x, m->k);

        put_same(to, 0, m->inputs - m->k);
        x = m->window;
    }
    rl_m0_pairs(x, m->pairs, m->inputs / 2u);
}

/* ------------------------------------------------------------- single taps */

static RL_HOT rl_m0_mark *list_one(const kernel *m, const int8_t *x,
                                   uint32_t n, uint8_t *at)
{
    rl_m0_source source;

    source.x = x;
    source.granules = n / (4u * m->words);
    source.words = m->words;
    source.row = m->width;
    source.marks = (rl_m0_mark *)(void *)at;
    source.to = (rl_m0_entry *)(void *)
        (source.marks + source.granules + 1u);
    source.scratch = m->call->scratch;
    rl_m0_list(&source);
    return source.marks + source.granules;
}

/* Sums of quads `part` for inputs x[k]; returns what finish adds. */
static RL_HOT uint32_t sum_inputs(const kernel *m, const int8_t *x, span part)
{
    if (m->flags & RL_M0_SPARSE) {
        rl_m0_mark *end = list_one(m, x, m->k, m->lists);
        writer s;

        begin_script(m, &s);
        if (put_list(m, &s, (rl_m0_mark *)(void *)m->lists, end, 0)
            && end_script(&s)) {
            run_sparse(m, part);
            return 0u - 128u * s.total;
        }
    }
    pair_up(m, x);
    run_dense(m, part);
    return 0;
}

/* Outputs [channel, channel + n) of an input row x[k]. */
static RL_HOT void dense_row(const kernel *m, const int8_t *x,
                             uint32_t channel, uint32_t n, int8_t *y)
{
    uint32_t per = m->width / 4u;
    uint32_t block = channel / m->width;
    uint32_t end = (channel + n + 3u) / 4u;
    span part;
    uint32_t i;

    part.first = block * per;
    part.n = end - part.first;
    finish(m, part, sum_inputs(m, x, part), m->row);
    for (i = 0; i < n; i++) {
        y[i] = m->row[channel - block * m->width + i];
    }
}

RL_HOT void rl_m0_dense_tile(const rl_call *call)
{
    uint32_t channels = call->out->c;
    uint32_t row = call->first / channels;
    uint32_t channel = call->first - row * channels;
    int8_t *y = call->y + call->first;
    uint32_t left = call->count;
    kernel m;

    prepare(&m, call);
    while (left) {
        uint32_t n = channels - channel;

        if (n > left) {
            n = left;
        }
        dense_row(&m, call->a + row * m.k, channel, n, y);
        y += n;
        row++;
        left -= n;
        channel = 0;
    }
}

/* -------------------------------------------------------------- convolution */

/* Lists of the rows that the windows of the tile's current row touch, for
 * columns [low, high) of the input. Row y lies in slot y modulo kh. */
typedef struct {
    uint32_t low, high;
    uint32_t bytes;  /* of a slot */
    int32_t  built;  /* rows below are built, or above all need */
    uint32_t slot;   /* of row `built` */
} ring;

static RL_HOT void build_to(const kernel *m, ring *r, int32_t end)
{
    const rl_tensor *in = m->call->in0;

    for (; r->built < end; r->built++) {
        const int8_t *x = m->call->a
            + ((uint32_t)r->built * in->w + r->low) * in->c;

        list_one(m, x, (r->high - r->low) * in->c,
                 m->lists + r->slot * r->bytes);
        if (++r->slot == m->call->op->kh) {
            r->slot = 0;
        }
    }
}

/* The script of the window at row y, column x; rows of it are built. Returns
 * 0 for dense. */
static RL_HOT int write_script(const kernel *m, const ring *r, int32_t y,
                               int32_t x, uint32_t *add)
{
    const rl_op *op = m->call->op;
    const rl_tensor *in = m->call->in0;
    uint32_t granules = in->c / (4u * m->words); /* of a pixel */
    uint32_t tap = in->c * m->width;
    int32_t from = x < (int32_t)r->low ? (int32_t)r->low : x;
    int32_t to = x + op->kw > (int32_t)r->high ? (int32_t)r->high
                                               : x + op->kw;
    uint32_t base = (r->low - (uint32_t)x) * tap;
    uint32_t first = ((uint32_t)from - r->low) * granules;
    uint32_t last = ((uint32_t)to - r->low) * granules;
    int32_t slot = (int32_t)r->slot - (r->built - y);
    writer s;
    int32_t end = y + op->kh;

    while (slot < 0) {
        slot += op->kh;
    }
    begin_script(m, &s);
    for (; y < end; y++, slot++, base += op->kw * tap) {
        if (slot >= op->kh) {
            slot -= op->kh;
        }
        if (y >= 0 && y < (int32_t)in->h) {
            const rl_m0_mark *marks = (const rl_m0_mark *)(const void *)
                (m->lists + (uint32_t)slot * r->bytes);

            if (!put_list(m, &s, marks + first, marks + last, base)) {
                return 0;
            }
        }
    }
    *add = 0u - 128u * s.total;
    return end_script(&s);
}

/* The pixel whose window begins at row y, column x. */
static RL_HOT void pixel(const kernel *m, const ring *r, int32_t y, int32_t x,
                         int8_t *to)
{
    span all = { 0, m->quads };
    uint32_t add = 0;

    if ((m->flags & RL_M0_SPARSE) && write_script(m, r, y, x, &add)) {
        run_sparse(m, all);
    } else {
        add = 0;
        gather(m, y, x);
        run_dense(m, all);
    }
    finish_pixel(m, add, to);
}

/* Columns of the input that outputs [first, last] of a row touch. */
static RL_HOT void set_columns(const kernel *m, ring *r, uint32_t first,
                               uint32_t last)
{
    const rl_op *op = m->call->op;
    int32_t low = (int32_t)(first * op->sw) - op->pad_left;
    int32_t high = (int32_t)(last * op->sw) - op->pad_left + op->kw;

    r->low = low < 0 ? 0u : (uint32_t)low;
    r->high = high > m->call->in0->w ? m->call->in0->w : (uint32_t)high;
}

static RL_HOT void conv_rows(const kernel *m)
{
    const rl_call *call = m->call;
    const rl_op *op = call->op;
    uint32_t width = call->out->w;
    uint32_t row = call->first / width;
    uint32_t column = call->first - row * width;
    int8_t *to = call->y + call->first * call->out->c;
    uint32_t left = call->count;
    ring r;

    r.built = 0;
    r.slot = 0;
    r.bytes = list_bytes((uint32_t)call->in0->w * call->in0->c, m->words);
    set_columns(m, &r, column + left > width ? 0 : column,
                column + left > width ? width - 1u : column + left - 1u);
    while (left) {
        int32_t y = (int32_t)(row * op->sh) - op->pad_top;
        int32_t end = y + op->kh;

        if (m->flags & RL_M0_SPARSE) {
            if (r.built < y) {
                r.built = y;
            }
            build_to(m, &r, end > call->in0->h ? call->in0->h : end);
        }
        for (; left && column < width; left--, column++) {
            pixel(m, &r, y, (int32_t)(column * op->sw) - op->pad_left, to);
            to += call->out->c;
        }
        column = 0;
        row++;
    }
}

static RL_HOT void conv_pixels(const kernel *m)
{
    const rl_call *call = m->call;
    const rl_op *op = call->op;
    uint32_t width = call->out->w, depth = call->in0->c;
    uint32_t row = call->first / width;
    uint32_t column = call->first - row * width;
    int8_t *to = call->y + call->first * call->out->c;
    uint32_t left = call->count;
    span all = { 0, m->quads };

    while (left) {
        const int8_t *x = call->a + row * op->sh * call->in0->w * depth
            + column * op->sw * depth;

        for (; left && column < width; left--, column++) {
            finish_pixel(m, sum_inputs(m, x, all), to);
            x += op->sw * depth;
            to += call->out->c;
        }
        column = 0;
        row++;
    }
}

RL_HOT void rl_m0_conv_tile(const rl_call *call)
{
    kernel m;

    prepare(&m, call);
    if (taps_of(call->op) == 1) {
        conv_pixels(&m);
    } else {
        conv_rows(&m);
    }
}
