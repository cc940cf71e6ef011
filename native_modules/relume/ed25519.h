/* relume: checks Ed25519 signatures (RFC 8032, section 5.1.7). */
#ifndef RELUME_ED25519_H
#define RELUME_ED25519_H

#include <stdint.h>

#define RL_KEY_SIZE 32u
#define RL_SIGNATURE_SIZE 64u

/* 1: `signature` is the key's for purpose || data[0, n), purpose being a text
 * that ends with 0, which is part of it. Takes public data only, so its time
 * tells no secret. Below 2^28 bytes. About 1.5 KB of stack. */
int rl_ed25519_signed(const uint8_t key[RL_KEY_SIZE],
                      const uint8_t signature[RL_SIGNATURE_SIZE],
                      const char *purpose, const void *data, uint32_t n);

#endif
