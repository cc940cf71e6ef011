/* relume: the frames that are served before the interpreter (SPEC 6): HELLO,
 * STATUS, INPUT, OUTPUT and TAKE, all idempotent. Any other request, a Ctrl-C
 * outside of a frame or the escape asks for the interpreter. */
#include "early.h"

#include "blob.h"
#include "bytes.h"

#define HELLO 0x01u
#define STATUS 0x02u
#define INPUT 0x20u
#define OUTPUT 0x21u
#define TAKE 0x22u
#define EVENT 0x40u
#define REPLY 0x80u
#define PROTOCOL 1u
#define CTRL_C 3u
#define CHUNK 240u
#define BAD_REQUEST 64u

typedef struct {
    uint8_t  body[RL_FRAME_BODY];
    uint32_t n;
} reply;

static void put(reply *r, uint64_t value, uint32_t bytes)
{
    while (bytes-- != 0) {
        r->body[r->n++] = (uint8_t)(value & 0xFFu);
        value >>= 8;
    }
}

/* A string and its 0, cut off at what the body still holds. */
static void put_text(reply *r, const char *text)
{
    while (*text != 0 && r->n < RL_FRAME_BODY - 1u) {
        r->body[r->n++] = (uint8_t)*text++;
    }
    if (r->n < RL_FRAME_BODY) {
        r->body[r->n++] = 0;
    }
}

static void send(rl_early_state *e, uint8_t type, uint16_t seq,
                 const reply *r, int brief)
{
    uint8_t wire[RL_FRAME_WIRE];
    size_t n = rl_frame_encode(type, seq, r->body, r->n, wire);
    e->board->send(e->board->ctx, wire, (uint32_t)n, brief);
}

void rl_early_tell(rl_early_state *e, uint8_t kind)
{
    const rl_early_board *b = e->board;
    reply r = { .n = 0 };
    put(&r, kind, 1);
    put(&r, e->session.state, 1);
    put(&r, b->millivolts(b->ctx), 2);
    put(&r, e->store.newest.inference, 4);
    put(&r, e->session.tile, 4);
    put(&r, e->store.newest.seq, 4);
    put(&r, b->micros(b->ctx), 4);
    /* A host that misses an end waits for nothing. */
    send(e, EVENT, 0, &r, kind != RL_EVENT_FINISHED && kind != RL_EVENT_STUCK);
}

/* ------------------------------------------------------------ requests -- */

static uint32_t get(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16
        | (uint32_t)from[3] << 24;
}

static void hello(const rl_early_state *e, reply *r)
{
    const rl_early_board *b = e->board;
    put(r, PROTOCOL, 1);
    put(r, RL_BLOB_MAJOR, 1);
    put(r, RL_BLOB_MINOR, 1);
    put(r, e->model->blob.header->nvm_kind, 1);
    put(r, e->nvm->size, 4);
    put(r, b->blobs_size, 4);
    put(r, b->room, 4);
    put(r, e->model->blob.header->meta_crc, 4);
    put_text(r, b->board);
    put_text(r, b->version);
    put_text(r, e->model->slot.name);
}

static void status(const rl_early_state *e, reply *r)
{
    const rl_record *record = &e->store.newest;
    uint32_t tiles = e->model->blob.header->n_tiles;
    uint32_t part = e->session.tile * 256u / tiles; /* 2^16 tiles at most */
    put(r, e->session.state, 1);
    put(r, part > 255u ? 255u : part, 1);
    put(r, 0, 2);
    put(r, record->model, 4);
    put(r, record->inference, 4);
    put(r, e->session.tile, 4);
    put(r, tiles, 4);
    put(r, record->cycles, 8);
    put(r, record->commits, 4);
    put(r, record->nvm_bytes, 4);
    put(r, record->brownouts + e->store.attempts, 4);
}

/* Commits the input that is whole; RL_ERASED made room in flash. */
static rl_status begin(rl_early_state *e, const uint8_t *data, uint32_t size)
{
    rl_status result;
    do {
        result = rl_session_begin(&e->session, e->input_id, data, size);
    } while (result == RL_ERASED);
    e->input_at = 0;
    e->input_id = 0;
    if (result == RL_OK) {
        rl_early_tell(e, RL_EVENT_COMMITTED);
    }
    return result;
}

