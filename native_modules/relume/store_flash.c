/* relume: the store on raw flash: a ring log. SPEC 4.3.
 *
 * The pages that hold commits are numbered 0 .. 15 * sectors - 1 around the
 * ring (header pages have no number). S1 holds because a commit programs
 * erased pages only, its record page last, and because no sector that holds
 * a page of the newest record is ever erased. */
#include "store_kind.h"

#include <stddef.h>

#include "bytes.h"
#include "crc32.h"

#define SECTOR_MAGIC 0x31534C52u
#define MARKS_AT 64u  /* attempt marks in the record page */
#define MARKS_END 96u /* the rest of the record page is 0xFF */

typedef struct {
    uint32_t magic, erase_count, crc, open;
} sector_header;
_Static_assert(sizeof(sector_header) == 16, "SPEC 4.3");

/* ---------------------------------------------------------------- ring -- */

static uint32_t sectors(const rl_store *store)
{
    return store->size / RL_FLASH_SECTOR;
}

static uint32_t ring_size(const rl_store *store)
{
    return sectors(store) * RL_FLASH_RING;
}

static uint32_t next(const rl_store *store, uint32_t ring)
{
    return ring + 1u == ring_size(store) ? 0 : ring + 1u;
}

/* Steps forward from a to b. */
static uint32_t distance(const rl_store *store, uint32_t a, uint32_t b)
{
    return b >= a ? b - a : b + ring_size(store) - a;
}

uint32_t rl_store_flash_offset(uint32_t ring)
{
    return ring / RL_FLASH_RING * RL_FLASH_SECTOR
         + (ring % RL_FLASH_RING + 1u) * RL_FLASH_PAGE;
}

static uint32_t ring_of(uint32_t offset)
{
    return offset / RL_FLASH_SECTOR * RL_FLASH_RING
         + offset % RL_FLASH_SECTOR / RL_FLASH_PAGE - 1u;
}

uint32_t rl_store_flash_pages(uint32_t live)
{
    return live / RL_FLASH_DATA + (live % RL_FLASH_DATA != 0);
}

/* Does the sector hold a page of the newest record? */
static int holds_newest(const rl_store *store, uint32_t sector)
{
    if (store->newest.magic == 0) {
        return 0;
    }
    uint32_t n = sectors(store);
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

/* Programs page[] and reads it back. */
static rl_status program(rl_store *store, uint32_t at)
{
    rl_status status = rl_store_write(store, at, store->page, RL_FLASH_PAGE);
    if (status != RL_OK) {
        return status;
    }
    return rl_store_verify(store, at, store->page, RL_FLASH_PAGE);
}

/* ------------------------------------------------------------- sectors -- */

static rl_status read_header(rl_store *store, uint32_t sector,
                             sector_header *header, int *valid)
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
    sector_header header;
    rl_status status = read_header(store, sector, &header, yes);
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
    rl_bytes_fill(store->page + offsetof(sector_header, open), 0, 4);
    return program(store, at);
}

static rl_status program_header(rl_store *store, uint32_t sector,
                                uint32_t erase_count)
{
    sector_header header = { SECTOR_MAGIC, erase_count, 0, 0xFFFFFFFFu };
    header.crc = rl_crc32(0, &header, 8);
    rl_bytes_fill(store->page, 0xFF, sizeof store->page);
    rl_bytes_copy(store->page, &header, sizeof header);
    return program(store, sector * RL_FLASH_SECTOR);
}

/* The open mark goes down first: an erase that is cut may leave cells that
 * read as erased and are not, under a header that still looks well. A cut
 * after the erase leaves no header, which counts as not erased. */
static rl_status erase(rl_store *store, uint32_t sector)
{
    sector_header header;
    uint32_t at = sector * RL_FLASH_SECTOR, count = store->wear;
    int valid = 0, clean = 0;
    rl_status status = read_header(store, sector, &header, &valid);
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

/* ---------------------------------------------------------------- open -- */

static uint32_t count_marks(const uint8_t *marks)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < MARKS_END - MARKS_AT; i++) {
        for (uint32_t bits = (uint8_t)~marks[i]; bits != 0; bits &= bits - 1) {
            n++;
        }
    }
    return n;
}

/* The data pages that the record names end just before it. */
static int placed(const rl_store *store, const rl_record *record,
                  uint32_t ring)
{
    uint32_t home = record->home;
    uint32_t pages = rl_store_flash_pages(record->live_bytes);
    return home < store->size && home % RL_FLASH_PAGE == 0
        && home % RL_FLASH_SECTOR != 0 && pages < ring_size(store)
        && distance(store, ring_of(home), ring) == pages;
}

/* A data page cannot pass for a record page, whatever tensor lies in it: its
 * last byte is 0, a record page's is 0xFF. */
