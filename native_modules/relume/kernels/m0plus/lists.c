/* relume: portable twins of the Cortex-M0+ assembly (see m0plus.h). */
#include "m0plus.h"

/* One output by TFLite's own arithmetic. */
RL_HOT int8_t rl_m0_exact(const rl_m0_finish *f, uint32_t d, uint32_t entry)
{
    const uint32_t *e = f->exact + 3u * entry;
    int32_t acc = (int32_t)(d + e[2]);

    acc = rl_requant_scale(acc, (int32_t)e[0], (int32_t)e[1]);
    return rl_requant_clamp(rl_requant_add(acc, f->zero_point), f->low,
                            f->high);
}

#if !RL_M0_ASM

/* ------------------------------------------------------------------- lists */

void rl_m0_list(const rl_m0_source *source)
{
    const int8_t *x = source->x;
    rl_m0_mark *mark = source->marks;
    rl_m0_entry *to = source->to;
    uint32_t offset = 0, sum = 0, i;

    for (i = 0; i < 4u * source->words; i++, offset += source->row) {
        uint32_t u = (uint32_t)(x[i] + 128);

        if ((i & 3u) == 0) {
            mark->at = rl_m0_refer(source->scratch, to);
            mark->sum = sum;
            mark++;
        }
        if (u) {
            to->u = u;
            to->offset = offset;
            to++;
            sum += u;
        }
    }
    mark->at = rl_m0_refer(source->scratch, to);
    mark->sum = sum;
}

/* ----------------------------------------------------------------- scripts */

/* A script under construction. */
typedef struct {
    rl_m0_step *next;
    uint32_t    left;  /* of the limit */
    uint32_t    flags; /* of the next step */
} writer;

/* Steps for entries [at, end). Returns 0 if there is no room. */
static int put_run(const rl_m0_window *w, writer *s, rl_m0_ref at,
                   rl_m0_ref end, uint32_t base)
{
    while (at != end) {
        uint32_t n = (end - at) / (uint32_t)sizeof(rl_m0_entry);

        if (s->next == w->end) {
            return 0;
        }
        if (n > RL_M0_RUN) {
            n = RL_M0_RUN;
        }
        s->next->at = at;
        s->next->n = n | s->flags;
        s->next->base = base;
        s->next++;
        s->flags = 0;
        at += n * (uint32_t)sizeof(rl_m0_entry);
    }
    return 1;
}

static void put_flush(const rl_m0_window *w, writer *s)
{
    s->flags = RL_M0_FLUSH;
    s->left = w->limit;
}

/* A word whose own sum is above the limit: each entry by itself. */
static int put_entries(const rl_m0_window *w, writer *s, rl_m0_ref at,
                       rl_m0_ref end, uint32_t base)
{
    for (; at != end; at += (uint32_t)sizeof(rl_m0_entry)) {
        put_flush(w, s);
        if (!put_run(w, s, at, at + (uint32_t)sizeof(rl_m0_entry), base)) {
            return 0;
        }
    }
    put_flush(w, s);
    return 1;
}

static int put_line(const rl_m0_window *w, writer *s, const rl_m0_mark *mark,
                    const rl_m0_mark *end, uint32_t base)
{
    rl_m0_ref from = mark->at;

    for (; mark != end; mark++) {
        uint32_t sum = mark[1].sum - mark->sum;

        if (sum > s->left) {
            if (!put_run(w, s, from, mark->at, base)) {
                return 0;
            }
            put_flush(w, s);
            from = mark->at;
            if (sum > s->left) {
                if (!put_entries(w, s, from, mark[1].at, base)) {
                    return 0;
                }
                from = mark[1].at;
                continue;
            }
        }
        s->left -= sum;
    }
    return put_run(w, s, from, end->at, base);
}

