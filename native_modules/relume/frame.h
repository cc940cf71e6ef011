/* relume: COBS frames with CRC-32 (SPEC 6). */
#ifndef RELUME_FRAME_H
#define RELUME_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define RL_FRAME_BODY 256u
#define RL_FRAME_PAYLOAD (RL_FRAME_BODY + 8u)
#define RL_FRAME_WIRE (RL_FRAME_PAYLOAD + RL_FRAME_PAYLOAD / 254u + 3u)

#define RL_FRAME_OUTSIDE 0
#define RL_FRAME_INSIDE 1
#define RL_FRAME_DROPPING 2 /* to the next 0 */

typedef struct {
    uint8_t  payload[RL_FRAME_PAYLOAD];
    uint32_t fill;   /* bytes decoded */
    uint8_t  code;   /* COBS: bytes left in the block */
    uint8_t  full;   /* COBS: the block was 254 bytes, no zero follows */
    uint8_t  state;  /* RL_FRAME_OUTSIDE, _INSIDE or _DROPPING */
    uint8_t  escape; /* outside: the last byte was 0D */
} rl_frame_decoder;

typedef enum {
    RL_FRAME_NONE, RL_FRAME_READY, RL_FRAME_ESCAPE
} rl_frame_event;

void rl_frame_reset(rl_frame_decoder *decoder);

/* Feeds one byte. READY: a frame with the right CRC lies in payload[0,
 * fill - 4), until the next byte. ESCAPE: 0D 03 seen outside a frame. */
rl_frame_event rl_frame_feed(rl_frame_decoder *decoder, uint8_t byte);

/* Encodes type, version, seq, body[0, n) into wire[0, RL_FRAME_WIRE);
 * returns the bytes used, 0 if n > RL_FRAME_BODY. */
size_t rl_frame_encode(uint8_t type, uint16_t seq, const uint8_t *body,
                       size_t n, uint8_t *wire);

#endif
