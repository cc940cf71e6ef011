/* relume: model slots in flash, as they are filled (SPEC 5). */
#include "slots_parts.h"

#include "blob_faults.h"
#include "bytes.h"

#define MARKS_AT 128u /* of the marks of finished sectors, in page 0 */
#define MARKS_MAX ((RL_FLASH_PAGE - MARKS_AT) * 8u)

static int same_blob(const rl_slot *a, const rl_slot *b)
{
    return a->size == b->size && a->meta_crc == b->meta_crc
        && a->data_crc == b->data_crc;
}

static int same_name(const rl_slot *a, const rl_slot *b)
{
    return rl_bytes_equal(a->name, b->name, RL_SLOT_NAME);
}

/* First offset of `need` bytes that no slot occupies, or RL_SLOTS_NOWHERE. */
static uint32_t gap(const rl_slots *slots, uint32_t need)
{
    rl_slot slot;
    uint32_t from = 0, at = RL_SLOTS_START, found;
    while (rl_slots_next(slots, &at, &slot, &found) == RL_OK) {
        if (found - from >= need) {
            return from;
        }
        from = found + rl_slots_extent(slot.size);
    }
    return slots->nvm->size - from >= need ? from : RL_SLOTS_NOWHERE;
}

/* Gives up uploads under way; the one of `wanted`, if it is there, is kept
 * and its place returned, else RL_SLOTS_NOWHERE. */
static rl_status drafts_clear(const rl_slots *slots, const rl_slot *wanted,
                              uint32_t *kept)
{
    rl_slot slot;
    uint32_t at = 0;
    *kept = RL_SLOTS_NOWHERE;
    while (at < slots->nvm->size) {
        uint32_t here = at;
        if (rl_slots_read(slots, here, 0, RL_SLOT_MAGIC, &slot)) {
            at = here + rl_slots_extent(slot.size);
            continue;
        }
        at = here + RL_FLASH_SECTOR;
        if (!rl_slots_read(slots, here, RL_DRAFT_AT, RL_DRAFT_MAGIC, &slot)) {
            continue;
        }
        at = here + rl_slots_extent(slot.size);
        if (*kept == RL_SLOTS_NOWHERE && same_blob(&slot, wanted)
            && same_name(&slot, wanted)) {
            *kept = here;
            continue;
        }
        rl_status status = slots->nvm->erase(slots->nvm, here);
        if (status != RL_OK) {
            return status;
        }
    }
    return RL_OK;
}

/* Erases the slot's first sector and leaves the draft in page 0. */
static rl_status draft_start(rl_slots *slots)
{
    rl_status status = slots->nvm->erase(slots->nvm, slots->at);
    if (status != RL_OK) {
        return status;
    }
    rl_bytes_fill(slots->page, 0xFF, RL_FLASH_PAGE);
    rl_bytes_copy(slots->page + RL_DRAFT_AT, &slots->draft,
                  (uint32_t)sizeof(rl_slot));
    status = slots->nvm->write(slots->nvm, slots->at, slots->page,
                               RL_FLASH_PAGE);
    slots->next = 0;
    return status;
}

/* Blob offset of the first sector that was not finished. Sector 0 also bears
 * the draft: unfinished, it is begun anew. */
static uint32_t draft_progress(const rl_slots *slots)
{
    const uint8_t *marks = slots->image + slots->at + MARKS_AT;
    uint32_t sector = 0;
    while (sector < MARKS_MAX
           && (marks[sector / 8u] & (1u << (sector % 8u))) == 0) {
        sector++;
    }
    uint32_t done = sector * RL_FLASH_SECTOR;
    if (sector == 0) {
        return 0;
    }
    done -= RL_SLOT_DATA;
    return done < slots->draft.size ? done : slots->draft.size;
}

