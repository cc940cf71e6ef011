/* relume: the RP2040 under the binding: SPI for the FRAM. */
#ifndef RELUME_PORT_RP2_H
#define RELUME_PORT_RP2_H

#include <stdint.h>

#include "nvm_fram.h"
#include "relume_regions.h"

typedef struct {
    uint8_t  spi, sck, mosi, miso, cs;
    uint32_t baud;
} rl_port_spi;

/* Sets the pins up and fills *spi, whose ctx is *pins: both must last.
 * RL_E_ARG: a pin that this SPI does not reach. */
RL_CHECKED rl_status rl_port_spi_init(rl_port_spi *pins, rl_spi *spi);

#endif
