/* relume fuzz target: bytes on the wire to the frame decoder and to the
 * requests that are answered before the interpreter, over power cuts
 * (SECURITY F1, F2, S2).
 *
 * input: u8 how (0 to 2: NVM; 4: raw bytes only), u8 model, u8 supply, then
 * pieces of a conversation, each a byte and its arguments. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "early.h"
#include "faultnvm.h"
#include "models.h"
#include "target.h"

#define RAW 4u
#define MOST_STREAM 8192u
#define MOST_CHARGES 24u
#define SECTORS 8u
#define CHUNK 240u
#define INPUT 0x20u
#define OUTPUT 0x21u
#define TAKE 0x22u
#define EXIT 0x7Fu

enum { READY, REPLIES, COMMITTED, OUTPUTS, CUTS };
target_count target_counts[] = {
    { "ready", 0 }, { "replies", 0 }, { "committed", 0 }, { "outputs", 0 },
    { "cuts", 0 }, { NULL, 0 }
};

typedef struct {
    const uint8_t *data; /* what is left of the fuzzer's input */
    size_t   n;
    uint8_t  stream[MOST_STREAM]; /* bytes to the board in this charge */
    uint32_t at, end;
    uint32_t pauses[16], n_pauses; /* places before which the host waits */
    uint32_t passed;               /* until the board has nothing to do */
    uint32_t flip;   /* 1 + bit of the next frame that comes wrong */
    uint32_t cut;    /* NVM operations to the power cut; 0: none */
    uint32_t supply, charges;
    int      pure;   /* inputs are only those whose bytes are their id */
    fault    device;
    rl_nvm   nvm;
    rl_early_model   model; /* as it is found at each turn-on */
    rl_frame_decoder watcher; /* reads what the board sends */
    jmp_buf  off;
} bench;

static uint8_t take(bench *b)
{
    if (b->n == 0) {
        return 0;
    }
    b->n--;
    return *b->data++;
}

static uint32_t get(const uint8_t *from)
{
    uint32_t value;
    memcpy(&value, from, 4);
    return value;
}

/* ------------------------------------------------------ to the board -- */

static void put_raw(bench *b, const uint8_t *data, uint32_t n)
{
    uint32_t room = MOST_STREAM - b->end;
    n = n < room ? n : room;
    memcpy(b->stream + b->end, data, n);
    b->end += n;
}

static void put_frame(bench *b, uint8_t type, uint16_t seq,
                      const uint8_t *body, uint32_t n)
{
    uint8_t wire[RL_FRAME_WIRE];
    size_t size = rl_frame_encode(type, seq, body, n, wire);
    if (b->flip != 0) {
        uint32_t bit = (b->flip - 1u) % (8u * (uint32_t)size);
        wire[bit / 8u] ^= (uint8_t)(1u << bit % 8u);
        b->flip = 0;
    }
    put_raw(b, wire, (uint32_t)size);
}

/* The input of inference `id`: all its bytes are the id's lowest. */
static void put_input(bench *b, uint8_t id)
{
    const rl_blob *blob = &b->model.blob;
    uint32_t total = blob->tensors[blob->header->input].size, at = 0;
    uint8_t body[12 + CHUNK];
    memset(body + 12, id, CHUNK);
    if (id >= 128) { /* more than is wanted */
        uint32_t head[3] = { id, total, at };
        memcpy(body, head, 12);
        put_frame(b, INPUT, id, body, 12u + CHUNK);
        b->pure = 0;
    }
    while (at < total) {
        uint32_t head[3] = { id, total, at };
        uint32_t n = total - at < CHUNK ? total - at : CHUNK;
        memcpy(body, head, 12);
        put_frame(b, INPUT, (uint16_t)(at + id), body, 12u + n);
        at += n;
    }
}

static void put_output(bench *b, uint8_t id, uint8_t at)
{
    uint32_t body[2] = { id, at };
    put_frame(b, OUTPUT, (uint16_t)(id | at << 8), (const uint8_t *)body, 8);
}

static void put_take(bench *b, uint8_t id)
{
    uint32_t body = id;
    put_frame(b, TAKE, id, (const uint8_t *)&body, 4);
}

static void put_any(bench *b)
{
    uint8_t body[RL_FRAME_BODY];
    uint8_t type = take(b);
    uint32_t n = take(b);
    for (uint32_t i = 0; i < n; i++) {
        body[i] = take(b);
    }
    b->pure = b->pure && type != INPUT;
    put_frame(b, type, (uint16_t)(n * 257u), body, n);
}

static void put_noise(bench *b)
{
    uint32_t n = take(b);
    for (; n > 0 && b->n > 0; n--) {
        uint8_t byte = take(b);
        put_raw(b, &byte, 1);
    }
    b->pure = 0;
}

