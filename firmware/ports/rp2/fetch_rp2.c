/* relume: constants from flash to SRAM, past the XIP cache.
 *
 * A miss of the cache fetches 4 bytes with an address of its own; the flash
 * controller can as well go on reading, 4 bytes in 16 cycles, while the DMA
 * empties its FIFO (RP2040 datasheet 4.10). Until it is set back nothing
 * may touch flash: the code below runs from SRAM, interrupts are off, and
 * core 1 is not running. Whether the flash chip plays along is tried once
 * on the firmware's own first bytes; else, and whenever a transfer does not
 * end in time, the bytes come through the cache. */
#include "hardware/dma.h"
#include "hardware/structs/ssi.h"
#include "hardware/sync.h"
#include "pico/multicore.h"
#include "pico/platform.h"

#include "port.h"

#define BURST_BYTES 4096u /* interrupts wait for 0.14 ms; plan/xip.py */
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

/* words, at most 1024, of flash at byte `at`; false: they did not come. */
static bool __no_inline_not_in_flash_func(burst)(uint32_t *to, uint32_t at,
                                                 uint32_t words,
                                                 uint channel) {
    uint32_t mode = ssi_hw->spi_ctrlr0 >> SSI_SPI_CTRLR0_XIP_CMD_LSB;
    uint32_t patience = 64u * words + 1024u; /* polls of several cycles */
    dma_channel_hw_t *dma = &dma_hw->ch[channel];
    bool whole;

    while (ssi_hw->sr & SSI_SR_BUSY_BITS) {
    }
    set_controller(words, SSI_DMACR_RDMAE_BITS);
    dma->read_addr = (uint32_t)&ssi_hw->dr0;
    dma->write_addr = (uint32_t)to;
    dma->transfer_count = words;
    dma->ctrl_trig = DMA_CH0_CTRL_TRIG_BSWAP_BITS /* frames come MSB first */
        | DREQ_XIP_SSIRX << DMA_CH0_CTRL_TRIG_TREQ_SEL_LSB
        | channel << DMA_CH0_CTRL_TRIG_CHAIN_TO_LSB
        | DMA_CH0_CTRL_TRIG_INCR_WRITE_BITS
        | DMA_CH0_CTRL_TRIG_DATA_SIZE_VALUE_SIZE_WORD
            << DMA_CH0_CTRL_TRIG_DATA_SIZE_LSB
        | DMA_CH0_CTRL_TRIG_IRQ_QUIET_BITS | DMA_CH0_CTRL_TRIG_EN_BITS;
    ssi_hw->dr0 = at << 8 | mode; /* address and mode bits start the read */
    do {
        whole = (dma->ctrl_trig & DMA_CH0_CTRL_TRIG_BUSY_BITS) == 0;
    } while (!whole && patience--);
    if (!whole) {
        dma_hw->abort = 1u << channel;
        while (dma_hw->abort & 1u << channel) {
        }
    }
    set_controller(1, 0);
    return whole;
}

/* Address, at and words are those of burst(). */
static bool burst_safely(uint32_t *to, uint32_t at, uint32_t words) {
    int channel = dma_claim_unused_channel(false);
    if (channel < 0) {
        return false;
    }
    uint32_t state = save_and_disable_interrupts();
    bool whole = burst(to, at, words, (uint)channel);
    restore_interrupts(state);
    dma_channel_unclaim((uint)channel);
    return whole;
}

static bool works(void) {
    static enum { UNTRIED, YES, NO } found;
    if (found == UNTRIED) {
        const volatile uint32_t *flash =
            (const volatile uint32_t *)XIP_NOCACHE_NOALLOC_BASE;
        uint32_t trial[TRIAL_WORDS] = { 0 };
        found = burst_safely(trial, 0, TRIAL_WORDS) ? YES : NO;
        for (uint32_t i = 0; i < TRIAL_WORDS; i++) {
            found = trial[i] == flash[i] ? found : NO;
        }
    }
    return found == YES;
}

void rl_port_fetch(void *to, const void *from, uint32_t bytes) {
    uint32_t *word = to;
    uint32_t at = (uint32_t)(uintptr_t)from - XIP_BASE;
    bool in_flash = at < PICO_FLASH_SIZE_BYTES;
    bool alone = !multicore_lockout_victim_is_initialized(1u - get_core_num());
    while (bytes) {
        uint32_t n = bytes < BURST_BYTES ? bytes : BURST_BYTES;
        if (!in_flash || !alone || !works()
            || !burst_safely(word, at, n / 4u)) {
            copy_words(word, (const volatile uint32_t *)from, n / 4u);
        }
        word += n / 4u;
        from = (const uint8_t *)from + n;
        at += n;
        bytes -= n;
    }
}
