/* relume: COBS frames with CRC-32. SPEC 6.
 *
 * The decoder takes any byte at any time: it writes only payload[0,
 * RL_FRAME_PAYLOAD) and never waits for a length that the wire names. */
#include "frame.h"

#include "crc32.h"

#define VERSION 1
#define CRC_SIZE 4u
#define SMALLEST 8u /* type, version, seq, CRC */
#define BLOCK 0xFFu /* COBS code of 254 bytes without a zero after them */

/* ------------------------------------------------------------- decoder -- */

void rl_frame_reset(rl_frame_decoder *decoder)
{
    decoder->fill = 0;
    decoder->code = 0;
    decoder->full = 1;
    decoder->state = RL_FRAME_OUTSIDE;
    decoder->escape = 0;
}

static void start(rl_frame_decoder *decoder)
{
    rl_frame_reset(decoder);
    decoder->state = RL_FRAME_INSIDE;
}

static rl_frame_event outside(rl_frame_decoder *decoder, uint8_t byte)
{
    if (byte == 0) {
        start(decoder);
        return RL_FRAME_NONE;
    }
    if (byte == 0x03 && decoder->escape) {
        decoder->escape = 0;
        return RL_FRAME_ESCAPE;
    }
    decoder->escape = byte == 0x0D;
    return RL_FRAME_NONE;
}

static int good(const rl_frame_decoder *decoder)
{
    if (decoder->state != RL_FRAME_INSIDE || decoder->code != 0
        || decoder->fill < SMALLEST) {
        return 0;
    }
    uint32_t n = decoder->fill - CRC_SIZE;
    const uint8_t *crc = decoder->payload + n;
    uint32_t sent = (uint32_t)crc[0] | (uint32_t)crc[1] << 8
                  | (uint32_t)crc[2] << 16 | (uint32_t)crc[3] << 24;
    return rl_crc32(0, decoder->payload, n) == sent;
}

/* A zero that ends no good frame may be the one that starts the next. */
static rl_frame_event finish(rl_frame_decoder *decoder)
{
    if (!good(decoder)) {
        start(decoder);
        return RL_FRAME_NONE;
    }
    decoder->state = RL_FRAME_OUTSIDE;
    decoder->escape = 0;
    return RL_FRAME_READY;
}

static void append(rl_frame_decoder *decoder, uint8_t byte)
{
    if (decoder->fill == RL_FRAME_PAYLOAD) {
        decoder->state = RL_FRAME_DROPPING;
        return;
    }
    decoder->payload[decoder->fill++] = byte;
}

rl_frame_event rl_frame_feed(rl_frame_decoder *decoder, uint8_t byte)
{
    if (decoder->state == RL_FRAME_OUTSIDE) {
        return outside(decoder, byte);
    }
    if (byte == 0) {
        return finish(decoder);
    }
    if (decoder->state == RL_FRAME_DROPPING) {
        return RL_FRAME_NONE;
    }
    if (decoder->code > 0) {
        decoder->code--;
        append(decoder, byte);
        return RL_FRAME_NONE;
    }
    if (!decoder->full) {
        append(decoder, 0);
    }
    decoder->code = (uint8_t)(byte - 1u);
    decoder->full = byte == BLOCK;
    return RL_FRAME_NONE;
}

/* ------------------------------------------------------------- encoder -- */

typedef struct {
    uint8_t *wire;
    size_t   code; /* where the code of the open block goes */
    size_t   fill;
} cobs;

static void close_block(cobs *out)
{
    out->wire[out->code] = (uint8_t)(out->fill - out->code);
    out->code = out->fill++;
}

static void push(cobs *out, uint8_t byte)
{
    if (out->fill - out->code == BLOCK) {
        close_block(out);
    }
    if (byte == 0) {
        close_block(out);
        return;
    }
    out->wire[out->fill++] = byte;
}

size_t rl_frame_encode(uint8_t type, uint16_t seq, const uint8_t *body,
                       size_t n, uint8_t *wire)
{
    const uint8_t head[4] = {
        type, VERSION, (uint8_t)(seq & 0xFFu), (uint8_t)(seq >> 8)
    };
    cobs out = { wire, 1, 2 };
    if (n > RL_FRAME_BODY) {
        return 0;
    }
    uint32_t crc = rl_crc32(rl_crc32(0, head, sizeof head), body, n);
    wire[0] = 0;
    for (size_t i = 0; i < sizeof head; i++) {
        push(&out, head[i]);
    }
    for (size_t i = 0; i < n; i++) {
        push(&out, body[i]);
    }
    for (unsigned i = 0; i < CRC_SIZE; i++) {
        push(&out, (uint8_t)(crc >> (8u * i) & 0xFFu));
    }
    close_block(&out);
    wire[out.code] = 0;
    return out.fill;
}
