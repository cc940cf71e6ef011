/* relume: SPI FRAM with the command set of MB85RS, FM25 and CY15 chips. */
#ifndef RELUME_NVM_FRAM_H
#define RELUME_NVM_FRAM_H

#include "nvm.h"

/* SPI mode 0, most significant bit first. select(1) pulls the chip select
 * low, select(0) lets it go. transfer() clocks n bytes: tx NULL sends zeros,
 * rx NULL drops what comes. start() begins to send tx[0, n) in the background
 * and returns 1, or 0 and sends nothing; busy() tells if that goes on;
 * finish() waits until the last bit is out, 0: something went wrong. The
 * last three are there all or not at all (NULL). */
typedef struct {
    void *ctx;
    void (*select)(void *ctx, int on);
    void (*transfer)(void *ctx, const uint8_t *tx, uint8_t *rx, uint32_t n);
    int (*start)(void *ctx, const uint8_t *tx, uint32_t n);
    int (*busy)(void *ctx);
    int (*finish)(void *ctx);
} rl_spi;

typedef struct {
    rl_spi  spi;
    uint8_t writing; /* a write goes on in the background */
} rl_fram;

/* Probes the chip and fills nvm: kind RL_NVM_FRAM, size bytes, 2 address
 * bytes up to 64 KB, else 3; writes in the background if the SPI can send so.
 * Block protection is taken off if it is on. RL_E_NVM: no chip answers.
 * RL_E_ARG: size is 0 or over 16 MB. */
RL_CHECKED rl_status rl_fram_init(rl_fram *fram, const rl_spi *spi,
                                  uint32_t size, rl_nvm *nvm);

#endif
