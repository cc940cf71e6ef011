/* relume tests: ways to lose power. */
#ifndef CUTS_H
#define CUTS_H

#include "life.h"

extern const host newcomer;        /* a host that starts its script */
extern const expectation anything; /* nothing is known of the NVM */

/* Every cut of the script, and of what follows each, to opt.depth. */
void cuts_exhaustive(void);

/* `lives` lives of random length in a row, on one NVM. */
void cuts_soak(uint32_t lives);

/* Lives that end after so many tiles, or units of any op: the scheduler must
 * get through with smaller parts, or with 0 end in the state stuck. */
void cuts_starve(uint32_t most, int by_units);

/* The same by units, each time with one cut besides, at every operation. */
void cuts_hungry(uint32_t units);

/* An NVM that refuses its n-th call, or from its n-th write on takes nothing
 * and does not say so; for every n. It must be noticed before anything is
 * built on it, and the next life must go on as if power had been lost. */
void cuts_refuse(void);
void cuts_deaf(void);

/* Every byte of the NVM flipped, after every record: never a wrong output. */
void cuts_rot(void);

#endif
