/* relume: the store, what both layouts share. SPEC 4. */
#include "store_kind.h"

#include <stddef.h>

#include "bytes.h"
#include "crc32.h"

/* ------------------------------------------------------------- records -- */

static uint32_t record_crc(const rl_record *record)
{
    return rl_crc32(0, record, sizeof *record - sizeof record->crc);
}

int rl_record_valid(const rl_record *record, uint8_t kind)
{
    return record->magic == RL_RECORD_MAGIC
        && record->crc == record_crc(record)
        && record->nvm_kind == kind
        && record->state >= RL_STATE_RUNNING
        && record->state <= RL_STATE_STUCK
        && record->flags >> RL_HALVED_SHIFT <= RL_HALVED_MOST;
}

int rl_record_after(uint32_t a, uint32_t b)
{
    uint32_t ahead = a - b;
    return ahead != 0 && ahead < 0x80000000u;
}

int rl_record_first(const rl_record *a, const rl_record *b)
{
    uint32_t dated = a->flags & RL_DATED;
    if (a->priority != b->priority) {
        return a->priority > b->priority;
    }
    if (dated != (b->flags & RL_DATED)) {
        return dated != 0;
    }
    return rl_record_after(b->due, a->due);
}

/* -------------------------------------------------------------- access -- */

/* A failed NVM leaves unknown content: no call passes until the next open,
 * so that no commit builds on a record that may not be there (S1). */
static rl_status watch(rl_store *store, rl_status status)
{
    if (status == RL_E_NVM) {
        store->broken = 1;
        store->committing = 0;
    }
    return status;
}

rl_status rl_store_read(rl_store *store, uint32_t at, void *data, uint32_t n)
{
    return store->nvm->read(store->nvm, store->base + at, data, n);
}

rl_status rl_store_write(rl_store *store, uint32_t at, const void *data,
                         uint32_t n)
{
    store->written += n;
    return store->nvm->write(store->nvm, store->base + at, data, n);
}

rl_status rl_store_verify(rl_store *store, uint32_t at, const void *data,
                          uint32_t n)
{
    const uint8_t *want = (const uint8_t *)data;
    uint8_t back[32];
    for (uint32_t i = 0; i < n;) {
        uint32_t part = n - i < sizeof back ? n - i : (uint32_t)sizeof back;
        rl_status status = rl_store_read(store, at + i, back, part);
        if (status != RL_OK) {
            return status;
        }
        if (!rl_bytes_equal(back, want + i, part)) {
            return RL_E_NVM;
        }
        i += part;
    }
    return RL_OK;
}

/* ---------------------------------------------------------------- open -- */

static int is_flash(const rl_store *store)
{
    return store->nvm->kind == RL_NVM_FLASH;
}

rl_status rl_store_open(rl_store *store, rl_nvm *nvm, uint32_t base,
                        uint32_t size)
{
    rl_bytes_fill(store, 0, sizeof *store);
    store->nvm = nvm;
    store->base = base;
    store->size = size;
    store->broken = 1;
    if (nvm->kind < RL_NVM_FRAM || nvm->kind > RL_NVM_FILE) {
        return RL_E_NVM_KIND;
    }
    if (base > nvm->size || size > nvm->size - base) {
        return RL_E_NVM_SIZE;
    }
    rl_status status = is_flash(store) ? rl_store_flash_open(store)
                                       : rl_store_bytes_open(store);
    store->broken = status != RL_OK;
    return status;
}

rl_status rl_store_fits(const rl_store *store, uint32_t need)
{
    return is_flash(store) ? rl_store_flash_fits(store, need)
                           : rl_store_bytes_fits(store, need);
}

rl_status rl_store_attempt(rl_store *store)
{
    if (store->broken) {
        return RL_E_NVM;
    }
    if (store->newest.state != RL_STATE_RUNNING) {
        return RL_E_STATE;
    }
    return watch(store, is_flash(store) ? rl_store_flash_attempt(store)
                                        : rl_store_bytes_attempt(store));
}

uint16_t rl_store_brownouts(const rl_store *store)
{
    uint32_t known = store->newest.brownouts;
    uint32_t room = 0xFFFFu - known;
    return (uint16_t)(known + (store->attempts < room ? store->attempts
                                                      : room));
}

