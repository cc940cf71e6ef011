/* relume: what the scheduler is asked: open, begin, output, take, clear. Its
 * steps are in session_step.c. SPEC 3, 4. */
#include "session_parts.h"

#include "bytes.h"

uint32_t rl_session_work(const rl_blob *blob)
{
    return rl_live_work(blob);
}

/* ---------------------------------------------------------------- open -- */

/* Attempts before this one that were for the tiles. One that erased a sector
 * says nothing about them, and smaller parts would want more sectors; but it
 * counts in the end, so that an erase that never fits is no silent loop. */
static uint32_t failed_before(const rl_store *store)
{
    uint32_t spared = store->erasing < RL_SPARED ? store->erasing : RL_SPARED;
    spared += store->attempts > 0;
    return store->attempts > spared ? store->attempts - spared : 0;
}

/* How far the work up to the next commit is divided: each attempt that failed
 * halves it once more, first the segment, then its first tile. The tile
 * begins with the halvings by which the record was reached. Returns how many
 * attempts failed before this with nothing left to halve. */
static uint32_t divide(rl_session *s)
{
    const rl_record *record = &s->store->newest;
    uint32_t tiles = rl_session_segment(s, record->tile)->end_tile
                   - record->tile;
    uint32_t count = s->blob->tiles[record->tile].count;
    uint32_t grains = rl_session_part(count, rl_session_grain(count));
    uint32_t failed = failed_before(s->store), by_tiles = 0;
    s->halved = record->flags >> RL_HALVED_SHIFT;
    if (s->halved == 0) {
        by_tiles = rl_session_halvings(tiles, failed);
        s->part = failed == 0 ? 0 : rl_session_part(tiles, by_tiles);
    }
    failed -= by_tiles;
    uint32_t more = rl_session_halvings(rl_session_part(grains, s->halved),
                                        failed);
    s->halved += more;
    return failed - more;
}

/* Flash has no home area: nvm_size is the most that a commit carries. */
static rl_status fits(const rl_session *s)
{
    const rl_header *h = s->blob->header;
    int flash = s->store->nvm->kind == RL_NVM_FLASH;
    if ((h->nvm_kind == RL_NVM_FLASH) != flash) {
        return RL_E_NVM_KIND;
    }
    return rl_store_fits(s->store, h->nvm_size);
}

/* What the supply has done to this model: brown-outs behind the newest record
 * that were no part of the plan raise the drain (SPEC 4.6). To lose the power
 * in an erase, or what is left behind one, is: it has a charge of its own. */
static void know_supply(rl_session *s)
{
    const rl_record *record = &s->store->newest;
    int known = rl_pace_left(&s->pace, s->blob, s->ctx) != RL_PACE_UNKNOWN;
    int ours = s->state != RL_STATE_EMPTY
            && record->model == s->blob->header->meta_crc;
    uint32_t failures = s->store->attempts, spared = s->store->erasing;
    spared += (record->flags & RL_EXPECTED) | s->store->first_erasing;
    failures -= spared < failures ? spared : failures;
    s->pace.on = 0;
    s->pace.begun = 0;
    s->pace.vain = s->store->attempts != 0 && record->tile != 0;
    s->pace.rest_cycles = s->rest == NULL ? 0 : s->pace.rest_cycles;
    s->pace.drain = rl_pace_raised(ours ? record->drain : 0,
                                   known && ours ? failures : 0);
    rl_pace_carried(&s->pace, 0);
}

static rl_status resume(rl_session *s)
{
    const rl_record *record = &s->store->newest;
    if (record->tile >= s->blob->header->n_tiles
        || (record->part != 0 && record->flags >> RL_HALVED_SHIFT == 0)) {
        return RL_E_DAMAGED;
    }
    rl_status status = s->same_boot ? RL_OK : rl_store_attempt(s->store);
    if (status != RL_OK) {
        return status;
    }
    know_supply(s);
    if (divide(s) >= RL_STUCK_ATTEMPTS) {
        s->stuck = 1; /* no restore: even that may be too much for a charge */
        return RL_OK;
    }
    return rl_session_load(s);
}

