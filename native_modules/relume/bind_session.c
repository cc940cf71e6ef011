/* relume: class Session of module _relume: one model's inference over an
 * NVM. The arena lives on the GC heap as long as the object. */
#include "bind.h"

#include "session.h"

typedef struct {
    mp_obj_base_t base;
    rl_session    session;
    rl_store      store;
    rl_blob       blob;
    mp_obj_t      blob_obj, nvm_obj; /* keep what the pointers point to */
    uint32_t      at, size;          /* of the store in the NVM */
    bool          mounted; /* the store was found; take and clear may run */
    bool          open;    /* and its record fits this model */
} bind_session;

static uint32_t millivolts(void *ctx) {
    (void)ctx;
    return rl_port_millivolts();
}

static mp_obj_t session_make_new(const mp_obj_type_t *type, size_t n_args,
                                 size_t n_kw, const mp_obj_t *all) {
    enum { ARG_blob, ARG_nvm, ARG_base, ARG_size };
    static const mp_arg_t allowed[] = {
        { MP_QSTR_blob, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = NULL } },
        { MP_QSTR_nvm, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = NULL } },
        { MP_QSTR_base, MP_ARG_INT, { .u_int = 0 } },
        { MP_QSTR_size, MP_ARG_INT, { .u_int = -1 } },
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all_kw_array(n_args, n_kw, all, MP_ARRAY_SIZE(allowed),
                              allowed, args);
    bind_session *self = mp_obj_malloc(bind_session, type);
    self->blob_obj = args[ARG_blob].u_obj;
    self->nvm_obj = args[ARG_nvm].u_obj;
    self->mounted = false;
    self->open = false;
    self->store = (rl_store) { 0 };
    rl_bind_blob(self->blob_obj, 0, &self->blob);
    const rl_nvm *nvm = rl_bind_nvm(self->nvm_obj);
    uint32_t room = nvm->size, models = rl_nvm_models(nvm);
    mp_int_t base = args[ARG_base].u_int, size = args[ARG_size].u_int;
    if (base < 0 || (uint32_t)base > room || size < -1
        || (size != -1 && (uint32_t)size > room - (uint32_t)base)) {
        mp_raise_ValueError(MP_ERROR_TEXT("store leaves the NVM"));
    }
    self->at = (uint32_t)base;
    self->size = size != -1 ? (uint32_t)size
               : (self->at < models ? models : room) - self->at;
    rl_session *session = &self->session;
    *session = (rl_session) { 0 };
    session->blob = &self->blob;
    session->store = &self->store;
    session->cycles = rl_port_cycles;
    session->pace.millivolts = millivolts;
    session->stage.fetch.begin = rl_port_fetch;
    session->stage.fetch.end = rl_port_fetched;
    return MP_OBJ_FROM_PTR(self);
}

static bind_session *opened(mp_obj_t self_in) {
    bind_session *self = MP_OBJ_TO_PTR(self_in);
    if (!self->open) {
        rl_bind_raise(RL_E_STATE);
    }
    return self;
}

/* Arena and work memory, once; the engine fills the arena before it reads. */
static void memory(bind_session *self) {
    rl_session *session = &self->session;
    const rl_header *header = self->blob.header;
    if (session->arena == NULL) {
        session->arena = m_new(uint8_t,
                               header->arena_size + header->scratch_size);
    }
    if (session->work == NULL) {
        session->work = (uint32_t *)m_new(uint8_t,
                                          rl_session_work(&self->blob));
    }
}

#define STORES 16u /* that are told apart; of more every boot counts */

bool rl_bind_seen(const rl_nvm *nvm, uint32_t base) {
    static uint32_t seen[STORES], n;
    uint32_t key = base << 1 | (nvm->kind == RL_NVM_FLASH);
    for (uint32_t i = 0; i < n; i++) {
        if (seen[i] == key) {
            return true;
        }
    }
    if (n < STORES) {
        seen[n++] = key;
    }
    return false;
}

/* mount(): what the record says can be read; nothing is restored, and no
 * attempt is counted. */