static rl_status wanted_check(const rl_slots *slots, const rl_slot *wanted)
{
    if (wanted->name[0] == 0 || wanted->name[RL_SLOT_NAME - 1u] != 0) {
        return RL_E_ARG;
    }
    if (wanted->size < sizeof(rl_header)) {
        return RL_E_TRUNCATED;
    }
    if (wanted->size > slots->nvm->size - RL_SLOT_DATA
        || rl_slots_extent(wanted->size) > slots->nvm->size
        || rl_slots_extent(wanted->size) / RL_FLASH_SECTOR > MARKS_MAX) {
        return RL_E_FULL;
    }
    return RL_OK;
}

/* If the active slot holds this very blob under this name there is nothing to
 * upload; else a slot must be free. RL_DONE: it is there. */
static rl_status look_for(rl_slots *slots, const rl_slot *wanted)
{
    rl_slots_table table;
    uint32_t others = 0;
    rl_slots_list(slots, &table);
    for (uint32_t i = 0; i < table.n; i++) {
        const rl_slot *slot = &table.slot[i];
        others += !rl_slots_same(slot, wanted);
        if (i == table.active && same_blob(slot, wanted)
            && same_name(slot, wanted)) {
            slots->draft = *slot;
            slots->at = table.at[i];
            slots->next = wanted->size;
            slots->whole = 1;
            return RL_DONE;
        }
    }
    return others < RL_SLOTS_MOST ? RL_OK : RL_E_FULL;
}

/* Of a name there may be an older slot, whose end a power cut prevented. */
static rl_status settle(rl_slots *slots)
{
    rl_slots_table table;
    rl_status status = RL_OK;
    rl_slots_list(slots, &table);
    for (uint32_t i = 0; i < table.n && status == RL_OK; i++) {
        slots->at = table.at[i];
        status = rl_slots_remove(slots, &table.slot[i]);
    }
    return status;
}

rl_status rl_slots_begin(rl_slots *slots, const rl_slot *wanted,
                         uint32_t *next)
{
    slots->draft.magic = 0;
    slots->whole = 0;
    rl_status status = wanted_check(slots, wanted);
    if (status == RL_OK) {
        status = settle(slots);
    }
    if (status == RL_OK) {
        status = look_for(slots, wanted);
    }
    if (status != RL_OK) {
        *next = slots->next;
        return status == RL_DONE ? RL_OK : status;
    }
    status = drafts_clear(slots, wanted, &slots->at);
    if (status != RL_OK) {
        return status;
    }
    rl_slot draft = *wanted;
    draft.magic = RL_DRAFT_MAGIC;
    draft.seq = 0;
    draft.crc = rl_slots_crc(&draft);
    slots->next = 0;
    if (slots->at != RL_SLOTS_NOWHERE) {
        slots->draft = draft;
        slots->next = draft_progress(slots);
    } else {
        slots->at = gap(slots, rl_slots_extent(wanted->size));
        status = slots->at != RL_SLOTS_NOWHERE ? RL_OK : RL_E_FULL;
    }
    slots->draft = draft;
    if (status == RL_OK && slots->next == 0) {
        status = draft_start(slots);
    }
    if (status != RL_OK) {
        slots->draft.magic = 0;
    }
    *next = slots->next;
    return status;
}

/* Marks the sector of region offset `at` as finished. */
static rl_status mark(rl_slots *slots, uint32_t at)
{
    uint32_t sector = (at - slots->at) / RL_FLASH_SECTOR;
    uint8_t *cell = slots->page + MARKS_AT + sector / 8u;
    rl_bytes_fill(slots->page, 0xFF, RL_FLASH_PAGE);
    *cell = (uint8_t)(*cell & ~(1u << (sector % 8u)));
    return slots->nvm->write(slots->nvm, slots->at, slots->page,
                             RL_FLASH_PAGE);
}

/* Programs the gathered page that ends at blob offset next (or is the last,
 * short one) and keeps the sector's books. */
