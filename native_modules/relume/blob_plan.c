/* relume: the blob checker, part three: who writes what, and tiles and
 * segments in an order that works (SPEC 2.5, 2.6). */
#include "blob_check.h"
#include "engine.h"

#define OPS_A_PASS 64u /* ops whose tiles one pass over the tiles counts */

/* ------------------------------------------------------------------- graph */

/* Who writes an input: the op that says so, or the host. */
static int is_from(const rl_blob_state *c, uint32_t from, uint32_t tensor)
{
    const rl_header *h = c->blob.header;

    if (tensor == RL_NONE || tensor == h->input) {
        return from == RL_NONE;
    }
    return from < h->n_ops && c->blob.ops[from].out == tensor;
}

/* The op that writes a tensor, n_ops if none does. */
static uint32_t producer(const rl_blob_state *c, uint32_t tensor)
{
    uint32_t i;

    for (i = 0; i < c->blob.header->n_ops; i++) {
        if (c->blob.ops[i].out == tensor) {
            break;
        }
    }
    return i;
}

static rl_status check_graph(rl_blob_state *c)
{
    const rl_header *h = c->blob.header;
    uint32_t i;

    for (i = 0; i < h->n_ops; i++) {
        const rl_op *op = &c->blob.ops[i];

        REFUSE_UNLESS(producer(c, op->out) == i, op->out, TWO_WRITERS);
        REFUSE_UNLESS(op->out != h->input, op->out, WRITES_INPUT);
        REFUSE_UNLESS(is_from(c, op->from0, op->in0), op->from0, FROM0);
        REFUSE_UNLESS(is_from(c, op->from1, op->in1), op->from1, FROM1);
    }
    REFUSE_UNLESS(producer(c, h->output) < h->n_ops, h->output,
                  OUTPUT_UNWRITTEN);
    return RL_OK;
}

/* -------------------------------------------------------- tiles, segments */

static rl_status check_tile(rl_blob_state *c, const rl_tile *tile)
{
    REFUSE_UNLESS(tile->op < c->blob.header->n_ops, tile->op, TILE_OP);
    REFUSE_UNLESS(tile->count >= 1
                  && (uint64_t)tile->first + tile->count
                     <= c->blob.ops[tile->op].units, tile->first, TILE_UNITS);
    return RL_OK;
}

/* What one pass over the tiles counts: units done of OPS_A_PASS ops. */
typedef struct {
    uint32_t from; /* the first of them */
    uint32_t done[OPS_A_PASS];
} pass;

/* Is what the tile reads of an input finished, if this pass counts its
 * writer? done is at most the writer's units: the product is a tensor's. */
static int is_ready(const rl_blob_state *c, const pass *p,
                    const rl_tile *tile, int which)
{
    const rl_op *op = &c->blob.ops[tile->op];
    uint32_t writer = which ? op->from1 : op->from0;
    uint32_t slot = writer - p->from;

    return writer == RL_NONE || slot >= OPS_A_PASS
        || rl_engine_reach(&c->blob, op, which, tile->first + tile->count - 1u)
           <= p->done[slot] * c->blob.ops[writer].unit_bytes;
}

/* Tiles of the pass's ops follow each other without gap and reach each op's
 * end; no tile reads what they have not finished. */
static rl_status check_pass(rl_blob_state *c, pass *p)
{
    const rl_header *h = c->blob.header;
    uint32_t i;

    for (i = 0; i < OPS_A_PASS; i++) {
        p->done[i] = 0;
    }
    for (i = 0; i < h->n_tiles; i++) {
        const rl_tile *tile = &c->blob.tiles[i];
        uint32_t slot = (uint32_t)tile->op - p->from;

        REFUSE_UNLESS(is_ready(c, p, tile, 0) && is_ready(c, p, tile, 1),
                      tile->op, TILE_INPUTS);
        if (slot < OPS_A_PASS) {
            REFUSE_UNLESS(tile->first == p->done[slot], tile->first,
                          TILE_ORDER);
            p->done[slot] += tile->count;
        }
    }
    for (i = 0; i < OPS_A_PASS && p->from + i < h->n_ops; i++) {
        const rl_op *op = &c->blob.ops[p->from + i];

        REFUSE_UNLESS(p->done[i] == op->units, op->units, TILE_COVER);
    }
    return RL_OK;
}

