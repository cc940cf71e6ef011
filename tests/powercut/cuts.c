/* relume tests: ways to lose power. */
#include "cuts.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "reference.h"

const host newcomer = { 0, 0, 0, 0, 0 };
const expectation anything;

/* ---------------------------------------------------------- exhaustive -- */

static int wanted(uint32_t depth, uint32_t op, uint32_t variant)
{
    if (depth < opt.replay) {
        return opt.path[depth][0] == op && opt.path[depth][1] == variant;
    }
    if (opt.replay > 0) {
        return 0;
    }
    if (depth == 0 || opt.every <= 1) {
        return 1;
    }
    uint64_t where = (uint64_t)path[0][0] << 32 | path[0][1];
    uint64_t roll = fault_hash(fault_hash(opt.seed, where),
                               (uint64_t)op << 32 | variant);
    return roll % opt.every == 0;
}

/* Is the operation the last of a commit: a record that would be valid? */
static void note_record(const fault_op *op, expectation *e)
{
    e->new.magic = 0;
    int slot = op->kind == OP_WRITE && op->n == sizeof(rl_record)
            && op->at - opt.base < 2u * sizeof(rl_record);
    int page = op->kind == OP_PROGRAM && op->data[op->n - 1u] == 0;
    if (!slot && !page) {
        return;
    }
    rl_record record;
    memcpy(&record, op->data, sizeof record);
    if (record.magic == RL_RECORD_MAGIC && record.seq != e->old.seq) {
        e->new = record;
    }
}

static expectation expect_of(const life *l, const fault_op *op)
{
    expectation e = { .known = 1 };
    e.old = l->store.newest;
    e.attempts = l->store.attempts;
    e.counting = l->counting;
    e.reached = l->session.tile;
    e.units = l->session.units;
    e.halved = l->session.halved;
    e.running = l->session.state == RL_STATE_RUNNING && !l->counting;
    if (op != NULL) {
        note_record(op, &e);
    }
    return e;
}

static void strike_all(fault *device, const fault_op *op)
{
    life *l = device->ctx;
    uint32_t variants = fault_variants(op, opt.seeds);
    expectation e = expect_of(l, op);
    total.erases += l->depth == 0 && op->kind == OP_ERASE;
    reference saved = ref;
    for (uint32_t v = 0; v < variants; v++) {
        if (!wanted(l->depth, device->ops, v)) {
            continue;
        }
        path[l->depth][0] = device->ops;
        path[l->depth][1] = v;
        e.untouched = v == 0;
        e.complete = v + 1u == variants;
        fault_cut(&lives[l->depth + 1u].device, device, op, v, opt.seeds,
                  fault_hash(opt.seed, device->ops));
        total.cuts[l->depth]++;
        life_run(l->depth + 1u, l->host, &e);
        ref = saved;
    }
    life_level(l->depth);
}

void cuts_exhaustive(void)
{
    life_strike = strike_all;
    life_run(0, newcomer, &anything);
}

/* ---------------------------------------------------------------- soak -- */

static jmp_buf power_off;
static expectation last;
static uint32_t left; /* operations, or tiles, until the power goes */
static uint32_t turn; /* lives so far */

/* The power goes in the middle of the operation; the device lives on. */
static void cut_here(fault *device, const fault_op *op, uint32_t v,
                     uint64_t roll)
{
    fault *copy = &lives[1].device;
    fault_cut(copy, device, op, v, opt.seeds, roll);
    fault_op nothing = { OP_WRITE, 0, 0, NULL };
    fault_cut(device, copy, &nothing, 0, 1, 0);
    total.cuts[0]++;
    longjmp(power_off, 1);
}

static void strike_soak(fault *device, const fault_op *op)
{
    life *l = device->ctx;
    if (left-- > 0) {
        return;
    }
    uint32_t variants = fault_variants(op, opt.seeds);
    uint64_t roll = fault_hash(opt.seed, turn);
    uint32_t v = (uint32_t)(roll % variants);
    last = expect_of(l, op);
    last.untouched = v == 0;
    last.complete = v + 1u == variants;
    path[0][0] = turn;
    path[0][1] = v;
    cut_here(device, op, v, roll);
}

void cuts_soak(uint32_t most)
{
    life_strike = strike_soak;
    lives[0].host = newcomer;
    last = anything;
    for (turn = 1; turn <= most; turn++) {
        uint64_t roll = fault_hash(opt.seed ^ 0x50AC, turn);
        left = (uint32_t)(roll % (roll % 16u == 0 ? 100u : 12u));
        left += last.attempts > 4u ? 30u : 0; /* or it would be stuck */
        if (setjmp(power_off) == 0) {
            life_run(0, lives[0].host, &last);
            return; /* the script is done */
        }
    }
    life_fail("%u lives were not enough", most);
}

