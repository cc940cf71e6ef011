/* relume: model slots in flash (SPEC 5). */
#include "slots.h"

#include "blob_faults.h"
#include "crc32.h"

#define SLOT_MAGIC 0x4C534C52u  /* RLSL */
#define DRAFT_MAGIC 0x44534C52u /* RLSD */
#define DRAFT_AT 64u            /* of the draft in page 0 of its slot */
#define MARKS_AT 128u           /* of the marks of finished sectors */
#define MARKS_MAX ((RL_FLASH_PAGE - MARKS_AT) * 8u)
#define NOWHERE 0xFFFFFFFFu

static void copy(void *to, const void *from, uint32_t n) {
    uint8_t *d = to;
    const uint8_t *s = from;
    while (n-- != 0) {
        *d++ = *s++;
    }
}

static void fill(uint8_t *data, uint32_t n) {
    while (n-- != 0) {
        *data++ = 0xFF;
    }
}

static uint32_t header_crc(const rl_slot *slot) {
    return rl_crc32(0, slot, (uint32_t)sizeof *slot - 4u);
}

/* Bytes of flash that a blob's slot takes, whole sectors. size has been
 * checked against the region, so nothing overflows. */
static uint32_t extent(uint32_t size) {
    return (size + RL_SLOT_DATA + RL_FLASH_SECTOR - 1u)
        & ~(RL_FLASH_SECTOR - 1u);
}

/* Reads a header or a draft at region offset `at`; 1 if it is valid. */
static int header_read(const rl_slots *slots, uint32_t at, uint32_t where,
                       uint32_t magic, rl_slot *slot) {
    uint32_t room = slots->nvm->size - at;
    const uint8_t *from = slots->image + at + where;
    copy(slot, from, (uint32_t)sizeof slot->magic);
    if (slot->magic != magic) {
        return 0; /* a scan passes hundreds of sectors: be quick */
    }
    copy(slot, from, (uint32_t)sizeof *slot);
    return slot->crc == header_crc(slot)
        && slot->name[RL_SLOT_NAME - 1u] == 0
        && slot->size >= sizeof(rl_header)
        && room > RL_SLOT_DATA && slot->size <= room - RL_SLOT_DATA;
}

static int same_blob(const rl_slot *a, const rl_slot *b) {
    return a->size == b->size && a->meta_crc == b->meta_crc
        && a->data_crc == b->data_crc;
}

static int same_name(const rl_slot *a, const rl_slot *b) {
    for (uint32_t i = 0; i < RL_SLOT_NAME; i++) {
        if (a->name[i] != b->name[i]) {
            return 0;
        }
    }
    return 1;
}

static int newer(uint32_t a, uint32_t b) {
    return (int32_t)(a - b) > 0;
}

rl_status rl_slots_next(const rl_slots *slots, uint32_t *at, rl_slot *slot,
                        uint32_t *found) {
    rl_slot draft;
    while (*at < slots->nvm->size) {
        uint32_t here = *at;
        if (header_read(slots, here, 0, SLOT_MAGIC, slot)) {
            *found = here;
            *at = here + extent(slot->size);
            return RL_OK;
        }
        if (header_read(slots, here, DRAFT_AT, DRAFT_MAGIC, &draft)) {
            /* What is being uploaded shall not be read as a header. */
            *at = here + extent(draft.size);
        } else {
            *at = here + RL_FLASH_SECTOR;
        }
    }
    return RL_DONE;
}

/* The slot with the highest (sign 1) or lowest (sign 0) seq. */
static rl_status extreme(const rl_slots *slots, int highest, rl_slot *slot,
                         uint32_t *found) {
    rl_status result = RL_DONE;
    rl_slot other;
    uint32_t at = RL_SLOTS_START, here;
    while (rl_slots_next(slots, &at, &other, &here) == RL_OK) {
        if (result == RL_DONE
            || newer(other.seq, slot->seq) == highest) {
            *slot = other;
            *found = here;
            result = RL_OK;
        }
    }
    return result;
}

rl_status rl_slots_active(const rl_slots *slots, rl_slot *slot,
                          uint32_t *found) {
    return extreme(slots, 1, slot, found);
}

/* First offset of `need` bytes that no slot occupies, or NOWHERE. */
static uint32_t gap(const rl_slots *slots, uint32_t need) {
    rl_slot slot;
    uint32_t from = 0, at = RL_SLOTS_START, found;
    while (rl_slots_next(slots, &at, &slot, &found) == RL_OK) {
        if (found - from >= need) {
            return from;
        }
        from = found + extent(slot.size);
    }
    return slots->nvm->size - from >= need ? from : NOWHERE;
}

/* Gives up uploads under way; the one of `wanted`, if it is there, is kept
 * and its place returned, else NOWHERE. */
