/* relume: SHA-512. Names are those of FIPS 180-4, sections 4.1.3 and 6.4. */
#include "sha512.h"

#include "bytes.h"

#define ROUNDS 80u

/* First 64 bits of the fractional parts of the cube roots of the first 80
 * primes (4.2.3), and of the square roots of the first 8 (5.3.5). */
static const uint64_t constants[ROUNDS] = {
    0x428A2F98D728AE22u, 0x7137449123EF65CDu, 0xB5C0FBCFEC4D3B2Fu,
    0xE9B5DBA58189DBBCu, 0x3956C25BF348B538u, 0x59F111F1B605D019u,
    0x923F82A4AF194F9Bu, 0xAB1C5ED5DA6D8118u, 0xD807AA98A3030242u,
    0x12835B0145706FBEu, 0x243185BE4EE4B28Cu, 0x550C7DC3D5FFB4E2u,
    0x72BE5D74F27B896Fu, 0x80DEB1FE3B1696B1u, 0x9BDC06A725C71235u,
    0xC19BF174CF692694u, 0xE49B69C19EF14AD2u, 0xEFBE4786384F25E3u,
    0x0FC19DC68B8CD5B5u, 0x240CA1CC77AC9C65u, 0x2DE92C6F592B0275u,
    0x4A7484AA6EA6E483u, 0x5CB0A9DCBD41FBD4u, 0x76F988DA831153B5u,
    0x983E5152EE66DFABu, 0xA831C66D2DB43210u, 0xB00327C898FB213Fu,
    0xBF597FC7BEEF0EE4u, 0xC6E00BF33DA88FC2u, 0xD5A79147930AA725u,
    0x06CA6351E003826Fu, 0x142929670A0E6E70u, 0x27B70A8546D22FFCu,
    0x2E1B21385C26C926u, 0x4D2C6DFC5AC42AEDu, 0x53380D139D95B3DFu,
    0x650A73548BAF63DEu, 0x766A0ABB3C77B2A8u, 0x81C2C92E47EDAEE6u,
    0x92722C851482353Bu, 0xA2BFE8A14CF10364u, 0xA81A664BBC423001u,
    0xC24B8B70D0F89791u, 0xC76C51A30654BE30u, 0xD192E819D6EF5218u,
    0xD69906245565A910u, 0xF40E35855771202Au, 0x106AA07032BBD1B8u,
    0x19A4C116B8D2D0C8u, 0x1E376C085141AB53u, 0x2748774CDF8EEB99u,
    0x34B0BCB5E19B48A8u, 0x391C0CB3C5C95A63u, 0x4ED8AA4AE3418ACBu,
    0x5B9CCA4F7763E373u, 0x682E6FF3D6B2B8A3u, 0x748F82EE5DEFB2FCu,
    0x78A5636F43172F60u, 0x84C87814A1F0AB72u, 0x8CC702081A6439ECu,
    0x90BEFFFA23631E28u, 0xA4506CEBDE82BDE9u, 0xBEF9A3F7B2C67915u,
    0xC67178F2E372532Bu, 0xCA273ECEEA26619Cu, 0xD186B8C721C0C207u,
    0xEADA7DD6CDE0EB1Eu, 0xF57D4F7FEE6ED178u, 0x06F067AA72176FBAu,
    0x0A637DC5A2C898A6u, 0x113F9804BEF90DAEu, 0x1B710B35131C471Bu,
    0x28DB77F523047D84u, 0x32CAAB7B40C72493u, 0x3C9EBE0A15C9BEBCu,
    0x431D67C49C100D4Cu, 0x4CC5D4BECB3E42B6u, 0x597F299CFC657E2Au,
    0x5FCB6FAB3AD6FAECu, 0x6C44198C4A475817u,
};

static const uint64_t initial[8] = {
    0x6A09E667F3BCC908u, 0xBB67AE8584CAA73Bu, 0x3C6EF372FE94F82Bu,
    0xA54FF53A5F1D36F1u, 0x510E527FADE682D1u, 0x9B05688C2B3E6C1Fu,
    0x1F83D9ABFB41BD6Bu, 0x5BE0CD19137E2179u,
};

static uint64_t rotated(uint64_t x, unsigned by)
{
    return x >> by | x << (64u - by);
}

static uint64_t big_endian(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8u; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

/* The schedule's word of a round, made in place of the one 16 before. */
static uint64_t scheduled(uint64_t w[16], unsigned round)
{
    uint64_t old = w[round & 15u];
    if (round < 16u) {
        return old;
    }
    uint64_t near = w[(round - 2u) & 15u], far = w[(round - 15u) & 15u];
    uint64_t s0 = rotated(far, 1) ^ rotated(far, 8) ^ far >> 7;
    uint64_t s1 = rotated(near, 19) ^ rotated(near, 61) ^ near >> 6;
    w[round & 15u] = s1 + w[(round - 7u) & 15u] + s0 + old;
    return w[round & 15u];
}

static void compress(rl_sha512 *hash)
{
    uint64_t w[16], v[8];
    for (unsigned i = 0; i < 16u; i++) {
        w[i] = big_endian(&hash->block[8u * i]);
    }
    rl_bytes_copy(v, hash->state, sizeof v);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t a = v[0], e = v[4];
        uint64_t s1 = rotated(e, 14) ^ rotated(e, 18) ^ rotated(e, 41);
        uint64_t choice = (e & v[5]) ^ (~e & v[6]);
        uint64_t t1 = v[7] + s1 + choice + constants[round]
                    + scheduled(w, round);
        uint64_t s0 = rotated(a, 28) ^ rotated(a, 34) ^ rotated(a, 39);
        uint64_t majority = (a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]);
        for (unsigned i = 7; i > 0; i--) {
            v[i] = v[i - 1u];
        }
        v[4] += t1;
        v[0] = t1 + s0 + majority;
    }
    for (unsigned i = 0; i < 8u; i++) {
        hash->state[i] += v[i];
    }
}

void rl_sha512_begin(rl_sha512 *hash)
{
    rl_bytes_copy(hash->state, initial, sizeof initial);
    hash->bytes = 0;
}

void rl_sha512_add(rl_sha512 *hash, const void *data, uint32_t n)
{
    const uint8_t *byte = data;
    while (n-- > 0) {
        hash->block[hash->bytes++ % RL_SHA512_BLOCK] = *byte++;
        if (hash->bytes % RL_SHA512_BLOCK == 0) {
            compress(hash);
        }
    }
}

void rl_sha512_end(rl_sha512 *hash, uint8_t digest[RL_SHA512_SIZE])
{
    static const uint8_t mark = 0x80, zeros[12] = { 0 };
    uint32_t bits = hash->bytes * 8u;
    const uint8_t length[4] = {
        (uint8_t)(bits >> 24), (uint8_t)(bits >> 16), (uint8_t)(bits >> 8),
        (uint8_t)bits,
    };
    rl_sha512_add(hash, &mark, 1);
    while (hash->bytes % RL_SHA512_BLOCK != RL_SHA512_BLOCK - 16u) {
        rl_sha512_add(hash, zeros, 1);
    }
    rl_sha512_add(hash, zeros, sizeof zeros);
    rl_sha512_add(hash, length, sizeof length);
    for (unsigned i = 0; i < RL_SHA512_SIZE; i++) {
        digest[i] = (uint8_t)(hash->state[i / 8u] >> (56u - 8u * (i % 8u)));
    }
}