static mp_obj_t session_mount(mp_obj_t self_in) {
    bind_session *self = MP_OBJ_TO_PTR(self_in);
    self->open = false;
    self->mounted = false;
    rl_bind_try(rl_store_open(&self->store, rl_bind_nvm(self->nvm_obj),
                              self->at, self->size));
    self->store.crc = rl_port_crc32;
    self->mounted = true;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_mount_obj, session_mount);

/* open() -> state. Finds what the NVM holds and restores it. */
static mp_obj_t session_open(mp_obj_t self_in) {
    bind_session *self = MP_OBJ_TO_PTR(self_in);
    memory(self);
    session_mount(self_in);
    self->session.same_boot = rl_bind_seen(self->store.nvm, self->at);
    rl_bind_try(rl_session_open(&self->session));
    self->open = true;
    return MP_OBJ_NEW_SMALL_INT(self->session.state);
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_open_obj, session_open);

/* begin(id, input, priority=0, due=0, dated=False) -> 0, or ERASED: once
 * more. */
static mp_obj_t session_begin(size_t n_args, const mp_obj_t *args) {
    bind_session *self = opened(args[0]);
    mp_buffer_info_t info;
    mp_get_buffer_raise(args[2], &info, MP_BUFFER_READ);
    mp_int_t priority = n_args > 3 ? mp_obj_get_int(args[3]) : 0;
    if (priority < 0 || priority > 255) {
        mp_raise_ValueError(MP_ERROR_TEXT("priority is not 0 to 255"));
    }
    self->session.rank = (rl_rank) {
        .due = n_args > 4 ? rl_bind_u32(args[4]) : 0,
        .dated = n_args > 5 && mp_obj_is_true(args[5]),
        .priority = (uint8_t)priority,
    };
    rl_status status = rl_session_begin(&self->session, rl_bind_u32(args[1]),
                                        info.buf, (uint32_t)info.len);
    return MP_OBJ_NEW_SMALL_INT(rl_bind_try(status));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(session_begin_obj, 3, 6,
                                           session_begin);

/* step(yields=False) -> MORE, DONE, RAN or ERASED. yields: another inference
 * waits for the next commit. */
static mp_obj_t session_step(size_t n_args, const mp_obj_t *args) {
    bind_session *self = opened(args[0]);
    self->session.yields = n_args > 1 && mp_obj_is_true(args[1]);
    return MP_OBJ_NEW_SMALL_INT(rl_bind_try(rl_session_step(&self->session)));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(session_step_obj, 1, 2,
                                           session_step);

static mp_obj_t session_output(mp_obj_t self_in) {
    bind_session *self = opened(self_in);
    const uint8_t *data;
    uint32_t size;
    rl_bind_try(rl_session_output(&self->session, &data, &size));
    return mp_obj_new_bytes(data, size);
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_output_obj, session_output);

/* times() -> u32 [ops], little-endian: cycles of each op's tiles since begin.
 * The first call switches the counting on. */
static mp_obj_t session_times(mp_obj_t self_in) {
    rl_session *session = &opened(self_in)->session;
    uint32_t count = session->blob->header->n_ops;
    if (session->times == NULL) {
        session->times = m_new0(uint32_t, count);
    }
    return mp_obj_new_bytes((const byte *)session->times, 4 * count);
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_times_obj, session_times);

static mp_obj_t session_take(mp_obj_t self_in, mp_obj_t id) {
    bind_session *self = opened(self_in);
    rl_status status = rl_session_take(&self->session, rl_bind_u32(id));
    return MP_OBJ_NEW_SMALL_INT(rl_bind_try(status));
}
static MP_DEFINE_CONST_FUN_OBJ_2(session_take_obj, session_take);

/* Also for a record of another model, which open() has refused. */
static mp_obj_t session_clear(mp_obj_t self_in) {
    bind_session *self = MP_OBJ_TO_PTR(self_in);
    if (!self->mounted) {
        rl_bind_raise(RL_E_STATE);
    }
    rl_status status = rl_bind_try(rl_session_clear(&self->session));
    self->open = self->open || status == RL_OK;
    return MP_OBJ_NEW_SMALL_INT(status);
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_clear_obj, session_clear);

/* Fields of the newest record, zeros while there is none. */
static mp_obj_t record_field(const bind_session *self, qstr attr) {
    static const rl_record none = { 0 };
    const rl_record *record = &none;
    if (self->mounted && self->store.newest.magic == RL_RECORD_MAGIC) {
        record = &self->store.newest;
    }
    switch (attr) {
        case MP_QSTR_seq:
            return rl_bind_uint(record->seq);
        case MP_QSTR_model:
            return rl_bind_uint(record->model);
        case MP_QSTR_inference:
            return rl_bind_uint(record->inference);
        case MP_QSTR_committed:
            return rl_bind_uint(record->tile);
        case MP_QSTR_cycles:
            return mp_obj_new_int_from_ull(record->cycles);
        case MP_QSTR_commits:
            return rl_bind_uint(record->commits);
        case MP_QSTR_priority:
            return MP_OBJ_NEW_SMALL_INT(record->priority);
        case MP_QSTR_due:
            return rl_bind_uint(record->due);
        case MP_QSTR_dated:
            return mp_obj_new_bool(record->flags & RL_DATED);
        case MP_QSTR_nvm_bytes:
            return rl_bind_uint(record->nvm_bytes);
        case MP_QSTR_brownouts:
            return rl_bind_uint(rl_store_brownouts(&self->store));
        default:
            return MP_OBJ_NULL;
    }
}

/* Of a session that did not open: what the record says. */
static mp_obj_t state_of(const bind_session *self) {
    unsigned state = RL_STATE_EMPTY;
    if (self->open) {
        state = self->session.state;
    } else if (self->mounted && self->store.newest.magic != 0) {
        state = self->store.newest.state;
    }
    return MP_OBJ_NEW_SMALL_INT(state);
}

static mp_obj_t model_field(const bind_session *self, qstr attr) {
    const rl_header *header = self->blob.header;
    switch (attr) {
        case MP_QSTR_state:
            return state_of(self);
        case MP_QSTR_tile:
            return self->open ? rl_bind_uint(self->session.tile)
                              : record_field(self, MP_QSTR_committed);
        case MP_QSTR_tiles:
            return rl_bind_uint(header->n_tiles);
        case MP_QSTR_attempts:
            return rl_bind_uint(self->store.attempts);
        case MP_QSTR_input_size:
            return rl_bind_uint(self->blob.tensors[header->input].size);
        case MP_QSTR_output_size:
            return rl_bind_uint(self->blob.tensors[header->output].size);
        case MP_QSTR_meta_crc:
            return rl_bind_uint(header->meta_crc);
        default:
            return record_field(self, attr);
    }
}

static void session_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    if (dest[0] == MP_OBJ_NULL) {
        dest[0] = model_field(MP_OBJ_TO_PTR(self_in), attr);
        if (dest[0] == MP_OBJ_NULL) {
            dest[1] = MP_OBJ_SENTINEL; /* go on in locals_dict */
        }
    }
}

static const mp_rom_map_elem_t session_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_mount), MP_ROM_PTR(&session_mount_obj) },
    { MP_ROM_QSTR(MP_QSTR_open), MP_ROM_PTR(&session_open_obj) },
    { MP_ROM_QSTR(MP_QSTR_begin), MP_ROM_PTR(&session_begin_obj) },
    { MP_ROM_QSTR(MP_QSTR_step), MP_ROM_PTR(&session_step_obj) },
    { MP_ROM_QSTR(MP_QSTR_output), MP_ROM_PTR(&session_output_obj) },
    { MP_ROM_QSTR(MP_QSTR_times), MP_ROM_PTR(&session_times_obj) },
    { MP_ROM_QSTR(MP_QSTR_take), MP_ROM_PTR(&session_take_obj) },
    { MP_ROM_QSTR(MP_QSTR_clear), MP_ROM_PTR(&session_clear_obj) },
};
static MP_DEFINE_CONST_DICT(session_locals, session_locals_table);

MP_DEFINE_CONST_OBJ_TYPE(
    rl_bind_session_type, MP_QSTR_Session, MP_TYPE_FLAG_NONE,
    make_new, session_make_new,
    attr, session_attr,
    locals_dict, &session_locals);
