/* relume: what tiles take of their worst case, measured, one byte a tile, kept
 * in NVM that bytes can be written to. SPEC 4.6.
 *
 * A hint: it decides when to commit and nothing else. Whatever is found there
 * costs time, never progress. */
#ifndef RELUME_SESSION_QUANTILES_H
#define RELUME_SESSION_QUANTILES_H

#include "blob.h"
#include "store.h"

#define RL_QUANTILES 76u

typedef struct {
    uint32_t crc; /* of the model's number and the shares */
    /* 1 / 256 of the worst case, 0: not measured. Of more tiles than these so
     * many neighbours have one that it is a power of two. */
    uint8_t  share[RL_QUANTILES];
    uint8_t  changed; /* not kept so far */
} rl_quantiles;

/* What the NVM holds of this model; nothing is known where it holds none. The
 * store is open. */
RL_CHECKED rl_status rl_quantiles_open(rl_quantiles *q, const rl_blob *blob,
                                       rl_store *store);

/* Of the tile's worst case, 0: not measured. */
uint8_t rl_quantiles_share(const rl_quantiles *q, const rl_blob *blob,
                           uint32_t tile);

/* The tile, or a part of it, took so many cycles of its worst. More than
 * before counts at once, less by an eighth. */
void rl_quantiles_ran(rl_quantiles *q, const rl_blob *blob, uint32_t tile,
                      uint64_t took, uint64_t worst);

/* Behind a commit: writes what has changed. */
RL_CHECKED rl_status rl_quantiles_keep(rl_quantiles *q, const rl_blob *blob,
                                       rl_store *store);

#endif
