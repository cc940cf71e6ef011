/* relume: what is left of the charge and what the next tile needs of it, in
 * core cycles of the plan's cost model. SPEC 4.6. */
#ifndef RELUME_PACE_H
#define RELUME_PACE_H

#include "live.h"

#define RL_PACE_UNKNOWN 0xFFFFFFFFu

/* The reading is taken to be high by 1 / 32: the RP2040's ADC and a divider
 * of 1 % resistors are off by less. */
#define RL_PACE_MARGIN_SHIFT 5

/* Energy that the board draws by what the plan says, 8.8 fixed point. */
#define RL_DRAIN_PLANNED 256u
#define RL_DRAIN_MOST 2048u

typedef struct {
    uint32_t (*millivolts)(void *ctx); /* of the supply, 0 = unknown; or NULL */
    uint32_t drain;
    uint32_t live, dirty, ranges; /* upper bounds at the next tile */
    uint32_t next_live, next_dirty, next_ranges; /* and behind it */
    uint32_t left, spent; /* at the last commit; worst cycles since */
    uint32_t rest_cycles; /* in: cycles that a ms asleep takes the energy of */
    uint32_t rest_ms;     /* of the last rest since the commit, 0 = none */
    uint32_t rested;      /* square millivolts above turn-off before it */
    uint32_t begun;       /* the same behind this charge's restore, 0 = none */
    uint8_t  on;          /* the reading is followed until the next commit */
    uint8_t  hope;        /* the tile that does not fit might be kept */
    uint8_t  vain;        /* the charge before ended behind a tile's commit,
                           * and no sleep of this one paid */
    uint8_t  share;       /* in: of its worst that the next tile takes, by what
                           * was measured, in 1 / 256; 0 = unknown */
} rl_pace;

/* Cycles that the capacitor still feeds; RL_PACE_UNKNOWN without a reading. */
uint32_t rl_pace_left(const rl_pace *pace, const rl_blob *blob, void *ctx);

/* The same by the reading as it is, nothing taken off. */
uint32_t rl_pace_stored(const rl_pace *pace, const rl_blob *blob, void *ctx);

/* A commit or a restore: `live` bytes are live and none is dirty. */
void rl_pace_carried(rl_pace *pace, uint32_t live);

/* The drain after so many brown-outs that were not expected, from what the
 * record says (0 = nothing yet). */
uint32_t rl_pace_raised(uint32_t drain, uint32_t failures);

/* The drain that a commit leaves: it falls when more is left than was to be
 * expected. */
uint32_t rl_pace_settled(const rl_pace *pace, uint32_t left);

/* Worst case of a tile, or of a run of its units, in cycles: the kernel, and a
 * copy of constants before it. */
uint64_t rl_pace_kernel(const rl_blob *blob, const rl_tile *tile);
uint32_t rl_pace_copy(const rl_blob *blob, const rl_tile *tile, int copies);

/* Is there enough for the tile, or a run of its units, and a commit behind it?
 * Yes while the reading is not followed; it no longer is once it is unknown.
 * `copies`: the tile begins with a copy of constants. Where sleep may pay, the
 * reading as it is must carry falling asleep besides. Looks at the exact dirty
 * bytes only when bounds do not do. If not: is there `hope` for it, by the
 * reading as it is and if it takes what was measured, else half of its worst? */
int rl_pace_fits(rl_pace *pace, rl_live *live, const rl_tile *tile,
                 int copies, void *ctx);

/* This charge's restore is behind us: notes what it left. */
void rl_pace_begin(rl_pace *pace, const rl_blob *blob, void *ctx);

/* Milliseconds to sleep before the next look at the voltage; 0: do not. The
 * next charge would bring u beyond what is stored now, after a whole one, c,
 * has come in; asleep u takes u / (harvest - sleep). So it is slept while
 * harvest (1 - u / c) > sleep by the last look, until three quarters of a
 * charge are stored and the next tile `fits`. Where `vain`, nobody looks while there is hope: a look
 * would take it. A first rest takes a 128th to a 64th of a charge; while the
 * voltage rises the next one is twice as long, up to eight times the first, if
 * twice as much as came in is missing, and half as long if less is. */
uint32_t rl_pace_rest(rl_pace *pace, const rl_blob *blob, int fits,
                      void *ctx);

/* The tile that rl_pace_fits was asked for has run. */
void rl_pace_ran(rl_pace *pace, const rl_blob *blob, const rl_tile *tile,
                 int copies);

#endif
