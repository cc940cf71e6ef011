/* relume tests: what every tile must compute. */
#include "reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "engine.h"
#include "faultnvm.h"
#include "store.h"

reference ref;

static void *allot(size_t n)
{
    void *memory = calloc(n > 0 ? n : 1, 1);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

/* ---------------------------------------------------------------- blob -- */

static int read_blob(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        return -1;
    }
    long size = ftell(file);
    rewind(file);
    ref.image = allot((size_t)size);
    size_t got = fread(ref.image, 1, (size_t)size, file);
    fclose(file);
    rl_blob_fault fault;
    rl_status status = rl_blob_check(ref.image, got, 1, &ref.blob, &fault);
    if (status != RL_OK) {
        fprintf(stderr, "%s: offset %u: %s\n", path, fault.offset,
                rl_blob_fault_text(fault.number));
        return -1;
    }
    return 0;
}

uint32_t reference_arena(void)
{
    return ref.blob.header->arena_size + ref.blob.header->scratch_size;
}

const uint8_t *reference_tensor(uint32_t input, uint32_t tensor)
{
    return ref.tensors[input][tensor];
}

/* -------------------------------------------------------------- uncut ---- */

static void copy_out(uint32_t input, const uint8_t *arena, uint32_t tile)
{
    const rl_tile *t = &ref.blob.tiles[tile];
    const rl_op *op = &ref.blob.ops[t->op];
    uint32_t from = t->first * op->unit_bytes;
    memcpy(ref.tensors[input][op->out] + from,
           arena + ref.blob.tensors[op->out].arena_off + from,
           (size_t)t->count * op->unit_bytes);
}

/* A record that would be the newest of all, if the page that it lies in
 * could pass for a record page: the first of a store that is empty. */
static void forge(uint8_t *data, uint32_t size)
{
    rl_record record = {
        .magic = RL_RECORD_MAGIC, .seq = 5000,
        .model = ref.blob.header->meta_crc, .inference = 100,
        .tile = (uint16_t)ref.blob.header->n_tiles, .state = RL_STATE_IDLE,
        .nvm_kind = RL_NVM_FLASH, .home = RL_FLASH_PAGE,
    };
    record.crc = rl_crc32(0, &record, sizeof record - 4u);
    if (size >= sizeof record) {
        memset(data, 0xFF, size);
        memcpy(data, &record, sizeof record);
    }
}

static void make_input(uint8_t *data, uint32_t size, uint64_t seed)
{
    for (uint32_t i = 0; i < size; i++) {
        data[i] = (uint8_t)fault_hash(seed, i);
    }
    if (ref.forge) {
        forge(data, size);
    }
}

static void run_uncut(uint32_t input, uint64_t seed)
{
    const rl_header *h = ref.blob.header;
    const rl_tensor *in = &ref.blob.tensors[h->input];
    uint8_t *arena = allot(reference_arena());
    memset(arena, 0x5A, reference_arena());
    ref.tensors[input] = allot(h->n_tensors * sizeof(uint8_t *));
    for (uint32_t t = 0; t < h->n_tensors; t++) {
        ref.tensors[input][t] = allot(ref.blob.tensors[t].size);
    }
    make_input(ref.tensors[input][h->input], in->size, seed);
    memcpy(arena + in->arena_off, ref.tensors[input][h->input], in->size);
    for (uint32_t tile = 0; tile < h->n_tiles; tile++) {
        rl_engine_tile(&ref.blob, arena, tile);
        copy_out(input, arena, tile);
    }
    free(arena);
}

static void note_finished(void)
{
    const rl_header *h = ref.blob.header;
    uint32_t *row = allot((h->n_tiles + 1u) * h->n_tensors * 4u);
    ref.finished = row;
    row[h->input] = ref.blob.tensors[h->input].size;
    for (uint32_t tile = 0; tile < h->n_tiles; tile++) {
        const rl_tile *t = &ref.blob.tiles[tile];
        const rl_op *op = &ref.blob.ops[t->op];
        memcpy(row + h->n_tensors, row, h->n_tensors * 4u);
        row += h->n_tensors;
        row[op->out] = (t->first + t->count) * op->unit_bytes;
    }
}

int reference_make(const char *path, uint64_t seed)
{
    if (read_blob(path) != 0) {
        return -1;
    }
    for (uint32_t i = 0; i < REFERENCE_INPUTS; i++) {
        run_uncut(i, fault_hash(seed, i));
    }
    note_finished();
    return 0;
}

void reference_free(void)
{
    for (uint32_t i = 0; i < REFERENCE_INPUTS; i++) {
        for (uint32_t t = 0; t < ref.blob.header->n_tensors; t++) {
            free(ref.tensors[i][t]);
        }
        free(ref.tensors[i]);
    }
    free(ref.finished);
    free(ref.image);
}

/* ---------------------------------------------------------------- tile -- */

/* The bytes that the tile may read are the right ones. */
static void check_input(const uint8_t *arena, uint32_t tile, uint32_t tensor,
                        uint32_t from)
{
    const uint32_t *row = ref.finished
                        + (size_t)tile * ref.blob.header->n_tensors;
    uint32_t to = row[tensor];
    if (from < to
        && memcmp(arena + ref.blob.tensors[tensor].arena_off + from,
                  ref.tensors[ref.input][tensor] + from, to - from) != 0) {
        ref.fault = "a tile ran on wrong input";
    }
}

/* The tile that the units belong to. */
static uint32_t tile_of(const rl_blob *blob, const rl_tile *units)
{
    uint32_t tile = 0;
    for (;; tile++) {
        const rl_tile *t = &blob->tiles[tile];
        if (t->op == units->op && units->first - t->first < t->count) {
            break;
        }
    }
    const rl_tile *t = &blob->tiles[tile];
    if (units->count == 0 || units->scratch != t->scratch
        || units->first + units->count > t->first + t->count) {
        ref.fault = "units of no tile";
    }
    return tile;
}

void reference_tile(rl_stage *stage, const rl_blob *blob, uint8_t *arena,
                    const rl_tile *t)
{
    uint32_t tile = tile_of(blob, t);
    const rl_op *op = &blob->ops[t->op];
    const rl_tensor *out = &blob->tensors[op->out];
    uint32_t at = t->first * op->unit_bytes;
    uint32_t n = t->count * op->unit_bytes;
    const uint8_t *want = ref.tensors[ref.input][op->out] + at;
    if (ref.on_tile != NULL) {
        ref.on_tile(ref.ctx, t->count);
    }
    ref.tiles++;
    ref.clock += REFERENCE_TILE_CYCLES;
    check_input(arena, tile, op->in0, rl_engine_need(blob, op, 0, t->first));
    if (op->in1 != RL_NONE) {
        check_input(arena, tile, op->in1,
                    rl_engine_need(blob, op, 1, t->first));
    }
    memset(arena + RL_GRAIN * t->scratch, 0xC3, rl_engine_scratch(blob, op));
    if (!ref.real) {
        memcpy(arena + out->arena_off + at, want, n);
        return;
    }
    rl_stage_tile(stage, blob, arena, t);
    if (memcmp(arena + out->arena_off + at, want, n) != 0) {
        ref.fault = "a tile computed something else";
    }
}