static void put_short(bench *b, uint8_t what)
{
    if ((what & 2) == 0) { /* HELLO, STATUS */
        put_frame(b, (uint8_t)(1u + (what & 1u)), 9, NULL, 0);
    } else if (b->n_pauses < sizeof b->pauses / 4u) {
        b->pauses[b->n_pauses++] = b->end;
    }
}

/* One piece; 0: the charge ends here. */
static int piece(bench *b)
{
    uint8_t id;
    switch (take(b) % 8u) {
    case 0: put_noise(b); return 1;
    case 1: put_any(b); return 1;
    case 2: put_short(b, take(b)); return 1;
    case 3: put_input(b, take(b)); return 1;
    case 4: id = take(b); put_output(b, id, take(b)); return 1;
    case 5: put_take(b, take(b)); return 1;
    case 6: b->flip = 1u + (uint32_t)take(b) * 9u; return 1;
    default: b->cut = take(b) % 64u; return 0;
    }
}

/* ---------------------------------------------------- from the board -- */

/* Bytes of the output of inference `id` from `at` on. */
static void check_output(const bench *b, uint8_t id, const uint8_t *data,
                         uint32_t at, uint32_t n)
{
    const rl_blob *blob = &b->model.blob;
    const rl_header *h = blob->header;
    const rl_tensor *in = &blob->tensors[h->input];
    const rl_tensor *out = &blob->tensors[h->output];
    uint8_t *arena = target_exact(NULL, h->arena_size + h->scratch_size);
    memset(arena + in->arena_off, id, in->size);
    for (uint32_t i = 0; i < h->n_tiles; i++) {
        rl_engine_tile(blob, arena, i);
    }
    PROMISE(at + n <= out->size
            && memcmp(arena + out->arena_off + at, data, n) == 0,
            "an output is not that of its input");
    target_counts[OUTPUTS].n++;
    free(arena);
}

/* A request's seq comes back in its reply: for OUTPUT it is id and offset. */
static void watch(bench *b, const uint8_t *payload, uint32_t n)
{
    int output = payload[0] == (OUTPUT | 0x80u) && payload[4] == 0;
    target_counts[REPLIES].n++;
    target_counts[COMMITTED].n += payload[0] == 0x40 && payload[4] == 3;
    if (payload[0] == (INPUT | 0x80u) && payload[4] == 0) {
        const rl_blob *blob = &b->model.blob;
        PROMISE(n == 9u && get(payload + 5)
                <= blob->tensors[blob->header->input].size,
                "more input was taken than there is");
    }
    if (output && b->pure && n > 9u) {
        check_output(b, payload[2], payload + 9, payload[3], n - 9u);
    }
}

static void sent(void *ctx, const uint8_t *wire, uint32_t n, int brief)
{
    bench *b = ctx;
    uint32_t frames = 0;
    (void)brief;
    PROMISE(n <= RL_FRAME_WIRE, "a frame that is too long was sent");
    for (uint32_t i = 0; i < n; i++) {
        if (rl_frame_feed(&b->watcher, wire[i]) == RL_FRAME_READY) {
            frames++;
            watch(b, b->watcher.payload, b->watcher.fill - 4u);
        }
    }
    PROMISE(frames == 1, "something that is no frame was sent");
}

/* --------------------------------------------------------- the board -- */

static int receive(void *ctx, uint8_t *byte)
{
    bench *b = ctx;
    if (b->at == b->end || (b->passed < b->n_pauses
                            && b->at == b->pauses[b->passed])) {
        return 0;
    }
    *byte = b->stream[b->at++];
    return 1;
}

/* The board has nothing to do; at the end the host wants the interpreter.
 * While an inference runs it sleeps for other times, and nobody says a thing. */
static void rest(void *ctx, uint32_t ms)
{
    bench *b = ctx;
    if (ms != RL_EARLY_LOOK_MS) {
        return;
    }
    if (b->passed < b->n_pauses) {
        b->passed++;
    } else if (b->at == b->end) {
        b->at = b->end = 0;
        b->flip = 0;
        put_raw(b, (const uint8_t *)"\0", 1);
        put_frame(b, EXIT, 1, NULL, 0);
    }
}

static rl_status power(void *ctx, uint32_t kind, rl_nvm **nvm)
{
    bench *b = ctx;
    PROMISE(kind == b->device.kind, "another NVM is asked for");
    *nvm = &b->nvm;
    return fault_power(&b->device, &b->nvm);
}

static uint64_t cycles(void *ctx)
{
    (void)ctx;
    return 0;
}

static uint32_t micros(void *ctx)
{
    (void)ctx;
    return 0;
}

static uint32_t millivolts(void *ctx)
{
    return ((bench *)ctx)->supply;
}

static void strike(fault *device, const fault_op *op)
{
    bench *b = device->ctx;
    if (b->cut == 0 || --b->cut != 0) {
        return;
    }
    uint32_t variant = (op->at / 3u + b->at) % fault_variants(op, 1);
    fault_cut(device, device, op, variant, 1, b->at);
    target_counts[CUTS].n++;
    longjmp(b->off, 1);
}

