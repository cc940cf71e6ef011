/* relume tests: every call of kv.h, sensible or not, answers as it says. */
#include "kvapi.h"

#include <string.h>

#include "kvlife.h"

static kv_life *const me = &lives[0];
static uint8_t large[RL_KV_VALUE + 1u];

static void is(rl_status have, rl_status want, const char *what)
{
    if (have != want) {
        kv_fail("%s: %s", what, rl_status_text(have));
    }
}

static void boot(uint32_t level, uint32_t step)
{
    if (kv_boot(level, step, 0) != 0) {
        kv_fail("not the state of step %u", step);
    }
}

static rl_status commit(kv_life *l, const rl_kv_change *changes, uint32_t n)
{
    rl_status status = RL_ERASED;
    while (status == RL_ERASED) {
        status = rl_kv_commit(&l->kv, changes, n);
    }
    return status;
}

static rl_status put(kv_life *l, const void *key, uint32_t key_n,
                     const void *value, uint32_t size)
{
    rl_kv_change c = { key, value, key_n, size };
    return commit(l, &c, 1);
}

static void copy_to(uint32_t level)
{
    fault_op nothing = { OP_WRITE, 0, 0, NULL };
    fault_cut(&lives[level].device, &me->device, &nothing, 0, 1, 0);
}

/* Refused changes leave everything as it is. */
static void arguments(void)
{
    const rl_kv_change twice[] = { { "a", "1", 1, 1 }, { "b", "1", 1, 1 },
                                   { "a", "2", 1, 1 } };
    boot(0, 0);
    kv_go(me, 5);
    uint64_t ops = total.ops;
    is(put(me, "a", 0, "1", 1), RL_E_ARG, "no key");
    is(put(me, large, RL_KV_KEY + 1u, "1", 1), RL_E_ARG, "long key");
    is(put(me, "a", 1, large, RL_KV_VALUE + 1u), RL_E_ARG, "long value");
    is(put(me, "a", 1, NULL, 1), RL_E_ARG, "no value");
    is(commit(me, twice, 3), RL_E_ARG, "a key twice");
    is(commit(me, twice, 0), RL_OK, "no changes");
    is(rl_kv_reset(&me->kv), RL_E_STATE, "reset of a sound store");
    is(rl_kv_read(&me->kv, me->kv.count, NULL, NULL), RL_E_ARG, "number");
    uint32_t at = 0;
    is(rl_kv_find(&me->kv, large, RL_KV_KEY + 1u, &at), RL_OK, "find");
    if (at != me->kv.count || total.ops != ops || !kv_equal(me, 5)) {
        kv_fail("something was done");
    }
    is(put(me, "none", 4, NULL, 0), RL_OK, "a key that is not there");
    boot(0, 5);
}

static rl_status open_at(uint8_t kind, uint32_t base, uint32_t size)
{
    me->nvm.kind = kind;
    rl_status status = rl_kv_open(&me->kv, &me->nvm, base, size, me->index,
                                  INDEX);
    if (status != RL_OK
        && rl_kv_commit(&me->kv, NULL, 0) != RL_E_NVM) {
        kv_fail("a store that is not open takes commits");
    }
    return status;
}

static void regions(void)
{
    uint32_t n = opt.size, page = RL_FLASH_PAGE, sector = RL_FLASH_SECTOR;
    boot(0, 0);
    is(open_at(0, 0, n), RL_E_NVM_KIND, "kind 0");
    is(open_at(4, 0, n), RL_E_NVM_KIND, "kind 4");
    is(open_at(opt.kind, n + 1, 0), RL_E_NVM_SIZE, "behind the NVM");
    is(open_at(opt.kind, page, n), RL_E_NVM_SIZE, "beyond the NVM");
    if (opt.kind != RL_NVM_FLASH) {
        is(open_at(opt.kind, 0, 4 * page - 1), RL_E_NVM_SIZE, "3 pages");
        is(open_at(opt.kind, 3, 4 * page), RL_OK, "4 pages");
        return;
    }
    is(open_at(opt.kind, 0, 2 * sector), RL_E_NVM_SIZE, "2 sectors");
    is(open_at(opt.kind, page, 3 * sector), RL_E_NVM_SIZE, "base");
    is(open_at(opt.kind, 0, 3 * sector + page), RL_E_NVM_SIZE, "size");
    is(open_at(opt.kind, sector, 3 * sector), RL_OK, "3 sectors");
}

