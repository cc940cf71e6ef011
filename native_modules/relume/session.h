/* relume: the scheduler of one model: input -> tiles -> output, with commits
 * as the plan or the supply voltage says, resumed after any power cut
 * (SPEC 3, 4). */
#ifndef RELUME_SESSION_H
#define RELUME_SESSION_H

#include "behind.h"
#include "engine.h"
#include "pace.h"
#include "session_quantiles.h"
#include "stage.h"
#include "store.h"

/* An inference's place among those of other models (SPEC 4.7). */
typedef struct {
    uint32_t due;      /* dated: a deadline; else a number that rises */
    uint8_t  dated, priority;
} rl_rank;

typedef struct {
    const rl_blob *blob;
    rl_store      *store;
    uint8_t       *arena; /* [arena_size + scratch_size], 4-byte aligned */
    uint32_t      *work;  /* [rl_session_work(blob) / 4] */
    uint32_t       tile;  /* next tile in SRAM (the record may be behind) */
    uint32_t       units; /* of these are finished */
    rl_stage       stage; /* constants in SRAM; in: its fetch */
    uint32_t       part;  /* tiles between commits in a segment that failed
                           * twice; 0 = the whole segment */
    uint32_t       halved; /* one tile failed: parts between commits are its
                            * count, halved so often */
    uint32_t       kept;  /* parts of this size that this life committed */
    uint8_t        state; /* RL_STATE_* */
    uint8_t        loaded; /* the arena holds the live bytes */
    uint8_t        stuck; /* open found too many attempts: step gives up */
    uint8_t        same_boot; /* in: opened before since turn-on, so that a
                               * running record is no lost attempt */
    uint64_t     (*cycles)(void *ctx); /* monotonic core cycles, or NULL */
    /* Sleeps so many milliseconds, or until somebody wants something. NULL:
     * the board goes on until the power is gone. */
    void         (*rest)(void *ctx, uint32_t ms);
    void          *ctx;   /* of cycles, rest and pace.millivolts */
    rl_pace        pace;  /* in: its millivolts */
    rl_quantiles   quantiles; /* of tiles, where there is a reading */
    rl_behind      behind;
    uint64_t       since; /* cycle count that the record does not hold yet */
    uint64_t       carry; /* cycles since the last record but for since's */
    uint32_t      *times; /* [n_ops] cycles of each op's tiles since begin or
                           * turn-on, those done again included; NULL = off */
    rl_rank        rank;  /* in: of the next inference that begins */
    uint8_t        yields; /* in: another one waits, so that the next end of a
                            * segment is a commit */
} rl_session;

/* Bytes of work memory. */
uint32_t rl_session_work(const rl_blob *blob);

/* Takes up what the store holds. Fields blob, store (opened), arena, work,
 * cycles, rest, pace.millivolts, pace.rest_cycles, same_boot must be set. A running record of this model counts an
 * attempt, unless same_boot, and is restored; a record of another model that is running or done is
 * RL_E_MODEL (clear first). RL_E_NVM_KIND (a file passes for an FRAM and the
 * other way), RL_E_NVM_SIZE, RL_E_DAMAGED (clear). */
RL_CHECKED rl_status rl_session_open(rl_session *session);

/* Commits the input (size of the input tensor) as inference `id`. Allowed
 * when empty or idle, or done (the old output is given up). The same id while
 * running or done is RL_OK and changes nothing. Flash: RL_ERASED = again. */
RL_CHECKED rl_status rl_session_begin(rl_session *session, uint32_t id,
                                      const uint8_t *input, uint32_t size);

/* Runs to the next commit: RL_MORE, RL_DONE, RL_ERASED or an error.
 *
 * With a reading of the supply voltage the end of a segment is passed without
 * a commit while the next tile and a commit fit what is left: RL_RAN. Before a
 * tile that does not fit, a commit is made; when nothing is left to commit,
 * the board rests while the voltage rises (RL_RESTED), then tries on. Without
 * a reading every segment ends with a commit.
 *
 * After n > 1 attempts at one record, but for those that began to erase
 * (RL_SPARED of them), the plan's segments are kept to, and cut
 * into 2^(n-1) parts, down to tiles and then to their units, with a commit
 * after each (SPEC 4.8); when a single unit failed RL_STUCK_ATTEMPTS times the
 * state becomes stuck and RL_E_STUCK is returned from then on. A stuck record
 * keeps no data. RL_E_STATE: nothing runs. */
#define RL_STUCK_ATTEMPTS 8
#define RL_SPARED 8 /* attempts at a record that erased, and divide nothing */
RL_CHECKED rl_status rl_session_step(rl_session *session);

/* The output's bytes in the arena, valid when state is done. */
RL_CHECKED rl_status rl_session_output(rl_session *session,
                                       const uint8_t **data, uint32_t *size);

/* The host has the output of inference `id`: done -> idle. Idempotent.
 * Flash: RL_ERASED = again. */
RL_CHECKED rl_status rl_session_take(rl_session *session, uint32_t id);

/* Gives up whatever is there, also what rl_session_open refused: -> idle.
 * Flash: RL_ERASED = again. */
RL_CHECKED rl_status rl_session_clear(rl_session *session);

#endif
