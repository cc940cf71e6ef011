/* relume: SPI for the FRAM on the RP2040, and writes in the background: the
 * DMA feeds the transmit FIFO while the core computes.
 *
 * The channel (port_rp2.h) raises no interrupts. The write outlives the call
 * that began it, so whatever ends the life of its source, a soft reset or
 * another start of the SPI, stops it: the bytes are those of a write that was
 * cut short. */
#include "port_rp2.h"

#include "hardware/clocks.h"
#include "hardware/dma.h"
#include "hardware/gpio.h"
#include "hardware/spi.h"
#include "hardware/timer.h"

#define CHANNEL RL_DMA_SPI
#define PATIENCE_US 1000u        /* without a byte, beside ... */
#define PATIENCE_BITS 512000000u /* ... the time of 64 bytes, in us * baud */

static const rl_port_spi *owner; /* whose write goes on; NULL: nobody's */

static spi_inst_t *spi_of(const rl_port_spi *pins) {
    return pins->spi != 0 ? spi1 : spi0;
}

/* ---- Polled ------------------------------------------------------------ */

static void spi_select(void *ctx, int on) {
    const rl_port_spi *pins = ctx;
    gpio_put(pins->cs, !on);
}

/* Engine and kernels may come meanwhile: this runs from SRAM, as the SDK's loop
 * does. */
static void __no_inline_not_in_flash_func(read)(spi_inst_t *spi, uint8_t *rx,
                                                uint32_t n) {
    rl_copy_begin(n);
    spi_read_blocking(spi, 0, rx, n);
    rl_copy_end();
}

static void spi_transfer(void *ctx, const uint8_t *tx, uint8_t *rx,
                         uint32_t n) {
    spi_inst_t *spi = spi_of(ctx);
    if (rx == NULL) {
        spi_write_blocking(spi, tx, n);
    } else if (tx == NULL) {
        read(spi, rx, n);
    } else {
        spi_write_read_blocking(spi, tx, rx, n);
    }
}

/* ---- In the background ------------------------------------------------- */

/* Only SRAM: flash may be busy with an erase or a burst meanwhile. */
static bool in_sram(const uint8_t *tx, uint32_t n) {
    uint32_t at = (uint32_t)(uintptr_t)tx - SRAM_BASE;
    return at <= SRAM_END - SRAM_BASE && n <= SRAM_END - SRAM_BASE - at;
}

static int spi_start(void *ctx, const uint8_t *tx, uint32_t n) {
    dma_channel_hw_t *dma = &dma_hw->ch[CHANNEL];
    spi_inst_t *spi = spi_of(ctx);
    if (n == 0 || owner != NULL || !in_sram(tx, n)) {
        return 0;
    }
    owner = ctx;
    dma->read_addr = (uint32_t)(uintptr_t)tx;
    dma->write_addr = (uint32_t)(uintptr_t)&spi_get_hw(spi)->dr;
    dma->transfer_count = n;
    dma->ctrl_trig = spi_get_dreq(spi, true) << DMA_CH0_CTRL_TRIG_TREQ_SEL_LSB
        | CHANNEL << DMA_CH0_CTRL_TRIG_CHAIN_TO_LSB
        | DMA_CH0_CTRL_TRIG_INCR_READ_BITS
        | DMA_CH0_CTRL_TRIG_DATA_SIZE_VALUE_SIZE_BYTE
            << DMA_CH0_CTRL_TRIG_DATA_SIZE_LSB
        | DMA_CH0_CTRL_TRIG_IRQ_QUIET_BITS | DMA_CH0_CTRL_TRIG_EN_BITS;
    return 1;
}

static bool moving(void) {
    return (dma_hw->ch[CHANNEL].ctrl_trig & DMA_CH0_CTRL_TRIG_BUSY_BITS) != 0;
}

static int spi_busy(void *ctx) {
    return owner == ctx && (moving() || spi_is_busy(spi_of(ctx)));
}

/* Aborting raises no interrupt here: all of the channel's are off. */
static void stop(void) {
    dma_hw->abort = 1u << CHANNEL;
    while (moving()) {
    }
    owner = NULL;
}