/* Fills the store with keys of 2 bytes to the last byte. */
static uint32_t fill(uint32_t size)
{
    uint32_t left = rl_kv_capacity(&me->kv), n = 0;
    for (; left > 10u; n++) {
        uint8_t key[2] = { (uint8_t)n, 7 };
        uint32_t part = left - 10u < size ? left - 10u : size;
        is(put(me, key, 2, large, part), RL_OK, "fill");
        left -= 10u + part;
    }
    return n;
}

/* K4: what fits is never refused; what does not fit changes nothing. */
static void full(void)
{
    uint8_t key[2] = { 0, 7 };
    boot(0, 0);
    uint32_t n = fill(rl_kv_capacity(&me->kv) / 9u);
    uint32_t live = me->kv.live;
    is(put(me, "more", 4, large, 10), RL_E_FULL, "more");
    is(put(me, key, 2, large, me->kv.index[0].size + 20u), RL_E_FULL, "longer");
    is(put(me, key, 2, large, 60000), RL_E_FULL, "longest");
    is(rl_kv_prepare(&me->kv, rl_kv_capacity(&me->kv) + 1u), RL_E_FULL,
       "prepare");
    rl_status ahead = RL_ERASED;
    while (ahead == RL_ERASED) {
        ahead = rl_kv_prepare(&me->kv, rl_kv_capacity(&me->kv));
    }
    is(ahead, RL_OK, "prepare for all");
    is(rl_kv_read(&me->kv, 0, key, NULL), RL_OK, "key alone");
    if (me->kv.live != live || me->kv.count != n) {
        kv_fail("something was done");
    }
    for (uint32_t i = 0; i < 40; i++) {
        key[0] = (uint8_t)(i % n);
        uint32_t at = 0;
        is(rl_kv_find(&me->kv, key, 2, &at), RL_OK, "find");
        is(put(me, key, 2, large + i, me->kv.index[at].size), RL_OK, "again");
    }
    rl_kv_change all[INDEX];
    uint8_t keys[INDEX][2];
    for (uint32_t i = 0; i < n; i++) {
        keys[i][0] = (uint8_t)i;
        keys[i][1] = 7;
        all[i] = (rl_kv_change) { keys[i], NULL, 2, 0 };
    }
    is(commit(me, all, n), RL_OK, "all away");
    boot(0, 0);
}

/* The caller's index is too small: to commit, and to open. */
static void index_full(void)
{
    boot(0, 0);
    for (uint32_t i = 0; i < INDEX; i++) {
        uint8_t key = (uint8_t)i;
        is(put(me, &key, 1, "1", 1), RL_OK, "put");
    }
    is(put(me, "one more", 8, "1", 1), RL_E_FULL, "one more");
    is(put(me, "\x05", 1, "2", 1), RL_OK, "one of them");
    is(rl_kv_open(&me->kv, &me->nvm, opt.base, opt.room, me->index,
                  INDEX - 1u), RL_E_FULL, "open");
    is(rl_kv_open(&me->kv, &me->nvm, opt.base, opt.room, me->index, INDEX),
       RL_OK, "open");
}

/* A chain that takes more than half the ring, as a region of another size
 * would have, leaves no room for a snapshot: damaged. */
static void long_chain(void)
{
    uint32_t i = 0, most = opt.room / RL_FLASH_PAGE / 4u;
    boot(0, 0);
    while (me->kv.log.at <= most) {
        is(put(me, "x", 1, large, 1u + i++ % 200u), RL_OK, "put");
    }
    is(rl_kv_open(&me->kv, &me->nvm, opt.base, opt.room / 2u, me->index,
                  INDEX), RL_E_DAMAGED, "open half");
    is(rl_kv_open(&me->kv, &me->nvm, opt.base, opt.room, me->index, INDEX),
       RL_OK, "open");
}

/* Keys of one CRC-32 are different keys, of one length or not. */
static void collision(void)
{
    static const char *const keys[] = { "vyjksyc", "zelgrwe", "jrrzqre", "sdqpes" };
    boot(0, 0);
    for (uint32_t i = 0; i < 4; i++) {
        uint8_t value = (uint8_t)i;
        is(put(me, keys[i], (uint32_t)strlen(keys[i]), &value, 1), RL_OK, "put");
    }
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t at = 9, n = (uint32_t)strlen(keys[i % 4]);
        uint8_t have = 9;
        is(rl_kv_find(&me->kv, keys[i % 4], n, &at), RL_OK, "find");
        is(rl_kv_read(&me->kv, at, NULL, &have), RL_OK, "read");
        if (at != i % 4 || have != at || me->kv.count != 4) {
            kv_fail("key %u: number %u, value %u", i, at, have);
        }
        if (i == 3) {
            is(rl_kv_open(&me->kv, &me->nvm, opt.base, opt.room, me->index,
                          INDEX), RL_OK, "open");
        }
    }
}

