/* relume: inferences go on, and are served, before there is an interpreter.
 *
 * rl_early() finds the records of all models that are deployed, restores the
 * inference that comes first (rl_record_first), and runs tiles and commits
 * until none is left, the power goes, or somebody asks for the interpreter.
 * While the charge does not carry the interpreter's start it also listens for
 * the next input. It keeps nothing: all that counts is in the NVM. */
#ifndef RELUME_EARLY_H
#define RELUME_EARLY_H

#include "frame.h"
#include "nvm.h"
#include "session.h"
#include "slots.h"

/* Every so many starts in a row that committed nothing, one is left to the
 * interpreter, so that nobody is locked out of the REPL. */
#define RL_EARLY_STARTS 3u

/* Between looks whether the interpreter's start fits, while nothing runs. */
#define RL_EARLY_LOOK_MS 100u

/* A model, its slot and its store. */
typedef struct {
    rl_slot        slot;
    const uint8_t *image;   /* the blob, mapped */
    rl_blob        blob;    /* valid if checked */
    rl_store       store;   /* if mounted */
    rl_session     session; /* if open */
    uint8_t        checked, mounted, open;
    uint8_t        seen;    /* opened since turn-on: no attempt is counted again */
} rl_early_model;

typedef struct {
    rl_early_model *model;  /* [n], by place, at the start of the memory */
    uint32_t        n, active;
    uint32_t        kept;   /* bytes at the memory's end, for them */
} rl_early_models;

/* What rl_early() needs of a board. ctx goes to every function. */
typedef struct {
    void       *ctx;
    uint8_t    *memory; /* [room] of rl_early_find(), borrowed; begins with the
                         * models that rl_early_find() found */
    uint32_t    room;
    uint32_t    blobs_size; /* bytes of the region of the models */
    const char *board, *version; /* names for HELLO */
    /* The NVM that a plan of this kind (RL_NVM_*) is for. */
    rl_status (*nvm)(void *ctx, uint32_t kind, rl_nvm **nvm);
    uint64_t  (*cycles)(void *ctx);   /* monotonic core cycles */
    uint32_t  (*micros)(void *ctx);   /* since turn-on */
    uint32_t  (*millivolts)(void *ctx); /* of the supply, 0 = unknown */
    /* Console. receive: 1 and the next byte, or 0. send: a whole frame; told
     * to be brief, it may drop one that would have to wait. rest: sleeps so
     * many ms, or until a byte comes. */
    int       (*receive)(void *ctx, uint8_t *byte);
    void      (*send)(void *ctx, const uint8_t *wire, uint32_t n, int brief);
    void      (*rest)(void *ctx, uint32_t ms);
    uint32_t    rest_cycles; /* that a ms asleep takes the energy of */
    uint32_t    start_us; /* that the interpreter's start takes, awake */
    /* As rl_crc32, by hardware; NULL: rl_crc32. */
    uint32_t  (*crc)(uint32_t crc, const void *data, uint32_t n);
    rl_fetch    fetch;    /* constants to SRAM */
} rl_early_board;

typedef enum {
    RL_EARLY_NOTHING, /* no session was opened: see rl_early_model.seen */
    RL_EARLY_LEFT,    /* the interpreter goes on with what the store holds */
} rl_early_end;

/* What is deployed (SPEC 5; image: the region's bytes, mapped), kept in
 * memory[0, room), 8-byte aligned. The active model is checked as at every
 * boot, in a copy of its metadata that blobs reads, if there is room: all but the CRC of its constants, which was checked before its slot
 * became active; the others are when they are used. RL_E_STATE: there is none,
 * or too little memory. */
RL_CHECKED rl_status rl_early_find(rl_nvm *blobs, const uint8_t *image,
                                   uint8_t *memory, uint32_t room,
                                   rl_early_models *models);

rl_early_end rl_early(const rl_early_board *board, rl_early_models *models);

/* ---- Between early.c, early_models.c and early_link.c ------------------ */

typedef struct {
    const rl_early_board  *board;
    rl_early_models       *models;
    rl_early_model        *now;   /* runs, or ran last; events tell of it */
    rl_early_model        *gathers; /* its input is under way, or NULL */
    uint32_t               used;  /* bytes of the memory */
    rl_frame_decoder       decoder;
    uint32_t               input_id, input_at; /* of the input gathered */
    int                    leave; /* somebody wants the interpreter */
    uint32_t               looks; /* whether its start fits */
    uint32_t               fell, fell_us; /* square millivolts in a time awake,
                                           * 0: not known */
} rl_early_state;

/* Mounts the stores of all models whose NVM answers. RL_E_NVM: none. */
RL_CHECKED rl_status rl_early_mount(rl_early_state *e);

/* The running inference that comes first, or NULL. */
rl_early_model *rl_early_first(const rl_early_state *e);

/* Nothing that its session has computed is in SRAM alone. */
int rl_early_committed(const rl_early_model *m);

/* Opens the model's session. Where memory is short the others are closed.
 * RL_E_FULL: too little memory, or another one runs in it. */
RL_CHECKED rl_status rl_early_open(rl_early_state *e, rl_early_model *m);

/* Of a session that is not open: what the record says. */
uint8_t rl_early_stands(const rl_early_model *m);

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
