/* relume: from the pages in NVM to the index of keys. SPEC 4.4. */
#include "kv_log.h"

#include "bytes.h"
#include "crc32.h"

/* --------------------------------------------------------------- index -- */

uint32_t rl_kv_bytes_of(const rl_kv_entry *e)
{
    return rl_kv_bytes(e->key_n & (RL_KV_GONE - 1u), e->size);
}

rl_status rl_kv_look(rl_kv *kv, const void *key, uint32_t key_n, uint32_t *at)
{
    uint8_t other[RL_KV_KEY];
    uint32_t hash = rl_crc32(0, key, key_n);
    for (*at = 0; *at < kv->count; ++*at) {
        const rl_kv_entry *e = &kv->index[*at];
        if (e->hash != hash || (e->key_n & (RL_KV_GONE - 1u)) != key_n) {
            continue;
        }
        rl_kv_place place = { e->at, e->skip };
        place = rl_kv_skip(kv, place, sizeof(rl_kv_item));
        rl_status status = rl_kv_get(kv, &place, other, key_n);
        if (status != RL_OK || rl_bytes_equal(other, key, key_n)) {
            return status;
        }
        if (rl_crc32(0, other, key_n) != hash) {
            return RL_E_DAMAGED;
        }
    }
    return RL_OK;
}

static void drop(rl_kv *kv, uint32_t at)
{
    kv->live -= rl_kv_bytes_of(&kv->index[at]);
    kv->count--;
    for (; at < kv->count; at++) {
        kv->index[at] = kv->index[at + 1u];
    }
}

/* Does what the entry says to the index. */
static rl_status apply(rl_kv *kv, const rl_kv_item *e, const uint8_t *key,
                       const rl_kv_place *place)
{
    uint32_t at = 0;
    rl_status status = rl_kv_look(kv, key, e->key_n, &at);
    if (status != RL_OK) {
        return status;
    }
    if (e->gone) {
        if (at < kv->count) {
            drop(kv, at);
        }
        return RL_OK;
    }
    if (at == kv->room) {
        return RL_E_FULL;
    }
    if (at == kv->count) {
        kv->count++;
    } else {
        kv->live -= rl_kv_bytes_of(&kv->index[at]);
    }
    kv->index[at] = (rl_kv_entry) {
        .hash = rl_crc32(0, key, e->key_n), .at = place->ring,
        .size = e->size, .skip = (uint8_t)place->skip, .key_n = e->key_n,
    };
    kv->live += rl_kv_bytes_of(&kv->index[at]);
    return RL_OK;
}

rl_status rl_kv_replay(rl_kv *kv, uint32_t ring, uint32_t left)
{
    rl_kv_place place = { ring, 0 };
    while (left > 0) {
        rl_kv_item e;
        uint8_t key[RL_KV_KEY];
        if (left < sizeof e) {
            return RL_E_DAMAGED;
        }
        rl_kv_place start = rl_kv_skip(kv, place, 0);
        rl_status status = rl_kv_get(kv, &place, &e, sizeof e);
        if (status != RL_OK) {
            return status;
        }
        if (e.key_n == 0 || e.key_n > RL_KV_KEY || e.gone > 1u
            || (e.gone && e.size != 0)
            || rl_kv_bytes(e.key_n, e.size) > left) {
            return RL_E_DAMAGED;
        }
        left -= rl_kv_bytes(e.key_n, e.size);
        status = rl_kv_get(kv, &place, key, e.key_n);
        if (status == RL_OK) {
            status = apply(kv, &e, key, &start);
        }
        if (status != RL_OK) {
            return status;
        }
        place = rl_kv_skip(kv, place, e.size);
    }
    return RL_OK;
}

/* ---------------------------------------------------------------- open -- */

/* From the snapshot to the newest commit, which must be reached. Between two
 * commits may lie pages of commits that a power cut ended. No commit goes
 * beyond the newest, whose last page ends it. */
static rl_status follow(rl_kv *kv)
{
    uint32_t left = rl_kv_distance(kv, kv->home, kv->log.at) + 1u;
    uint32_t ring = kv->home, first = kv->base;
    if (left > rl_kv_most(kv)) {
        return RL_E_DAMAGED;
    }
    while (left > 0) {
        uint32_t last = ring, seq = 0, bytes = 0;
        int yes = 0;
        rl_status status = rl_kv_whole(kv, first, &last, &seq, &bytes, &yes);
        if (status == RL_OK && yes) {
            status = rl_kv_replay(kv, ring, bytes);
            first = seq + 1u;
        }
        if (status != RL_OK) {
            return status;
        }
        if (!yes && (left == 1u || first == kv->base)) {
            return RL_E_DAMAGED;
        }
        left -= rl_kv_distance(kv, ring, last) + 1u;
        ring = rl_kv_next(kv, last);
    }
    return RL_OK;
}

static rl_status mount(rl_kv *kv)
{
    rl_kv_head head = { 0 };
    int found = 0;
    rl_status status = rl_kv_newest(kv, &head, &kv->log.at, &found);
    if (status != RL_OK || !found) {
        return status;
    }
    kv->base = head.base;
    kv->home = head.home;
    kv->log.newest.magic = RL_RECORD_MAGIC;
    kv->log.newest.seq = head.seq;
    kv->log.newest.home = rl_kv_offset(kv, head.home);
    return follow(kv);
}

rl_status rl_kv_counts(rl_kv *kv, uint32_t *least, uint32_t *most)
{
    *least = 0;
    *most = 0;
    for (uint32_t s = 0; s < rl_ring_sectors(&kv->log); s++) {
        rl_sector_header header;
        int valid = 0;
        rl_status status = rl_ring_header(&kv->log, s, &header, &valid);
        if (status != RL_OK) {
            return status;
        }
        uint32_t count = valid ? header.erase_count : 0;
        *least = s == 0 || count < *least ? count : *least;
        *most = count > *most ? count : *most;
    }
    return RL_OK;
}

static rl_status prepare_nvm(rl_kv *kv)
{
    rl_store *log = &kv->log;
    uint32_t least;
    if (!rl_kv_flash(kv)) {
        return log->size < 4u * RL_FLASH_PAGE ? RL_E_NVM_SIZE
                                              : rl_store_bytes_probe(log);
    }
    if (log->base % RL_FLASH_SECTOR != 0 || log->size % RL_FLASH_SECTOR != 0
        || rl_ring_sectors(log) < 3) {
        return RL_E_NVM_SIZE;
    }
    return rl_kv_counts(kv, &least, &log->wear);
}

rl_status rl_kv_open(rl_kv *kv, rl_nvm *nvm, uint32_t base, uint32_t size,
                     rl_kv_entry *index, uint32_t room)
{
    rl_bytes_fill(kv, 0, sizeof *kv);
    kv->log.nvm = nvm;
    kv->log.base = base;
    kv->log.size = size;
    kv->log.broken = 1;
    kv->index = index;
    kv->room = room;
    if (nvm->kind < RL_NVM_FRAM || nvm->kind > RL_NVM_FILE) {
        return RL_E_NVM_KIND;
    }
    if (base > nvm->size || size > nvm->size - base) {
        return RL_E_NVM_SIZE;
    }
    rl_status status = prepare_nvm(kv);
    if (status == RL_OK) {
        status = mount(kv);
    }
    kv->damaged = status == RL_E_DAMAGED;
    kv->log.broken = status != RL_OK;
    return status;
}
