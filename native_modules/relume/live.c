/* relume: what is live and what is dirty between two tiles. SPEC 3. */
#include "live.h"

#include "bytes.h"

uint32_t rl_live_work(const rl_blob *blob)
{
    const rl_header *h = blob->header;
    return 4u * ((uint32_t)h->n_ops + 3u * (uint32_t)h->n_tensors);
}

rl_live rl_live_in(const rl_blob *blob, uint32_t *work)
{
    uint32_t tensors = blob->header->n_tensors;
    rl_live live;
    live.blob = blob;
    live.done = work;
    live.clean = live.done + blob->header->n_ops;
    live.end = live.clean + tensors;
    live.lo = live.end + tensors;
    return live;
}

void rl_live_restart(rl_live *live)
{
    rl_bytes_fill(live->done, 0, rl_live_work(live->blob));
}

void rl_live_finish(rl_live *live, uint32_t from, uint32_t to)
{
    for (uint32_t t = from; t < to; t++) {
        rl_live_grow(live, &live->blob->tiles[t]);
    }
}

void rl_live_grow(rl_live *live, const rl_tile *tile)
{
    live->done[tile->op] += tile->count;
}

void rl_live_shrink(rl_live *live, const rl_tile *tile)
{
    live->done[tile->op] -= tile->count;
}

/* An unfinished op needs of an input what its next unit reads, and on. */
static void need(rl_live *live, const rl_op *op, int which, uint32_t done)
{
    uint32_t tensor = which == 0 ? op->in0 : op->in1;
    if (tensor == RL_NONE) {
        return;
    }
    uint32_t at = rl_engine_need(live->blob, op, which, done);
    if (at < live->lo[tensor]) {
        live->lo[tensor] = at;
    }
}

uint32_t rl_live_survey(rl_live *live)
{
    const rl_blob *blob = live->blob;
    const rl_header *h = blob->header;
    uint32_t total = 0;
    for (uint32_t t = 0; t < h->n_tensors; t++) {
        live->end[t] = 0;
        live->lo[t] = blob->tensors[t].size;
    }
    live->end[h->input] = blob->tensors[h->input].size;
    live->lo[h->output] = 0; /* the host reads it */
    for (uint32_t o = 0; o < h->n_ops; o++) {
        const rl_op *op = &blob->ops[o];
        live->end[op->out] = live->done[o] * op->unit_bytes;
        if (live->done[o] < op->units) {
            need(live, op, 0, live->done[o]);
            need(live, op, 1, live->done[o]);
        }
    }
    for (uint32_t t = 0; t < h->n_tensors; t++) {
        total += rl_live_bytes(live, t);
    }
    return total;
}

static uint32_t lower(const rl_live *live, const rl_op *op, int which,
                      uint32_t done, uint32_t lo)
{
    uint32_t at = rl_engine_need(live->blob, op, which, done);
    return at < lo ? at : lo;
}

void rl_live_span(const rl_live *live, uint32_t tensor, uint32_t *lo,
                  uint32_t *end)
{
    const rl_blob *blob = live->blob;
    const rl_header *h = blob->header;
    *lo = tensor == h->output ? 0 : blob->tensors[tensor].size;
    *end = tensor == h->input ? blob->tensors[tensor].size : 0;
    for (uint32_t o = 0; o < h->n_ops; o++) {
        const rl_op *op = &blob->ops[o];
        uint32_t done = live->done[o];
        if (op->out == tensor) {
            *end = done * op->unit_bytes;
        }
        if (done < op->units && op->in0 == tensor) {
            *lo = lower(live, op, 0, done, *lo);
        }
        if (done < op->units && op->in1 == tensor) {
            *lo = lower(live, op, 1, done, *lo);
        }
    }
}

uint32_t rl_live_bytes(const rl_live *live, uint32_t tensor)
{
    return live->end[tensor] > live->lo[tensor]
         ? live->end[tensor] - live->lo[tensor] : 0;
}

uint32_t rl_live_clean(const rl_live *live, uint32_t tensor)
{
    return live->clean[tensor] > live->lo[tensor]
         ? live->clean[tensor] - live->lo[tensor] : 0;
}

void rl_live_carried(rl_live *live)
{
    rl_bytes_copy(live->clean, live->end,
                  4u * (uint32_t)live->blob->header->n_tensors);
}
