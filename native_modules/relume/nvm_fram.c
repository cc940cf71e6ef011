/* relume: SPI FRAM. Commands: datasheets MB85RS64V, FM25V10, CY15B104QI. */
#include "nvm_fram.h"

#include <stddef.h>

#define WRSR 0x01u
#define WRITE 0x02u
#define READ 0x03u
#define WRDI 0x04u
#define RDSR 0x05u
#define WREN 0x06u

#define WEL 0x02u     /* status: writing is enabled */
#define PROTECT 0x0Cu /* status: BP1, BP0 */

#define SHORT_ADDRESS 0x10000u  /* up to here 2 address bytes */
#define LONG_ADDRESS 0x1000000u /* up to here 3 */

static void command(const rl_fram *fram, uint8_t opcode)
{
    const rl_spi *spi = &fram->spi;
    spi->select(spi->ctx, 1);
    spi->transfer(spi->ctx, &opcode, NULL, 1);
    spi->select(spi->ctx, 0);
}

static uint8_t read_status(const rl_fram *fram)
{
    const rl_spi *spi = &fram->spi;
    uint8_t opcode = RDSR, status = 0;
    spi->select(spi->ctx, 1);
    spi->transfer(spi->ctx, &opcode, NULL, 1);
    spi->transfer(spi->ctx, NULL, &status, 1);
    spi->select(spi->ctx, 0);
    return status;
}

static void write_status(const rl_fram *fram, uint8_t status)
{
    const rl_spi *spi = &fram->spi;
    const uint8_t out[2] = { WRSR, status };
    command(fram, WREN);
    spi->select(spi->ctx, 1);
    spi->transfer(spi->ctx, out, NULL, sizeof out);
    spi->select(spi->ctx, 0);
}

/* Leaves the chip selected, ready for the data. */
static void address(const rl_nvm *nvm, uint8_t opcode, uint32_t at)
{
    const rl_spi *spi = &((const rl_fram *)nvm->ctx)->spi;
    uint8_t out[4] = { opcode };
    uint32_t n = 1;
    if (nvm->size > SHORT_ADDRESS) {
        out[n++] = (uint8_t)(at >> 16);
    }
    out[n++] = (uint8_t)(at >> 8 & 0xFFu);
    out[n++] = (uint8_t)(at & 0xFFu);
    spi->select(spi->ctx, 1);
    spi->transfer(spi->ctx, out, NULL, n);
}

static int inside(const rl_nvm *nvm, uint32_t at, uint32_t n)
{
    return at <= nvm->size && n <= nvm->size - at;
}

/* The chip select goes up behind the last byte only: until then the chip is
 * in the middle of WRITE and takes whatever is clocked for data. */
static rl_status fram_finish(rl_nvm *nvm)
{
    rl_fram *fram = nvm->ctx;
    const rl_spi *spi = &fram->spi;
    if (!fram->writing) {
        return RL_OK;
    }
    int whole = spi->finish(spi->ctx);
    spi->select(spi->ctx, 0);
    fram->writing = 0;
    return whole ? RL_OK : RL_E_NVM;
}

static int fram_busy(rl_nvm *nvm)
{
    const rl_fram *fram = nvm->ctx;
    return fram->writing && fram->spi.busy(fram->spi.ctx);
}

static rl_status fram_read(rl_nvm *nvm, uint32_t at, void *data, uint32_t n)
{
    const rl_spi *spi = &((const rl_fram *)nvm->ctx)->spi;
    rl_status status = fram_finish(nvm);
    if (status != RL_OK || !inside(nvm, at, n)) {
        return RL_E_NVM;
    }
    if (n > 0) {
        address(nvm, READ, at);
        spi->transfer(spi->ctx, NULL, (uint8_t *)data, n);
        spi->select(spi->ctx, 0);
    }
    return RL_OK;
}

/* The chip takes each byte as it comes and clears its write enable when the
 * select goes up: WREN precedes every write. */
static rl_status begin_write(rl_nvm *nvm, uint32_t at, uint32_t n)
{
    rl_status status = fram_finish(nvm);
    if (status != RL_OK || !inside(nvm, at, n)) {
        return RL_E_NVM;
    }
    if (n > 0) {
        command((const rl_fram *)nvm->ctx, WREN);
        address(nvm, WRITE, at);
    }
    return RL_OK;
}

static void polled(const rl_spi *spi, const void *data, uint32_t n)
{
    spi->transfer(spi->ctx, (const uint8_t *)data, NULL, n);
    spi->select(spi->ctx, 0);
}

static rl_status fram_write(rl_nvm *nvm, uint32_t at, const void *data,
                            uint32_t n)
{
    rl_status status = begin_write(nvm, at, n);
    if (status == RL_OK && n > 0) {
        polled(&((const rl_fram *)nvm->ctx)->spi, data, n);
    }
    return status;
}

static rl_status fram_start(rl_nvm *nvm, uint32_t at, const void *data,
                            uint32_t n)
{
    rl_fram *fram = nvm->ctx;
    const rl_spi *spi = &fram->spi;
    rl_status status = begin_write(nvm, at, n);
    if (status != RL_OK || n == 0) {
        return status;
    }
    if (spi->start(spi->ctx, (const uint8_t *)data, n)) {
        fram->writing = 1;
    } else {
        polled(spi, data, n);
    }
    return RL_OK;
}

static rl_status fram_erase(rl_nvm *nvm, uint32_t at)
{
    (void)nvm;
    (void)at;
    return RL_E_NVM;
}

/* A line that floats, or is held, reads the same whatever is asked. */
static rl_status probe(const rl_fram *fram)
{
    command(fram, WREN);
    if ((read_status(fram) & WEL) == 0) {
        return RL_E_NVM;
    }
    command(fram, WRDI);
    uint8_t status = read_status(fram);
    if ((status & WEL) != 0) {
        return RL_E_NVM;
    }
    if ((status & PROTECT) != 0) {
        write_status(fram, 0);
        if ((read_status(fram) & PROTECT) != 0) {
            return RL_E_NVM;
        }
    }
    return RL_OK;
}

rl_status rl_fram_init(rl_fram *fram, const rl_spi *spi, uint32_t size,
                       rl_nvm *nvm)
{
    if (size == 0 || size > LONG_ADDRESS) {
        return RL_E_ARG;
    }
    fram->spi = *spi;
    fram->writing = 0;
    nvm->kind = RL_NVM_FRAM;
    nvm->size = size;
    nvm->ctx = fram;
    nvm->read = fram_read;
    nvm->write = fram_write;
    nvm->erase = fram_erase;
    nvm->start = spi->start != NULL ? fram_start : NULL;
    nvm->busy = spi->start != NULL ? fram_busy : NULL;
    nvm->finish = spi->start != NULL ? fram_finish : NULL;
    return probe(fram);
}
