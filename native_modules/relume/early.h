/* relume: inferences go on, and are served, before there is an interpreter.
 *
 * rl_early() finds the record of the active model, restores, and runs tiles
 * and commits until the inference is done, the power goes, or somebody asks
 * for the interpreter. While the charge does not carry the interpreter's
 * start it also listens for the next input. It keeps nothing: all that counts
 * is in the NVM. */
#ifndef RELUME_EARLY_H
#define RELUME_EARLY_H

#include "frame.h"
#include "nvm.h"
#include "session.h"
#include "slots.h"

/* Every so many starts in a row that committed nothing, one is left to the
 * interpreter, so that nobody is locked out of the REPL. */
#define RL_EARLY_STARTS 3u

/* The active model and its slot. */
typedef struct {
    rl_blob blob;
    rl_slot slot;
} rl_early_model;

/* What rl_early() needs of a board. ctx goes to every function. */
typedef struct {
    void       *ctx;
    uint8_t    *memory; /* [room], 8-byte aligned, borrowed */
    uint32_t    room;
    uint32_t    blobs_size; /* bytes of the region of the models */
    const char *board, *version; /* names for HELLO */
    /* The NVM that a plan of this kind (RL_NVM_*) is for. */
    rl_status (*nvm)(void *ctx, uint32_t kind, rl_nvm **nvm);
    uint64_t  (*cycles)(void *ctx);   /* monotonic core cycles */
    uint32_t  (*micros)(void *ctx);   /* since turn-on */
    uint32_t  (*millivolts)(void *ctx); /* of the supply, 0 = unknown */
    /* Console. receive: 1 and the next byte, or 0. send: a whole frame; told
     * to be brief, it may drop one that would have to wait. wait: sleeps
     * until a byte comes, some 20 ms at most. */
    int       (*receive)(void *ctx, uint8_t *byte);
    void      (*send)(void *ctx, const uint8_t *wire, uint32_t n, int brief);
    void      (*wait)(void *ctx);
    uint32_t    start_uj; /* energy of the interpreter's start */
    /* As rl_crc32, by hardware; NULL: rl_crc32. */
    uint32_t  (*crc)(uint32_t crc, const void *data, uint32_t n);
    rl_fetch    fetch;    /* constants to SRAM */
} rl_early_board;

typedef enum {
    RL_EARLY_NOTHING, /* the store was not opened, or is not for this */
    RL_EARLY_LEFT,    /* the interpreter goes on with what the store holds */
} rl_early_end;

/* The active model of the blobs region (SPEC 5; image: its bytes, mapped),
 * checked as at every boot: all but the CRC of its constants, which was
 * checked before its slot became active. RL_E_STATE: there is none. */
RL_CHECKED rl_status rl_early_find(rl_nvm *blobs, const uint8_t *image,
                                   rl_early_model *model);

rl_early_end rl_early(const rl_early_board *board,
                      const rl_early_model *model);

/* ---- Between early.c and early_link.c ---------------------------------- */

typedef struct {
    const rl_early_board *board;
    const rl_early_model *model;
    rl_nvm               *nvm;
    rl_store              store;
    rl_session            session;
    rl_frame_decoder      decoder;
    uint32_t              input_id, input_at; /* of the input gathered */
    int                   leave; /* somebody wants the interpreter */
} rl_early_state;

#define RL_EVENT_BOOTED 1u
#define RL_EVENT_RESUMED 2u
#define RL_EVENT_COMMITTED 3u
#define RL_EVENT_FINISHED 4u
#define RL_EVENT_STUCK 5u
#define RL_EVENT_ERASED 6u

/* An EVENT frame of this kind, if it need not wait or tells of an end. */
void rl_early_tell(rl_early_state *e, uint8_t kind);

/* Answers what has come since the last look. */
void rl_early_listen(rl_early_state *e);

#endif
