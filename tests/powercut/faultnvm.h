/* relume tests: an NVM that loses power. A small peer of the real drivers:
 * a byte-writable file, an SPI FRAM chip behind the shipping nvm_fram.c, and a
 * raw NOR flash. Before each write, program or erase takes effect it calls
 * `strike`, which may look at every state that a cut inside would leave. */
#ifndef FAULTNVM_H
#define FAULTNVM_H

#include "nvm.h"
#include "nvm_fram.h"

#define FAULT_PATH 4 /* cuts in a row */

typedef enum { OP_WRITE, OP_PROGRAM, OP_ERASE } fault_kind;

typedef struct {
    fault_kind     kind;
    uint32_t       at, n;
    const uint8_t *data; /* [n], NULL for an erase */
} fault_op;

typedef struct fault fault;
struct fault {
    uint8_t  kind;    /* RL_NVM_* */
    uint32_t size;
    uint8_t *bytes;   /* [size] what survives a cut */
    uint8_t *weak;    /* flash: [sectors] an erase was cut: not usable */
    const char *violation; /* the first rule of the chip that was broken */
    void   (*strike)(fault *device, const fault_op *op);
    void    *ctx;     /* of strike */
    uint32_t ops;     /* operations since power-on */
    uint64_t traffic; /* bytes written, and 256 an erase, since power-on */
    /* SPI FRAM chip, lost with the power */
    int      selected, enabled, phase;
    uint8_t  opcode;
    uint32_t address;
    rl_fram  fram;
    /* A write in the background (behind != 0): the chip takes its bytes when
     * it ends; whoever changes them before is found out. */
    int            behind;
    const uint8_t *source;
    uint8_t       *taken; /* [size] the source's bytes at the start */
    uint32_t       sending, asked, streams; /* streams: begun since power-on */
};

/* Memory of the device; bytes start as `fill`, 256 and more: as noise. */
void fault_make(fault *device, uint8_t kind, uint32_t size, uint32_t fill);
void fault_free(fault *device);

/* The power has gone: of a write under way `part` bytes at most arrive. */
void fault_lost(fault *device, uint32_t part);

/* Power on: to an rl_nvm. The result is the driver's. */
RL_CHECKED rl_status fault_power(fault *device, rl_nvm *nvm);

/* States that a cut inside the operation can leave. Number 0: untouched;
 * the last: complete, but the caller never learns. */
uint32_t fault_variants(const fault_op *op, uint32_t seeds);

/* Copies what survives of `from` into `to` (same kind and size) and applies
 * the operation as far as `variant` says. */
void fault_cut(fault *to, const fault *from, const fault_op *op,
               uint32_t variant, uint32_t seeds, uint64_t seed);

/* Deterministic noise. */
uint64_t fault_hash(uint64_t a, uint64_t b);

#endif
