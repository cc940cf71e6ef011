/* relume tests: any bytes as the payload of a frame, for frames that the
 * shipping encoder would not make. */
#ifndef COBS_H
#define COBS_H

#include <stddef.h>
#include <stdint.h>

/* 0, raw[0, n) in COBS, 0 into wire[0, n + n / 254 + 3); the bytes used. */
size_t cobs_code(const uint8_t *raw, size_t n, uint8_t *wire);

#endif