/* K3: whatever byte of an open store is spoilt, what is read or moved to a
 * new snapshot is what was put, or an error. */
static void rot_while_open(void)
{
    uint64_t damaged = 0;
    boot(0, 0);
    kv_go(me, opt.steps);
    for (uint32_t at = opt.base; at < opt.base + opt.room; at++) {
        kv_life *l = &lives[1];
        rl_status status = RL_OK;
        copy_to(1);
        boot(1, opt.steps);
        l->device.bytes[at] ^= 0x11;
        if (!kv_equal(l, opt.steps)) {
            uint8_t key[RL_KV_KEY], value[RL_KV_VALUE];
            for (uint32_t i = 0; i < l->kv.count && status == RL_OK; i++) {
                status = rl_kv_read(&l->kv, i, key, value);
            }
            is(status, RL_E_DAMAGED, "reading");
            damaged++;
        }
        rl_status end = RL_OK;
        for (uint32_t i = 0; end == RL_OK && l->kv.snapshots == 0; i++) {
            end = put(l, "spare", 5, large, 200);
        }
        if (end == RL_OK) {
            end = put(l, "spare", 5, NULL, 0);
        }
        if (end == RL_OK) {
            boot(1, opt.steps);
        } else if (end != RL_E_DAMAGED && end != RL_E_NVM) {
            is(end, RL_E_DAMAGED, "going on");
        }
    }
    if (damaged < 100) {
        kv_fail("only %u of the bytes mattered", (uint32_t)damaged);
    }
}

/* Flash: once prepare says so, a commit of that size erases nothing. */
static void erased_ahead(void)
{
    uint32_t erased = 0;
    boot(0, 0);
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t size = (uint32_t)(fault_hash(i, 3) % 900u);
        rl_kv_change c = { i % 2 ? "x" : "y", large, 1, size };
        rl_status status = RL_ERASED;
        while (status == RL_ERASED) {
            status = rl_kv_prepare(&me->kv, rl_kv_bytes(1, 900));
            erased += status == RL_ERASED;
        }
        is(status, RL_OK, "prepare");
        is(rl_kv_commit(&me->kv, &c, 1), RL_OK, "commit");
    }
    if (opt.kind == RL_NVM_FLASH && erased < 50) {
        kv_fail("%u erases", erased);
    }
}

/* ------------------------------------------------------- a smaller chip -- */

static rl_nvm real;
static uint32_t chip;

static rl_status fold_read(rl_nvm *nvm, uint32_t at, void *data, uint32_t n)
{
    return real.read(nvm, at % chip, data, n);
}

static rl_status fold_write(rl_nvm *nvm, uint32_t at, const void *data,
                            uint32_t n)
{
    return real.write(nvm, at % chip, data, n);
}

/* The region would lie over what another holds further down. */
static void smaller_chip(void)
{
    is(fault_power(&me->device, &me->nvm), RL_OK, "power");
    real = me->nvm;
    me->nvm.read = fold_read;
    me->nvm.write = fold_write;
    for (chip = opt.size / 2; chip >= 1024; chip /= 2) {
        is(open_at(opt.kind, opt.size - 1024, 1024), RL_E_NVM_SIZE, "chip");
        is(open_at(opt.kind, opt.size - 1024, 1024), RL_E_NVM_SIZE, "again");
    }
}

void kv_api(const char *name)
{
    static const struct { const char *name; void (*run)(void); } all[] = {
        { "arguments", arguments }, { "regions", regions }, { "full", full },
        { "index_full", index_full }, { "collision", collision },
        { "long_chain", long_chain },
        { "rot_while_open", rot_while_open },
        { "erased_ahead", erased_ahead }, { "smaller_chip", smaller_chip },
    };
    for (uint32_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (strcmp(all[i].name, name) == 0) {
            all[i].run();
            return;
        }
    }
    kv_fail("no call %s", name);
}
