/* relume: checks Ed25519 signatures. Small before fast: 0.26 s on an
 * emulated Pico. Everything here is public, so branches may depend on
 * it.
 *
 * Numbers are eight 32-bit words, lowest first. Field elements are any number
 * below 2^256; they are made canonical where they are compared or written.
 * RFC 8032 has the curve and the rules; the addition is that of Hisil, Wong,
 * Carter and Dawson (2008), complete for this curve, so it doubles too. */
#include "ed25519.h"

#include "bytes.h"
#include "sha512.h"

#define WORDS 8u

typedef uint32_t number[WORDS];

typedef struct {
    number x, y, z, t; /* x / z, y / z on the curve; x y = z t */
} point;

/* ------------------------------------------------------------- constants -- */

static const number prime = { /* p = 2^255 - 19 */
    0xFFFFFFEDu, 0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu,
    0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu, 0x7FFFFFFFu,
};
static const number order = { /* of the base point */
    0x5CF5D3EDu, 0x5812631Au, 0xA2F79CD6u, 0x14DEF9DEu,
    0x00000000u, 0x00000000u, 0x00000000u, 0x10000000u,
};
static const number p_minus_2 = {
    0xFFFFFFEBu, 0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu,
    0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu, 0x7FFFFFFFu,
};
static const number p_minus_5_by_8 = {
    0xFFFFFFFDu, 0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu,
    0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu, 0x0FFFFFFFu,
};
static const number curve_d = { /* -121665 / 121666 */
    0x135978A3u, 0x75EB4DCAu, 0x4141D8ABu, 0x00700A4Du,
    0x7779E898u, 0x8CC74079u, 0x2B6FFE73u, 0x52036CEEu,
};
static const number root_of_minus_1 = {
    0x4A0EA0B0u, 0xC4EE1B27u, 0xAD2FE478u, 0x2F431806u,
    0x3DFBD7A7u, 0x2B4D0099u, 0x4FC1DF0Bu, 0x2B832480u,
};
static const number one = { 1u };
static const point base = {
    { 0x8F25D51Au, 0xC9562D60u, 0x9525A7B2u, 0x692CC760u,
      0xFDD6DC5Cu, 0xC0A4E231u, 0xCD6E53FEu, 0x216936D3u },
    { 0x66666658u, 0x66666666u, 0x66666666u, 0x66666666u,
      0x66666666u, 0x66666666u, 0x66666666u, 0x66666666u },
    { 1u },
    { 0xA5B7DDA3u, 0x6DDE8AB3u, 0x775152F5u, 0x20F09F80u,
      0x64ABE37Du, 0x66EA4E8Eu, 0xD78B7665u, 0x67875F0Fu },
};

/* --------------------------------------------------------------- numbers -- */

static void copy(number to, const number from)
{
    rl_bytes_copy(to, from, sizeof(number));
}

static int below(const number a, const number b)
{
    for (unsigned i = WORDS; i-- > 0;) {
        if (a[i] != b[i]) {
            return a[i] < b[i];
        }
    }
    return 0;
}

/* a - b, and 1 if that is negative (2^256 is added then). */
static uint32_t subtract(number r, const number a, const number b)
{
    uint32_t borrow = 0;
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t word = (uint64_t)a[i] - b[i] - borrow;
        r[i] = (uint32_t)word;
        borrow = (uint32_t)(word >> 32) & 1u;
    }
    return borrow;
}

static unsigned bit(const number a, unsigned place)
{
    return a[place / 32u] >> place % 32u & 1u;
}

static void from_bytes(number r, const uint8_t bytes[32])
{
    for (unsigned i = 0; i < WORDS; i++) {
        const uint8_t *b = &bytes[4u * i];
        r[i] = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16
             | (uint32_t)b[3] << 24;
    }
}

