/* relume fuzz target: keys and values in any content (SECURITY K1 to K4).
 *
 * input: u8 how (0 to 2: NVM; 4 reseal pages and entries), content. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "images.h"
#include "kv.h"
#include "target.h"

#define RESEAL 4u
#define SECTORS 4u
#define PLAIN 2048u /* bytes of FRAM and file */
#define ROOM 24u    /* keys */
#define HEAD 28u    /* of a page */

enum { OPENED, KEYS, DAMAGED, SPOILT, COMMITS, FULL, OVERTAKEN };
target_count target_counts[] = {
    { "opened", 0 }, { "keys", 0 }, { "damaged", 0 }, { "spoilt", 0 },
    { "commits", 0 }, { "full", 0 }, { "overtaken", 0 },
    { NULL, 0 }
};

typedef struct {
    fault       device;
    rl_nvm      nvm;
    rl_kv       kv;
    rl_kv_entry index[ROOM];
    int         near; /* no page's number is far ahead */
    jmp_buf     overtaken;
} life;

static rl_status turn_on(life *l)
{
    PROMISE(fault_power(&l->device, &l->nvm) == RL_OK, "no power");
    return rl_kv_open(&l->kv, &l->nvm, 0, l->device.size, l->index, ROOM);
}

static rl_status commit(life *l, const rl_kv_change *changes, uint32_t n)
{
    rl_status status;
    do {
        status = rl_kv_commit(&l->kv, changes, n);
    } while (status == RL_ERASED);
    return status;
}

/* Reads every key; what it reads is whole or said to be damaged. */
static uint32_t read_all(life *l)
{
    uint8_t key[RL_KV_KEY];
    uint32_t spoilt = 0, found;
    for (uint32_t i = 0; i < l->kv.count; i++) {
        uint8_t *value = target_exact(NULL, l->index[i].size);
        rl_status status = rl_kv_read(&l->kv, i, key, value);
        PROMISE(status == RL_OK || status == RL_E_DAMAGED,
                rl_status_text(status));
        spoilt += status == RL_E_DAMAGED;
        if (status == RL_OK) {
            PROMISE(rl_kv_find(&l->kv, key, l->index[i].key_n & 0x7Fu, &found)
                    == RL_OK && found == i, "a key is not found again");
        }
        free(value);
    }
    target_counts[KEYS].n += l->kv.count;
    target_counts[SPOILT].n += spoilt;
    return spoilt;
}

/* After a commit that was accepted the state is the one that it made, also
 * for the next turn-on. Only pages that nobody wrote, with the right CRC and
 * numbers half of all numbers ahead, may pass for newer ones. */
static void put(life *l, uint8_t tag)
{
    uint8_t value[300], have[300];
    uint32_t at, size = 1u + 37u * (tag & 7u), was = l->kv.count;
    rl_kv_change changes[2] = { { "put", value, 3, size },
                                { "gone", NULL, 4, 0 } };
    memset(value, tag, sizeof value);
    rl_status status = commit(l, changes, 2);
    PROMISE(status == RL_OK || status == RL_E_FULL || status == RL_E_DAMAGED,
            rl_status_text(status));
    if (status != RL_OK) {
        target_counts[FULL].n++;
        PROMISE(l->kv.count == was, "a refused commit changed the keys");
        return;
    }
    target_counts[COMMITS].n++;
    uint32_t count = l->kv.count;
    int same = turn_on(l) == RL_OK && l->kv.count == count
        && rl_kv_find(&l->kv, "put", 3, &at) == RL_OK && at < count
        && l->index[at].size == size
        && rl_kv_read(&l->kv, at, NULL, have) == RL_OK
        && memcmp(have, value, size) == 0;
    if (!same && !l->near) {
        target_counts[OVERTAKEN].n++;
        longjmp(l->overtaken, 1);
    }
    PROMISE(same, "a commit is gone, or another, at the next turn-on");
}

