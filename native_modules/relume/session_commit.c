/* relume: the scheduler's commits and restores. SPEC 3, 4.
 *
 * Invariants. S2: a commit's record follows all its data. S3: `loaded` is set
 * only while the arena holds every live byte at `units` of `tile`. */
#include "session_parts.h"

/* A tensor's first live byte, in the arena and in the home area. */
static uint8_t *in_arena(const rl_session *s, const rl_live *l, uint32_t t)
{
    return s->arena + s->blob->tensors[t].arena_off + l->lo[t];
}

static uint32_t in_home(const rl_session *s, const rl_live *l, uint32_t t)
{
    return s->blob->tensors[t].nvm_off + l->lo[t];
}

/* Carries the live bytes; clean marks say what is at home already. */
static rl_status carry(rl_session *s, const rl_live *l, rl_record *record)
{
    for (uint32_t t = 0; t < s->blob->header->n_tensors; t++) {
        uint32_t n = rl_live_bytes(l, t);
        if (n == 0) {
            continue;
        }
        const uint8_t *data = in_arena(s, l, t);
        record->live_crc = rl_store_crc(s->store, record->live_crc, data, n);
        rl_status status = rl_store_put(s->store, in_home(s, l, t), data, n,
                                        rl_live_clean(l, t));
        if (status != RL_OK) {
            return status;
        }
    }
    return RL_OK;
}

/* The tile's finished units, in grains. */
static uint16_t part_of(const rl_session *s)
{
    if (s->units == 0) {
        return 0; /* behind the last tile there is none */
    }
    uint32_t count = s->blob->tiles[s->tile].count;
    return (uint16_t)(s->units >> rl_session_grain(count));
}

rl_record rl_session_successor(const rl_session *s, uint8_t state)
{
    rl_record record = s->store->newest;
    record.model = s->blob->header->meta_crc;
    record.tile = (uint16_t)s->tile;
    record.part = part_of(s);
    record.state = state;
    record.flags = (uint8_t)((record.flags & RL_DATED)
                             | s->halved << RL_HALVED_SHIFT);
    record.drain = (uint16_t)s->pace.drain;
    record.live_crc = 0;
    record.live_bytes = 0;
    record.brownouts = rl_store_brownouts(s->store);
    return record;
}

/* What the record says about the supply (SPEC 4.6). Without a reading a
 * brown-out is never a surprise. */
static void note_supply(rl_session *s, rl_record *record)
{
    uint32_t left = rl_pace_left(&s->pace, s->blob, s->ctx);
    record->drain = (uint16_t)rl_pace_settled(&s->pace, left);
    if (record->state == RL_STATE_RUNNING) {
        s->pace.on = left != RL_PACE_UNKNOWN;
        if (!s->pace.on || !rl_session_fits(s)) {
            record->flags |= RL_EXPECTED;
        }
    }
}

static rl_status write_all(rl_session *s, rl_live *l, rl_record *record)
{
    rl_status status = rl_behind_finish(&s->behind, l, s->store);
    record->live_bytes = rl_live_survey(l);
    if (status == RL_OK) {
        status = rl_store_begin(s->store, record->live_bytes);
    }
    return status == RL_OK ? carry(s, l, record) : status;
}

rl_status rl_session_commit(rl_session *s, rl_record *record)
{
    rl_live l = rl_session_live(s);
    note_supply(s, record);
    s->loaded = 0;
    rl_status status = write_all(s, &l, record);
    if (status != RL_OK) {
        return status;
    }
    uint64_t at = rl_session_now(s);
    record->cycles += s->carry + (at - s->since);
    record->commits++;
    record->nvm_bytes += rl_store_cost(s->store);
    status = rl_store_end(s->store, record);
    if (status != RL_OK) {
        return status;
    }
    s->carry = rl_session_now(s) - at;
    s->state = record->state;
    s->loaded = 1;
    s->pace.drain = record->drain;
    rl_live_carried(&l);
    rl_pace_carried(&s->pace, record->live_bytes);
    return RL_OK;
}

rl_status rl_session_commit_empty(rl_session *s, rl_record *record)
{
    rl_status status = rl_store_room(s->store, 0);
    if (status == RL_OK) {
        status = rl_store_begin(s->store, 0);
    }
    if (status == RL_OK) {
        status = rl_store_end(s->store, record);
    }
    if (status == RL_OK) {
        s->state = record->state;
        s->loaded = 0;
    }
    return status;
}

/* Progress becomes the record's: the tile, and units of it (SPEC 4.1). */
static rl_status take_up(rl_session *s, rl_live *l, const rl_record *record)
{
    rl_live_finish(l, 0, record->tile);
    s->tile = record->tile;
    s->units = 0;
    if (record->part != 0) {
        rl_tile done = s->blob->tiles[s->tile];
        s->units = (uint32_t)record->part << rl_session_grain(done.count);
        if (s->units >= done.count) {
            return RL_E_DAMAGED;
        }
        done.count = s->units;
        rl_live_grow(l, &done);
    }
    return rl_live_survey(l) == record->live_bytes ? RL_OK : RL_E_DAMAGED;
}

rl_status rl_session_load(rl_session *s)
{
    const rl_record *record = &s->store->newest;
    rl_live l = rl_session_live(s);
    uint32_t crc = 0, order = 0;
    rl_status status = take_up(s, &l, record);
    if (status != RL_OK) {
        return status;
    }
    for (uint32_t t = 0; t < s->blob->header->n_tensors; t++) {
        uint32_t n = rl_live_bytes(&l, t);
        if (n == 0) {
            continue;
        }
        uint8_t *data = in_arena(s, &l, t);
        status = rl_store_get(s->store, in_home(s, &l, t), order, data, n);
        if (status != RL_OK) {
            return status;
        }
        crc = rl_store_crc(s->store, crc, data, n);
        order += n;
    }
    if (crc != record->live_crc) {
        return RL_E_DAMAGED;
    }
    rl_live_carried(&l);
    rl_pace_carried(&s->pace, record->live_bytes);
    s->loaded = 1;
    return RL_OK;
}
