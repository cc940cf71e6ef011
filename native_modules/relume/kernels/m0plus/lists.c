/* relume: portable twins of the Cortex-M0+ assembly (see m0plus.h). */
#include "m0plus.h"

/* One output by TFLite's own arithmetic. */
RL_HOT int8_t rl_m0_exact(const rl_m0_finish *f, uint32_t d, uint32_t entry)
{
    const uint32_t *e = f->exact + 3u * entry;
    int32_t acc = (int32_t)(d + e[2]);

    acc = rl_requant_scale(acc, (int32_t)e[0], (int32_t)e[1]);
    return rl_requant_clamp(rl_requant_add(acc, f->zero_point),
                            (int8_t)(uint8_t)f->low, f->high);
}

#if !RL_M0_ASM

/* ------------------------------------------------------------------ inputs */

static void put_mark(const rl_m0_source *source, rl_m0_mark *mark,
                     const rl_m0_entry *to, uint32_t sum)
{
    mark->at = rl_m0_refer(source->scratch, to);
    mark->sum = sum;
}

void rl_m0_list(const rl_m0_source *source)
{
    rl_m0_mark *mark = source->marks;
    rl_m0_entry *to = source->to;
    uint32_t left = 0, sum = 0, i;

    for (i = 0; i < source->bytes; i++, left--) {
        uint32_t u = (uint32_t)(source->x[i] + 128);

        if (left == 0) {
            put_mark(source, mark++, to, sum);
            left = source->depth;
        }
        if (u) {
            to->u = u;
            to->offset = i * RL_M0_WIDTH;
            to++;
            sum += u;
        }
    }
    put_mark(source, mark, to, sum);
}

uint32_t rl_m0_spread(const rl_m0_patch *patch)
{
    uint32_t *to = patch->to;
    uint32_t sum = 0, row, i;

    for (row = 0; row < patch->rows; row++) {
        for (i = 0; i < patch->bytes; i++) {
            int32_t x = patch->x[row * patch->stride + i];

            *to++ = (uint32_t)x;
            sum += (uint32_t)x;
        }
    }
    return sum;
}

/* -------------------------------------------------------------------- sums */

/* An input and four weights, bytes of a word. */
static void add_input(rl_m0_sums *s, uint32_t x, const uint8_t *w)
{
    uint32_t low = (uint32_t)w[0] | (uint32_t)w[1] << 8;
    uint32_t upper = (uint32_t)w[2] | (uint32_t)w[3] << 8;
    uint32_t turned = (uint32_t)w[1] | (uint32_t)w[0] << 8
        | (uint32_t)w[3] << 16 | (uint32_t)w[2] << 24;

    s->all += x * (low | upper << 16);
    s->turned += x * turned;
    s->upper += x * upper;
}

/* A quad of channels; its weights from w on. */
static rl_m0_sums sparse_quad(const rl_m0_job *job, const uint8_t *w,
                              rl_m0_sums s)
{
    const rl_m0_run *run = (const rl_m0_run *)job->inputs;

    for (; run->n != RL_M0_END; run++) {
        const rl_m0_entry *e = (const rl_m0_entry *)
            (rl_m0_origin(job->scratch) + run->at);
        uint32_t n;

        for (n = run->n; n; n--, e++) {
            add_input(&s, e->u, w + (int32_t)(run->base + e->offset));
        }
    }
    return s;
}

static rl_m0_sums dense_quad(const rl_m0_job *job, const uint8_t *w,
                             rl_m0_sums s)
{
    const uint32_t *x = (const uint32_t *)job->inputs;
    uint32_t left;

    for (left = 2u * job->pairs; left; left--, w += RL_M0_WIDTH) {
        add_input(&s, *x++, w);
    }
    return s;
}

void rl_m0_sparse(const rl_m0_job *job)
{
    uint32_t block;

    for (block = 0; block < job->blocks; block++) {
        const uint8_t *w = job->w + block * job->step;
        uint32_t i = 2u * block;

        job->sums[i] = sparse_quad(job, w, job->start[i]);
        job->sums[i + 1] = sparse_quad(job, w + 4, job->start[i + 1]);
    }
}

/* Of sums below 2^16, `all` and `turned` hold everything. */
static rl_m0_sums narrow_quad(const rl_m0_job *job, const uint8_t *w,
                              const rl_m0_sums *start)
{
    rl_m0_sums s = sparse_quad(job, w, (rl_m0_sums){ 0, 0, 0 });
    uint32_t even = s.all - (s.turned << 8);
    uint32_t odd = s.turned - (s.all << 8);

    s.upper = (even + (even << 16)) >> 16;
    s.upper += (odd + (odd << 16)) >> 16 << 8;
    s.all += start->all;
    s.turned += start->turned;
    s.upper += start->upper;
    return s;
}

void rl_m0_narrow(const rl_m0_job *job)
{
    uint32_t block;

    for (block = 0; block < job->blocks; block++) {
        const uint8_t *w = job->w + block * job->step;
        uint32_t i = 2u * block;

        job->sums[i] = narrow_quad(job, w, &job->start[i]);
        job->sums[i + 1] = narrow_quad(job, w + 4, &job->start[i + 1]);
    }
}

void rl_m0_dense(const rl_m0_job *job)
{
    uint32_t block;

    for (block = 0; block < job->blocks; block++) {
        const uint8_t *w = job->w + block * job->step;
        uint32_t i = 2u * block;

        job->sums[i] = dense_quad(job, w, job->start[i]);
        job->sums[i + 1] = dense_quad(job, w + 4, job->start[i + 1]);
    }
}

/* ------------------------------------------------------------------ finish */

/* Of first + 2^8 second modulo 2^32 and the low half of second, both. */
static void split(uint32_t both, uint32_t half, uint32_t *first,
                  uint32_t *second)
{
    uint32_t rest = both - (half << 8);

    *first = (uint32_t)((int32_t)(rest << 8) >> 8);
    *second = half + (uint32_t)((int32_t)(rest - *first) >> 8);
}

static void take_apart(const rl_m0_finish *f, const rl_m0_sums *s,
                       uint32_t d[4])
{
    uint32_t upper = s->upper + f->add_upper;
    uint32_t lower = s->all + f->add - (upper << 16);
    uint32_t seconds = s->turned + f->add - (lower << 8) - (upper << 24);

    split(lower, seconds & 0xFFFFu, &d[0], &d[1]);
    split(upper, (((seconds - d[1]) >> 16) + d[1]) & 0xFFFFu, &d[2], &d[3]);
}

static int8_t finish_one(const rl_m0_finish *f, const uint32_t *t,
                         uint32_t d, uint32_t c)
{
    if (d >> 31) {
        return (int8_t)(uint8_t)f->low;
    }
    if (d < t[3]) {
        return (int8_t)(uint8_t)((d * t[0] + (d * t[1] >> 14) + c) >> 24);
    }
    return t[3] ? (int8_t)f->high : rl_m0_exact(f, d, t[0]);
}

static void finish(const rl_m0_finish *f, uint32_t words)
{
    const uint32_t *t = f->table;
    int8_t *y = f->y;
    uint32_t quad, i, d[4];

    for (quad = 0; quad < f->quads; quad++) {
        take_apart(f, f->sums + quad, d);
        for (i = 0; i < 4; i++, t += words) {
            uint32_t c = words == 6 && d[i] >= t[4] ? t[5] : t[2];

            *y++ = finish_one(f, t, d[i], c);
        }
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
