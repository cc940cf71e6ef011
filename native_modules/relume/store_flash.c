/* relume: the store on raw flash: a ring log. SPEC 4.3.
 *
 * S1 holds because a commit programs erased pages only, its record page last,
 * and because no page of the newest record is erased (store_ring.c). */
#include "store_ring.h"

#include "bytes.h"

#define MARKS_AT 64u  /* attempt marks in the record page */
#define ERASES_AT 96u /* a bit for each boot, as it began to erase */
#define MARKS 32u     /* bytes of either */
#define MARKS_END 128u /* the rest of the record page is 0xFF, but for the */
#define IS_RECORD 0u  /* byte behind the data: 0xFF in a data page */

uint32_t rl_store_flash_pages(uint32_t live)
{
    return live / RL_FLASH_DATA + (live % RL_FLASH_DATA != 0);
}

/* ---------------------------------------------------------------- open -- */

static uint32_t count_marks(const uint8_t *marks)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < MARKS; i++) {
        for (uint32_t bits = (uint8_t)~marks[i]; bits != 0; bits &= bits - 1) {
            n++;
        }
    }
    return n;
}

/* Those of the record page in page[]. */
static void take_marks(rl_store *store)
{
    const uint8_t *erases = store->page + ERASES_AT;
    store->attempts = count_marks(store->page + MARKS_AT);
    store->first_erasing = (erases[0] & 1u) == 0;
    store->erasing = count_marks(erases) - store->first_erasing;
}

/* The data pages that the record names end just before it. */
static int placed(const rl_store *store, const rl_record *record,
                  uint32_t ring)
{
    uint32_t home = record->home;
    uint32_t pages = rl_store_flash_pages(record->live_bytes);
    return home < store->size && home % RL_FLASH_PAGE == 0
        && home % RL_FLASH_SECTOR != 0 && pages < rl_ring_size(store)
        && rl_ring_distance(store, rl_ring_of(home), ring) == pages;
}

/* A data page cannot pass for a record page, whatever tensor lies in it and
 * however its program or its erase was cut: its last byte is 0xFF before,
 * between and after, a record page's is programmed. */
static rl_status consider(rl_store *store, uint32_t ring)
{
    rl_record record;
    uint32_t at = rl_ring_offset(ring);
    rl_status status = rl_store_read(store, at, store->page, RL_FLASH_PAGE);
    if (status != RL_OK) {
        return status;
    }
    rl_bytes_copy(&record, store->page, sizeof record);
    if (rl_record_valid(&record, RL_NVM_FLASH)
        && rl_bytes_blank(store->page + MARKS_END, RL_FLASH_DATA - MARKS_END)
        && store->page[RL_FLASH_DATA] == IS_RECORD
        && placed(store, &record, ring)
        && (store->newest.magic == 0
            || rl_record_after(record.seq, store->newest.seq))) {
        store->newest = record;
        store->at = ring;
        store->attempts = 0;
        store->erasing = 0;
        store->first_erasing = 0;
        if (record.state == RL_STATE_RUNNING) {
            take_marks(store);
        }
    }
    return RL_OK;
}

static rl_status scan_headers(rl_store *store)
{
    for (uint32_t s = 0; s < rl_ring_sectors(store); s++) {
        rl_sector_header header;
        int valid = 0;
        rl_status status = rl_ring_header(store, s, &header, &valid);
        if (status != RL_OK) {
            return status;
        }
        if (valid && header.erase_count > store->wear) {
            store->wear = header.erase_count;
        }
    }
    return RL_OK;
}

rl_status rl_store_flash_open(rl_store *store)
{
    if (store->base % RL_FLASH_SECTOR != 0
        || store->size % RL_FLASH_SECTOR != 0 || rl_ring_sectors(store) < 3) {
        return RL_E_NVM_SIZE;
    }
    rl_status status = scan_headers(store);
    for (uint32_t r = 0; status == RL_OK && r < rl_ring_size(store); r++) {
        uint32_t magic = 0;
        status = rl_store_read(store, rl_ring_offset(r), &magic, 4);
        if (status == RL_OK && magic == RL_RECORD_MAGIC) {
            status = consider(store, r);
        }
    }
    return status;
}

/* n pages in a row touch at most span sectors, which cannot be erased while
 * their record is the newest; the next n pages must fit the others. */
rl_status rl_store_flash_fits(const rl_store *store, uint32_t live)
{
    uint32_t n = rl_store_flash_pages(live) + 1u;
    uint32_t span = (n + RL_FLASH_RING - 2u) / RL_FLASH_RING + 1u;
    if (span >= rl_ring_sectors(store)
        || n > (rl_ring_sectors(store) - span) * RL_FLASH_RING) {
        return RL_E_NVM_SIZE;
    }
    return RL_OK;
}

/* ------------------------------------------------------------ attempts -- */

