/* relume: resume and service before the interpreter. */
#include "early.h"

#include "blob.h"

/* -------------------------------------------------------------- energy -- */

#define PART 32u   /* of the start's time, or of what is stored */
#define AGAIN 32u  /* looks later the harvest may be another */
#define EVERY_US 64u /* the voltage is read then */
#define POLLS 4096u  /* of a clock that may stand */

/* Square millivolts. */
static uint32_t stored(const rl_early_state *e, uint32_t mv)
{
    const rl_early_model *active = &e->models->model[e->models->active];
    uint32_t off = active->blob.header->voff_mv;
    mv = mv < 0xFFFFu ? mv : 0xFFFFu;
    return mv > off ? mv * mv - off * off : 0;
}

/* Microseconds since then, some more than those; the same if the clock
 * stands. */
static uint32_t later(const rl_early_board *b, uint32_t since, uint32_t us)
{
    uint32_t now = us;
    for (uint32_t n = 0; n < POLLS && now - us < EVERY_US; n++) {
        now = b->micros(b->ctx) - since;
    }
    return now;
}

/* Stays awake until a part of what is stored has gone, or a part of the time
 * that the interpreter's start takes. Returns what is left. */
static uint32_t watch(rl_early_state *e, uint32_t from)
{
    const rl_early_board *b = e->board;
    uint32_t since = b->micros(b->ctx), before, left;
    e->fell_us = 0;
    do {
        before = e->fell_us;
        e->fell_us = later(b, since, before);
        left = stored(e, b->millivolts(b->ctx));
        e->fell = from > left ? from - left : 0;
    } while (e->fell_us != before && e->fell < from / PART
             && e->fell_us < b->start_us / PART);
    return left;
}

/* The interpreter's start fits what is left of the charge, by how fast the
 * voltage falls while the core is awake, harvest and all, and an eighth more.
 * Not by the plan: its capacitor need not be the board's. */
static int interpreter_fits(rl_early_state *e)
{
    uint32_t mv = e->board->millivolts(e->board->ctx);
    uint32_t left = stored(e, mv);
    if (mv == 0) {
        return 1;
    }
    if (left != 0 && e->looks++ % AGAIN == 0) {
        left = watch(e, left);
    }
    uint64_t need = (uint64_t)e->board->start_us
                  * ((uint64_t)e->fell + e->fell / 8u);
    return left != 0 && e->fell_us != 0
        && (uint64_t)left * e->fell_us >= need;
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
