/* relume tests: a script of commits of keys and values, what must be there
 * after each, and one life of a board that makes them. */
#ifndef KVLIFE_H
#define KVLIFE_H

#include <setjmp.h>

#include "faultnvm.h"
#include "kv.h"

#define KEYS 12u
#define MOST_STEPS 400u
#define DEPTH 3u
#define INDEX 64u

typedef struct {
    uint8_t  kind;
    uint32_t size, base, room; /* of the NVM; of the store: place and bytes */
    uint32_t depth, every, seeds, steps, fill, most; /* most: value bytes */
    uint32_t after; /* commits that a life makes behind a cut */
    uint32_t ahead; /* bytes to erase for after each commit, 0: none */
    uint64_t seed;
} kv_options;

typedef struct {
    uint64_t cuts, lives, ops, commits, snapshots, erases, old, new;
} kv_totals;

/* What step `now` of the script left: tag 0 = no such key. */
typedef struct {
    uint32_t tag[KEYS], size[KEYS];
} kv_state;

typedef struct {
    fault       device;
    rl_nvm      nvm;
    rl_kv       kv;
    rl_kv_entry index[INDEX];
    uint32_t    depth, now, op, variant;
    int         maybe; /* it is booting, and may find step now + 1 */
} kv_life;

extern kv_options opt;
extern kv_totals total;
extern kv_life lives[DEPTH + 1];

/* Before an operation takes effect in a life; NULL: nothing cuts. */
extern void (*kv_strike)(fault *device, const fault_op *op);

/* Where RL_E_NVM leads; NULL: to a failure. */
extern jmp_buf *kv_escape;

/* Gets between the store and the driver; NULL: nothing does. */
extern void (*kv_wrap)(rl_nvm *nvm);

void kv_script(void); /* from opt */
const kv_state *kv_after(uint32_t step);

/* Prints and exits with 1. */
void kv_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Turns a board on. The state must be that of step `old`, or of old + 1 where
 * `new` says so; which it is becomes now. -1: opened as damaged. */
int kv_boot(uint32_t depth, uint32_t old, int new);

/* Makes the commits up to step `end`. */
void kv_go(kv_life *l, uint32_t end);

/* Is what the store holds that of the step? */
int kv_equal(kv_life *l, uint32_t step);

/* Memory of all lives. */
void kv_setup(void);
void kv_teardown(void);

#endif
