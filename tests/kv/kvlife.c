/* relume tests: a script of commits, and one life of a board. */
#include "kvlife.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

kv_options opt;
kv_totals total;
kv_life lives[DEPTH + 1];
void (*kv_strike)(fault *device, const fault_op *op);
jmp_buf *kv_escape;
void (*kv_wrap)(rl_nvm *nvm);

static kv_state states[MOST_STEPS + 1];

void kv_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("FAILED: ");
    vprintf(format, arguments);
    printf("\n");
    for (uint32_t d = 0; d <= opt.depth && d <= DEPTH; d++) {
        printf("level %u: step %u op %u variant %u\n", d, lives[d].now,
               lives[d].op, lives[d].variant);
    }
    va_end(arguments);
    exit(1);
}

/* -------------------------------------------------------------- script -- */

static uint64_t dice(uint32_t step, uint32_t what)
{
    return fault_hash(opt.seed, (uint64_t)step << 32 | what);
}

/* Every step changes 1 to 4 keys; each change takes the key away or puts. */
void kv_script(void)
{
    memset(states, 0, sizeof states);
    for (uint32_t s = 1; s <= opt.steps; s++) {
        states[s] = states[s - 1];
        uint32_t n = 1u + (uint32_t)(dice(s, 0) % 4u);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t key = (uint32_t)(dice(s, 10 + i) % KEYS);
            uint64_t roll = dice(s, 20 + i);
            int away = roll % 5u == 0;
            states[s].tag[key] = away ? 0 : s;
            states[s].size[key] = away ? 0
                : (uint32_t)((roll >> 8) % (roll % 3u ? 20u : opt.most + 1u));
        }
    }
}

const kv_state *kv_after(uint32_t step)
{
    return &states[step];
}

static uint32_t key_of(uint32_t key, uint8_t *to)
{
    uint32_t n = key == 0 ? RL_KV_KEY : key; /* the longest and the shortest */
    for (uint32_t i = 0; i < n; i++) {
        to[i] = (uint8_t)(key * 16u + i);
    }
    return n;
}

static void value_of(uint32_t key, uint32_t tag, uint32_t n, uint8_t *to)
{
    for (uint32_t i = 0; i < n; i++) {
        to[i] = (uint8_t)fault_hash(key * 1000u + tag, i);
    }
}

/* ---------------------------------------------------------------- life -- */

static rl_status checked(kv_life *l, rl_status status)
{
    if (l->device.violation != NULL) {
        kv_fail("%s", l->device.violation);
    }
    if (status == RL_E_NVM && kv_escape != NULL) {
        longjmp(*kv_escape, 1);
    }
    return status;
}

int kv_equal(kv_life *l, uint32_t step)
{
    static uint8_t want[RL_KV_VALUE], have[RL_KV_VALUE];
    uint32_t n = 0, live = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        uint8_t name[RL_KV_KEY];
        uint32_t key_n = key_of(key, name), at = 0;
        uint32_t tag = states[step].tag[key], size = states[step].size[key];
        rl_status status = checked(l, rl_kv_find(&l->kv, name, key_n, &at));
        if (status != RL_OK || (at < l->kv.count) != (tag != 0)) {
            return 0;
        }
        if (tag == 0) {
            continue;
        }
        n++;
        live += rl_kv_bytes(key_n, size);
        if (l->kv.index[at].size != size
            || checked(l, rl_kv_read(&l->kv, at, NULL, have)) != RL_OK) {
            return 0;
        }
        value_of(key, tag, size, want);
        if (memcmp(want, have, size) != 0) {
            return 0;
        }
    }
    return n == l->kv.count && live == l->kv.live;
}

static void strike(fault *device, const fault_op *op)
{
    uint32_t n = op->kind == OP_ERASE ? RL_FLASH_SECTOR : op->n;
    if (op->at < opt.base || op->at + n > opt.base + opt.room) {
        kv_fail("%u bytes written at %u, outside the region", n, op->at);
    }
    total.ops++;
    if (kv_strike != NULL) {
        kv_strike(device, op);
    }
}

int kv_boot(uint32_t depth, uint32_t old, int new)
{
    kv_life *l = &lives[depth];
    l->depth = depth;
    l->now = old;
    l->maybe = new;
    l->device.ctx = l;
    l->device.strike = strike;
    total.lives++;
    if (fault_power(&l->device, &l->nvm) != RL_OK) {
        kv_fail("no power");
    }
    if (kv_wrap != NULL) {
        kv_wrap(&l->nvm);
    }
    rl_status status = checked(l, rl_kv_open(&l->kv, &l->nvm, opt.base,
                                             opt.room, l->index, INDEX));
    l->maybe = 0;
    if (status == RL_E_DAMAGED) {
        return -1;
    }
    if (status != RL_OK) {
        kv_fail("open: %s", rl_status_text(status));
    }
    if (kv_equal(l, old)) {
        total.old++;
        return 0;
    }
    if (new && kv_equal(l, old + 1)) {
        total.new++;
        l->now = old + 1;
        return 0;
    }
    return 1;
}

/* The changes from the state before the step to the one after it. */
static uint32_t changes_of(uint32_t step, rl_kv_change *changes,
                           uint8_t names[KEYS][RL_KV_KEY], uint8_t *values)
{
    uint32_t n = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        uint32_t tag = states[step].tag[key], size = states[step].size[key];
        if (tag == states[step - 1].tag[key]) {
            continue;
        }
        rl_kv_change c = { names[key], tag ? values : NULL,
                           key_of(key, names[key]), size };
        value_of(key, tag, size, values);
        values += size;
        changes[n++] = c;
    }
    return n;
}

static void one(kv_life *l)
{
    static uint8_t values[DEPTH + 1][4 * RL_KV_VALUE];
    uint8_t names[KEYS][RL_KV_KEY];
    rl_kv_change changes[KEYS];
    uint32_t n = changes_of(l->now + 1u, changes, names, values[l->depth]);
    rl_status status = RL_ERASED;
    for (uint32_t i = 0; status == RL_ERASED; i++) {
        status = checked(l, rl_kv_commit(&l->kv, changes, n));
        total.erases += status == RL_ERASED;
        if (i > 2u * opt.room / RL_FLASH_SECTOR) {
            kv_fail("erases without end");
        }
    }
    if (status != RL_OK) {
        kv_fail("commit: %s", rl_status_text(status));
    }
    l->now++;
    total.commits++;
    for (uint32_t i = 0; opt.ahead != 0; i++) {
        status = checked(l, rl_kv_prepare(&l->kv, opt.ahead));
        if (status != RL_ERASED) {
            break;
        }
    }
}

void kv_go(kv_life *l, uint32_t end)
{
    end = end < opt.steps ? end : opt.steps;
    while (l->now < end) {
        one(l);
        if (!kv_equal(l, l->now)) {
            kv_fail("after the commit of step %u", l->now);
        }
    }
    total.snapshots += l->kv.snapshots;
}

void kv_setup(void)
{
    for (uint32_t d = 0; d <= DEPTH; d++) {
        fault_make(&lives[d].device, opt.kind, opt.size, opt.fill);
    }
}

void kv_teardown(void)
{
    for (uint32_t d = 0; d <= DEPTH; d++) {
        fault_free(&lives[d].device);
    }
}
