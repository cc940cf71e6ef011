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
    uint32_t magic, seq, model, inference;
    uint16_t tile, part; /* part: units of the tile, in grains */
    uint8_t  state, nvm_kind, flags, priority;
    uint32_t live_crc, live_bytes;
    uint64_t cycles;
    uint32_t commits, nvm_bytes;
    uint16_t brownouts; /* or more, if 65535 */
    uint16_t drain;
    uint32_t home, due, crc;
} rl_record;
_Static_assert(sizeof(rl_record) == 64, "SPEC 4.1");

#define RL_EXPECTED 1u /* flags: the power may fail before the next record */
#define RL_DATED 2u    /* due is a deadline, else a place in the queue */
#define RL_HALVED_SHIFT 2u /* above them: how often the tile was halved */
#define RL_HALVED_MOST 16u

/* Which of two inferences comes first: the higher priority, then a deadline
 * before none, the earlier one, or who came first. 1: a. */
int rl_record_first(const rl_record *a, const rl_record *b);

#define RL_FRAM_HOME 256u /* first byte of the home area on FRAM and file */
#define RL_FLASH_DATA (RL_FLASH_PAGE - 1u) /* live bytes in a data page */
#define RL_FLASH_RING 15u /* pages of a sector that hold commits */

typedef struct {
    rl_nvm   *nvm;
    uint32_t  base, size;  /* region inside the NVM */
    rl_record newest;      /* magic 0: empty store; seq: newest ever seen */
    uint32_t  attempts;    /* boots that found newest running, this one too */
    uint32_t  erasing;     /* flash: of these, those that began an erase */
    uint32_t  at;          /* flash: ring number of newest's record page */
    uint32_t  first;       /* flash: first page of the commit under way */
    uint32_t  pending;     /* flash: its next page */
    uint32_t  fill;        /* flash: bytes gathered in page[] */
    uint32_t  live;        /* bytes announced by rl_store_begin */
    uint32_t  carried;     /* of these, carried by rl_store_put */
    uint32_t  started;     /* `written` at rl_store_begin */
    uint32_t  written;     /* bytes written since rl_store_open */
    uint32_t  streamed;    /* of these, in the background since the commit */
    uint32_t  wear;        /* flash: highest erase count seen */
    uint8_t   first_erasing; /* the boot that wrote newest began one behind it */
    uint8_t   committing;  /* between rl_store_begin and rl_store_end */
    uint8_t   broken;      /* the NVM failed: nothing until the next open */
    uint8_t   page[RL_FLASH_PAGE];
    /* CRC of the live data; set after rl_store_open. NULL: rl_crc32. */
    uint32_t (*crc)(uint32_t crc, const void *data, uint32_t n);
} rl_store;

/* Probes the NVM, finds the newest valid record whatever the content is.
 * Bounded: reads each byte of the region at most twice, the probe cell and
 * its mirrors at most four times. RL_E_NVM, RL_E_NVM_SIZE, RL_E_NVM_KIND. */
RL_CHECKED rl_status rl_store_open(rl_store *store, rl_nvm *nvm,
                                   uint32_t base, uint32_t size);

/* RL_OK when a plan of nvm_size `need` fits: a home area of that size on FRAM
 * and file; on flash commits of up to so many live bytes, wherever the ring
 * stands. Else RL_E_NVM_SIZE. */
RL_CHECKED rl_status rl_store_fits(const rl_store *store, uint32_t need);

/* Counts one more boot that found the newest record running. */
RL_CHECKED rl_status rl_store_attempt(rl_store *store);

/* Brown-outs of the newest record's inference, those since it too; 65535
 * stands for more. */
uint16_t rl_store_brownouts(const rl_store *store);

/* Flash: RL_OK when a commit of `live` bytes fits erased pages, else erases
 * one sector and returns RL_ERASED. FRAM and file: RL_OK. */
RL_CHECKED rl_status rl_store_room(rl_store *store, uint32_t live);

/* A commit: begin, put in order of tensor number, end. put() carries the
 * live bytes data[0, n), to be kept at home (offset in the home area), of
 * which the first `clean` bytes are there already. end() completes record's
 * magic, seq, nvm_kind, home and crc and makes it the newest. Flash without room: RL_E_FULL. After RL_E_NVM it is unknown which
 * record the NVM holds: every call fails until rl_store_open. */
RL_CHECKED rl_status rl_store_begin(rl_store *store, uint32_t live);
RL_CHECKED rl_status rl_store_put(rl_store *store, uint32_t home,
                                  const void *data, uint32_t n,
                                  uint32_t clean);
RL_CHECKED rl_status rl_store_end(rl_store *store, rl_record *record);

/* Bytes that the commit under way writes, its record included, and those of
 * writes in the background since the one before; valid after the last
 * rl_store_put. */
uint32_t rl_store_cost(const rl_store *store);

/* Writes in the background between two commits, where the NVM can: data[0, n)
 * goes to `home` and stays as it is until rl_store_finish, which
 * rl_store_begin calls too. */
int rl_store_streams(const rl_store *store);
RL_CHECKED rl_status rl_store_start(rl_store *store, uint32_t home,
                                    const void *data, uint32_t n);
int rl_store_busy(const rl_store *store);
RL_CHECKED rl_status rl_store_finish(rl_store *store);

/* CRC-32 of live data: the port's, or rl_crc32. */
uint32_t rl_store_crc(const rl_store *store, uint32_t crc, const void *data,
                      uint32_t n);

/* Reads live bytes of the newest record back: `home` in the home area (FRAM,
 * file) or, on flash, `order` bytes into the commit's data. */
RL_CHECKED rl_status rl_store_get(rl_store *store, uint32_t home,
                                  uint32_t order, void *data, uint32_t n);

#endif
