/* relume: NVM objects of module _relume: kind, size, models, read(), write(),
 * and FRAM's start(), busy(), flush(). */
#include "bind.h"

#if defined(RL_PORT_FRAM)
#include "port_rp2.h"
#endif
#if defined(RL_PORT_FILE)
#include "nvm_file.h"
#endif

typedef struct {
    mp_obj_base_t base;
    rl_nvm        nvm;
    mp_obj_t      source; /* of the write in the background: kept alive */
    #if defined(RL_PORT_FRAM)
    rl_port_spi   pins;
    rl_fram       fram;
    rl_port_i2c   bus;
    rl_fram_i2c   wire;
    #endif
    #if defined(RL_PORT_FILE)
    rl_file       file;
    #endif
} bind_nvm;

static bool is_nvm(mp_obj_t object) {
    #if defined(RL_PORT_FRAM)
    if (mp_obj_is_type(object, &rl_bind_fram_type)
        || mp_obj_is_type(object, &rl_bind_fram_i2c_type)) {
        return true;
    }
    #endif
    #if defined(RL_PORT_FILE)
    if (mp_obj_is_type(object, &rl_bind_file_type)) {
        return true;
    }
    #endif
    return mp_obj_is_type(object, &rl_bind_flash_type);
}

rl_nvm *rl_bind_nvm(mp_obj_t object) {
    if (!is_nvm(object)) {
        mp_raise_TypeError(MP_ERROR_TEXT("needs FRAM, Flash or File"));
    }
    bind_nvm *self = MP_OBJ_TO_PTR(object);
    return &self->nvm;
}

/* ---- Methods ----------------------------------------------------------- */

/* [at, at + n) inside the NVM, or ValueError. */
static uint32_t inside(const rl_nvm *nvm, mp_obj_t at_in, size_t n) {
    mp_int_t at = mp_obj_get_int(at_in);
    if (at < 0 || (mp_uint_t)at > nvm->size
        || n > nvm->size - (mp_uint_t)at) {
        rl_bind_raise(RL_E_ARG);
    }
    return (uint32_t)at;
}

static mp_obj_t nvm_read(mp_obj_t self_in, mp_obj_t at_in, mp_obj_t n_in) {
    rl_nvm *nvm = rl_bind_nvm(self_in);
    mp_int_t n = mp_obj_get_int(n_in);
    if (n < 0) {
        rl_bind_raise(RL_E_ARG);
    }
    uint32_t at = inside(nvm, at_in, (size_t)n);
    vstr_t data;
    vstr_init_len(&data, (size_t)n);
    rl_bind_try(nvm->read(nvm, at, data.buf, (uint32_t)n));
    return mp_obj_new_bytes_from_vstr(&data);
}
static MP_DEFINE_CONST_FUN_OBJ_3(nvm_read_obj, nvm_read);

/* Flash: whole aligned pages; bits go from 1 to 0 only. */
static mp_obj_t nvm_write(mp_obj_t self_in, mp_obj_t at_in, mp_obj_t data) {
    rl_nvm *nvm = rl_bind_nvm(self_in);
    mp_buffer_info_t info;
    mp_get_buffer_raise(data, &info, MP_BUFFER_READ);
    uint32_t at = inside(nvm, at_in, info.len);
    uint32_t n = (uint32_t)info.len, piece = n;
    const uint8_t *from = info.buf;
    if (nvm->kind == RL_NVM_FLASH) {
        piece = RL_FLASH_PAGE;
        if (n % piece != 0 || at % piece != 0) {
            rl_bind_raise(RL_E_ARG);
        }
    }
    for (; n != 0; n -= piece, at += piece, from += piece) {
        rl_bind_try(nvm->write(nvm, at, from, piece));
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(nvm_write_obj, nvm_write);

/* erase(at): one sector, flash only. */
static mp_obj_t nvm_erase(mp_obj_t self_in, mp_obj_t at_in) {
    rl_nvm *nvm = rl_bind_nvm(self_in);
    uint32_t at = inside(nvm, at_in, RL_FLASH_SECTOR);
    if (nvm->kind != RL_NVM_FLASH || at % RL_FLASH_SECTOR != 0) {
        rl_bind_raise(RL_E_ARG);
    }
    rl_bind_try(nvm->erase(nvm, at));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(nvm_erase_obj, nvm_erase);

#if defined(RL_PORT_FRAM)

/* start(at, data): a write in the background; data must not change until
 * flush() has waited for its end. */
static mp_obj_t nvm_start(mp_obj_t self_in, mp_obj_t at_in, mp_obj_t data) {
    rl_nvm *nvm = rl_bind_nvm(self_in);
    mp_buffer_info_t info;
    mp_get_buffer_raise(data, &info, MP_BUFFER_READ);
    uint32_t at = inside(nvm, at_in, info.len);
    rl_bind_try(nvm->start(nvm, at, info.buf, (uint32_t)info.len));
    ((bind_nvm *)MP_OBJ_TO_PTR(self_in))->source = data;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(nvm_start_obj, nvm_start);

static mp_obj_t nvm_busy(mp_obj_t self_in) {
    rl_nvm *nvm = rl_bind_nvm(self_in);
    return mp_obj_new_bool(nvm->busy(nvm));
}
static MP_DEFINE_CONST_FUN_OBJ_1(nvm_busy_obj, nvm_busy);

static mp_obj_t nvm_flush(mp_obj_t self_in) {
    rl_nvm *nvm = rl_bind_nvm(self_in);
    rl_status status = nvm->finish(nvm);
    ((bind_nvm *)MP_OBJ_TO_PTR(self_in))->source = mp_const_none;
    rl_bind_try(status);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(nvm_flush_obj, nvm_flush);

#endif

static void nvm_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    bind_nvm *self = MP_OBJ_TO_PTR(self_in);
    if (dest[0] != MP_OBJ_NULL) {
        return; /* nothing can be stored */
    }
    if (attr == MP_QSTR_kind) {
        dest[0] = MP_OBJ_NEW_SMALL_INT(self->nvm.kind);
    } else if (attr == MP_QSTR_size) {
        dest[0] = rl_bind_uint(self->nvm.size);
    } else if (attr == MP_QSTR_models) {
        dest[0] = rl_bind_uint(rl_nvm_models(&self->nvm));
    } else {
        dest[1] = MP_OBJ_SENTINEL; /* go on in locals_dict */
    }
}

static const mp_rom_map_elem_t nvm_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_read), MP_ROM_PTR(&nvm_read_obj) },
    { MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&nvm_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_erase), MP_ROM_PTR(&nvm_erase_obj) },
};
static MP_DEFINE_CONST_DICT(nvm_locals, nvm_locals_table);

