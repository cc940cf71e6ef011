/* relume fuzz target: the blob checker, then everything that is done with a
 * blob that it accepts (SECURITY B1 to B4, S2).
 *
 * input: u8 flags (1 reseal the CRCs, 2 as at boot: without the constants'
 * CRC; bits 2 to 7: a power cut after so many steps), the blob. */
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "engine.h"
#include "faultnvm.h"
#include "fields.h"
#include "opinion.h"
#include "session.h"
#include "stage.h"
#include "target.h"

#define NOISE 0xA5
#define MOST_WORK (1u << 21) /* multiplications of an inference, or so */
#define MOST_MEMORY (1u << 17)
#define SECTORS 12u

enum { ACCEPTED, RAN, PORTABLE, M0PLUS, M4, SESSIONS, BEHIND, DONE };
target_count target_counts[] = {
    { "accepted", 0 }, { "ran", 0 }, { "portable", 0 }, { "m0plus", 0 },
    { "m4", 0 }, { "sessions", 0 }, { "behind", 0 },
    { "done", 0 }, { NULL, 0 }
};

/* A blob may ask for years of work: only some of them are run here. */
static int is_small(const rl_blob *blob)
{
    const rl_header *h = blob->header;
    uint64_t work = h->n_tiles;
    for (uint32_t i = 0; i < h->n_tiles; i++) {
        const rl_tile *tile = &blob->tiles[i];
        const rl_op *op = &blob->ops[tile->op];
        uint64_t unit = (uint64_t)op->unit_bytes
                      * (op->kh ? op->kh : 1u) * (op->kw ? op->kw : 1u);
        if (op->kind == RL_CONV_2D || op->kind == RL_FULLY_CONNECTED) {
            unit *= blob->tensors[op->in0].c;
        }
        if (op->kind == RL_FULLY_CONNECTED || op->kind == RL_MEAN) {
            unit += blob->tensors[op->in0].size;
        }
        work += tile->count * unit + op->stage_size;
    }
    return work <= MOST_WORK
        && h->arena_size + h->scratch_size <= MOST_MEMORY;
}

/* --------------------------------------------------------------- tiles -- */

/* It may change its own output bytes and its scratch memory, no other. */
static void run_tile(const rl_blob *blob, uint8_t *arena, uint32_t number)
{
    const rl_tile *tile = &blob->tiles[number];
    const rl_op *op = &blob->ops[tile->op];
    size_t size = (size_t)blob->header->arena_size
                + blob->header->scratch_size;
    size_t scratch = rl_engine_scratch(blob, op);
    size_t own = blob->tensors[op->out].arena_off
               + tile->first * op->unit_bytes;
    PROMISE(rl_engine_need(blob, op, 0, tile->first)
            <= blob->tensors[op->in0].size, "an op needs too much");
    memset(arena + RL_GRAIN * tile->scratch, NOISE, scratch);
    uint8_t *before = target_exact(arena, size);
    rl_engine_tile(blob, arena, number);
    memcpy(before + own, arena + own, tile->count * op->unit_bytes);
    memset(arena + RL_GRAIN * tile->scratch, NOISE, scratch);
    PROMISE(memcmp(before, arena, size) == 0,
            "a tile wrote outside its own bytes");
    free(before);
}

static void run(const rl_blob *blob, int staged)
{
    const rl_header *h = blob->header;
    const rl_tensor *in = &blob->tensors[h->input];
    uint8_t *arena = target_exact(NULL, h->arena_size + h->scratch_size);
    rl_stage stage = { { NULL, NULL }, 0 };
    memset(arena + in->arena_off, 0x11, in->size);
    for (uint32_t i = 0; i < h->n_tiles; i++) {
        if (staged) {
            rl_stage_tile(&stage, blob, arena, &blob->tiles[i]);
        } else {
            run_tile(blob, arena, i);
        }
    }
    free(arena);
}

/* ------------------------------------------------------------- session -- */

typedef struct {
    fault    device;
    rl_nvm   nvm;
    rl_store store;
    rl_session session;
} life;

static rl_status turn_on(life *l)
{
    rl_status status = fault_power(&l->device, &l->nvm);
    if (status == RL_OK) {
        status = rl_store_open(&l->store, &l->nvm, 0, l->device.size);
    }
    l->session.store = &l->store;
    return status == RL_OK ? rl_session_open(&l->session) : status;
}

/* A plan that lies may give homes that collide: then a restore is damaged,
 * and said to be. It never computes on damaged bytes, nor leaves the NVM. */
