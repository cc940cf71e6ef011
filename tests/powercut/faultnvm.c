/* relume tests: an NVM that loses power. */
#include "faultnvm.h"

#include <stdlib.h>
#include <string.h>

uint64_t fault_hash(uint64_t a, uint64_t b)
{
    uint64_t x = a * 0x9E3779B97F4A7C15u + b + 0x2545F4914F6CDD1Du;
    x ^= x >> 30;
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 27;
    x *= 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

void fault_make(fault *device, uint8_t kind, uint32_t size, uint32_t fill)
{
    memset(device, 0, sizeof *device);
    device->kind = kind;
    device->size = size;
    device->bytes = malloc(size);
    device->weak = calloc(size / RL_FLASH_SECTOR + 1u, 1);
    device->taken = malloc(size);
    if (device->bytes == NULL || device->weak == NULL
        || device->taken == NULL) {
        abort();
    }
    for (uint32_t i = 0; i < size; i++) {
        device->bytes[i] = (uint8_t)(fill < 256u ? fill : fault_hash(fill, i));
    }
}

void fault_free(fault *device)
{
    free(device->bytes);
    free(device->weak);
    free(device->taken);
}

static rl_status broken(fault *device, const char *rule)
{
    if (device->violation == NULL) {
        device->violation = rule;
    }
    return RL_E_NVM;
}

static int leaves(const fault *device, uint32_t at, uint32_t n)
{
    return at > device->size || n > device->size - at;
}

/* The operation is about to take effect, whole. */
static void announce(fault *device, const fault_op *op)
{
    if (device->strike != NULL) {
        device->strike(device, op);
    }
    device->ops++;
    device->traffic += op->n;
}

/* ---------------------------------------------------------------- file -- */

static rl_status plain_read(rl_nvm *nvm, uint32_t at, void *data, uint32_t n)
{
    fault *device = nvm->ctx;
    if (leaves(device, at, n)) {
        return broken(device, "read outside the NVM");
    }
    memcpy(data, device->bytes + at, n);
    return RL_OK;
}

static rl_status file_write(rl_nvm *nvm, uint32_t at, const void *data,
                            uint32_t n)
{
    fault *device = nvm->ctx;
    fault_op op = { OP_WRITE, at, n, data };
    if (leaves(device, at, n)) {
        return broken(device, "write outside the NVM");
    }
    announce(device, &op);
    memcpy(device->bytes + at, data, n);
    return RL_OK;
}

static rl_status no_erase(rl_nvm *nvm, uint32_t at)
{
    (void)at;
    return broken(nvm->ctx, "erase of a byte-writable NVM");
}

/* --------------------------------------------------------------- flash -- */

static rl_status flash_program(rl_nvm *nvm, uint32_t at, const void *data,
                               uint32_t n)
{
    fault *device = nvm->ctx;
    const uint8_t *image = data;
    fault_op op = { OP_PROGRAM, at, n, data };
    if (n != RL_FLASH_PAGE || at % RL_FLASH_PAGE != 0
        || leaves(device, at, n)) {
        return broken(device, "program of something else than a page");
    }
    if (device->weak[at / RL_FLASH_SECTOR]
        && at % RL_FLASH_SECTOR != 0) {
        return broken(device, "program in a sector whose erase was cut");
    }
    for (uint32_t i = 0; i < n; i++) {
        if ((image[i] & ~device->bytes[at + i]) != 0) {
            return broken(device, "program of a bit from 0 to 1");
        }
    }
    announce(device, &op);
    memcpy(device->bytes + at, image, n);
    return RL_OK;
}

static rl_status flash_erase(rl_nvm *nvm, uint32_t at)
{
    fault *device = nvm->ctx;
    fault_op op = { OP_ERASE, at, RL_FLASH_PAGE, NULL };
    if (at % RL_FLASH_SECTOR != 0 || leaves(device, at, RL_FLASH_SECTOR)) {
        return broken(device, "erase of something else than a sector");
    }
    announce(device, &op);
    memset(device->bytes + at, 0xFF, RL_FLASH_SECTOR);
    device->weak[at / RL_FLASH_SECTOR] = 0;
    return RL_OK;
}

/* ------------------------------------------------------- SPI FRAM chip -- */

static void chip_select(void *ctx, int on)
{
    fault *device = ctx;
    if (!on && (device->opcode == 0x02 || device->opcode == 0x01)) {
        device->enabled = 0; /* WEL falls at the end of WRITE and WRSR */
    }
    if (on && device->selected) {
        (void)broken(device, "chip selected twice");
    }
    if (device->sending > 0) {
        (void)broken(device, "chip select moved under a write");
    }
    device->selected = on;
    device->phase = 0;
    device->opcode = 0;
    device->address = 0;
}

static void chip_opcode(fault *device, uint8_t byte)
{
    device->opcode = byte;
    if (byte == 0x06 || byte == 0x04) {
        device->enabled = byte == 0x06;
    }
}

static uint32_t chip_address_bytes(const fault *device)
{
    return device->size > 0x10000u ? 3 : 2;
}

/* One byte of opcode, address or status; data runs through chip_data. */
static uint8_t chip_byte(fault *device, uint8_t byte)
{
    if (device->phase == 0) {
        chip_opcode(device, byte);
    } else if (device->opcode == 0x05) {
        return device->enabled ? 0x02 : 0x00;
    } else {
        device->address = device->address << 8 | byte;
    }
    device->phase++;
    return 0xFF;
}

static void chip_data(fault *device, const uint8_t *tx, uint8_t *rx,
                      uint32_t n)
{
    if (leaves(device, device->address, n)) {
        (void)broken(device, "address outside the chip");
        return;
    }
    if (device->opcode == 0x03 && rx != NULL) {
        memcpy(rx, device->bytes + device->address, n);
    } else if (device->opcode == 0x02 && tx != NULL && device->enabled) {
        fault_op op = { OP_WRITE, device->address, n, tx };
        announce(device, &op);
        memcpy(device->bytes + device->address, tx, n);
    }
    device->address += n;
}

static void chip_transfer(void *ctx, const uint8_t *tx, uint8_t *rx,
                          uint32_t n)
{
    fault *device = ctx;
    if (!device->selected || device->sending > 0) {
        (void)broken(device, "transfer without chip select, or under a write");
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        int memory = device->opcode == 0x02 || device->opcode == 0x03;
        if (memory && device->phase > (int)chip_address_bytes(device)) {
            chip_data(device, tx ? tx + i : NULL, rx ? rx + i : NULL, n - i);
            return;
        }
        uint8_t back = chip_byte(device, tx ? tx[i] : 0);
        if (rx != NULL) {
            rx[i] = back;
        }
    }
}

/* Every fifth start is refused: then the driver sends by polling. */
static int chip_start(void *ctx, const uint8_t *tx, uint32_t n)
{
    fault *device = ctx;
    fault_op op = { OP_WRITE, device->address, n, tx };
    if (!device->selected || !device->enabled || device->opcode != 0x02
        || device->phase <= (int)chip_address_bytes(device)
        || leaves(device, device->address, n)) {
        (void)broken(device, "start of a write that the chip does not take");
        return 0;
    }
    if (++device->asked % 5u == 0) {
        return 0;
    }
    announce(device, &op);
    memcpy(device->taken, tx, n);
    device->source = tx;
    device->sending = n;
    device->streams++;
    return 1;
}

static int chip_busy(void *ctx)
{
    fault *device = ctx;
    return device->sending > 0 && ++device->asked % 3u != 0;
}

static int chip_finish(void *ctx)
{
    fault *device = ctx;
    if (memcmp(device->taken, device->source, device->sending) != 0) {
        (void)broken(device, "bytes changed while they were written");
    }
    memcpy(device->bytes + device->address, device->source, device->sending);
    device->address += device->sending;
    device->sending = 0;
    return 1;
}

/* --------------------------------------------------------------- power -- */

void fault_lost(fault *device, uint32_t part)
{
    part = part < device->sending ? part : device->sending;
    memcpy(device->bytes + device->address, device->taken, part);
    device->sending = 0;
}

rl_status fault_power(fault *device, rl_nvm *nvm)
{
    fault_lost(device, 0);
    device->ops = 0;
    device->traffic = 0;
    device->asked = 0;
    device->streams = 0;
    device->selected = 0;
    device->enabled = 0;
    device->opcode = 0;
    if (device->kind == RL_NVM_FRAM) {
        rl_spi spi = { .ctx = device, .select = chip_select,
                       .transfer = chip_transfer };
        if (device->behind) {
            spi.start = chip_start;
            spi.busy = chip_busy;
            spi.finish = chip_finish;
        }
        return rl_fram_init(&device->fram, &spi, device->size, nvm);
    }
    nvm->kind = device->kind;
    nvm->size = device->size;
    nvm->ctx = device;
    nvm->read = plain_read;
    nvm->write = device->kind == RL_NVM_FLASH ? flash_program : file_write;
    nvm->erase = device->kind == RL_NVM_FLASH ? flash_erase : no_erase;
    nvm->start = NULL;
    nvm->busy = NULL;
    nvm->finish = NULL;
    return RL_OK;
}

/* ---------------------------------------------------------------- cuts -- */

#define PROGRAM_SHAPES 6u
#define ERASE_SHAPES 5u

uint32_t fault_variants(const fault_op *op, uint32_t seeds)
{
    switch (op->kind) {
    case OP_WRITE: return op->n + 1u;
    case OP_PROGRAM: return PROGRAM_SHAPES * seeds + 2u;
    default: return ERASE_SHAPES * seeds + 2u;
    }
}

/* Each bit that the program should clear is cleared with the odds of the
 * shape; two shapes stop at one byte, as a chip that works in order would. */
static void cut_program(uint8_t *page, const uint8_t *image, uint32_t shape,
                        uint64_t seed)
{
    static const unsigned odds[PROGRAM_SHAPES] = { 128, 16, 240, 2, 254, 0 };
    uint32_t stop = (uint32_t)(fault_hash(seed, 7) % RL_FLASH_PAGE);
    for (uint32_t i = 0; i < RL_FLASH_PAGE; i++) {
        if (shape == PROGRAM_SHAPES - 1u) {
            page[i] = i < stop ? image[i] : page[i];
            continue;
        }
        for (unsigned bit = 0; bit < 8; bit++) {
            uint64_t roll = fault_hash(seed, i * 8u + bit) & 255u;
            if (roll < odds[shape]) {
                page[i] &= (uint8_t)(image[i] | ~(1u << bit));
            }
        }
    }
}

/* 0 noise, 1 some bits set, 2 reads as erased, 3 as 2 under the old header,
 * 4 first part erased. The sector is weak: it may not be programmed. */
static void cut_erase(uint8_t *sector, uint32_t shape, uint64_t seed)
{
    uint32_t stop = (uint32_t)(fault_hash(seed, 9) % RL_FLASH_SECTOR);
    for (uint32_t i = 0; i < RL_FLASH_SECTOR; i++) {
        uint8_t noise = (uint8_t)fault_hash(seed, i);
        switch (shape) {
        case 0: sector[i] = noise; break;
        case 1: sector[i] |= noise; break;
        case 2: sector[i] = 0xFF; break;
        case 3: sector[i] = i < RL_FLASH_PAGE ? sector[i] : 0xFF; break;
        default: sector[i] = i < stop ? 0xFF : sector[i]; break;
        }
    }
}

void fault_cut(fault *to, const fault *from, const fault_op *op,
               uint32_t variant, uint32_t seeds, uint64_t seed)
{
    uint32_t last = fault_variants(op, seeds) - 1u;
    uint64_t roll = fault_hash(seed, variant);
    memcpy(to->bytes, from->bytes, from->size);
    memcpy(to->weak, from->weak, from->size / RL_FLASH_SECTOR + 1u);
    to->violation = NULL;
    to->sending = 0;
    uint8_t *place = to->bytes + op->at;
    if (variant == 0) {
        return;
    }
    if (op->kind == OP_WRITE) {
        memcpy(place, op->data, variant);
    } else if (op->kind == OP_PROGRAM) {
        if (variant == last) {
            memcpy(place, op->data, op->n);
        } else {
            cut_program(place, op->data, (variant - 1u) % PROGRAM_SHAPES,
                        roll);
        }
    } else if (variant == last) {
        memset(place, 0xFF, RL_FLASH_SECTOR);
        to->weak[op->at / RL_FLASH_SECTOR] = 0;
    } else {
        cut_erase(place, (variant - 1u) % ERASE_SHAPES, roll);
        to->weak[op->at / RL_FLASH_SECTOR] = 1;
    }
}
