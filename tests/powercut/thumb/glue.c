/* relume tests: what stands around the shipped Thumb code when it loses power
 * at any instruction: an NVM in mapped memory and the host's script.
 *
 * A byte of the NVM changes with one store, so between two changes nothing
 * that survives a cut depends on the instruction that was reached. */
#include "nvm_fram.h"
#include "session.h"

enum { FRAM_READ = 3, FRAM_WRITE = 2, FRAM_STATUS = 5, FRAM_ENABLE = 6 };
enum { DONE, PROGRAM, ERASE, DELIVERED };

/* An SPI FRAM chip whose cells are the mapped memory. */
typedef struct {
    volatile uint8_t *bytes;
    uint32_t size, address, phase;
    uint8_t  opcode, enabled;
    const uint8_t *sending; /* in the background, [left] bytes */
    uint32_t left;
} chip;

/* Mail with the machine; the first part is filled in by it. */
typedef struct {
    const uint8_t *image; /* the blob */
    uint32_t image_size;
    volatile uint8_t *nvm;
    uint32_t nvm_size, kind, background;
    const uint8_t *input;
    uint32_t id;
    uint8_t *arena;
    uint32_t *work;
    uint8_t *received;     /* the host's copy of the output */
    volatile uint32_t *notes; /* [0] how many, then each program and erase,
                               * at << 2 | kind, its end, and the delivery */
    /* what came of it */
    uint32_t delivered, stuck, seq, attempts; /* seq: newest at mount */
    /* lost with the power */
    rl_blob    blob;
    rl_nvm     rlnvm;
    rl_fram    fram;
    rl_store   store;
    rl_session session;
    chip       chip;
} life;

/* ---------------------------------------------------------------- FRAM -- */

static void chip_select(void *ctx, int on)
{
    chip *c = ctx;
    if (!on && c->opcode == FRAM_WRITE) {
        c->enabled = 0;
    }
    c->phase = 0;
    c->opcode = 0;
    c->address = 0;
}

static uint8_t chip_byte(chip *c, uint8_t byte)
{
    uint32_t phase = c->phase++;
    if (phase == 0) {
        c->opcode = byte;
        c->enabled = byte == FRAM_ENABLE || (byte != 4 && c->enabled);
        return 0xFF;
    }
    if (c->opcode == FRAM_STATUS) {
        return c->enabled ? 2 : 0;
    }
    if (phase <= 2) {
        c->address = c->address << 8 | byte;
        return 0xFF;
    }
    uint32_t at = c->address++ % c->size;
    if (c->opcode == FRAM_WRITE && c->enabled) {
        c->bytes[at] = byte;
    }
    return c->opcode == FRAM_READ ? c->bytes[at] : 0xFF;
}

static void chip_transfer(void *ctx, const uint8_t *tx, uint8_t *rx,
                          uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint8_t back = chip_byte(ctx, tx ? tx[i] : 0);
        if (rx) {
            rx[i] = back;
        }
    }
}

/* Writes in the background go on when they are looked at, and read what the
 * memory holds then: bytes that a tile has changed meanwhile go out wrong. */
static void chip_go_on(chip *c, uint32_t n)
{
    chip_transfer(c, c->sending, 0, n);
    c->sending += n;
    c->left -= n;
}

static int chip_start(void *ctx, const uint8_t *tx, uint32_t n)
{
    chip *c = ctx;
    c->sending = tx;
    c->left = n;
    chip_go_on(c, n / 4u);
    return 1;
}

static int chip_busy(void *ctx)
{
    chip *c = ctx;
    chip_go_on(c, (c->left + 2u) / 3u);
    return c->left != 0;
}

static int chip_finish(void *ctx)
{
    chip *c = ctx;
    chip_go_on(c, c->left);
    return 1;
}

/* --------------------------------------------------------------- flash -- */

static rl_status flash_read(rl_nvm *nvm, uint32_t at, void *data, uint32_t n)
{
    const life *l = nvm->ctx;
    for (uint32_t i = 0; i < n; i++) {
        ((uint8_t *)data)[i] = l->nvm[at + i];
    }
    return RL_OK;
}