static rl_status drafts_clear(const rl_slots *slots, const rl_slot *wanted,
                              uint32_t *kept) {
    rl_slot slot;
    uint32_t at = 0;
    *kept = NOWHERE;
    while (at < slots->nvm->size) {
        uint32_t here = at;
        if (header_read(slots, here, 0, SLOT_MAGIC, &slot)) {
            at = here + extent(slot.size);
            continue;
        }
        at = here + RL_FLASH_SECTOR;
        if (!header_read(slots, here, DRAFT_AT, DRAFT_MAGIC, &slot)) {
            continue;
        }
        at = here + extent(slot.size);
        if (*kept == NOWHERE && same_blob(&slot, wanted)
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

/* Finds room, giving up the oldest slots while there is none. */
static rl_status make_room(const rl_slots *slots, uint32_t need,
                           uint32_t *at) {
    for (;;) {
        rl_slot slot;
        uint32_t found;
        *at = gap(slots, need);
        if (*at != NOWHERE) {
            return RL_OK;
        }
        if (extreme(slots, 0, &slot, &found) != RL_OK) {
            return RL_E_FULL;
        }
        rl_status status = slots->nvm->erase(slots->nvm, found);
        if (status != RL_OK) {
            return status;
        }
    }
}

/* Erases the slot's first sector and leaves the draft in page 0. */
static rl_status draft_start(rl_slots *slots) {
    rl_status status = slots->nvm->erase(slots->nvm, slots->at);
    if (status != RL_OK) {
        return status;
    }
    fill(slots->page, RL_FLASH_PAGE);
    copy(slots->page + DRAFT_AT, &slots->draft, (uint32_t)sizeof(rl_slot));
    status = slots->nvm->write(slots->nvm, slots->at, slots->page,
                               RL_FLASH_PAGE);
    slots->next = 0;
    return status;
}

/* Blob offset of the first sector that was not finished. Sector 0 also bears
 * the draft: unfinished, it is begun anew. */
static uint32_t draft_progress(const rl_slots *slots) {
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

static rl_status wanted_check(const rl_slots *slots, const rl_slot *wanted) {
    if (wanted->name[0] == 0 || wanted->name[RL_SLOT_NAME - 1u] != 0) {
        return RL_E_ARG;
    }
    if (wanted->size < sizeof(rl_header)) {
        return RL_E_TRUNCATED;
    }
    if (wanted->size > slots->nvm->size - RL_SLOT_DATA
        || extent(wanted->size) > slots->nvm->size
        || extent(wanted->size) / RL_FLASH_SECTOR > MARKS_MAX) {
        return RL_E_FULL;
    }
    return RL_OK;
}

rl_status rl_slots_begin(rl_slots *slots, const rl_slot *wanted,
                         uint32_t *next) {
    rl_slot active;
    uint32_t found;
    slots->draft.magic = 0;
    rl_status status = wanted_check(slots, wanted);
    if (status != RL_OK) {
        return status;
    }
    slots->whole = 0;
    if (rl_slots_active(slots, &active, &found) == RL_OK
        && same_blob(&active, wanted) && same_name(&active, wanted)) {
        slots->draft = active;
        slots->at = found;
        slots->next = active.size;
        slots->whole = 1;
        *next = slots->next;
        return RL_OK;
    }
    status = drafts_clear(slots, wanted, &slots->at);
    if (status != RL_OK) {
        return status;
    }
    rl_slot draft = *wanted;
    draft.magic = DRAFT_MAGIC;
    draft.seq = 0;
    draft.crc = header_crc(&draft);
    slots->next = 0;
    if (slots->at != NOWHERE) {
        slots->draft = draft;
        slots->next = draft_progress(slots);
    } else {
        status = make_room(slots, extent(wanted->size), &slots->at);
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
static rl_status mark(rl_slots *slots, uint32_t at) {
    uint32_t sector = (at - slots->at) / RL_FLASH_SECTOR;
    uint8_t *cell = slots->page + MARKS_AT + sector / 8u;
    fill(slots->page, RL_FLASH_PAGE);
    *cell = (uint8_t)(*cell & ~(1u << (sector % 8u)));
    return slots->nvm->write(slots->nvm, slots->at, slots->page,
                             RL_FLASH_PAGE);
}

/* Programs the gathered page that ends at blob offset next (or is the last,
 * short one) and keeps the sector's books. */
static rl_status page_out(rl_slots *slots) {
    uint32_t used = slots->next % RL_FLASH_PAGE;
    uint32_t begin = slots->next - (used != 0 ? used : RL_FLASH_PAGE);
    uint32_t at = slots->at + RL_SLOT_DATA + begin;
    rl_status status = RL_OK;
    if (used != 0) {
        fill(slots->page + used, RL_FLASH_PAGE - used);
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
                         uint32_t n, uint32_t *next) {
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

/* Erases the headers of older slots that bear the draft's name. */
static rl_status drop_namesakes(const rl_slots *slots) {
    rl_slot slot;
    uint32_t at = RL_SLOTS_START, found;
    while (rl_slots_next(slots, &at, &slot, &found) == RL_OK) {
        if (found != slots->at && same_name(&slot, &slots->draft)) {
            rl_status status = slots->nvm->erase(slots->nvm, found);
            if (status != RL_OK) {
                return status;
            }
        }
    }
    return RL_OK;
}

/* The blob is what was announced, and sound. */
static rl_status verify(const rl_slots *slots, rl_blob_fault *fault) {
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

static rl_status header_write(rl_slots *slots) {
    rl_slot header = slots->draft, active;
    uint32_t found;
    header.magic = SLOT_MAGIC;
    header.seq = 1;
    if (rl_slots_active(slots, &active, &found) == RL_OK) {
        header.seq = active.seq + 1u;
    }
    header.crc = header_crc(&header);
    fill(slots->page, RL_FLASH_PAGE);
    copy(slots->page, &header, (uint32_t)sizeof header);
    return slots->nvm->write(slots->nvm, slots->at, slots->page,
                             RL_FLASH_PAGE);
}

rl_status rl_slots_end(rl_slots *slots, rl_blob_fault *fault) {
    rl_slot header;
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
    status = header_write(slots);
    if (status == RL_OK
        && !header_read(slots, slots->at, 0, SLOT_MAGIC, &header)) {
        status = RL_E_NVM;
    }
    if (status == RL_OK) {
        slots->whole = 1;
        status = drop_namesakes(slots);
    }
    return status;
}