/* False: for too long no byte left. */
static bool drained(const rl_port_spi *pins) {
    dma_channel_hw_t *dma = &dma_hw->ch[CHANNEL];
    uint32_t patience = PATIENCE_US + PATIENCE_BITS / pins->baud;
    uint32_t left = dma->transfer_count, since = time_us_32();
    while (moving()) {
        uint32_t now = dma->transfer_count;
        if (now != left) {
            left = now;
            since = time_us_32();
        } else if (time_us_32() - since > patience) {
            return false;
        }
    }
    return (dma->ctrl_trig & DMA_CH0_CTRL_TRIG_AHB_ERROR_BITS) == 0;
}

/* What came back meanwhile fills the receive FIFO and runs over. */
static void drop_received(spi_inst_t *spi) {
    while (spi_is_busy(spi)) {
    }
    while (spi_is_readable(spi)) {
        (void)spi_get_hw(spi)->dr;
    }
    spi_get_hw(spi)->icr = SPI_SSPICR_RORIC_BITS;
}

static int spi_finish(void *ctx) {
    if (owner != ctx) {
        return 0; /* stopped by another start of the SPI */
    }
    bool whole = drained(ctx);
    stop();
    drop_received(spi_of(ctx));
    return whole;
}

void rl_port_spi_stop(void) {
    const rl_port_spi *pins = owner;
    if (pins != NULL) {
        stop();
        drop_received(spi_of(pins));
        gpio_put(pins->cs, 1);
    }
}

/* ---- Set-up ------------------------------------------------------------ */

#define SLOWEST 512u  /* the divider that the SDK finds at once */
#define EVEN_MOST 254u

/* The largest frequency up to baud, as spi_init finds it; that takes a division
 * a step, from the slowest on: 6,000 cycles. */
static void spi_set_up(spi_inst_t *spi, uint32_t baud) {
    uint32_t hz = clock_get_hz(clk_peri);
    uint32_t divider = hz / baud + (hz % baud != 0);
    divider += divider & 1u;
    if (divider > EVEN_MOST) {
        spi_init(spi, baud);
        return;
    }
    spi_init(spi, hz / SLOWEST + 1u);
    hw_clear_bits(&spi_get_hw(spi)->cr1, SPI_SSPCR1_SSE_BITS);
    hw_clear_bits(&spi_get_hw(spi)->cr0, SPI_SSPCR0_SCR_BITS);
    spi_get_hw(spi)->cpsr = divider < 2u ? 2u : divider;
    hw_set_bits(&spi_get_hw(spi)->cr1, SPI_SSPCR1_SSE_BITS);
}

/* GPIO 0-7 and 16-23 belong to SPI0, the others to SPI1; the role of a pin
 * follows its number modulo 4 (RP2040 datasheet 1.4.3). */
static bool pin_fits(const rl_port_spi *pins, uint8_t pin, uint8_t role) {
    return pin < NUM_BANK0_GPIOS && ((pin >> 3) & 1) == pins->spi
        && (pin & 3) == role;
}

rl_status rl_port_spi_init(rl_port_spi *pins, rl_spi *spi) {
    if (pins->spi > 1 || pins->baud == 0 || pins->cs >= NUM_BANK0_GPIOS
        || !pin_fits(pins, pins->miso, 0) || !pin_fits(pins, pins->sck, 2)
        || !pin_fits(pins, pins->mosi, 3)) {
        return RL_E_ARG;
    }
    rl_port_spi_stop();
    gpio_init(pins->cs);
    gpio_put(pins->cs, 1);
    gpio_set_dir(pins->cs, GPIO_OUT);
    spi_set_up(spi_of(pins), pins->baud);
    gpio_set_function(pins->sck, GPIO_FUNC_SPI);
    gpio_set_function(pins->mosi, GPIO_FUNC_SPI);
    gpio_set_function(pins->miso, GPIO_FUNC_SPI);
    gpio_pull_down(pins->miso); /* no chip: reads zeros, never a status */
    *spi = (rl_spi) {
        .ctx = pins, .select = spi_select, .transfer = spi_transfer,
        .start = spi_start, .busy = spi_busy, .finish = spi_finish,
    };
    return RL_OK;
}
