/* relume: what tiles take of their worst case. SPEC 4.2, 4.6. */
#include "session_quantiles.h"

#include "bytes.h"
#include "crc32.h"

#define AT 176u    /* behind the probe cell */
#define SLACK 16u  /* a sixteenth of the worst less is no other tile */
#define FALL 3u    /* by an eighth of what it is too much */

_Static_assert(AT + 4u + RL_QUANTILES == RL_FRAM_HOME, "SPEC 4.2");
_Static_assert(offsetof(rl_quantiles, share) == 4, "SPEC 4.2");

static uint32_t crc_of(const rl_quantiles *q, const rl_blob *blob)
{
    uint32_t crc = rl_crc32(0, &blob->header->meta_crc, 4);
    return rl_crc32(crc, q->share, RL_QUANTILES);
}

/* Without figures for a reading nobody asks. */
static int has_place(const rl_blob *blob, const rl_store *store)
{
    return blob->header->mv2_cycles != 0
        && store->nvm->kind != RL_NVM_FLASH;
}

/* An NVM that does not answer is none, as in store.c. */
static rl_status answered(rl_store *store, rl_status status)
{
    store->broken |= status != RL_OK;
    return status;
}

static uint32_t place(const rl_blob *blob, uint32_t tile)
{
    uint32_t last = blob->header->n_tiles - 1u;
    for (; last >= RL_QUANTILES; last >>= 1) {
        tile >>= 1;
    }
    return tile;
}

rl_status rl_quantiles_open(rl_quantiles *q, const rl_blob *blob,
                            rl_store *store)
{
    rl_nvm *nvm = store->nvm;
    rl_status status = RL_OK;
    int found = has_place(blob, store);
    q->changed = 0;
    if (found) {
        status = nvm->read(nvm, store->base + AT, q, 4u + RL_QUANTILES);
    }
    if (!found || status != RL_OK || q->crc != crc_of(q, blob)) {
        rl_bytes_fill(q->share, 0, RL_QUANTILES);
    }
    return answered(store, status);
}

uint8_t rl_quantiles_share(const rl_quantiles *q, const rl_blob *blob,
                           uint32_t tile)
{
    return q->share[place(blob, tile)];
}

/* The least share that covers what it took, 1 to 255. */
static uint32_t share_of(uint64_t took, uint64_t worst)
{
    uint32_t share = 0;
    for (uint32_t bit = 128u; bit > 0; bit >>= 1) {
        if (worst * (share + bit) >> 8 < took) {
            share += bit;
        }
    }
    return share < 255u ? share + 1u : share;
}

void rl_quantiles_ran(rl_quantiles *q, const rl_blob *blob, uint32_t tile,
                      uint64_t took, uint64_t worst)
{
    uint8_t *known = &q->share[place(blob, tile)];
    uint32_t old = *known, share = share_of(took, worst);
    if (share < old) {
        share = old - share > SLACK ? old - ((old - share) >> FALL) : old;
    }
    q->changed |= share != old;
    *known = (uint8_t)share;
}

rl_status rl_quantiles_keep(rl_quantiles *q, const rl_blob *blob,
                            rl_store *store)
{
    rl_nvm *nvm = store->nvm;
    if (!q->changed || !has_place(blob, store)) {
        return RL_OK;
    }
    q->changed = 0;
    q->crc = crc_of(q, blob);
    return answered(store, nvm->write(nvm, store->base + AT, q,
                                      4u + RL_QUANTILES));
}
