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
    const rl_record *record = &e->now->store.newest;
    reply r = { .n = 0 };
    put(&r, kind, 1);
    put(&r, e->now->session.state, 1);
    put(&r, b->millivolts(b->ctx), 2);
    put(&r, record->inference, 4);
    put(&r, e->now->session.tile, 4);
    put(&r, record->seq, 4);
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

/* The model that the u32 at body + at names; without one the active model.
 * NULL, and the interpreter is asked for: it says what is wrong. */
static rl_early_model *named(rl_early_state *e, const uint8_t *body,
                             uint32_t n, uint32_t at)
{
    const rl_early_models *models = e->models;
    for (uint32_t i = 0; i < models->n; i++) {
        rl_early_model *m = &models->model[i];
        int found = n == at + 4u ? m->slot.meta_crc == get(body + at)
                                 : n == at && i == models->active;
        if (found && m->mounted) {
            return m;
        }
    }
    e->leave = 1;
    return NULL;
}

/* It runs behind another one. To open it counts an attempt, so that is left
 * to its turn. */
static int waits(const rl_early_model *m)
{
    return !m->open && rl_early_stands(m) == RL_STATE_RUNNING;
}

static void hello(const rl_early_state *e, reply *r)
{
    const rl_early_board *b = e->board;
    const rl_early_model *active = &e->models->model[e->models->active];
    put(r, PROTOCOL, 1);
    put(r, RL_BLOB_MAJOR, 1);
    put(r, RL_BLOB_MINOR, 1);
    put(r, active->blob.header->nvm_kind, 1);
    put(r, active->mounted ? active->store.nvm->size : 0, 4);
    put(r, b->blobs_size, 4);
    put(r, b->room, 4);
    put(r, active->slot.meta_crc, 4);
    put_text(r, b->board);
    put_text(r, b->version);
    put_text(r, active->slot.name);
}

static void status(const rl_early_model *m, reply *r)
{
    const rl_record *record = &m->store.newest;
    const void *blob = m->image;
    uint32_t tiles = ((const rl_header *)blob)->n_tiles;
    uint32_t tile = m->open ? m->session.tile : record->tile;
    uint32_t part = tile >= tiles ? 255u : tile * 256u / tiles;
    put(r, rl_early_stands(m), 1);
    put(r, part, 1); /* 2^16 tiles at most */
    put(r, 0, 2);
    put(r, record->model, 4);
    put(r, record->inference, 4);
    put(r, tile, 4);
    put(r, tiles, 4);
    put(r, record->cycles, 8);
    put(r, record->commits, 4);
    put(r, record->nvm_bytes, 4);
    put(r, rl_store_brownouts(&m->store), 4);
}

/* Behind all that run: SPEC 4.7. */
static uint32_t next_in_queue(const rl_early_state *e)
{
    uint32_t due = 0;
    for (uint32_t i = 0; i < e->models->n; i++) {
        const rl_early_model *m = &e->models->model[i];
        const rl_record *record = &m->store.newest;
        if (rl_early_stands(m) == RL_STATE_RUNNING
            && (record->flags & RL_DATED) == 0
            && (int32_t)(record->due - due) >= 0) {
            due = record->due + 1u;
        }
    }
    return due;
}

/* Commits the input that is whole; RL_ERASED made room in flash. */
static rl_status begin(rl_early_state *e, rl_early_model *m,
                       const uint8_t *data, uint32_t size)
{
    rl_status result;
    m->session.rank = (rl_rank) { .due = next_in_queue(e) };
    do {
        result = rl_session_begin(&m->session, e->input_id, data, size);
    } while (result == RL_ERASED);
    e->gathers = NULL;
    if (result == RL_OK) {
        rl_early_model *now = e->now;
        e->now = m;
        rl_early_tell(e, RL_EVENT_COMMITTED);
        e->now = now;
    }
    return result;
}

/* u32 inference, u32 total, u32 offset, data, maybe u32 model. The input is
 * gathered where the session wants it: in the arena, which holds nothing. */
