/* relume: the scheduler. What is live and dirty: SPEC 3; commits: SPEC 4.
 *
 * Invariants. S2: a commit's record follows all its data. S3: `loaded` is set
 * only while the arena holds every live byte of `tile`. S4: a step computes
 * only after the store has room for the commit that ends it. S5: constants
 * in SRAM are forgotten before anything but a tile writes to the arena. */
#include "session.h"

#include "bytes.h"
#include "crc32.h"
#include "live.h"

uint32_t rl_session_work(const rl_blob *blob)
{
    return rl_live_work(blob);
}

static rl_live live_of(const rl_session *s)
{
    return rl_live_in(s->blob, s->work);
}

/* -------------------------------------------------------------- cycles -- */

static uint64_t now(const rl_session *s)
{
    return s->cycles == NULL ? 0 : s->cycles(s->cycles_ctx);
}

/* -------------------------------------------------------------- commit -- */

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
        record->live_crc = rl_crc32(record->live_crc, data, n);
        rl_status status = rl_store_put(s->store, in_home(s, l, t), data, n,
                                        rl_live_clean(l, t));
        if (status != RL_OK) {
            return status;
        }
    }
    return RL_OK;
}

/* What the next record says about the running inference. */
static rl_record successor(const rl_session *s, uint8_t state)
{
    rl_record record = s->store->newest;
    record.model = s->blob->header->meta_crc;
    record.tile = s->tile;
    record.state = state;
    record.live_crc = 0;
    record.live_bytes = 0;
    record.brownouts += s->store->attempts;
    return record;
}

/* Data first, record last (S2). After a failure the arena may be whole, but
 * what the NVM holds is unknown: the session must be opened again. */
static rl_status commit(rl_session *s, rl_record *record)
{
    rl_live l = live_of(s);
    record->live_bytes = rl_live_survey(&l);
    s->loaded = 0;
    rl_status status = rl_store_begin(s->store, record->live_bytes);
    if (status == RL_OK) {
        status = carry(s, &l, record);
    }
    if (status != RL_OK) {
        return status;
    }
    uint64_t at = now(s);
    record->cycles += s->carry + (at - s->since);
    record->commits++;
    record->nvm_bytes += rl_store_cost(s->store);
    status = rl_store_end(s->store, record);
    if (status != RL_OK) {
        return status;
    }
    s->carry = now(s) - at;
    s->state = record->state;
    s->loaded = 1;
    rl_live_carried(&l);
    return RL_OK;
}

/* A record without data: nothing is kept. */
static rl_status commit_empty(rl_session *s, rl_record *record)
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

/* ------------------------------------------------------------ segments -- */

/* End of the segment that holds the tile. */
static uint32_t segment_end(const rl_session *s, uint32_t tile)
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
    return segments[low].end_tile;
}

/* Tiles between commits on the n-th attempt at `tiles` tiles. A plan has at
 * most 2^16 tiles, so one tile is reached by attempt 17, and is_stuck() ends
 * the attempts RL_STUCK_ATTEMPTS later: the shift stays below 32. */
static uint32_t part_of(uint32_t tiles, uint32_t attempts)
{
    uint32_t halvings = attempts > 1 ? attempts - 1u : 0;
    return ((tiles - 1u) >> halvings) + 1u;
}

/* Have enough attempts with a commit after every tile failed before this? */
static int is_stuck(const rl_session *s)
{
    uint32_t tile = s->store->newest.tile, alone = 0;
    uint32_t tiles = segment_end(s, tile) - tile;
    while (part_of(tiles, alone) > 1) {
        alone++;
    }
    return s->store->attempts >= alone + RL_STUCK_ATTEMPTS;
}

/* ---------------------------------------------------------------- open -- */

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

/* Reads the live bytes back and holds them against the record. */
static rl_status load(rl_session *s)
{
    const rl_record *record = &s->store->newest;
    rl_live l = live_of(s);
    uint32_t crc = 0, order = 0;
    rl_live_finish(&l, 0, record->tile);
    if (rl_live_survey(&l) != record->live_bytes) {
        return RL_E_DAMAGED;
    }
    for (uint32_t t = 0; t < s->blob->header->n_tensors; t++) {
        uint32_t n = rl_live_bytes(&l, t);
        if (n == 0) {
            continue;
        }
        uint8_t *data = in_arena(s, &l, t);
        rl_status status = rl_store_get(s->store, in_home(s, &l, t), order,
                                        data, n);
        if (status != RL_OK) {
            return status;
        }
        crc = rl_crc32(crc, data, n);
        order += n;
    }
    if (crc != record->live_crc) {
        return RL_E_DAMAGED;
    }
    rl_live_carried(&l);
    s->tile = record->tile;
    s->loaded = 1;
    return RL_OK;
}

