/* relume: the start of the RP2040: what lies in SRAM comes from flash.
 *
 * The SDK's start-up code copies it word by word, each word a miss of the XIP
 * cache: 6 ms, at the ring oscillator's pace. Here it comes in bursts. Engine
 * and kernels, three quarters of it, are not needed before the first tile:
 * they come while the crystal starts, once the model has been checked, and
 * what is then left comes at the full clock.
 *
 * A burst is trusted when some of its words are what the cache shows; else, and
 * on boards whose flash is not read in quad mode without a command, the SDK's
 * code copies all of it. */
#include "hardware/structs/resets.h"
#include "hardware/structs/sio.h"
#include "hardware/structs/xosc.h"
#include "pico/platform.h"

#include "burst_rp2.h"
#include "port_rp2.h"

#define CHANNEL RL_DMA_SPI /* which nobody uses yet */
#define BURST_WORDS 48u    /* of the function, at least */
#define SPACING 64u        /* of the words that are looked at */
#define PIECE_WORDS 256u   /* 0.1 ms at the ring's pace */

extern uint32_t __etext[], __data_start__[], __data_end__[]; /* linker script */
extern uint32_t __bss_start__[], __bss_end__[];
extern uint32_t rl_hot_begin[], rl_hot_end[];
extern uint32_t __scratch_x_source__[], __scratch_x_start__[],
    __scratch_x_end__[];
extern uint32_t __scratch_y_source__[], __scratch_y_start__[],
    __scratch_y_end__[];

static bool bursts; /* they bring what the cache shows */

/* Of engine and kernels what has not been copied yet. */
static uint32_t *next, left;

static const uint32_t *source(const uint32_t *to) {
    return __etext + (to - __data_start__);
}

/* Volatile, so that no library function takes the loop's place: it may not be
 * there yet. */
static void copy_words(volatile uint32_t *to, const volatile uint32_t *from,
                       uint32_t words) {
    while (words--) {
        *to++ = *from++;
    }
}

static bool __no_inline_not_in_flash_func(burst)(uint32_t *to, uint32_t at,
                                                 uint32_t words) {
    rl_burst_begin(CHANNEL, to, at, words);
    return rl_burst_end(CHANNEL, words);
}

static bool copy(uint32_t *to, uint32_t words) {
    const volatile uint32_t *from = source(to);
    bool good = burst(to, (uint32_t)(uintptr_t)from - XIP_BASE, words);
    for (uint32_t i = words - 1u; good && i < words; i -= SPACING) {
        good = ((volatile uint32_t *)to)[i] == from[i];
    }
    return good;
}

/* Reads begin with an address, not with a command (boot2_w25q080.S): as words
 * of a burst (burst_rp2.h) a command would be taken from the address. */
static bool reads_by_address(void) {
    return (ssi_hw->spi_ctrlr0 & SSI_SPI_CTRLR0_INST_L_BITS) == 0
        && (ssi_hw->ctrlr0 & SSI_CTRLR0_SPI_FRF_BITS)
            == SSI_CTRLR0_SPI_FRF_VALUE_QUAD << SSI_CTRLR0_SPI_FRF_LSB;
}

/* A DMA controller as after power-on. */
static void reset_dma(void) {
    hw_set_bits(&resets_hw->reset, RESETS_RESET_DMA_BITS);
    hw_clear_bits(&resets_hw->reset, RESETS_RESET_DMA_BITS);
    while (!(resets_hw->reset_done & RESETS_RESET_DMA_BITS)) {
    }
}

static void copy_scratch(uint32_t *to, const uint32_t *end,
                         const uint32_t *from) {
    copy_words(to, from, (uint32_t)(end - to));
}

static void clear(volatile uint32_t *from, const volatile uint32_t *end) {
    for (; end - from >= 4; from += 4) {
        from[0] = from[1] = from[2] = from[3] = 0;
    }
    while (from < end) {
        *from++ = 0;
    }
}

/* Of reset_rp2.S: there is a stack, and no data yet. False: nothing counts as
 * copied. */
bool rl_copy_start(void);
bool rl_copy_start(void) {
    uint32_t *code = (uint32_t *)((uintptr_t)burst & ~(uintptr_t)3u);
    if (sio_hw->cpuid != 0 || !reads_by_address()) {
        return false;
    }
    reset_dma();
    copy_words(code, source(code), BURST_WORDS);
    if (!copy(__data_start__, (uint32_t)(rl_hot_begin - __data_start__))
        || !copy(rl_hot_end, (uint32_t)(__data_end__ - rl_hot_end))) {
        return false;
    }
    copy_scratch(__scratch_x_start__, __scratch_x_end__, __scratch_x_source__);
    copy_scratch(__scratch_y_start__, __scratch_y_end__, __scratch_y_source__);
    clear(__bss_start__, __bss_end__);
    bursts = true;
    next = rl_hot_begin;
    left = (uint32_t)(rl_hot_end - rl_hot_begin);
    return true;
}

bool rl_copy_bursts(void) {
    return bursts;
}

static void piece(void) {
    uint32_t words = left < PIECE_WORDS ? left : PIECE_WORDS;
    if (!copy(next, words)) {
        copy_words(next, source(next), words);
    }
    next += words;
    left -= words;
}

void rl_copy_meanwhile(void) {
    while (left && !(xosc_hw->status & XOSC_STATUS_STABLE_BITS)) {
        piece();
    }
}

void rl_copy_rest(void) {
    while (left) {
        piece();
    }
}
