/* relume: the store on byte-writable NVM: FRAM and file. SPEC 4.2.
 *
 * S1 holds because a record goes to the slot that the newest does not use,
 * after all its data, and because the plan never gives two tensors the same
 * home bytes while the newest record needs one of them (SPEC 3). */
#include "store_kind.h"

#include "bytes.h"
#include "crc32.h"

#define SLOT 64u
#define CELL_AT 128u
#define CELL 16u
#define PROBE_AT 160u

typedef struct {
    uint32_t seq, attempts, zero, crc;
} cell;
_Static_assert(sizeof(cell) == CELL, "SPEC 4.2");

/* --------------------------------------------------------------- probe -- */

/* Does the probe cell also show at the other address, so that an address line
 * is missing or the chip is smaller than it was said to be? Asked twice with
 * different patterns before it is believed. */
static rl_status mirrored(rl_store *store, uint32_t other,
                          const uint8_t *cell16, int *yes)
{
    uint8_t seen[16];
    rl_status status = store->nvm->read(store->nvm, other, seen, sizeof seen);
    *yes = status == RL_OK && rl_bytes_equal(seen, cell16, sizeof seen);
    return status;
}

static rl_status probe_write(rl_store *store, uint8_t *pattern)
{
    for (uint32_t i = 0; i < 16; i++) {
        pattern[i] = (uint8_t)~pattern[i];
    }
    rl_status status = rl_store_write(store, PROBE_AT, pattern, 16);
    if (status != RL_OK) {
        return status;
    }
    return rl_store_verify(store, PROBE_AT, pattern, 16);
}

/* A missing address line shows the cell at the address with that bit turned,
 * maybe outside the region: there it is only read. */
static rl_status probe_mirrors(rl_store *store, uint8_t *pattern)
{
    uint32_t size = store->nvm->size;
    for (uint32_t bit = RL_FRAM_HOME; bit <= size / 2u; bit *= 2) {
        int yes = 0;
        uint32_t other = (store->base + PROBE_AT) ^ bit;
        if (other > size - 16u) {
            continue;
        }
        rl_status status = mirrored(store, other, pattern, &yes);
        if (status == RL_OK && yes) {
            status = probe_write(store, pattern);
            if (status == RL_OK) {
                status = mirrored(store, other, pattern, &yes);
            }
            if (status == RL_OK && yes) {
                return RL_E_NVM_SIZE;
            }
        }
        if (status != RL_OK) {
            return status;
        }
    }
    return RL_OK;
}

/* The complement of what the cell holds proves that every bit of it can be
 * written both ways, over two boots. A cut inside does no harm. */
rl_status rl_store_bytes_probe(rl_store *store)
{
    uint8_t pattern[16];
    rl_status status = rl_store_read(store, PROBE_AT, pattern, 16);
    if (status == RL_OK) {
        status = probe_write(store, pattern);
    }
    if (status == RL_OK) {
        status = probe_mirrors(store, pattern);
    }
    return status;
}

/* ---------------------------------------------------------------- open -- */

static rl_status read_slots(rl_store *store)
{
    for (uint32_t slot = 0; slot < 2; slot++) {
        rl_record record;
        rl_status status = rl_store_read(store, slot * SLOT, &record,
                                         sizeof record);
        if (status != RL_OK) {
            return status;
        }
        if (rl_record_valid(&record, store->nvm->kind)
            && (record.seq & 1u) == slot && record.home == 0
            && (store->newest.magic == 0
                || rl_record_after(record.seq, store->newest.seq))) {
            store->newest = record;
        }
    }
    return RL_OK;
}

static uint32_t cell_crc(const cell *c)
{
    return rl_crc32(0, c, 12);
}

/* A cell counts for the record that it names. In an empty store the sequence
 * goes on after the highest that a cell names: a new record must not inherit
 * the attempts of a lost one. */
static rl_status read_cells(rl_store *store)
{
    for (uint32_t i = 0; i < 2; i++) {
        cell c;
        rl_status status = rl_store_read(store, CELL_AT + i * CELL, &c, CELL);
        if (status != RL_OK) {
            return status;
        }
        if (c.zero != 0 || c.crc != cell_crc(&c) || (c.attempts & 1u) != i) {
            continue;
        }
        if (store->newest.magic == 0) {
            if (rl_record_after(c.seq, store->newest.seq)) {
                store->newest.seq = c.seq;
            }
        } else if (store->newest.state == RL_STATE_RUNNING
                   && c.seq == store->newest.seq
                   && c.attempts > store->attempts) {
            store->attempts = c.attempts;
        }
    }
    return RL_OK;
}

rl_status rl_store_bytes_open(rl_store *store)
{
    if (store->size < RL_FRAM_HOME) {
        return RL_E_NVM_SIZE;
    }
    rl_status status = rl_store_bytes_probe(store);
    if (status == RL_OK) {
        status = read_slots(store);
    }
    if (status == RL_OK) {
        status = read_cells(store);
    }
    return status;
}

rl_status rl_store_bytes_fits(const rl_store *store, uint32_t home)
{
    return home <= store->size - RL_FRAM_HOME ? RL_OK : RL_E_NVM_SIZE;
}

/* ------------------------------------------------------------ attempts -- */

/* The cell of the other parity keeps the old count until this one is whole;
 * a cut leaves old or new. */
rl_status rl_store_bytes_attempt(rl_store *store)
{
    cell c;
    if (store->attempts == UINT32_MAX) {
        return RL_OK;
    }
    c.seq = store->newest.seq;
    c.attempts = store->attempts + 1u;
    c.zero = 0;
    c.crc = cell_crc(&c);
    uint32_t at = CELL_AT + (c.attempts & 1u) * CELL;
    rl_status status = rl_store_write(store, at, &c, CELL);
    if (status == RL_OK) {
        status = rl_store_verify(store, at, &c, CELL);
    }
    if (status == RL_OK) {
        store->attempts = c.attempts;
    }
    return status;
}

/* -------------------------------------------------------------- commit -- */

static int inside(const rl_store *store, uint32_t home, uint32_t n)
{
    uint32_t area = store->size - RL_FRAM_HOME;
    return home <= area && n <= area - home;
}

rl_status rl_store_bytes_put(rl_store *store, uint32_t home,
                             const uint8_t *data, uint32_t n, uint32_t clean)
{
    if (!inside(store, home, n)) {
        return RL_E_NVM_SIZE;
    }
    if (n == clean) {
        return RL_OK;
    }
    return rl_store_write(store, RL_FRAM_HOME + home + clean, data + clean,
                          n - clean);
}

rl_status rl_store_bytes_end(rl_store *store, const rl_record *record)
{
    uint32_t at = (record->seq & 1u) * SLOT;
    rl_status status = rl_store_write(store, at, record, sizeof *record);
    if (status != RL_OK) {
        return status;
    }
    return rl_store_verify(store, at, record, sizeof *record);
}

rl_status rl_store_bytes_start(rl_store *store, uint32_t home,
                               const void *data, uint32_t n)
{
    if (!inside(store, home, n)) {
        return RL_E_NVM_SIZE;
    }
    store->written += n;
    return store->nvm->start(store->nvm, store->base + RL_FRAM_HOME + home,
                             data, n);
}

rl_status rl_store_bytes_get(rl_store *store, uint32_t home, void *data,
                             uint32_t n)
{
    if (!inside(store, home, n)) {
        return RL_E_NVM_SIZE;
    }
    return rl_store_read(store, RL_FRAM_HOME + home, data, n);
}
