/* relume fuzz target: requests to a board before the interpreter, in a state
 * that is the same each time (SECURITY F1, F2, B1). Conversations over power
 * cuts are the target link's.
 *
 * input: u8 how (0 to 2: NVM; bits 2 to 4: state), u8 models, then requests:
 * u8 type, u8 n, body[n]; type 0xFF: the body is on the wire as it is. */
#include <stdlib.h>
#include <string.h>

#include "early.h"
#include "faultnvm.h"
#include "models.h"
#include "target.h"

#define HELLO 0x01u
#define STATUS 0x02u
#define INPUT 0x20u
#define OUTPUT 0x21u
#define TAKE 0x22u
#define NOISE 0xFFu
#define ID 7u     /* of the inference that is there */
#define PART 2048u /* of the NVM, each model's; flash: three sectors */
#define SECTORS 3u
#define OWN_KINDS 3u
#define MOST_OUTPUT 4096u

enum { EMPTY, RUNNING, DONE, WAITING, CLOSED, SPOILT, STATES };
enum { REPLIES, REFUSED, BEGUN, OUTPUTS, LEFT };
target_count target_counts[] = {
    { "replies", 0 }, { "refused", 0 }, { "begun", 0 }, { "outputs", 0 },
    { "left", 0 }, { NULL, 0 }
};

/* A board in one state, and what it is put back to. */
typedef struct {
    rl_early_models models;
    rl_early_board  board;
    rl_early_state  now, was;
    fault    device, device_was;
    rl_nvm   nvm;
    uint8_t *memory, *memory_was, *bytes_was;
    uint8_t *output[2];
    uint32_t output_n[2];
} stand;

typedef struct {
    const uint8_t *wire;
    uint32_t at, end;
    const stand *of;
    uint8_t  type; /* of the request on its way */
    uint32_t offset;
    rl_frame_decoder watcher;
} line;

static line talk;

static uint32_t get(const uint8_t *from)
{
    uint32_t value;
    memcpy(&value, from, 4);
    return value;
}

/* --------------------------------------------------------------- board -- */

static int receive(void *ctx, uint8_t *byte)
{
    (void)ctx;
    if (talk.at == talk.end) {
        return 0;
    }
    *byte = talk.wire[talk.at++];
    return 1;
}

/* Whatever is asked, an output is one that was computed. */
static void check_output(const uint8_t *body, uint32_t n)
{
    int right = 0;
    for (uint32_t i = 0; i < 2; i++) {
        const stand *s = talk.of;
        right |= s->output[i] != NULL && get(body) == s->output_n[i]
              && talk.offset <= s->output_n[i]
              && n - 4u <= s->output_n[i] - talk.offset
              && memcmp(body + 4, s->output[i] + talk.offset, n - 4u) == 0;
    }
    PROMISE(right || n == 4u, "an output that was not computed");
    target_counts[OUTPUTS].n++;
}

static void watch(const uint8_t *payload, uint32_t n)
{
    if (payload[0] == 0x40) {
        target_counts[BEGUN].n += payload[4] == RL_EVENT_COMMITTED;
        return;
    }
    PROMISE(payload[0] == (talk.type | 0x80u) && n > 4u,
            "a reply to another request");
    target_counts[REPLIES].n++;
    if (payload[4] != 0) {
        target_counts[REFUSED].n++;
        PROMISE(payload[4] <= 18 && n > 5u, "a refusal without a reason");
    } else if (talk.type == OUTPUT) {
        check_output(payload + 5, n - 5u);
    } else if (talk.type == INPUT) {
        PROMISE(n == 9u, "an odd reply to an input");
    }
}

static void sent(void *ctx, const uint8_t *wire, uint32_t n, int brief)
{
    uint32_t frames = 0;
    (void)ctx;
    (void)brief;
    PROMISE(n <= RL_FRAME_WIRE, "a frame that is too long was sent");
    for (uint32_t i = 0; i < n; i++) {
        if (rl_frame_feed(&talk.watcher, wire[i]) == RL_FRAME_READY) {
            frames++;
            watch(talk.watcher.payload, talk.watcher.fill - 4u);
        }
    }
    PROMISE(frames == 1, "something that is no frame was sent");
}

static rl_status power(void *ctx, uint32_t kind, rl_nvm **nvm)
{
    stand *s = ctx;
    PROMISE(kind == s->device.kind, "another NVM is asked for");
    *nvm = &s->nvm;
    return RL_OK;
}

static uint64_t cycles(void *ctx)
{
    (void)ctx;
    return 0;
}

static uint32_t number(void *ctx)
{
    (void)ctx;
    return 3000;
}

static void rest(void *ctx, uint32_t ms)
{
    (void)ctx;
    (void)ms;
}

/* -------------------------------------------------------------- stands -- */

