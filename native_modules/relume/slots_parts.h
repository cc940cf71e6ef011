/* relume: what slots*.c share. */
#ifndef RELUME_SLOTS_PARTS_H
#define RELUME_SLOTS_PARTS_H

#include "slots.h"

#define RL_SLOT_MAGIC 0x4C534C52u  /* RLSL */
#define RL_DRAFT_MAGIC 0x44534C52u /* RLSD */
#define RL_DRAFT_AT 64u            /* of the draft in page 0 of its slot */

/* CRC-32 of all before the CRC. */
uint32_t rl_slots_crc(const rl_slot *slot);

/* Bytes of flash that a blob's slot takes, whole sectors. size has been
 * checked against the region, so nothing overflows. */
uint32_t rl_slots_extent(uint32_t size);

/* Reads a header or a draft at region offset `at`; 1 if it is valid. */
int rl_slots_read(const rl_slots *slots, uint32_t at, uint32_t where,
                  uint32_t magic, rl_slot *slot);

/* One takes the place of the other: the same name, or the same model. */
int rl_slots_same(const rl_slot *a, const rl_slot *b);
int rl_slots_newer(const rl_slot *a, const rl_slot *b);

/* Room in the NVM for the store of the draft's blob beside table's, in header->store_at and
 * store_size. RL_E_NVM_SIZE: there is none. */
RL_CHECKED rl_status rl_slots_room(const rl_slots *slots,
                                   const rl_rooms *rooms,
                                   const rl_slots_table *table,
                                   rl_slot *header);

#endif
