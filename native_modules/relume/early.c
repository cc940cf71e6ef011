/* relume: resume and service before the interpreter. */
#include "early.h"

#include "blob.h"

/* -------------------------------------------------------------- energy -- */

/* The interpreter's start fits what is left of the charge, by the capacitor
 * and the turn-off voltage that the plan was made for. nF mV^2 = 1e-9 uJ. */
static int interpreter_fits(const rl_early_state *e)
{
    const rl_early_model *active = &e->models->model[e->models->active];
    const rl_header *h = active->blob.header;
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

/* To the next commit or planned end. Errors are left to the interpreter, which
 * opens the NVM again and says what is wrong. */
static void step(rl_early_state *e)
{
    switch (rl_session_step(&e->now->session)) {
    case RL_MORE: rl_early_tell(e, RL_EVENT_COMMITTED); break;
    case RL_ERASED: rl_early_tell(e, RL_EVENT_ERASED); break;
    case RL_RAN: case RL_RESTED: break;
    case RL_DONE: rl_early_tell(e, RL_EVENT_FINISHED); break;
    case RL_E_STUCK: rl_early_tell(e, RL_EVENT_STUCK); break;
    default: e->leave = 1; break;
    }
}

/* Which inference goes on: another one only behind a commit. */
static rl_early_model *choose(rl_early_state *e)
{
    rl_early_model *first = rl_early_first(e), *now = e->now;
    if (first == NULL || (first == now && now->open)) {
        return first;
    }
    if (!rl_early_committed(now)) {
        now->session.yields = 1;
        return now;
    }
    int resumed = !first->seen;
    if (rl_early_open(e, first) != RL_OK) {
        e->leave = 1;
        return NULL;
    }
    now->session.yields = 0;
    first->session.yields = 0;
    e->now = first;
    if (resumed) {
        rl_early_tell(e, RL_EVENT_RESUMED);
    }
    return first;
}

static void serve(rl_early_state *e)
{
    while (!e->leave) {
        rl_early_listen(e);
        if (e->leave) {
            return;
        }
        if (choose(e) != NULL) {
            step(e);
        } else if (!e->leave && interpreter_fits(e)) {
            return;
        } else if (!e->leave) {
            e->board->rest(e->board->ctx, RL_EARLY_LOOK_MS);
        }
    }
}

rl_early_end rl_early(const rl_early_board *board, rl_early_models *models)
{
    rl_early_state e = { .board = board, .models = models };
    if (rl_early_mount(&e) != RL_OK) {
        return RL_EARLY_NOTHING;
    }
    rl_frame_reset(&e.decoder);
    rl_early_model *running = rl_early_first(&e);
    if (running == NULL && interpreter_fits(&e)) {
        return RL_EARLY_NOTHING;
    }
    e.now = running != NULL ? running : &models->model[models->active];
    if (rl_early_open(&e, e.now) != RL_OK) {
        return e.now->seen ? RL_EARLY_LEFT : RL_EARLY_NOTHING;
    }
    if (running != NULL && running->store.attempts % RL_EARLY_STARTS == 0) {
        return RL_EARLY_LEFT;
    }
    rl_early_tell(&e, running != NULL ? RL_EVENT_RESUMED : RL_EVENT_BOOTED);
    serve(&e);
    return RL_EARLY_LEFT;
}
