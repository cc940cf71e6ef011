/* relume: the RP2040 under the binding: flash regions, clock and supply
 * voltage. */
#include "hardware/adc.h"
#include "hardware/clocks.h"
#include "hardware/flash.h"
#include "hardware/gpio.h"
#include "hardware/sync.h"
#include "hardware/timer.h"
#include "pico/multicore.h"

#include "port.h"
#include "relume_regions.h"
#include "rp2_flash.h"

#define VSYS_DIVIDER 3u        /* Pico datasheet: VSYS / 3 on ADC3 */
#define ADC_REFERENCE_MV 3300u
#define ADC_STEPS 4096u
#define ADC_FIRST_GPIO 26u

_Static_assert(RL_FLASH_BYTES == PICO_FLASH_SIZE_BYTES, "board.toml: flash");
_Static_assert(RL_FILESYSTEM_OFFSET + RL_FILESYSTEM_SIZE == RL_FLASH_BYTES,
               "MicroPython puts the filesystem at the flash's end");
_Static_assert(RL_FLASH_PAGE == FLASH_PAGE_SIZE
               && RL_FLASH_SECTOR == FLASH_SECTOR_SIZE, "SPEC 4.3");

/* ---- Region table ------------------------------------------------------ */

const char *const rl_port_board = RL_BOARD_NAME;

#define ROW(name, offset, size) { name, offset, size },
static const rl_region regions[] = { RL_REGIONS(ROW) };

const rl_region *rl_port_regions(size_t *n) {
    *n = sizeof regions / sizeof regions[0];
    return regions;
}

/* ---- Flash ------------------------------------------------------------- */

/* Core 1 must not fetch from flash while it is written. */
static bool other_core_runs(void) {
    return multicore_lockout_victim_is_initialized(1u - get_core_num());
}

/* data: 256 bytes in SRAM, or NULL to erase the sector. The SDK's functions
 * run from SRAM; they leave the flash clock at its boot value, so it is set
 * again at the end. */
static void flash_do(uint32_t at, const uint8_t *data) {
    bool locked = other_core_runs();
    if (locked) {
        multicore_lockout_start_blocking();
    }
    uint32_t state = save_and_disable_interrupts();
    if (data != NULL) {
        flash_range_program(at, data, FLASH_PAGE_SIZE);
    } else {
        flash_range_erase(at, FLASH_SECTOR_SIZE);
    }
    restore_interrupts(state);
    if (locked) {
        multicore_lockout_end_blocking();
    }
    rp2_flash_set_timing();
}

static uint32_t flash_at(const rl_nvm *nvm, uint32_t at) {
    return (uint32_t)(uintptr_t)nvm->ctx + at;
}

static const uint8_t *flash_mapped(const rl_nvm *nvm, uint32_t at) {
    return (const uint8_t *)(uintptr_t)(XIP_BASE + flash_at(nvm, at));
}

static rl_status flash_read(rl_nvm *nvm, uint32_t at, void *data,
                            uint32_t n) {
    __builtin_memcpy(data, flash_mapped(nvm, at), n);
    return RL_OK;
}

/* True if flash[at, at + n) reads as expected; data NULL: erased. */
static bool flash_is(const rl_nvm *nvm, uint32_t at, const uint8_t *data,
                     uint32_t n) {
    const uint8_t *flash = flash_mapped(nvm, at);
    for (uint32_t i = 0; i < n; i++) {
        if (data == NULL && flash[i] != 0xFF) {
            return false;
        }
        /* Bits that were 0 before stay 0: only missing zeros are an error. */
        if (data != NULL && (flash[i] & (uint8_t)~data[i]) != 0) {
            return false;
        }
    }
    return true;
}

static rl_status flash_write(rl_nvm *nvm, uint32_t at, const void *data,
                             uint32_t n) {
    uint8_t page[FLASH_PAGE_SIZE]; /* the source may lie in flash */
    if (n != FLASH_PAGE_SIZE || at % FLASH_PAGE_SIZE != 0
        || at >= nvm->size) {
        return RL_E_ARG;
    }
    __builtin_memcpy(page, data, sizeof page);
    flash_do(flash_at(nvm, at), page);
    return flash_is(nvm, at, page, n) ? RL_OK : RL_E_NVM;
}

static rl_status flash_erase(rl_nvm *nvm, uint32_t at) {
    if (at % FLASH_SECTOR_SIZE != 0 || at >= nvm->size) {
        return RL_E_ARG;
    }
    flash_do(flash_at(nvm, at), NULL);
    return flash_is(nvm, at, NULL, FLASH_SECTOR_SIZE) ? RL_OK : RL_E_NVM;
}

static void flash_nvm(rl_nvm *nvm, uint32_t offset, uint32_t size) {
    *nvm = (rl_nvm) {
        .kind = RL_NVM_FLASH, .size = size, .ctx = (void *)(uintptr_t)offset,
        .read = flash_read, .write = flash_write, .erase = flash_erase,
    };
}

rl_status rl_port_store(rl_nvm *nvm) {
    flash_nvm(nvm, RL_STORE_OFFSET, RL_STORE_SIZE);
    return RL_OK;
}

rl_status rl_port_blobs(rl_nvm *nvm, const uint8_t **image) {
    flash_nvm(nvm, RL_BLOBS_OFFSET, RL_BLOBS_SIZE);
    *image = flash_mapped(nvm, 0);
    return RL_OK;
}

/* ---- Time and supply --------------------------------------------------- */

uint64_t rl_port_cycles(void *ctx) {
    (void)ctx;
    return time_us_64() * (clock_get_hz(clk_sys) / MHZ);
}

uint32_t rl_port_micros(void) {
    return time_us_32();
}

#ifdef RL_PIN_VSYS_ADC
uint32_t rl_port_millivolts(void) {
#ifdef RL_PIN_VSYS_ENABLE
    gpio_init(RL_PIN_VSYS_ENABLE);
    gpio_put(RL_PIN_VSYS_ENABLE, true);
    gpio_set_dir(RL_PIN_VSYS_ENABLE, GPIO_OUT);
#endif
    if ((adc_hw->cs & ADC_CS_EN_BITS) == 0) {
        adc_init();
    }
    uint selected = adc_get_selected_input();
    adc_gpio_init(RL_PIN_VSYS_ADC);
    adc_select_input(RL_PIN_VSYS_ADC - ADC_FIRST_GPIO);
    uint32_t steps = adc_read();
    adc_select_input(selected);
    return steps * VSYS_DIVIDER * ADC_REFERENCE_MV / ADC_STEPS;
}
#else
uint32_t rl_port_millivolts(void) {
    return 0;
}
#endif
