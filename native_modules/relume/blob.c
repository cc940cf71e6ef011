/* relume: the blob checker (SPEC 2, SECURITY B1 to B3).
 *
 * Every function proves one thing and names the field that is wrong. Sums
 * and products of 32-bit fields are made in 64 bits or bounded by what has
 * been proven before, which the comment beside them says. Sizes: tensors and
 * scratch are below 2^24 bytes, so that kernels may count in 32 bits. */
#include "blob.h"

#include "blob_check.h"
#include "crc32.h"
#include "engine_fast.h"

/* Of each status the first number behind its faults. */
#define NO_END(name, text)
#define END(status) [-1 - RL_E_##status] = RL_FAULT_END_##status,

rl_status rl_blob_refuse(rl_blob_state *c, const void *field, rl_fault fault)
{
    static const uint8_t ends[] = { RL_FAULTS(NO_END, END) };
    uint32_t status = 0;

    c->fault->offset = offset_of(c, field);
    c->fault->number = (uint32_t)fault;
    while ((uint32_t)fault >= ends[status]) {
        status++;
    }
    return (rl_status)(-1 - (int)status);
}

static int32_t most(uint32_t high)
{
    uint32_t power = 1u << (high & 31u);

    if (high <= 128) {
        return (int32_t)high;
    }
    return (int32_t)(high < POWER(0) ? power - 1u : power);
}

rl_status rl_blob_check_ranges(rl_blob_state *c, const void *base,
                               const rl_blob_range *ranges, uint32_t n)
{
    for (; n; n--, ranges++) {
        const uint8_t *field = (const uint8_t *)base + ranges->at;
        int32_t value = *field;

        if (ranges->size == 4) {
            value = *(const int32_t *)(const void *)field;
        } else if (ranges->size == 2) {
            value = *(const uint16_t *)(const void *)field;
        }
        if (value < ranges->low || value > most(ranges->high)) {
            return rl_blob_refuse(c, field, (rl_fault)ranges->fault);
        }
    }
    return RL_OK;
}

/* ------------------------------------------------------------------ header */

static rl_status check_version(rl_blob_state *c)
{
    const rl_header *h = c->blob.header;

    REFUSE_UNLESS(h->magic[0] == 'R' && h->magic[1] == 'L'
                  && h->magic[2] == 'U' && h->magic[3] == 'M', h->magic,
                  MAGIC);
    REFUSE_UNLESS(h->major == RL_BLOB_MAJOR, h->major, MAJOR);
    REFUSE_UNLESS(h->minor <= RL_BLOB_MINOR, h->minor, MINOR);
    REFUSE_UNLESS(h->header_size == sizeof(rl_header), h->header_size,
                  HEADER_SIZE);
    return RL_OK;
}

static rl_status check_sizes(rl_blob_state *c, size_t size)
{
    const rl_header *h = c->blob.header;

    REFUSE_UNLESS(h->total_size <= size, h->total_size, TOTAL_SIZE);
    REFUSE_UNLESS(h->total_size % 16 == 0, h->total_size, TOTAL_SIZE_ALIGN);
    REFUSE_UNLESS(h->meta_size % 16 == 0, h->meta_size, META_SIZE_ALIGN);
    REFUSE_UNLESS(within(h->meta_size, 0, sizeof(rl_header), h->total_size),
                  h->meta_size, META_SIZE);
    return RL_OK;
}

static rl_status check_crc(rl_blob_state *c, int with_data)
{
    static const uint8_t zero[4] = { 0, 0, 0, 0 };
    const rl_header *h = c->blob.header;
    const uint8_t *meta = (const uint8_t *)h;
    uint32_t at = offsetof(rl_header, meta_crc);
    uint32_t crc = rl_crc32(0, meta, at);

    crc = rl_crc32(crc, zero, 4);
    crc = rl_crc32(crc, meta + at + 4, h->meta_size - at - 4u);
    REFUSE_UNLESS(crc == h->meta_crc, h->meta_crc, META_CRC);
    if (with_data) {
        crc = rl_crc32(0, c->blob.base + h->meta_size,
                       h->total_size - h->meta_size);
        REFUSE_UNLESS(crc == h->data_crc, h->data_crc, DATA_CRC);
    }
    return RL_OK;
}

