/* relume tests: one life of a board, from turn-on to the end of the host's
 * script or to a cut, and all that must be true in it. */
#ifndef LIFE_H
#define LIFE_H

#include <setjmp.h>

#include "faultnvm.h"
#include "session.h"

typedef struct {
    uint8_t  kind;      /* RL_NVM_* */
    uint32_t size;      /* of the NVM */
    uint32_t base;      /* of the store in it */
    uint32_t depth;     /* cuts in a row */
    uint32_t every;     /* of the cuts behind the first, tries 1 in `every` */
    uint32_t seeds;
    uint64_t seed;
    uint32_t inferences;
    uint32_t fill;      /* what a new NVM holds: a byte, or 256 = noise */
    uint32_t replay;    /* levels of path[] that are prescribed */
    uint32_t path[FAULT_PATH][2]; /* operation, variant */
    int      verbose;
    int      behind;    /* writes in the background */
    uint32_t volts;     /* VOLTS_*: what the supply's reading says */
} options;

/* None, noise (and nothing now and then), always full, always empty, or what
 * is true of a capacitor that VOLTS_TILES tiles empty. */
enum { VOLTS_NONE, VOLTS_RANDOM, VOLTS_HIGH, VOLTS_LOW, VOLTS_TRUE };
#define VOLTS_TILES 6u

/* What the host knows; it keeps its power. Inference i has id 100 + i. */
typedef struct {
    uint32_t now;       /* inference under way */
    uint32_t have;      /* outputs received: 0 .. now + 1 */
    uint32_t before;    /* seq before the input of `now` was given */
    uint32_t boots_min, boots_max; /* that found `now` running */
} host;

/* What may be in the NVM after a cut. */
typedef struct {
    rl_record old;      /* newest before the operation */
    rl_record new;      /* magic 0: the operation is no record */
    uint32_t  attempts; /* counted for old */
    int       counting; /* the operation counts an attempt */
    int       untouched, complete;
    int       known;    /* 0: nothing is expected (first life) */
    uint32_t  reached;  /* tile in SRAM when it happened */
    uint32_t  units;    /* of it */
    uint32_t  halved;   /* how often it was */
    int       running;  /* and it was computing */
} expectation;

typedef struct {
    uint64_t cuts[FAULT_PATH], lives, ops, traffic, old, new, erases;
    uint64_t passed, rested; /* steps that ended so */
    uint64_t streams; /* writes in the background, of the first level */
    uint64_t split; /* lives that went on in the middle of a tile */
    uint32_t lost; /* most tiles computed twice after one cut */
} totals;

/* The memory of one level; all but the device is lost in a cut. */
typedef struct {
    fault       device;
    rl_nvm      nvm;
    rl_store    store;
    rl_session  session;
    uint8_t    *arena;
    uint32_t   *work;
    host        host;
    uint32_t    depth;
    uint64_t    turned_on; /* ref.clock then */
    int         counting; /* rl_session_open is under way */
} life;

extern life lives[FAULT_PATH + 1];
extern options opt;
extern totals total;
extern uint32_t path[FAULT_PATH][2];

/* What cuts the power; NULL: nothing does. Levels under opt.depth only. */
extern void (*life_strike)(fault *device, const fault_op *op);

/* Gets between the store and the driver; NULL: nothing does. */
extern void (*life_wrap)(rl_nvm *nvm);

/* Where RL_E_NVM leads; NULL: to a failure. */
extern jmp_buf *life_escape;

/* Reads ref and opt; makes and frees the memory of all lives. */
void life_setup(void);
void life_teardown(void);

/* Turns level `depth` on, opens store and session, checks what is there. */
void life_boot(uint32_t depth, host h, const expectation *expect);

/* One call of the host to the session. */
void life_call(life *l);

/* Runs the host's script on level `depth`'s device to its end. */
void life_run(uint32_t depth, host h, const expectation *expect);

/* Names the level that a failure belongs to. */
void life_level(uint32_t depth);

/* Prints why, and the id that replays it, and ends with exit code 1. */
void life_fail(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

#endif
