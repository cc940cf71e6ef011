/* Checks and runs blobs from stdin; meant to be built with sanitizers.
 *
 * in:  { u32 blob size, u32 input size, blob, input } until end of file
 * out: { i32 status, u32 fault offset, u32 n, n bytes } each
 *
 * The n bytes are the output tensors of all ops, each taken after its op's
 * last tile, in the order in which the ops finish. Every blob lies in an
 * allocation of exactly its size; so does the arena of each tile, with as much
 * scratch memory as its op asks for. A tile that changes bytes outside its
 * own stops the program. An input of another size than the
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

/* A tile may write its own output bytes and the scratch memory. */
static int same_outside(const uint8_t *before, const uint8_t *after,
                        size_t size, size_t at, size_t n)
{
    return memcmp(before, after, at) == 0
        && memcmp(before + at + n, after + at + n, size - at - n) == 0;
}

/* One tile in an arena with exactly the scratch memory that its op asks for;
 * whatever it reads or writes beyond is a sanitizer's find. */
static void run_tile(const rl_blob *blob, uint8_t *arena, uint32_t number)
{
    const rl_tile *tile = &blob->tiles[number];
    const rl_op *op = &blob->ops[tile->op];
    size_t size = blob->header->arena_size;
    size_t scratch = rl_engine_scratch(blob, op);
    uint8_t *exact = need_memory(size + scratch);

    stop_unless(scratch <= blob->header->scratch_size
                && rl_engine_need(blob, op, 0, tile->first)
                   <= blob->tensors[op->in0].size, "an op needs too much");
    memcpy(exact, arena, size);
    memset(exact + size, NOISE, scratch);
    rl_engine_tile(blob, exact, number);
    stop_unless(same_outside(arena, exact, size,
                             blob->tensors[op->out].arena_off
                             + tile->first * op->unit_bytes,
                             tile->count * op->unit_bytes),
                "a tile wrote outside its own bytes");
    memcpy(arena, exact, size);
    free(exact);
}

static void run(const rl_blob *blob, const uint8_t *input, size_t size,
                int staged, int print)
{
    const rl_header *h = blob->header;
    const rl_tensor *in = &blob->tensors[h->input];
    size_t whole = h->arena_size + (staged ? (size_t)h->scratch_size : 0);
    uint8_t *arena = need_memory(whole);
    rl_stage stage = { NULL, 0 };
    uint32_t i;

    memset(arena, NOISE, whole);
    memset(arena + in->arena_off, 0, in->size);
    memcpy(arena + in->arena_off, input, size < in->size ? size : in->size);
    for (i = 0; i < h->n_tiles; i++) {
        const rl_tile *tile = &blob->tiles[i];
        const rl_op *op = &blob->ops[tile->op];
        const rl_tensor *out = &blob->tensors[op->out];

        if (staged) {
            rl_stage_tile(&stage, blob, arena, i);
        } else {
            run_tile(blob, arena, i);
        }
        if (print && tile->first + tile->count == op->units) {
            put(arena + out->arena_off, out->size);
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
