/* relume tests: loses power at every point of a script of commits (K1).
 *
 *   kvcuts [--kind fram|flash|file] [--depth N] [--every K] [--seeds N]
 *          [--seed S] [--steps N] [--most BYTES] [--base AT] [--room BYTES]
 *          [--size BYTES] [--fill BYTE] [--after N] [--ahead BYTES]
 *          [--soak LIVES | --wear N | --refuse 1 | --deaf 1 | --rot 1
 *           | --noise ROUNDS | --api NAME]
 * Exit code 1: a promise was broken. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "kv_log.h"
#include "kvapi.h"
#include "kvlife.h"

static uint32_t soak, wear, refuse, deaf, rot, noise;
static const char *api;

static void must(int verdict)
{
    if (verdict != 0) {
        kv_fail(verdict < 0 ? "damaged" : "another state");
    }
}

/* ---------------------------------------------------------- exhaustive -- */

static int wanted(uint32_t depth, uint32_t op, uint32_t variant)
{
    uint64_t where = (uint64_t)lives[0].op << 32 | lives[0].variant;
    uint64_t roll = fault_hash(fault_hash(opt.seed, where),
                               (uint64_t)op << 32 | variant);
    return depth == 0 || roll % opt.every == 0;
}

/* Is the operation the last page of a commit? */
static int ends(const fault_op *op)
{
    rl_kv_head head;
    if (op->kind == OP_ERASE || op->n < sizeof head) {
        return 0;
    }
    memcpy(&head, op->data, sizeof head);
    return head.magic == RL_KV_MAGIC && head.end;
}

static void strike_all(fault *device, const fault_op *op)
{
    kv_life *l = device->ctx;
    uint32_t variants = fault_variants(op, opt.seeds);
    if (l->depth >= opt.depth) {
        return;
    }
    kv_life *next = &lives[l->depth + 1u];
    l->op = device->ops;
    for (uint32_t v = 0; v < variants; v++) {
        l->variant = v;
        if (!wanted(l->depth, l->op, v)) {
            continue;
        }
        fault_cut(&next->device, device, op, v, opt.seeds,
                  fault_hash(opt.seed, l->op));
        total.cuts++;
        int new = l->maybe || (ends(op) && v > 0);
        must(kv_boot(l->depth + 1u, l->now, new));
        if (ends(op) && v + 1u == variants && next->now != l->now + 1u) {
            kv_fail("a whole commit was lost");
        }
        kv_go(next, next->now + opt.after);
    }
}

static void exhaustive(void)
{
    kv_strike = strike_all;
    must(kv_boot(0, 0, 0));
    kv_go(&lives[0], opt.steps);
}

/* ---------------------------------------------------------------- soak -- */

static jmp_buf off;
static uint32_t left, turn;
static int ended;

static void strike_soak(fault *device, const fault_op *op)
{
    uint32_t variants = fault_variants(op, opt.seeds);
    uint64_t roll = fault_hash(opt.seed, turn);
    fault_op nothing = { OP_WRITE, 0, 0, NULL };
    if (left-- > 0) {
        return;
    }
    fault *copy = &lives[1].device;
    ended = lives[0].maybe || ends(op);
    fault_cut(copy, device, op, (uint32_t)(roll % variants), opt.seeds, roll);
    fault_cut(device, copy, &nothing, 0, 1, 0);
    total.cuts++;
    longjmp(off, 1);
}

static void many_lives(void)
{
    kv_strike = strike_soak;
    for (turn = 1; turn <= soak; turn++) {
        left = (uint32_t)(fault_hash(opt.seed ^ 0x50AC, turn) % 12u);
        if (setjmp(off) == 0) {
            must(kv_boot(0, lives[0].now, ended));
            ended = 0;
            kv_go(&lives[0], opt.steps);
            return;
        }
    }
    kv_fail("%u lives were not enough", soak);
}

/* ---------------------------------------------------------------- wear -- */

/* The same keys over and over. Now and then the board restarts, and one sector
 * has lost its header, as after a cut between erase and header. */
