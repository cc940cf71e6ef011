/* relume: the models before the interpreter: which there are, whose inference
 * comes first, memory for their sessions. */
#include "early.h"

#include "blob.h"
#include "bytes.h"

#define ALIGNMENT 8u

static uint32_t aligned(uint32_t n)
{
    return (n + ALIGNMENT - 1u) & ~(ALIGNMENT - 1u);
}

/* What the models themselves take of the memory, at its start. */
static uint32_t models_room(const rl_early_models *models)
{
    return aligned(models->n * (uint32_t)sizeof(rl_early_model));
}

/* ---------------------------------------------------------------- find -- */

static rl_status check(rl_early_model *m)
{
    rl_blob_fault fault;
    if (m->checked) {
        return RL_OK;
    }
    rl_status status = rl_blob_check(m->image, m->slot.size, 0, &m->blob,
                                     &fault);
    m->checked = status == RL_OK;
    return status;
}

/* Checks a copy of the active model's metadata at the memory's end, which
 * stays: a port may read faster at once than word by word. Where that does
 * not go, nothing is kept. The copy is at least what its own header says. */
static void check_copy(rl_nvm *blobs, const uint8_t *image, uint8_t *end,
                       uint32_t room, rl_early_models *models)
{
    rl_early_model *m = &models->model[models->active];
    const void *there = m->image;
    uint32_t n = ((const rl_header *)there)->meta_size;
    if (n % ALIGNMENT != 0 || n < sizeof(rl_header) || n > m->slot.size
        || n > room) {
        return;
    }
    void *copy = end - n;
    rl_blob_fault fault;
    m->blob.header = copy;
    if (blobs->read(blobs, (uint32_t)(m->image - image), copy, n) == RL_OK
        && m->blob.header->meta_size == n
        && rl_blob_check_with(m->image, m->slot.size, 0, &m->blob, &fault)
           == RL_OK) {
        m->checked = 1;
        models->kept = n;
    }
}

/* Apart: its tables leave the stack before a blob is checked. */
__attribute__((noinline))
static rl_status list(rl_nvm *blobs, const uint8_t *image, uint32_t room,
                      rl_early_models *models)
{
    rl_slots slots = { .nvm = blobs, .image = image };
    rl_slots_table table;
    rl_slots_list(&slots, &table);
    models->n = table.n;
    models->active = table.active;
    models->kept = 0;
    if (table.n == 0 || room < models_room(models)) {
        return RL_E_STATE;
    }
    for (uint32_t i = 0; i < table.n; i++) {
        rl_early_model *m = &models->model[i];
        rl_bytes_fill(m, 0, sizeof *m);
        m->slot = table.slot[i];
        m->image = image + table.at[i] + RL_SLOT_DATA;
    }
    return RL_OK;
}

rl_status rl_early_find(rl_nvm *blobs, const uint8_t *image, uint8_t *memory,
                        uint32_t room, rl_early_models *models)
{
    models->model = (rl_early_model *)(void *)memory;
    rl_status status = list(blobs, image, room, models);
    if (status != RL_OK) {
        return status;
    }
    room &= ~(ALIGNMENT - 1u);
    check_copy(blobs, image, memory + room, room - models_room(models),
               models);
    return check(&models->model[models->active]);
}

/* --------------------------------------------------------------- mount -- */

static rl_status mount(const rl_early_board *board, rl_early_model *m)
{
    const void *blob = m->image;
    rl_nvm *nvm;
    rl_status status = board->nvm(
        board->ctx, ((const rl_header *)blob)->nvm_kind, &nvm);
    if (status == RL_OK) {
        status = rl_store_open(&m->store, nvm, m->slot.store_at,
                               m->slot.store_size);
    }
    m->store.crc = board->crc;
    m->mounted = status == RL_OK;
    return status;
}

rl_status rl_early_mount(rl_early_state *e)
{
    rl_status status = RL_E_NVM;
    for (uint32_t i = 0; i < e->models->n; i++) {
        if (mount(e->board, &e->models->model[i]) == RL_OK) {
            status = RL_OK;
        }
    }
    e->used = models_room(e->models);
    return status;
}

