/* relume: a program's own keys and values in NVM. SPEC 4.4.
 *
 * The index is always what replaying the chain gives: a commit writes its
 * pages and is then read back into the index as rl_kv_open would. */
#include "kv.h"

#include "bytes.h"
#include "crc32.h"
#include "kv_log.h"

/* A failed NVM leaves unknown content: no call passes until the next open. */
static rl_status watch(rl_kv *kv, rl_status status)
{
    if (status == RL_E_NVM) {
        kv->log.broken = 1;
    }
    return status;
}

uint32_t rl_kv_bytes(uint32_t key_n, uint32_t size)
{
    return (uint32_t)sizeof(rl_kv_item) + key_n + size;
}

uint32_t rl_kv_capacity(const rl_kv *kv)
{
    return rl_kv_most(kv) * RL_KV_PAYLOAD;
}

/* -------------------------------------------------------------- places -- */

/* Where n pages in a row may be written; RL_E_FULL: flash must be erased. */
static rl_status room(rl_kv *kv, uint32_t n, uint32_t *ring)
{
    if (rl_kv_flash(kv)) {
        return rl_ring_find(&kv->log, n, ring);
    }
    *ring = kv->log.newest.magic != 0 ? rl_kv_next(kv, kv->log.at) : 0;
    return RL_OK;
}

/* A commit goes behind the chain with its changes alone, `delta` bytes; where
 * the chain would be longer than rl_kv_most, it begins a new one with the
 * whole state. So there is always room beside the chain for another. */
static rl_status settle(rl_kv *kv, uint32_t delta, uint32_t whole,
                        int *snapshot, uint32_t *ring)
{
    uint32_t most = rl_kv_most(kv), n = rl_kv_pages_of(delta);
    uint32_t chain = rl_kv_distance(kv, kv->home, kv->log.at) + 1u;
    *snapshot |= kv->log.newest.magic == 0 || n > most - chain;
    if (!*snapshot) {
        rl_status status = room(kv, n, ring);
        if (status != RL_OK || rl_kv_distance(kv, kv->home, *ring) + n <= most) {
            return status;
        }
        *snapshot = 1;
    }
    return room(kv, rl_kv_pages_of(whole), ring);
}

static rl_status erase(rl_kv *kv)
{
    rl_status status = rl_ring_erase_next(&kv->log);
    kv->erases += status == RL_ERASED;
    return status;
}

/* -------------------------------------------------------------- commit -- */

typedef struct {
    const rl_kv_change *changes;
    uint32_t n;
    uint32_t fresh; /* keys that are not there yet */
    uint32_t delta; /* bytes of the changes */
    uint32_t whole; /* bytes of all entries once they are made */
    int      snapshot;
} work;

static int twice(const work *w, uint32_t i)
{
    const rl_kv_change *a = &w->changes[i];
    for (uint32_t j = 0; j < i; j++) {
        const rl_kv_change *b = &w->changes[j];
        if (a->key_n == b->key_n && rl_bytes_equal(a->key, b->key, a->key_n)) {
            return 1;
        }
    }
    return 0;
}

/* Sums the changes up and marks the entries that they replace. */
static rl_status tally(rl_kv *kv, work *w)
{
    w->whole = kv->live;
    for (uint32_t i = 0; i < w->n; i++) {
        const rl_kv_change *c = &w->changes[i];
        uint32_t at = 0;
        if (c->key_n == 0 || c->key_n > RL_KV_KEY || c->size > RL_KV_VALUE
            || (c->value == NULL && c->size != 0) || twice(w, i)) {
            return RL_E_ARG;
        }
        rl_status status = rl_kv_look(kv, c->key, c->key_n, &at);
        if (status != RL_OK) {
            return status;
        }
        uint32_t bytes = rl_kv_bytes(c->key_n, c->size);
        if (bytes > rl_kv_capacity(kv)) {
            return RL_E_FULL;
        }
        if (at < kv->count) {
            w->whole -= rl_kv_bytes_of(&kv->index[at]);
            kv->index[at].key_n |= RL_KV_GONE;
        }
        w->delta += bytes;
        w->whole += c->value != NULL ? bytes : 0;
        w->fresh += c->value != NULL && at == kv->count;
    }
    return w->whole > rl_kv_capacity(kv) || w->fresh > kv->room - kv->count
         ? RL_E_FULL : RL_OK;
}