static rl_status page_out(rl_slots *slots)
{
    uint32_t used = slots->next % RL_FLASH_PAGE;
    uint32_t begin = slots->next - (used != 0 ? used : RL_FLASH_PAGE);
    uint32_t at = slots->at + RL_SLOT_DATA + begin;
    rl_status status = RL_OK;
    if (used != 0) {
        rl_bytes_fill(slots->page + used, 0xFF, RL_FLASH_PAGE - used);
    }
    if (at % RL_FLASH_SECTOR == 0) {
        status = slots->nvm->erase(slots->nvm, at);
    }
    if (status == RL_OK) {
        status = slots->nvm->write(slots->nvm, at, slots->page,
                                   RL_FLASH_PAGE);
    }
    if (status == RL_OK
        && (at + RL_FLASH_PAGE) % RL_FLASH_SECTOR == 0) {
        status = mark(slots, at);
    }
    return status;
}

rl_status rl_slots_write(rl_slots *slots, uint32_t at, const uint8_t *data,
                         uint32_t n, uint32_t *next)
{
    if (slots->draft.magic == 0) {
        return RL_E_STATE;
    }
    *next = slots->next;
    if (at != slots->next || n > slots->draft.size - slots->next) {
        return at != slots->next ? RL_OK : RL_E_SIZE;
    }
    while (n != 0) {
        slots->page[slots->next % RL_FLASH_PAGE] = *data++;
        slots->next++;
        n--;
        if (slots->next % RL_FLASH_PAGE == 0
            || slots->next == slots->draft.size) {
            rl_status status = page_out(slots);
            if (status != RL_OK) {
                slots->draft.magic = 0;
                return status;
            }
        }
    }
    *next = slots->next;
    return RL_OK;
}

/* The blob is what was announced, and sound. */
static rl_status verify(const rl_slots *slots, rl_blob_fault *fault)
{
    rl_blob blob;
    rl_status status = rl_blob_check(slots->image + slots->at + RL_SLOT_DATA,
                                     slots->draft.size, 1, &blob, fault);
    if (status != RL_OK) {
        return status;
    }
    if (blob.header->meta_crc != slots->draft.meta_crc
        || blob.header->data_crc != slots->draft.data_crc) {
        fault->offset = 16;
        fault->number = RL_FAULT_ANOTHER;
        return RL_E_CRC;
    }
    return RL_OK;
}

static rl_status header_write(rl_slots *slots, const rl_rooms *rooms)
{
    rl_slot header = slots->draft;
    rl_slots_table table;
    header.magic = RL_SLOT_MAGIC;
    rl_slots_list(slots, &table);
    rl_status status = rl_slots_room(slots, rooms, &table, &header);
    if (status != RL_OK) {
        return status;
    }
    header.seq = table.n == 0 ? 1u : table.slot[table.active].seq + 1u;
    header.crc = rl_slots_crc(&header);
    rl_bytes_fill(slots->page, 0xFF, RL_FLASH_PAGE);
    rl_bytes_copy(slots->page, &header, (uint32_t)sizeof header);
    status = slots->nvm->write(slots->nvm, slots->at, slots->page,
                               RL_FLASH_PAGE);
    if (status == RL_OK
        && !rl_slots_read(slots, slots->at, 0, RL_SLOT_MAGIC, &header)) {
        status = RL_E_NVM;
    }
    return status;
}

rl_status rl_slots_end(rl_slots *slots, const rl_rooms *rooms,
                       rl_blob_fault *fault)
{
    fault->offset = 0;
    fault->number = RL_FAULT_NONE;
    if (slots->draft.magic == 0 || slots->next != slots->draft.size) {
        return RL_E_STATE;
    }
    rl_status status = verify(slots, fault);
    if (status != RL_OK) {
        slots->draft.magic = 0;
        rl_status erased = slots->nvm->erase(slots->nvm, slots->at);
        return erased != RL_OK ? erased : status;
    }
    if (slots->whole) {
        return RL_OK;
    }
    status = header_write(slots, rooms);
    if (status == RL_OK) {
        slots->whole = 1;
        status = rl_slots_remove(slots, &slots->draft);
    }
    return status;
}