/* u32 inference, u32 total, u32 offset, data. The input is gathered where the
 * session wants it: in the arena, which holds nothing but an output that is
 * given up. */
static rl_status input(rl_early_state *e, const uint8_t *body, uint32_t n,
                       reply *r)
{
    const rl_blob *blob = &e->model->blob;
    const rl_tensor *tensor = &blob->tensors[blob->header->input];
    uint8_t *to = e->session.arena + tensor->arena_off;
    uint32_t id = get(body), at = get(body + 8);
    if (get(body + 4) != tensor->size) {
        return RL_E_SIZE;
    }
    int busy = e->session.state == RL_STATE_RUNNING;
    int ours = e->store.newest.inference == id;
    if (ours && (busy || e->session.state == RL_STATE_DONE)) {
        put(r, tensor->size, 4);
        return RL_OK;
    }
    if (busy || e->session.state == RL_STATE_STUCK) {
        return RL_E_STATE;
    }
    if (e->input_at == 0 || e->input_id != id) {
        e->input_id = id;
        e->input_at = 0;
    }
    n -= 12u;
    if (at == e->input_at && n <= tensor->size - at) {
        rl_bytes_copy(to + at, body + 12, n);
        e->input_at += n;
    }
    put(r, e->input_at, 4);
    return e->input_at == tensor->size ? begin(e, to, tensor->size) : RL_OK;
}

/* u32 inference, u32 offset. */
static rl_status output(rl_early_state *e, const uint8_t *body, reply *r)
{
    const uint8_t *data;
    uint32_t size, at = get(body + 4);
    rl_status result = rl_session_output(&e->session, &data, &size);
    if (result != RL_OK || e->store.newest.inference != get(body)
        || e->input_at != 0) {
        return RL_E_STATE;
    }
    put(r, size, 4);
    for (uint32_t i = 0; i < CHUNK && at < size; i++, at++) {
        r->body[r->n++] = data[at];
    }
    return RL_OK;
}

static rl_status take(rl_early_state *e, const uint8_t *body)
{
    rl_status result;
    do {
        result = rl_session_take(&e->session, get(body));
    } while (result == RL_ERASED);
    return result;
}

static void answer(rl_early_state *e, uint8_t type, uint16_t seq,
                   const uint8_t *body, uint32_t n)
{
    reply r = { .n = 1, .body = { 0 } };
    rl_status result = RL_OK;
    if (type == HELLO) {
        hello(e, &r);
    } else if (type == STATUS) {
        status(e, &r);
    } else if (type == INPUT && n >= 12u) {
        result = input(e, body, n, &r);
    } else if (type == OUTPUT && n == 8u) {
        result = output(e, body, &r);
    } else if (type == TAKE && n == 4u) {
        result = take(e, body);
    } else {
        e->leave = 1; /* it is asked again, of the interpreter */
        return;
    }
    if (result != RL_OK) {
        r.n = 0;
        put(&r, (uint8_t)-result, 1);
        put_text(&r, rl_status_text(result));
        r.n--; /* texts end with the frame */
    }
    if (result == RL_E_NVM) {
        e->leave = 1;
    }
    send(e, type | REPLY, seq, &r, 0);
}

static void take_frame(rl_early_state *e)
{
    const uint8_t *payload = e->decoder.payload;
    uint32_t n = e->decoder.fill;
    if (n < 8u || payload[1] != PROTOCOL || (payload[0] & REPLY) != 0) {
        return;
    }
    answer(e, payload[0], (uint16_t)(payload[2] | payload[3] << 8),
           payload + 4, n - 8u);
}

void rl_early_listen(rl_early_state *e)
{
    uint8_t byte;
    while (!e->leave && e->board->receive(e->board->ctx, &byte)) {
        if (e->decoder.state == RL_FRAME_OUTSIDE && byte == CTRL_C) {
            e->leave = 1;
        }
        switch (rl_frame_feed(&e->decoder, byte)) {
        case RL_FRAME_READY: take_frame(e); break;
        case RL_FRAME_ESCAPE: e->leave = 1; break;
        default: break;
        }
    }
}
