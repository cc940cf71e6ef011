/* relume tests: one life of a board, and all that must be true in it. */
#include "life.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference.h"
#include "session_parts.h"

#define FIRST_ID 100u
#define CALLS 100000u /* of a life, then it hangs */

options opt;
totals total;
uint32_t path[FAULT_PATH][2];
void (*life_strike)(fault *device, const fault_op *op);
void (*life_wrap)(rl_nvm *nvm);
jmp_buf *life_escape;

life lives[FAULT_PATH + 1];
static uint32_t level; /* that fails, for the id */
static uint64_t clean_cycles[REFERENCE_INPUTS];
static uint32_t clean_bytes[REFERENCE_INPUTS];

/* ------------------------------------------------------------- failure -- */

static const char *kind_name(void)
{
    return opt.kind == RL_NVM_FRAM ? "fram"
         : opt.kind == RL_NVM_FLASH ? "flash" : "file";
}

void life_level(uint32_t depth)
{
    level = depth;
}

void life_fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    printf("FAILED: ");
    vprintf(format, list);
    va_end(list);
    printf("\nreplay: %s:%u", kind_name(), level);
    for (uint32_t i = 0; i < level; i++) {
        printf(":%u:%u", path[i][0], path[i][1]);
    }
    printf(":%llu\n", (unsigned long long)opt.seed);
    exit(1);
}

static void must(rl_status status, const char *what)
{
    if (status == RL_E_NVM && life_escape != NULL) {
        longjmp(*life_escape, 1);
    }
    if (status < 0) {
        life_fail("%s: %s", what, rl_status_text(status));
    }
}

#define CHECK(condition, ...) \
    do { \
        if (!(condition)) { \
            life_fail(__VA_ARGS__); \
        } \
    } while (0)

static void check_rules(const life *l)
{
    CHECK(l->device.violation == NULL, "NVM: %s", l->device.violation);
    CHECK(ref.fault == NULL, "engine: %s", ref.fault);
}

/* -------------------------------------------------------------- memory -- */

void life_setup(void)
{
    uint32_t arena = reference_arena();
    for (uint32_t i = 0; i <= FAULT_PATH; i++) {
        life *l = &lives[i];
        fault_make(&l->device, opt.kind, opt.size, opt.fill);
        l->device.behind = opt.behind;
        l->arena = malloc(arena);
        l->work = malloc(rl_session_work(&ref.blob));
        if (l->arena == NULL || l->work == NULL) {
            abort();
        }
    }
}

void life_teardown(void)
{
    for (uint32_t i = 0; i <= FAULT_PATH; i++) {
        fault_free(&lives[i].device);
        free(lives[i].arena);
        free(lives[i].work);
    }
}

static void poison(life *l)
{
    int noise = 0xA5 + (int)(total.lives & 0x0F);
    memset(&l->nvm, noise, sizeof l->nvm);
    memset(&l->store, noise, sizeof l->store);
    memset(&l->session, noise, sizeof l->session);
    memset(l->arena, noise, reference_arena());
    memset(l->work, noise, rl_session_work(&ref.blob));
}

static uint64_t cycles(void *ctx)
{
    const life *l = ctx;
    return ref.clock + l->device.traffic;
}

/* The plans of these tests turn on at 5 V and off at 2 V. */
static uint32_t millivolts(void *ctx)
{
    const life *l = ctx;
    uint64_t roll = fault_hash(ref.clock, l->session.tile);
    uint64_t used = ref.clock - l->turned_on;
    uint64_t most = (uint64_t)VOLTS_TILES * REFERENCE_TILE_CYCLES;
    switch (opt.volts) {
    case VOLTS_RANDOM: return roll % 8u == 0 ? 0 : (uint32_t)(roll % 6000u);
    case VOLTS_HIGH: return 5500;
    case VOLTS_LOW: return 1900;
    default: break;
    }
    if (used >= most) {
        return 2000;
    }
    uint32_t mv = 2000; /* 5 V^2 - 2 V^2 is 21e6 square millivolts */
    while ((uint64_t)(mv * mv - 4000000u) * most < 21000000u * (most - used)) {
        mv++;
    }
    return mv;
}

