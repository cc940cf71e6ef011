/* relume tests: loses power at every point of whole inferences.
 *
 * Links the shipping store, session, FRAM driver and engine. Usage:
 *   powercut BLOB [--kind fram|flash|file] [--depth N] [--every K]
 *            [--seeds N] [--seed S] [--inferences N] [--base AT]
 *            [--size BYTES] [--fill BYTE] [--seq N [--erases N]] [--real]
 *            [--forge] [--behind] [--volts none|random|high|low|true]
 *            [--replay ID]
 *            [--soak LIVES | --starve TILES | --ration UNITS | --hungry UNITS
 *            | --refuse | --deaf | --rot]
 * TILES, UNITS: all that a charge computes; --hungry: and one cut besides.
 * ID is what a failure prints: kind:depth:op:variant[:op:variant...]:seed,
 * with the other arguments as they were. --seq: the store is an old one, its
 * next record and its sectors' erase counts after the numbers given. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aged.h"
#include "cuts.h"
#include "reference.h"

static uint32_t soak, starve;
static char starving; /* of which option */
static uint32_t aged, seq, erases; /* aged: the store is an old one */
static void (*mode)(void) = cuts_exhaustive;

static uint32_t round_up(uint32_t n, uint32_t to)
{
    return (n + to - 1u) / to * to;
}

/* The smallest NVM that the plan fits. */
static uint32_t smallest_size(void)
{
    const rl_header *h = ref.blob.header;
    if (opt.kind != RL_NVM_FLASH) {
        return round_up(RL_FRAM_HOME + h->nvm_size, 64);
    }
    rl_nvm nvm = { .kind = RL_NVM_FLASH };
    rl_store store = { .nvm = &nvm };
    for (store.size = 3 * RL_FLASH_SECTOR;
         rl_store_fits(&store, h->nvm_size) != RL_OK;) {
        store.size += RL_FLASH_SECTOR;
    }
    return store.size;
}

static int parse_kind(const char *name)
{
    opt.kind = strcmp(name, "fram") == 0 ? RL_NVM_FRAM
             : strcmp(name, "flash") == 0 ? RL_NVM_FLASH
             : strcmp(name, "file") == 0 ? RL_NVM_FILE : 0;
    return opt.kind == 0;
}

static int parse_volts(const char *name)
{
    static const char *const names[] = { "none", "random", "high", "low",
                                         "true" };
    for (opt.volts = 0; opt.volts <= VOLTS_TRUE; opt.volts++) {
        if (strcmp(name, names[opt.volts]) == 0) {
            return 0;
        }
    }
    return 1;
}

static int parse_id(char *id)
{
    char *part = strtok(id, ":");
    if (part == NULL || parse_kind(part) != 0) {
        return 1;
    }
    part = strtok(NULL, ":");
    opt.replay = part == NULL ? 0 : (uint32_t)strtoul(part, NULL, 0);
    if (opt.replay > FAULT_PATH) {
        return 1;
    }
    for (uint32_t i = 0; i < 2 * opt.replay; i++) {
        part = strtok(NULL, ":");
        if (part == NULL) {
            return 1;
        }
        opt.path[i / 2][i % 2] = (uint32_t)strtoul(part, NULL, 0);
    }
    part = strtok(NULL, ":");
    opt.seed = part == NULL ? 0 : strtoull(part, NULL, 0);
    opt.depth = opt.replay;
    return part == NULL;
}

static int parse_number(const char *name, const char *value)
{
    uint32_t n = (uint32_t)strtoul(value, NULL, 0);
    if (strcmp(name, "--base") == 0) opt.base = n;
    else if (strcmp(name, "--depth") == 0) opt.depth = n;
    else if (strcmp(name, "--every") == 0) opt.every = n;
    else if (strcmp(name, "--seeds") == 0) opt.seeds = n;
    else if (strcmp(name, "--seed") == 0) opt.seed = n;
    else if (strcmp(name, "--inferences") == 0) opt.inferences = n;
    else if (strcmp(name, "--size") == 0) opt.size = n;
    else if (strcmp(name, "--fill") == 0) opt.fill = n;
    else if (strcmp(name, "--soak") == 0) soak = n;
    else if (strcmp(name, "--seq") == 0) seq = n, aged = 1;
    else if (strcmp(name, "--erases") == 0) erases = n;
    else if (strcmp(name, "--starve") == 0) starve = n, starving = 't';
    else if (strcmp(name, "--ration") == 0) starve = n, starving = 'u';
    else if (strcmp(name, "--hungry") == 0) starve = n, starving = 'h';
    else return 1;
    return 0;
}

