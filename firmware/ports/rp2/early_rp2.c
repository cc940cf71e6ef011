/* relume: resume before the interpreter (early.c) on the RP2040, in two steps
 * of the start-up: the model is looked for while the crystal starts, the rest
 * follows in MICROPY_BOARD_STARTUP, with the clocks running and nothing else:
 * no interrupts, no USB, no heap. What it uses is set up again by the port. */
#include "early.h"

#include "hardware/clocks.h"
#include "hardware/dma.h"
#include "hardware/gpio.h"
#include "hardware/timer.h"
#include "hardware/uart.h"
#include "pico/runtime.h"
#include "pico/stdlib.h"

#include "bind.h"
#include "port_rp2.h"

#define SETTLE_US 2 /* the pull-up of the escape pin */

extern uint8_t __GcHeapStart, __GcHeapEnd; /* the port's linker script */

typedef struct {
    rl_nvm      flash, chip, wired;
    rl_fram     fram;
    rl_port_spi pins;
    bool        answers; /* the FRAM on SPI */
    rl_fram_i2c wire;
    rl_port_i2c bus;
    bool        acknowledges; /* the FRAM on I2C */
    bool        console; /* the UART is set up */
    rl_port_heard heard; /* before what is in its FIFO */
} board;

/* MicroPython takes clk_peri from the USB PLL, 48 MHz, where it sets the clocks
 * itself (start_rp2.c). From the system clock SPI gets nearer to what the FRAM
 * takes. The port asks for the frequency. */
static void peripheral_clock(void) {
    uint32_t hz = clock_get_hz(clk_sys);
    if (clock_get_hz(clk_peri) == hz) {
        return;
    }
    clock_configure(clk_peri, 0,
                    CLOCKS_CLK_PERI_CTRL_AUXSRC_VALUE_CLK_SYS, hz, hz);
}

/* False too on boards whose RP2040 does not see it. */
static bool usb_power(void) {
    bool powers = false;
#ifdef RL_PIN_VBUS_SENSE
    gpio_init(RL_PIN_VBUS_SENSE);
    powers = gpio_get(RL_PIN_VBUS_SENSE);
    gpio_deinit(RL_PIN_VBUS_SENSE);
#endif
    return powers;
}

/* USB powers the board, or the escape pin is tied to ground. */
static bool interpreter_wanted(void) {
    gpio_init(RL_PIN_ESCAPE);
    gpio_pull_up(RL_PIN_ESCAPE);
    busy_wait_us_32(SETTLE_US);
    bool wanted = usb_power() || !gpio_get(RL_PIN_ESCAPE);
    gpio_deinit(RL_PIN_ESCAPE);
    gpio_disable_pulls(RL_PIN_ESCAPE);
    return wanted;
}

static rl_status open_fram(board *b) {
    rl_spi spi;
    if (b->answers) {
        return RL_OK;
    }
    b->pins = (rl_port_spi) {
        .spi = RL_PIN_FRAM_SPI, .sck = RL_PIN_FRAM_SCK,
        .mosi = RL_PIN_FRAM_MOSI, .miso = RL_PIN_FRAM_MISO,
        .cs = RL_PIN_FRAM_CS, .baud = RL_FRAM_HZ,
    };
    rl_status status = rl_port_spi_init(&b->pins, &spi);
    if (status == RL_OK) {
        status = rl_fram_init(&b->fram, &spi, RL_FRAM_SIZE, &b->chip);
    }
    b->answers = status == RL_OK;
    return status;
}

static rl_status open_fram_i2c(board *b) {
    rl_i2c i2c;
    if (b->acknowledges) {
        return RL_OK;
    }
    b->bus = (rl_port_i2c) {
        .i2c = RL_PIN_FRAM_I2C, .sda = RL_PIN_FRAM_SDA,
        .scl = RL_PIN_FRAM_SCL, .baud = RL_FRAM_I2C_HZ,
    };
    rl_status status = rl_port_i2c_init(&b->bus, &i2c);
    if (status == RL_OK) {
        status = rl_fram_i2c_init(&b->wire, &i2c, RL_FRAM_I2C_ADDRESS,
                                  RL_FRAM_I2C_SIZE, &b->wired);
    }
    b->acknowledges = status == RL_OK;
    return status;
}

static rl_status open_nvm(void *ctx, uint32_t kind, rl_nvm **nvm) {
    board *b = ctx;
    switch (kind) {
    case RL_NVM_FLASH:
        *nvm = &b->flash;
        return rl_port_store(&b->flash);
    case RL_NVM_FRAM:
        *nvm = &b->chip;
        return open_fram(b);
    case RL_NVM_FRAM_I2C:
        *nvm = &b->wired;
        return open_fram_i2c(b);
    default:
        return RL_E_NVM_KIND;
    }
}

