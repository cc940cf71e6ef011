/* relume: the ring of flash pages that the store on flash is written in.
 * SPEC 4.3. Private to store*.c.
 *
 * The pages that hold commits are numbered 0 .. 15 * sectors - 1 around the
 * ring; header pages have no number. */
#ifndef RELUME_STORE_RING_H
#define RELUME_STORE_RING_H

#include "store_kind.h"

typedef struct {
    uint32_t magic, erase_count, crc, open;
} rl_sector_header;
_Static_assert(sizeof(rl_sector_header) == 16, "SPEC 4.3");

uint32_t rl_ring_sectors(const rl_store *store);
uint32_t rl_ring_size(const rl_store *store); /* pages */
uint32_t rl_ring_next(const rl_store *store, uint32_t ring);

/* Steps forward from a to b. */
uint32_t rl_ring_distance(const rl_store *store, uint32_t a, uint32_t b);

/* Ring number to offset in the region and back; the offset must be that of a
 * page which is no header. */
uint32_t rl_ring_offset(uint32_t ring);
uint32_t rl_ring_of(uint32_t offset);

/* valid: magic and CRC are right. */
RL_CHECKED rl_status rl_ring_header(rl_store *store, uint32_t sector,
                                    rl_sector_header *header, int *valid);

/* Programs store->page and reads it back. */
RL_CHECKED rl_status rl_ring_program(rl_store *store, uint32_t at);

/* First run of n erased pages after the newest record, before the first
 * sector that the newest record needs. Torn pages are passed over: erasing
 * costs more than what they waste. RL_E_FULL if there is none. */
RL_CHECKED rl_status rl_ring_find(rl_store *store, uint32_t n,
                                  uint32_t *first);

/* Erases the next sector that is not erased and holds no page of the newest
 * record: RL_ERASED. RL_E_NVM_SIZE when there is none. */
RL_CHECKED rl_status rl_ring_erase_next(rl_store *store);

#endif
