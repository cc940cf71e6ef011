/* relume: the ring of flash pages. SPEC 4.3.
 *
 * Sectors wear evenly because they are erased in ring order, and no sector
 * that holds a page of the newest record is ever erased (S1). */
#include "store_ring.h"

#include <stddef.h>

#include "bytes.h"
#include "crc32.h"

#define SECTOR_MAGIC 0x31534C52u

/* ---------------------------------------------------------------- ring -- */

uint32_t rl_ring_sectors(const rl_store *store)
{
    return store->size / RL_FLASH_SECTOR;
}

uint32_t rl_ring_size(const rl_store *store)
{
    return rl_ring_sectors(store) * RL_FLASH_RING;
}

uint32_t rl_ring_next(const rl_store *store, uint32_t ring)
{
    return ring + 1u == rl_ring_size(store) ? 0 : ring + 1u;
}

uint32_t rl_ring_distance(const rl_store *store, uint32_t a, uint32_t b)
{
    return b >= a ? b - a : b + rl_ring_size(store) - a;
}

uint32_t rl_ring_offset(uint32_t ring)
{
    return ring / RL_FLASH_RING * RL_FLASH_SECTOR
         + (ring % RL_FLASH_RING + 1u) * RL_FLASH_PAGE;
}

uint32_t rl_ring_of(uint32_t offset)
{
    return offset / RL_FLASH_SECTOR * RL_FLASH_RING
         + offset % RL_FLASH_SECTOR / RL_FLASH_PAGE - 1u;
}

/* Does the sector hold a page of the newest record? */
static int holds_newest(const rl_store *store, uint32_t sector)
{
    if (store->newest.magic == 0) {
        return 0;
    }
    uint32_t n = rl_ring_sectors(store);
    uint32_t from = store->newest.home / RL_FLASH_SECTOR;
    uint32_t to = store->at / RL_FLASH_RING;
    uint32_t span = to >= from ? to - from : to + n - from;
    uint32_t here = sector >= from ? sector - from : sector + n - from;
    return here <= span;
}

/* --------------------------------------------------------------- pages -- */

static rl_status blank(rl_store *store, uint32_t at, uint32_t n, int *yes)
{
    uint8_t part[32];
    *yes = 1;
    for (uint32_t i = 0; i < n && *yes; i += (uint32_t)sizeof part) {
        rl_status status = rl_store_read(store, at + i, part, sizeof part);
        if (status != RL_OK) {
            return status;
        }
        *yes = rl_bytes_blank(part, sizeof part);
    }
    return RL_OK;
}

rl_status rl_ring_program(rl_store *store, uint32_t at)
{
    rl_status status = rl_store_write(store, at, store->page, RL_FLASH_PAGE);
    if (status != RL_OK) {
        return status;
    }
    return rl_store_verify(store, at, store->page, RL_FLASH_PAGE);
}

/* ------------------------------------------------------------- sectors -- */

rl_status rl_ring_header(rl_store *store, uint32_t sector,
                         rl_sector_header *header, int *valid)
{
    rl_status status = rl_store_read(store, sector * RL_FLASH_SECTOR, header,
                                     sizeof *header);
    *valid = status == RL_OK && header->magic == SECTOR_MAGIC
          && header->crc == rl_crc32(0, header, 8);
    return status;
}

/* Erased whole, and not about to be erased again. */
static rl_status ready(rl_store *store, uint32_t sector, int *yes)
{
    rl_sector_header header;
    rl_status status = rl_ring_header(store, sector, &header, yes);
    *yes = *yes && header.open == 0xFFFFFFFFu;
    return status;
}

/* Programs zeros over the mark and leaves every other bit as it is. */
static rl_status mark_open(rl_store *store, uint32_t sector)
{
    uint32_t at = sector * RL_FLASH_SECTOR;
    rl_status status = rl_store_read(store, at, store->page, RL_FLASH_PAGE);
    if (status != RL_OK) {
        return status;
    }
    rl_bytes_fill(store->page + offsetof(rl_sector_header, open), 0, 4);
    return rl_ring_program(store, at);
}

