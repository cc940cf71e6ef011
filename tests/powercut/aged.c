/* relume tests: a store that has lived long. SPEC 4.2, 4.3. */
#include "aged.h"

#include <string.h>

#include "crc32.h"
#include "store_ring.h"

#define SECTOR_MAGIC 0x31534C52u
#define SPENT_ID 99u /* before the ids of the host's script */

static rl_record idle_record(uint8_t kind, uint32_t seq)
{
    rl_record record = {
        .magic = RL_RECORD_MAGIC, .seq = seq, .model = 0x5EED,
        .inference = SPENT_ID, .state = RL_STATE_IDLE, .nvm_kind = kind,
        .home = kind == RL_NVM_FLASH ? RL_FLASH_PAGE : 0,
    };
    record.crc = rl_crc32(0, &record, sizeof record - sizeof record.crc);
    return record;
}

static void wear_out(fault *device, uint32_t base, uint32_t erases)
{
    for (uint32_t at = base; at < device->size; at += RL_FLASH_SECTOR) {
        rl_sector_header header = { SECTOR_MAGIC, erases, 0, 0xFFFFFFFFu };
        header.crc = rl_crc32(0, &header, 8);
        memset(device->bytes + at, 0xFF, RL_FLASH_SECTOR);
        memcpy(device->bytes + at, &header, sizeof header);
    }
}

void aged_make(fault *device, uint32_t base, uint32_t seq, uint32_t erases)
{
    rl_record record = idle_record(device->kind, seq);
    uint32_t at = (seq & 1u) * (uint32_t)sizeof record;
    if (device->kind == RL_NVM_FLASH) {
        wear_out(device, base, erases);
        at = record.home;
        device->bytes[base + at + RL_FLASH_DATA] = 0; /* a record page */
    }
    memcpy(device->bytes + base + at, &record, sizeof record);
}