static void go_on(life *l, const uint8_t *input, uint32_t cut)
{
    const rl_blob *blob = l->session.blob;
    uint32_t size = blob->tensors[blob->header->input].size, steps = 0;
    rl_status status;
    do {
        status = rl_session_begin(&l->session, 7, input, size);
    } while (status == RL_ERASED);
    while (status >= 0 && l->session.state == RL_STATE_RUNNING) {
        status = rl_session_step(&l->session);
        if (++steps == cut && status >= 0) {
            memset(l->session.arena, NOISE, blob->header->arena_size);
            l->session.stage.op = 0;
            status = turn_on(l);
        }
    }
    PROMISE(l->device.violation == NULL, l->device.violation);
    PROMISE(status >= 0 || status == RL_E_DAMAGED || status == RL_E_NVM_SIZE
            || status == RL_E_FULL, rl_status_text(status));
    target_counts[DONE].n += l->session.state == RL_STATE_DONE;
}

static void run_session(const rl_blob *blob, uint32_t cut)
{
    const rl_header *h = blob->header;
    life l;
    uint32_t size = h->nvm_kind == RL_NVM_FLASH
                  ? SECTORS * RL_FLASH_SECTOR : RL_FRAM_HOME + h->nvm_size;
    if (h->nvm_size > MOST_MEMORY) {
        return;
    }
    memset(&l, 0, sizeof l);
    fault_make(&l.device, h->nvm_kind, size, 0xFF);
    /* Only of a plan that keeps what it needs the bytes stay while they are
     * written in the background. */
    l.device.behind = h->nvm_kind == RL_NVM_FRAM && opinion_keeps(blob);
    target_counts[BEHIND].n += (uint64_t)l.device.behind;
    l.session.blob = blob;
    l.session.arena = target_exact(NULL, h->arena_size + h->scratch_size);
    l.session.work = target_exact(NULL, rl_session_work(blob));
    uint8_t *input = target_exact(NULL, blob->tensors[h->input].size);
    if (turn_on(&l) == RL_OK) {
        target_counts[SESSIONS].n++;
        go_on(&l, input, cut);
    }
    PROMISE(l.device.violation == NULL, l.device.violation);
    free(input);
    free(l.session.work);
    free(l.session.arena);
    fault_free(&l.device);
}

/* -------------------------------------------------------------- target -- */

static void use(const rl_blob *blob, uint32_t cut)
{
    uint32_t core = blob->header->core;
    target_counts[ACCEPTED].n++;
    if (!is_small(blob)) {
        return;
    }
    target_counts[RAN].n++;
    target_counts[PORTABLE + core].n++;
    run(blob, 0);
    run(blob, 1);
    run_session(blob, cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    rl_blob blob;
    rl_blob_fault fault;
    if (n == 0 || n > TARGET_MOST) {
        return 0;
    }
    uint8_t *image = target_exact(data + 1, n - 1);
    if (data[0] & 1) {
        fields_seal(image, n - 1);
    }
    rl_status status = rl_blob_check(image, n - 1, !(data[0] & 2), &blob,
                                     &fault);
    PROMISE((status == RL_OK) == (fault.number == 0), "a fault without one");
    PROMISE(fault.offset < n, "a fault outside the blob");
    PROMISE(rl_blob_fault_text(fault.number)[0] != 0 || status == RL_OK,
            "a fault without a text");
    if (status == RL_OK) {
        opinion_prove(&blob, n - 1);
        PROMISE(fields_sealed(image, n - 1, !(data[0] & 2)),
                "a blob with a wrong checksum was accepted");
        use(&blob, data[0] >> 2);
    }
    free(image);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most,
                               unsigned seed)
{
    target_dice(seed);
    if (n < 2 || target_roll(6) == 0) {
        return LLVMFuzzerMutate(data, n, most);
    }
    if (target_roll(8) == 0) {
        data[0] = (uint8_t)target_roll(256);
    }
    if (target_roll(16) == 0) { /* damage that a checksum must tell */
        data[0] &= 0xFE;
        fields_seal(data + 1, n - 1);
    }
    for (uint32_t i = 1u + target_roll(3); i > 0; i--) {
        fields_mutate(data + 1, n - 1);
    }
    if (target_roll(2) == 0) {
        fields_mend(data + 1, n - 1);
    }
    return n;
}

size_t target_seed(uint32_t number, uint8_t *to, size_t most)
{
    (void)number;
    (void)to;
    (void)most;
    return 0; /* made by the packer */
}
