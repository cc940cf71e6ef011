/* relume: the engine as a native .mpy, `_relume_native`, for MicroPython that
 * was built without relume. Checks and computes; checkpoints, NVM and blobs'
 * tables are Python's (firmware/relume_pure), which runs the same without it.
 *
 * No state: a blob is proven by check() and then named by its buffer. run()
 * trusts its caller for that, as whoever reaches the REPL may run anything. */
#include "py/dynruntime.h"

#include "crc32.h"
#include "engine.h"
#include "version.h"

/* gcc may ask for these two, and firmware older than 1.26 does not give them. */
#if !defined(__linux__)
void *memcpy(void *to, const void *from, size_t n) {
    return mp_fun_table.memmove_(to, from, n);
}
void *memset(void *to, int value, size_t n) {
    return mp_fun_table.memset_(to, value, n);
}
#endif

/* check(blob, with_data) -> (status, offset, fault); status 0: proven. */
static mp_obj_t check(mp_obj_t buffer, mp_obj_t with_data) {
    mp_buffer_info_t info;
    rl_blob blob;
    rl_blob_fault fault = { 0, 0 };
    mp_get_buffer_raise(buffer, &info, MP_BUFFER_READ);
    rl_status status = RL_E_ARG;
    if (((uintptr_t)info.buf & 3u) == 0) {
        status = rl_blob_check(info.buf, info.len,
                               mp_obj_is_true(with_data), &blob, &fault);
    }
    mp_obj_t items[3] = { mp_obj_new_int((int)status),
                          mp_obj_new_int_from_uint(fault.offset),
                          mp_obj_new_int_from_uint(fault.number) };
    return mp_obj_new_tuple(3, items);
}
static MP_DEFINE_CONST_FUN_OBJ_2(check_obj, check);

static void view(const uint8_t *image, rl_blob *blob) {
    const rl_header *h = (const rl_header *)(const void *)image;
    blob->base = image;
    blob->header = h;
    blob->tensors = (const void *)(image + h->off_tensors);
    blob->ops = (const void *)(image + h->off_ops);
    blob->tiles = (const void *)(image + h->off_tiles);
    blob->segments = (const void *)(image + h->off_segments);
}

/* run(blob, arena, tile, done, count): computes `count` units of a tile of a
 * proven blob, behind its first `done`. */
static mp_obj_t run(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t image, arena;
    rl_blob blob;
    (void)n_args;
    mp_get_buffer_raise(args[0], &image, MP_BUFFER_READ);
    mp_get_buffer_raise(args[1], &arena, MP_BUFFER_RW);
    uint32_t number = mp_obj_get_int(args[2]);
    uint32_t done = mp_obj_get_int(args[3]), count = mp_obj_get_int(args[4]);
    view(image.buf, &blob);
    const rl_header *h = blob.header;
    if (((uintptr_t)arena.buf & 3u) != 0
        || arena.len < h->arena_size + h->scratch_size
        || number >= h->n_tiles || done >= blob.tiles[number].count
        || count - 1u >= blob.tiles[number].count - done) {
        mp_raise_ValueError(MP_ERROR_TEXT("arena or tile"));
    }
    rl_tile tile = blob.tiles[number];
    tile.first += done;
    tile.count = count;
    rl_engine_tile_with(&blob, arena.buf, &tile, NULL, NULL);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(run_obj, 5, 5, run);

static mp_obj_t crc32(mp_obj_t buffer, mp_obj_t crc) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(buffer, &info, MP_BUFFER_READ);
    return mp_obj_new_int_from_uint(
        rl_crc32(mp_obj_get_int_truncated(crc), info.buf, info.len));
}
static MP_DEFINE_CONST_FUN_OBJ_2(crc32_obj, crc32);

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw,
                  mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_VERSION,
                    mp_obj_new_str(RL_VERSION, sizeof(RL_VERSION) - 1));
    mp_store_global(MP_QSTR_check, MP_OBJ_FROM_PTR(&check_obj));
    mp_store_global(MP_QSTR_run, MP_OBJ_FROM_PTR(&run_obj));
    mp_store_global(MP_QSTR_crc32, MP_OBJ_FROM_PTR(&crc32_obj));
    MP_DYNRUNTIME_INIT_EXIT
}
