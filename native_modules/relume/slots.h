/* relume: model slots in the blobs region of the flash (SPEC 5).
 *
 * Invariant F1: a slot with a valid header holds a whole, checked blob; the
 * header is the last thing that is programmed and the first to be erased. */
#ifndef RELUME_SLOTS_H
#define RELUME_SLOTS_H

#include "blob.h"
#include "nvm.h"

#define RL_SLOT_NAME 32u
#define RL_SLOT_DATA RL_FLASH_PAGE /* the blob's place in its slot */

typedef struct {
    uint32_t magic, seq, size, meta_crc, data_crc;
    char     name[RL_SLOT_NAME]; /* UTF-8, ends with 0 */
    uint32_t crc;                /* of the 52 bytes before */
} rl_slot;
_Static_assert(sizeof(rl_slot) == 56, "SPEC 5");

typedef struct {
    rl_nvm        *nvm;   /* blobs region: pages, sectors */
    const uint8_t *image; /* [nvm->size], the same bytes, mapped */
    rl_slot        draft; /* of the upload under way; magic 0 = none */
    uint32_t       at;    /* its place in the region */
    uint32_t       next;  /* bytes of the blob that have arrived */
    uint8_t        whole; /* the slot was there already, checked */
    uint8_t        page[RL_FLASH_PAGE];
} rl_slots;

/* Places the iteration before the first slot of the region. */
#define RL_SLOTS_START 0u

/* Finds the next slot from *at on: RL_OK with *slot and the slot's place in
 * *found, and *at behind it; RL_DONE when there is none. */
RL_CHECKED rl_status rl_slots_next(const rl_slots *slots, uint32_t *at,
                                   rl_slot *slot, uint32_t *found);

/* The active slot, the one with the highest seq. RL_DONE: no slot. */
RL_CHECKED rl_status rl_slots_active(const rl_slots *slots, rl_slot *slot,
                                     uint32_t *found);

/* Begins or takes up an upload; *next is the blob offset to go on from, size
 * when the active slot holds this very blob. Makes room by giving up the
 * oldest slots. RL_E_ARG: no name or one too long; RL_E_FULL: larger than the
 * region. */
RL_CHECKED rl_status rl_slots_begin(rl_slots *slots, const rl_slot *wanted,
                                    uint32_t *next);

/* Takes blob bytes data[0, n) for offset `at`; bytes that do not continue the
 * upload are ignored. *next is where it goes on. */
RL_CHECKED rl_status rl_slots_write(rl_slots *slots, uint32_t at,
                                    const uint8_t *data, uint32_t n,
                                    uint32_t *next);

/* Checks the whole blob, data CRC too, and makes its slot the active one.
 * A blob that is refused is given up, and *fault says where it is wrong. */
RL_CHECKED rl_status rl_slots_end(rl_slots *slots, rl_blob_fault *fault);

#endif
