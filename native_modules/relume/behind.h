/* relume: writes dirty bytes home while tiles compute, where the NVM can
 * write in the background, so that a commit has less to write. SPEC 4.5.
 *
 * Safe before the record: a home byte that is written is dirty, so the newest
 * record does not need it (SPEC 3). Safe in the arena: the bytes are live
 * when their write begins; live bytes stay as they are during the next tile,
 * and before one during which they no longer are live the write is finished. */
#ifndef RELUME_BEHIND_H
#define RELUME_BEHIND_H

#include "live.h"
#include "store.h"

#define RL_BEHIND_LEAST 16u /* bytes; fewer cost more than they save */

typedef struct {
    uint32_t tensor;   /* 1 + the one whose bytes are being written; 0: none */
    uint32_t from, to; /* its bytes */
} rl_behind;

/* Between two tiles: ends a write that is through or whose bytes the next
 * tile may overwrite, and begins another. op: of the tile that ran last, whose
 * output is asked first. */
RL_CHECKED rl_status rl_behind_look(rl_behind *behind, rl_live *live,
                                    rl_store *store, const uint8_t *arena,
                                    uint32_t op);

/* Waits for what is under way. */
RL_CHECKED rl_status rl_behind_finish(rl_behind *behind, rl_live *live,
                                      rl_store *store);

#endif
