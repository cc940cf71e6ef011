/* relume tests: frames that nobody sent, on and on, to the shipping decoder
 * (SPEC 6, SECURITY F5).
 *
 *   noise FRAMES SEED
 *
 * Each is noise; a true frame with five bits or more flipped, cut short, or
 * with bytes lost or repeated; two frames spliced; or any bytes in sound COBS,
 * which only the CRC tells from a frame. Prints how many were given, how many
 * got as far as the CRC, and how many passed; exit code 1 if one did. By the
 * CRC alone one in 2^32 of those that reach it passes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cobs.h"
#include "frame.h"

#define MOST (4u * RL_FRAME_WIRE)
#define SMALLEST 8u

typedef struct {
    uint8_t bytes[MOST];
    size_t  n;
} piece;

typedef struct {
    uint8_t payload[RL_FRAME_PAYLOAD];
    uint32_t n;
} sent;

static uint64_t state, reached, passed;

static uint64_t draw(void)
{
    state += 0x9E3779B97F4A7C15u;
    uint64_t x = (state ^ state >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static uint32_t roll(uint32_t below)
{
    return (uint32_t)((draw() >> 32) * below >> 32);
}

static void fill(uint8_t *to, size_t n)
{
    for (; n >= 8; n -= 8, to += 8) {
        uint64_t x = draw();
        memcpy(to, &x, 8);
    }
    uint64_t x = draw();
    memcpy(to, &x, n);
}

/* Most bodies are as short as a request's. */
static uint32_t length(void)
{
    return roll(32) == 0 ? roll(RL_FRAME_BODY + 1u) : roll(20);
}

/* A frame that somebody might send. */
static void frame(piece *p, sent *s)
{
    uint32_t n = length(), head = (uint32_t)draw();
    uint8_t body[RL_FRAME_BODY + 8u];
    fill(body, n);
    if (roll(2)) {
        memset(body, 0, n / 2u);
    }
    p->n = rl_frame_encode((uint8_t)head, (uint16_t)(head >> 16), body, n,
                           p->bytes);
    const uint8_t first[4] = { (uint8_t)head, 1, (uint8_t)(head >> 16),
                               (uint8_t)(head >> 24) };
    memcpy(s->payload, first, 4);
    memcpy(s->payload + 4, body, n);
    s->n = n + 4u;
}

/* ------------------------------------------------------------- damages -- */

static void noise(piece *p)
{
    p->n = 2u + SMALLEST + length();
    fill(p->bytes, p->n);
    p->bytes[0] = 0;
    p->bytes[p->n - 1u] = 0;
}

/* Any payload, coded as a frame's: no code is wrong. */
static void any_payload(piece *p)
{
    uint8_t raw[RL_FRAME_PAYLOAD];
    uint32_t n = SMALLEST + length();
    fill(raw, n);
    p->n = cobs_code(raw, n, p->bytes);
}

static void flips(piece *p)
{
    uint32_t bits = 8u * (uint32_t)(p->n - 2u);
    for (uint32_t k = 5u + roll(roll(4) ? 4 : 60); k > 0; k--) {
        uint32_t bit = 8u + roll(bits); /* both ends stay */
        p->bytes[bit / 8u] ^= (uint8_t)(1u << bit % 8u);
    }
}

static void splice(piece *p, const piece *other)
{
    uint32_t keep = roll((uint32_t)p->n), from = roll((uint32_t)other->n);
    memcpy(p->bytes + keep, other->bytes + from, other->n - from);
    p->n = keep + other->n - from;
}

/* Bytes are lost, or come twice. */
static void stutter(piece *p)
{
    uint32_t at = 1u + roll((uint32_t)p->n - 2u);
    uint32_t n = 1u + roll((uint32_t)(p->n - 1u - at));
    if (roll(2)) {
        memmove(p->bytes + at, p->bytes + at + n, p->n - at - n);
        p->n -= n;
    } else {
        memmove(p->bytes + at + n, p->bytes + at, p->n - at);
        p->n += n;
    }
}

/* ---------------------------------------------------------------- feed -- */

static int is(const rl_frame_decoder *d, const sent *s)
{
    return d->fill == s->n + 4u && memcmp(d->payload, s->payload, s->n) == 0;
}

/* A damage may leave a frame whole, or give it back; that is no fault. */
static void feed(const piece *p, const sent *a, const sent *b)
{
    rl_frame_decoder d;
    rl_frame_reset(&d);
    for (size_t i = 0; i <= p->n; i++) {
        uint8_t byte = i < p->n ? p->bytes[i] : 0;
        int coded = d.state == RL_FRAME_INSIDE && d.code == 0
                 && d.fill >= SMALLEST && byte == 0;
        int ready = rl_frame_feed(&d, byte) == RL_FRAME_READY;
        if (ready && (is(&d, a) || is(&d, b))) {
            continue;
        }
        reached += coded;
        passed += ready;
    }
}

int main(int argc, char **argv)
{
    static piece p, other;
    static sent a, b;
    if (argc != 3) {
        return 2;
    }
    uint64_t frames = strtoull(argv[1], NULL, 0);
    state = strtoull(argv[2], NULL, 0) << 40;
    for (uint64_t i = 0; i < frames; i++) {
        uint32_t how = roll(8);
        if (how > 3u) {
            frame(&p, &a);
        }
        if (how == 7u) {
            frame(&other, &b);
        }
        switch (how) {
        case 0: noise(&p); break;
        case 1: case 2: case 3: any_payload(&p); break;
        case 4: flips(&p); break;
        case 5: stutter(&p); break;
        case 6: p.n = 1u + roll((uint32_t)p.n - 1u); break;
        default: splice(&p, &other); break;
        }
        feed(&p, &a, &b);
    }
    printf("{\"tried\": %llu, \"reached\": %llu, \"passed\": %llu}\n",
           (unsigned long long)frames, (unsigned long long)reached,
           (unsigned long long)passed);
    return passed != 0;
}
