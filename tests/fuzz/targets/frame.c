/* relume fuzz target: bytes on the wire to the frame decoder, beside a decoder
 * that looks at whole pieces between zeros (SECURITY F1, F5).
 *
 * input: the bytes. */
#include <stdlib.h>
#include <string.h>

#include "cobs.h"
#include "frame.h"
#include "target.h"

#define MOST_WIRE 1024u
#define MOST_RAW (RL_FRAME_PAYLOAD + 6u)
#define SMALLEST 8u
#define BLOCK 255u

enum { READY, ESCAPES, WRONG_CRC, TOO_LONG };
target_count target_counts[] = {
    { "ready", 0 }, { "escapes", 0 }, { "wrong_crc", 0 }, { "too_long", 0 },
    { NULL, 0 }
};

/* ---------------------------------------------------------------- peer -- */

/* What piece[0, n), no byte of it 0, decodes to: the size, 0 if it is no
 * frame. */
static uint32_t decoded(const uint8_t *piece, size_t n, uint8_t *to)
{
    uint32_t size = 0;
    for (size_t at = 0; at < n;) {
        uint32_t run = piece[at] - 1u;
        if (at + 1u + run > n || size + run > RL_FRAME_PAYLOAD) {
            target_counts[TOO_LONG].n += size + run > RL_FRAME_PAYLOAD;
            return 0;
        }
        memcpy(to + size, piece + at + 1, run);
        size += run;
        at += run + 1u;
        if (run != BLOCK - 1u && at < n) {
            if (size == RL_FRAME_PAYLOAD) {
                return 0;
            }
            to[size++] = 0;
        }
    }
    if (size < SMALLEST) {
        return 0;
    }
    uint32_t sent;
    memcpy(&sent, to + size - 4u, 4);
    int right = target_crc(to, size - 4u) == sent;
    target_counts[WRONG_CRC].n += !right;
    return right ? size : 0;
}

typedef struct {
    const uint8_t *data;
    size_t   begin; /* of the piece that byte belongs to */
    int      open;  /* a zero has begun it */
    int      escape;
    uint8_t  payload[RL_FRAME_PAYLOAD];
    uint32_t size;
} peer;

static rl_frame_event look(peer *p, size_t at)
{
    uint8_t byte = p->data[at];
    int escape = p->escape && !p->open && byte == 0x03;
    p->escape = !p->open && byte == 0x0D;
    if (byte != 0) {
        return escape ? RL_FRAME_ESCAPE : RL_FRAME_NONE;
    }
    p->size = p->open ? decoded(p->data + p->begin, at - p->begin, p->payload)
                      : 0;
    p->open = p->size == 0;
    p->begin = at + 1u;
    return p->size != 0 ? RL_FRAME_READY : RL_FRAME_NONE;
}

/* -------------------------------------------------------------- target -- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static rl_frame_decoder *decoder; /* apart, so that its end is watched */
    if (decoder == NULL) {
        decoder = target_exact(NULL, sizeof *decoder);
    }
    peer p;
    p.data = data;
    p.begin = p.size = 0;
    p.open = p.escape = 0;
    rl_frame_reset(decoder);
    for (size_t i = 0; i < n; i++) {
        rl_frame_event event = rl_frame_feed(decoder, data[i]);
        PROMISE(event == look(&p, i), "another frame came out, or none");
        PROMISE(decoder->fill <= RL_FRAME_PAYLOAD,
                "the decoder left its payload");
        if (event == RL_FRAME_READY) {
            PROMISE(decoder->fill == p.size
                    && memcmp(decoder->payload, p.payload, p.size) == 0,
                    "a frame came out changed");
        }
        target_counts[READY].n += event == RL_FRAME_READY;
        target_counts[ESCAPES].n += event == RL_FRAME_ESCAPE;
    }
    return 0;
}

/* -------------------------------------------------------------- mutate -- */

static uint32_t length(void)
{
    switch (target_roll(64)) {
    case 0: return MOST_RAW - 4u - target_roll(14);
    case 1: return 250u + target_roll(8); /* a block of COBS ends about here */
    case 2: return target_roll(MOST_RAW - 4u);
    default: return target_roll(20);
    }
}

/* A frame whose CRC is right, of any length. */
static size_t put_sealed(uint8_t *to)
{
    uint8_t raw[MOST_RAW];
    uint32_t n = length(), zeros = target_roll(4) ? 2u + target_roll(30) : 0;
    uint64_t bits = target_roll(1u << 31);
    for (uint32_t i = 0; i < n; i++) {
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        raw[i] = (uint8_t)(zeros == 0 ? bits >> 56 | 1u
                           : (bits >> 33) % zeros == 0 ? 0 : bits >> 56);
    }
    target_seal(raw, n);
    return cobs_code(raw, n + 4u, to);
}

static size_t put_noise(uint8_t *to)
{
    static const uint8_t few[] = { 0, 1, 2, 3, 0x0D, 9, 254, 255 };
    uint32_t n = 1u + target_roll(20);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t roll = target_roll(1u << 12);
        to[i] = roll & 0x800u ? few[roll & 7u] : (uint8_t)roll;
    }
    return n;
}

static size_t damaged(uint8_t *at, size_t n)
{
    uint32_t place = target_roll((uint32_t)n);
    switch (target_roll(4)) {
    case 0: at[place] ^= (uint8_t)(1u << target_roll(8)); return n;
    case 1: at[place] = (uint8_t)target_near(at[place]); return n;
    case 2: return place;
    default: memmove(at + place, at + place + 1, n - place - 1u); return n - 1u;
    }
}

static size_t made(uint8_t *to)
{
    size_t n = 0;
    for (uint32_t i = 1u + target_roll(2); i > 0; i--) {
        size_t more = target_roll(4) ? put_sealed(to + n) : put_noise(to + n);
        n += target_roll(2) ? damaged(to + n, more) : more;
    }
    return n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most,
                               unsigned seed)
{
    target_dice(seed);
    if (n > 0 && target_roll(4) == 0) {
        return LLVMFuzzerMutate(data, n, most < MOST_WIRE ? most : MOST_WIRE);
    }
    return most < MOST_WIRE ? n : made(data);
}

size_t target_seed(uint32_t number, uint8_t *to, size_t most)
{
    target_dice(number);
    return most < MOST_WIRE ? 0 : made(to);
}