/* -------------------------------------------------------------- commit -- */

rl_status rl_store_room(rl_store *store, uint32_t live)
{
    if (store->broken) {
        return RL_E_NVM;
    }
    if (!is_flash(store)) {
        return RL_OK;
    }
    return watch(store, rl_store_flash_room(store, live));
}

rl_status rl_store_begin(rl_store *store, uint32_t live)
{
    if (store->broken) {
        return RL_E_NVM;
    }
    rl_status idle = rl_store_finish(store);
    if (idle != RL_OK) {
        return idle;
    }
    store->live = live;
    store->carried = 0;
    store->started = store->written;
    store->committing = 0;
    if (is_flash(store)) {
        rl_status status = watch(store, rl_store_flash_begin(store, live));
        if (status != RL_OK) {
            return status;
        }
    }
    store->committing = 1;
    return RL_OK;
}

rl_status rl_store_put(rl_store *store, uint32_t home, const void *data,
                       uint32_t n, uint32_t clean)
{
    const uint8_t *bytes = (const uint8_t *)data;
    if (store->broken) {
        return RL_E_NVM;
    }
    if (!store->committing) {
        return RL_E_STATE;
    }
    if (n > store->live - store->carried || clean > n) {
        return RL_E_ARG;
    }
    store->carried += n;
    return watch(store, is_flash(store)
        ? rl_store_flash_put(store, bytes, n)
        : rl_store_bytes_put(store, home, bytes, n, clean));
}

uint32_t rl_store_cost(const rl_store *store)
{
    if (is_flash(store)) {
        return (rl_store_flash_pages(store->live) + 1u) * RL_FLASH_PAGE;
    }
    return store->written - store->started + store->streamed
         + (uint32_t)sizeof(rl_record);
}

static void complete(const rl_store *store, rl_record *record)
{
    record->magic = RL_RECORD_MAGIC;
    record->seq = store->newest.seq + 1u;
    record->nvm_kind = store->nvm->kind;
    record->home = is_flash(store) ? rl_store_flash_home(store) : 0;
    record->crc = record_crc(record);
}

rl_status rl_store_end(rl_store *store, rl_record *record)
{
    if (store->broken) {
        return RL_E_NVM;
    }
    if (!store->committing) {
        return RL_E_STATE;
    }
    if (store->carried != store->live || record->live_bytes != store->live) {
        return RL_E_ARG;
    }
    complete(store, record);
    rl_status status = watch(store, is_flash(store)
        ? rl_store_flash_end(store, record)
        : rl_store_bytes_end(store, record));
    if (status == RL_OK) {
        store->newest = *record;
        store->attempts = 0;
        store->erasing = 0;
        store->first_erasing = 0;
        store->streamed = 0;
        store->committing = 0;
    }
    return status;
}

/* ---------------------------------------------------- in the background -- */

int rl_store_streams(const rl_store *store)
{
    return !is_flash(store) && store->nvm->start != NULL;
}

rl_status rl_store_start(rl_store *store, uint32_t home, const void *data,
                         uint32_t n)
{
    if (store->broken) {
        return RL_E_NVM;
    }
    store->streamed += n;
    return watch(store, rl_store_bytes_start(store, home, data, n));
}

int rl_store_busy(const rl_store *store)
{
    return store->nvm->busy(store->nvm);
}

rl_status rl_store_finish(rl_store *store)
{
    if (store->broken) {
        return RL_E_NVM;
    }
    return rl_store_streams(store)
         ? watch(store, store->nvm->finish(store->nvm)) : RL_OK;
}

uint32_t rl_store_crc(const rl_store *store, uint32_t crc, const void *data,
                      uint32_t n)
{
    return store->crc == NULL ? rl_crc32(crc, data, n)
                              : store->crc(crc, data, n);
}

rl_status rl_store_get(rl_store *store, uint32_t home, uint32_t order,
                       void *data, uint32_t n)
{
    if (store->broken) {
        return RL_E_NVM;
    }
    return watch(store, is_flash(store)
        ? rl_store_flash_get(store, order, data, n)
        : rl_store_bytes_get(store, home, data, n));
}