static void wear_out(void)
{
    kv_life *l = &lives[0];
    uint8_t data[64];
    uint32_t least = 0, most = 0;
    for (uint32_t i = 0; i < wear; i++) {
        uint64_t roll = fault_hash(opt.seed, i);
        rl_kv_change c = { &data[32], data, 1u, (uint32_t)(roll % 32u) };
        if (i % 1000u == 0) {
            uint32_t at = (uint32_t)(roll % (opt.room / RL_FLASH_SECTOR));
            at = opt.base + at * RL_FLASH_SECTOR;
            memset(l->device.bytes + at, 0, i > 0 ? 16 : 0);
            kv_boot(0, 0, 0);
        }
        memcpy(data, &roll, sizeof roll);
        data[32] = (uint8_t)(i % 10u);
        rl_status status = RL_ERASED;
        while (status == RL_ERASED) {
            status = rl_kv_commit(&l->kv, &c, 1);
            total.erases += status == RL_ERASED;
        }
        if (status != RL_OK) {
            kv_fail("commit %u: %s", i, rl_status_text(status));
        }
        total.commits++;
    }
    if (rl_kv_wear(&l->kv, &least, &most) != RL_OK || most > 2u * least + 2u) {
        kv_fail("sectors erased %u to %u times", least, most);
    }
}

/* ------------------------------------------------------- broken drivers -- */

static uint32_t countdown;
static int dead;
static rl_nvm real;

static int spoiled(void)
{
    dead |= countdown-- == 0;
    return dead;
}

static rl_status read_refused(rl_nvm *nvm, uint32_t at, void *data, uint32_t n)
{
    return spoiled() ? RL_E_NVM : real.read(nvm, at, data, n);
}

static rl_status write_refused(rl_nvm *nvm, uint32_t at, const void *data,
                               uint32_t n)
{
    return spoiled() ? RL_E_NVM : real.write(nvm, at, data, n);
}

static rl_status erase_refused(rl_nvm *nvm, uint32_t at)
{
    return spoiled() ? RL_E_NVM : real.erase(nvm, at);
}

static rl_status write_deaf(rl_nvm *nvm, uint32_t at, const void *data,
                            uint32_t n)
{
    return spoiled() ? RL_OK : real.write(nvm, at, data, n);
}

static rl_status erase_deaf(rl_nvm *nvm, uint32_t at)
{
    return spoiled() ? RL_OK : real.erase(nvm, at);
}

static void wrap(rl_nvm *nvm)
{
    real = *nvm;
    nvm->read = refuse ? read_refused : real.read;
    nvm->write = refuse ? write_refused : write_deaf;
    nvm->erase = refuse ? erase_refused : erase_deaf;
}

/* The n-th call fails, for every n; a call after it fails too, and the next
 * life finds the old state or the new one. */
static void broken_drivers(void)
{
    jmp_buf escape;
    for (volatile uint32_t n = 0;; n++) {
        kv_life *l = &lives[0];
        fault_free(&l->device);
        fault_make(&l->device, opt.kind, opt.size, opt.fill);
        countdown = n;
        dead = 0;
        kv_wrap = wrap;
        kv_escape = &escape;
        l->now = 0;
        if (setjmp(escape) == 0) {
            must(kv_boot(0, 0, 0));
            kv_go(l, opt.steps / 2u);
            must(kv_boot(0, l->now, 0));
            kv_go(l, opt.steps);
            kv_escape = NULL;
            kv_wrap = NULL;
            if (dead) {
                kv_fail("call %u failed and nobody noticed", n);
            }
            return;
        }
        kv_escape = NULL;
        uint32_t at;
        rl_kv_change c = { "k", "v", 1, 1 };
        if (rl_kv_commit(&l->kv, &c, 1) != RL_E_NVM
            || rl_kv_find(&l->kv, "k", 1, &at) != RL_E_NVM
            || rl_kv_read(&l->kv, 0, NULL, NULL) != RL_E_NVM
            || rl_kv_wear(&l->kv, &at, &at) != RL_E_NVM
            || rl_kv_prepare(&l->kv, 1) != RL_E_NVM) {
            kv_fail("call %u failed and the store is used on", n);
        }
        kv_wrap = NULL;
        total.cuts++;
        must(kv_boot(0, l->now, l->now < opt.steps));
        kv_go(l, opt.steps);
    }
}

/* ----------------------------------------------------------------- rot -- */

/* A spoilt last page is no commit: the state before is found. Any other byte
 * matters not at all, or is found to be damaged. */