static const rl_m0_mark *mark_at(const rl_m0_window *w, uint32_t line,
                                 uint32_t bytes)
{
    return (const rl_m0_mark *)(rl_m0_origin(w->scratch)
                                + w->lines[line].marks + bytes);
}

uint32_t rl_m0_script(const rl_m0_window *w)
{
    uint32_t bytes = 0, sum = 0, i;
    writer s = { w->steps, w->limit, 0 };

    for (i = 0; i < w->n; i++) {
        bytes += mark_at(w, i, w->last)->at - mark_at(w, i, w->first)->at;
        sum += mark_at(w, i, w->last)->sum - mark_at(w, i, w->first)->sum;
    }
    bytes = bytes / 8u * w->entry_cost;
    if (bytes > w->most || (sum >> 8) * w->step_cost > w->most - bytes) {
        return RL_M0_NONE;
    }
    for (i = 0; i < w->n; i++) {
        if (!put_line(w, &s, mark_at(w, i, w->first), mark_at(w, i, w->last),
                      w->lines[i].base + w->base)) {
            return RL_M0_NONE;
        }
    }
    s.next->n = RL_M0_END;
    s.next++;
    return (uint32_t)(s.next - w->steps) * w->step_cost > w->most - bytes
        ? RL_M0_NONE : sum;
}

/* ------------------------------------------------------------------ sparse */

/* Four bytes of weights, as one word. */
static uint32_t quad_at(const uint8_t *w)
{
    return (uint32_t)w[0] | (uint32_t)w[1] << 8 | (uint32_t)w[2] << 16
        | (uint32_t)w[3] << 24;
}

/* Lanes of one quad: all = sum u W, odd = sum u (W >> 8 & 0x00ff00ff). */
typedef struct {
    uint32_t all, odd;
} lanes;

static void flush(lanes *l, const uint32_t *from, uint32_t *to)
{
    uint32_t even = l->all - (l->odd << 8);

    to[0] = from[0] + even;
    to[1] = from[1] + (even >> 16);
    to[2] = from[2] + l->odd;
    to[3] = from[3] + (l->odd >> 16);
    l->all = 0;
    l->odd = 0;
}

/* One quad of channels, its weights from w on. */
static void run_quad(const rl_m0_job *job, const uint8_t *w,
                     const uint32_t *start, uint32_t *acc)
{
    const rl_m0_step *step = (const rl_m0_step *)job->inputs;
    const uint32_t *from = start;
    lanes l = { 0, 0 };
    uint32_t n;

    for (;; step++) {
        const rl_m0_entry *e = (const rl_m0_entry *)
            (rl_m0_origin(job->scratch) + step->at);

        if (step->n & RL_M0_FLUSH) {
            flush(&l, from, acc);
            from = acc;
        }
        if (step->n >= RL_M0_END) {
            return;
        }
        for (n = step->n & 0xFFu; n; n--, e++) {
            uint32_t word = quad_at(w + (int32_t)(step->base + e->offset));

            l.all += e->u * word;
            l.odd += e->u * (word >> 8 & 0x00FF00FFu);
        }
    }
}

static void sparse(const rl_m0_job *job, uint32_t width)
{
    uint32_t block, lane;

    for (block = 0; block < job->blocks; block++) {
        for (lane = 0; lane < width; lane += 4) {
            run_quad(job, job->w + block * job->step + lane,
                     job->start + block * width + lane,
                     job->acc + block * width + lane);
        }
    }
}

void rl_m0_sparse12(const rl_m0_job *job)
{
    sparse(job, 12);
}

void rl_m0_sparse8(const rl_m0_job *job)
{
    sparse(job, 8);
}

void rl_m0_sparse4(const rl_m0_job *job)
{
    sparse(job, 4);
}

/* ------------------------------------------------------------------- dense */

void rl_m0_pairs(const int8_t *x, rl_m0_pair *to, uint32_t n,
                 uint32_t offset)
{
    for (; n; n--, x += 2, to++) {
        to->a = x[0];
        to->b = x[1];
        to->z = 0x8000u - (uint32_t)(to->a + to->b) * offset * 0x10001u;
    }
}

