/* relume: what a fallible function returns. Must be looked at. */
#ifndef RELUME_STATUS_H
#define RELUME_STATUS_H

typedef enum {
    RL_OK = 0,
    RL_MORE = 1,         /* step: committed, more segments to come */
    RL_DONE = 2,         /* step: the output is there */
    RL_ERASED = 3,       /* step: erased one sector instead of computing */
    RL_RAN = 4,          /* step: computed and went on without a commit */
    RL_RESTED = 5,       /* step: slept instead, too little is left */
    /* Errors are negative. */
    RL_E_TRUNCATED = -1, /* blob: shorter than it says */
    RL_E_MAGIC = -2,     /* blob: not a relume blob */
    RL_E_VERSION = -3,   /* blob: a version that this engine does not read */
    RL_E_CRC = -4,       /* blob: checksum differs */
    RL_E_BOUNDS = -5,    /* blob: an offset or size leaves its section */
    RL_E_SHAPE = -6,     /* blob: shapes of an op do not fit together */
    RL_E_PLAN = -7,      /* blob: tiles or segments do not cover the ops */
    RL_E_KIND = -8,      /* blob: an op kind or kernel this engine lacks */
    RL_E_NVM = -9,       /* NVM does not answer, or reads back differently */
    RL_E_NVM_SIZE = -10, /* NVM is too small for the plan */
    RL_E_NVM_KIND = -11, /* planned for another kind of NVM */
    RL_E_DAMAGED = -12,  /* checkpoint's data does not match its record */
    RL_E_STUCK = -13,    /* even one unit of a tile does not fit a charge */
    RL_E_STATE = -14,    /* call does not fit the state (no input, busy ...) */
    RL_E_SIZE = -15,     /* buffer of the wrong size */
    RL_E_MODEL = -16,    /* checkpoint belongs to another model */
    RL_E_FULL = -17,     /* no room */
    RL_E_ARG = -18       /* argument out of range */
} rl_status;

#if defined(__GNUC__)
#define RL_CHECKED __attribute__((warn_unused_result))
#else
#define RL_CHECKED
#endif

/* One line of text for a status, never NULL. */
const char *rl_status_text(rl_status status);

#endif