static rl_status input(rl_early_state *e, const uint8_t *body, uint32_t n,
                       reply *r)
{
    uint32_t id = get(body), total = get(body + 4), at = get(body + 8);
    uint32_t whole = total - at < CHUNK ? total - at : CHUNK;
    int tagged = n == 16u + whole && at <= total;
    rl_early_model *m = tagged ? named(e, body, n, n - 4u)
                               : named(e, body, 0, 0);
    if (m == NULL) {
        return RL_OK;
    }
    if (waits(m)) {
        put(r, total, 4);
        return m->store.newest.inference == id ? RL_OK : RL_E_STATE;
    }
    rl_status opened = rl_early_open(e, m);
    if (opened != RL_OK) {
        return opened;
    }
    const rl_tensor *tensor = &m->blob.tensors[m->blob.header->input];
    uint8_t *to = m->session.arena + tensor->arena_off;
    if (total != tensor->size) {
        return RL_E_SIZE;
    }
    int busy = m->session.state == RL_STATE_RUNNING
            || m->session.state == RL_STATE_DONE;
    if (m->store.newest.inference == id && busy) {
        put(r, tensor->size, 4);
        return RL_OK;
    }
    if (busy || m->session.state == RL_STATE_STUCK) {
        return RL_E_STATE; /* what is done is kept until it is taken */
    }
    if (e->gathers != m || e->input_id != id) {
        e->gathers = m;
        e->input_id = id;
        e->input_at = 0;
    }
    n -= tagged ? 16u : 12u;
    if (at == e->input_at && n <= tensor->size - at) {
        rl_bytes_copy(to + at, body + 12, n);
        e->input_at += n;
    }
    put(r, e->input_at, 4);
    return e->input_at == tensor->size ? begin(e, m, to, tensor->size)
                                       : RL_OK;
}

/* u32 inference, u32 offset. */
static rl_status output(rl_early_state *e, rl_early_model *m,
                        const uint8_t *body, reply *r)
{
    const uint8_t *data;
    uint32_t size, at = get(body + 4);
    rl_status result = rl_early_open(e, m);
    if (result == RL_OK) {
        result = rl_session_output(&m->session, &data, &size);
    }
    if (result != RL_OK || m->store.newest.inference != get(body)) {
        return result == RL_E_FULL ? result : RL_E_STATE;
    }
    put(r, size, 4);
    for (uint32_t i = 0; i < CHUNK && at < size; i++, at++) {
        r->body[r->n++] = data[at];
    }
    return RL_OK;
}

static rl_status take(rl_early_state *e, rl_early_model *m,
                      const uint8_t *body)
{
    rl_status result = rl_early_open(e, m);
    if (result != RL_OK) {
        return result;
    }
    do {
        result = rl_session_take(&m->session, get(body));
    } while (result == RL_ERASED);
    return result;
}

/* A request that names a model behind its own n bytes. */
static rl_status about(rl_early_state *e, uint8_t type, const uint8_t *body,
                       uint32_t n, reply *r)
{
    uint32_t own = type == OUTPUT ? 8u : type == TAKE ? 4u : 0;
    rl_early_model *m = named(e, body, n, own);
    if (m == NULL) {
        return RL_OK;
    }
    if (type != STATUS && waits(m)) {
        return RL_E_STATE;
    }
    if (type == OUTPUT) {
        return output(e, m, body, r);
    }
    if (type == TAKE) {
        return take(e, m, body);
    }
    status(m, r);
    return RL_OK;
}

static void answer(rl_early_state *e, uint8_t type, uint16_t seq,
                   const uint8_t *body, uint32_t n)
{
    reply r = { .n = 1, .body = { 0 } };
    rl_status result = RL_OK;
    if (type == HELLO) {
        hello(e, &r);
    } else if (type == STATUS || type == OUTPUT || type == TAKE) {
        result = about(e, type, body, n, &r);
    } else if (type == INPUT && n >= 12u) {
        result = input(e, body, n, &r);
    } else {
        e->leave = 1;
    }
    if (e->leave) {
        return; /* it is asked again, of the interpreter */
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
