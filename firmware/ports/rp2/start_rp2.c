/* relume: the clocks of the RP2040 without waiting twice.
 *
 * The SDK starts its two PLLs one after the other, 0.1 ms each, and goes
 * through the crystal's 12 MHz; here they lock at the same time and the core
 * goes from the ring oscillator to 125 MHz. MicroPython then sets the same
 * frequency again, which here changes nothing. The SDK's constructors ask the
 * flash chip for its number, which leaves the XIP cache empty; here that comes
 * behind the inference. */
#include "hardware/clocks.h"
#include "hardware/flash.h"
#include "hardware/pll.h"
#include "hardware/resets.h"
#include "hardware/structs/watchdog.h"
#include "hardware/structs/xosc.h"
#include "pico/runtime.h"
#include "pico/unique_id.h"

#include "port_rp2.h"

#define RTC_DIVIDER 1024u /* 48 MHz to 46,875 Hz, as the SDK has it */

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

static void start_plls(void) {
    while (!(xosc_hw->status & XOSC_STATUS_STABLE_BITS)) {
    }
    pll_begin(pll_sys, PLL_SYS_REFDIV, PLL_SYS_VCO_FREQ_HZ);
    pll_begin(pll_usb, PLL_USB_REFDIV, PLL_USB_VCO_FREQ_HZ);
    pll_end(pll_sys, PLL_SYS_POSTDIV1, PLL_SYS_POSTDIV2);
    pll_end(pll_usb, PLL_USB_POSTDIV1, PLL_USB_POSTDIV2);
}

/* ---- Clocks ------------------------------------------------------------ */

/* What runtime_init_clocks of the SDK sets, the core's first. */
static void set_clocks(void) {
    clocks_hw->resus.ctrl = 0;
    clock_configure_undivided(clk_sys,
                              CLOCKS_CLK_SYS_CTRL_SRC_VALUE_CLKSRC_CLK_SYS_AUX,
                              CLOCKS_CLK_SYS_CTRL_AUXSRC_VALUE_CLKSRC_PLL_SYS,
                              SYS_CLK_HZ);
    clock_configure_undivided(clk_ref,
                              CLOCKS_CLK_REF_CTRL_SRC_VALUE_XOSC_CLKSRC, 0,
                              XOSC_HZ);
    clock_configure_undivided(clk_usb, 0,
                              CLOCKS_CLK_USB_CTRL_AUXSRC_VALUE_CLKSRC_PLL_USB,
                              USB_CLK_HZ);
    clock_configure_undivided(clk_adc, 0,
                              CLOCKS_CLK_ADC_CTRL_AUXSRC_VALUE_CLKSRC_PLL_USB,
                              USB_CLK_HZ);
    clock_configure_int_divider(clk_rtc, 0,
                                CLOCKS_CLK_RTC_CTRL_AUXSRC_VALUE_CLKSRC_PLL_USB,
                                USB_CLK_HZ, RTC_DIVIDER);
    clock_configure_undivided(clk_peri, 0,
                              CLOCKS_CLK_PERI_CTRL_AUXSRC_VALUE_CLK_SYS,
                              SYS_CLK_HZ);
    watchdog_hw->tick = XOSC_HZ / MHZ | WATCHDOG_TICK_ENABLE_BITS;
}

void runtime_init_clocks(void); /* the SDK's */

/* In the place of the SDK's, which board_rp2.cmake takes out of the list. */
static void start_clocks(void) {
    if (nobody_needs_them()) {
        start_plls();
        set_clocks();
    } else {
        runtime_init_clocks();
    }
}
PICO_RUNTIME_INIT_FUNC_RUNTIME(start_clocks, "00500");

/* The linker's --wrap puts both in the SDK's place. What the search for the
 * dividers finds, as it is known. */
bool __real_check_sys_clock_khz(uint32_t khz, uint *vco, uint *div1,
                                uint *div2);
bool __wrap_check_sys_clock_khz(uint32_t khz, uint *vco, uint *div1,
                                uint *div2);
bool __wrap_check_sys_clock_khz(uint32_t khz, uint *vco, uint *div1,
                                uint *div2) {
    if (khz != SYS_CLK_HZ / KHZ) {
        return __real_check_sys_clock_khz(khz, vco, div1, div2);
    }
    *vco = PLL_SYS_VCO_FREQ_HZ;
    *div1 = PLL_SYS_POSTDIV1;
    *div2 = PLL_SYS_POSTDIV2;
    return true;
}

/* The core's clock comes from its PLL. */
static bool from_pll(void) {
    uint32_t source = clocks_hw->clk[clk_sys].ctrl
        & CLOCKS_CLK_SYS_CTRL_AUXSRC_BITS;
    return clocks_hw->clk[clk_sys].selected
            == 1u << CLOCKS_CLK_SYS_CTRL_SRC_VALUE_CLKSRC_CLK_SYS_AUX
        && source == CLOCKS_CLK_SYS_CTRL_AUXSRC_VALUE_CLKSRC_PLL_SYS
            << CLOCKS_CLK_SYS_CTRL_AUXSRC_LSB;
}

/* A frequency that is there already is not set again by way of 48 MHz, nor are
 * the peripherals then led from clk_sys to 48 MHz. */
void __real_set_sys_clock_pll(uint32_t vco, uint div1, uint div2);
void __wrap_set_sys_clock_pll(uint32_t vco, uint div1, uint div2);
void __wrap_set_sys_clock_pll(uint32_t vco, uint div1, uint div2) {
    if (!from_pll() || clock_get_hz(clk_sys) != SYS_CLK_HZ
        || vco != PLL_SYS_VCO_FREQ_HZ || div1 != PLL_SYS_POSTDIV1
        || div2 != PLL_SYS_POSTDIV2) {
        __real_set_sys_clock_pll(vco, div1, div2);
    }
}

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