/* An entry of the old chain to the new one. */
static rl_status carry(rl_kv *kv, const rl_kv_entry *e)
{
    uint8_t part[32];
    rl_kv_item item;
    rl_kv_place place = { e->at, e->skip };
    rl_status status = rl_kv_get(kv, &place, &item, sizeof item);
    if (status != RL_OK) {
        return status;
    }
    if (item.key_n != e->key_n || item.size != e->size) {
        return RL_E_DAMAGED;
    }
    uint32_t crc = rl_crc32(0, &item, 4);
    status = rl_kv_put(kv, 1, &item, sizeof item);
    uint32_t left = item.key_n + (uint32_t)item.size;
    while (left > 0 && status == RL_OK) {
        uint32_t n = left < sizeof part ? left : (uint32_t)sizeof part;
        status = rl_kv_get(kv, &place, part, n);
        if (status == RL_OK) {
            crc = rl_crc32(crc, part, n);
            status = rl_kv_put(kv, 1, part, n);
        }
        left -= n;
    }
    return status == RL_OK && crc != item.crc ? RL_E_DAMAGED : status;
}

static rl_status put(rl_kv *kv, int snapshot, const rl_kv_change *c)
{
    rl_kv_item item = { (uint8_t)c->key_n, c->value == NULL,
                        (uint16_t)c->size, 0 };
    item.crc = rl_crc32(0, &item, 4);
    item.crc = rl_crc32(item.crc, c->key, c->key_n);
    item.crc = rl_crc32(item.crc, c->value, c->size);
    rl_status status = rl_kv_put(kv, snapshot, &item, sizeof item);
    if (status == RL_OK) {
        status = rl_kv_put(kv, snapshot, c->key, c->key_n);
    }
    if (status == RL_OK) {
        status = rl_kv_put(kv, snapshot, c->value, c->size);
    }
    return status;
}

static rl_status write(rl_kv *kv, const work *w, uint32_t ring)
{
    rl_status status = RL_OK;
    rl_kv_begin(kv, ring);
    for (uint32_t i = 0; w->snapshot && i < kv->count; i++) {
        if (!(kv->index[i].key_n & RL_KV_GONE) && status == RL_OK) {
            status = carry(kv, &kv->index[i]);
        }
    }
    for (uint32_t i = 0; i < w->n && status == RL_OK; i++) {
        if (w->changes[i].value != NULL || !w->snapshot) {
            status = put(kv, w->snapshot, &w->changes[i]);
        }
    }
    return status == RL_OK ? rl_kv_end(kv, w->snapshot) : status;
}

/* The commit is in NVM: brings the index up to it. */
static rl_status adopt(rl_kv *kv, const work *w)
{
    if (w->snapshot) {
        kv->count = 0;
        kv->live = 0;
        kv->snapshots++;
    }
    kv->commits++;
    rl_status status = rl_kv_replay(kv, kv->log.first,
                                    w->snapshot ? w->whole : w->delta);
    return status == RL_OK ? RL_OK : RL_E_NVM;
}

static rl_status commit(rl_kv *kv, work *w)
{
    uint32_t ring = 0;
    rl_status status = settle(kv, w->delta, w->whole, &w->snapshot, &ring);
    if (status == RL_E_FULL) {
        return erase(kv);
    }
    return status == RL_OK ? write(kv, w, ring) : status;
}

