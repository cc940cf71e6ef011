/* relume: between session.c, session_commit.c and session_step.c. */
#ifndef RELUME_SESSION_PARTS_H
#define RELUME_SESSION_PARTS_H

#include "session.h"

static inline uint64_t rl_session_now(const rl_session *s)
{
    return s->cycles ? s->cycles(s->ctx) : 0;
}

static inline rl_live rl_session_live(const rl_session *s)
{
    return rl_live_in(s->blob, s->work);
}

/* What the next record says about the running inference. */
rl_record rl_session_successor(const rl_session *s, uint8_t state);

/* Writes what is live and dirty, then the record (S2). After a failure the
 * arena may be whole, but what the NVM holds is unknown: the session must be
 * opened again. */
RL_CHECKED rl_status rl_session_commit(rl_session *s, rl_record *record);

/* A record without data: nothing is kept. */
RL_CHECKED rl_status rl_session_commit_empty(rl_session *s,
                                             rl_record *record);

/* Reads the live bytes of the newest record back and holds them against it. */
RL_CHECKED rl_status rl_session_load(rl_session *s);

/* The segment that holds the tile. */
const rl_segment *rl_session_segment(const rl_session *s, uint32_t tile);

/* How often n things can be halved, at most `most` times, until each part is
 * one of them. */
static inline uint32_t rl_session_halvings(uint32_t n, uint32_t most)
{
    uint32_t times = 0;
    for (n--; n > 0 && times < most; n >>= 1) {
        times++;
    }
    return times;
}

/* What a part of n things is when they are halved so often. */
static inline uint32_t rl_session_part(uint32_t n, uint32_t times)
{
    return ((n - 1u) >> times) + 1u;
}

/* A record counts a tile's units in grains of 2^n: this n of a tile of `count`
 * units. A tile has below 2^24 units, so at most 2^16 grains. */
static inline uint32_t rl_session_grain(uint32_t count)
{
    uint32_t n = 0;
    while (count >> n > 0xFFFFu) {
        n++;
    }
    return n;
}

/* Is there enough for the next tile and a commit behind it? */
int rl_session_fits(rl_session *s);

#endif
