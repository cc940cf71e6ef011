/* relume: what is live and what is dirty between two tiles. SPEC 3. */
#ifndef RELUME_LIVE_H
#define RELUME_LIVE_H

#include "engine.h"

typedef struct {
    const rl_blob *blob;
    uint32_t *done;  /* [n_ops] units finished */
    uint32_t *clean; /* [n_tensors] prefix of which all that is live is at
                      * home: commits or writes between them carried it */
    uint32_t *end;   /* [n_tensors] finished prefix, by rl_live_survey */
    uint32_t *lo;    /* [n_tensors] first byte needed, by rl_live_survey */
} rl_live;

/* Bytes of work memory. */
uint32_t rl_live_work(const rl_blob *blob);

/* The arrays in work memory, as they are. */
rl_live rl_live_in(const rl_blob *blob, uint32_t *work);

/* No tile is finished, nothing is clean. */
void rl_live_restart(rl_live *live);

/* Tiles [from, to) become finished. */
void rl_live_finish(rl_live *live, uint32_t from, uint32_t to);

/* A tile, or a run of its units, becomes finished, or unfinished again. */
void rl_live_grow(rl_live *live, const rl_tile *tile);
void rl_live_shrink(rl_live *live, const rl_tile *tile);

/* Fills end[] and lo[] from done[]; returns the live bytes in all. Linear in
 * ops and tensors. */
uint32_t rl_live_survey(rl_live *live);

/* Live bytes of a tensor, [lo, end), and how many of them are clean. */
uint32_t rl_live_bytes(const rl_live *live, uint32_t tensor);
uint32_t rl_live_clean(const rl_live *live, uint32_t tensor);

/* One tensor's [lo, end), as rl_live_survey would find it. Linear in ops. */
void rl_live_span(const rl_live *live, uint32_t tensor, uint32_t *lo,
                  uint32_t *end);

/* A commit carried, or a restore brought, everything finished. */
void rl_live_carried(rl_live *live);

#endif
