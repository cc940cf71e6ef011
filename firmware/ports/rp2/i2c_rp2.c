/* relume: I2C for the FRAM on the RP2040: polled, and never waiting for long.
 * A bus that does not move is an error; the next transfer sets it up anew. */
#include "port_rp2.h"

#include "hardware/clocks.h"
#include "hardware/gpio.h"
#include "hardware/i2c.h"
#include "hardware/timer.h"

#define FIFO 16u                  /* entries each way, datasheet 4.3.2 */
#define PATIENCE_US 1000u         /* without a byte, beside ... */
#define PATIENCE_BITS 64000000u   /* ... the time of 64 bits, in us * baud */
#define LEAST_BAUD 10000u         /* the counters have 16 bits */
#define MOST_BAUD 1000000u        /* fast mode plus, datasheet 4.3 */
#define RECOVERY_CLOCKS 9u        /* UM10204 3.1.16 */
#define HALF_BIT_US 5u

static i2c_inst_t *i2c_of(const rl_port_i2c *pins) {
    return pins->i2c != 0 ? i2c1 : i2c0;
}

/* ---- Set-up ------------------------------------------------------------ */

/* Down, or let go: the pull-ups raise it. */
static void line(uint8_t pin, bool high) {
    gpio_set_dir(pin, high ? GPIO_IN : GPIO_OUT);
    busy_wait_us_32(HALF_BIT_US);
}

/* A chip that was left in the middle of a read holds SDA down until it has
 * been clocked to the end of its byte. False: somebody still holds a line. */
static bool bus_is_free(const rl_port_i2c *pins) {
    const uint8_t both[2] = { pins->sda, pins->scl };
    for (uint32_t i = 0; i < 2u; i++) {
        gpio_init(both[i]); /* an input; low once it is an output */
        gpio_pull_up(both[i]);
    }
    busy_wait_us_32(HALF_BIT_US);
    for (uint32_t i = 0; i < RECOVERY_CLOCKS && !gpio_get(pins->sda); i++) {
        line(pins->scl, false);
        line(pins->scl, true);
    }
    if (!gpio_get(pins->sda) || !gpio_get(pins->scl)) {
        return false;
    }
    line(pins->sda, false); /* start and stop: whoever listens gives up */
    line(pins->sda, true);
    return true;
}

/* SCL high takes HCNT + SPKLEN + 7 clocks, low LCNT + 1, and the rise of the
 * line besides (datasheet 4.3.14.1); the SDK leaves these out. */
static void set_speed(i2c_hw_t *hw, uint32_t baud) {
    uint32_t period = (clock_get_hz(clk_sys) + baud - 1u) / baud;
    uint32_t low = period - period * 2u / 5u;
    uint32_t fixed = hw->fs_spklen + 7u;
    uint32_t high = period - low;
    hw->enable = 0;
    hw->fs_scl_hcnt = high > fixed + 8u ? high - fixed : 8u;
    hw->fs_scl_lcnt = low - 1u;
    hw->enable = 1;
}

static bool set_up(const rl_port_i2c *pins) {
    if (!bus_is_free(pins)) {
        return false;
    }
    i2c_init(i2c_of(pins), pins->baud);
    set_speed(i2c_get_hw(i2c_of(pins)), pins->baud);
    gpio_set_function(pins->sda, GPIO_FUNC_I2C);
    gpio_set_function(pins->scl, GPIO_FUNC_I2C);
    return true;
}

/* ---- Transfers --------------------------------------------------------- */

typedef struct {
    i2c_hw_t *hw;
    uint32_t  since, patience;
} transfer;

static bool begin(const rl_port_i2c *pins, uint8_t device, transfer *t) {
    t->hw = i2c_get_hw(i2c_of(pins));
    t->patience = PATIENCE_US + PATIENCE_BITS / pins->baud;
    t->since = time_us_32();
    t->hw->enable = 0;
    t->hw->tar = device;
    t->hw->enable = 1;
    (void)t->hw->clr_intr;
    return (t->hw->status & I2C_IC_STATUS_ACTIVITY_BITS) == 0;
}

