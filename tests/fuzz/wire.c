/* relume tests: what a line that errs may do to frames (SPEC 6, SECURITY F5).
 *
 *   wire flips N          every pattern of up to 3 flipped bits, anywhere on
 *                         the wire, in frames with bodies of 0 to N bytes
 *   wire random BITS ROUNDS SEED  so many random bits in frames of any size
 *   wire noise BYTES SEED         noise with frames in it
 *   wire print N SEED             N frames, encoded, in hexadecimal
 *
 * Exit code 1: a frame came out that nobody sent, or one that was sent whole
 * behind another did not. Prints what was tried. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

typedef struct {
    uint8_t type;
    uint16_t seq;
    uint8_t body[RL_FRAME_BODY];
    uint32_t n;
} message;

static uint64_t state, tried, delivered;

static uint32_t roll(uint32_t below)
{
    state += 0x9E3779B97F4A7C15u;
    uint64_t x = (state ^ state >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)((x ^ x >> 31) >> 20) % below;
}

static void failed(const char *what)
{
    printf("FAILED: %s\n", what);
    exit(1);
}

static int is(const rl_frame_decoder *d, const message *m)
{
    const uint8_t *p = d->payload;
    return d->fill == m->n + 8u && p[0] == m->type && p[1] == 1
        && (p[2] | p[3] << 8) == m->seq && memcmp(p + 4, m->body, m->n) == 0;
}

/* Feeds a damaged frame and, behind it, one byte 0 that may end it. */
static void feed(const uint8_t *wire, size_t n, const message *m)
{
    rl_frame_decoder d;
    rl_frame_reset(&d);
    for (size_t i = 0; i <= n; i++) {
        uint8_t byte = i < n ? wire[i] : 0;
        if (rl_frame_feed(&d, byte) == RL_FRAME_READY) {
            delivered++;
            if (!is(&d, m)) {
                failed("a frame that nobody sent");
            }
        }
    }
    tried++;
}

static size_t encode(const message *m, uint8_t *wire)
{
    return rl_frame_encode(m->type, m->seq, m->body, m->n, wire);
}

static void flip(uint8_t *wire, uint32_t bit)
{
    wire[bit / 8u] ^= (uint8_t)(1u << bit % 8u);
}

static void draw(message *m, uint32_t n)
{
    m->type = (uint8_t)roll(256);
    m->seq = (uint16_t)roll(65536);
    m->n = n;
    for (uint32_t i = 0; i < n; i++) {
        m->body[i] = (uint8_t)(roll(3) == 0 ? 0 : roll(256));
    }
}

/* Patterns of 1, 2 and 3 bits. */
static void all_flips(const message *m)
{
    uint8_t wire[RL_FRAME_WIRE];
    size_t n = encode(m, wire);
    uint32_t bits = 8u * (uint32_t)n;
    for (uint32_t a = 0; a < bits; a++) {
        flip(wire, a);
        feed(wire, n, m);
        for (uint32_t b = a + 1u; b < bits; b++) {
            flip(wire, b);
            feed(wire, n, m);
            for (uint32_t c = b + 1u; c < bits; c++) {
                flip(wire, c);
                feed(wire, n, m);
                flip(wire, c);
            }
            flip(wire, b);
        }
        flip(wire, a);
    }
}

static void random_flips(uint32_t bits, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++) {
        uint8_t wire[RL_FRAME_WIRE];
        message m;
        draw(&m, roll(RL_FRAME_BODY + 1u));
        size_t n = encode(&m, wire);
        for (uint32_t k = 0; k < bits; k++) {
            flip(wire, roll(8u * (uint32_t)n));
        }
        feed(wire, n, &m);
    }
}

/* A frame behind a whole frame always comes out; noise never does. Some of
 * the noise is made of zeros and of pieces of frames. */
static void noise(uint64_t bytes)
{
    rl_frame_decoder d;
    message m = { 0 };
    uint8_t wire[RL_FRAME_WIRE];
    size_t n = 0;
    uint32_t zeros = 0;
    rl_frame_reset(&d);
    for (uint64_t i = 0; i < bytes; i++) {
        if (roll(4096) == 0) { /* twice: the first ends what was before */
            draw(&m, roll(64));
            n = encode(&m, wire);
            uint32_t out = 0;
            for (size_t k = 0; k < 2u * n; k++) {
                if (rl_frame_feed(&d, wire[k % n]) == RL_FRAME_READY) {
                    out++;
                    if (!is(&d, &m)) {
                        failed("a frame that nobody sent");
                    }
                }
            }
            if (out == 0) {
                failed("noise cost a frame behind a whole one");
            }
            delivered += out;
            zeros = roll(3) ? 0 : 1u + roll(40);
        }
        uint8_t byte = (uint8_t)(zeros != 0 && roll(zeros) == 0 ? 0
                                 : n > 0 && roll(8) == 0 ? wire[i % n]
                                 : roll(256));
        if (rl_frame_feed(&d, byte) == RL_FRAME_READY) {
            failed("noise is a frame");
        }
        tried++;
    }
}

static void print(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint8_t wire[RL_FRAME_WIRE];
        message m;
        draw(&m, roll(RL_FRAME_BODY + 1u));
        size_t size = encode(&m, wire);
        for (size_t k = 0; k < size; k++) {
            printf("%02x", wire[k]);
        }
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    message m;
    if (argc == 3 && strcmp(argv[1], "flips") == 0) {
        for (uint32_t n = 0; n <= strtoul(argv[2], NULL, 0); n++) {
            state = n;
            draw(&m, n);
            all_flips(&m);
        }
    } else if (argc == 5 && strcmp(argv[1], "random") == 0) {
        state = strtoull(argv[4], NULL, 0);
        random_flips((uint32_t)strtoul(argv[2], NULL, 0),
                     (uint32_t)strtoul(argv[3], NULL, 0));
    } else if (argc == 4 && strcmp(argv[1], "print") == 0) {
        state = strtoull(argv[3], NULL, 0);
        print((uint32_t)strtoul(argv[2], NULL, 0));
    } else if (argc == 4 && strcmp(argv[1], "noise") == 0) {
        state = strtoull(argv[3], NULL, 0);
        noise(strtoull(argv[2], NULL, 0));
    } else {
        return 2;
    }
    printf("{\"tried\": %llu, \"delivered\": %llu}\n",
           (unsigned long long)tried, (unsigned long long)delivered);
    return 0;
}