uint8_t rl_early_stands(const rl_early_model *m)
{
    if (m->open) {
        return m->session.state;
    }
    return m->mounted && m->store.newest.magic != 0 ? m->store.newest.state
                                                    : RL_STATE_EMPTY;
}

rl_early_model *rl_early_first(const rl_early_state *e)
{
    rl_early_model *first = NULL;
    for (uint32_t i = 0; i < e->models->n; i++) {
        rl_early_model *m = &e->models->model[i];
        if (rl_early_stands(m) == RL_STATE_RUNNING
            && m->store.newest.model == m->slot.meta_crc
            && (first == NULL || rl_record_first(&m->store.newest,
                                                 &first->store.newest))) {
            first = m;
        }
    }
    return first;
}

/* ---------------------------------------------------------------- open -- */

/* The checker bounds arena and scratch below 2^24, and the work memory. */
static uint32_t needs(const rl_early_model *m)
{
    const rl_header *h = m->blob.header;
    return aligned(rl_session_work(&m->blob))
         + h->arena_size + h->scratch_size;
}

int rl_early_committed(const rl_early_model *m)
{
    return !m->open || m->session.state != RL_STATE_RUNNING
        || m->session.tile == m->store.newest.tile;
}

/* What is in the NVM stays. An inference that runs gives its memory to one
 * that comes first, behind a commit (choose, early.c), not to a request. */
static rl_status close_all(rl_early_state *e, const rl_early_model *m)
{
    int runs = rl_early_stands(m) == RL_STATE_RUNNING;
    for (uint32_t i = 0; i < e->models->n; i++) {
        const rl_early_model *other = &e->models->model[i];
        if (!runs && other->open
            && other->session.state == RL_STATE_RUNNING) {
            return RL_E_FULL;
        }
    }
    for (uint32_t i = 0; i < e->models->n; i++) {
        e->models->model[i].open = 0;
    }
    e->gathers = NULL;
    e->used = models_room(e->models);
    return RL_OK;
}

/* `used` is never above the room: all sizes are multiples of ALIGNMENT. */
static int is_short(const rl_early_state *e, uint32_t need)
{
    return need > e->board->room - e->models->kept - e->used;
}

/* The metadata's copy goes: from now on the active model's is read where it
 * lies. No session is open. */
static rl_status give_back(rl_early_models *models)
{
    rl_early_model *active = &models->model[models->active];
    if (models->kept != 0) {
        models->kept = 0;
        active->checked = 0;
    }
    return check(active);
}

static rl_status find_memory(rl_early_state *e, rl_early_model *m)
{
    uint32_t need = needs(m);
    if (is_short(e, need)) {
        rl_status status = close_all(e, m);
        if (status == RL_OK && is_short(e, need)) {
            status = give_back(e->models);
        }
        if (status != RL_OK) {
            return status;
        }
    }
    if (is_short(e, need)) {
        return RL_E_FULL;
    }
    uint8_t *memory = e->board->memory + e->used;
    m->session = (rl_session) { 0 };
    m->session.work = (uint32_t *)(void *)memory;
    m->session.arena = memory + aligned(rl_session_work(&m->blob));
    e->used += aligned(need);
    return RL_OK;
}

rl_status rl_early_open(rl_early_state *e, rl_early_model *m)
{
    if (m->open) {
        return RL_OK;
    }
    rl_status status = m->mounted ? check(m) : RL_E_NVM;
    if (status == RL_OK) {
        status = find_memory(e, m);
    }
    if (status != RL_OK) {
        return status;
    }
    rl_session *s = &m->session;
    s->blob = &m->blob;
    s->store = &m->store;
    s->cycles = e->board->cycles;
    s->ctx = e->board->ctx;
    s->rest = e->board->rest;
    s->pace.millivolts = e->board->millivolts;
    s->pace.rest_cycles = e->board->rest_cycles;
    s->stage.fetch = e->board->fetch;
    s->same_boot = m->seen;
    status = rl_session_open(s);
    m->open = status == RL_OK;
    m->seen = 1;
    e->used -= m->open ? 0 : aligned(needs(m));
    return status;
}