#if defined(RL_PORT_FRAM)
static const mp_rom_map_elem_t fram_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_read), MP_ROM_PTR(&nvm_read_obj) },
    { MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&nvm_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_start), MP_ROM_PTR(&nvm_start_obj) },
    { MP_ROM_QSTR(MP_QSTR_busy), MP_ROM_PTR(&nvm_busy_obj) },
    { MP_ROM_QSTR(MP_QSTR_flush), MP_ROM_PTR(&nvm_flush_obj) },
};
static MP_DEFINE_CONST_DICT(fram_locals, fram_locals_table);
#endif

/* ---- Flash: the store region ------------------------------------------- */

static mp_obj_t flash_make_new(const mp_obj_type_t *type, size_t n_args,
                               size_t n_kw, const mp_obj_t *args) {
    (void)args;
    mp_arg_check_num(n_args, n_kw, 0, 0, false);
    bind_nvm *self = mp_obj_malloc(bind_nvm, type);
    rl_bind_try(rl_port_store(&self->nvm));
    return MP_OBJ_FROM_PTR(self);
}

MP_DEFINE_CONST_OBJ_TYPE(
    rl_bind_flash_type, MP_QSTR_Flash, MP_TYPE_FLAG_NONE,
    make_new, flash_make_new,
    attr, nvm_attr,
    locals_dict, &nvm_locals);

/* ---- FRAM on SPI ------------------------------------------------------- */

#if defined(RL_PORT_FRAM)

/* FRAM(spi, sck, mosi, miso, cs, baud, size): what is left out is taken from
 * the board's board.toml. OSError when no chip answers. */
