/* relume: class KV of module _relume: keys and values over a part of an NVM.
 * The index lives on the GC heap and grows with the keys. */
#include "bind.h"

#include "kv.h"

#define FIRST_ROOM 16u

typedef struct {
    mp_obj_base_t base;
    rl_kv         kv;
    mp_obj_t      nvm_obj; /* keeps what the pointers point to */
    uint32_t      at, size;
} bind_kv;

/* A larger index; what it holds stays. */
static void grow(bind_kv *self, uint32_t room) {
    rl_kv *kv = &self->kv;
    kv->index = m_renew(rl_kv_entry, kv->index, kv->room, room);
    kv->room = room;
}

/* KV(nvm, base, size): opens it. OSError: code -12 where reset() helps. */
static mp_obj_t kv_make_new(const mp_obj_type_t *type, size_t n_args,
                            size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 3, 4, false);
    rl_nvm *nvm = rl_bind_nvm(args[0]);
    bind_kv *self = mp_obj_malloc(bind_kv, type);
    self->nvm_obj = args[0];
    self->at = rl_bind_u32(args[1]);
    self->size = rl_bind_u32(args[2]);
    self->kv = (rl_kv) { 0 };
    rl_status status = RL_E_FULL;
    for (uint32_t room = FIRST_ROOM; status == RL_E_FULL; room *= 2) {
        grow(self, room);
        status = rl_kv_open(&self->kv, nvm, self->at, self->size,
                            self->kv.index, room);
    }
    bool reset = n_args == 4 && mp_obj_is_true(args[3]);
    if (status == RL_E_DAMAGED && reset) {
        do {
            status = rl_kv_reset(&self->kv);
        } while (status == RL_ERASED);
    }
    rl_bind_try(status);
    return MP_OBJ_FROM_PTR(self);
}

/* str, bytes or a buffer of 1 to 64 bytes. */
static void key_of(mp_obj_t key, mp_buffer_info_t *info) {
    mp_get_buffer_raise(key, info, MP_BUFFER_READ);
    if (info->len == 0 || info->len > RL_KV_KEY) {
        mp_raise_ValueError(MP_ERROR_TEXT("a key has 1 to 64 bytes"));
    }
}

/* The key's number; -1 if there is none such. */
static mp_obj_t kv_find(mp_obj_t self_in, mp_obj_t key) {
    bind_kv *self = MP_OBJ_TO_PTR(self_in);
    mp_buffer_info_t info;
    uint32_t at = 0;
    key_of(key, &info);
    rl_bind_try(rl_kv_find(&self->kv, info.buf, (uint32_t)info.len, &at));
    return MP_OBJ_NEW_SMALL_INT(at < self->kv.count ? (mp_int_t)at : -1);
}
static MP_DEFINE_CONST_FUN_OBJ_2(kv_find_obj, kv_find);

static uint32_t number_of(const bind_kv *self, mp_obj_t at_in) {
    mp_int_t at = mp_obj_get_int(at_in);
    if (at < 0 || (mp_uint_t)at >= self->kv.count) {
        rl_bind_raise(RL_E_ARG);
    }
    return (uint32_t)at;
}

static mp_obj_t kv_key(mp_obj_t self_in, mp_obj_t at_in) {
    bind_kv *self = MP_OBJ_TO_PTR(self_in);
    uint8_t key[RL_KV_KEY];
    uint32_t at = number_of(self, at_in);
    rl_bind_try(rl_kv_read(&self->kv, at, key, NULL));
    return mp_obj_new_bytes(key, self->kv.index[at].key_n);
}
static MP_DEFINE_CONST_FUN_OBJ_2(kv_key_obj, kv_key);

static mp_obj_t kv_value(mp_obj_t self_in, mp_obj_t at_in) {
    bind_kv *self = MP_OBJ_TO_PTR(self_in);
    uint32_t at = number_of(self, at_in);
    vstr_t data;
    vstr_init_len(&data, self->kv.index[at].size);
    rl_bind_try(rl_kv_read(&self->kv, at, NULL, data.buf));
    return mp_obj_new_bytes_from_vstr(&data);
}
static MP_DEFINE_CONST_FUN_OBJ_2(kv_value_obj, kv_value);

static rl_kv_change change_of(const mp_map_elem_t *pair) {
    mp_buffer_info_t info;
    rl_kv_change change = { 0 };
    key_of(pair->key, &info);
    change.key = info.buf;
    change.key_n = (uint32_t)info.len;
    if (pair->value != mp_const_none) {
        mp_get_buffer_raise(pair->value, &info, MP_BUFFER_READ);
        if (info.len > RL_KV_VALUE) {
            mp_raise_ValueError(
                MP_ERROR_TEXT("a value has at most 65535 bytes"));
        }
        change.value = info.len != 0 ? info.buf : "";
        change.size = (uint32_t)info.len;
    }
    return change;
}