static void to_bytes(uint8_t bytes[32], const number a)
{
    for (unsigned i = 0; i < 32u; i++) {
        bytes[i] = (uint8_t)(a[i / 4u] >> 8u * (i % 4u));
    }
}

/* ----------------------------------------------------------------- field -- */

/* a + carry * 2^256, for 2^256 = 38 modulo p. */
static void fold(number r, uint32_t carry)
{
    while (carry != 0) {
        uint64_t word = (uint64_t)carry * 38u;
        for (unsigned i = 0; i < WORDS; i++) {
            word += r[i];
            r[i] = (uint32_t)word;
            word >>= 32;
        }
        carry = (uint32_t)word;
    }
}

static void plus(number r, const number a, const number b)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < WORDS; i++) {
        word += (uint64_t)a[i] + b[i];
        r[i] = (uint32_t)word;
        word >>= 32;
    }
    fold(r, (uint32_t)word);
}

/* What was borrowed, 2^256, is taken away again as 38. */
static void minus(number r, const number a, const number b)
{
    static const number excess = { 38u };
    uint32_t borrow = subtract(r, a, b);
    while (borrow != 0) {
        borrow = subtract(r, r, excess);
    }
}

static void times(number r, const number a, const number b)
{
    uint32_t product[2u * WORDS] = { 0 };
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t word = 0;
        for (unsigned j = 0; j < WORDS; j++) {
            word += (uint64_t)a[i] * b[j] + product[i + j];
            product[i + j] = (uint32_t)word;
            word >>= 32;
        }
        product[i + WORDS] = (uint32_t)word;
    }
    uint64_t word = 0;
    for (unsigned i = 0; i < WORDS; i++) {
        word += (uint64_t)product[i + WORDS] * 38u + product[i];
        r[i] = (uint32_t)word;
        word >>= 32;
    }
    fold(r, (uint32_t)word);
}

static void power(number r, const number a, const number exponent)
{
    number result;
    copy(result, one);
    for (unsigned place = 256; place-- > 0;) {
        times(result, result, result);
        if (bit(exponent, place)) {
            times(result, result, a);
        }
    }
    copy(r, result);
}

/* Below 2^256 = 2 p + 38: p is taken away at most twice. */
static void canonical(number r)
{
    while (!below(r, prime)) {
        (void)subtract(r, r, prime);
    }
}

static int is_zero(const number a)
{
    number r;
    copy(r, a);
    canonical(r);
    return below(r, one);
}

static int equal(const number a, const number b)
{
    number difference;
    minus(difference, a, b);
    return is_zero(difference);
}

static void negate(number r, const number a)
{
    static const number zero = { 0 };
    minus(r, zero, a);
}

/* ---------------------------------------------------------------- points -- */

static void add(point *r, const point *p, const point *q)
{
    number a, b, c, d, e, f;
    minus(a, p->y, p->x);
    minus(e, q->y, q->x);
    times(a, a, e);
    plus(b, p->y, p->x);
    plus(e, q->y, q->x);
    times(b, b, e);
    times(c, p->t, q->t);
    times(c, c, curve_d);
    plus(c, c, c);
    times(d, p->z, q->z);
    plus(d, d, d);
    minus(e, b, a);
    minus(f, d, c);
    plus(c, d, c); /* G of the formulas */
    plus(b, b, a); /* H */
    times(r->x, e, f);
    times(r->y, c, b);
    times(r->t, e, b);
    times(r->z, f, c);
}

/* x = sqrt((y^2 - 1) / (d y^2 + 1)), if there is one: 5.1.3, steps 2 and 3. */
static int recover_x(number x, const number y)
{
    number u, v, w;
    times(w, y, y);
    minus(u, w, one);
    times(v, w, curve_d);
    plus(v, v, one);
    times(w, v, v);
    times(w, w, v);  /* v^3 */
    times(x, w, w);
    times(x, x, v);  /* v^7 */
    times(x, x, u);
    power(x, x, p_minus_5_by_8);
    times(x, x, w);
    times(x, x, u);
    times(w, x, x);
    times(w, w, v); /* u or -u */
    if (!equal(w, u)) {
        times(x, x, root_of_minus_1);
        negate(w, w);
    }
    return equal(w, u);
}

