/* relume: the RP2040's SLEEP state (datasheet 2.11.2): while both cores wait
 * and no DMA moves, only the clocks named in SLEEP_EN run. Here that is the
 * timer, which ends the sleep, and the console's UART, from the crystal; ring
 * oscillator and PLLs are off. SRAM and all registers are kept.
 *
 * Interrupts are masked all the time: one that is pending ends the wait and
 * is not taken. From the first to the last change of a clock the code runs
 * from SRAM, since a cache miss would take 4 us at 12 MHz. */
#include "hardware/adc.h"
#include "hardware/clocks.h"
#include "hardware/gpio.h"
#include "hardware/irq.h"
#include "hardware/pll.h"
#include "hardware/structs/rosc.h"
#include "hardware/structs/scb.h"
#include "hardware/sync.h"
#include "hardware/timer.h"
#include "hardware/uart.h"
#include "pico/stdlib.h"

#include "port_rp2.h"

#define CRYSTAL_HZ (XOSC_KHZ * 1000u)
#define DIVISOR (8u * CRYSTAL_HZ / PICO_DEFAULT_UART_BAUD_RATE + 1u)
#define BYTE_US (10u * 1000000u / PICO_DEFAULT_UART_BAUD_RATE + 2u)
#define SILENCE_US 3000u /* behind a byte: the host is done */

#if PICO_DEFAULT_UART == 0
#define UART_CLOCKS (CLOCKS_SLEEP_EN1_CLK_SYS_UART0_BITS \
                     | CLOCKS_SLEEP_EN1_CLK_PERI_UART0_BITS)
#define UART_IRQ UART0_IRQ
#else
#define UART_CLOCKS (CLOCKS_SLEEP_EN1_CLK_SYS_UART1_BITS \
                     | CLOCKS_SLEEP_EN1_CLK_PERI_UART1_BITS)
#define UART_IRQ UART1_IRQ
#endif

/* ---- Clocks ------------------------------------------------------------ */

static __force_inline void set_ring(uint32_t enable) {
    rosc_hw->ctrl = (rosc_hw->ctrl & ~ROSC_CTRL_ENABLE_BITS)
        | enable << ROSC_CTRL_ENABLE_LSB;
}

/* The UART ends the byte in hand and keeps its FIFOs (ARM DDI 0183G 3.3.8);
 * what it was sending goes on afterwards. */
static __force_inline void pause_uart(void) {
    uart_hw_t *uart = uart_get_hw(uart_default);
    uint32_t begin = timer_hw->timerawl;
    uart->cr = 0;
    while ((uart->fr & UART_UARTFR_BUSY_BITS) != 0
           && timer_hw->timerawl - begin < BYTE_US) {
    }
}

static __force_inline void resume_uart(uint32_t control, uint32_t whole,
                                       uint32_t fraction) {
    uart_hw_t *uart = uart_get_hw(uart_default);
    uart->ibrd = whole;
    uart->fbrd = fraction;
    uart->lcr_h = uart->lcr_h; /* takes the divisor over */
    uart->cr = control;
}

/* System and peripherals from the crystal, which clk_ref has always. */
static __force_inline void slow_down(void) {
    hw_clear_bits(&clocks_hw->clk[clk_sys].ctrl, CLOCKS_CLK_SYS_CTRL_SRC_BITS);
    while (clocks_hw->clk[clk_sys].selected
           != 1u << CLOCKS_CLK_SYS_CTRL_SRC_VALUE_CLK_REF) {
    }
    hw_clear_bits(&clocks_hw->clk[clk_adc].ctrl, CLOCKS_CLK_ADC_CTRL_ENABLE_BITS);
    hw_clear_bits(&clocks_hw->clk[clk_usb].ctrl, CLOCKS_CLK_USB_CTRL_ENABLE_BITS);
    hw_set_bits(&pll_sys_hw->pwr, PLL_PWR_BITS);
    hw_set_bits(&pll_usb_hw->pwr, PLL_PWR_BITS);
    set_ring(ROSC_CTRL_ENABLE_VALUE_DISABLE);
}

/* Both PLLs lock side by side; their divisors were kept. */
static __force_inline void speed_up(void) {
    const uint32_t vco = PLL_PWR_PD_BITS | PLL_PWR_VCOPD_BITS;
    set_ring(ROSC_CTRL_ENABLE_VALUE_ENABLE);
    hw_clear_bits(&pll_sys_hw->pwr, vco);
    hw_clear_bits(&pll_usb_hw->pwr, vco);
    while (!(pll_sys_hw->cs & PLL_CS_LOCK_BITS)) {
    }
    while (!(pll_usb_hw->cs & PLL_CS_LOCK_BITS)) {
    }
    hw_clear_bits(&pll_sys_hw->pwr, PLL_PWR_POSTDIVPD_BITS);
    hw_clear_bits(&pll_usb_hw->pwr, PLL_PWR_POSTDIVPD_BITS);
    hw_set_bits(&clocks_hw->clk[clk_sys].ctrl,
                CLOCKS_CLK_SYS_CTRL_SRC_VALUE_CLKSRC_CLK_SYS_AUX);
    while (clocks_hw->clk[clk_sys].selected
           != 1u << CLOCKS_CLK_SYS_CTRL_SRC_VALUE_CLKSRC_CLK_SYS_AUX) {
    }
    hw_set_bits(&clocks_hw->clk[clk_adc].ctrl, CLOCKS_CLK_ADC_CTRL_ENABLE_BITS);
    hw_set_bits(&clocks_hw->clk[clk_usb].ctrl, CLOCKS_CLK_USB_CTRL_ENABLE_BITS);
}