static rl_status program_header(rl_store *store, uint32_t sector,
                                uint32_t erase_count)
{
    rl_sector_header header = { SECTOR_MAGIC, erase_count, 0, 0xFFFFFFFFu };
    header.crc = rl_crc32(0, &header, 8);
    rl_bytes_fill(store->page, 0xFF, sizeof store->page);
    rl_bytes_copy(store->page, &header, sizeof header);
    return rl_ring_program(store, sector * RL_FLASH_SECTOR);
}

/* The open mark goes down first: an erase that is cut may leave cells that
 * read as erased and are not, under a header that still looks well. A cut
 * after the erase leaves no header, which counts as not erased. */
static rl_status erase(rl_store *store, uint32_t sector)
{
    rl_sector_header header;
    uint32_t at = sector * RL_FLASH_SECTOR, count = store->wear;
    int valid = 0, clean = 0;
    rl_status status = rl_ring_header(store, sector, &header, &valid);
    if (valid) {
        count = header.erase_count;
        status = mark_open(store, sector);
    }
    if (status == RL_OK) {
        status = store->nvm->erase(store->nvm, store->base + at);
    }
    if (status == RL_OK) {
        status = blank(store, at, RL_FLASH_SECTOR, &clean);
    }
    if (status != RL_OK) {
        return status;
    }
    if (!clean) {
        return RL_E_NVM;
    }
    count += count != UINT32_MAX;
    store->wear = count > store->wear ? count : store->wear;
    return program_header(store, sector, count);
}

/* ---------------------------------------------------------------- room -- */

rl_status rl_ring_find(rl_store *store, uint32_t n, uint32_t *first)
{
    uint32_t at = 0, left = rl_ring_size(store), run = 0;
    int erased = 0, fresh = 1;
    if (store->newest.magic != 0) {
        uint32_t stop = store->newest.home / RL_FLASH_SECTOR * RL_FLASH_RING;
        at = rl_ring_next(store, store->at);
        left = rl_ring_distance(store, at, stop);
    }
    for (; left > 0; left--, at = rl_ring_next(store, at)) {
        rl_status status = RL_OK;
        int yes = 0;
        if (fresh || at % RL_FLASH_RING == 0) {
            status = ready(store, at / RL_FLASH_RING, &erased);
            fresh = 0;
        }
        if (status == RL_OK && erased) {
            status = blank(store, rl_ring_offset(at), RL_FLASH_PAGE, &yes);
        }
        if (status != RL_OK) {
            return status;
        }
        run = yes ? run + 1u : 0;
        if (run == 1) {
            *first = at;
        }
        if (run == n) {
            return RL_OK;
        }
    }
    return RL_E_FULL;
}

/* Ready, and every page of it erased. */
static rl_status unused(rl_store *store, uint32_t sector, int *yes)
{
    rl_status status = ready(store, sector, yes);
    if (status == RL_OK && *yes) {
        status = blank(store, sector * RL_FLASH_SECTOR + RL_FLASH_PAGE,
                       RL_FLASH_SECTOR - RL_FLASH_PAGE, yes);
    }
    return status;
}

rl_status rl_ring_erase_next(rl_store *store)
{
    uint32_t n = rl_ring_sectors(store);
    uint32_t sector = store->newest.magic == 0 ? n - 1u
                    : store->at / RL_FLASH_RING;
    for (uint32_t i = 0; i < n; i++) {
        int yes = 1;
        sector = sector + 1u == n ? 0 : sector + 1u;
        if (holds_newest(store, sector)) {
            continue;
        }
        rl_status status = unused(store, sector, &yes);
        if (status == RL_OK && !yes) {
            status = erase(store, sector);
            return status == RL_OK ? RL_ERASED : status;
        }
        if (status != RL_OK) {
            return status;
        }
    }
    return RL_E_NVM_SIZE; /* all is erased that may be, and it is too little */
}