static rl_status check_limits(rl_blob_state *c)
{
    static const rl_blob_range limits[] = {
        RANGE(NVM_KIND, rl_header, nvm_kind, 1, 4),
        RANGE(HEADER_FLAGS, rl_header, flags, 0, 0),
        RANGE(ARENA_SIZE, rl_header, arena_size, 0, POWER(24)),
        RANGE(SCRATCH_SIZE, rl_header, scratch_size, 0, POWER(24)),
        RANGE(N_TENSORS, rl_header, n_tensors, 1, POWER(12)),
        RANGE(N_OPS, rl_header, n_ops, 1, POWER(12)),
        RANGE(N_TILES, rl_header, n_tiles, 1, BITS(16)),
        RANGE(INPUT_TYPE, rl_header, input_type, RL_INT8, RL_FLOAT32),
        RANGE(OUTPUT_TYPE, rl_header, output_type, RL_INT8, RL_FLOAT32),
    };
    const rl_header *h = c->blob.header;

    CHECK_RANGES(c, h, limits);
    REFUSE_UNLESS(rl_fast_has_core(h->core), h->core, CORE);
    REFUSE_UNLESS(h->arena_size % 16 == 0, h->arena_size, ARENA_SIZE);
    REFUSE_UNLESS(h->scratch_size % 16 == 0, h->scratch_size, SCRATCH_SIZE);
    REFUSE_UNLESS(h->n_segments - 1u < h->n_tiles, h->n_segments, N_SEGMENTS);
    return RL_OK;
}

/* One section: aligned, behind the one before, inside the metadata. The
 * product is below 2^32: counts and entry sizes are bounded. */
static rl_status check_section(rl_blob_state *c, const uint32_t *offset,
                               uint32_t count, size_t entry, uint32_t *low)
{
    uint32_t size = count * (uint32_t)entry;

    REFUSE_UNLESS(*offset % 4 == 0, *offset, SECTION_ALIGN);
    REFUSE_UNLESS(within(*offset, size, *low, c->blob.header->meta_size),
                  *offset, SECTION);
    *low = *offset + size;
    return RL_OK;
}

static rl_status check_sections(rl_blob_state *c)
{
    const rl_header *h = c->blob.header;
    const uint8_t *base = (const uint8_t *)h;
    uint32_t low = sizeof(rl_header);

    CHECK(check_section(c, &h->off_tensors, h->n_tensors, sizeof(rl_tensor),
                        &low));
    CHECK(check_section(c, &h->off_ops, h->n_ops, sizeof(rl_op), &low));
    CHECK(check_section(c, &h->off_tiles, h->n_tiles, sizeof(rl_tile),
                        &low));
    CHECK(check_section(c, &h->off_segments, h->n_segments,
                        sizeof(rl_segment), &low));
    REFUSE_UNLESS(h->strings_size >= 1, h->strings_size, STRINGS_SIZE);
    CHECK(check_section(c, &h->off_strings, h->strings_size, 1, &low));
    REFUSE_UNLESS(base[low - 1u] == 0, h->strings_size, STRINGS_END);
    c->blob.tensors = (const rl_tensor *)(const void *)(base + h->off_tensors);
    c->blob.ops = (const rl_op *)(const void *)(base + h->off_ops);
    c->blob.tiles = (const rl_tile *)(const void *)(base + h->off_tiles);
    c->blob.segments =
        (const rl_segment *)(const void *)(base + h->off_segments);
    return RL_OK;
}

static rl_status check_string(rl_blob_state *c, const uint32_t *string)
{
    REFUSE_UNLESS(*string < c->blob.header->strings_size, *string, STRING);
    return RL_OK;
}

static rl_status check_header(rl_blob_state *c)
{
    const rl_header *h = c->blob.header;

    CHECK(check_limits(c));
    CHECK(check_sections(c));
    CHECK(check_string(c, &h->name));
    CHECK(check_string(c, &h->board));
    REFUSE_UNLESS(h->input < h->n_tensors, h->input, INPUT);
    REFUSE_UNLESS(h->output < h->n_tensors, h->output, OUTPUT);
    return RL_OK;
}

/* ----------------------------------------------------------------- tensors */

static rl_status check_tensor(rl_blob_state *c, const rl_tensor *t)
{
    static const rl_blob_range ranges[] = {
        RANGE(DTYPE, rl_tensor, dtype, 1, 1),
        RANGE(DTYPE, rl_tensor, reserved, 0, 0),
        RANGE(TENSOR_SIZE, rl_tensor, size, 1, BITS(24)),
        RANGE(ZERO_POINT, rl_tensor, zero_point, -128, 127),
    };
    const rl_header *h = c->blob.header;

    CHECK_RANGES(c, t, ranges);
    REFUSE_UNLESS((uint64_t)((uint32_t)t->h * t->w) * t->c == t->size, t->size,
                  TENSOR_SHAPE);
    REFUSE_UNLESS(t->arena_off % 4 == 0, t->arena_off, TENSOR_ALIGN);
    REFUSE_UNLESS(within(t->arena_off, t->size, 0, h->arena_size),
                  t->arena_off, TENSOR_ARENA);
    REFUSE_UNLESS(within(t->nvm_off, t->size, 0, h->nvm_size), t->nvm_off,
                  TENSOR_HOME);
    return check_string(c, &t->name);
}

