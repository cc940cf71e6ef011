/* relume: CRC-32 (IEEE 802.3, as zlib.crc32). */
#ifndef RELUME_CRC32_H
#define RELUME_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* CRC of data[0, size) appended to what crc covers; start with 0. */
uint32_t rl_crc32(uint32_t crc, const void *data, size_t size);

#endif