static void rest(void *ctx, uint32_t ms)
{
    (void)ctx;
    ref.clock += 100u * ms;
    total.rested++;
}

/* -------------------------------------------------------------- turn-on -- */

/* Invariant S1: the old record or, only if the operation was its record, the
 * new one; whole, and nothing else. */
static void check_newest(const life *l, const expectation *e)
{
    const rl_record *newest = &l->store.newest;
    if (!e->known) {
        return;
    }
    int is_old = memcmp(newest, &e->old, sizeof *newest) == 0
              || (e->old.magic == 0 && newest->magic == 0);
    int is_new = e->new.magic != 0
              && memcmp(newest, &e->new, sizeof *newest) == 0;
    CHECK(is_old || is_new, "record %u is neither the old one %u nor new",
          newest->seq, e->old.seq);
    CHECK(!e->untouched || is_old, "a record came from nowhere");
    CHECK(!e->complete || e->new.magic == 0 || is_new, "a record was lost");
    if (is_new) {
        CHECK(l->store.attempts == 0, "a new record inherited attempts");
        total.new++;
        return;
    }
    total.old++;
    uint32_t most = e->attempts + (e->counting ? 1u : 0);
    CHECK(l->store.attempts >= e->attempts && l->store.attempts <= most,
          "attempts %u, were %u", l->store.attempts, e->attempts);
}

static uint32_t longest_segment(uint32_t tile)
{
    uint32_t start = 0;
    for (uint32_t i = 0; i < ref.blob.header->n_segments; i++) {
        uint32_t end = ref.blob.segments[i].end_tile;
        if (end > tile) {
            return end - start;
        }
        start = end;
    }
    return 0;
}

/* Where a tile was halved at most one part of it is lost. */
static void check_lost_part(const rl_record *newest, const expectation *e)
{
    uint32_t count = ref.blob.tiles[newest->tile].count;
    uint32_t grain = rl_session_grain(count);
    uint32_t halved = newest->flags >> RL_HALVED_SHIFT;
    halved = halved < e->halved ? e->halved : halved;
    if (halved == 0) {
        return;
    }
    uint32_t most = rl_session_part(count, grain + halved) << grain;
    uint32_t from = (uint32_t)newest->part << grain;
    uint32_t to = e->reached == newest->tile ? e->units : count + e->units;
    CHECK(e->reached - newest->tile <= 1u && from <= to && to - from <= most,
          "units %u to %u of tile %u lost", from, to, newest->tile);
}

static void check_lost(const life *l, const expectation *e)
{
    const rl_record *newest = &l->store.newest;
    total.split += newest->part != 0;
    if (!e->known || !e->running || newest->state != RL_STATE_RUNNING
        || newest->inference != e->old.inference) {
        return;
    }
    uint32_t lost = e->reached - newest->tile;
    uint32_t most = opt.volts == VOLTS_NONE ? longest_segment(newest->tile)
                                            : e->reached;
    CHECK(e->reached >= newest->tile && lost <= most,
          "%u tiles lost: more than a segment", lost);
    check_lost_part(newest, e);
    total.lost = lost > total.lost ? lost : total.lost;
}

/* What the device holds, read from a copy: a cut while the store opens must
 * be held against that, not against what RAM holds then. */
static void peek(life *l)
{
    fault *copy = &lives[l->depth + 1u].device;
    fault_op nothing = { OP_WRITE, 0, 0, NULL };
    rl_nvm nvm;
    fault_cut(copy, &l->device, &nothing, 0, 1, 0);
    copy->strike = NULL;
    must(fault_power(copy, &nvm), "driver");
    must(rl_store_open(&l->store, &nvm, opt.base, opt.size - opt.base),
         "rl_store_open");
}