static mp_obj_t fram_make_new(const mp_obj_type_t *type, size_t n_args,
                              size_t n_kw, const mp_obj_t *all) {
    enum { ARG_spi, ARG_sck, ARG_mosi, ARG_miso, ARG_cs, ARG_baud, ARG_size };
    static const mp_arg_t allowed[] = {
        { MP_QSTR_spi, MP_ARG_INT, { .u_int = RL_PIN_FRAM_SPI } },
        { MP_QSTR_sck, MP_ARG_INT, { .u_int = RL_PIN_FRAM_SCK } },
        { MP_QSTR_mosi, MP_ARG_INT, { .u_int = RL_PIN_FRAM_MOSI } },
        { MP_QSTR_miso, MP_ARG_INT, { .u_int = RL_PIN_FRAM_MISO } },
        { MP_QSTR_cs, MP_ARG_INT, { .u_int = RL_PIN_FRAM_CS } },
        { MP_QSTR_baud, MP_ARG_INT, { .u_int = RL_FRAM_HZ } },
        { MP_QSTR_size, MP_ARG_INT, { .u_int = RL_FRAM_SIZE } },
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all_kw_array(n_args, n_kw, all, MP_ARRAY_SIZE(allowed),
                              allowed, args);
    for (size_t i = 0; i < MP_ARRAY_SIZE(allowed); i++) {
        if (args[i].u_int < 0 || (i < ARG_baud && args[i].u_int > 255)) {
            rl_bind_raise(RL_E_ARG);
        }
    }
    bind_nvm *self = mp_obj_malloc(bind_nvm, type);
    self->pins = (rl_port_spi) {
        .spi = (uint8_t)args[ARG_spi].u_int,
        .sck = (uint8_t)args[ARG_sck].u_int,
        .mosi = (uint8_t)args[ARG_mosi].u_int,
        .miso = (uint8_t)args[ARG_miso].u_int,
        .cs = (uint8_t)args[ARG_cs].u_int,
        .baud = (uint32_t)args[ARG_baud].u_int,
    };
    rl_spi spi;
    rl_bind_try(rl_port_spi_init(&self->pins, &spi));
    rl_bind_try(rl_fram_init(&self->fram, &spi,
                             (uint32_t)args[ARG_size].u_int, &self->nvm));
    return MP_OBJ_FROM_PTR(self);
}

MP_DEFINE_CONST_OBJ_TYPE(
    rl_bind_fram_type, MP_QSTR_FRAM, MP_TYPE_FLAG_NONE,
    make_new, fram_make_new,
    attr, nvm_attr,
    locals_dict, &fram_locals);

/* ---- FRAM on I2C ------------------------------------------------------- */

/* FRAM_I2C(i2c, sda, scl, address, baud, size): what is left out is taken
 * from the board's board.toml. OSError when no chip answers. */
static mp_obj_t fram_i2c_make_new(const mp_obj_type_t *type, size_t n_args,
                                  size_t n_kw, const mp_obj_t *all) {
    enum { ARG_i2c, ARG_sda, ARG_scl, ARG_address, ARG_baud, ARG_size };
    static const mp_arg_t allowed[] = {
        { MP_QSTR_i2c, MP_ARG_INT, { .u_int = RL_PIN_FRAM_I2C } },
        { MP_QSTR_sda, MP_ARG_INT, { .u_int = RL_PIN_FRAM_SDA } },
        { MP_QSTR_scl, MP_ARG_INT, { .u_int = RL_PIN_FRAM_SCL } },
        { MP_QSTR_address, MP_ARG_INT, { .u_int = RL_FRAM_I2C_ADDRESS } },
        { MP_QSTR_baud, MP_ARG_INT, { .u_int = RL_FRAM_I2C_HZ } },
        { MP_QSTR_size, MP_ARG_INT, { .u_int = RL_FRAM_I2C_SIZE } },
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all_kw_array(n_args, n_kw, all, MP_ARRAY_SIZE(allowed),
                              allowed, args);
    for (size_t i = 0; i < MP_ARRAY_SIZE(allowed); i++) {
        if (args[i].u_int < 0 || (i < ARG_baud && args[i].u_int > 255)) {
            rl_bind_raise(RL_E_ARG);
        }
    }
    bind_nvm *self = mp_obj_malloc(bind_nvm, type);
    self->bus = (rl_port_i2c) {
        .i2c = (uint8_t)args[ARG_i2c].u_int,
        .sda = (uint8_t)args[ARG_sda].u_int,
        .scl = (uint8_t)args[ARG_scl].u_int,
        .baud = (uint32_t)args[ARG_baud].u_int,
    };
    rl_i2c i2c;
    rl_bind_try(rl_port_i2c_init(&self->bus, &i2c));
    rl_bind_try(rl_fram_i2c_init(&self->wire, &i2c,
                                 (uint8_t)args[ARG_address].u_int,
                                 (uint32_t)args[ARG_size].u_int, &self->nvm));
    return MP_OBJ_FROM_PTR(self);
}

MP_DEFINE_CONST_OBJ_TYPE(
    rl_bind_fram_i2c_type, MP_QSTR_FRAM_I2C, MP_TYPE_FLAG_NONE,
    make_new, fram_i2c_make_new,
    attr, nvm_attr,
    locals_dict, &nvm_locals);

#endif

/* ---- A file ------------------------------------------------------------ */

#if defined(RL_PORT_FILE)

/* File(path, size): byte-writable NVM in a file that is made if missing. */
static mp_obj_t file_make_new(const mp_obj_type_t *type, size_t n_args,
                              size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 2, 2, false);
    mp_int_t size = mp_obj_get_int(args[1]);
    if (size <= 0 || size > INT32_MAX) {
        rl_bind_raise(RL_E_ARG);
    }
    bind_nvm *self = mp_obj_malloc(bind_nvm, type);
    rl_bind_try(rl_file_open(&self->file, mp_obj_str_get_str(args[0]),
                             (uint32_t)size, &self->nvm));
    return MP_OBJ_FROM_PTR(self);
}

MP_DEFINE_CONST_OBJ_TYPE(
    rl_bind_file_type, MP_QSTR_File, MP_TYPE_FLAG_NONE,
    make_new, file_make_new,
    attr, nvm_attr,
    locals_dict, &nvm_locals);

#endif
