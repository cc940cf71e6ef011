/* relume: the start of the RP2040 without waiting twice.
 *
 * The SDK starts its two PLLs one after the other, 0.1 ms each; here they lock
 * at the same time, and the SDK then finds both running as it wants them. Its
 * constructors ask the flash chip for its number, which leaves the XIP cache
 * empty; here that comes behind the inference. */
#include "hardware/clocks.h"
#include "hardware/flash.h"
#include "hardware/pll.h"
#include "hardware/resets.h"
#include "hardware/structs/xosc.h"
#include "pico/runtime.h"
#include "pico/unique_id.h"

#include "port_rp2.h"

/* ---- PLLs -------------------------------------------------------------- */

static void pll_begin(PLL pll, uint32_t refdiv, uint32_t vco_hz) {
    reset_unreset_block_num_wait_blocking(PLL_RESET_NUM(pll));
    pll->cs = refdiv;
    pll->fbdiv_int = vco_hz / (XOSC_HZ / refdiv);
    hw_clear_bits(&pll->pwr, PLL_PWR_PD_BITS | PLL_PWR_VCOPD_BITS);
}

static void pll_end(PLL pll, uint32_t div1, uint32_t div2) {
    while (!(pll->cs & PLL_CS_LOCK_BITS)) {
    }
    pll->prim = div1 << PLL_PRIM_POSTDIV1_LSB | div2 << PLL_PRIM_POSTDIV2_LSB;
    hw_clear_bits(&pll->pwr, PLL_PWR_POSTDIVPD_BITS);
}

/* clk_sys comes from clk_ref, and that from the ring or the crystal. */
static bool nobody_needs_them(void) {
    return clocks_hw->clk[clk_sys].selected == 1u
        && clocks_hw->clk[clk_ref].selected != 2u;
}

/* Before the clocks are set up, which is PICO_RUNTIME_INIT_CLOCKS, 00500. */
static void start_plls(void) {
    if (!nobody_needs_them()) {
        return;
    }
    while (!(xosc_hw->status & XOSC_STATUS_STABLE_BITS)) {
    }
    pll_begin(pll_sys, PLL_SYS_REFDIV, PLL_SYS_VCO_FREQ_HZ);
    pll_begin(pll_usb, PLL_USB_REFDIV, PLL_USB_VCO_FREQ_HZ);
    pll_end(pll_sys, PLL_SYS_POSTDIV1, PLL_SYS_POSTDIV2);
    pll_end(pll_usb, PLL_USB_POSTDIV1, PLL_USB_POSTDIV2);
}
PICO_RUNTIME_INIT_FUNC_RUNTIME(start_plls, "00495");

/* ---- The flash chip's number ------------------------------------------- */

static_assert(FLASH_UNIQUE_ID_SIZE_BYTES == PICO_UNIQUE_BOARD_ID_SIZE_BYTES,
              "the SDK asks for the number where it keeps it");

void __real_flash_get_unique_id(uint8_t *id);
void __wrap_flash_get_unique_id(uint8_t *id);

static uint8_t *wanted; /* by the constructor, for good */
static bool started;

/* The linker's --wrap puts it in the SDK's place. */
void __wrap_flash_get_unique_id(uint8_t *id) {
    if (started) {
        __real_flash_get_unique_id(id);
    } else {
        wanted = id;
    }
}

void rl_port_started(void) {
    started = true;
    if (wanted != NULL) {
        __real_flash_get_unique_id(wanted);
    }
}
