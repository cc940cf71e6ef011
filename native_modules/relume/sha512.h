/* relume: SHA-512 (FIPS 180-4). */
#ifndef RELUME_SHA512_H
#define RELUME_SHA512_H

#include <stdint.h>

#define RL_SHA512_SIZE 64u
#define RL_SHA512_BLOCK 128u

typedef struct {
    uint64_t state[8];
    uint32_t bytes; /* so far; a message has less than 2^29 */
    uint8_t  block[RL_SHA512_BLOCK];
} rl_sha512;

void rl_sha512_begin(rl_sha512 *hash);
void rl_sha512_add(rl_sha512 *hash, const void *data, uint32_t n);
void rl_sha512_end(rl_sha512 *hash, uint8_t digest[RL_SHA512_SIZE]);

#endif
