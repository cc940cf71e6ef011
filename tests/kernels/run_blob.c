/* Checks and runs blobs from stdin; meant to be built with sanitizers.
 *
 * in:  { u32 blob size, u32 input size, blob, input } until end of file
 * out: { i32 status, u32 fault offset, u32 n, n bytes } each
 *
 * The n bytes are what the tiles wrote, each tile's when it is done. Every
 * blob lies in an allocation of exactly its size; so does the arena. A tile
 * that changes bytes outside its own and its scratch memory stops the
 * program. An input of another size than the
 * blob's input tensor is filled up with zeros or cut.
 *
 * Every blob runs a second time, with the constants that it asks for copied
 * to SRAM; with an argument, those are the bytes that are given out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "stage.h"

#define NOISE 0xA5

static void *need_memory(size_t size)
{
    void *memory = malloc(size ? size : 1);

    if (!memory) {
        exit(2);
    }
    return memory;
}

static void put(const void *data, size_t size)
{
    if (size && fwrite(data, 1, size, stdout) != size) {
        exit(2);
    }
}

static void put_header(int32_t status, uint32_t offset, uint32_t size)
{
    put(&status, 4);
    put(&offset, 4);
    put(&size, 4);
}

static uint32_t outputs_size(const rl_blob *blob)
{
    uint32_t size = 0;
    uint32_t i;

    for (i = 0; i < blob->header->n_ops; i++) {
        size += blob->tensors[blob->ops[i].out].size;
    }
    return size;
}

static void stop_unless(int holds, const char *why)
{
    if (!holds) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
}

/* One tile. It may change its own output bytes and its scratch memory; what
 * it reads or writes beyond the memory is a sanitizer's find. */
static void run_tile(const rl_blob *blob, uint8_t *arena, uint32_t number)
{
    const rl_tile *tile = &blob->tiles[number];
    const rl_op *op = &blob->ops[tile->op];
    size_t size = (size_t)blob->header->arena_size
                + blob->header->scratch_size;
    size_t scratch = rl_engine_scratch(blob, op);
    size_t own = blob->tensors[op->out].arena_off
               + tile->first * op->unit_bytes;
    uint8_t *before = need_memory(size);

    stop_unless(rl_engine_need(blob, op, 0, tile->first)
                <= blob->tensors[op->in0].size, "an op needs too much");
    memset(arena + RL_GRAIN * tile->scratch, NOISE, scratch);
    memcpy(before, arena, size);
    rl_engine_tile(blob, arena, number);
    memcpy(before + own, arena + own, tile->count * op->unit_bytes);
    memset(arena + RL_GRAIN * tile->scratch, NOISE, scratch);
    stop_unless(memcmp(before, arena, size) == 0,
                "a tile wrote outside its own bytes");
    free(before);
}

static void run(const rl_blob *blob, const uint8_t *input, size_t size,
                int staged, int print)
{
    const rl_header *h = blob->header;
    const rl_tensor *in = &blob->tensors[h->input];
    size_t all = (size_t)h->arena_size + h->scratch_size;
    uint8_t *arena = need_memory(all);
    rl_stage stage = { { NULL, NULL }, 0 };
    uint32_t i;

    memset(arena, NOISE, all);
    memset(arena + in->arena_off, 0, in->size);
    memcpy(arena + in->arena_off, input, size < in->size ? size : in->size);
    for (i = 0; i < h->n_tiles; i++) {
        const rl_tile *tile = &blob->tiles[i];
        const rl_op *op = &blob->ops[tile->op];
        const rl_tensor *out = &blob->tensors[op->out];

        if (staged) {
            rl_stage_tile(&stage, blob, arena, tile);
        } else {
            run_tile(blob, arena, i);
        }
        if (print) {
            put(arena + out->arena_off + tile->first * op->unit_bytes,
                (size_t)tile->count * op->unit_bytes);
        }
    }
    free(arena);
}

static int one(int staged)
{
    uint32_t sizes[2];
    uint8_t *image, *input;
    rl_blob blob;
    rl_blob_fault fault;
    rl_status status;

    if (fread(sizes, 1, 8, stdin) != 8) {
        return 0;
    }
    image = need_memory(sizes[0]);
    input = need_memory(sizes[1]);
    if (fread(image, 1, sizes[0], stdin) != sizes[0]
        || fread(input, 1, sizes[1], stdin) != sizes[1]) {
        exit(2);
    }
    status = rl_blob_check(image, sizes[0], 1, &blob, &fault);
    if (status == RL_OK) {
        put_header(status, 0, outputs_size(&blob));
        run(&blob, input, sizes[1], 0, !staged);
        run(&blob, input, sizes[1], 1, staged);
    } else {
        put_header(status, fault.offset, 0);
    }
    free(image);
    free(input);
    return 1;
}

int main(int argc, char **argv)
{
    (void)argv;
    while (one(argc > 1)) {
    }
    return 0;
}