/* commit({key: value, or None to take the key away}) -> 0, or ERASED: once
 * more. */
static mp_obj_t kv_commit(mp_obj_t self_in, mp_obj_t changes_in) {
    bind_kv *self = MP_OBJ_TO_PTR(self_in);
    if (!mp_obj_is_dict_or_ordereddict(changes_in)) {
        mp_raise_TypeError(MP_ERROR_TEXT("needs a dict"));
    }
    const mp_map_t *map = mp_obj_dict_get_map(changes_in);
    uint32_t n = 0;
    rl_kv_change *changes = m_new(rl_kv_change, map->used);
    for (size_t i = 0; i < map->alloc; i++) {
        if (mp_map_slot_is_filled(map, i)) {
            changes[n++] = change_of(&map->table[i]);
        }
    }
    if (self->kv.room - self->kv.count < n) {
        grow(self, 2 * (self->kv.count + n));
    }
    rl_status status = rl_kv_commit(&self->kv, changes, n);
    m_del(rl_kv_change, changes, map->used);
    return MP_OBJ_NEW_SMALL_INT(rl_bind_try(status));
}
static MP_DEFINE_CONST_FUN_OBJ_2(kv_commit_obj, kv_commit);

/* prepare(bytes) -> 0, or ERASED: once more. */
static mp_obj_t kv_prepare(mp_obj_t self_in, mp_obj_t bytes) {
    bind_kv *self = MP_OBJ_TO_PTR(self_in);
    rl_status status = rl_kv_prepare(&self->kv, rl_bind_u32(bytes));
    return MP_OBJ_NEW_SMALL_INT(rl_bind_try(status));
}
static MP_DEFINE_CONST_FUN_OBJ_2(kv_prepare_obj, kv_prepare);

/* wear() -> erase counts of the sectors erased least and most. */
static mp_obj_t kv_wear(mp_obj_t self_in) {
    bind_kv *self = MP_OBJ_TO_PTR(self_in);
    uint32_t least = 0, most = 0;
    rl_bind_try(rl_kv_wear(&self->kv, &least, &most));
    mp_obj_t items[2] = { rl_bind_uint(least), rl_bind_uint(most) };
    return mp_obj_new_tuple(2, items);
}
static MP_DEFINE_CONST_FUN_OBJ_1(kv_wear_obj, kv_wear);

static void kv_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    const bind_kv *self = MP_OBJ_TO_PTR(self_in);
    if (dest[0] != MP_OBJ_NULL) {
        return; /* nothing can be stored */
    }
    switch (attr) {
        case MP_QSTR_count:
            dest[0] = rl_bind_uint(self->kv.count);
            break;
        case MP_QSTR_live:
            dest[0] = rl_bind_uint(self->kv.live);
            break;
        case MP_QSTR_capacity:
            dest[0] = rl_bind_uint(rl_kv_capacity(&self->kv));
            break;
        case MP_QSTR_commits:
            dest[0] = rl_bind_uint(self->kv.commits);
            break;
        case MP_QSTR_snapshots:
            dest[0] = rl_bind_uint(self->kv.snapshots);
            break;
        case MP_QSTR_erases:
            dest[0] = rl_bind_uint(self->kv.erases);
            break;
        default:
            dest[1] = MP_OBJ_SENTINEL; /* go on in locals_dict */
            break;
    }
}

static const mp_rom_map_elem_t kv_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_find), MP_ROM_PTR(&kv_find_obj) },
    { MP_ROM_QSTR(MP_QSTR_key), MP_ROM_PTR(&kv_key_obj) },
    { MP_ROM_QSTR(MP_QSTR_value), MP_ROM_PTR(&kv_value_obj) },
    { MP_ROM_QSTR(MP_QSTR_commit), MP_ROM_PTR(&kv_commit_obj) },
    { MP_ROM_QSTR(MP_QSTR_prepare), MP_ROM_PTR(&kv_prepare_obj) },
    { MP_ROM_QSTR(MP_QSTR_wear), MP_ROM_PTR(&kv_wear_obj) },
};
static MP_DEFINE_CONST_DICT(kv_locals, kv_locals_table);

MP_DEFINE_CONST_OBJ_TYPE(
    rl_bind_kv_type, MP_QSTR_KV, MP_TYPE_FLAG_NONE,
    make_new, kv_make_new,
    attr, kv_attr,
    locals_dict, &kv_locals);