/* -------------------------------------------------------------- starve -- */

static uint32_t charge; /* a life's, in tiles or units */
static int by_units;

static void die(void *ctx, uint32_t units)
{
    life *l = ctx;
    uint32_t price = by_units ? units : 1u;
    if (left >= price) {
        left -= price;
        return;
    }
    last = expect_of(l, NULL);
    last.untouched = 1;
    last.complete = 1;
    longjmp(power_off, 1);
}

/* The stuck state is kept, says where, and a clear ends it. */
static void check_stuck(void)
{
    life *l = &lives[0];
    rl_session *s = &l->session;
    uint32_t size = ref.blob.tensors[ref.blob.header->input].size;
    if (rl_session_open(s) != RL_OK || s->state != RL_STATE_STUCK
        || l->store.newest.state != RL_STATE_STUCK
        || l->store.newest.brownouts < RL_STUCK_ATTEMPTS
        || rl_session_step(s) != RL_E_STUCK
        || rl_session_begin(s, 7, l->arena, size) != RL_E_STUCK
        || rl_session_take(s, l->store.newest.inference) != RL_E_STATE) {
        life_fail("the stuck state is not kept");
    }
    if (rl_session_clear(s) < 0 || s->state != RL_STATE_IDLE) {
        life_fail("a clear does not end the stuck state");
    }
    ref.on_tile = NULL;
    host next = newcomer;
    l->host.now = 1; /* the id of the given up inference is spent */
    next.now = 1;
    next.have = 1;
    life_run(0, next, &anything);
}

/* One life; true when the scheduler gave up. */
static int starved_life(void)
{
    life *l = &lives[0];
    life_boot(0, l->host, &last);
    while (l->host.now < opt.inferences) {
        if (l->session.stuck) {
            rl_status status = rl_session_step(&l->session);
            if (status != RL_ERASED && status != RL_E_STUCK) {
                life_fail("giving up: %s", rl_status_text(status));
            }
            if (status == RL_E_STUCK) {
                return 1;
            }
            continue;
        }
        life_call(l);
    }
    return 0;
}

/* Each part of a tile costs one charge or more, and those that failed. */
static uint32_t lives_enough(void)
{
    const rl_header *h = ref.blob.header;
    uint64_t parts = h->n_tiles;
    for (uint32_t t = 0; by_units && t < h->n_tiles; t++) {
        parts += 2u * (ref.blob.tiles[t].count / (charge + 1u));
    }
    return (uint32_t)(40u * (parts + 4u) * opt.inferences);
}

/* Lives on one NVM to the script's end; true when the scheduler gave up. */
static int starved_script(void)
{
    uint32_t most = lives_enough();
    lives[0].host = newcomer;
    last = anything;
    ref.on_tile = die;
    ref.ctx = &lives[0];
    for (turn = 1; turn <= most; turn++) {
        left = charge;
        if (setjmp(power_off) != 0) {
            continue;
        }
        int stuck = starved_life();
        if (stuck != (charge == 0)) {
            life_fail("%s after %u lives", stuck ? "stuck" : "done", turn);
        }
        return stuck;
    }
    life_fail("%u lives were not enough", most);
}

void cuts_starve(uint32_t most, int units)
{
    charge = most;
    by_units = units;
    if (starved_script()) {
        check_stuck();
    }
    total.lives = turn;
}

/* -------------------------------------------------------------- hungry -- */

static uint32_t until; /* operations before the one that is cut; then 0 */
static uint32_t variant, variants;

static void strike_hungry(fault *device, const fault_op *op)
{
    if (until == 0 || --until > 0) {
        return;
    }
    life *l = device->ctx;
    variants = fault_variants(op, opt.seeds);
    last = expect_of(l, op);
    last.untouched = variant == 0;
    last.complete = variant + 1u == variants;
    cut_here(device, op, variant, fault_hash(opt.seed, variant));
}

void cuts_hungry(uint32_t units)
{
    charge = units;
    by_units = 1;
    life_strike = strike_hungry;
    for (uint32_t n = 1; until == 0; n++) {
        variants = 1;
        for (variant = 0; variant < variants && until == 0; variant++) {
            life_teardown();
            life_setup();
            path[0][0] = n;
            path[0][1] = variant;
            until = n;
            starved_script();
        }
    }
}