rl_status rl_store_flash_attempt(rl_store *store)
{
    uint32_t at = rl_ring_offset(store->at);
    rl_status status = rl_store_read(store, at, store->page, RL_FLASH_PAGE);
    if (status != RL_OK) {
        return status;
    }
    for (uint32_t i = MARKS_AT; i < ERASES_AT; i++) {
        uint8_t marks = store->page[i];
        if (marks != 0) {
            store->page[i] = (uint8_t)(marks & (marks - 1u));
            status = rl_ring_program(store, at);
            store->attempts += status == RL_OK;
            return status;
        }
    }
    return RL_OK; /* all 256 marks are used: the count stays */
}

/* Whatever becomes of this boot, its charge was not for tiles alone. Bit n is
 * that of the n-th boot behind the one that wrote the record, bit 0. */
static rl_status mark_erase(rl_store *store)
{
    uint32_t n = store->attempts, at = rl_ring_offset(store->at);
    if (store->newest.state != RL_STATE_RUNNING || n >= 8u * MARKS) {
        return RL_OK;
    }
    rl_status status = rl_store_read(store, at, store->page, RL_FLASH_PAGE);
    uint8_t *marks = store->page + ERASES_AT + n / 8u;
    uint8_t bit = (uint8_t)(1u << n % 8u);
    if (status != RL_OK || (*marks & bit) == 0) {
        return status;
    }
    *marks = (uint8_t)(*marks & ~bit);
    status = rl_ring_program(store, at);
    if (status == RL_OK) {
        store->first_erasing |= n == 0;
        store->erasing += n != 0;
    }
    return status;
}

/* -------------------------------------------------------------- commit -- */

rl_status rl_store_flash_room(rl_store *store, uint32_t live)
{
    uint32_t first = 0;
    rl_status status = rl_ring_find(store, rl_store_flash_pages(live) + 1u,
                                    &first);
    if (status != RL_E_FULL) {
        return status;
    }
    status = mark_erase(store);
    return status == RL_OK ? rl_ring_erase_next(store) : status;
}

rl_status rl_store_flash_begin(rl_store *store, uint32_t live)
{
    uint32_t first = 0;
    rl_status status = rl_ring_find(store, rl_store_flash_pages(live) + 1u,
                                    &first);
    store->first = first;
    store->pending = first;
    store->fill = 0;
    return status;
}

uint32_t rl_store_flash_home(const rl_store *store)
{
    return rl_ring_offset(store->first);
}

static rl_status flush(rl_store *store)
{
    rl_bytes_fill(store->page + store->fill, 0xFF,
                  RL_FLASH_PAGE - store->fill);
    rl_status status = rl_ring_program(store, rl_ring_offset(store->pending));
    store->pending = rl_ring_next(store, store->pending);
    store->fill = 0;
    return status;
}

rl_status rl_store_flash_put(rl_store *store, const uint8_t *data,
                             uint32_t n)
{
    rl_status status = RL_OK;
    while (n > 0 && status == RL_OK) {
        uint32_t part = RL_FLASH_DATA - store->fill;
        part = part < n ? part : n;
        rl_bytes_copy(store->page + store->fill, data, part);
        store->fill += part;
        data += part;
        n -= part;
        if (store->fill == RL_FLASH_DATA) {
            status = flush(store);
        }
    }
    return status;
}

rl_status rl_store_flash_end(rl_store *store, const rl_record *record)
{
    rl_status status = store->fill > 0 ? flush(store) : RL_OK;
    if (status != RL_OK) {
        return status;
    }
    rl_bytes_fill(store->page, 0xFF, sizeof store->page);
    rl_bytes_copy(store->page, record, sizeof *record);
    store->page[RL_FLASH_DATA] = IS_RECORD;
    status = rl_ring_program(store, rl_ring_offset(store->pending));
    if (status == RL_OK) {
        store->at = store->pending;
    }
    return status;
}

rl_status rl_store_flash_get(rl_store *store, uint32_t order, void *data,
                             uint32_t n)
{
    uint8_t *to = (uint8_t *)data;
    uint32_t live = store->newest.live_bytes;
    if (store->newest.magic == 0 || order > live || n > live - order) {
        return RL_E_DAMAGED;
    }
    uint32_t at = (rl_ring_of(store->newest.home) + order / RL_FLASH_DATA)
                % rl_ring_size(store);
    uint32_t skip = order % RL_FLASH_DATA;
    while (n > 0) {
        uint32_t part = RL_FLASH_DATA - skip;
        part = part < n ? part : n;
        rl_status status = rl_store_read(
            store, rl_ring_offset(at) + skip, to, part);
        if (status != RL_OK) {
            return status;
        }
        to += part;
        n -= part;
        skip = 0;
        at = rl_ring_next(store, at);
    }
    return RL_OK;
}