static void turn_on(life *l, const expectation *e)
{
    poison(l);
    total.lives++;
    ref.clock = fault_hash(total.lives, 1) >> 20;
    l->turned_on = ref.clock;
    l->device.strike = NULL;
    l->device.ctx = l;
    l->counting = 0;
    l->session.state = RL_STATE_EMPTY;
    if (life_strike != NULL && l->depth < opt.depth) {
        peek(l);
        l->device.strike = life_strike;
    }
    must(fault_power(&l->device, &l->nvm), "driver");
    if (life_wrap != NULL) {
        life_wrap(&l->nvm);
    }
    rl_store store;
    must(rl_store_open(&store, &l->nvm, opt.base, opt.size - opt.base),
         "rl_store_open");
    l->store = store;
    check_rules(l);
    check_newest(l, e);
    check_lost(l, e);
}

static void open_session(life *l)
{
    rl_session *s = &l->session;
    int running = l->store.newest.state == RL_STATE_RUNNING
               && l->store.newest.magic != 0;
    memset(s, 0xEE, sizeof *s);
    s->blob = &ref.blob;
    s->store = &l->store;
    s->arena = l->arena;
    s->work = l->work;
    s->cycles = cycles;
    s->same_boot = 0;
    s->ctx = l;
    s->rest = opt.volts % 2u == 1u ? rest : NULL;
    s->pace.millivolts = opt.volts == VOLTS_NONE ? NULL : millivolts;
    s->times = NULL;
    s->rank = (rl_rank) { 0 };
    s->yields = 0;
    l->host.boots_max += running ? 1u : 0;
    l->counting = running;
    must(rl_session_open(s), "rl_session_open");
    l->counting = 0;
    l->host.boots_min += running ? 1u : 0;
    check_rules(l);
}

/* ---------------------------------------------------------------- host -- */

static uint32_t id_of(const host *h)
{
    return FIRST_ID + h->now;
}

static int takes(uint32_t inference)
{
    return inference % 3u != 1u; /* one output is given up by the next input */
}

static void give_input(life *l)
{
    host *h = &l->host;
    const rl_header *header = ref.blob.header;
    h->before = l->store.newest.seq;
    h->boots_min = 0;
    h->boots_max = 0;
    ref.input = h->now % REFERENCE_INPUTS;
    must(rl_session_begin(&l->session, id_of(h),
                          reference_tensor(ref.input, header->input),
                          ref.blob.tensors[header->input].size),
         "rl_session_begin");
}

/* A host that saw the board reboot sends the input again. */
static void give_again(life *l)
{
    const rl_header *header = ref.blob.header;
    uint32_t seq = l->store.newest.seq;
    must(rl_session_begin(&l->session, id_of(&l->host),
                          reference_tensor(ref.input, header->input),
                          ref.blob.tensors[header->input].size),
         "rl_session_begin again");
    CHECK(l->store.newest.seq == seq, "the input was committed again");
}

static void check_output(life *l)
{
    const rl_header *header = ref.blob.header;
    const uint8_t *data = NULL;
    uint32_t size = 0;
    ref.input = l->host.now % REFERENCE_INPUTS;
    must(rl_session_output(&l->session, &data, &size), "rl_session_output");
    CHECK(size == ref.blob.tensors[header->output].size, "output of %u bytes",
          size);
    CHECK(memcmp(data, reference_tensor(ref.input, header->output), size)
          == 0, "the output differs");
}

