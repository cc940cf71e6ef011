/* relume: what the files of the MicroPython binding share. */
#ifndef RELUME_BIND_H
#define RELUME_BIND_H

#include "py/obj.h"
#include "py/runtime.h"

#include "blob.h"
#include "nvm.h"
#include "port.h"
#include "port_config.h"

/* Raises the exception of a status (< 0): ValueError for a refused blob or
 * argument, else OSError; both carry `code`. */
__attribute__((noreturn)) void rl_bind_raise(rl_status status);

/* The same with the place in the blob: "... at offset N". */
__attribute__((noreturn)) void rl_bind_raise_fault(
    rl_status status, const rl_blob_fault *fault);

/* Returns a status that is no error as it is, else raises. */
rl_status rl_bind_try(rl_status status);

/* Checks the blob in a buffer object, raising if it is refused. */
void rl_bind_blob(mp_obj_t buffer, int with_data, rl_blob *blob);

/* The NVM inside an object of bind_nvm.c; TypeError for any other. */
rl_nvm *rl_bind_nvm(mp_obj_t object);

/* The store at `base` of an NVM is opened; true if it was since turn-on: a
 * running record that it holds then was not left by a power cut. */
bool rl_bind_seen(const rl_nvm *nvm, uint32_t base);

mp_obj_t rl_bind_uint(uint32_t value);

/* Bytes: SHA-512 of data[0, n). */
mp_obj_t rl_bind_sha512(const void *data, uint32_t n);

/* A tuple entry for a u32 argument; ValueError when negative. */
uint32_t rl_bind_u32(mp_obj_t object);

extern const mp_obj_type_t rl_bind_fram_type;
extern const mp_obj_type_t rl_bind_fram_i2c_type;
extern const mp_obj_type_t rl_bind_flash_type;
extern const mp_obj_type_t rl_bind_file_type;
extern const mp_obj_type_t rl_bind_session_type;
extern const mp_obj_type_t rl_bind_kv_type;
extern const mp_obj_type_t rl_bind_decoder_type;

MP_DECLARE_CONST_FUN_OBJ_3(rl_bind_encode_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(rl_bind_signed_obj);
MP_DECLARE_CONST_FUN_OBJ_0(rl_bind_slots_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(rl_bind_slot_begin_obj);
MP_DECLARE_CONST_FUN_OBJ_2(rl_bind_slot_write_obj);
MP_DECLARE_CONST_FUN_OBJ_0(rl_bind_slot_end_obj);
MP_DECLARE_CONST_FUN_OBJ_0(rl_bind_slot_digest_obj);
MP_DECLARE_CONST_FUN_OBJ_1(rl_bind_slot_remove_obj);
MP_DECLARE_CONST_FUN_OBJ_1(rl_bind_slot_blob_obj);

#endif