static void note(const life *l, uint32_t what)
{
    uint32_t n = l->notes[0] + 1u;
    l->notes[n] = what;
    l->notes[0] = n;
}

static rl_status flash_write(rl_nvm *nvm, uint32_t at, const void *data,
                             uint32_t n)
{
    const life *l = nvm->ctx;
    const uint8_t *from = data;
    if (n != RL_FLASH_PAGE || at % RL_FLASH_PAGE != 0) {
        return RL_E_ARG;
    }
    note(l, at << 2 | PROGRAM);
    for (uint32_t i = 0; i < n; i++) {
        l->nvm[at + i] &= from[i];
    }
    note(l, DONE);
    return RL_OK;
}

static rl_status flash_erase(rl_nvm *nvm, uint32_t at)
{
    const life *l = nvm->ctx;
    note(l, at << 2 | ERASE);
    for (uint32_t i = 0; i < RL_FLASH_SECTOR; i++) {
        l->nvm[at + i] = 0xFF;
    }
    note(l, DONE);
    return RL_OK;
}

/* -------------------------------------------------------------- script -- */

static rl_status power(life *l)
{
    rl_nvm *nvm = &l->rlnvm;
    if (l->kind == RL_NVM_FRAM) {
        rl_spi spi = { .ctx = &l->chip, .select = chip_select,
                       .transfer = chip_transfer };
        if (l->background) {
            spi.start = chip_start;
            spi.busy = chip_busy;
            spi.finish = chip_finish;
        }
        l->chip = (chip) { .bytes = l->nvm, .size = l->nvm_size };
        return rl_fram_init(&l->fram, &spi, l->nvm_size, nvm);
    }
    *nvm = (rl_nvm) { .kind = RL_NVM_FLASH, .size = l->nvm_size, .ctx = l,
                      .read = flash_read, .write = flash_write,
                      .erase = flash_erase };
    return RL_OK;
}

static rl_status open(life *l)
{
    rl_session *s = &l->session;
    rl_blob_fault fault;
    rl_status status = rl_blob_check(l->image, l->image_size, 0, &l->blob,
                                     &fault);
    if (status == RL_OK) {
        status = power(l);
    }
    if (status == RL_OK) {
        status = rl_store_open(&l->store, &l->rlnvm, 0, l->nvm_size);
    }
    *s = (rl_session) { .blob = &l->blob, .store = &l->store,
                        .arena = l->arena, .work = l->work };
    return status == RL_OK ? rl_session_open(s) : status;
}

static rl_status deliver(life *l)
{
    const uint8_t *data;
    uint32_t size;
    rl_status status = rl_session_output(&l->session, &data, &size);
    if (status != RL_OK) {
        return status;
    }
    for (uint32_t i = 0; i < size; i++) {
        l->received[i] = data[i];
    }
    l->delivered = 1;
    note(l, DELIVERED);
    return rl_session_take(&l->session, l->id);
}

/* One life, to the end of the script: inference `id` is taken. 0, or the
 * error that ended it. */
int thumb_live(life *l)
{
    rl_session *s = &l->session;
    l->delivered = 0;
    l->stuck = 0;
    rl_status status = open(l);
    l->attempts = l->store.attempts;
    l->seq = l->store.newest.seq;
    while (status >= 0) {
        if (s->state == RL_STATE_RUNNING) {
            status = rl_session_step(s);
        } else if (s->state == RL_STATE_DONE) {
            status = deliver(l);
        } else if (s->state == RL_STATE_IDLE
                   && l->store.newest.inference == l->id) {
            return 0;
        } else if (s->state == RL_STATE_STUCK) {
            l->stuck = 1;
            return 0;
        } else {
            const rl_tensor *in = &l->blob.tensors[l->blob.header->input];
            status = rl_session_begin(s, l->id, l->input, in->size);
        }
    }
    l->stuck = status == RL_E_STUCK;
    return l->stuck ? 0 : status;
}
