/* relume: constants from flash to SRAM, past the XIP cache.
 *
 * A miss of the cache fetches 4 bytes with an address of its own; the flash
 * controller can as well go on reading, 4 bytes in 16 cycles (burst_rp2.h).
 * Until it is set back nothing may touch flash: what runs meanwhile runs from
 * SRAM, interrupts are off, and core 1 is not running. If the start found that
 * the flash chip does not play along (copy_rp2.c), and whenever a transfer does
 * not end in time, the bytes come through the cache. */
#include "hardware/dma.h"
#include "hardware/sync.h"
#include "pico/multicore.h"
#include "pico/platform.h"

#include "burst_rp2.h"
#include "port.h"
#include "port_rp2.h"

/* Interrupts wait for 0.14 ms, or 0.27 ms behind a computing core, if that is
 * not slower; plan/xip.py */
#define BURST_BYTES 4096u
#define AHEAD_BYTES 8192u

/* Volatile, so that no library function in flash takes the loop's place. */
static void copy_words(volatile uint32_t *to, const volatile uint32_t *from,
                       uint32_t words) {
    while (words--) {
        *to++ = *from++;
    }
}

/* The burst under way, if there are words. */
static struct {
    uint32_t *to;
    uint32_t  at, words; /* of flash */
    uint32_t  interrupts;
    uint      channel;
} ahead;

/* words, at most AHEAD_BYTES / 4, of flash at byte `at`; true: flash is not
 * to be read until burst_end(), and the caller is in SRAM. */
static bool __no_inline_not_in_flash_func(burst_begin)(uint32_t *to,
                                                       uint32_t at,
                                                       uint32_t words) {
    int channel = dma_claim_unused_channel(false);
    if (channel < 0) {
        return false;
    }
    ahead.channel = (uint)channel;
    ahead.to = to;
    ahead.at = at;
    ahead.words = words;
    ahead.interrupts = save_and_disable_interrupts();
    rl_burst_begin(ahead.channel, to, at, words);
    return true;
}

static bool __no_inline_not_in_flash_func(burst_end)(void) {
    bool whole = rl_burst_end(ahead.channel, ahead.words);
    restore_interrupts(ahead.interrupts);
    dma_channel_unclaim(ahead.channel);
    ahead.words = 0;
    return whole;
}

/* Both, for callers in flash. */
static bool __no_inline_not_in_flash_func(burst)(uint32_t *to, uint32_t at,
                                                 uint32_t words) {
    return burst_begin(to, at, words) && burst_end();
}

/* Flash as the cache shows it. */
static const volatile uint32_t *cached(uint32_t at) {
    return (const volatile uint32_t *)(XIP_BASE + at);
}

static bool can_burst(uint32_t at) {
    return at < PICO_FLASH_SIZE_BYTES
        && !multicore_lockout_victim_is_initialized(1u - get_core_num())
        && rl_copy_bursts();
}

/* Copies at once, burst by burst. */
static void copy(uint32_t *to, uint32_t at, uint32_t bytes) {
    bool bursts = can_burst(at);
    while (bytes) {
        uint32_t n = bytes < BURST_BYTES ? bytes : BURST_BYTES;
        if (!bursts || !burst(to, at, n / 4u)) {
            copy_words(to, cached(at), n / 4u);
        }
        to += n / 4u;
        at += n;
        bytes -= n;
    }
}

void __no_inline_not_in_flash_func(rl_port_fetch)(void *to, const void *from,
                                                  uint32_t bytes) {
    uint32_t at = (uint32_t)(uintptr_t)from - XIP_BASE;
    if (bytes > AHEAD_BYTES || !can_burst(at)
        || !burst_begin(to, at, bytes / 4u)) {
        copy(to, at, bytes);
    }
}

void __no_inline_not_in_flash_func(rl_port_fetched)(void) {
    uint32_t *to = ahead.to, at = ahead.at, words = ahead.words;
    if (words && !burst_end()) {
        copy_words(to, cached(at), words);
    }
}