static rl_status resume(rl_session *s)
{
    const rl_record *record = &s->store->newest;
    if (record->tile >= s->blob->header->n_tiles) {
        return RL_E_DAMAGED;
    }
    rl_status status = s->same_boot ? RL_OK : rl_store_attempt(s->store);
    if (status != RL_OK) {
        return status;
    }
    if (is_stuck(s)) {
        s->stuck = 1; /* no restore: even that may be too much for a charge */
        return RL_OK;
    }
    s->part = part_of(segment_end(s, record->tile) - record->tile,
                      s->store->attempts);
    return load(s);
}

rl_status rl_session_open(rl_session *s)
{
    const rl_record *record = &s->store->newest;
    rl_live l = live_of(s);
    rl_live_restart(&l);
    rl_stage_forget(&s->stage);
    s->tile = 0;
    s->part = 0;
    s->loaded = 0;
    s->stuck = 0;
    s->carry = 0;
    s->state = record->magic == 0 ? RL_STATE_EMPTY : record->state;
    rl_status status = fits(s);
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
        return record->tile == s->blob->header->n_tiles ? load(s)
                                                        : RL_E_DAMAGED;
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
    rl_live l = live_of(s);
    rl_live_restart(&l);
    rl_stage_forget(&s->stage);
    s->tile = 0;
    rl_status status = rl_store_room(s->store, rl_live_survey(&l));
    if (status != RL_OK) {
        return status;
    }
    rl_bytes_copy(s->arena + tensor->arena_off, input, tensor->size);
    s->part = 0;
    s->carry = 0;
    s->since = now(s);
    rl_record record = successor(s, RL_STATE_RUNNING);
    record.inference = id;
    record.cycles = 0;
    forget_times(s);
    record.commits = 0;
    record.nvm_bytes = 0;
    record.brownouts = 0;
    return commit(s, &record);
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

/* ---------------------------------------------------------------- step -- */

static uint32_t next_commit(rl_session *s)
{
    uint32_t end = segment_end(s, s->tile);
    if (s->part == 0 || s->part >= end - s->tile) {
        s->part = 0; /* the next segment is whole again */
        return end;
    }
    return s->tile + s->part;
}

/* S4. Cheap where the store always has room. */
static rl_status make_room(rl_session *s, uint32_t end)
{
    if (s->store->nvm->kind != RL_NVM_FLASH) {
        return RL_OK;
    }
    rl_live l = live_of(s);
    rl_live_finish(&l, s->tile, end);
    uint32_t bytes = rl_live_survey(&l);
    rl_live_unfinish(&l, s->tile, end);
    return rl_store_room(s->store, bytes);
}

static rl_status give_up(rl_session *s)
{
    rl_record record = successor(s, RL_STATE_STUCK);
    record.tile = s->store->newest.tile;
    rl_status status = commit_empty(s, &record);
    return status == RL_OK ? RL_E_STUCK : status;
}

static void run_tile(rl_session *s)
{
    uint64_t from = s->times == NULL ? 0 : now(s);
    rl_stage_tile(&s->stage, s->blob, s->arena, s->tile);
    if (s->times != NULL) {
        s->times[s->blob->tiles[s->tile].op] += (uint32_t)(now(s) - from);
    }
}

static rl_status run(rl_session *s)
{
    uint32_t part = s->part, end = next_commit(s);
    s->since = now(s);
    rl_status status = make_room(s, end);
    if (status != RL_OK) {
        s->part = part;
        return status;
    }
    rl_live l = live_of(s);
    rl_live_finish(&l, s->tile, end);
    for (; s->tile < end; s->tile++) {
        run_tile(s);
    }
    int last = end == s->blob->header->n_tiles;
    rl_record record = successor(s, last ? RL_STATE_DONE : RL_STATE_RUNNING);
    status = commit(s, &record);
    if (status != RL_OK) {
        return status;
    }
    return last ? RL_DONE : RL_MORE;
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
    rl_record record = successor(s, RL_STATE_IDLE);
    record.tile = newest->tile;
    return commit_empty(s, &record);
}

rl_status rl_session_clear(rl_session *s)
{
    if (s->state == RL_STATE_EMPTY || s->state == RL_STATE_IDLE) {
        return RL_OK;
    }
    rl_record record = successor(s, RL_STATE_IDLE);
    record.tile = 0;
    return commit_empty(s, &record);
}
