/* relume tests: fields of a blob that a fuzzer changes. */
#include "fields.h"

#include <stdlib.h>
#include <string.h>

#include "blob.h"
#include "crc32.h"
#include "target.h"

#define MOST_ENTRIES 64u /* that are mended */
#define MOST_SIDE 4096u

typedef struct {
    uint8_t *image;
    size_t   n;
} blob_image;

typedef struct {
    uint16_t pointer, count, entry; /* fields of the header; bytes */
} section;

#define AT(field) offsetof(rl_header, field)
static const section sections[] = {
    { AT(off_tensors), AT(n_tensors), sizeof(rl_tensor) },
    { AT(off_ops), AT(n_ops), sizeof(rl_op) },
    { AT(off_tiles), AT(n_tiles), sizeof(rl_tile) },
    { AT(off_segments), AT(n_segments), sizeof(rl_segment) },
};
enum { TENSORS, OPS, TILES };

static uint32_t word(const blob_image *b, size_t at)
{
    uint32_t value;
    memcpy(&value, b->image + at, 4);
    return value;
}

static uint32_t entries(const blob_image *b, uint32_t which)
{
    uint32_t n = word(b, sections[which].count);
    return which == TENSORS || which == OPS ? n & 0xFFFFu : n;
}

/* Entry i of a section, NULL if it lies outside the image. */
static uint8_t *entry(const blob_image *b, uint32_t which, uint32_t i)
{
    const section *s = &sections[which];
    uint64_t at = word(b, s->pointer) + (uint64_t)i * s->entry;
    return at + s->entry <= b->n ? b->image + at : NULL;
}

static int entry_get(const blob_image *b, uint32_t which, uint32_t i,
                     void *to)
{
    const uint8_t *from = entry(b, which, i);
    if (i >= entries(b, which) || from == NULL) {
        return 0;
    }
    memcpy(to, from, sections[which].entry);
    return 1;
}

static void entry_put(const blob_image *b, uint32_t which, uint32_t i,
                      const void *from)
{
    memcpy(entry(b, which, i), from, sections[which].entry);
}

void fields_seal(uint8_t *image, size_t n)
{
    rl_header h;
    if (n < sizeof h) {
        return;
    }
    memcpy(&h, image, sizeof h);
    if (h.meta_size < sizeof h || h.meta_size > h.total_size
        || h.total_size > n) {
        return;
    }
    h.data_crc = rl_crc32(0, image + h.meta_size, h.total_size - h.meta_size);
    h.meta_crc = 0;
    memcpy(image, &h, sizeof h);
    h.meta_crc = rl_crc32(0, image, h.meta_size);
    memcpy(image, &h, sizeof h);
}

int fields_sealed(const uint8_t *image, size_t n, int with_data)
{
    rl_header h, right;
    uint8_t *copy = target_exact(image, n);
    fields_seal(copy, n);
    memcpy(&h, image, sizeof h);
    memcpy(&right, copy, sizeof right);
    if (!with_data) { /* the sum over the metadata covers the other sum */
        right.data_crc = h.data_crc;
        memcpy(copy, &right, sizeof right);
        right.meta_crc = 0;
        memcpy(copy, &right, sizeof right);
        right.meta_crc = rl_crc32(0, copy, h.meta_size);
    }
    free(copy);
    return h.meta_crc == right.meta_crc && h.data_crc == right.data_crc;
}

/* -------------------------------------------------------------- mutate -- */

static void change(uint8_t *at)
{
    uint32_t width = 1u << target_roll(3), old = 0;
    memcpy(&old, at, width);
    old = target_near(old);
    memcpy(at, &old, width);
}

/* A field of the entry: its own change, or another entry's value. */
static void change_entry(const blob_image *b, uint32_t which)
{
    uint32_t n = entries(b, which), size = sections[which].entry;
    uint8_t *at = n ? entry(b, which, target_roll(n)) : NULL;
    uint8_t *other = n ? entry(b, which, target_roll(n)) : NULL;
    uint32_t place = 4u * target_roll(size / 4u);
    if (at == NULL || other == NULL
        || at + place + 6 > b->image + b->n) {
        return;
    }
    if (target_roll(4) == 0) {
        memmove(at + place, other + place, 4);
    } else {
        change(at + place + (target_roll(2) ? 0u : 2u * target_roll(2)));
    }
}

/* Window or operand of an op: small numbers. */
static void change_window(const blob_image *b)
{
    rl_op op;
    uint32_t n = entries(b, OPS), i = target_roll(n + 1u);
    uint16_t field[9];
    if (!entry_get(b, OPS, i, &op)) {
        return;
    }
    memcpy(field, &op.kh, sizeof field); /* to depth_mult */
    field[target_roll(9)] = (uint16_t)target_roll(12);
    memcpy(&op.kh, field, sizeof field);
    entry_put(b, OPS, i, &op);
}