static rl_status consider(rl_store *store, uint32_t ring)
{
    rl_record record;
    uint32_t at = rl_store_flash_offset(ring);
    rl_status status = rl_store_read(store, at, store->page, RL_FLASH_PAGE);
    if (status != RL_OK) {
        return status;
    }
    rl_bytes_copy(&record, store->page, sizeof record);
    if (rl_record_valid(&record, RL_NVM_FLASH)
        && rl_bytes_blank(store->page + MARKS_END, RL_FLASH_PAGE - MARKS_END)
        && placed(store, &record, ring)
        && (store->newest.magic == 0
            || rl_record_after(record.seq, store->newest.seq))) {
        store->newest = record;
        store->at = ring;
        store->attempts = record.state != RL_STATE_RUNNING ? 0
                        : count_marks(store->page + MARKS_AT);
    }
    return RL_OK;
}

static rl_status scan_headers(rl_store *store)
{
    for (uint32_t s = 0; s < sectors(store); s++) {
        sector_header header;
        int valid = 0;
        rl_status status = read_header(store, s, &header, &valid);
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
        || store->size % RL_FLASH_SECTOR != 0 || sectors(store) < 3) {
        return RL_E_NVM_SIZE;
    }
    rl_status status = scan_headers(store);
    for (uint32_t r = 0; status == RL_OK && r < ring_size(store); r++) {
        uint32_t magic = 0;
        status = rl_store_read(store, rl_store_flash_offset(r), &magic, 4);
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
    if (span >= sectors(store)
        || n > (sectors(store) - span) * RL_FLASH_RING) {
        return RL_E_NVM_SIZE;
    }
    return RL_OK;
}

/* ------------------------------------------------------------ attempts -- */

rl_status rl_store_flash_attempt(rl_store *store)
{
    uint32_t at = rl_store_flash_offset(store->at);
    rl_status status = rl_store_read(store, at, store->page, RL_FLASH_PAGE);
    if (status != RL_OK) {
        return status;
    }
    for (uint32_t i = MARKS_AT; i < MARKS_END; i++) {
        uint8_t marks = store->page[i];
        if (marks != 0) {
            store->page[i] = (uint8_t)(marks & (marks - 1u));
            status = program(store, at);
            store->attempts += status == RL_OK;
            return status;
        }
    }
    return RL_OK; /* all 256 marks are used: the count stays */
}

/* ---------------------------------------------------------------- room -- */

/* First run of n erased pages after the newest record, before the first
 * sector that the newest record needs. Torn pages are passed over: erasing
 * costs more than what they waste. RL_E_FULL if there is none. */
static rl_status find(rl_store *store, uint32_t n, uint32_t *first)
{
    uint32_t at = 0, left = ring_size(store), run = 0;
    int erased = 0, fresh = 1;
    if (store->newest.magic != 0) {
        uint32_t stop = store->newest.home / RL_FLASH_SECTOR * RL_FLASH_RING;
        at = next(store, store->at);
        left = distance(store, at, stop);
    }
    for (; left > 0; left--, at = next(store, at)) {
        rl_status status = RL_OK;
        int yes = 0;
        if (fresh || at % RL_FLASH_RING == 0) {
            status = ready(store, at / RL_FLASH_RING, &erased);
            fresh = 0;
        }
        if (status == RL_OK && erased) {
            status = blank(store, rl_store_flash_offset(at), RL_FLASH_PAGE,
                           &yes);
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

/* Ring order from the newest record on spreads the wear evenly. */
static rl_status erase_next(rl_store *store)
{
    uint32_t n = sectors(store);
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

rl_status rl_store_flash_room(rl_store *store, uint32_t live)
{
    uint32_t first = 0;
    rl_status status = find(store, rl_store_flash_pages(live) + 1u, &first);
    return status == RL_E_FULL ? erase_next(store) : status;
}

/* -------------------------------------------------------------- commit -- */

rl_status rl_store_flash_begin(rl_store *store, uint32_t live)
{
    uint32_t first = 0;
    rl_status status = find(store, rl_store_flash_pages(live) + 1u, &first);
    store->first = first;
    store->pending = first;
    store->fill = 0;
    return status;
}

static rl_status flush(rl_store *store)
{
    rl_bytes_fill(store->page + store->fill, 0xFF,
                  RL_FLASH_DATA - store->fill);
    store->page[RL_FLASH_DATA] = 0;
    rl_status status = program(store, rl_store_flash_offset(store->pending));
    store->pending = next(store, store->pending);
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
    status = program(store, rl_store_flash_offset(store->pending));
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
    uint32_t at = (ring_of(store->newest.home) + order / RL_FLASH_DATA)
                % ring_size(store);
    uint32_t skip = order % RL_FLASH_DATA;
    while (n > 0) {
        uint32_t part = RL_FLASH_DATA - skip;
        part = part < n ? part : n;
        rl_status status = rl_store_read(
            store, rl_store_flash_offset(at) + skip, to, part);
        if (status != RL_OK) {
            return status;
        }
        to += part;
        n -= part;
        skip = 0;
        at = next(store, at);
    }
    return RL_OK;
}
