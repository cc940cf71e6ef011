/* relume: the store of one model's inference in NVM (SPEC 4).
 *
 * Invariant S1: at any instant the newest valid record describes data that
 * is whole; a commit changes old into new at the record's last byte. */
#ifndef RELUME_STORE_H
#define RELUME_STORE_H

#include "nvm.h"

#define RL_RECORD_MAGIC 0x31524C52u
#define RL_STATE_EMPTY 0
#define RL_STATE_RUNNING 1
#define RL_STATE_DONE 2
#define RL_STATE_IDLE 3
#define RL_STATE_STUCK 4

typedef struct {
    uint32_t magic, seq, model, inference, tile;
    uint8_t  state, nvm_kind;
    uint16_t reserved0;
    uint32_t live_crc, live_bytes;
    uint64_t cycles;
    uint32_t commits, nvm_bytes, brownouts, home, reserved1, crc;
} rl_record;
_Static_assert(sizeof(rl_record) == 64, "SPEC 4.1");

#define RL_FRAM_HOME 256u /* first byte of the home area on FRAM and file */

typedef struct {
    rl_nvm   *nvm;
    uint32_t  base, size;  /* region inside the NVM */
    rl_record newest;      /* magic 0: empty store */
    uint32_t  attempts;    /* boots that found newest running, this one too */
    uint32_t  at;          /* flash: ring position of the next free page */
    uint32_t  pending;     /* flash: page reserved for the record */
    uint32_t  fill;        /* flash: bytes gathered in page[] */
    uint32_t  written;     /* bytes written since rl_store_open */
    uint8_t   page[RL_FLASH_PAGE];
} rl_store;

/* Probes the NVM, finds the newest valid record whatever the content is.
 * Bounded: reads each byte of the region at most twice. */
RL_CHECKED rl_status rl_store_open(rl_store *store, rl_nvm *nvm,
                                   uint32_t base, uint32_t size);

/* Counts one more boot that found the newest record running. */
RL_CHECKED rl_status rl_store_attempt(rl_store *store);

/* Flash: RL_OK when a commit of `live` bytes fits erased pages, else erases
 * one sector and returns RL_ERASED. FRAM and file: RL_OK. */
RL_CHECKED rl_status rl_store_room(rl_store *store, uint32_t live);

/* A commit: begin, put in order of tensor number, end. put() carries the
 * live bytes data[0, n), to be kept at home (offset in the home area), of
 * which the first `clean` bytes are there already. end() completes record's
 * magic, seq, nvm_kind, home and crc and makes it the newest. */
RL_CHECKED rl_status rl_store_begin(rl_store *store, uint32_t live);
RL_CHECKED rl_status rl_store_put(rl_store *store, uint32_t home,
                                  const void *data, uint32_t n,
                                  uint32_t clean);
RL_CHECKED rl_status rl_store_end(rl_store *store, rl_record *record);

/* Reads live bytes of the newest record back: `home` in the home area (FRAM,
 * file) or, on flash, `order` bytes into the commit's data. */
RL_CHECKED rl_status rl_store_get(rl_store *store, uint32_t home,
                                  uint32_t order, void *data, uint32_t n);

#endif
