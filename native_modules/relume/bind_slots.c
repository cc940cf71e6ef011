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
    mp_obj_t items[8] = {
        mp_obj_new_str_from_cstr(slot->name), rl_bind_uint(slot->size),
        rl_bind_uint(slot->meta_crc), rl_bind_uint(slot->data_crc),
        rl_bind_uint(slot->seq), mp_obj_new_bool(active),
        rl_bind_uint(slot->store_at), rl_bind_uint(slot->store_size)
    };
    return mp_obj_new_tuple(8, items);
}

/* slots() -> [(name, size, meta_crc, data_crc, seq, active, store_at,
 * store_size)], by place. */
static mp_obj_t relume_slots(void) {
    rl_nvm nvm;
    rl_slots slots;
    rl_slots_table table;
    region_open(&nvm, &slots);
    rl_slots_list(&slots, &table);
    mp_obj_t list = mp_obj_new_list(0, NULL);
    for (uint32_t i = 0; i < table.n; i++) {
        mp_obj_list_append(list, slot_tuple(&table.slot[i],
                                            i == table.active));
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
    rl_slots_table table;
    region_open(&nvm, &slots);
    rl_slots_list(&slots, &table);
    if (index_in == mp_const_none) {
        return table.n == 0 ? mp_const_none
             : blob_view(&slots, &table.slot[table.active],
                         table.at[table.active]);
    }
    mp_int_t index = mp_obj_get_int(index_in);
    if (index < 0 || (mp_uint_t)index >= table.n) {
        mp_raise_msg(&mp_type_IndexError, MP_ERROR_TEXT("no such slot"));
    }
    return blob_view(&slots, &table.slot[index], table.at[index]);
}
MP_DEFINE_CONST_FUN_OBJ_1(rl_bind_slot_blob_obj, relume_slot_blob);

static void name_of(mp_obj_t text, rl_slot *slot) {
    size_t length;
    const char *name = mp_obj_str_get_data(text, &length);
    if (length == 0 || length >= RL_SLOT_NAME) {
        mp_raise_ValueError(MP_ERROR_TEXT("name needs 1 to 31 bytes"));
    }
    for (size_t i = 0; i < length; i++) {
        slot->name[i] = name[i];
    }
}

/* slot_remove(name): gives the model up; nothing if there is none. */
static mp_obj_t relume_slot_remove(mp_obj_t name) {
    rl_nvm nvm;
    rl_slots slots;
    rl_slots_table table;
    rl_slot wanted = { 0 };
    name_of(name, &wanted);
    region_open(&nvm, &slots);
    rl_slots_list(&slots, &table);
    for (uint32_t i = 0; i < table.n; i++) {
        const char *other = table.slot[i].name;
        uint32_t n = 0;
        while (n < RL_SLOT_NAME && other[n] == wanted.name[n]) {
            n++;
        }
        if (n == RL_SLOT_NAME) {
            slots.at = RL_SLOTS_NOWHERE;
            rl_bind_try(rl_slots_remove(&slots, &table.slot[i]));
        }
    }
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_1(rl_bind_slot_remove_obj, relume_slot_remove);

/* slot_begin(size, meta_crc, data_crc, name) -> offset to go on from. */
static mp_obj_t relume_slot_begin(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    rl_slot wanted = { 0 };
    name_of(args[3], &wanted);
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

/* slot_digest() -> SHA-512 of the upload's bytes so far. */
static mp_obj_t relume_slot_digest(void) {
    const rl_slots *slots = upload_open();
    if (slots->draft.magic == 0) {
        rl_bind_raise(RL_E_STATE);
    }
    return rl_bind_sha512(slots->image + slots->at + RL_SLOT_DATA,
                          slots->next);
}
MP_DEFINE_CONST_FUN_OBJ_0(rl_bind_slot_digest_obj, relume_slot_digest);

/* What the stores of models may take: all but the part for keys and values. */
static rl_rooms rooms(void) {
    rl_nvm flash, bytes = { .kind = RL_NVM_FRAM }, i2c = bytes;
    rl_bind_try(rl_port_store(&flash));
    #if defined(RL_PORT_FRAM)
    bytes.size = RL_FRAM_SIZE;
    i2c.size = RL_FRAM_I2C_SIZE;
    #else
    bytes.size = i2c.size = RL_FILE_SIZE;
    #endif
    return (rl_rooms) {
        rl_nvm_models(&bytes), rl_nvm_models(&flash), rl_nvm_models(&i2c),
    };
}

/* OSError with code -10: the NVM has no room; the upload stays. */
static mp_obj_t relume_slot_end(void) {
    rl_blob_fault fault;
    rl_rooms room = rooms();
    rl_status status = rl_slots_end(upload_open(), &room, &fault);
    if (status != RL_OK && fault.number != 0) {
        rl_bind_raise_fault(status, &fault);
    }
    rl_bind_try(status);
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_0(rl_bind_slot_end_obj, relume_slot_end);