static rl_status check_tensors(rl_blob_state *c)
{
    uint32_t i;

    for (i = 0; i < c->blob.header->n_tensors; i++) {
        CHECK(check_tensor(c, &c->blob.tensors[i]));
    }
    return RL_OK;
}

/* --------------------------------------------------------------------- ops */

static uint32_t unit_bytes(const rl_op *op, const rl_tensor *out)
{
    switch (op->kind) {
    case RL_FULLY_CONNECTED:
    case RL_ADD:
    case RL_MEAN:
    case RL_RESHAPE:
    case RL_MAP:
    case RL_MUL:
    case RL_GATHER:
    case RL_CONCATENATION:
        return 1;
    default:
        return out->c;
    }
}

static int may_have_two_inputs(const rl_op *op)
{
    return op->kind == RL_ADD || op->kind == RL_MUL
        || op->kind == RL_CONCATENATION;
}

static rl_status check_tensors_of(rl_blob_state *c, const rl_op *op)
{
    uint32_t n = c->blob.header->n_tensors;

    REFUSE_UNLESS(op->in0 < n, op->in0, IN0);
    REFUSE_UNLESS(op->out < n, op->out, OUT);
    REFUSE_UNLESS(op->in1 < n || op->in1 == RL_NONE, op->in1, IN1);
    REFUSE_UNLESS(op->in1 == RL_NONE ? op->kind != RL_CONCATENATION
                  : may_have_two_inputs(op), op->in1, IN1_KIND);
    REFUSE_UNLESS(op->out != op->in0 && op->out != op->in1, op->out,
                  OWN_INPUT);
    return RL_OK;
}

static rl_status check_op(rl_blob_state *c, const rl_op *op)
{
    static const rl_blob_range ranges[] = {
        RANGE(CLAMP, rl_op, act_min, -128, 127),
        RANGE(CLAMP, rl_op, act_max, -128, 127),
    };
    const rl_tensor *out;

    CHECK(check_tensors_of(c, op));
    out = &c->blob.tensors[op->out];
    c->op = op;
    c->in = &c->blob.tensors[op->in0];
    c->out = out;
    REFUSE_UNLESS(op->unit_bytes == unit_bytes(op, out), op->unit_bytes,
                  UNIT_BYTES);
    REFUSE_UNLESS((uint64_t)op->units * op->unit_bytes == out->size, op->units,
                  UNITS);
    CHECK_RANGES(c, op, ranges);
    REFUSE_UNLESS(op->act_min <= op->act_max, op->act_min, CLAMP);
    REFUSE_UNLESS(op->kind == RL_DEPTHWISE_CONV_2D || op->depth_mult == 0,
                  op->depth_mult, DEPTH_MULT);
    CHECK(check_string(c, &op->name));
    CHECK(rl_blob_check_run(c, op));
    return rl_blob_check_kind(c, op);
}

static rl_status check_ops(rl_blob_state *c)
{
    uint32_t i;

    for (i = 0; i < c->blob.header->n_ops; i++) {
        CHECK(check_op(c, &c->blob.ops[i]));
    }
    return RL_OK;
}

/* -------------------------------------------------------------------- door */

static rl_status check_all(rl_blob_state *c, size_t size, int with_data)
{
    if (((uintptr_t)c->blob.base & 3u) != 0) {
        return RL_E_ARG; /* not the blob's fault */
    }
    if (size < sizeof(rl_header)) {
        return rl_blob_refuse(c, c->blob.base + size, RL_FAULT_HEADER);
    }
    CHECK(check_version(c));
    CHECK(check_sizes(c, size));
    CHECK(check_crc(c, with_data));
    CHECK(check_header(c));
    CHECK(check_tensors(c));
    CHECK(check_ops(c));
    return rl_blob_check_plan(c);
}

rl_status rl_blob_check(const uint8_t *image, size_t size, int with_data,
                        rl_blob *blob, rl_blob_fault *fault)
{
    blob->header = (const rl_header *)(const void *)image;
    return rl_blob_check_with(image, size, with_data, blob, fault);
}

rl_status rl_blob_check_with(const uint8_t *image, size_t size, int with_data,
                             rl_blob *blob, rl_blob_fault *fault)
{
    rl_blob_state c;
    rl_status status;

    fault->offset = 0;
    fault->number = RL_FAULT_NONE;
    c.fault = fault;
    c.channels = 0;
    c.blob.base = image;
    c.blob.header = blob->header;
    status = check_all(&c, size, with_data);
    if (status == RL_OK) {
        *blob = c.blob;
    }
    return status;
}
