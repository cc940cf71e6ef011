/* relume: a program's own keys and values in NVM (SPEC 4.4).
 *
 * Invariant K1: at any instant the NVM holds exactly what the last finished
 * commit made of it; a commit changes old into new at its last page. */
#ifndef RELUME_KV_H
#define RELUME_KV_H

#include "store.h"

#define RL_KV_KEY 64u      /* longest key; the shortest has one byte */
#define RL_KV_VALUE 65535u /* longest value */

typedef struct {
    uint32_t hash;  /* CRC-32 of the key */
    uint32_t at;    /* page of the ring in which the entry begins */
    uint16_t size;  /* of the value */
    uint8_t  skip;  /* payload bytes of that page before the entry */
    uint8_t  key_n; /* bytes of the key; bit 7: see kv.c */
} rl_kv_entry;

typedef struct {
    const void *key;
    const void *value; /* NULL: the key goes */
    uint32_t    key_n, size;
} rl_kv_change;

typedef struct {
    rl_store     log;     /* the region; newest, at: see kv_log.h */
    rl_kv_entry *index;   /* [room], the caller's */
    uint32_t     room;
    uint32_t     count;   /* keys there are: index[0, count) */
    uint32_t     live;    /* bytes of their entries */
    uint32_t     base;    /* number of the snapshot's first page ... */
    uint32_t     home;    /* ... and its place in the ring */
    uint32_t     commits, snapshots, erases; /* since rl_kv_open */
    uint8_t      damaged; /* opened, and its newest commit is not whole */
} rl_kv;

/* Finds the newest commit whatever the content of [base, base + size) is, and
 * fills index[0, room). Bounded: reads at most eight times the region's bytes,
 * more only where keys share a CRC-32; writes the probe cell of SPEC 4.2. RL_E_NVM, RL_E_NVM_SIZE,
 * RL_E_NVM_KIND, RL_E_FULL: more than `room` keys; RL_E_DAMAGED: no power cut
 * left this; rl_kv_reset or nothing. */
RL_CHECKED rl_status rl_kv_open(rl_kv *kv, rl_nvm *nvm, uint32_t base,
                                uint32_t size, rl_kv_entry *index,
                                uint32_t room);

/* Makes all n changes, or none. No key comes twice; to take away a key that
 * is not there changes nothing. RL_ERASED: a flash sector was erased instead,
 * call again. RL_E_FULL: the keys that would result do not fit the index or
 * rl_kv_capacity; RL_E_DAMAGED: an entry that is to be moved is spoilt. Both
 * change nothing. After RL_E_NVM it is unknown which state the NVM holds:
 * every call fails until rl_kv_open. */
RL_CHECKED rl_status rl_kv_commit(rl_kv *kv, const rl_kv_change *changes,
                                  uint32_t n);

/* Erased ahead: RL_OK when a commit whose entries take `bytes` finds erased
 * pages, else erases one sector and returns RL_ERASED. */
RL_CHECKED rl_status rl_kv_prepare(rl_kv *kv, uint32_t bytes);

/* Begins anew after rl_kv_open returned RL_E_DAMAGED, with no keys. */
RL_CHECKED rl_status rl_kv_reset(rl_kv *kv);

/* *at: number of the key in the index, or count. */
RL_CHECKED rl_status rl_kv_find(rl_kv *kv, const void *key, uint32_t key_n,
                                uint32_t *at);

/* Reads key and value of index[at] into key[RL_KV_KEY] and value[size], each
 * of which may be NULL. RL_E_DAMAGED: they are not what was put. */
RL_CHECKED rl_status rl_kv_read(rl_kv *kv, uint32_t at, void *key,
                                void *value);

/* Bytes that an entry takes, and that all entries together may take. */
uint32_t rl_kv_bytes(uint32_t key_n, uint32_t size);
uint32_t rl_kv_capacity(const rl_kv *kv);

/* Flash: erase counts of the sector erased least and most. */
RL_CHECKED rl_status rl_kv_wear(rl_kv *kv, uint32_t *least, uint32_t *most);

#endif