rl_status rl_session_open(rl_session *s)
{
    const rl_record *record = &s->store->newest;
    rl_live l = rl_session_live(s);
    rl_live_restart(&l);
    rl_stage_forget(&s->stage);
    s->behind.tensor = 0;
    s->tile = 0;
    s->units = 0;
    s->part = 0;
    s->halved = 0;
    s->kept = 0;
    s->loaded = 0;
    s->stuck = 0;
    s->carry = 0;
    s->state = record->magic == 0 ? RL_STATE_EMPTY : record->state;
    know_supply(s);
    rl_status status = fits(s);
    if (status == RL_OK) {
        status = rl_quantiles_open(&s->quantiles, s->blob, s->store);
    }
    if (status != RL_OK) {
        return status;
    }
    int running = s->state == RL_STATE_RUNNING;
    int done = s->state == RL_STATE_DONE;
    if (s->state != RL_STATE_EMPTY
        && record->model != s->blob->header->meta_crc) {
        if (running || done) {
            return RL_E_MODEL;
        }
        s->state = RL_STATE_IDLE;
    }
    if (running) {
        return resume(s);
    }
    if (done) {
        return record->tile == s->blob->header->n_tiles
             ? rl_session_load(s) : RL_E_DAMAGED;
    }
    return RL_OK;
}

/* --------------------------------------------------------------- begin -- */

static void forget_times(rl_session *s)
{
    uint32_t n = s->times == NULL ? 0 : s->blob->header->n_ops;
    while (n-- > 0) {
        s->times[n] = 0;
    }
}

static rl_status commit_input(rl_session *s, uint32_t id,
                              const uint8_t *input)
{
    const rl_header *h = s->blob->header;
    const rl_tensor *tensor = &s->blob->tensors[h->input];
    rl_live l = rl_session_live(s);
    rl_live_restart(&l);
    rl_stage_forget(&s->stage);
    s->tile = 0;
    s->units = 0;
    rl_status status = rl_store_room(s->store, rl_live_survey(&l));
    if (status != RL_OK) {
        return status;
    }
    rl_bytes_copy(s->arena + tensor->arena_off, input, tensor->size);
    s->part = 0;
    s->halved = 0;
    s->kept = 0;
    s->carry = 0;
    s->since = rl_session_now(s);
    rl_pace_carried(&s->pace, tensor->size);
    rl_record record = rl_session_successor(s, RL_STATE_RUNNING);
    record.inference = id;
    record.cycles = 0;
    forget_times(s);
    record.commits = 0;
    record.nvm_bytes = 0;
    record.brownouts = 0;
    record.priority = s->rank.priority;
    record.due = s->rank.due;
    record.flags = s->rank.dated ? RL_DATED : 0;
    return rl_session_commit(s, &record);
}

rl_status rl_session_begin(rl_session *s, uint32_t id, const uint8_t *input,
                           uint32_t size)
{
    if (size != s->blob->tensors[s->blob->header->input].size) {
        return RL_E_SIZE;
    }
    if (s->state == RL_STATE_STUCK) {
        return RL_E_STUCK;
    }
    if (s->state == RL_STATE_RUNNING || s->state == RL_STATE_DONE) {
        if (!s->loaded && !s->stuck) {
            return RL_E_STATE; /* open failed */
        }
        if (s->store->newest.inference == id) {
            return RL_OK;
        }
        if (s->state == RL_STATE_RUNNING) {
            return RL_E_STATE;
        }
    }
    return commit_input(s, id, input);
}

/* -------------------------------------------------------------- output -- */

rl_status rl_session_output(rl_session *s, const uint8_t **data,
                            uint32_t *size)
{
    const rl_tensor *tensor = &s->blob->tensors[s->blob->header->output];
    if (s->state != RL_STATE_DONE || !s->loaded) {
        return RL_E_STATE;
    }
    *data = s->arena + tensor->arena_off;
    *size = tensor->size;
    return RL_OK;
}

rl_status rl_session_take(rl_session *s, uint32_t id)
{
    const rl_record *newest = &s->store->newest;
    int ours = newest->model == s->blob->header->meta_crc
            && newest->inference == id;
    if (!ours || (s->state != RL_STATE_DONE && s->state != RL_STATE_IDLE)) {
        return RL_E_STATE;
    }
    if (s->state == RL_STATE_IDLE) {
        return RL_OK;
    }
    rl_record record = rl_session_successor(s, RL_STATE_IDLE);
    record.tile = newest->tile;
    return rl_session_commit_empty(s, &record);
}

rl_status rl_session_clear(rl_session *s)
{
    if (s->state == RL_STATE_EMPTY || s->state == RL_STATE_IDLE) {
        return RL_OK;
    }
    rl_record record = rl_session_successor(s, RL_STATE_IDLE);
    record.tile = 0;
    record.part = 0;
    return rl_session_commit_empty(s, &record);
}
