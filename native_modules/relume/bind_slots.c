/* relume: model slots as functions of module _relume. */
#include "bind.h"

#include "py/objarray.h"
#include "slots.h"

/* The upload under way must outlive the calls: kept for the GC, and freed by
 * a soft reset, which a resumed upload survives. */
MP_REGISTER_ROOT_POINTER(struct _rl_bind_upload *relume_upload);

typedef struct _rl_bind_upload {
    rl_nvm   nvm;
    rl_slots slots;
} rl_bind_upload;

static void region_open(rl_nvm *nvm, rl_slots *slots) {
    slots->nvm = nvm;
    slots->draft.magic = 0;
    rl_bind_try(rl_port_blobs(nvm, &slots->image));
}

static mp_obj_t slot_tuple(const rl_slot *slot, bool active) {
    mp_obj_t items[6] = {
        mp_obj_new_str_from_cstr(slot->name), rl_bind_uint(slot->size),
        rl_bind_uint(slot->meta_crc), rl_bind_uint(slot->data_crc),
        rl_bind_uint(slot->seq), mp_obj_new_bool(active)
    };
    return mp_obj_new_tuple(6, items);
}

/* slots() -> [(name, size, meta_crc, data_crc, seq, active)], by place. */
static mp_obj_t relume_slots(void) {
    rl_nvm nvm;
    rl_slots slots;
    rl_slot slot, active;
    uint32_t at = RL_SLOTS_START, found, best = 0;
    region_open(&nvm, &slots);
    mp_obj_t list = mp_obj_new_list(0, NULL);
    if (rl_slots_active(&slots, &active, &best) != RL_OK) {
        return list;
    }
    while (rl_slots_next(&slots, &at, &slot, &found) == RL_OK) {
        mp_obj_list_append(list, slot_tuple(&slot, found == best));
    }
    return list;
}
MP_DEFINE_CONST_FUN_OBJ_0(rl_bind_slots_obj, relume_slots);

static mp_obj_t blob_view(const rl_slots *slots, const rl_slot *slot,
                          uint32_t at) {
    const uint8_t *blob = slots->image + at + RL_SLOT_DATA;
    return mp_obj_new_memoryview('B', slot->size, (void *)(uintptr_t)blob);
}

/* slot_blob(index) -> the blob in place, read-only. slot_blob(None): the
 * active model's, None if there is none. */
static mp_obj_t relume_slot_blob(mp_obj_t index_in) {
    rl_nvm nvm;
    rl_slots slots;
    rl_slot slot;
    uint32_t at = RL_SLOTS_START, found;
    region_open(&nvm, &slots);
    if (index_in == mp_const_none) {
        if (rl_slots_active(&slots, &slot, &found) != RL_OK) {
            return mp_const_none;
        }
        return blob_view(&slots, &slot, found);
    }
    mp_int_t index = mp_obj_get_int(index_in);
    while (rl_slots_next(&slots, &at, &slot, &found) == RL_OK) {
        if (index-- == 0) {
            return blob_view(&slots, &slot, found);
        }
    }
    mp_raise_msg(&mp_type_IndexError, MP_ERROR_TEXT("no such slot"));
}
MP_DEFINE_CONST_FUN_OBJ_1(rl_bind_slot_blob_obj, relume_slot_blob);

/* slot_begin(size, meta_crc, data_crc, name) -> offset to go on from. */
static mp_obj_t relume_slot_begin(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    rl_slot wanted = { 0 };
    size_t length;
    const char *name = mp_obj_str_get_data(args[3], &length);
    if (length == 0 || length >= RL_SLOT_NAME) {
        mp_raise_ValueError(MP_ERROR_TEXT("name needs 1 to 31 bytes"));
    }
    for (size_t i = 0; i < length; i++) {
        wanted.name[i] = name[i];
    }
    wanted.size = rl_bind_u32(args[0]);
    wanted.meta_crc = rl_bind_u32(args[1]);
    wanted.data_crc = rl_bind_u32(args[2]);
    rl_bind_upload *upload = MP_STATE_VM(relume_upload);
    if (upload == NULL) {
        upload = m_new0(rl_bind_upload, 1);
        MP_STATE_VM(relume_upload) = upload;
    }
    region_open(&upload->nvm, &upload->slots);
    uint32_t next;
    rl_bind_try(rl_slots_begin(&upload->slots, &wanted, &next));
    return rl_bind_uint(next);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(rl_bind_slot_begin_obj, 4, 4,
                                    relume_slot_begin);

static rl_slots *upload_open(void) {
    rl_bind_upload *upload = MP_STATE_VM(relume_upload);
    if (upload == NULL) {
        rl_bind_raise(RL_E_STATE);
    }
    return &upload->slots;
}

/* slot_write(offset, data) -> offset to go on from. */
static mp_obj_t relume_slot_write(mp_obj_t offset, mp_obj_t data) {
    rl_slots *slots = upload_open();
    mp_buffer_info_t info;
    uint32_t next;
    mp_get_buffer_raise(data, &info, MP_BUFFER_READ);
    rl_bind_try(rl_slots_write(slots, rl_bind_u32(offset), info.buf,
                               (uint32_t)info.len, &next));
    return rl_bind_uint(next);
}
MP_DEFINE_CONST_FUN_OBJ_2(rl_bind_slot_write_obj, relume_slot_write);

static mp_obj_t relume_slot_end(void) {
    rl_blob_fault fault;
    rl_status status = rl_slots_end(upload_open(), &fault);
    if (status != RL_OK && fault.number != 0) {
        rl_bind_raise_fault(status, &fault);
    }
    rl_bind_try(status);
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_0(rl_bind_slot_end_obj, relume_slot_end);
