/* relume: the scheduler's steps: how far to run, when to commit. SPEC 3, 4.
 *
 * Invariants. S4: a step computes only after the store has room for the
 * commit that ends it. S5: constants in SRAM are forgotten before anything
 * but a tile writes to the arena. S7: no write is under way when a step
 * returns. */
#include "session_parts.h"

const rl_segment *rl_session_segment(const rl_session *s, uint32_t tile)
{
    const rl_segment *segments = s->blob->segments;
    uint32_t low = 0, high = s->blob->header->n_segments - 1u;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2u;
        if (segments[middle].end_tile > tile) {
            high = middle;
        } else {
            low = middle + 1u;
        }
    }
    return &segments[low];
}

/* What runs next: the tile, or what is left of it, or a part of that. */
static rl_tile next(const rl_session *s)
{
    rl_tile tile = s->blob->tiles[s->tile];
    uint32_t grain = rl_session_grain(tile.count);
    uint32_t part = rl_session_part(tile.count, grain + s->halved) << grain;
    tile.first += s->units;
    tile.count -= s->units;
    tile.count = part < tile.count ? part : tile.count;
    return tile;
}

/* ----------------------------------------------------------------- room -- */

/* The most that a commit of this step carries: where the voltage decides it
 * may come behind any tile. */
static uint32_t most_live(rl_session *s, uint32_t end)
{
    rl_live l = rl_session_live(s);
    rl_tile part = next(s);
    if (s->pace.on) {
        return s->blob->header->nvm_size;
    }
    rl_live_grow(&l, &part);
    rl_live_finish(&l, s->tile + 1u, end);
    uint32_t bytes = rl_live_survey(&l);
    for (uint32_t t = s->tile + 1u; t < end; t++) {
        rl_live_shrink(&l, &s->blob->tiles[t]);
    }
    rl_live_shrink(&l, &part);
    return bytes;
}

/* S4. Cheap where the store always has room. */
static rl_status make_room(rl_session *s, uint32_t end)
{
    if (s->store->nvm->kind != RL_NVM_FLASH) {
        return RL_OK;
    }
    return rl_store_room(s->store, most_live(s, end));
}

/* ---------------------------------------------------------------- tiles -- */

/* The tile begins with a copy of its op's constants. */
static int copies(const rl_session *s)
{
    uint32_t op = s->blob->tiles[s->tile].op;
    return s->blob->ops[op].stage_size != 0 && s->stage.op != op + 1u;
}

int rl_session_fits(rl_session *s)
{
    rl_live l = rl_session_live(s);
    rl_tile tile = next(s);
    s->pace.share = rl_quantiles_share(&s->quantiles, s->blob, s->tile);
    return rl_pace_fits(&s->pace, &l, &tile, copies(s), s->ctx);
}

/* Where one life gets two parts through, two of them at once fit a charge. */
static void grow(rl_session *s)
{
    if (s->halved > 1u && ++s->kept == 2u) {
        s->halved--;
        s->kept = 0;
    }
}

/* Progress. The next segment's tiles are whole again. */
static void advance(rl_session *s, const rl_tile *ran)
{
    rl_live l = rl_session_live(s);
    rl_live_grow(&l, ran);
    s->units += ran->count;
    grow(s);
    if (s->units < s->blob->tiles[s->tile].count) {
        return;
    }
    s->units = 0;
    s->tile++;
    if (s->halved > 0
        && rl_session_segment(s, s->tile - 1u)->end_tile == s->tile) {
        s->halved = 0;
        s->part = 0;
    }
}

/* What the tile took, where a voltage is read. */
static void measure(rl_session *s, const rl_tile *tile, uint64_t took,
                    uint32_t copied)
{
    if (s->times) {
        s->times[tile->op] += (uint32_t)took;
    }
    if (s->cycles != NULL && s->pace.millivolts != NULL) {
        rl_quantiles_ran(&s->quantiles, s->blob, s->tile,
                         took > copied ? took - copied : 0,
                         rl_pace_kernel(s->blob, tile));
    }
}

static void run_tile(rl_session *s)
{
    rl_tile tile = next(s);
    uint32_t copied = rl_pace_copy(s->blob, &tile, copies(s));
    uint64_t from = rl_session_now(s);
    rl_pace_ran(&s->pace, s->blob, &tile, copies(s));
    rl_stage_tile(&s->stage, s->blob, s->arena, &tile);
    measure(s, &tile, rl_session_now(s) - from, copied);
    advance(s, &tile);
}

/* Behind a whole tile that is not the step's last. */
static rl_status look_behind(rl_session *s)
{
    rl_live l = rl_session_live(s);
    rl_status status = rl_behind_look(&s->behind, &l, s->store, s->arena,
                                      s->blob->tiles[s->tile - 1u].op);
    s->loaded = status == RL_OK;
    return status;
}

static int is_clean(const rl_session *s)
{
    return s->tile == s->store->newest.tile;
}

/* ---------------------------------------------------------------- steps -- */

