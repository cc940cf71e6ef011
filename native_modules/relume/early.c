/* relume: resume and service before the interpreter. */
#include "early.h"

#include "blob.h"

#define ALIGNMENT 8u

/* --------------------------------------------------------------- begin -- */

rl_status rl_early_find(rl_nvm *blobs, const uint8_t *image,
                        rl_early_model *model)
{
    rl_slots slots;
    rl_blob_fault fault;
    uint32_t found;
    slots.nvm = blobs;
    slots.image = image;
    slots.draft.magic = 0;
    if (rl_slots_active(&slots, &model->slot, &found) != RL_OK) {
        return RL_E_STATE;
    }
    return rl_blob_check(image + found + RL_SLOT_DATA, model->slot.size, 0,
                         &model->blob, &fault);
}

static uint32_t aligned(uint32_t n)
{
    return (n + ALIGNMENT - 1u) & ~(ALIGNMENT - 1u);
}

/* The checker bounds arena and scratch below 2^24, and the work memory. */
static rl_status find_memory(rl_early_state *e)
{
    const rl_header *h = e->model->blob.header;
    uint32_t work = aligned(rl_session_work(&e->model->blob));
    if (work + h->arena_size + h->scratch_size > e->board->room) {
        return RL_E_FULL;
    }
    e->session.work = (uint32_t *)(void *)e->board->memory;
    e->session.arena = e->board->memory + work;
    return RL_OK;
}

static rl_status mount(rl_early_state *e)
{
    rl_status status = find_memory(e);
    if (status == RL_OK) {
        status = e->board->nvm(e->board->ctx,
                               e->model->blob.header->nvm_kind, &e->nvm);
    }
    if (status == RL_OK) {
        status = rl_store_open(&e->store, e->nvm, 0, rl_nvm_models(e->nvm));
        e->store.crc = e->board->crc;
    }
    return status;
}

/* -------------------------------------------------------------- energy -- */

/* The interpreter's start fits what is left of the charge, by the capacitor
 * and the turn-off voltage that the plan was made for. nF mV^2 = 1e-9 uJ. */
static int interpreter_fits(const rl_early_state *e)
{
    const rl_header *h = e->model->blob.header;
    uint64_t mv = e->board->millivolts(e->board->ctx);
    uint64_t full = mv * mv, empty = (uint64_t)h->voff_mv * h->voff_mv;
    if (mv == 0 || h->cap_nf == 0) {
        return 1;
    }
    if (full <= empty) {
        return 0;
    }
    return (full - empty) * h->cap_nf / 2u
        >= (uint64_t)e->board->start_uj * 1000000000u;
}

/* ----------------------------------------------------------------- run -- */

/* To the next commit or planned end. Errors are left to the interpreter, which opens the
 * NVM again and says what is wrong. */
static void step(rl_early_state *e)
{
    switch (rl_session_step(&e->session)) {
    case RL_MORE: rl_early_tell(e, RL_EVENT_COMMITTED); break;
    case RL_ERASED: rl_early_tell(e, RL_EVENT_ERASED); break;
    case RL_RAN: case RL_RESTED: break;
    case RL_DONE: rl_early_tell(e, RL_EVENT_FINISHED); break;
    case RL_E_STUCK: rl_early_tell(e, RL_EVENT_STUCK); break;
    default: e->leave = 1; break;
    }
}

static void serve(rl_early_state *e)
{
    while (!e->leave) {
        rl_early_listen(e);
        if (e->leave) {
            return;
        }
        if (e->session.state == RL_STATE_RUNNING) {
            step(e);
        } else if (interpreter_fits(e)) {
            return;
        } else {
            e->board->wait(e->board->ctx);
        }
    }
}

rl_early_end rl_early(const rl_early_board *board,
                      const rl_early_model *model)
{
    rl_early_state e = { .board = board, .model = model };
    if (mount(&e) != RL_OK) {
        return RL_EARLY_NOTHING;
    }
    rl_frame_reset(&e.decoder);
    e.session.blob = &model->blob;
    e.session.store = &e.store;
    e.session.cycles = board->cycles;
    e.session.ctx = board->ctx;
    e.session.pace.millivolts = board->millivolts;
    e.session.stage.fetch = board->fetch;
    int running = e.store.newest.state == RL_STATE_RUNNING;
    if (!running && interpreter_fits(&e)) {
        return RL_EARLY_NOTHING;
    }
    if (rl_session_open(&e.session) != RL_OK) {
        return RL_EARLY_LEFT;
    }
    if (running && e.store.attempts % RL_EARLY_STARTS == 0) {
        return RL_EARLY_LEFT;
    }
    rl_early_tell(&e, running ? RL_EVENT_RESUMED : RL_EVENT_BOOTED);
    serve(&e);
    return RL_EARLY_LEFT;
}
