/* relume: what store.c asks of the two layouts: byte-writable NVM (FRAM and
 * file, SPEC 4.2) and raw flash (SPEC 4.3). Private to store*.c. */
#ifndef RELUME_STORE_KIND_H
#define RELUME_STORE_KIND_H

#include "store.h"

/* SPEC 4.1: every field that has a rule obeys it. */
int rl_record_valid(const rl_record *record, uint8_t kind);

/* Serial number arithmetic: a was written after b. */
int rl_record_after(uint32_t a, uint32_t b);

/* NVM access relative to the store's base; writes are counted. */
RL_CHECKED rl_status rl_store_read(rl_store *store, uint32_t at, void *data,
                                   uint32_t n);
RL_CHECKED rl_status rl_store_write(rl_store *store, uint32_t at,
                                    const void *data, uint32_t n);

/* NVM[at, at + n) equals data: RL_OK, else RL_E_NVM. */
RL_CHECKED rl_status rl_store_verify(rl_store *store, uint32_t at,
                                     const void *data, uint32_t n);

/* Writes the region's probe cell, and looks for it where it must not show. */
RL_CHECKED rl_status rl_store_bytes_probe(rl_store *store);

RL_CHECKED rl_status rl_store_bytes_open(rl_store *store);
RL_CHECKED rl_status rl_store_bytes_fits(const rl_store *store,
                                         uint32_t home);
RL_CHECKED rl_status rl_store_bytes_attempt(rl_store *store);
RL_CHECKED rl_status rl_store_bytes_put(rl_store *store, uint32_t home,
                                        const uint8_t *data, uint32_t n,
                                        uint32_t clean);
RL_CHECKED rl_status rl_store_bytes_start(rl_store *store, uint32_t home,
                                          const void *data, uint32_t n);
RL_CHECKED rl_status rl_store_bytes_end(rl_store *store,
                                        const rl_record *record);
RL_CHECKED rl_status rl_store_bytes_get(rl_store *store, uint32_t home,
                                        void *data, uint32_t n);

RL_CHECKED rl_status rl_store_flash_open(rl_store *store);
RL_CHECKED rl_status rl_store_flash_fits(const rl_store *store,
                                         uint32_t live);
RL_CHECKED rl_status rl_store_flash_attempt(rl_store *store);
RL_CHECKED rl_status rl_store_flash_room(rl_store *store, uint32_t live);
RL_CHECKED rl_status rl_store_flash_begin(rl_store *store, uint32_t live);
RL_CHECKED rl_status rl_store_flash_put(rl_store *store, const uint8_t *data,
                                        uint32_t n);
RL_CHECKED rl_status rl_store_flash_end(rl_store *store,
                                        const rl_record *record);
RL_CHECKED rl_status rl_store_flash_get(rl_store *store, uint32_t order,
                                        void *data, uint32_t n);

/* Pages of data of a commit of `live` bytes, and where the commit under way
 * has its first: its record's home. */
uint32_t rl_store_flash_pages(uint32_t live);
uint32_t rl_store_flash_home(const rl_store *store);

#endif
