/* relume: model slots in flash, as they are found (SPEC 5). */
#include "slots_parts.h"

#include "bytes.h"
#include "crc32.h"

uint32_t rl_slots_crc(const rl_slot *slot)
{
    return rl_crc32(0, slot, (uint32_t)sizeof *slot - 4u);
}

uint32_t rl_slots_extent(uint32_t size)
{
    return (size + RL_SLOT_DATA + RL_FLASH_SECTOR - 1u)
        & ~(RL_FLASH_SECTOR - 1u);
}

int rl_slots_read(const rl_slots *slots, uint32_t at, uint32_t where,
                  uint32_t magic, rl_slot *slot)
{
    uint32_t room = slots->nvm->size - at;
    const uint8_t *from = slots->image + at + where;
    rl_bytes_copy(slot, from, (uint32_t)sizeof slot->magic);
    if (slot->magic != magic) {
        return 0; /* a scan passes hundreds of sectors: be quick */
    }
    rl_bytes_copy(slot, from, (uint32_t)sizeof *slot);
    return slot->crc == rl_slots_crc(slot)
        && slot->name[RL_SLOT_NAME - 1u] == 0
        && slot->size >= sizeof(rl_header)
        && room > RL_SLOT_DATA && slot->size <= room - RL_SLOT_DATA;
}

int rl_slots_same(const rl_slot *a, const rl_slot *b)
{
    return a->meta_crc == b->meta_crc
        || rl_bytes_equal(a->name, b->name, RL_SLOT_NAME);
}

int rl_slots_newer(const rl_slot *a, const rl_slot *b)
{
    return (int32_t)(a->seq - b->seq) > 0;
}

/* Where a sector from `at` on begins with the magic of a header, or the
 * region's end. A word a sector: each is a miss of the flash cache. */
static uint32_t maybe_header(const rl_slots *slots, uint32_t at)
{
    while (at < slots->nvm->size) {
        const void *word = slots->image + at;
        if (*(const uint32_t *)word == RL_SLOT_MAGIC) {
            break;
        }
        at += RL_FLASH_SECTOR;
    }
    return at;
}

/* From *at on sector by sector until `end`, over what is being uploaded, which
 * shall not be read as a header. *at ends at `end`, or behind it. */
static void pass_drafts(const rl_slots *slots, uint32_t *at, uint32_t end)
{
    rl_slot draft;
    while (*at < end) {
        uint32_t here = *at;
        *at = here + RL_FLASH_SECTOR;
        if (rl_slots_read(slots, here, RL_DRAFT_AT, RL_DRAFT_MAGIC, &draft)) {
            *at = here + rl_slots_extent(draft.size);
        }
    }
}

/* Drafts are looked for only where a header stands behind them. */
rl_status rl_slots_next(const rl_slots *slots, uint32_t *at, rl_slot *slot,
                        uint32_t *found)
{
    uint32_t here = *at;
    while ((here = maybe_header(slots, here)) < slots->nvm->size) {
        if (!rl_slots_read(slots, here, 0, RL_SLOT_MAGIC, slot)) {
            here += RL_FLASH_SECTOR;
            continue;
        }
        pass_drafts(slots, at, here);
        if (*at == here) {
            *found = here;
            *at = here + rl_slots_extent(slot->size);
            return RL_OK;
        }
        here = *at;
    }
    *at = slots->nvm->size;
    return RL_DONE;
}

/* ---------------------------------------------------------------- table -- */

/* A newer slot has taken the place of table->slot[i], and the power went
 * before that was given up. */
static int is_stale(const rl_slots_table *table, uint32_t i)
{
    for (uint32_t other = 0; other < table->n; other++) {
        if (rl_slots_same(&table->slot[other], &table->slot[i])
            && rl_slots_newer(&table->slot[other], &table->slot[i])) {
            return 1;
        }
    }
    return 0;
}

static void drop(rl_slots_table *table, uint32_t i)
{
    table->n--;
    for (; i < table->n; i++) {
        table->slot[i] = table->slot[i + 1u];
        table->at[i] = table->at[i + 1u];
    }
}

void rl_slots_list(const rl_slots *slots, rl_slots_table *table)
{
    uint32_t at = RL_SLOTS_START, i = 0;
    table->n = 0;
    table->active = 0;
    while (table->n < RL_SLOTS_LISTED
           && rl_slots_next(slots, &at, &table->slot[table->n],
                            &table->at[table->n]) == RL_OK) {
        table->n++;
    }
    while (i < table->n) {
        if (is_stale(table, i)) {
            drop(table, i);
        } else {
            i++;
        }
    }
    for (i = 1; i < table->n; i++) {
        if (rl_slots_newer(&table->slot[i], &table->slot[table->active])) {
            table->active = i;
        }
    }
}

rl_status rl_slots_remove(const rl_slots *slots, const rl_slot *wanted)
{
    rl_slot slot;
    uint32_t at = RL_SLOTS_START, found;
    while (rl_slots_next(slots, &at, &slot, &found) == RL_OK) {
        if (found == slots->at || !rl_slots_same(&slot, wanted)) {
            continue;
        }
        rl_status status = slots->nvm->erase(slots->nvm, found);
        if (status != RL_OK) {
            return status;
        }
    }
    return RL_OK;
}