rl_status rl_kv_commit(rl_kv *kv, const rl_kv_change *changes, uint32_t n)
{
    work w = { .changes = changes, .n = n };
    if (kv->log.broken) {
        return RL_E_NVM;
    }
    rl_status status = tally(kv, &w);
    if (status == RL_OK && n > 0) {
        status = commit(kv, &w);
    }
    for (uint32_t i = 0; i < kv->count; i++) {
        kv->index[i].key_n &= RL_KV_GONE - 1u;
    }
    if (status == RL_OK && n > 0) {
        status = adopt(kv, &w);
    }
    return watch(kv, status);
}

rl_status rl_kv_prepare(rl_kv *kv, uint32_t bytes)
{
    uint32_t most = rl_kv_capacity(kv), ring = 0;
    int snapshot = 0;
    if (kv->log.broken) {
        return RL_E_NVM;
    }
    if (bytes > most) {
        return RL_E_FULL;
    }
    uint32_t whole = bytes > most - kv->live ? most : kv->live + bytes;
    rl_status status = settle(kv, bytes, whole, &snapshot, &ring);
    return watch(kv, status == RL_E_FULL ? erase(kv) : status);
}

/* The spoilt chain is given up but for its last page, which holds the newest
 * number: it must not be erased before a newer one is there. */
rl_status rl_kv_reset(rl_kv *kv)
{
    work w = { .snapshot = 1 };
    if (!kv->damaged) {
        return RL_E_STATE;
    }
    kv->count = 0;
    kv->live = 0;
    kv->home = kv->log.at;
    kv->log.newest.home = rl_kv_offset(kv, kv->home);
    rl_status status = commit(kv, &w);
    if (status == RL_OK) {
        status = adopt(kv, &w);
        kv->damaged = 0;
        kv->log.broken = 0;
    }
    return watch(kv, status);
}

/* ---------------------------------------------------------------- read -- */

rl_status rl_kv_find(rl_kv *kv, const void *key, uint32_t key_n,
                     uint32_t *at)
{
    if (kv->log.broken) {
        return RL_E_NVM;
    }
    *at = kv->count;
    return key_n > RL_KV_KEY ? RL_OK
                             : watch(kv, rl_kv_look(kv, key, key_n, at));
}

/* The CRC covers key and value, so both are read whatever is wanted. */
rl_status rl_kv_read(rl_kv *kv, uint32_t at, void *key, void *value)
{
    uint8_t name[RL_KV_KEY], part[32];
    rl_kv_item item;
    if (kv->log.broken) {
        return RL_E_NVM;
    }
    if (at >= kv->count) {
        return RL_E_ARG;
    }
    const rl_kv_entry *e = &kv->index[at];
    rl_kv_place place = { e->at, e->skip };
    rl_status status = rl_kv_get(kv, &place, &item, sizeof item);
    if (status == RL_OK) {
        status = rl_kv_get(kv, &place, name, e->key_n);
    }
    uint32_t crc = rl_crc32(rl_crc32(0, &item, 4), name, e->key_n);
    for (uint32_t done = 0; done < e->size && status == RL_OK;) {
        uint32_t n = e->size - done;
        n = n < sizeof part ? n : (uint32_t)sizeof part;
        status = rl_kv_get(kv, &place, part, n);
        crc = rl_crc32(crc, part, n);
        if (value != NULL) {
            rl_bytes_copy((uint8_t *)value + done, part, n);
        }
        done += n;
    }
    if (status == RL_OK && (item.key_n != e->key_n || item.size != e->size
                            || crc != item.crc)) {
        status = RL_E_DAMAGED;
    }
    if (status == RL_OK && key != NULL) {
        rl_bytes_copy(key, name, e->key_n);
    }
    return watch(kv, status);
}

rl_status rl_kv_wear(rl_kv *kv, uint32_t *least, uint32_t *most)
{
    *least = 0;
    *most = 0;
    if (kv->log.broken) {
        return RL_E_NVM;
    }
    return rl_kv_flash(kv) ? watch(kv, rl_kv_counts(kv, least, most)) : RL_OK;
}
