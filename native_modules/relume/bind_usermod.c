/* relume: module _relume. Binds the core to MicroPython as a user C module;
 * objects in the other bind_*.c files. */
#include "bind.h"
#include "version.h"

#include "py/objexcept.h"
#include "py/objstr.h"

/* ---- Errors ------------------------------------------------------------ */

/* args = (text, code); str() gives the text alone. */
static void error_print(const mp_print_t *print, mp_obj_t self_in,
                        mp_print_kind_t kind) {
    mp_obj_exception_t *self = MP_OBJ_TO_PTR(self_in);
    mp_obj_t text = MP_OBJ_NEW_QSTR(MP_QSTR_);
    if (self->args->len != 0) {
        text = self->args->items[0];
    }
    if (kind & PRINT_EXC_SUBCLASS) {
        kind = (mp_print_kind_t)(kind & ~PRINT_EXC_SUBCLASS);
    } else if (kind != PRINT_STR) {
        mp_printf(print, "%q", (qstr)self->base.type->name);
    }
    if (kind == PRINT_STR) {
        mp_obj_print_helper(print, text, PRINT_STR);
    } else if (kind == PRINT_EXC) {
        mp_print_str(print, ": ");
        mp_obj_print_helper(print, text, PRINT_STR);
    } else {
        mp_print_str(print, "(");
        mp_obj_print_helper(print, text, PRINT_REPR);
        mp_print_str(print, ")");
    }
}

static void error_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    mp_obj_exception_t *self = MP_OBJ_TO_PTR(self_in);
    if (dest[0] == MP_OBJ_NULL && attr == MP_QSTR_code
        && self->args->len == 2) {
        dest[0] = self->args->items[1];
        return;
    }
    mp_obj_exception_attr(self_in, attr, dest);
}

static MP_DEFINE_CONST_OBJ_TYPE(
    blob_error_type, MP_QSTR_BlobError, MP_TYPE_FLAG_NONE,
    make_new, mp_obj_exception_make_new,
    print, error_print,
    attr, error_attr,
    parent, &mp_type_ValueError);

static MP_DEFINE_CONST_OBJ_TYPE(
    board_error_type, MP_QSTR_BoardError, MP_TYPE_FLAG_NONE,
    make_new, mp_obj_exception_make_new,
    print, error_print,
    attr, error_attr,
    parent, &mp_type_OSError);

static const mp_obj_type_t *error_type(rl_status status) {
    switch (status) {
        case RL_E_NVM:
        case RL_E_NVM_SIZE:
        case RL_E_NVM_KIND:
        case RL_E_DAMAGED:
        case RL_E_STUCK:
        case RL_E_STATE:
        case RL_E_MODEL:
        case RL_E_FULL:
            return &board_error_type;
        default:
            return &blob_error_type;
    }
}

static __attribute__((noreturn)) void raise_text(rl_status status,
                                                 mp_obj_t text) {
    mp_obj_t args[2] = { text, MP_OBJ_NEW_SMALL_INT((int)status) };
    nlr_raise(mp_obj_new_exception_args(error_type(status), 2, args));
}

void rl_bind_raise(rl_status status) {
    const char *text = rl_status_text(status);
    raise_text(status, mp_obj_new_str_from_cstr(text));
}

void rl_bind_raise_fault(rl_status status, const rl_blob_fault *fault) {
    vstr_t line;
    vstr_init(&line, 64);
    vstr_printf(&line, "%s: %s at offset %u", rl_status_text(status),
                rl_blob_fault_text(fault->number), (unsigned)fault->offset);
    raise_text(status, mp_obj_new_str_from_vstr(&line));
}

rl_status rl_bind_try(rl_status status) {
    if ((int)status < 0) {
        rl_bind_raise(status);
    }
    return status;
}

/* ---- Values ------------------------------------------------------------ */

mp_obj_t rl_bind_uint(uint32_t value) {
    return mp_obj_new_int_from_uint(value);
}

uint32_t rl_bind_u32(mp_obj_t object) {
    /* Values of 2^31 and above are big integers on a 32-bit board. */
    return (uint32_t)mp_obj_get_int_truncated(object);
}

void rl_bind_blob(mp_obj_t buffer, int with_data, rl_blob *blob) {
    mp_buffer_info_t info;
    rl_blob_fault fault;
    mp_get_buffer_raise(buffer, &info, MP_BUFFER_READ);
    if (((uintptr_t)info.buf & 3u) != 0) {
        raise_text(RL_E_ARG,
                   mp_obj_new_str_from_cstr("buffer is not 4-byte aligned"));
    }
    rl_status status = rl_blob_check(info.buf, info.len, with_data, blob,
                                     &fault);
    if (status != RL_OK) {
        rl_bind_raise_fault(status, &fault);
    }
}

/* ---- Functions --------------------------------------------------------- */