/* A part of a tile is committed at once. */
static uint32_t next_end(rl_session *s)
{
    if (s->halved > 0) {
        return s->tile + 1u;
    }
    uint32_t end = rl_session_segment(s, s->tile)->end_tile;
    if (s->part == 0 || s->part >= end - s->tile) {
        s->part = 0; /* the next segment is whole again */
        return end;
    }
    return s->tile + s->part;
}

static rl_status keep_quantiles(rl_session *s)
{
    uint64_t from = rl_session_now(s);
    rl_status status = rl_quantiles_keep(&s->quantiles, s->blob, s->store);
    s->carry += rl_session_now(s) - from;
    return status;
}

static rl_status keep(rl_session *s)
{
    int last = s->tile == s->blob->header->n_tiles;
    rl_record record = rl_session_successor(
        s, last ? RL_STATE_DONE : RL_STATE_RUNNING);
    rl_status status = rl_session_commit(s, &record);
    if (status == RL_OK) {
        status = keep_quantiles(s);
    }
    if (status != RL_OK) {
        return status;
    }
    return last ? RL_DONE : RL_MORE;
}

/* A segment's end is passed without a commit. S7. */
static rl_status pass(rl_session *s)
{
    rl_live l = rl_session_live(s);
    rl_status status = rl_behind_finish(&s->behind, &l, s->store);
    s->loaded = status == RL_OK;
    s->carry += rl_session_now(s) - s->since;
    return status == RL_OK ? RL_RAN : status;
}

/* Milliseconds to sleep, 0: none. A restore's charge is spent as planned;
 * behind a commit of this charge there is progress, and nothing can be lost:
 * there the board sleeps when the next tile does not fit, and then while that
 * brings more than a new charge (a wake-up as soon as the tile fits would soon
 * pay for the next commit again). */
static uint32_t rest_ms(rl_session *s, int fits)
{
    if (!s->rest || !s->pace.on) {
        return 0;
    }
    if (s->store->attempts != 0) {
        rl_pace_begin(&s->pace, s->blob, s->ctx);
        return 0;
    }
    return rl_pace_rest(&s->pace, s->blob, fits, s->ctx);
}

/* Nothing would be kept of the next tile, and sleep does not pay: what is
 * left is not computed away, but waited out. For twice as long as it lasts:
 * a reading that lies costs time, not progress. */
static void wait_out(rl_session *s)
{
    uint64_t from = rl_session_now(s), at = from, before = from;
    uint64_t most = 2u * (uint64_t)rl_pace_stored(&s->pace, s->blob, s->ctx);
    do {
        if (s->pace.hope || rl_session_fits(s)) {
            return;
        }
        before = at;
        at = rl_session_now(s);
    } while (at != before && at - from < most);
}

/* Behind a commit or a restore. RL_OK: run. */
static rl_status set_out(rl_session *s, uint32_t end)
{
    uint32_t left = rl_pace_left(&s->pace, s->blob, s->ctx);
    s->pace.on = left != RL_PACE_UNKNOWN;
    rl_status status = make_room(s, end);
    int fits = rl_session_fits(s);
    uint32_t ms = status == RL_OK ? rest_ms(s, fits) : 0;
    if (ms == 0) {
        if (!fits && s->pace.rest_ms != 0) {
            wait_out(s);
        }
        return status;
    }
    s->rest(s->ctx, ms);
    return RL_RESTED;
}

/* To `end`, or to a commit before it. */
static rl_status run_to(rl_session *s, uint32_t end, int passes)
{
    do {
        if (!is_clean(s)) {
            if (!rl_session_fits(s)) {
                return keep(s);
            }
            rl_status status = look_behind(s);
            if (status != RL_OK) {
                return status;
            }
        }
        run_tile(s);
    } while (s->tile < end && s->units == 0);
    passes = passes && rl_session_fits(s) && s->pace.on;
    return passes ? pass(s) : keep(s);
}

/* From the second attempt at a record on the segment or its tile is divided,
 * and no end is passed. */
static rl_status run(rl_session *s)
{
    uint32_t part = s->part, end = next_end(s);
    const rl_segment *segment = rl_session_segment(s, s->tile);
    int passes = part == 0 && s->halved == 0 && !s->yields
              && end != s->blob->header->n_tiles
              && (segment->flags & RL_OBLIGATORY) == 0;
    s->since = rl_session_now(s);
    if (is_clean(s)) {
        rl_status status = set_out(s, end);
        if (status != RL_OK) {
            s->part = part;
            return status;
        }
    }
    return run_to(s, end, passes);
}

static rl_status give_up(rl_session *s)
{
    rl_record record = rl_session_successor(s, RL_STATE_STUCK);
    record.tile = s->store->newest.tile;
    record.part = s->store->newest.part;
    rl_status status = rl_session_commit_empty(s, &record);
    return status == RL_OK ? RL_E_STUCK : status;
}

rl_status rl_session_step(rl_session *s)
{
    switch (s->state) {
    case RL_STATE_DONE:
        return s->loaded ? RL_DONE : RL_E_STATE;
    case RL_STATE_STUCK:
        return RL_E_STUCK;
    case RL_STATE_RUNNING:
        break;
    default:
        return RL_E_STATE;
    }
    if (s->loaded) {
        return run(s);
    }
    return s->stuck ? give_up(s) : RL_E_STATE;
}