/* ---- Waiting ----------------------------------------------------------- */

/* True if there was a byte. */
static __force_inline bool collect(rl_port_heard *heard) {
    uart_hw_t *uart = uart_get_hw(uart_default);
    bool any = false;
    while (heard->n < sizeof heard->bytes
           && !(uart->fr & UART_UARTFR_RXFE_BITS)) {
        heard->bytes[heard->n++] = (uint8_t)uart->dr;
        any = true;
    }
    uart->icr = UART_UARTICR_BITS;
    return any;
}

static __force_inline void arm(uint alarm, uint32_t us) {
    timer_hw->intr = 1u << alarm;
    irq_clear(TIMER_ALARM_IRQ_NUM(timer_hw, alarm));
    irq_clear(UART_IRQ);
    timer_hw->alarm[alarm] = timer_hw->timerawl + us;
}

/* To the end, or to the silence behind what somebody says. */
static __force_inline void listen(uint alarm, uint32_t us,
                                  rl_port_heard *heard) {
    arm(alarm, us);
    do {
        __wfi();
        if (collect(heard)) {
            arm(alarm, SILENCE_US);
        }
    } while (!(timer_hw->intr & 1u << alarm)
             && heard->n < sizeof heard->bytes);
}

static void __no_inline_not_in_flash_func(sleep)(uint alarm, uint32_t us,
                                                 rl_port_heard *heard) {
    uart_hw_t *uart = uart_get_hw(uart_default);
    uint32_t control = uart->cr, whole = uart->ibrd, fraction = uart->fbrd;
    uint32_t enabled0 = clocks_hw->sleep_en0, enabled1 = clocks_hw->sleep_en1;
    pause_uart();
    slow_down();
    resume_uart(control, DIVISOR >> 7, (DIVISOR & 0x7Fu) >> 1);
    clocks_hw->sleep_en0 = 0;
    clocks_hw->sleep_en1 = CLOCKS_SLEEP_EN1_CLK_SYS_TIMER_BITS | UART_CLOCKS;
    scb_hw->scr |= M0PLUS_SCR_SLEEPDEEP_BITS;
    listen(alarm, us, heard);
    scb_hw->scr &= ~M0PLUS_SCR_SLEEPDEEP_BITS;
    clocks_hw->sleep_en0 = enabled0;
    clocks_hw->sleep_en1 = enabled1;
    pause_uart();
    speed_up();
    resume_uart(control, whole, fraction);
}

static void never(void) {
}

/* What may end the wait: an alarm and what the UART receives. */
static void set_wakers(uint alarm, bool on) {
    uint timer = TIMER_ALARM_IRQ_NUM(timer_hw, alarm);
    if (on) {
        irq_set_exclusive_handler(timer, never);
        irq_set_exclusive_handler(UART_IRQ, never);
    }
    uart_get_hw(uart_default)->imsc =
        on ? UART_UARTIMSC_RXIM_BITS | UART_UARTIMSC_RTIM_BITS : 0;
    hw_write_masked(&timer_hw->inte, (uint32_t)on << alarm, 1u << alarm);
    timer_hw->intr = 1u << alarm;
    irq_set_enabled(timer, on);
    irq_set_enabled(UART_IRQ, on);
    if (!on) {
        irq_clear(timer);
        irq_clear(UART_IRQ);
        irq_remove_handler(timer, never);
        irq_remove_handler(UART_IRQ, never);
    }
}

static bool usb_powers(void) {
#ifdef RL_PIN_VBUS_SENSE
    return gpio_get(RL_PIN_VBUS_SENSE);
#else
    return false;
#endif
}

void rl_port_sleep(uint32_t ms, rl_port_heard *heard) {
    int alarm = hardware_alarm_claim_unused(false);
    if (alarm < 0) {
        return;
    }
    uint32_t interrupts = save_and_disable_interrupts();
    set_wakers((uint)alarm, true);
    if (usb_powers()) {
        listen((uint)alarm, 1000u * ms, heard); /* power enough */
    } else {
        hw_clear_bits(&adc_hw->cs, ADC_CS_EN_BITS);
        sleep((uint)alarm, 1000u * ms, heard);
    }
    set_wakers((uint)alarm, false);
    restore_interrupts(interrupts);
    hardware_alarm_unclaim((uint)alarm);
}
