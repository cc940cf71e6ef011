/* relume: the blob checker, part three: who writes what, and tiles and
 * segments in an order that works (SPEC 2.5, 2.6). */
#include "blob_check.h"
#include "engine.h"

#define OPS_A_PASS 64u /* ops whose tiles one pass over the tiles counts */
#define NO_OP 0xFFFFFFFFu

/* ------------------------------------------------------------------- graph */

/* The op that writes a tensor, NO_OP if none does. */
static uint32_t producer(const rl_blob_state *c, uint32_t tensor)
{
    uint32_t i;

    for (i = 0; i < c->blob.header->n_ops; i++) {
        if (c->blob.ops[i].out == tensor) {
            return i;
        }
    }
    return NO_OP;
}

static int is_given(const rl_blob_state *c, uint32_t tensor)
{
    return tensor == RL_NONE || tensor == c->blob.header->input
        || producer(c, tensor) != NO_OP;
}

static rl_status check_graph(rl_blob_state *c)
{
    const rl_header *h = c->blob.header;
    uint32_t i;

    for (i = 0; i < h->n_ops; i++) {
        const rl_op *op = &c->blob.ops[i];

        REFUSE_UNLESS(producer(c, op->out) == i, op->out, TWO_WRITERS);
        REFUSE_UNLESS(op->out != h->input, op->out, WRITES_INPUT);
        REFUSE_UNLESS(is_given(c, op->in0), op->in0, IN0_UNWRITTEN);
        REFUSE_UNLESS(is_given(c, op->in1), op->in1, IN1_UNWRITTEN);
    }
    REFUSE_UNLESS(producer(c, h->output) != NO_OP, h->output,
                  OUTPUT_UNWRITTEN);
    return RL_OK;
}

/* -------------------------------------------------------- tiles, segments */

static rl_status check_tile(rl_blob_state *c, const rl_tile *tile)
{
    REFUSE_UNLESS(tile->op < c->blob.header->n_ops, tile->op, TILE_OP);
    REFUSE_UNLESS(tile->reserved == 0, tile->reserved, TILE_RESERVED);
    REFUSE_UNLESS(tile->count >= 1
                  && (uint64_t)tile->first + tile->count
                     <= c->blob.ops[tile->op].units, tile->first, TILE_UNITS);
    return RL_OK;
}

/* Tiles of ops [from, from + OPS_A_PASS) follow each other without gap and
 * reach each op's end. */
static rl_status check_cover(rl_blob_state *c, uint32_t from)
{
    const rl_header *h = c->blob.header;
    uint32_t done[OPS_A_PASS] = { 0 };
    uint32_t i;

    for (i = 0; i < h->n_tiles; i++) {
        const rl_tile *tile = &c->blob.tiles[i];
        uint32_t slot = (uint32_t)tile->op - from;

        if (slot < OPS_A_PASS) {
            REFUSE_UNLESS(tile->first == done[slot], tile->first, TILE_ORDER);
            done[slot] += tile->count;
        }
    }
    for (i = 0; i < OPS_A_PASS && from + i < h->n_ops; i++) {
        const rl_op *op = &c->blob.ops[from + i];

        REFUSE_UNLESS(done[i] == op->units, op->units, TILE_COVER);
    }
    return RL_OK;
}

static int is_done(const rl_blob_state *c, const uint8_t *done, uint32_t tensor)
{
    uint32_t op;

    if (tensor == RL_NONE || tensor == c->blob.header->input) {
        return 1;
    }
    op = producer(c, tensor);
    return done[op >> 3] >> (op & 7u) & 1;
}

/* Before an op's first tile its inputs are whole. Tiles of an op are known
 * to be in order, so the one that ends at `units` is its last. */
static rl_status check_order(rl_blob_state *c)
{
    uint8_t done[RL_MAX_OPS / 8] = { 0 };
    uint32_t i;

    for (i = 0; i < c->blob.header->n_tiles; i++) {
        const rl_tile *tile = &c->blob.tiles[i];
        const rl_op *op = &c->blob.ops[tile->op];

        REFUSE_UNLESS(tile->first != 0
                      || (is_done(c, done, op->in0)
                          && is_done(c, done, op->in1)), tile->op,
                      TILE_INPUTS);
        if (tile->first + tile->count == op->units) {
            done[tile->op >> 3] |= (uint8_t)(1u << (tile->op & 7u));
        }
    }
    return RL_OK;
}

/* A kernel may read what its tile needs of an input in any order, and twice:
 * none of it lies where the tile writes. */
static int is_apart(const rl_blob_state *c, const rl_tile *tile, int which)
{
    const rl_op *op = &c->blob.ops[tile->op];
    const rl_tensor *out = &c->blob.tensors[op->out];
    const rl_tensor *in;
    uint32_t need, from, to;

    if (which && op->in1 == RL_NONE) {
        return 1;
    }
    in = &c->blob.tensors[which ? op->in1 : op->in0];
    need = rl_engine_need(&c->blob, op, which, tile->first);
    from = out->arena_off + tile->first * op->unit_bytes;
    to = from + tile->count * op->unit_bytes;
    return need >= in->size || to <= in->arena_off + need
        || from >= in->arena_off + in->size;
}

static rl_status check_apart(rl_blob_state *c)
{
    uint32_t i;

    for (i = 0; i < c->blob.header->n_tiles; i++) {
        const rl_tile *tile = &c->blob.tiles[i];

        REFUSE_UNLESS(is_apart(c, tile, 0), tile->first, OVER_IN0);
        REFUSE_UNLESS(is_apart(c, tile, 1), tile->first, OVER_IN1);
    }
    return RL_OK;
}

static rl_status check_tiles(rl_blob_state *c)
{
    const rl_header *h = c->blob.header;
    uint32_t i;

    for (i = 0; i < h->n_tiles; i++) {
        CHECK(check_tile(c, &c->blob.tiles[i]));
    }
    for (i = 0; i < h->n_ops; i += OPS_A_PASS) {
        CHECK(check_cover(c, i));
    }
    CHECK(check_order(c));
    return check_apart(c);
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
        REFUSE_UNLESS(segment->reserved == 0, segment->reserved,
                      SEGMENT_RESERVED);
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
