/* relume tests: NVM content as a fuzzer's input. */
#include "images.h"

#include <string.h>

#include "target.h"

void image_make(fault *device, uint8_t kind, uint32_t size,
                const uint8_t *data, size_t n)
{
    int flash = kind == RL_NVM_FLASH;
    fault_make(device, kind, size, flash ? 0xFFu : 0);
    if (!flash) {
        memcpy(device->bytes, data, n < size ? n : size);
        return;
    }
    for (; n >= IMAGE_PAGE; n -= IMAGE_PAGE, data += IMAGE_PAGE) {
        uint32_t page = data[0] % (size / RL_FLASH_PAGE);
        memcpy(device->bytes + page * RL_FLASH_PAGE, data + 1, RL_FLASH_PAGE);
    }
}

static int is_blank(const uint8_t *page)
{
    for (uint32_t i = 0; i < RL_FLASH_PAGE; i++) {
        if (page[i] != 0xFF) {
            return 0;
        }
    }
    return 1;
}

size_t image_write(const fault *device, uint8_t *to, size_t most)
{
    size_t n = device->size;
    if (device->kind != RL_NVM_FLASH) {
        while (n > 1 && device->bytes[n - 1] == 0) {
            n--;
        }
        n = n < most ? n : most;
        memcpy(to, device->bytes, n);
        return n;
    }
    n = 0;
    for (uint32_t page = 0; page < device->size / RL_FLASH_PAGE; page++) {
        const uint8_t *from = device->bytes + page * RL_FLASH_PAGE;
        if (!is_blank(from) && n + IMAGE_PAGE <= most) {
            to[n] = (uint8_t)page;
            memcpy(to + n + 1, from, RL_FLASH_PAGE);
            n += IMAGE_PAGE;
        }
    }
    return n;
}

void image_mutate(uint8_t kind, uint8_t *data, size_t n)
{
    uint32_t at = target_roll((uint32_t)n);
    if (kind == RL_NVM_FLASH && target_roll(2)) {
        at -= at % IMAGE_PAGE;           /* the head of a page */
        at += 1u + 4u * target_roll(25);
    } else if (kind != RL_NVM_FLASH && target_roll(2)) {
        at = 4u * target_roll(48);       /* records and cells */
    }
    at = at < n ? at : 0;
    switch (target_roll(4)) {
    case 0: data[at] ^= (uint8_t)(1u << target_roll(8)); break;
    case 1: data[at] = (uint8_t)target_near(data[at]); break;
    case 2:
        if (n - at >= 4) {
            uint32_t value;
            memcpy(&value, data + at, 4);
            value = target_near(value);
            memcpy(data + at, &value, 4);
        }
        break;
    default: {
        uint32_t m = 1u + target_roll(280), from = target_roll((uint32_t)n);
        uint32_t room = (uint32_t)n - (from > at ? from : at);
        memmove(data + at, data + from, m < room ? m : room);
        break;
    }
    }
}