/* Of the constants, anywhere. */
static void change_constants(const blob_image *b)
{
    uint32_t meta = word(b, AT(meta_size));
    if (meta < b->n && b->n - meta > 8u) {
        change(b->image + meta + target_roll((uint32_t)b->n - meta - 4u));
    }
}

/* Of one of an op's arrays, or of its end. */
static void change_array(const blob_image *b)
{
    rl_op op;
    uint32_t n = entries(b, OPS), arrays[4];
    if (n == 0 || !entry_get(b, OPS, target_roll(n), &op)) {
        return;
    }
    arrays[0] = op.off_w;
    arrays[1] = op.off_bias;
    arrays[2] = op.off_mult;
    arrays[3] = op.off_shift;
    uint64_t at = arrays[target_roll(4)];
    at += target_roll(2) ? target_roll(32) : target_roll(512);
    if (at >= sizeof(rl_header) && at + 4u <= b->n) {
        change(b->image + at);
    }
}

void fields_mutate(uint8_t *image, size_t n)
{
    blob_image b = { image, n };
    if (n < sizeof(rl_header) + 8u) {
        return;
    }
    switch (target_roll(13)) {
    case 0: change(image + 24u + 2u * target_roll(46)); break;
    case 1: image[AT(core)] = (uint8_t)target_roll(3); break;
    case 2: change_entry(&b, TENSORS); break;
    case 3: change_entry(&b, TILES); break;
    case 4: change_entry(&b, 3); break;
    case 5: change_constants(&b); break;
    case 6: case 7: change_array(&b); break;
    case 8: change_window(&b); break;
    default: change_entry(&b, OPS); break;
    }
}

/* ---------------------------------------------------------------- mend -- */

static void mend_tensors(const blob_image *b)
{
    uint32_t end = 0;
    int place = target_roll(3) == 0;
    rl_tensor t;
    for (uint32_t i = 0; i < MOST_ENTRIES && entry_get(b, TENSORS, i, &t);
         i++) {
        t.size = (uint32_t)t.h % MOST_SIDE * (t.w % MOST_SIDE)
               * (t.c % MOST_SIDE);
        if (place && t.size < 1u << 20) {
            t.arena_off = end;
            end += (t.size + 15u) & ~15u;
        }
        entry_put(b, TENSORS, i, &t);
    }
    if (place) {
        memcpy(b->image + AT(arena_size), &end, 4);
        end = end > 1u << 16 ? end : 1u << 16;
        memcpy(b->image + AT(nvm_size), &end, 4);
    }
}

static uint32_t weights(const rl_op *op, const rl_tensor *in,
                        const rl_tensor *out)
{
    uint32_t taps = (uint32_t)op->kh * op->kw;
    uint32_t rows = (uint32_t)out->h * out->w;
    switch (op->kind) {
    case RL_CONV_2D: return taps * in->c * out->c;
    case RL_DEPTHWISE_CONV_2D: return taps * out->c;
    case RL_FULLY_CONNECTED:
        return rows != 0 ? in->size / rows * out->c : 0;
    case RL_ADD: case RL_MUL:
        return op->in1 == RL_NONE ? taps * op->sh : op->w_size;
    default: return op->w_size;
    }
}

static void mend_op(const blob_image *b, uint32_t i, rl_op *op)
{
    rl_tensor in, out;
    if (!entry_get(b, TENSORS, op->in0, &in)
        || !entry_get(b, TENSORS, op->out, &out)) {
        return;
    }
    switch (op->kind) {
    case RL_CONV_2D: case RL_DEPTHWISE_CONV_2D: case RL_AVERAGE_POOL_2D:
    case RL_MAX_POOL_2D: case RL_SOFTMAX: case RL_PAD:
        op->unit_bytes = out.c;
        break;
    default: op->unit_bytes = 1; break;
    }
    op->units = op->unit_bytes ? out.size / op->unit_bytes : 0;
    if (op->kernel == 0) {
        op->w_size = weights(op, &in, &out);
    }
    entry_put(b, OPS, i, op);
}

/* The tiles of an op: one unit each, the last one the rest. */
static void mend_tiles(const blob_image *b, uint32_t number, uint32_t units)
{
    rl_tile tile;
    uint32_t left = 0, first = 0;
    for (uint32_t i = 0; i < 4u * MOST_ENTRIES && entry_get(b, TILES, i, &tile);
         i++) {
        left += tile.op == number;
    }
    for (uint32_t i = 0; left > 0 && entry_get(b, TILES, i, &tile); i++) {
        if (tile.op == number) {
            tile.first = first;
            tile.count = --left == 0 ? units - first : 1u;
            first += tile.count;
            entry_put(b, TILES, i, &tile);
        }
    }
}

void fields_mend(uint8_t *image, size_t n)
{
    blob_image b = { image, n };
    rl_op op;
    if (n < sizeof(rl_header)) {
        return;
    }
    mend_tensors(&b);
    for (uint32_t i = 0; i < MOST_ENTRIES && entry_get(&b, OPS, i, &op); i++) {
        mend_op(&b, i, &op);
        mend_tiles(&b, i, op.units);
    }
}
