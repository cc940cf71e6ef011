/* relume: frames (SPEC 6) as Decoder and encode() of module _relume. */
#include "bind.h"

#include "py/mphal.h"
#include "py/runtime.h"

#include "frame.h"

#define VERSION 1u
#define CTRL_C 3
#define BURST 512 /* bytes taken before Python has its turn */
#define PATIENCE_MS 3 /* silence inside a frame before Python has its turn */

typedef struct {
    mp_obj_base_t    base;
    rl_frame_decoder decoder;
    bool             escape; /* 0D 03 came outside a frame */
} bind_decoder;

static mp_obj_t decoder_make_new(const mp_obj_type_t *type, size_t n_args,
                                 size_t n_kw, const mp_obj_t *args) {
    (void)args;
    mp_arg_check_num(n_args, n_kw, 0, 0, false);
    bind_decoder *self = mp_obj_malloc(bind_decoder, type);
    rl_frame_reset(&self->decoder);
    self->escape = false;
    return MP_OBJ_FROM_PTR(self);
}

/* The (type, seq, body) of the frame that is ready. */
static mp_obj_t frame_tuple(const rl_frame_decoder *decoder) {
    const uint8_t *payload = decoder->payload;
    uint32_t body = decoder->fill - 8u;
    mp_obj_t items[3] = {
        MP_OBJ_NEW_SMALL_INT(payload[0]),
        MP_OBJ_NEW_SMALL_INT(payload[2] | payload[3] << 8),
        mp_obj_new_bytes(payload + 4, body)
    };
    return mp_obj_new_tuple(3, items);
}

/* Adds the frame that ends with this byte, if one does. The list is made for
 * the first one, so that listening leaves no garbage. */
static void take_byte(bind_decoder *self, uint8_t byte, mp_obj_t *list) {
    rl_frame_event event = rl_frame_feed(&self->decoder, byte);
    if (event == RL_FRAME_ESCAPE) {
        self->escape = true;
    } else if (event == RL_FRAME_READY && self->decoder.fill >= 8u
               && self->decoder.payload[1] == VERSION) {
        if (*list == mp_const_empty_tuple) {
            *list = mp_obj_new_list(0, NULL);
        }
        mp_obj_list_append(*list, frame_tuple(&self->decoder));
    }
}

/* feed(data) -> the frames (type, seq, body) that end in data. Frames of another protocol version are
 * dropped. Bytes after an escape are not looked at. */
static mp_obj_t decoder_feed(mp_obj_t self_in, mp_obj_t data) {
    bind_decoder *self = MP_OBJ_TO_PTR(self_in);
    mp_buffer_info_t info;
    mp_get_buffer_raise(data, &info, MP_BUFFER_READ);
    const uint8_t *byte = info.buf;
    mp_obj_t list = mp_const_empty_tuple;
    for (size_t i = 0; i < info.len && !self->escape; i++) {
        take_byte(self, byte[i], &list);
    }
    return list;
}
static MP_DEFINE_CONST_FUN_OBJ_2(decoder_feed_obj, decoder_feed);

/* True when Ctrl-C was pressed and Python has not heard of it yet. */
static bool interrupted(void) {
    return MP_STATE_THREAD(mp_pending_exception) != MP_OBJ_NULL;
}

/* Inside a frame the next byte is due in 0.1 ms (115200 baud). Sleeping here
 * for it costs a tenth of what a turn through Python costs. True when a byte
 * or any other event came in time. */
static bool more_to_come(const bind_decoder *self, mp_uint_t since) {
    if (self->decoder.state != RL_FRAME_INSIDE
        || mp_hal_ticks_ms() - since > PATIENCE_MS) {
        return false;
    }
    mp_event_wait_ms(1);
    return true;
}

/* receive(ctrl_c) -> frames that have arrived on the console, waiting only
 * inside a frame; None when it is closed. Not one byte is taken after an
 * escape or a Ctrl-C (which counts if ctrl_c is true): they are for the REPL. */
static mp_obj_t decoder_receive(mp_obj_t self_in, mp_obj_t ctrl_c) {
    bind_decoder *self = MP_OBJ_TO_PTR(self_in);
    mp_obj_t list = mp_const_empty_tuple;
    bool counts = mp_obj_is_true(ctrl_c);
    mp_uint_t since = mp_hal_ticks_ms();
    int taken = 0;
    while (taken < BURST && !self->escape && !interrupted()) {
        uint8_t byte;
        int32_t got = rl_port_console(&byte, 1);
        if (got < 0) {
            return mp_const_none;
        }
        if (got == 0) {
            if (list == mp_const_empty_tuple && more_to_come(self, since)) {
                continue;
            }
            break;
        }
        taken++;
        since = mp_hal_ticks_ms();
        if (counts && byte == CTRL_C) {
            self->escape = true;
            break;
        }
        take_byte(self, byte, &list);
    }
    return list;
}
static MP_DEFINE_CONST_FUN_OBJ_2(decoder_receive_obj, decoder_receive);

static mp_obj_t decoder_reset(mp_obj_t self_in) {
    bind_decoder *self = MP_OBJ_TO_PTR(self_in);
    rl_frame_reset(&self->decoder);
    self->escape = false;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(decoder_reset_obj, decoder_reset);

static void decoder_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    bind_decoder *self = MP_OBJ_TO_PTR(self_in);
    if (dest[0] == MP_OBJ_NULL && attr == MP_QSTR_escape) {
        dest[0] = mp_obj_new_bool(self->escape);
    } else {
        dest[1] = MP_OBJ_SENTINEL; /* go on in locals_dict */
    }
}

static const mp_rom_map_elem_t decoder_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_receive), MP_ROM_PTR(&decoder_receive_obj) },
    { MP_ROM_QSTR(MP_QSTR_feed), MP_ROM_PTR(&decoder_feed_obj) },
    { MP_ROM_QSTR(MP_QSTR_reset), MP_ROM_PTR(&decoder_reset_obj) },
};
static MP_DEFINE_CONST_DICT(decoder_locals, decoder_locals_table);

MP_DEFINE_CONST_OBJ_TYPE(
    rl_bind_decoder_type, MP_QSTR_Decoder, MP_TYPE_FLAG_NONE,
    make_new, decoder_make_new,
    attr, decoder_attr,
    locals_dict, &decoder_locals);

/* encode(type, seq, body) -> the frame's bytes on the wire. */
static mp_obj_t relume_encode(mp_obj_t type, mp_obj_t seq, mp_obj_t body) {
    uint8_t wire[RL_FRAME_WIRE];
    mp_buffer_info_t info;
    mp_get_buffer_raise(body, &info, MP_BUFFER_READ);
    size_t n = rl_frame_encode((uint8_t)mp_obj_get_int(type),
                               (uint16_t)mp_obj_get_int(seq), info.buf,
                               info.len, wire);
    if (n == 0) {
        rl_bind_raise(RL_E_SIZE);
    }
    return mp_obj_new_bytes(wire, n);
}
MP_DEFINE_CONST_FUN_OBJ_3(rl_bind_encode_obj, relume_encode);
