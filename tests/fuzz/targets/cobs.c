/* relume tests: COBS, written apart from the shipping encoder. */
#include "cobs.h"

#define BLOCK 255u

size_t cobs_code(const uint8_t *raw, size_t n, uint8_t *wire)
{
    size_t code = 1, at = 2;
    wire[0] = 0;
    for (size_t i = 0; i < n; i++) {
        if (at - code == BLOCK) {
            wire[code] = BLOCK;
            code = at++;
        }
        if (raw[i] != 0) {
            wire[at++] = raw[i];
        } else {
            wire[code] = (uint8_t)(at - code);
            code = at++;
        }
    }
    wire[code] = (uint8_t)(at - code);
    wire[at++] = 0;
    return at;
}
