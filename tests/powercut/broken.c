/* relume tests: an NVM that fails without losing power. */
#include <stdio.h>
#include <string.h>

#include "cuts.h"
#include "reference.h"

typedef enum { SOUND, REFUSING, DEAF } damage;

static rl_nvm plain; /* the driver behind the wrapper */
static damage mode;
static uint32_t calls, from; /* so far; damaged from here on */
static uint32_t lead;        /* the host's calls in a sound life before */

static rl_status refuse(void)
{
    return mode == REFUSING && calls++ == from ? RL_E_NVM : RL_OK;
}

static int deaf(void)
{
    return mode == DEAF && calls++ >= from;
}

static rl_status wrapped_read(rl_nvm *nvm, uint32_t at, void *data,
                              uint32_t n)
{
    (void)nvm;
    rl_status status = refuse();
    return status == RL_OK ? plain.read(&plain, at, data, n) : status;
}

static rl_status wrapped_write(rl_nvm *nvm, uint32_t at, const void *data,
                               uint32_t n)
{
    (void)nvm;
    rl_status status = refuse();
    if (status != RL_OK || deaf()) {
        return status;
    }
    return plain.write(&plain, at, data, n);
}

static rl_status wrapped_erase(rl_nvm *nvm, uint32_t at)
{
    (void)nvm;
    rl_status status = refuse();
    if (status != RL_OK || deaf()) {
        return status;
    }
    return plain.erase(&plain, at);
}

static void wrap(rl_nvm *nvm)
{
    plain = *nvm;
    nvm->read = wrapped_read;
    nvm->write = wrapped_write;
    nvm->erase = wrapped_erase;
}

/* After RL_E_NVM nothing may be claimed until the store is opened again. */
static void check_silent(life *l)
{
    rl_session *s = &l->session;
    rl_record record = l->store.newest;
    uint32_t size = ref.blob.tensors[ref.blob.header->input].size;
    int wrong = rl_session_begin(s, 9, l->arena, size) == RL_OK
             || (s->state != RL_STATE_DONE && rl_session_step(s) >= 0)
             || (s->state == RL_STATE_DONE
                 && rl_session_take(s, l->store.newest.inference) >= 0)
             || rl_store_attempt(&l->store) >= 0
             || rl_store_room(&l->store, 0) >= 0
             || rl_store_begin(&l->store, 0) >= 0
             || rl_store_put(&l->store, 0, l->arena, 0, 0) >= 0
             || rl_store_end(&l->store, &record) >= 0
             || rl_store_get(&l->store, 0, 0, l->arena, 0) >= 0;
    if (wrong) {
        life_fail("call %u failed and the session goes on", from);
    }
}

/* What RAM believes in is in the NVM, or is about to be. */
static void check_belief(const life *l, uint32_t believed)
{
    uint32_t there = l->store.newest.seq;
    if (there != believed && there != believed + 1u) {
        life_fail("record %u was claimed, %u is there", believed, there);
    }
}

/* A life without damage, cut short, so that there is something to resume. */
static void first_life(life *l)
{
    l->host = newcomer;
    if (lead > 0) {
        life_boot(0, newcomer, &anything);
    }
    for (uint32_t i = 0; i < lead; i++) {
        life_call(l);
    }
}

/* One run with damage from call `from` on; false when there was none left. */
static int one(damage how)
{
    life *l = &lives[0];
    static uint32_t believed;
    jmp_buf noticed;
    life_teardown();
    life_setup();
    mode = how;
    believed = 0;
    life_wrap = NULL;
    life_escape = NULL;
    first_life(l);
    calls = 0;
    life_wrap = wrap;
    life_escape = &noticed;
    if (setjmp(noticed) == 0) {
        life_run(0, l->host, &anything);
        if (calls > from) {
            life_fail("call %u failed and nobody noticed", from);
        }
        return 0;
    }
    int opened = l->session.blob == &ref.blob && l->store.nvm == &l->nvm;
    total.cuts[0]++;
    mode = SOUND;
    if (opened) {
        believed = l->store.newest.seq;
        check_silent(l);
    }
    life_wrap = NULL;
    life_escape = NULL;
    host h = l->host;
    if (how == REFUSING) {
        h.boots_min = 0; /* the boot may not have been counted */
    }
    life_boot(0, h, &anything);
    if (opened) {
        check_belief(l, believed);
    }
    life_run(0, l->host, &anything);
    return 1;
}

