/* relume: FRAM on I2C. Transfers: datasheets MB85RC256V, MB85RC1MT, FM24V10.
 *
 * The chip keeps each byte with its acknowledge: a write that is cut leaves
 * a prefix. The core waits for every write; none goes on in the background. */
#include "nvm_fram_i2c.h"

#include <stddef.h>

#define BANK 0x10000u      /* what two address bytes reach */
#define LARGEST 0x20000u   /* with one bit of the device's address */
#define FIRST_DEVICE 0x50u /* 1010 and three bits */
#define LAST_DEVICE 0x57u

static int inside(const rl_nvm *nvm, uint32_t at, uint32_t n)
{
    return at <= nvm->size && n <= nvm->size - at;
}

/* The chip's address counter is not asked to cross from bank to bank. */
static uint32_t in_bank(uint32_t at, uint32_t n)
{
    uint32_t left = BANK - at % BANK;
    return n < left ? n : left;
}

static uint8_t device_of(const rl_fram_i2c *fram, uint32_t at)
{
    return (uint8_t)(fram->device | at / BANK);
}

static rl_status fram_read(rl_nvm *nvm, uint32_t at, void *data, uint32_t n)
{
    const rl_fram_i2c *fram = nvm->ctx;
    uint8_t *to = data;
    if (!inside(nvm, at, n)) {
        return RL_E_NVM;
    }
    while (n > 0) {
        uint32_t part = in_bank(at, n);
        if (!fram->i2c.read(fram->i2c.ctx, device_of(fram, at),
                            (uint16_t)(at % BANK), to, part)) {
            return RL_E_NVM;
        }
        at += part;
        to += part;
        n -= part;
    }
    return RL_OK;
}

static rl_status fram_write(rl_nvm *nvm, uint32_t at, const void *data,
                            uint32_t n)
{
    const rl_fram_i2c *fram = nvm->ctx;
    const uint8_t *from = data;
    if (!inside(nvm, at, n)) {
        return RL_E_NVM;
    }
    while (n > 0) {
        uint32_t part = in_bank(at, n);
        if (!fram->i2c.write(fram->i2c.ctx, device_of(fram, at),
                             (uint16_t)(at % BANK), from, part)) {
            return RL_E_NVM;
        }
        at += part;
        from += part;
        n -= part;
    }
    return RL_OK;
}

static rl_status fram_erase(rl_nvm *nvm, uint32_t at)
{
    (void)nvm;
    (void)at;
    return RL_E_NVM;
}

/* Every bank acknowledges its address. What is written is proved by the
 * store, which writes, reads back and looks for mirrors as it mounts. */
static rl_status probe(rl_nvm *nvm)
{
    uint8_t byte;
    rl_status status = RL_OK;
    for (uint32_t at = 0; at < nvm->size && status == RL_OK; at += BANK) {
        status = fram_read(nvm, at, &byte, 1);
    }
    return status;
}

rl_status rl_fram_i2c_init(rl_fram_i2c *fram, const rl_i2c *i2c,
                           uint8_t device, uint32_t size, rl_nvm *nvm)
{
    if (size == 0 || size > LARGEST || device < FIRST_DEVICE
        || device > LAST_DEVICE || (size > BANK && (device & 1u) != 0)) {
        return RL_E_ARG;
    }
    fram->i2c = *i2c;
    fram->device = device;
    nvm->kind = RL_NVM_FRAM;
    nvm->size = size;
    nvm->ctx = fram;
    nvm->read = fram_read;
    nvm->write = fram_write;
    nvm->erase = fram_erase;
    nvm->start = NULL;
    nvm->busy = NULL;
    nvm->finish = NULL;
    return probe(nvm);
}