static void flip_each_byte(void)
{
    kv_life *l = &lives[0];
    must(kv_boot(0, 0, 0));
    kv_go(l, opt.steps);
    for (uint32_t at = opt.base; at < opt.base + opt.room; at++) {
        fault_op nothing = { OP_WRITE, 0, 0, NULL };
        fault_cut(&lives[1].device, &l->device, &nothing, 0, 1, 0);
        lives[1].device.bytes[at] ^= 0x41;
        int verdict = kv_boot(1, opt.steps, 0);
        total.cuts++;
        if (verdict == 1) {
            if (!kv_equal(&lives[1], opt.steps - 1u)) {
                kv_fail("byte %u spoilt: another state", at);
            }
            total.new++;
        }
        if (verdict < 0) {
            rl_status status = RL_ERASED;
            total.erases++;
            while (status == RL_ERASED) {
                status = rl_kv_reset(&lives[1].kv);
            }
            if (status != RL_OK || !kv_equal(&lives[1], 0)) {
                kv_fail("reset: %s", rl_status_text(status));
            }
            must(kv_boot(1, 0, 0));
        }
    }
}

/* --------------------------------------------------------------- noise -- */

static uint64_t reads;

static rl_status read_counted(rl_nvm *nvm, uint32_t at, void *data,
                              uint32_t n)
{
    reads += n;
    return real.read(nvm, at, data, n);
}

static void wrap_counted(rl_nvm *nvm)
{
    real = *nvm;
    nvm->read = read_counted;
}

/* The pages' CRCs are right again, so that what they say is believed. */
static void reseal(uint8_t *page)
{
    rl_kv_head head;
    memcpy(&head, page, sizeof head);
    if (head.magic == RL_KV_MAGIC && head.used <= RL_KV_PAYLOAD) {
        uint32_t crc = rl_crc32(0, page, sizeof head - 4u);
        crc = rl_crc32(crc, page + sizeof head, head.used);
        memcpy(page + sizeof head - 4u, &crc, 4);
    }
}

static void disturb(uint8_t *bytes, uint32_t round)
{
    uint64_t roll = fault_hash(opt.seed ^ 0xD15, round);
    uint32_t pages = opt.room / RL_FLASH_PAGE;
    for (uint32_t i = 0; i < 1u + roll % 6u; i++) {
        uint64_t r = fault_hash(roll, i);
        uint8_t *page = bytes + opt.base + r % pages * RL_FLASH_PAGE;
        uint8_t *other = bytes + opt.base + (r >> 12) % pages * RL_FLASH_PAGE;
        uint32_t at = (uint32_t)(r >> 24) % (r >> 60 ? 64u : 256u);
        switch ((r >> 40) % 4u) {
        case 0: memmove(page, other, RL_FLASH_PAGE); break;
        case 1: page[at] ^= (uint8_t)(1u << (r >> 50) % 8u); break;
        case 2: page[at] = (uint8_t)(r >> 50); break;
        default: page[at & 31u] = (uint8_t)((r >> 50) % 3u); break;
        }
        if (roll & 0x10000u) {
            reseal(page);
        }
    }
}

/* Whatever is found, it is found in bounded time, and the store goes on. */
static void go_on(kv_life *l, rl_status status)
{
    uint8_t value[RL_KV_VALUE], key[RL_KV_KEY];
    rl_kv_change c = { "noise", "gone", 5, 4 };
    if (status == RL_E_DAMAGED) {
        total.old++;
        for (status = RL_ERASED; status == RL_ERASED;) {
            status = rl_kv_reset(&l->kv);
        }
    }
    if (status == RL_E_FULL) {
        return;
    }
    for (uint32_t i = 0; i < l->kv.count && status == RL_OK; i++) {
        status = rl_kv_read(&l->kv, i, key, value);
        status = status == RL_E_DAMAGED ? RL_OK : status;
    }
    if (status != RL_OK) {
        kv_fail("reading: %s", rl_status_text(status));
    }
    for (status = RL_ERASED; status == RL_ERASED;) {
        status = rl_kv_commit(&l->kv, &c, 1);
    }
    total.new++;
    uint32_t at = 0;
    if (status == RL_OK && (rl_kv_find(&l->kv, "noise", 5, &at) != RL_OK
                            || at >= l->kv.count)) {
        kv_fail("what was put is not there");
    }
    if (status != RL_OK && status != RL_E_FULL && status != RL_E_DAMAGED
        && status != RL_E_NVM_SIZE) {
        kv_fail("going on: %s", rl_status_text(status));
    }
}