void rl_m0_pairs_of(const rl_m0_patch *patch)
{
    int8_t two[4] = { 0, 0, 0, 0 };
    rl_m0_pair *to = patch->to;
    uint32_t n = 0, row, i;

    for (row = 0; row < patch->rows; row++) {
        for (i = 0; i < patch->bytes; i++) {
            two[n++ & 1u] = patch->x[row * patch->stride + i];
            if ((n & 1u) == 0) {
                rl_m0_pairs(two, to++, 1, patch->offset);
            }
        }
    }
    if (n & 1u) {
        two[1] = 0;
        rl_m0_pairs(two, to, 1, patch->offset);
    }
}

/* Two products a lane, from -32512 to 32512 if no weight is -128 (the packer
 * proves what else there is); 0x8000 in the low lane keeps it positive. */
static void dense_quad(const rl_m0_job *job, const uint8_t *w,
                       const uint32_t *start, uint32_t *acc)
{
    const rl_m0_pair *pair = (const rl_m0_pair *)job->inputs;
    uint32_t s0 = start[0], s1 = start[1], s2 = start[2], s3 = start[3];
    uint32_t left;

    for (left = job->pairs; left; left--, pair++) {
        uint32_t a = quad_at(w), b = quad_at(w + job->row);
        uint32_t even = (a & 0x00FF00FFu) * (uint32_t)pair->a
            + (b & 0x00FF00FFu) * (uint32_t)pair->b + pair->z;
        uint32_t odd = (a >> 8 & 0x00FF00FFu) * (uint32_t)pair->a
            + (b >> 8 & 0x00FF00FFu) * (uint32_t)pair->b + pair->z;

        s0 += even;
        s1 += (uint32_t)((int32_t)even >> 16);
        s2 += odd;
        s3 += (uint32_t)((int32_t)odd >> 16);
        w += 2 * job->row;
    }
    acc[0] = s0;
    acc[1] = s1;
    acc[2] = s2;
    acc[3] = s3;
}

void rl_m0_dense(const rl_m0_job *job)
{
    const uint8_t *w = job->w;
    uint32_t lane = 0, quad;

    for (quad = 0; quad < job->blocks; quad++) {
        dense_quad(job, w, job->start + 4u * quad, job->acc + 4u * quad);
        w += 4;
        lane += 4;
        if (lane == job->row) {
            lane = 0;
            w += job->step - job->row;
        }
    }
}

/* ------------------------------------------------------------------ finish */

static int8_t finish_one(const rl_m0_finish *f, const uint32_t *t,
                         uint32_t d, uint32_t c)
{
    if (d >> 31) {
        return (int8_t)f->low;
    }
    if (d < t[3]) {
        return (int8_t)(uint8_t)((d * t[0] + (d * t[1] >> 14) + c) >> 24);
    }
    return t[3] ? (int8_t)f->high : rl_m0_exact(f, d, t[0]);
}

static void finish(const rl_m0_finish *f, uint32_t words)
{
    static const uint8_t place[4] = { 0, 2, 1, 3 };
    const uint32_t *t = f->table;
    uint32_t i;

    for (i = 0; i < 4u * f->quads; i++, t += words) {
        uint32_t sum = i & 1u ? f->acc[i] : f->acc[i] - (f->acc[i + 1] << 16);
        uint32_t d = sum + f->add;
        uint32_t c = words == 6 && d >= t[4] ? t[5] : t[2];

        f->y[(i & ~3u) + place[i & 3u]] = finish_one(f, t, d, c);
    }
}

void rl_m0_finish_plain(const rl_m0_finish *f)
{
    finish(f, 4);
}

void rl_m0_finish_corner(const rl_m0_finish *f)
{
    finish(f, 6);
}

#endif