/* The record of a finished inference: nothing doubled, nothing forgotten. */
static void check_done(const life *l)
{
    const rl_record *r = &l->store.newest;
    const host *h = &l->host;
    uint32_t plain = ref.blob.header->n_segments + 1u;
    int planned = opt.volts == VOLTS_NONE;
    CHECK(r->tile == ref.blob.header->n_tiles, "done at tile %u", r->tile);
    CHECK(r->seq == h->before + r->commits, "a commit too many or too few");
    CHECK(r->commits >= (planned ? plain : 2u), "%u commits", r->commits);
    CHECK(r->brownouts >= h->boots_min && r->brownouts <= h->boots_max,
          "%u brown-outs, were %u to %u", r->brownouts, h->boots_min,
          h->boots_max);
    uint64_t most = clean_cycles[h->now % REFERENCE_INPUTS];
    uint64_t least = (uint64_t)ref.blob.header->n_tiles
                   * REFERENCE_TILE_CYCLES;
    CHECK(r->cycles >= least, "%llu cycles", (unsigned long long)r->cycles);
    if (!planned || opt.behind) {
        return; /* commits and bytes depend on when the power fails */
    }
    if (life_strike == NULL && r->brownouts == 0) {
        clean_cycles[h->now % REFERENCE_INPUTS] = r->cycles;
        clean_bytes[h->now % REFERENCE_INPUTS] = r->nvm_bytes;
    } else if (r->commits == plain) {
        CHECK(most == 0 || r->cycles <= most, "%llu cycles",
              (unsigned long long)r->cycles);
        uint32_t bytes = clean_bytes[h->now % REFERENCE_INPUTS];
        CHECK(bytes == 0 || r->nvm_bytes == bytes, "%u NVM bytes",
              r->nvm_bytes);
    }
}

static void on_done(life *l)
{
    host *h = &l->host;
    if (l->store.newest.inference + 1u == id_of(h) && !takes(h->now - 1u)) {
        give_input(l); /* the old output is given up */
        return;
    }
    CHECK(l->store.newest.inference == id_of(h), "done: inference %u",
          l->store.newest.inference);
    check_output(l);
    check_done(l);
    h->have = h->now + 1u;
    if (takes(h->now)) {
        must(rl_session_take(&l->session, id_of(h)), "rl_session_take");
        must(rl_session_take(&l->session, id_of(h)), "a second take");
    } else {
        h->now++;
    }
}

static void on_idle(life *l)
{
    host *h = &l->host;
    if (l->store.newest.magic != 0
        && l->store.newest.inference == id_of(h)) {
        CHECK(h->have == h->now + 1u, "an output was lost");
        h->now++;
        return;
    }
    CHECK(h->have == h->now, "an output was doubled");
    give_input(l);
}

static void on_running(life *l)
{
    host *h = &l->host;
    ref.input = h->now % REFERENCE_INPUTS;
    CHECK(l->store.newest.inference == id_of(h), "running: inference %u",
          l->store.newest.inference);
    CHECK(h->have == h->now, "an inference runs again");
    give_again(l);
    rl_status status = rl_session_step(&l->session);
    must(status, "rl_session_step");
    CHECK(l->session.behind.tensor == 0 && l->device.sending == 0,
          "a write is under way behind a step");
    total.passed += status == RL_RAN;
}

void life_call(life *l)
{
    switch (l->session.state) {
    case RL_STATE_EMPTY:
        CHECK(l->host.now == 0, "the store is empty");
        give_input(l);
        break;
    case RL_STATE_IDLE: on_idle(l); break;
    case RL_STATE_RUNNING: on_running(l); break;
    case RL_STATE_DONE: on_done(l); break;
    default: life_fail("state %u", l->session.state);
    }
}

void life_boot(uint32_t depth, host h, const expectation *expect)
{
    life *l = &lives[depth];
    l->depth = depth;
    l->host = h;
    level = depth;
    fault_lost(&l->device, (uint32_t)fault_hash(total.lives, 2) % 100u);
    l->device.violation = NULL;
    turn_on(l, expect);
    open_session(l);
}

void life_run(uint32_t depth, host h, const expectation *expect)
{
    life *l = &lives[depth];
    uint32_t calls = 0;
    life_boot(depth, h, expect);
    while (l->host.now < opt.inferences) {
        life_call(l);
        check_rules(l);
        CHECK(++calls < CALLS + 64u * opt.inferences, "it does not end");
    }
    CHECK(l->host.have == opt.inferences, "%u outputs", l->host.have);
    if (depth == 0) {
        total.ops += l->device.ops;
        total.traffic += l->device.traffic;
        total.streams += l->device.streams;
    }
}
