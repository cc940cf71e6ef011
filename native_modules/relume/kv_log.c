/* relume: the ring of pages that keys and values are written in. SPEC 4.4.
 *
 * K1 holds because the pages of a commit lie outside the chain, the last one
 * is written last, and only a last page makes those before it count. */
#include "kv_log.h"

#include "bytes.h"
#include "crc32.h"

/* ---------------------------------------------------------------- ring -- */

int rl_kv_flash(const rl_kv *kv)
{
    return kv->log.nvm->kind == RL_NVM_FLASH;
}

uint32_t rl_kv_pages(const rl_kv *kv)
{
    return rl_kv_flash(kv) ? rl_ring_size(&kv->log)
                           : kv->log.size / RL_FLASH_PAGE - 1u;
}

/* The chain and a run of as many pages beside it. On flash n pages in a row
 * touch (n + 13) / 15 + 1 sectors, which cannot be erased meanwhile. */
uint32_t rl_kv_most(const rl_kv *kv)
{
    uint32_t n = rl_kv_pages(kv) / 2u;
    if (rl_kv_flash(kv)) {
        uint32_t span = (n + RL_FLASH_RING - 2u) / RL_FLASH_RING + 1u;
        uint32_t need = (n + RL_FLASH_RING - 1u) / RL_FLASH_RING;
        while (span + need > rl_ring_sectors(&kv->log)) {
            n--;
            span = (n + RL_FLASH_RING - 2u) / RL_FLASH_RING + 1u;
            need = (n + RL_FLASH_RING - 1u) / RL_FLASH_RING;
        }
    }
    return n;
}

uint32_t rl_kv_pages_of(uint32_t bytes)
{
    return bytes == 0 ? 1u : (bytes - 1u) / RL_KV_PAYLOAD + 1u;
}

uint32_t rl_kv_offset(const rl_kv *kv, uint32_t ring)
{
    return rl_kv_flash(kv) ? rl_ring_offset(ring)
                           : (ring + 1u) * RL_FLASH_PAGE;
}

uint32_t rl_kv_next(const rl_kv *kv, uint32_t ring)
{
    return ring + 1u == rl_kv_pages(kv) ? 0 : ring + 1u;
}

uint32_t rl_kv_distance(const rl_kv *kv, uint32_t a, uint32_t b)
{
    return b >= a ? b - a : b + rl_kv_pages(kv) - a;
}

/* --------------------------------------------------------------- pages -- */

/* Into the page of the next byte. */
static void turn(const rl_kv *kv, rl_kv_place *place)
{
    while (place->skip >= RL_KV_PAYLOAD) {
        place->ring = rl_kv_next(kv, place->ring);
        place->skip -= RL_KV_PAYLOAD;
    }
}

rl_kv_place rl_kv_skip(const rl_kv *kv, rl_kv_place place, uint32_t n)
{
    place.skip += n;
    turn(kv, &place);
    return place;
}

rl_status rl_kv_get(rl_kv *kv, rl_kv_place *place, void *to, uint32_t n)
{
    uint8_t *bytes = (uint8_t *)to;
    while (n > 0) {
        turn(kv, place);
        uint32_t part = RL_KV_PAYLOAD - place->skip;
        part = part < n ? part : n;
        uint32_t at = rl_kv_offset(kv, place->ring)
                    + (uint32_t)sizeof(rl_kv_head) + place->skip;
        rl_status status = rl_store_read(&kv->log, at, bytes, part);
        if (status != RL_OK) {
            return status;
        }
        bytes += part;
        place->skip += part;
        n -= part;
    }
    return RL_OK;
}

/* sound: its fields can be those of a page. The CRC is not looked at. */
static rl_status read_head(rl_kv *kv, uint32_t ring, rl_kv_head *head,
                           int *sound)
{
    rl_status status = rl_store_read(&kv->log, rl_kv_offset(kv, ring), head,
                                     sizeof *head);
    *sound = status == RL_OK && head->magic == RL_KV_MAGIC
          && head->used <= RL_KV_PAYLOAD && head->end <= 1u
          && head->reserved == 0 && head->home < rl_kv_pages(kv)
          && (head->end || head->used == RL_KV_PAYLOAD);
    return status;
}

static uint32_t head_crc(const rl_kv_head *head)
{
    return rl_crc32(0, head, sizeof *head - sizeof head->crc);
}

/* Does the CRC hold? */
static rl_status proven(rl_kv *kv, uint32_t ring, const rl_kv_head *head,
                        int *yes)
{
    uint8_t part[32];
    uint32_t crc = head_crc(head);
    rl_kv_place place = { ring, 0 };
    for (uint32_t left = head->used; left > 0;) {
        uint32_t n = left < sizeof part ? left : (uint32_t)sizeof part;
        rl_status status = rl_kv_get(kv, &place, part, n);
        if (status != RL_OK) {
            return status;
        }
        crc = rl_crc32(crc, part, n);
        left -= n;
    }
    *yes = crc == head->crc;
    return RL_OK;
}