/* Just what the model needs, so that a sanitizer sees what lies behind. */
static uint32_t room_of(const rl_blob *blob)
{
    return (((uint32_t)sizeof(rl_early_model) + 7u) & ~7u)
         + ((rl_session_work(blob) + 7u) & ~7u) + blob->header->arena_size
         + blob->header->scratch_size;
}

/* From one turn-on to the next. */
static void charge(bench *b)
{
    rl_early_board board = {
        .ctx = b, .room = room_of(&b->model.blob), .blobs_size = 1u << 20, .board = "BENCH",
        .version = "0", .nvm = power, .cycles = cycles, .micros = micros,
        .millivolts = millivolts, .receive = receive, .send = sent,
        .rest = rest, .rest_cycles = 8788, .start_us = 20000
    };
    b->at = b->end = b->cut = b->flip = b->n_pauses = b->passed = 0;
    while (b->n > 0 && piece(b)) {
    }
    uint8_t *memory = target_exact(NULL, board.room);
    rl_early_models models = { (rl_early_model *)(void *)memory, 1, 0, 0 };
    board.memory = memory;
    models.model[0] = b->model;
    rl_frame_reset(&b->watcher);
    if (setjmp(b->off) == 0) {
        (void)rl_early(&board, &models);
    }
    PROMISE(b->device.violation == NULL, b->device.violation);
    free(memory);
}

/* ------------------------------------------------------------- target -- */

static void feed(const uint8_t *data, size_t n)
{
    rl_frame_decoder *decoder = target_exact(NULL, sizeof *decoder);
    rl_frame_reset(decoder);
    for (size_t i = 0; i < n; i++) {
        rl_frame_event event = rl_frame_feed(decoder, data[i]);
        PROMISE(decoder->fill <= RL_FRAME_PAYLOAD,
                "the decoder left its payload");
        if (event == RL_FRAME_READY) {
            uint32_t body = decoder->fill - 4u;
            target_counts[READY].n++;
            PROMISE(decoder->fill >= 8 && data[i] == 0
                    && get(decoder->payload + body)
                       == rl_crc32(0, decoder->payload, body),
                    "a frame with a wrong CRC came out");
        }
    }
    free(decoder);
}

static void converse(bench *b, uint8_t how, uint8_t model)
{
    uint8_t kind = (uint8_t)(RL_NVM_FRAM + (how & 3u) % 3u);
    model_open(kind, model, &b->model.blob);
    b->model.slot.name[0] = 'm';
    b->model.slot.meta_crc = b->model.blob.header->meta_crc;
    b->model.image = b->model.blob.base;
    b->model.checked = 1;
    b->supply = 1u + 20u * take(b);
    b->pure = 1;
    fault_make(&b->device, kind, kind == RL_NVM_FLASH
               ? SECTORS * RL_FLASH_SECTOR : 8192u, 0xFF);
    b->model.slot.store_size = b->device.size;
    b->device.ctx = b;
    b->device.strike = strike;
    while (b->n > 0 && b->charges++ < MOST_CHARGES) {
        charge(b);
    }
    fault_free(&b->device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static bench b;
    if (n < 3) {
        return 0;
    }
    feed(data, n);
    if ((data[0] & RAW) == 0) {
        memset(&b, 0, sizeof b);
        b.data = data + 2;
        b.n = n - 2;
        converse(&b, data[0], data[1]);
    }
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most,
                               unsigned seed)
{
    target_dice(seed);
    return LLVMFuzzerMutate(data, n, most);
}

/* Conversations that go well, with a cut here and there. */
size_t target_seed(uint32_t number, uint8_t *to, size_t most)
{
    static const uint8_t talk[] = {
        2, 0, 3, 17, 2, 2, 4, 17, 0, 5, 17, 2, 1, 3, 18, 7, 9, 2, 0, 2, 2,
        4, 18, 0, 7, 0, 3, 19, 7, 30, 2, 2, 4, 19, 0, 6, 3, 3, 20, 3, 20,
        2, 2, 4, 20, 2, 5, 20, 3, 200, 2, 2, 1, 0x10, 3, 1, 2, 3, 0, 4, 65, 0, 3, 9
    };
    if (most < sizeof talk + 3u) {
        return 0;
    }
    to[0] = (uint8_t)(number % 3u);
    to[1] = (uint8_t)(number / 3u);
    to[2] = (uint8_t)(number % 7u ? 250 - number : 40);
    memcpy(to + 3, talk, sizeof talk);
    for (uint32_t i = 0; number > 12u && i < sizeof talk; i++) {
        if (talk[i] == 7) {
            to[4 + i] = (uint8_t)(number * (i + 1u)); /* other cuts */
        }
    }
    return 3u + sizeof talk;
}
