/* relume: the RP2040 under the binding: SPI and I2C for the FRAM. */
#ifndef RELUME_PORT_RP2_H
#define RELUME_PORT_RP2_H

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"
#include "nvm_fram.h"
#include "nvm_fram_i2c.h"
#include "relume_regions.h"

/* DMA channels that the firmware claims at its start, for good: the highest,
 * since rp2.DMA, machine.SPI and the SDK take the lowest that is free. */
#define RL_DMA_SPI 11u
#define RL_DMA_CRC 10u

typedef struct {
    uint8_t  spi, sck, mosi, miso, cs;
    uint32_t baud;
} rl_port_spi;

/* Sets the pins up and fills *spi, whose ctx is *pins: it must last as long
 * as *spi is used. A write in the background is cut short.
 * RL_E_ARG: a pin that this SPI does not reach. */
RL_CHECKED rl_status rl_port_spi_init(rl_port_spi *pins, rl_spi *spi);

/* Cuts a write in the background short and lets the chip go. */
void rl_port_spi_stop(void);

typedef struct {
    uint8_t  i2c, sda, scl;
    uint32_t baud;
} rl_port_i2c;

/* Frees the bus (nine clocks, if a chip holds it), sets the pins up and fills
 * *i2c, whose ctx is *pins. RL_E_ARG: a pin that this I2C does not reach, or
 * a speed that it does not have. RL_E_NVM: somebody holds the bus. */
RL_CHECKED rl_status rl_port_i2c_init(rl_port_i2c *pins, rl_i2c *i2c);

/* What came in on the console's UART during a sleep. */
typedef struct {
    uint8_t  bytes[RL_FRAME_WIRE + 32u];
    uint32_t n, at; /* there, taken */
} rl_port_heard;

/* Sleeps so many ms, up to 4,000,000 of them, or until somebody has said something on the console's
 * UART, which must be set up and is given back; PLLs and ring oscillator are
 * off meanwhile unless USB powers the board. *heard has room from n on. */
void rl_port_sleep(uint32_t ms, rl_port_heard *heard);

/* Engine and kernels to SRAM, at the start: what the time allows until the
 * crystal runs, and the rest, before anybody calls them. */
void rl_copy_meanwhile(void);
void rl_copy_rest(void);

/* A part of them, while an SPI moves n bytes: from begin to end nothing may
 * touch flash, and who calls is in SRAM. */
void rl_copy_begin(uint32_t n);
void rl_copy_end(void);

/* Flash to SRAM, before interrupts are on: in a burst, if that goes. */
void rl_copy_flash(uint32_t *to, const uint32_t *from, uint32_t words);

/* The flash chip was read in bursts, and brought what it holds. */
bool rl_copy_bursts(void);

/* From now on, or no longer, rl_crc32 of flash is the DMA's too: while nothing
 * else runs. */
void rl_port_crc_of_flash(bool by_dma);

/* What the SDK's start left to be done behind the inference. */
void rl_port_started(void);

#endif