static void every(damage how)
{
    static const uint32_t leads[] = { 0, 2, 3 };
    for (uint32_t i = 0; i < sizeof leads / sizeof leads[0]; i++) {
        lead = leads[i];
        for (from = 0; one(how); from++) {
            path[0][0] = from;
        }
    }
    life_wrap = NULL;
    life_escape = NULL;
}

void cuts_refuse(void)
{
    every(REFUSING);
}

void cuts_deaf(void)
{
    every(DEAF);
}

/* ----------------------------------------------------------------- rot -- */

/* Runs whatever is there to its end; the output must be right. */
static void finish_rotten(life *l)
{
    const rl_header *h = ref.blob.header;
    rl_session *s = &l->session;
    const uint8_t *data = NULL;
    uint32_t size = 0;
    rl_status status = RL_MORE;
    ref.input = (l->store.newest.inference - 100u) % REFERENCE_INPUTS;
    while (status == RL_MORE || status == RL_ERASED) {
        status = rl_session_step(s);
    }
    if (status != RL_DONE || rl_session_output(s, &data, &size) != RL_OK
        || memcmp(data, reference_tensor(ref.input, h->output), size) != 0
        || ref.fault != NULL || l->device.violation != NULL) {
        life_fail("byte %u flipped: %s %s", from, rl_status_text(status),
                  ref.fault ? ref.fault : "wrong output");
    }
}

static void open_rotten(life *l)
{
    rl_session *s = &l->session;
    memset(s, 0, sizeof *s);
    s->blob = &ref.blob;
    s->store = &l->store;
    s->arena = l->arena;
    s->work = l->work;
    memset(l->arena, 0x77, reference_arena());
    if (fault_power(&l->device, &l->nvm) != RL_OK
        || rl_store_open(&l->store, &l->nvm, opt.base, opt.size - opt.base)
               != RL_OK) {
        life_fail("byte %u flipped: the store does not open", from);
    }
    rl_status status = rl_session_open(s);
    if (status == RL_E_DAMAGED) {
        rl_status cleared = RL_ERASED;
        while (cleared == RL_ERASED) {
            cleared = rl_session_clear(s);
        }
        if (cleared != RL_OK || s->state != RL_STATE_IDLE) {
            life_fail("byte %u flipped: cannot be cleared", from);
        }
        total.old++;
    } else if (status != RL_OK) {
        life_fail("byte %u flipped: %s", from, rl_status_text(status));
    } else if (s->state == RL_STATE_RUNNING || s->state == RL_STATE_DONE) {
        finish_rotten(l);
    }
}

static void strike_rot(fault *device, const fault_op *op)
{
    life *l = &lives[1];
    reference saved = ref;
    if (op->kind == OP_ERASE
        || memcmp(op->data, "RLR1", op->n < 4 ? op->n : 4) != 0) {
        return;
    }
    for (from = 0; from < opt.size; from++) {
        fault_cut(&l->device, device, op,
                  fault_variants(op, opt.seeds) - 1u, opt.seeds, 0);
        if (device->bytes[from] == 0xFF && opt.kind == RL_NVM_FLASH
            && from % 13u != 0) {
            continue; /* mostly erased pages */
        }
        l->device.bytes[from] ^= (uint8_t)(1u << from % 8u);
        l->device.strike = NULL;
        total.cuts[0]++;
        open_rotten(l);
        ref = saved;
    }
}

void cuts_rot(void)
{
    life_strike = strike_rot;
    life_run(0, newcomer, &anything);
}