/* Bytes [from, to) of the arena. */
typedef struct {
    uint32_t from, to;
} span;

static int meet(span a, span b)
{
    uint32_t from = a.from > b.from ? a.from : b.from;

    return from < a.to && from < b.to;
}

/* What a tile may read of an input; nothing where it has none. */
static span reads(const rl_blob_state *c, const rl_tile *tile, int which)
{
    const rl_op *op = &c->blob.ops[tile->op];
    uint32_t tensor = which ? op->in1 : op->in0;
    span s = { 0, 0 };

    if (tensor != RL_NONE) {
        uint32_t at = c->blob.tensors[tensor].arena_off;

        s.from = at + rl_engine_need(&c->blob, op, which, tile->first);
        s.to = at + rl_engine_reach(&c->blob, op, which,
                                    tile->first + tile->count - 1u);
    }
    return s;
}

static span writes(const rl_blob_state *c, const rl_tile *tile)
{
    const rl_op *op = &c->blob.ops[tile->op];
    span s;

    s.from = c->blob.tensors[op->out].arena_off
           + tile->first * op->unit_bytes;
    s.to = s.from + tile->count * op->unit_bytes;
    return s;
}

/* Constants that are copied to SRAM stay there from tile to tile of the op,
 * which follows offsets in them that were proven in the blob. */
static span staged(const rl_op *op)
{
    span s;

    s.from = op->stage_off;
    s.to = op->stage_off + op->stage_size;
    return s;
}

/* A kernel may read its inputs and constants in any order, and twice: nothing
 * that it reads lies where it writes, or in its scratch memory. */
static rl_status check_apart(rl_blob_state *c, const rl_tile *tile)
{
    const rl_op *op = &c->blob.ops[tile->op];
    uint32_t size = rl_engine_scratch(&c->blob, op);
    span out = writes(c, tile), stage = staged(op), scratch;
    int which;

    REFUSE_UNLESS(size > 0 || tile->scratch == 0, tile->scratch, NO_SCRATCH);
    scratch.from = RL_GRAIN * tile->scratch;
    scratch.to = scratch.from + size;
    REFUSE_UNLESS(scratch.to <= memory_of(c), tile->scratch, SCRATCH_ARENA);
    REFUSE_UNLESS(!meet(out, scratch), tile->scratch, OVER_SCRATCH);
    REFUSE_UNLESS(!meet(stage, scratch), op->stage_off, STAGE_SCRATCH);
    REFUSE_UNLESS(!meet(stage, out), op->stage_off, STAGE_TENSOR);
    for (which = 0; which < 2; which++) {
        span in = reads(c, tile, which);

        REFUSE_UNLESS(!meet(in, out), tile->first, OVER_INPUT);
        REFUSE_UNLESS(!meet(in, scratch), tile->scratch, SCRATCH_INPUT);
        REFUSE_UNLESS(!meet(in, stage), op->stage_off, STAGE_TENSOR);
    }
    return RL_OK;
}

static rl_status check_tiles(rl_blob_state *c)
{
    const rl_header *h = c->blob.header;
    uint32_t i;
    pass p;

    for (i = 0; i < h->n_tiles; i++) {
        CHECK(check_tile(c, &c->blob.tiles[i]));
        CHECK(check_apart(c, &c->blob.tiles[i]));
    }
    for (p.from = 0; p.from < h->n_ops; p.from += OPS_A_PASS) {
        CHECK(check_pass(c, &p));
    }
    return RL_OK;
}

static rl_status check_segments(rl_blob_state *c)
{
    const rl_header *h = c->blob.header;
    uint32_t end = 0;
    uint32_t i;

    for (i = 0; i < h->n_segments; i++) {
        const rl_segment *segment = &c->blob.segments[i];

        REFUSE_UNLESS(segment->end_tile > end
                      && segment->end_tile <= h->n_tiles, segment->end_tile,
                      SEGMENT_ORDER);
        REFUSE_UNLESS(segment->flags <= RL_OBLIGATORY, segment->flags,
                      SEGMENT_FLAGS);
        end = segment->end_tile;
    }
    REFUSE_UNLESS(end == h->n_tiles, h->n_segments, SEGMENT_COVER);
    return RL_OK;
}

rl_status rl_blob_check_plan(rl_blob_state *c)
{
    CHECK(check_graph(c));
    CHECK(check_tiles(c));
    return check_segments(c);
}