static void live(life *l, uint32_t puts)
{
    rl_status status = turn_on(l);
    if (status == RL_E_FULL) {
        target_counts[FULL].n++;
        return; /* more keys than the index has room for */
    }
    if (status == RL_E_DAMAGED) {
        target_counts[DAMAGED].n++;
        do {
            status = rl_kv_reset(&l->kv);
        } while (status == RL_ERASED);
    }
    PROMISE(status == RL_OK, rl_status_text(status));
    target_counts[OPENED].n++;
    read_all(l);
    if (setjmp(l->overtaken) == 0) {
        for (uint32_t i = 0; i < puts; i++) {
            put(l, (uint8_t)i);
        }
    }
    PROMISE(l->device.violation == NULL, l->device.violation);
}

/* ------------------------------------------------------------- content -- */

static uint32_t u16(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8;
}

/* Page: CRC of its head and payload. Entries that begin in it: the CRC of
 * those that end in it, too. */
static void reseal_page(uint8_t *page)
{
    uint8_t sealed[RL_FLASH_PAGE + 4];
    uint32_t used = u16(page + 20);
    used = used < RL_FLASH_PAGE - HEAD ? used : RL_FLASH_PAGE - HEAD;
    for (uint32_t at = HEAD; at + 8u < HEAD + used;) {
        uint32_t n = page[at] + u16(page + at + 2);
        if (n > HEAD + used - at - 8u) {
            break;
        }
        memcpy(sealed, page + at, 4);
        memcpy(sealed + 4, page + at + 8, n);
        target_seal(sealed, 4u + n);
        memcpy(page + at + 4, sealed + 4 + n, 4);
        at += 8u + n;
    }
    memcpy(sealed, page, 24);
    memcpy(sealed + 24, page + HEAD, used);
    target_seal(sealed, 24u + used);
    memcpy(page + 24, sealed + 24 + used, 4);
}

static void reseal(fault *device)
{
    for (uint32_t at = 0; at < device->size; at += RL_FLASH_PAGE) {
        if (memcmp(device->bytes + at, "RLK1", 4) == 0) {
            reseal_page(device->bytes + at);
        } else if (memcmp(device->bytes + at, "RLS1", 4) == 0) {
            target_seal(device->bytes + at, 8);
        }
    }
}

static int is_near(const fault *device)
{
    for (uint32_t at = 0; at < device->size; at += RL_FLASH_PAGE) {
        uint32_t seq;
        memcpy(&seq, device->bytes + at + 4, 4);
        if (memcmp(device->bytes + at, "RLK1", 4) == 0 && seq >= 1u << 30) {
            return 0;
        }
    }
    return 1;
}

static uint8_t kind_of(uint8_t how)
{
    return (uint8_t)(RL_NVM_FRAM + (how & 3u) % 3u);
}

static uint32_t size_of(uint8_t kind)
{
    return kind == RL_NVM_FLASH ? SECTORS * RL_FLASH_SECTOR : PLAIN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1) {
        return 0;
    }
    uint8_t kind = kind_of(data[0]);
    life *l = target_exact(NULL, sizeof *l);
    image_make(&l->device, kind, size_of(kind), data + 1, n - 1);
    if (data[0] & RESEAL) {
        reseal(&l->device);
    }
    l->near = is_near(&l->device);
    live(l, 4);
    fault_free(&l->device);
    free(l);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most,
                               unsigned seed)
{
    target_dice(seed);
    if (n < 300 || target_roll(6) == 0) {
        return LLVMFuzzerMutate(data, n, most);
    }
    for (uint32_t i = 1u + target_roll(4); i > 0; i--) {
        image_mutate(RL_NVM_FLASH, data + 1, n - 1); /* pages here too */
    }
    return n;
}

size_t target_seed(uint32_t number, uint8_t *to, size_t most)
{
    life *l = target_exact(NULL, sizeof *l);
    to[0] = (uint8_t)(number % 3u | RESEAL);
    uint8_t kind = kind_of(to[0]);
    fault_make(&l->device, kind, size_of(kind), 0xFF);
    l->near = 1;
    live(l, number / 3u);
    size_t n = 1u + image_write(&l->device, to + 1, most - 1);
    fault_free(&l->device);
    free(l);
    return n;
}