/* 0: no point of the curve has these bytes. */
static int decode(point *r, const uint8_t bytes[32])
{
    from_bytes(r->y, bytes);
    unsigned sign = bit(r->y, 255);
    r->y[WORDS - 1u] &= 0x7FFFFFFFu;
    if (!below(r->y, prime) || !recover_x(r->x, r->y)) {
        return 0;
    }
    canonical(r->x);
    if (sign != 0 && is_zero(r->x)) {
        return 0;
    }
    if (bit(r->x, 0) != sign) {
        negate(r->x, r->x);
    }
    copy(r->z, one);
    times(r->t, r->x, r->y);
    return 1;
}

static void encode(uint8_t bytes[32], const point *p)
{
    number inverse, x, y;
    power(inverse, p->z, p_minus_2);
    times(x, p->x, inverse);
    times(y, p->y, inverse);
    canonical(x);
    canonical(y);
    to_bytes(bytes, y);
    bytes[31] = (uint8_t)(bytes[31] | bit(x, 0) << 7);
}

/* s * base + h * other. */
static void combine(point *r, const number s, const number h,
                    const point *other)
{
    static const point neutral = { { 0 }, { 1u }, { 1u }, { 0 } };
    *r = neutral;
    for (unsigned place = 256; place-- > 0;) {
        add(r, r, r);
        if (bit(s, place)) {
            add(r, r, &base);
        }
        if (bit(h, place)) {
            add(r, r, other);
        }
    }
}

/* ------------------------------------------------------------- signature -- */

/* A number of 512 bits modulo the order, from its highest bit on. */
static void reduce(number r, const uint8_t bytes[RL_SHA512_SIZE])
{
    rl_bytes_fill(r, 0, sizeof(number));
    for (unsigned place = 512; place-- > 0;) {
        uint32_t carry = (uint32_t)bytes[place / 8u] >> place % 8u & 1u;
        for (unsigned i = 0; i < WORDS; i++) {
            uint32_t top = r[i] >> 31;
            r[i] = r[i] << 1 | carry;
            carry = top;
        }
        if (!below(r, order)) {
            (void)subtract(r, r, order);
        }
    }
}

static uint32_t length(const char *text)
{
    uint32_t n = 0;
    while (text[n] != 0) {
        n++;
    }
    return n;
}

/* h of the signature's equation: the hash of R, the key and the message. */
static void challenge(number h, const uint8_t *signature, const uint8_t *key,
                      const char *purpose, const void *data, uint32_t n)
{
    uint8_t digest[RL_SHA512_SIZE];
    rl_sha512 hash;
    rl_sha512_begin(&hash);
    rl_sha512_add(&hash, signature, 32);
    rl_sha512_add(&hash, key, RL_KEY_SIZE);
    rl_sha512_add(&hash, purpose, length(purpose) + 1u);
    rl_sha512_add(&hash, data, n);
    rl_sha512_end(&hash, digest);
    reduce(h, digest);
}

int rl_ed25519_signed(const uint8_t key[RL_KEY_SIZE],
                      const uint8_t signature[RL_SIGNATURE_SIZE],
                      const char *purpose, const void *data, uint32_t n)
{
    point owner, sum;
    number s, h;
    uint8_t r[32];
    from_bytes(s, signature + 32);
    if (!below(s, order) || !decode(&owner, key)) {
        return 0;
    }
    challenge(h, signature, key, purpose, data, n);
    negate(owner.x, owner.x);
    negate(owner.t, owner.t);
    combine(&sum, s, h, &owner);
    encode(r, &sum);
    return rl_bytes_equal(r, signature, sizeof r);
}
