/* relume: the part of the NVM that a model's store gets (SPEC 5). The slots
 * are the table of these parts: a header that is whole gives a model its blob
 * and its store at once, and takes both away when it is erased. */
#include "slots_parts.h"

#include "store.h"

typedef struct {
    uint32_t at, size;
} part;

static uint32_t kind_of(const rl_slots *slots, uint32_t at)
{
    const void *blob = slots->image + at + RL_SLOT_DATA;
    return ((const rl_header *)blob)->nvm_kind;
}

/* The least store that a plan's nvm_size fits: SPEC 4.2 and 4.3. */
static uint32_t least(uint32_t kind, uint32_t need, uint32_t room)
{
    rl_nvm nvm = { .kind = (uint8_t)kind, .size = room };
    rl_store store = { .nvm = &nvm };
    uint32_t grain = kind == RL_NVM_FLASH ? RL_FLASH_SECTOR : RL_FLASH_PAGE;
    store.size = kind == RL_NVM_FLASH ? 3u * grain : RL_FRAM_HOME;
    while (store.size <= room && rl_store_fits(&store, need) != RL_OK) {
        store.size += grain;
    }
    return store.size;
}

/* The parts of the other models in the same memory. What is byte-writable
 * counts as one: a port may have one memory for all its kinds. */
static uint32_t others(const rl_slots *slots, const rl_slots_table *table,
                       int flash, part parts[RL_SLOTS_LISTED])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < table->n; i++) {
        const rl_slot *slot = &table->slot[i];
        if (!rl_slots_same(slot, &slots->draft)
            && (kind_of(slots, table->at[i]) == RL_NVM_FLASH) == flash) {
            parts[n].at = slot->store_at;
            parts[n].size = slot->store_size;
            n++;
        }
    }
    return n;
}

/* Bytes from `at` to the next part or the end; 0 inside a part. */
static uint32_t free_from(const part *parts, uint32_t n, uint32_t at,
                          uint32_t room)
{
    uint32_t end = room;
    if (at >= room) {
        return 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (parts[i].at > at) {
            end = parts[i].at < end ? parts[i].at : end;
        } else if (at - parts[i].at < parts[i].size) {
            return 0;
        }
    }
    return end - at;
}

/* The same model, under another name maybe, keeps its part and what it
 * holds. */
static int keeps(const rl_slots_table *table, rl_slot *header)
{
    for (uint32_t i = 0; i < table->n; i++) {
        if (table->slot[i].meta_crc == header->meta_crc) {
            header->store_at = table->slot[i].store_at;
            header->store_size = table->slot[i].store_size;
            return 1;
        }
    }
    return 0;
}

/* A ring of flash gets half of the largest gap, more sectors wear less; what
 * is byte-writable gets the first gap that is large enough, and no more. */
rl_status rl_slots_room(const rl_slots *slots, const rl_rooms *rooms,
                        const rl_slots_table *table, rl_slot *header)
{
    part parts[RL_SLOTS_LISTED];
    if (keeps(table, header)) {
        return RL_OK;
    }
    const void *blob = slots->image + slots->at + RL_SLOT_DATA;
    uint32_t kind = kind_of(slots, slots->at);
    int flash = kind == RL_NVM_FLASH;
    uint32_t room = flash ? rooms->flash
                  : kind == RL_NVM_FRAM_I2C ? rooms->i2c : rooms->bytes;
    uint32_t need = least(kind, ((const rl_header *)blob)->nvm_size, room);
    uint32_t n = others(slots, table, flash, parts), found = 0;
    for (uint32_t i = 0; i <= n; i++) {
        uint32_t at = i == 0 ? 0 : parts[i - 1u].at + parts[i - 1u].size;
        uint32_t size = free_from(parts, n, at, room);
        if (size >= need && (found == 0 || (flash && size > found))) {
            header->store_at = at;
            found = size;
        }
    }
    if (found == 0) {
        return RL_E_NVM_SIZE;
    }
    uint32_t half = found / 2u & ~(RL_FLASH_SECTOR - 1u);
    header->store_size = flash && half > need ? half : need;
    return RL_OK;
}
