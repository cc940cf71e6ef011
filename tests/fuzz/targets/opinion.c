/* relume tests: a second opinion on a blob that the checker has accepted. */
#include "opinion.h"

#include <stdlib.h>

#include "engine.h"
#include "target.h"

typedef struct {
    uint64_t from, to;
} bytes;

static int inside(bytes b, uint64_t from, uint64_t to)
{
    return b.from >= from && b.from <= b.to && b.to <= to;
}

static int apart(bytes a, bytes b)
{
    return a.from >= a.to || b.from >= b.to || a.to <= b.from
        || b.to <= a.from;
}

static bytes run_of(uint64_t from, uint64_t n)
{
    return (bytes) { from, from + n };
}

/* ------------------------------------------------------------ sections -- */

static void sections(const rl_header *h, uint64_t n)
{
    const bytes all[] = {
        run_of(h->off_tensors, (uint64_t)h->n_tensors * sizeof(rl_tensor)),
        run_of(h->off_ops, (uint64_t)h->n_ops * sizeof(rl_op)),
        run_of(h->off_tiles, (uint64_t)h->n_tiles * sizeof(rl_tile)),
        run_of(h->off_segments, (uint64_t)h->n_segments * sizeof(rl_segment)),
        run_of(h->off_strings, h->strings_size),
    };
    uint64_t end = sizeof *h;
    PROMISE(h->total_size <= n && h->meta_size <= h->total_size,
            "a blob is longer than its bytes");
    for (uint32_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        PROMISE(inside(all[i], end, h->meta_size), "a section lies outside");
        end = all[i].to;
    }
}

static void tensors(const rl_blob *b)
{
    for (uint32_t i = 0; i < b->header->n_tensors; i++) {
        const rl_tensor *t = &b->tensors[i];
        PROMISE((uint64_t)t->h * t->w * t->c == t->size && t->size > 0,
                "a tensor's size is not its shape's");
        PROMISE(inside(run_of(t->arena_off, t->size), 0,
                       b->header->arena_size), "a tensor leaves the arena");
        PROMISE(inside(run_of(t->nvm_off, t->size), 0, b->header->nvm_size),
                "a tensor leaves the home area");
        PROMISE(t->name < b->header->strings_size, "a name without end");
    }
}

/* ----------------------------------------------------------------- ops -- */

static void constants(const rl_blob *b, uint32_t offset, uint64_t size)
{
    PROMISE(inside(run_of(offset, size), b->header->meta_size,
                   b->header->total_size), "constants lie outside");
}

/* Arrays of portable kernels; the others' sizes are their kernels' business,
 * and a sanitizer's. */
static void arrays(const rl_blob *b, const rl_op *op)
{
    uint64_t channels = b->tensors[op->out].c;
    if (op->kernel != 0) {
        return;
    }
    if (op->kind <= RL_FULLY_CONNECTED || op->kind == RL_MAP
        || (op->kind == RL_GATHER && op->w_size != 0)
        || ((op->kind == RL_ADD || op->kind == RL_MUL)
            && op->in1 == RL_NONE)) {
        constants(b, op->off_w, op->w_size);
    }
    if (op->kind <= RL_FULLY_CONNECTED) {
        constants(b, op->off_mult, 4u * channels);
        constants(b, op->off_shift, channels);
        if (op->off_bias != 0) {
            constants(b, op->off_bias, 4u * channels);
        }
    }
}

/* Each axis of an operand is the output's, or 1. */
static int repeats(const rl_tensor *out, uint32_t h, uint32_t w, uint32_t c)
{
    return (h == out->h || h == 1) && (w == out->w || w == 1)
        && (c == out->c || c == 1);
}

static void operands(const rl_blob *b, const rl_op *op)
{
    const rl_tensor *out = &b->tensors[op->out], *in = &b->tensors[op->in0];
    if (op->kind == RL_CONCATENATION) {
        PROMISE((uint64_t)in->size + b->tensors[op->in1].size == out->size
                && op->p[0] > 0 && op->p[1] > 0,
                "a concatenation is not as large as its parts");
    }
    if (op->kernel != 0 || (op->kind != RL_ADD && op->kind != RL_MUL)) {
        return;
    }
    PROMISE(repeats(out, in->h, in->w, in->c), "an operand does not fit");
    if (op->in1 == RL_NONE) {
        PROMISE(repeats(out, op->kh, op->kw, op->sh)
                && op->w_size == (uint64_t)op->kh * op->kw * op->sh,
                "a constant operand does not fit");
    } else {
        in = &b->tensors[op->in1];
        PROMISE(repeats(out, in->h, in->w, in->c), "an operand does not fit");
    }
}

