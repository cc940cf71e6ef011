/* relume: constants from flash to SRAM, past the XIP cache.
 *
 * A miss of the cache fetches 4 bytes with an address of its own; the flash
 * controller can as well go on reading, 4 bytes in 16 cycles, while the DMA
 * empties its FIFO (RP2040 datasheet 4.10). Until it is set back nothing
 * may touch flash: what runs meanwhile runs from SRAM, interrupts are off,
 * and core 1 is not running. Whether the flash chip plays along is tried once
 * on the firmware's own first bytes; else, and whenever a transfer does not
 * end in time, the bytes come through the cache. */
#include "hardware/dma.h"
#include "hardware/structs/ssi.h"
#include "hardware/sync.h"
#include "pico/multicore.h"
#include "pico/platform.h"

#include "port.h"

/* Interrupts wait for 0.14 ms, or 0.27 ms behind a computing core, if that is
 * not slower; plan/xip.py */
#define BURST_BYTES 4096u
#define AHEAD_BYTES 8192u
#define TRIAL_WORDS 64u

/* Volatile, so that no library function in flash takes the loop's place. */
static void copy_words(volatile uint32_t *to, const volatile uint32_t *from,
                       uint32_t words) {
    while (words--) {
        *to++ = *from++;
    }
}

/* The controller goes on for `frames` words a read, and asks the DMA. */
static inline void set_controller(uint32_t frames, uint32_t dma) {
    ssi_hw->ssienr = 0;
    ssi_hw->ctrlr1 = frames - 1u;
    ssi_hw->dmacr = dma;
    ssi_hw->ssienr = 1;
}

/* The burst under way, if there are words. */
static struct {
    uint32_t *to;
    uint32_t  at, words; /* of flash */
    uint32_t  interrupts;
    uint      channel;
} ahead;

static void __no_inline_not_in_flash_func(start)(void) {
    uint32_t mode = ssi_hw->spi_ctrlr0 >> SSI_SPI_CTRLR0_XIP_CMD_LSB;
    dma_channel_hw_t *dma = &dma_hw->ch[ahead.channel];

    while (ssi_hw->sr & SSI_SR_BUSY_BITS) {
    }
    set_controller(ahead.words, SSI_DMACR_RDMAE_BITS);
    dma->read_addr = (uint32_t)&ssi_hw->dr0;
    dma->write_addr = (uint32_t)ahead.to;
    dma->transfer_count = ahead.words;
    dma->ctrl_trig = DMA_CH0_CTRL_TRIG_BSWAP_BITS /* frames come MSB first */
        | DREQ_XIP_SSIRX << DMA_CH0_CTRL_TRIG_TREQ_SEL_LSB
        | ahead.channel << DMA_CH0_CTRL_TRIG_CHAIN_TO_LSB
        | DMA_CH0_CTRL_TRIG_INCR_WRITE_BITS
        | DMA_CH0_CTRL_TRIG_DATA_SIZE_VALUE_SIZE_WORD
            << DMA_CH0_CTRL_TRIG_DATA_SIZE_LSB
        | DMA_CH0_CTRL_TRIG_IRQ_QUIET_BITS | DMA_CH0_CTRL_TRIG_EN_BITS;
    /* Address and mode bits start the read. */
    ssi_hw->dr0 = ahead.at << 8 | mode;
}

/* Flash can be read again; false: not all words came. */
static bool __no_inline_not_in_flash_func(stop)(void) {
    dma_channel_hw_t *dma = &dma_hw->ch[ahead.channel];
    uint32_t patience = 64u * ahead.words + 1024u; /* of several cycles */
    bool whole;

    do {
        whole = (dma->ctrl_trig & DMA_CH0_CTRL_TRIG_BUSY_BITS) == 0;
    } while (!whole && patience--);
    if (!whole) {
        dma_hw->abort = 1u << ahead.channel;
        while (dma_hw->abort & 1u << ahead.channel) {
        }
    }
    set_controller(1, 0);
    return whole;
}

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
    start();
    return true;
}

static bool __no_inline_not_in_flash_func(burst_end)(void) {
    bool whole = stop();
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

static bool works(void) {
    static enum { UNTRIED, YES, NO } found;
    if (found == UNTRIED) {
        const volatile uint32_t *flash =
            (const volatile uint32_t *)XIP_NOCACHE_NOALLOC_BASE;
        uint32_t trial[TRIAL_WORDS] = { 0 };
        found = burst(trial, 0, TRIAL_WORDS) ? YES : NO;
        for (uint32_t i = 0; i < TRIAL_WORDS; i++) {
            found = trial[i] == flash[i] ? found : NO;
        }
    }
    return found == YES;
}

/* Flash as the cache shows it. */
static const volatile uint32_t *cached(uint32_t at) {
    return (const volatile uint32_t *)(XIP_BASE + at);
}

static bool can_burst(uint32_t at) {
    return at < PICO_FLASH_SIZE_BYTES
        && !multicore_lockout_victim_is_initialized(1u - get_core_num())
        && works();
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
