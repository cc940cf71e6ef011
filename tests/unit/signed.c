/* Tells of each record on stdin whether its signature is right: key[32],
 * signature[64], u16 n, data[n]. Run under sanitizers. */
#include <stdio.h>
#include <stdlib.h>

#include "ed25519.h"
#include "sha512.h"

int main(void)
{
    uint8_t head[RL_KEY_SIZE + RL_SIGNATURE_SIZE + 2u];
    while (fread(head, sizeof head, 1, stdin) == 1) {
        uint32_t n = head[96] | (uint32_t)head[97] << 8;
        uint8_t *data = malloc(n + 1u);
        if (data == NULL || fread(data, 1, n, stdin) != n) {
            return 2;
        }
        printf("%d ", rl_ed25519_signed(head, head + RL_KEY_SIZE, "test",
                                        data, n));
        uint8_t digest[RL_SHA512_SIZE];
        rl_sha512 hash;
        rl_sha512_begin(&hash);
        rl_sha512_add(&hash, data, n);
        rl_sha512_end(&hash, digest);
        for (uint32_t i = 0; i < sizeof digest; i++) {
            printf("%02x", digest[i]);
        }
        printf("\n");
        free(data);
    }
    return 0;
}
