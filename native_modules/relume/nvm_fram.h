/* relume: SPI FRAM with the command set of MB85RS, FM25 and CY15 chips. */
#ifndef RELUME_NVM_FRAM_H
#define RELUME_NVM_FRAM_H

#include "nvm.h"

/* SPI mode 0, most significant bit first. select(1) pulls the chip select
 * low, select(0) lets it go. transfer() clocks n bytes: tx NULL sends zeros,
 * rx NULL drops what comes. */
typedef struct {
    void *ctx;
    void (*select)(void *ctx, int on);
    void (*transfer)(void *ctx, const uint8_t *tx, uint8_t *rx, uint32_t n);
} rl_spi;

typedef struct {
    rl_spi spi;
} rl_fram;

/* Probes the chip and fills nvm: kind RL_NVM_FRAM, size bytes, 2 address
 * bytes up to 64 KB, else 3. Block protection is taken off if it is on.
 * RL_E_NVM: no chip answers. RL_E_ARG: size is 0 or over 16 MB. */
RL_CHECKED rl_status rl_fram_init(rl_fram *fram, const rl_spi *spi,
                                  uint32_t size, rl_nvm *nvm);

#endif
