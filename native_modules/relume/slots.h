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

#define RL_SLOTS_MOST 8u           /* models side by side */
#define RL_SLOTS_NOWHERE 0xFFFFFFFFu

typedef struct {
    uint32_t magic, seq, size, meta_crc, data_crc;
    char     name[RL_SLOT_NAME]; /* UTF-8, ends with 0 */
    uint32_t store_at, store_size; /* the model's part of its NVM */
    uint32_t crc;                /* of the 60 bytes before */
} rl_slot;
_Static_assert(sizeof(rl_slot) == 64, "SPEC 5");

typedef struct {
    rl_nvm        *nvm;   /* blobs region: pages, sectors */
    const uint8_t *image; /* [nvm->size], the same bytes, mapped */
    rl_slot        draft; /* of the upload under way; magic 0 = none */
    uint32_t       at;    /* its place in the region */
    uint32_t       next;  /* bytes of the blob that have arrived */
    uint8_t        whole; /* the slot was there already, checked */
    uint8_t        page[RL_FLASH_PAGE];
} rl_slots;

/* What is deployed, by place: the newest slot of each name and of each model.
 * One deploy replaces two at most, by name and by model. */
#define RL_SLOTS_LISTED (RL_SLOTS_MOST + 2u)
typedef struct {
    uint32_t n, active; /* active: the one with the highest seq */
    uint32_t at[RL_SLOTS_LISTED];
    rl_slot  slot[RL_SLOTS_LISTED];
} rl_slots_table;

/* Bytes for inferences (rl_nvm_models) in SPI FRAM or file, in flash, and in
 * FRAM on I2C. */
typedef struct {
    uint32_t bytes, flash, i2c;
} rl_rooms;

/* Places the iteration before the first slot of the region. */
#define RL_SLOTS_START 0u

/* Finds the next slot from *at on: RL_OK with *slot and the slot's place in
 * *found, and *at behind it; RL_DONE when there is none. */
RL_CHECKED rl_status rl_slots_next(const rl_slots *slots, uint32_t *at,
                                   rl_slot *slot, uint32_t *found);

/* All that is deployed, in one scan; table->n 0: nothing. */
void rl_slots_list(const rl_slots *slots, rl_slots_table *table);

/* Gives up the slots that bear wanted's name or its meta_crc, but for the one
 * at slots->at (RL_SLOTS_NOWHERE: all). */
RL_CHECKED rl_status rl_slots_remove(const rl_slots *slots,
                                     const rl_slot *wanted);

/* Begins or takes up an upload; *next is the blob offset to go on from, size
 * when the active slot holds this very blob under this name. RL_E_ARG: no name or one
 * too long; RL_E_FULL: no gap in the region, or RL_SLOTS_MOST models are
 * there. Then all is as it was, but for other uploads under way. */
RL_CHECKED rl_status rl_slots_begin(rl_slots *slots, const rl_slot *wanted,
                                    uint32_t *next);

/* Takes blob bytes data[0, n) for offset `at`; bytes that do not continue the
 * upload are ignored. *next is where it goes on. */
RL_CHECKED rl_status rl_slots_write(rl_slots *slots, uint32_t at,
                                    const uint8_t *data, uint32_t n,
                                    uint32_t *next);

/* Checks the whole blob, data CRC too, finds room for its store and makes its
 * slot the active one, in place of older ones of its name or model. A blob that is
 * refused is given up, and *fault says where it is wrong. RL_E_NVM_SIZE: the
 * NVM has no room beside the other models; the upload stays, call again when
 * there is. */
RL_CHECKED rl_status rl_slots_end(rl_slots *slots, const rl_rooms *rooms,
                                  rl_blob_fault *fault);

#endif
