/* relume: the console of the RP2040 (UART0 and USB CDC).
 *
 * MicroPython 1.25 takes one byte from the UART per interrupt, so the last
 * bytes of a burst wait for receive time-outs. While a frame server runs,
 * this handler takes the port's place and empties the FIFO each time. */
#include "py/mphal.h"
#include "py/ringbuf.h"
#include "py/runtime.h"
#include "py/stream.h"
#include "shared/runtime/interrupt_char.h"

#include "hardware/irq.h"
#include "hardware/uart.h"

#include "port.h"
#include "port_rp2.h"

static uint console_irq(void) {
    return uart_get_index(uart_default) != 0 ? UART1_IRQ : UART0_IRQ;
}

static void console_receive(void) {
    uart_get_hw(uart_default)->icr = UART_UARTICR_BITS;
    while (uart_is_readable(uart_default)) {
        int byte = uart_getc(uart_default);
        if (byte == mp_interrupt_char) {
            mp_sched_keyboard_interrupt();
        } else {
            ringbuf_put(&stdin_ringbuf, (uint8_t)byte);
        }
    }
}

static void console_swap(irq_handler_t handler) {
    irq_handler_t old = irq_get_exclusive_handler(console_irq());
    if (old == handler) {
        return;
    }
    irq_set_enabled(console_irq(), false);
    if (old != NULL) {
        irq_remove_handler(console_irq(), old);
    }
    if (handler != NULL) {
        irq_set_exclusive_handler(console_irq(), handler);
        irq_set_enabled(console_irq(), true);
    }
}

/* MICROPY_BOARD_END_SOFT_RESET: the port installs its own handler next, and
 * insists on finding none. */
void relume_board_deinit(void);
void relume_board_deinit(void) {
    if (irq_get_exclusive_handler(console_irq()) == console_receive) {
        console_swap(NULL);
    }
    rl_port_spi_stop(); /* the heap that it reads goes */
}

int32_t rl_port_console(uint8_t *data, uint32_t n) {
    uint32_t got = 0;
    console_swap(console_receive);
    while (got < n && mp_hal_stdio_poll(MP_STREAM_POLL_RD) != 0) {
        data[got++] = (uint8_t)mp_hal_stdin_rx_chr();
    }
    return (int32_t)got;
}
