/* relume: what the store needs of a non-volatile memory.
 *
 * The functions return RL_OK or RL_E_NVM. A write or erase that returned
 * RL_OK is durable. A power cut inside a write leaves, byte by byte (FRAM,
 * file) or bit by bit (flash page), old or new content; inside an erase
 * anything. A write in the background is durable when finish() has returned
 * RL_OK; until then a power cut leaves what it leaves of a write. Addresses
 * are relative to the NVM's start; the caller stays inside [0, size). */
#ifndef RELUME_NVM_H
#define RELUME_NVM_H

#include <stdint.h>

#include "order.h"
#include "status.h"

#define RL_NVM_FRAM 1
#define RL_NVM_FLASH 2
#define RL_NVM_FILE 3
#define RL_NVM_FRAM_I2C 4 /* of a plan; an NVM on I2C is RL_NVM_FRAM itself */

#define RL_FLASH_PAGE 256u
#define RL_FLASH_SECTOR 4096u

typedef struct rl_nvm rl_nvm;
struct rl_nvm {
    uint8_t  kind;
    uint32_t size;
    void    *ctx;
    rl_status (*read)(rl_nvm *nvm, uint32_t at, void *data, uint32_t n);
    /* FRAM, file: any range. Flash: one whole aligned page, bits 1 -> 0. */
    rl_status (*write)(rl_nvm *nvm, uint32_t at, const void *data,
                       uint32_t n);
    rl_status (*erase)(rl_nvm *nvm, uint32_t at); /* flash: one sector */

    /* A write in the background, all three or none (NULL). At most one is
     * under way; data[0, n) stays as it is until finish. read, write and
     * start finish it first by themselves and tell its error. Whoever hands
     * the core to others finishes it before: the bus is taken until then. */
    rl_status (*start)(rl_nvm *nvm, uint32_t at, const void *data,
                       uint32_t n);
    int (*busy)(rl_nvm *nvm);         /* 1 while it goes on; never waits */
    rl_status (*finish)(rl_nvm *nvm); /* RL_OK: durable, or nothing was */
};

/* An NVM is divided: the last eighth, in whole sectors (flash) or pages, is
 * for keys and values (SPEC 4.4), what is before it for inferences. */
static inline uint32_t rl_nvm_models(const rl_nvm *nvm)
{
    uint32_t grain = nvm->kind == RL_NVM_FLASH ? RL_FLASH_SECTOR
                                               : RL_FLASH_PAGE;
    return nvm->size - (nvm->size / 8u & ~(grain - 1u));
}

#endif
