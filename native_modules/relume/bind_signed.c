/* relume: signatures for module _relume. */
#include "bind.h"

#include "ed25519.h"
#include "sha512.h"

static void buffer_of(mp_obj_t object, size_t n, mp_buffer_info_t *info) {
    mp_get_buffer_raise(object, info, MP_BUFFER_READ);
    if (n != 0 && info->len != n) {
        rl_bind_raise(RL_E_ARG);
    }
}

/* signed(key, signature, purpose, data) */
static mp_obj_t relume_signed(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t key, signature, data;
    (void)n_args;
    buffer_of(args[0], RL_KEY_SIZE, &key);
    buffer_of(args[1], RL_SIGNATURE_SIZE, &signature);
    buffer_of(args[3], 0, &data);
    return mp_obj_new_bool(rl_ed25519_signed(
        key.buf, signature.buf, mp_obj_str_get_str(args[2]), data.buf,
        (uint32_t)data.len));
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(rl_bind_signed_obj, 4, 4, relume_signed);

mp_obj_t rl_bind_sha512(const void *data, uint32_t n) {
    rl_sha512 hash;
    vstr_t digest;
    vstr_init_len(&digest, RL_SHA512_SIZE);
    rl_sha512_begin(&hash);
    rl_sha512_add(&hash, data, n);
    rl_sha512_end(&hash, (uint8_t *)digest.buf);
    return mp_obj_new_bytes_from_vstr(&digest);
}