/* ---------------------------------------------------------------- open -- */

/* sure: pages whose CRC does not hold are passed over. */
static rl_status scan(rl_kv *kv, int sure, rl_kv_head *newest, uint32_t *at,
                      int *found)
{
    *found = 0;
    for (uint32_t ring = 0; ring < rl_kv_pages(kv); ring++) {
        rl_kv_head head;
        int good = 0;
        rl_status status = read_head(kv, ring, &head, &good);
        good = good && head.end
            && (!*found || rl_record_after(head.seq, newest->seq));
        if (status == RL_OK && good && sure) {
            status = proven(kv, ring, &head, &good);
        }
        if (status != RL_OK) {
            return status;
        }
        if (good) {
            *newest = head;
            *at = ring;
            *found = 1;
        }
    }
    return RL_OK;
}

/* Headers alone as a rule: the newest is torn after some cuts only. */
rl_status rl_kv_newest(rl_kv *kv, rl_kv_head *head, uint32_t *ring,
                       int *found)
{
    int yes = 0;
    rl_status status = scan(kv, 0, head, ring, found);
    if (status == RL_OK && *found) {
        status = proven(kv, *ring, head, &yes);
        if (status == RL_OK && !yes) {
            status = scan(kv, 1, head, ring, found);
        }
    }
    return status;
}

rl_status rl_kv_whole(rl_kv *kv, uint32_t first, uint32_t *ring,
                      uint32_t *seq, uint32_t *bytes, int *yes)
{
    rl_kv_head head = { 0 };
    uint32_t at = *ring;
    *bytes = 0;
    *seq = first;
    for (;; at = rl_kv_next(kv, at), ++*seq) {
        rl_status status = read_head(kv, at, &head, yes);
        *yes = *yes && head.seq == *seq && head.first == first
            && head.base == kv->base && head.home == kv->home;
        if (status == RL_OK && *yes) {
            status = proven(kv, at, &head, yes);
        }
        if (status != RL_OK || !*yes) {
            return status;
        }
        *bytes += head.used;
        if (head.end) {
            *ring = at;
            return RL_OK;
        }
    }
}

/* -------------------------------------------------------------- commit -- */

void rl_kv_begin(rl_kv *kv, uint32_t ring)
{
    kv->log.first = ring;
    kv->log.pending = ring;
    kv->log.fill = 0;
}

/* The page under way; number and base follow from how far it is. */
static rl_status flush(rl_kv *kv, int snapshot, int end)
{
    rl_store *log = &kv->log;
    uint32_t used = log->fill, at = rl_kv_offset(kv, log->pending);
    uint32_t first = log->newest.seq + 1u;
    rl_kv_head head = {
        .magic = RL_KV_MAGIC,
        .seq = first + rl_kv_distance(kv, log->first, log->pending),
        .first = first,
        .base = snapshot ? first : kv->base,
        .home = snapshot ? log->first : kv->home,
        .used = (uint16_t)used,
        .end = (uint8_t)end,
    };
    uint8_t *payload = log->page + sizeof head;
    head.crc = rl_crc32(head_crc(&head), payload, used);
    rl_bytes_copy(log->page, &head, sizeof head);
    if (rl_kv_flash(kv)) {
        rl_bytes_fill(payload + used, 0xFF, RL_KV_PAYLOAD - used);
        return rl_ring_program(log, at);
    }
    uint32_t n = (uint32_t)sizeof head + used;
    rl_status status = rl_store_write(log, at, log->page, n);
    if (status != RL_OK) {
        return status;
    }
    return rl_store_verify(log, at, log->page, n);
}

/* A full page waits: it may be the last. */
rl_status rl_kv_put(rl_kv *kv, int snapshot, const void *data, uint32_t n)
{
    const uint8_t *bytes = (const uint8_t *)data;
    rl_store *log = &kv->log;
    while (n > 0) {
        if (log->fill == RL_KV_PAYLOAD) {
            rl_status status = flush(kv, snapshot, 0);
            if (status != RL_OK) {
                return status;
            }
            log->pending = rl_kv_next(kv, log->pending);
            log->fill = 0;
        }
        uint32_t part = RL_KV_PAYLOAD - log->fill;
        part = part < n ? part : n;
        rl_bytes_copy(log->page + sizeof(rl_kv_head) + log->fill, bytes,
                      part);
        log->fill += part;
        bytes += part;
        n -= part;
    }
    return RL_OK;
}

rl_status rl_kv_end(rl_kv *kv, int snapshot)
{
    rl_store *log = &kv->log;
    rl_status status = flush(kv, snapshot, 1);
    if (status != RL_OK) {
        return status;
    }
    uint32_t first = log->newest.seq + 1u;
    if (snapshot) {
        kv->base = first;
        kv->home = log->first;
        log->newest.home = rl_kv_offset(kv, kv->home);
    }
    log->newest.seq = first + rl_kv_distance(kv, log->first, log->pending);
    log->newest.magic = RL_RECORD_MAGIC;
    log->at = log->pending;
    return RL_OK;
}
