/* relume: FRAM on I2C: MB85RC, FM24V and FM24W chips with 2 address bytes. */
#ifndef RELUME_NVM_FRAM_I2C_H
#define RELUME_NVM_FRAM_I2C_H

#include "nvm.h"

/* One transfer each, to or from the chip `device` (7 bits) from address `at`
 * on, its two bytes sent first; a stop ends it, whatever happens. n is at
 * least 1. 1: every byte was acknowledged. 0: not, or the bus did not move
 * for too long; the next transfer finds it as after a start. */
typedef struct {
    void *ctx;
    int (*write)(void *ctx, uint8_t device, uint16_t at, const uint8_t *data,
                 uint32_t n);
    int (*read)(void *ctx, uint8_t device, uint16_t at, uint8_t *data,
                uint32_t n);
} rl_i2c;

typedef struct {
    rl_i2c  i2c;
    uint8_t device;
} rl_fram_i2c;

/* Asks the chip and fills nvm: kind RL_NVM_FRAM, since its layout is the
 * same, size bytes; above 64 KB the lowest bit of the device's address is
 * the highest of the byte's. RL_E_NVM: nobody answers at `device`. RL_E_ARG:
 * size is 0 or over 128 KB, or no chip has such an address. */
RL_CHECKED rl_status rl_fram_i2c_init(rl_fram_i2c *fram, const rl_i2c *i2c,
                                      uint8_t device, uint32_t size,
                                      rl_nvm *nvm);

#endif