/* Cortex-M4 kernels read up to 3 bytes behind a tensor. */
static void tail(const rl_blob *b, const rl_op *op)
{
    const rl_tensor *in = &b->tensors[op->in0];
    if (op->kernel != 0 && b->header->core == 2) {
        PROMISE(inside(run_of(in->arena_off, in->size + 3ull), 0,
                       (uint64_t)b->header->arena_size
                       + b->header->scratch_size), "no room to read words");
    }
}

/* No dense window lies wholly outside the input. */
static void windows(const rl_blob *b, const rl_op *op)
{
    const rl_tensor *out = &b->tensors[op->out], *in = &b->tensors[op->in0];
    int pool = op->kind == RL_AVERAGE_POOL_2D || op->kind == RL_MAX_POOL_2D;
    uint64_t dil_h = pool ? 1u : op->dil_h, dil_w = pool ? 1u : op->dil_w;
    if (!pool && op->kind != RL_CONV_2D && op->kind != RL_DEPTHWISE_CONV_2D) {
        return;
    }
    PROMISE(op->kh > 0 && op->kw > 0 && op->sh > 0 && op->sw > 0
            && op->pad_top <= (op->kh - 1u) * dil_h
            && op->pad_left <= (op->kw - 1u) * dil_w
            && (out->h - 1ull) * op->sh < (uint64_t)in->h + op->pad_top
            && (out->w - 1ull) * op->sw < (uint64_t)in->w + op->pad_left,
            "a window lies outside the input");
}

static void ops(const rl_blob *b)
{
    const rl_header *h = b->header;
    for (uint32_t i = 0; i < h->n_ops; i++) {
        const rl_op *op = &b->ops[i];
        PROMISE(op->in0 < h->n_tensors && op->out < h->n_tensors
                && (op->in1 < h->n_tensors || op->in1 == RL_NONE),
                "an op's tensor is none");
        PROMISE(op->out != op->in0 && op->out != op->in1,
                "an op writes its own input");
        PROMISE((uint64_t)op->units * op->unit_bytes
                == b->tensors[op->out].size, "units are not the output");
        PROMISE(inside(run_of(op->stage_off, op->stage_size), 0,
                       (uint64_t)h->arena_size + h->scratch_size),
                "a copy of constants leaves the memory");
        arrays(b, op);
        operands(b, op);
        windows(b, op);
        tail(b, op);
        for (uint32_t j = 0; j < i; j++) {
            PROMISE(b->ops[j].out != op->out, "two ops write a tensor");
        }
    }
}

/* ---------------------------------------------------------------- plan -- */

/* done: units of each op that the tiles before have finished. */
static void reads(const rl_blob *b, const rl_tile *tile, const uint32_t *done,
                  bytes out, bytes scratch)
{
    const rl_op *op = &b->ops[tile->op];
    for (int which = 0; which < 2; which++) {
        uint32_t tensor = which ? op->in1 : op->in0;
        uint32_t from = which ? op->from1 : op->from0;
        if (tensor == RL_NONE) {
            continue;
        }
        uint64_t at = b->tensors[tensor].arena_off;
        uint32_t reach = rl_engine_reach(b, op, which,
                                         tile->first + tile->count - 1u);
        bytes in = { at + rl_engine_need(b, op, which, tile->first),
                     at + reach };
        PROMISE(reach <= b->tensors[tensor].size, "a tile reads too far");
        PROMISE(apart(in, out) && apart(in, scratch),
                "a tile writes over what it reads");
        if (tensor != b->header->input) {
            PROMISE(from < b->header->n_ops && b->ops[from].out == tensor
                    && (uint64_t)done[from] * b->ops[from].unit_bytes
                       >= reach, "a tile reads what is not finished");
        }
    }
}