static void any_content(void)
{
    kv_life *l = &lives[0];
    must(kv_boot(0, 0, 0));
    kv_go(l, opt.steps);
    total.old = 0;
    for (uint32_t round = 0; round < noise; round++) {
        kv_life *other = &lives[1];
        fault_op nothing = { OP_WRITE, 0, 0, NULL };
        fault_cut(&other->device, &l->device, &nothing, 0, 1, 0);
        disturb(other->device.bytes, round);
        other->device.ctx = other;
        if (fault_power(&other->device, &other->nvm) != RL_OK) {
            kv_fail("no power");
        }
        wrap_counted(&other->nvm);
        reads = 0;
        rl_status status = rl_kv_open(&other->kv, &other->nvm, opt.base,
                                      opt.room, other->index, INDEX);
        if (reads > 8u * opt.room) {
            kv_fail("%llu bytes read to open", (unsigned long long)reads);
        }
        total.cuts += status == RL_OK;
        go_on(other, status);
        if (other->device.violation != NULL
            && opt.kind != RL_NVM_FLASH) {
            kv_fail("%s", other->device.violation);
        }
    }
}

/* ---------------------------------------------------------------- main -- */

static uint8_t kind_of(const char *name)
{
    return strcmp(name, "fram") == 0 ? RL_NVM_FRAM
         : strcmp(name, "flash") == 0 ? RL_NVM_FLASH : RL_NVM_FILE;
}

static int parse(int argc, char **argv)
{
    static const struct { const char *name; uint32_t *to; } numbers[] = {
        { "--depth", &opt.depth }, { "--every", &opt.every },
        { "--seeds", &opt.seeds }, { "--steps", &opt.steps },
        { "--most", &opt.most }, { "--base", &opt.base },
        { "--room", &opt.room }, { "--size", &opt.size },
        { "--fill", &opt.fill }, { "--after", &opt.after },
        { "--ahead", &opt.ahead }, { "--soak", &soak }, { "--wear", &wear },
        { "--refuse", &refuse }, { "--deaf", &deaf }, { "--rot", &rot },
        { "--noise", &noise },
    };
    opt = (kv_options) { .kind = RL_NVM_FRAM, .depth = 1, .every = 1,
        .seeds = 1, .steps = 24, .fill = 0xFF, .most = 300, .after = 3,
        .seed = 1 };
    for (int i = 1; i + 1 < argc; i += 2) {
        uint32_t found = 0;
        for (uint32_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            if (strcmp(argv[i], numbers[k].name) == 0) {
                *numbers[k].to = (uint32_t)strtoul(argv[i + 1], NULL, 0);
                found = 1;
            }
        }
        if (strcmp(argv[i], "--api") == 0) api = argv[i + 1];
        else if (strcmp(argv[i], "--kind") == 0) opt.kind = kind_of(argv[i + 1]);
        else if (strcmp(argv[i], "--seed") == 0) opt.seed = strtoull(argv[i + 1], NULL, 0);
        else if (!found) return 1;
    }
    uint32_t room = opt.kind == RL_NVM_FLASH ? 5u * RL_FLASH_SECTOR : 8192u;
    opt.room = opt.room ? opt.room : room;
    opt.size = opt.size ? opt.size : opt.base + opt.room;
    return opt.depth > DEPTH || opt.every == 0 || opt.seeds == 0
        || opt.steps > MOST_STEPS || opt.base + opt.room > opt.size;
}

static void report(void)
{
    uint32_t least = 0, most = 0;
    if (!refuse && !deaf && !api) {
        (void)!rl_kv_wear(&lives[0].kv, &least, &most);
    }
    printf("{\"cuts\": %llu, \"lives\": %llu, \"ops\": %llu,"
           " \"commits\": %llu, \"snapshots\": %llu, \"erases\": %llu,"
           " \"old\": %llu, \"new\": %llu, \"wear_low\": %u,"
           " \"wear_high\": %u, \"capacity\": %u}\n",
           (unsigned long long)total.cuts, (unsigned long long)total.lives,
           (unsigned long long)total.ops, (unsigned long long)total.commits,
           (unsigned long long)total.snapshots,
           (unsigned long long)total.erases, (unsigned long long)total.old,
           (unsigned long long)total.new, least, most,
           rl_kv_capacity(&lives[0].kv));
}

int main(int argc, char **argv)
{
    if (parse(argc, argv) != 0) {
        fprintf(stderr, "usage: see the top of kvcuts.c\n");
        return 2;
    }
    kv_script();
    kv_setup();
    if (api) kv_api(api);
    else if (soak) many_lives();
    else if (wear) wear_out();
    else if (refuse || deaf) broken_drivers();
    else if (rot) flip_each_byte();
    else if (noise) any_content();
    else exhaustive();
    report();
    kv_teardown();
    return 0;
}