static uint32_t needs(const rl_blob *blob)
{
    return ((rl_session_work(blob) + 7u) & ~7u) + blob->header->arena_size
         + blob->header->scratch_size + 8u;
}

static void must(rl_status status)
{
    PROMISE(status >= 0, "a state of the tests is not reached");
}

static void begin(stand *s, rl_early_model *m)
{
    const rl_tensor *in = &m->blob.tensors[m->blob.header->input];
    uint8_t *input = target_exact(NULL, in->size);
    rl_status status;
    memset(input, ID, in->size);
    must(rl_early_open(&s->now, m));
    do {
        status = rl_session_begin(&m->session, ID, input, in->size);
    } while (status == RL_ERASED);
    must(status);
    free(input);
}

static void finish(stand *s, uint32_t which)
{
    rl_early_model *m = &s->models.model[which];
    const uint8_t *data;
    while (m->session.state == RL_STATE_RUNNING) {
        must(rl_session_step(&m->session));
    }
    must(rl_session_output(&m->session, &data, &s->output_n[which]));
    s->output[which] = target_exact(data, s->output_n[which]);
}

static void close_it(stand *s, rl_early_model *m)
{
    m->open = 0;
    s->now.used = (2u * (uint32_t)sizeof *m + 7u) & ~7u;
}

static void reach(stand *s, uint32_t state)
{
    rl_early_model *first = &s->models.model[0];
    if (state == WAITING) {
        begin(s, &s->models.model[1]);
        close_it(s, &s->models.model[1]);
    }
    must(rl_early_open(&s->now, first));
    if (state != EMPTY) {
        begin(s, first);
    }
    if (state == DONE || state == CLOSED || state == SPOILT) {
        finish(s, 0);
    }
    if (state == CLOSED || state == SPOILT) {
        close_it(s, first);
    }
    if (state == SPOILT) { /* of the output at least */
        uint32_t from = s->device.kind == RL_NVM_FLASH ? 0 : RL_FRAM_HOME;
        for (uint32_t i = from; i < s->device.size; i++) {
            s->device.bytes[i] ^= s->device.kind == RL_NVM_FLASH
                                  && i % RL_FLASH_PAGE == 3u ? 0x10 : 0;
            s->device.bytes[i] ^= s->device.kind != RL_NVM_FLASH
                                  && i % PART >= RL_FRAM_HOME;
        }
    }
}

static void build(stand *s, uint8_t kind, uint8_t models, uint32_t state)
{
    rl_blob blob[2];
    uint32_t part = kind == RL_NVM_FLASH ? SECTORS * RL_FLASH_SECTOR : PART;
    uint32_t room = (2u * (uint32_t)sizeof(rl_early_model) + 7u) & ~7u;
    for (uint32_t i = 0; i < 2; i++) {
        model_open(kind, models + i, &blob[i]);
        room += needs(&blob[i]);
    }
    s->memory = target_exact(NULL, room);
    s->models = (rl_early_models) { (rl_early_model *)(void *)s->memory, 2, 0, 0 };
    for (uint32_t i = 0; i < 2; i++) {
        rl_early_model *m = &s->models.model[i];
        memset(m, 0, sizeof *m);
        m->blob = blob[i];
        m->slot.name[0] = (char)('a' + (int)i);
        m->slot.meta_crc = blob[i].header->meta_crc;
        m->slot.store_at = i * part;
        m->slot.store_size = part;
        m->image = blob[i].base;
        m->checked = 1;
    }
    s->board = (rl_early_board) {
        .ctx = s, .memory = s->memory, .room = room, .blobs_size = 1u << 20,
        .board = "BENCH", .version = "0", .nvm = power, .cycles = cycles,
        .micros = number, .millivolts = number, .receive = receive,
        .send = sent, .rest = rest, .rest_cycles = 8788, .start_us = 1u << 30
    };
    fault_make(&s->device, kind, 2u * part, kind == RL_NVM_FLASH ? 0xFF : 0);
    must(fault_power(&s->device, &s->nvm));
    s->now = (rl_early_state) { .board = &s->board, .models = &s->models };
    must(rl_early_mount(&s->now));
    rl_frame_reset(&s->now.decoder);
    s->now.now = s->models.model;
    reach(s, state);
    PROMISE(s->device.violation == NULL, s->device.violation);
    s->was = s->now;
    s->device_was = s->device;
    s->memory_was = target_exact(s->memory, room);
    s->bytes_was = target_exact(s->device.bytes, s->device.size);
}

static stand *stand_of(uint8_t how, uint8_t models)
{
    static stand *all[OWN_KINDS][STATES][MODELS];
    uint32_t kind = (how & 3u) % OWN_KINDS, state = (how >> 2) % STATES;
    stand **s = &all[kind][state][models % MODELS];
    if (*s == NULL) {
        *s = calloc(1, sizeof **s);
        PROMISE(*s != NULL, "no memory");
        build(*s, (uint8_t)(RL_NVM_FRAM + kind), models % MODELS, state);
    }
    return *s;
}