static void tiles(const rl_blob *b)
{
    const rl_header *h = b->header;
    uint64_t memory = (uint64_t)h->arena_size + h->scratch_size;
    uint32_t *done = calloc(h->n_ops, sizeof *done);
    PROMISE(done != NULL, "no memory");
    for (uint32_t i = 0; i < h->n_tiles; i++) {
        const rl_tile *tile = &b->tiles[i];
        PROMISE(tile->op < h->n_ops, "a tile's op is none");
        const rl_op *op = &b->ops[tile->op];
        bytes out = run_of(b->tensors[op->out].arena_off
                           + (uint64_t)tile->first * op->unit_bytes,
                           (uint64_t)tile->count * op->unit_bytes);
        bytes scratch = run_of((uint64_t)RL_GRAIN * tile->scratch,
                               rl_engine_scratch(b, op));
        bytes stage = run_of(op->stage_off, op->stage_size);
        PROMISE(tile->first == done[tile->op] && tile->count > 0,
                "tiles do not follow one another");
        PROMISE(scratch.from >= scratch.to || scratch.to <= memory,
                "scratch memory lies outside");
        PROMISE(apart(out, scratch) && apart(stage, scratch)
                && apart(stage, out), "a tile's memory is used twice");
        reads(b, tile, done, out, scratch);
        done[tile->op] += tile->count;
    }
    for (uint32_t i = 0; i < h->n_ops; i++) {
        PROMISE(done[i] == b->ops[i].units, "tiles do not cover an op");
    }
    free(done);
}

static void segments(const rl_blob *b)
{
    uint32_t end = 0;
    for (uint32_t i = 0; i < b->header->n_segments; i++) {
        PROMISE(b->segments[i].end_tile > end, "a segment without tiles");
        end = b->segments[i].end_tile;
    }
    PROMISE(end == b->header->n_tiles, "segments do not cover the tiles");
}

/* ---------------------------------------------------------------- life -- */

static uint32_t least(const rl_blob *b, const rl_op *op, int which,
                      uint32_t done, uint32_t lo)
{
    uint32_t at = rl_engine_need(b, op, which, done);
    return at < lo ? at : lo;
}

/* Bytes of a tensor that are finished, and are read or taken later. */
static bytes needed(const rl_blob *b, const uint32_t *done, uint32_t tensor)
{
    const rl_tensor *t = &b->tensors[tensor];
    uint32_t lo = tensor == b->header->output ? 0 : t->size;
    uint32_t end = tensor == b->header->input ? t->size : 0;
    for (uint32_t i = 0; i < b->header->n_ops; i++) {
        const rl_op *op = &b->ops[i];
        if (op->out == tensor) {
            end = done[i] * op->unit_bytes;
        }
        if (done[i] < op->units && op->in0 == tensor) {
            lo = least(b, op, 0, done[i], lo);
        }
        if (done[i] < op->units && op->in1 == tensor) {
            lo = least(b, op, 1, done[i], lo);
        }
    }
    return (bytes) { (uint64_t)t->arena_off + lo, (uint64_t)t->arena_off + end };
}

/* What the tile writes, and the copy of constants before it, leaves alone
 * what is needed. */
static int spares(const rl_blob *b, const rl_tile *tile, const uint32_t *done)
{
    const rl_op *op = &b->ops[tile->op];
    bytes out = run_of(b->tensors[op->out].arena_off
                       + (uint64_t)tile->first * op->unit_bytes,
                       (uint64_t)tile->count * op->unit_bytes);
    bytes scratch = run_of((uint64_t)RL_GRAIN * tile->scratch,
                           rl_engine_scratch(b, op));
    bytes stage = run_of(op->stage_off, op->stage_size);
    for (uint32_t t = 0; t < b->header->n_tensors; t++) {
        bytes live = needed(b, done, t);
        if (!apart(live, scratch) || !apart(live, stage)
            || (t != op->out && !apart(live, out))) {
            return 0;
        }
    }
    return 1;
}

int opinion_keeps(const rl_blob *b)
{
    uint32_t *done = calloc(b->header->n_ops, sizeof *done);
    int kept = 1;
    PROMISE(done != NULL, "no memory");
    for (uint32_t i = 0; kept && i < b->header->n_tiles; i++) {
        const rl_tile *tile = &b->tiles[i];
        kept = spares(b, tile, done);
        done[tile->op] += tile->count;
        kept = kept && spares(b, tile, done);
    }
    free(done);
    return kept;
}

void opinion_prove(const rl_blob *blob, size_t n)
{
    sections(blob->header, n);
    tensors(blob);
    ops(blob);
    tiles(blob);
    segments(blob);
}
