/* relume: the ring of pages that keys and values are written in. SPEC 4.4.
 * Private to kv*.c.
 *
 * The chain, from the snapshot's first page (kv->home) to the newest page
 * (kv->log.at, whose number is kv->log.newest.seq), is what the newest state
 * is read from. kv->log.newest.home is the snapshot's offset in the region, as
 * store_ring.c wants it; newest.magic is not 0 once there is a chain. */
#ifndef RELUME_KV_LOG_H
#define RELUME_KV_LOG_H

#include "kv.h"
#include "store_ring.h"

#define RL_KV_MAGIC 0x314B4C52u
#define RL_KV_PAYLOAD 228u

typedef struct {
    uint32_t magic, seq, first, base, home;
    uint16_t used;
    uint8_t  end, reserved;
    uint32_t crc;
} rl_kv_head;
_Static_assert(sizeof(rl_kv_head) + RL_KV_PAYLOAD == RL_FLASH_PAGE,
               "SPEC 4.4");

/* Before key and value in the payload. */
typedef struct {
    uint8_t  key_n, gone;
    uint16_t size;
    uint32_t crc; /* of the four bytes before, key and value */
} rl_kv_item;
_Static_assert(sizeof(rl_kv_item) == 8, "SPEC 4.4");

#define RL_KV_GONE 0x80u /* in an entry's key_n during a commit: replaced */

/* A byte of payload, pages of a commit in a row. */
typedef struct {
    uint32_t ring, skip;
} rl_kv_place;

uint32_t rl_kv_pages(const rl_kv *kv);              /* of the ring */
uint32_t rl_kv_most(const rl_kv *kv);               /* of chain, snapshot */
uint32_t rl_kv_pages_of(uint32_t bytes);            /* at least 1 */
uint32_t rl_kv_next(const rl_kv *kv, uint32_t ring);
uint32_t rl_kv_offset(const rl_kv *kv, uint32_t ring);
uint32_t rl_kv_distance(const rl_kv *kv, uint32_t a, uint32_t b);
int rl_kv_flash(const rl_kv *kv);

/* n bytes on, where a byte is. */
rl_kv_place rl_kv_skip(const rl_kv *kv, rl_kv_place place, uint32_t n);

/* Reads n bytes from *place on and moves it. */
RL_CHECKED rl_status rl_kv_get(rl_kv *kv, rl_kv_place *place, void *to,
                               uint32_t n);

/* Finds the newest last page of a commit: its header and place. found = 0:
 * there is none. */
RL_CHECKED rl_status rl_kv_newest(rl_kv *kv, rl_kv_head *head, uint32_t *ring,
                                  int *found);

/* Is there, from *ring on, a whole commit with number `first` of the chain
 * that begins at (base, home)? *ring moves to its last page, whose number and
 * payload bytes go to *seq and *bytes. */
RL_CHECKED rl_status rl_kv_whole(rl_kv *kv, uint32_t first, uint32_t *ring,
                                 uint32_t *seq, uint32_t *bytes, int *yes);

/* A commit: begin at a place that is free for all its pages, put its payload,
 * end; the chain then ends with it, or is it (snapshot). */
void rl_kv_begin(rl_kv *kv, uint32_t ring);
RL_CHECKED rl_status rl_kv_put(rl_kv *kv, int snapshot, const void *data,
                               uint32_t n);
RL_CHECKED rl_status rl_kv_end(rl_kv *kv, int snapshot);

/* kv_open.c: what an entry takes; the key's place in the index; the entries
 * of a commit, `bytes` of payload from page `ring` on, to the index. */
uint32_t rl_kv_bytes_of(const rl_kv_entry *e);
RL_CHECKED rl_status rl_kv_look(rl_kv *kv, const void *key, uint32_t key_n,
                                uint32_t *at);
RL_CHECKED rl_status rl_kv_replay(rl_kv *kv, uint32_t ring, uint32_t bytes);

/* Flash: as rl_kv_wear. */
RL_CHECKED rl_status rl_kv_counts(rl_kv *kv, uint32_t *least, uint32_t *most);

#endif