static void put_back(stand *s)
{
    if (s->device.ops != s->device_was.ops) {
        memcpy(s->device.bytes, s->bytes_was, s->device.size);
    }
    s->device = s->device_was;
    s->now = s->was;
    memcpy(s->memory, s->memory_was, s->board.room);
}

/* -------------------------------------------------------------- target -- */

static void ask(stand *s, uint8_t type, const uint8_t *body, uint32_t n)
{
    uint8_t wire[RL_FRAME_WIRE];
    uint8_t opening = 0;
    talk.wire = type == NOISE ? body : wire;
    talk.end = type == NOISE ? n
             : (uint32_t)rl_frame_encode(type, 1, body, n, wire);
    talk.at = 0;
    talk.of = s;
    talk.type = type;
    talk.offset = n >= 8u ? get(body + 4) : 0;
    if (type != NOISE && s->now.decoder.state != RL_FRAME_OUTSIDE) {
        (void)rl_frame_feed(&s->now.decoder, opening); /* ends the noise */
    }
    rl_early_listen(&s->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 4) {
        return 0;
    }
    stand *s = stand_of(data[0], data[1]);
    rl_frame_reset(&talk.watcher);
    for (size_t at = 2; at + 2 <= n && !s->now.leave;) {
        uint32_t size = data[at + 1];
        size = size < n - at - 2 ? size : (uint32_t)(n - at - 2);
        ask(s, data[at], data + at + 2, size);
        at += 2u + size;
    }
    PROMISE(s->device.violation == NULL, s->device.violation);
    target_counts[LEFT].n += s->now.leave != 0;
    put_back(s);
    return 0;
}

/* -------------------------------------------------------------- mutate -- */

static void put(uint8_t **to, uint32_t word)
{
    memcpy(*to, &word, 4);
    *to += 4;
}

/* A word that means something to the request. */
static uint32_t word(uint32_t right)
{
    return target_roll(8) ? right : target_near(right);
}

static uint8_t *input(uint8_t *to, const rl_early_model *m, int tagged)
{
    uint32_t total = m->blob.tensors[m->blob.header->input].size;
    uint32_t at = target_roll(4) ? 0 : target_roll(total);
    uint32_t left = total - at < 224u ? total - at : 224u;
    uint32_t n = target_roll(8) ? left : target_roll(left + 1u);
    put(&to, target_roll(3) ? ID + 1u : word(ID));
    put(&to, word(total));
    put(&to, word(at));
    memset(to, (int)target_roll(256), n);
    to += n;
    if (tagged) {
        put(&to, word(m->slot.meta_crc));
    }
    return to;
}

static uint8_t *request(uint8_t *to, const stand *s)
{
    static const uint8_t types[] = { HELLO, STATUS, INPUT, INPUT, OUTPUT,
                                     OUTPUT, TAKE };
    const rl_early_model *m = &s->models.model[target_roll(2)];
    uint8_t type = types[target_roll(sizeof types)], *body = to + 2;
    int tagged = target_roll(3) != 0;
    uint8_t *end = body;
    if (type == INPUT) {
        end = input(body, m, tagged);
    } else {
        if (type == OUTPUT || type == TAKE) {
            put(&end, word(ID));
        }
        if (type == OUTPUT) {
            put(&end, target_roll(2) ? 0 : target_near(target_roll(64)));
        }
        if (tagged && type != HELLO) {
            put(&end, word(m->slot.meta_crc));
        }
    }
    to[0] = target_roll(32) ? type : (uint8_t)target_roll(256);
    to[1] = (uint8_t)(end - body);
    if (target_roll(16) == 0) { /* shorter than it says, or longer */
        to[1] = (uint8_t)target_roll(256);
        memset(end, 0x5A, 16);
    }
    return body + to[1];
}

static size_t made(uint8_t *to)
{
    uint8_t *end = to + 2;
    to[0] = (uint8_t)(target_roll(OWN_KINDS) | target_roll(STATES) << 2);
    to[1] = (uint8_t)target_roll(MODELS);
    const stand *s = stand_of(to[0], to[1]);
    for (uint32_t i = 1u + target_roll(2); i > 0; i--) {
        end = request(end, s);
    }
    return (size_t)(end - to);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most,
                               unsigned seed)
{
    target_dice(seed);
    if (most < 2048u || (n > 0 && target_roll(4) == 0)) {
        return LLVMFuzzerMutate(data, n, most < 2048u ? most : 2048u);
    }
    return made(data);
}

size_t target_seed(uint32_t number, uint8_t *to, size_t most)
{
    target_dice(number);
    return most < 2048u ? 0 : made(to);
}
