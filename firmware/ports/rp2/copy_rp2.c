/* relume: the start of the RP2040: what lies in SRAM comes from flash.
 *
 * The SDK's start-up code copies it word by word, each word a miss of the XIP
 * cache: 6 ms, at the ring oscillator's pace. Here it comes in bursts. Engine
 * and kernels, half of it, are not needed before the first tile: they come
 * while the crystal starts, once the model has been checked, and what is then
 * left while the core waits for the bytes of the FRAM.
 *
 * A burst is trusted when some of its words are what the cache shows; else, and
 * on boards whose flash is not read in quad mode without a command, the SDK's
 * code copies all of it. */
#include "hardware/structs/resets.h"
#include "hardware/structs/sio.h"
#include "hardware/structs/xosc.h"
#include "hardware/sync.h"
#include "pico/platform.h"

#include "burst_rp2.h"
#include "port_rp2.h"

#define CHANNEL RL_DMA_CRC /* no CRC is computed meanwhile */
#define BURST_WORDS 48u    /* of the function, at least */
#define SPACING 64u        /* of the words that are looked at */
#define MOST_WORDS 65536u  /* of a burst */
#define PIECE_WORDS 256u   /* 0.1 ms at the ring's pace */
#define BYTE_WORDS 4u      /* while the SPI moves a byte: 64 cycles at least */
#define WORTH_BYTES 16u    /* a burst's own start and end */

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

/* Words of it that come now, and the interrupts that wait meanwhile. */
static uint32_t coming, interrupts;

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

/* Some of the words are what the cache shows. */
static bool right(const volatile uint32_t *to, const volatile uint32_t *from,
                  uint32_t words) {
    bool good = true;
    for (uint32_t i = words - 1u; good && i < words; i -= SPACING) {
        good = to[i] == from[i];
    }
    return good;
}

static uint32_t place(const uint32_t *from) {
    return (uint32_t)(uintptr_t)from - XIP_BASE;
}

static bool copy_from(uint32_t *to, const uint32_t *from, uint32_t words) {
    return burst(to, place(from), words) && right(to, from, words);
}

static bool copy(uint32_t *to, uint32_t words) {
    return copy_from(to, source(to), words);
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

void rl_copy_flash(uint32_t *to, const uint32_t *from, uint32_t words) {
    if (!bursts || words > MOST_WORDS || !copy_from(to, from, words)) {
        copy_words(to, from, words);
    }
}

static void took(bool good, uint32_t words) {
    if (!good) {
        copy_words(next, source(next), words);
    }
    next += words;
    left -= words;
}

static void piece(void) {
    uint32_t words = left < PIECE_WORDS ? left : PIECE_WORDS;
    took(copy(next, words), words);
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

/* In SRAM, as who calls it. */
static void __no_inline_not_in_flash_func(begin)(uint32_t *to, uint32_t at) {
    interrupts = save_and_disable_interrupts();
    rl_burst_begin(CHANNEL, to, at, coming);
}

static bool __no_inline_not_in_flash_func(end)(void) {
    bool whole = rl_burst_end(CHANNEL, coming);
    restore_interrupts(interrupts);
    return whole;
}

void __no_inline_not_in_flash_func(rl_copy_begin)(uint32_t n) {
    if (left && n >= WORTH_BYTES) {
        coming = n < left / BYTE_WORDS ? n * BYTE_WORDS : left;
        begin(next, place(source(next)));
    }
}

void __no_inline_not_in_flash_func(rl_copy_end)(void) {
    if (coming) {
        bool whole = end();
        took(whole && right(next, source(next), coming), coming);
        coming = 0;
    }
}