static mp_obj_t relume_check(size_t n_args, const mp_obj_t *args) {
    rl_blob blob;
    rl_bind_blob(args[0], n_args < 2 || mp_obj_is_true(args[1]), &blob);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(relume_check_obj, 1, 2,
                                           relume_check);

static mp_obj_t text_at(const rl_blob *blob, uint32_t string) {
    const uint8_t *text = blob->base + blob->header->off_strings + string;
    return mp_obj_new_str_from_cstr((const char *)text);
}

static void store_uint(mp_obj_t dict, qstr key, uint32_t value) {
    mp_obj_dict_store(dict, MP_OBJ_NEW_QSTR(key), rl_bind_uint(value));
}

static mp_obj_t shape_of(const rl_tensor *tensor) {
    mp_obj_t items[3] = { MP_OBJ_NEW_SMALL_INT(tensor->h),
                          MP_OBJ_NEW_SMALL_INT(tensor->w),
                          MP_OBJ_NEW_SMALL_INT(tensor->c) };
    return mp_obj_new_tuple(3, items);
}

static mp_obj_t relume_info(mp_obj_t buffer) {
    rl_blob blob;
    rl_bind_blob(buffer, 0, &blob);
    const rl_header *header = blob.header;
    const rl_tensor *input = &blob.tensors[header->input];
    const rl_tensor *output = &blob.tensors[header->output];
    mp_obj_t dict = mp_obj_new_dict(16);
    mp_obj_dict_store(dict, MP_OBJ_NEW_QSTR(MP_QSTR_name),
                      text_at(&blob, header->name));
    mp_obj_dict_store(dict, MP_OBJ_NEW_QSTR(MP_QSTR_board),
                      text_at(&blob, header->board));
    mp_obj_dict_store(dict, MP_OBJ_NEW_QSTR(MP_QSTR_input_shape),
                      shape_of(input));
    mp_obj_dict_store(dict, MP_OBJ_NEW_QSTR(MP_QSTR_output_shape),
                      shape_of(output));
    store_uint(dict, MP_QSTR_input_size, input->size);
    store_uint(dict, MP_QSTR_output_size, output->size);
    store_uint(dict, MP_QSTR_meta_crc, header->meta_crc);
    store_uint(dict, MP_QSTR_data_crc, header->data_crc);
    store_uint(dict, MP_QSTR_size, header->total_size);
    store_uint(dict, MP_QSTR_nvm_kind, header->nvm_kind);
    store_uint(dict, MP_QSTR_nvm_size, header->nvm_size);
    store_uint(dict, MP_QSTR_arena_size,
               header->arena_size + header->scratch_size);
    store_uint(dict, MP_QSTR_tiles, header->n_tiles);
    store_uint(dict, MP_QSTR_segments, header->n_segments);
    return dict;
}
static MP_DEFINE_CONST_FUN_OBJ_1(relume_info_obj, relume_info);

static mp_obj_t relume_crc32(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(args[0], &info, MP_BUFFER_READ);
    uint32_t crc = n_args > 1 ? rl_bind_u32(args[1]) : 0;
    return rl_bind_uint(rl_port_crc32(crc, info.buf,
                                      (uint32_t)info.len));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(relume_crc32_obj, 1, 2,
                                           relume_crc32);

/* {name: (offset, size)}, bytes from the start of flash. */
static mp_obj_t relume_regions(void) {
    size_t n;
    const rl_region *region = rl_port_regions(&n);
    mp_obj_t dict = mp_obj_new_dict(n);
    for (; n != 0; n--, region++) {
        mp_obj_t place[2] = { rl_bind_uint(region->offset),
                              rl_bind_uint(region->size) };
        mp_obj_dict_store(dict, mp_obj_new_str_from_cstr(region->name),
                          mp_obj_new_tuple(2, place));
    }
    return dict;
}
static MP_DEFINE_CONST_FUN_OBJ_0(relume_regions_obj, relume_regions);

static mp_obj_t relume_millivolts(void) {
    return rl_bind_uint(rl_port_millivolts());
}
static MP_DEFINE_CONST_FUN_OBJ_0(relume_millivolts_obj, relume_millivolts);

static mp_obj_t relume_cycles(void) {
    return mp_obj_new_int_from_ull(rl_port_cycles(NULL));
}
static MP_DEFINE_CONST_FUN_OBJ_0(relume_cycles_obj, relume_cycles);

static mp_obj_t relume_micros(void) {
    return rl_bind_uint(rl_port_micros());
}
static MP_DEFINE_CONST_FUN_OBJ_0(relume_micros_obj, relume_micros);

static mp_obj_t relume_board(void) {
    return mp_obj_new_str_from_cstr(rl_port_board);
}
static MP_DEFINE_CONST_FUN_OBJ_0(relume_board_obj, relume_board);

static mp_obj_t relume_text(mp_obj_t status) {
    rl_status code = (rl_status)mp_obj_get_int(status);
    return mp_obj_new_str_from_cstr(rl_status_text(code));
}
static MP_DEFINE_CONST_FUN_OBJ_1(relume_text_obj, relume_text);

/* ---- Module ------------------------------------------------------------ */

static const MP_DEFINE_STR_OBJ(relume_version_obj, RL_VERSION);

static const mp_rom_map_elem_t relume_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__relume) },
    { MP_ROM_QSTR(MP_QSTR_VERSION), MP_ROM_PTR(&relume_version_obj) },
    { MP_ROM_QSTR(MP_QSTR_check), MP_ROM_PTR(&relume_check_obj) },
    { MP_ROM_QSTR(MP_QSTR_info), MP_ROM_PTR(&relume_info_obj) },
    { MP_ROM_QSTR(MP_QSTR_crc32), MP_ROM_PTR(&relume_crc32_obj) },
    { MP_ROM_QSTR(MP_QSTR_regions), MP_ROM_PTR(&relume_regions_obj) },
    { MP_ROM_QSTR(MP_QSTR_millivolts), MP_ROM_PTR(&relume_millivolts_obj) },
    { MP_ROM_QSTR(MP_QSTR_cycles), MP_ROM_PTR(&relume_cycles_obj) },
    { MP_ROM_QSTR(MP_QSTR_micros), MP_ROM_PTR(&relume_micros_obj) },
    { MP_ROM_QSTR(MP_QSTR_board), MP_ROM_PTR(&relume_board_obj) },
    { MP_ROM_QSTR(MP_QSTR_text), MP_ROM_PTR(&relume_text_obj) },
    { MP_ROM_QSTR(MP_QSTR_BlobError), MP_ROM_PTR(&blob_error_type) },
    { MP_ROM_QSTR(MP_QSTR_BoardError), MP_ROM_PTR(&board_error_type) },
    #if defined(RL_PORT_FRAM)
    { MP_ROM_QSTR(MP_QSTR_FRAM), MP_ROM_PTR(&rl_bind_fram_type) },
    { MP_ROM_QSTR(MP_QSTR_FRAM_I2C), MP_ROM_PTR(&rl_bind_fram_i2c_type) },
    #endif
    #if defined(RL_PORT_FILE)
    { MP_ROM_QSTR(MP_QSTR_File), MP_ROM_PTR(&rl_bind_file_type) },
    { MP_ROM_QSTR(MP_QSTR_FILE_SIZE), MP_ROM_INT(RL_FILE_SIZE) },
    #endif
    { MP_ROM_QSTR(MP_QSTR_Flash), MP_ROM_PTR(&rl_bind_flash_type) },
    { MP_ROM_QSTR(MP_QSTR_Session), MP_ROM_PTR(&rl_bind_session_type) },
    { MP_ROM_QSTR(MP_QSTR_KV), MP_ROM_PTR(&rl_bind_kv_type) },
    { MP_ROM_QSTR(MP_QSTR_Decoder), MP_ROM_PTR(&rl_bind_decoder_type) },
    { MP_ROM_QSTR(MP_QSTR_encode), MP_ROM_PTR(&rl_bind_encode_obj) },
    { MP_ROM_QSTR(MP_QSTR_signed), MP_ROM_PTR(&rl_bind_signed_obj) },
    { MP_ROM_QSTR(MP_QSTR_slot_digest), MP_ROM_PTR(&rl_bind_slot_digest_obj) },
    { MP_ROM_QSTR(MP_QSTR_slots), MP_ROM_PTR(&rl_bind_slots_obj) },
    { MP_ROM_QSTR(MP_QSTR_slot_begin), MP_ROM_PTR(&rl_bind_slot_begin_obj) },
    { MP_ROM_QSTR(MP_QSTR_slot_write), MP_ROM_PTR(&rl_bind_slot_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_slot_end), MP_ROM_PTR(&rl_bind_slot_end_obj) },
    { MP_ROM_QSTR(MP_QSTR_slot_remove),
      MP_ROM_PTR(&rl_bind_slot_remove_obj) },
    { MP_ROM_QSTR(MP_QSTR_slot_blob), MP_ROM_PTR(&rl_bind_slot_blob_obj) },
    { MP_ROM_QSTR(MP_QSTR_BLOB_MAJOR), MP_ROM_INT(RL_BLOB_MAJOR) },
    { MP_ROM_QSTR(MP_QSTR_BLOB_MINOR), MP_ROM_INT(RL_BLOB_MINOR) },
    { MP_ROM_QSTR(MP_QSTR_MORE), MP_ROM_INT(RL_MORE) },
    { MP_ROM_QSTR(MP_QSTR_DONE), MP_ROM_INT(RL_DONE) },
    { MP_ROM_QSTR(MP_QSTR_ERASED), MP_ROM_INT(RL_ERASED) },
    { MP_ROM_QSTR(MP_QSTR_RAN), MP_ROM_INT(RL_RAN) },
};
static MP_DEFINE_CONST_DICT(relume_globals, relume_globals_table);

const mp_obj_module_t relume_user_cmodule = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&relume_globals,
};

MP_REGISTER_MODULE(MP_QSTR__relume, relume_user_cmodule);