static bool aborted(const transfer *t) {
    return (t->hw->raw_intr_stat & I2C_IC_RAW_INTR_STAT_TX_ABRT_BITS) != 0;
}

static bool patient(const transfer *t) {
    return !aborted(t) && time_us_32() - t->since <= t->patience;
}

static bool put(transfer *t, uint32_t command) {
    while (t->hw->txflr == FIFO) {
        if (!patient(t)) {
            return false;
        }
    }
    t->hw->data_cmd = command;
    t->since = time_us_32();
    return !aborted(t);
}

/* The stop has left: the last byte, too, was acknowledged. */
static bool stopped(transfer *t) {
    while (!(t->hw->raw_intr_stat & I2C_IC_RAW_INTR_STAT_STOP_DET_BITS)) {
        if (time_us_32() - t->since > t->patience + FIFO * t->patience / 4u) {
            return false;
        }
    }
    return !aborted(t);
}

static uint32_t last(uint32_t i, uint32_t n) {
    return i + 1u == n ? I2C_IC_DATA_CMD_STOP_BITS : 0;
}

static bool send(transfer *t, uint16_t at, const uint8_t *data, uint32_t n) {
    bool well = put(t, at >> 8) && put(t, at & 0xFFu);
    for (uint32_t i = 0; well && i < n; i++) {
        well = put(t, data[i] | last(i, n));
    }
    return well && stopped(t);
}

/* No more is asked for than the receive FIFO holds. */
static bool fetch(transfer *t, uint16_t at, uint8_t *data, uint32_t n) {
    uint32_t asked = 0, got = 0;
    if (!put(t, at >> 8) || !put(t, at & 0xFFu)) {
        return false;
    }
    while (got < n) {
        if (asked < n && asked - got < FIFO) {
            uint32_t first = asked == 0 ? I2C_IC_DATA_CMD_RESTART_BITS : 0;
            if (!put(t, I2C_IC_DATA_CMD_CMD_BITS | first | last(asked, n))) {
                return false;
            }
            asked++;
        }
        if (t->hw->rxflr != 0) {
            data[got++] = (uint8_t)t->hw->data_cmd;
            t->since = time_us_32();
        } else if (!patient(t)) {
            return false;
        }
    }
    return stopped(t);
}

/* Lets the bus go, however far the controller came. */
static int ended(const rl_port_i2c *pins, bool well) {
    if (!well) {
        (void)set_up(pins);
    }
    return well;
}

static int i2c_send(void *ctx, uint8_t device, uint16_t at,
                    const uint8_t *data, uint32_t n) {
    transfer t;
    return ended(ctx, begin(ctx, device, &t) && send(&t, at, data, n));
}

static int i2c_fetch(void *ctx, uint8_t device, uint16_t at, uint8_t *data,
                     uint32_t n) {
    transfer t;
    return ended(ctx, begin(ctx, device, &t) && fetch(&t, at, data, n));
}

/* ---- Opening ----------------------------------------------------------- */

/* SDA on even pins, SCL on odd ones, two and two by turns for I2C0 and I2C1
 * (RP2040 datasheet 1.4.3). */
static bool pin_fits(const rl_port_i2c *pins, uint8_t pin, uint8_t role) {
    return pin < NUM_BANK0_GPIOS && (pin >> 1 & 1) == pins->i2c
        && (pin & 1) == role;
}

rl_status rl_port_i2c_init(rl_port_i2c *pins, rl_i2c *i2c) {
    if (pins->i2c > 1 || pins->baud < LEAST_BAUD || pins->baud > MOST_BAUD
        || !pin_fits(pins, pins->sda, 0) || !pin_fits(pins, pins->scl, 1)) {
        return RL_E_ARG;
    }
    if (!set_up(pins)) {
        return RL_E_NVM;
    }
    *i2c = (rl_i2c) { .ctx = pins, .write = i2c_send, .read = i2c_fetch };
    return RL_OK;
}