static int parse_flag(const char *name)
{
    if (strcmp(name, "--real") == 0) ref.real = 1;
    else if (strcmp(name, "--forge") == 0) ref.forge = 1;
    else if (strcmp(name, "--behind") == 0) opt.behind = 1;
    else if (strcmp(name, "--refuse") == 0) mode = cuts_refuse;
    else if (strcmp(name, "--deaf") == 0) mode = cuts_deaf;
    else if (strcmp(name, "--rot") == 0) mode = cuts_rot;
    else return 1;
    return 0;
}

static int parse(int argc, char **argv)
{
    opt = (options) { .kind = RL_NVM_FRAM, .depth = 1, .every = 1,
                      .seeds = 1, .seed = 1, .inferences = 3, .fill = 0xFF };
    for (int i = 2; i < argc; i++) {
        if (parse_flag(argv[i]) == 0) {
            continue;
        }
        if (i + 1 == argc) {
            return 1;
        }
        char *value = argv[++i];
        int bad = strcmp(argv[i - 1], "--kind") == 0 ? parse_kind(value)
                : strcmp(argv[i - 1], "--replay") == 0 ? parse_id(value)
                : strcmp(argv[i - 1], "--volts") == 0 ? parse_volts(value)
                : parse_number(argv[i - 1], value);
        if (bad) {
            return 1;
        }
    }
    return argc < 2 || opt.depth > FAULT_PATH || opt.seeds == 0;
}

/* An uncut run first: its cycles and bytes are what the others must have. */
static void run_clean(void)
{
    host h = { 0 };
    expectation anything = { 0 };
    life_setup();
    life_run(0, h, &anything);
    life_teardown();
}

/* Erase counts: sectors wear evenly. */
static void report_wear(void)
{
    uint32_t low = UINT32_MAX, high = 0;
    for (uint32_t at = opt.base; at < opt.size; at += RL_FLASH_SECTOR) {
        uint32_t head[2];
        memcpy(head, lives[0].device.bytes + at, sizeof head);
        uint32_t count = head[0] == 0x31534C52u ? head[1] : 0;
        low = count < low ? count : low;
        high = count > high ? count : high;
    }
    printf(" \"wear_low\": %u, \"wear_high\": %u,", low, high);
}

static void report(void)
{
    uint64_t cuts = 0;
    printf("{\"size\": %u,", opt.size);
    if (opt.kind == RL_NVM_FLASH) {
        report_wear();
    }
    for (uint32_t i = 0; i < FAULT_PATH; i++) {
        cuts += total.cuts[i];
        printf(" \"cuts_%u\": %llu,", i + 1u,
               (unsigned long long)total.cuts[i]);
    }
    printf(" \"cuts\": %llu, \"lives\": %llu, \"operations\": %llu,"
           " \"bytes\": %llu, \"erases\": %llu, \"old\": %llu,"
           " \"new\": %llu, \"passed\": %llu, \"rested\": %llu,"
           " \"streams\": %llu,"
           " \"split\": %llu, \"lost\": %u}\n",
           (unsigned long long)cuts, (unsigned long long)total.lives,
           (unsigned long long)total.ops,
           (unsigned long long)total.traffic,
           (unsigned long long)total.erases,
           (unsigned long long)total.old, (unsigned long long)total.new,
           (unsigned long long)total.passed,
           (unsigned long long)total.rested,
           (unsigned long long)total.streams,
           (unsigned long long)total.split, total.lost);
}

int main(int argc, char **argv)
{
    if (parse(argc, argv) != 0) {
        fprintf(stderr, "usage: see the top of powercut.c\n");
        return 2;
    }
    if (reference_make(argv[1], opt.seed) != 0) {
        return 2;
    }
    if (opt.size == 0) {
        opt.size = opt.base + smallest_size();
    }
    run_clean();
    memset(&total, 0, sizeof total);
    life_setup();
    if (aged) {
        aged_make(&lives[0].device, opt.base, seq, erases);
    }
    if (starving == 'h') {
        cuts_hungry(starve);
    } else if (starving != 0) {
        cuts_starve(starve, starving == 'u');
    } else if (soak > 0) {
        cuts_soak(soak);
    } else {
        mode();
    }
    report();
    life_teardown();
    reference_free();
    return 0;
}