static uint32_t micros(void *ctx) {
    (void)ctx;
    return rl_port_micros();
}

static uint32_t millivolts(void *ctx) {
    (void)ctx;
    return rl_port_millivolts();
}

static void console(board *b) {
    if (!b->console) {
        setup_default_uart();
        b->console = true;
    }
}

static int receive(void *ctx, uint8_t *byte) {
    board *b = ctx;
    console(b);
    if (b->heard.at < b->heard.n) {
        *byte = b->heard.bytes[b->heard.at++];
        return 1;
    }
    b->heard.at = b->heard.n = 0;
    if (!uart_is_readable(uart_default)) {
        return 0;
    }
    *byte = (uint8_t)uart_getc(uart_default);
    return 1;
}

/* An event of 31 bytes fits the FIFO when that is empty, and leaves by
 * itself while the next tile runs. rl_early() tells of its start before it
 * computes: what is missing of engine and kernels comes here at the latest. */
static void send(void *ctx, const uint8_t *wire, uint32_t n, int brief) {
    rl_copy_rest();
    console(ctx);
    if (brief && !(uart_get_hw(uart_default)->fr & UART_UARTFR_TXFE_BITS)) {
        return;
    }
    uart_write_blocking(uart_default, wire, n);
}

/* Runs from the ring oscillator (reset_rp2.S), before the clocks are set up,
 * which is PICO_RUNTIME_INIT_CLOCKS, 00500. */
static rl_early_models models;
static bool has_model;

/* The interpreter's heap, which nobody uses yet. */
static uint8_t *memory(uint32_t *room) {
    uintptr_t start = ((uintptr_t)&__GcHeapStart + 7u) & ~(uintptr_t)7u;
    *room = (uint32_t)((uintptr_t)&__GcHeapEnd - start);
    return (uint8_t *)start;
}

/* As the region's own, which reads word by word; ctx is where it begins. The
 * model's metadata is whole words, and not empty. */
static rl_status read_at_once(rl_nvm *nvm, uint32_t at, void *data,
                              uint32_t n) {
    uintptr_t from = XIP_BASE + (uintptr_t)nvm->ctx + at;
    rl_copy_flash(data, (const uint32_t *)from, n / 4u);
    return RL_OK;
}

static void look_for_model(void) {
    rl_nvm blobs;
    const uint8_t *image;
    uint32_t room;
    uint8_t *heap = memory(&room);
    rl_port_crc_of_flash(true);
    has_model = rl_port_blobs(&blobs, &image) == RL_OK;
    blobs.read = read_at_once;
    has_model = has_model
        && rl_early_find(&blobs, image, heap, room, &models) == RL_OK;
    rl_port_crc_of_flash(false);
    rl_copy_meanwhile();
}
PICO_RUNTIME_INIT_FUNC_RUNTIME(look_for_model, "00490");

static void rest(void *ctx, uint32_t ms) {
    board *b = ctx;
    console(b);
    rl_port_sleep(ms, &b->heard);
}

/* The interpreter counts no attempt for what was opened here. */
static void remember(void) {
    for (uint32_t i = 0; i < models.n; i++) {
        const rl_early_model *m = &models.model[i];
        if (m->seen) {
            (void)rl_bind_seen(m->store.nvm, m->store.base);
        }
    }
}

static void go_on(void) {
    board b = { .answers = false, .acknowledges = false, .console = false };
    rl_early_board early = {
        .ctx = &b, .nvm = open_nvm, .cycles = rl_port_cycles,
        .micros = micros, .millivolts = millivolts,
        .receive = receive, .send = send, .rest = rest,
        .rest_cycles = RL_SLEEP_CYCLES,
        .blobs_size = RL_BLOBS_SIZE, .board = rl_port_board,
        .version = RL_FIRMWARE_VERSION, .start_us = RL_START_US,
        .crc = rl_port_crc32,
        .fetch = { rl_port_fetch, rl_port_fetched },
    };
    early.memory = memory(&early.room);
    if (rl_early(&early, &models) != RL_EARLY_NOTHING) {
        remember();
    }
    rl_port_spi_stop();
    if (b.console) {
        uart_tx_wait_blocking(uart_default); /* the port resets it next */
    }
}

void relume_board_startup(void);
void relume_board_startup(void) {
    peripheral_clock();
    dma_claim_mask(1u << RL_DMA_SPI | 1u << RL_DMA_CRC);
    if (has_model && !interpreter_wanted()) {
        go_on();
    }
    rl_copy_rest();
    rl_port_started();
}
