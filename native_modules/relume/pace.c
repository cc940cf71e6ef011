/* relume: what is left of the charge. Energy is counted in cycles of active
 * power, as the planner does: C (V^2 - Voff^2) / 2 is mv2_cycles / 2^16 a
 * square millivolt. Products of two 32-bit numbers are made in 64 bits; there
 * is no division. */
#include "pace.h"

#include <stddef.h>

#include "nvm.h"

/* ---------------------------------------------------------------- energy -- */

static uint32_t clamped(uint64_t cycles)
{
    return cycles < RL_PACE_UNKNOWN ? (uint32_t)cycles : RL_PACE_UNKNOWN - 1u;
}

/* Square millivolts. */
static uint32_t above(uint32_t mv, uint32_t off)
{
    mv = mv < 0xFFFFu ? mv : 0xFFFFu;
    return mv > off ? mv * mv - off * off : 0;
}

static uint32_t stored(const rl_header *h, uint32_t mv)
{
    return clamped((uint64_t)above(mv, h->voff_mv) * h->mv2_cycles >> 16);
}

/* 0: unknown. */
static uint32_t reading(const rl_pace *pace, const rl_header *h, void *ctx)
{
    uint32_t mv = pace->millivolts == NULL || h->mv2_cycles == 0
                ? 0 : pace->millivolts(ctx);
    return mv < 0xFFFFu ? mv : 0xFFFFu;
}

uint32_t rl_pace_stored(const rl_pace *pace, const rl_blob *blob, void *ctx)
{
    return stored(blob->header, reading(pace, blob->header, ctx));
}

static uint32_t left_by(const rl_header *h, uint32_t mv)
{
    return mv == 0 ? RL_PACE_UNKNOWN
                   : stored(h, mv - (mv >> RL_PACE_MARGIN_SHIFT));
}

uint32_t rl_pace_left(const rl_pace *pace, const rl_blob *blob, void *ctx)
{
    return left_by(blob->header, reading(pace, blob->header, ctx));
}

uint64_t rl_pace_kernel(const rl_blob *blob, const rl_tile *tile)
{
    const rl_op *op = &blob->ops[tile->op];
    return (uint64_t)op->unit_cycles * tile->count + op->tile_cycles;
}

uint32_t rl_pace_copy(const rl_blob *blob, const rl_tile *tile, int copies)
{
    return copies ? blob->ops[tile->op].stage_cycles : 0;
}

/* By what was measured; share 0: at worst. */
static uint64_t tile_cycles(const rl_blob *blob, const rl_tile *tile,
                            int copies, uint32_t share)
{
    uint64_t kernel = rl_pace_kernel(blob, tile);
    return (share ? kernel * share >> 8 : kernel)
         + rl_pace_copy(blob, tile, copies);
}

/* Flash carries what is live, the others what is dirty. */
static uint64_t commit_cycles(const rl_header *h, uint32_t live,
                              uint32_t dirty, uint32_t ranges)
{
    uint32_t written = h->nvm_kind == RL_NVM_FLASH ? live : dirty;
    return (uint64_t)h->commit_cycles + (uint64_t)h->access_cycles * ranges
         + (uint64_t)h->byte_cycles * written
         + (uint64_t)h->crc_cycles * live;
}

static uint32_t drained(uint64_t cycles, uint32_t drain)
{
    return clamped(clamped(cycles) * (uint64_t)drain >> 8);
}

/* ----------------------------------------------------------------- drain -- */

uint32_t rl_pace_raised(uint32_t drain, uint32_t failures)
{
    if (drain < RL_DRAIN_PLANNED) {
        drain = RL_DRAIN_PLANNED;
    }
    while (failures-- > 0 && drain < RL_DRAIN_MOST) {
        drain += drain / 4u;
    }
    return drain < RL_DRAIN_MOST ? drain : RL_DRAIN_MOST;
}

uint32_t rl_pace_settled(const rl_pace *pace, uint32_t left)
{
    uint32_t above = pace->drain - RL_DRAIN_PLANNED;
    if (!pace->on || left == RL_PACE_UNKNOWN
        || pace->left == RL_PACE_UNKNOWN || pace->spent == 0
        || (uint64_t)left + pace->spent <= pace->left) {
        return pace->drain;
    }
    return pace->drain - (above + 15u) / 16u;
}

/* ---------------------------------------------------------------- bounds -- */

void rl_pace_carried(rl_pace *pace, uint32_t live)
{
    pace->live = live;
    pace->dirty = 0;
    pace->ranges = 0;
    pace->spent = 0;
    pace->rest_ms = 0;
}

/* What the tile writes is all live, all dirty and a range of its own. */
static void guess(rl_pace *pace, const rl_blob *blob, const rl_tile *tile)
{
    uint32_t n = tile->count * blob->ops[tile->op].unit_bytes;
    pace->next_live = pace->live + n;
    pace->next_dirty = pace->dirty + n;
    pace->next_ranges = pace->ranges + 1u;
}

/* The same, exactly. */
static void survey(rl_pace *pace, rl_live *live, const rl_tile *tile)
{
    uint32_t tensors = live->blob->header->n_tensors;
    rl_live_grow(live, tile);
    pace->next_live = rl_live_survey(live);
    rl_live_shrink(live, tile);
    pace->next_dirty = 0;
    pace->next_ranges = 0;
    for (uint32_t t = 0; t < tensors; t++) {
        uint32_t n = rl_live_bytes(live, t), clean = rl_live_clean(live, t);
        if (n > clean) {
            pace->next_dirty += n - clean;
            pace->next_ranges++;
        }
    }
}

/* ---------------------------------------------------------------- asleep -- */

#define REST_SHIFT 7u    /* a first rest takes 1 / 128 of a charge or more */
#define REST_LEAST_MS 8u   /* a wake-up must not weigh */
#define REST_MOST_MS 1024u

static uint32_t first_ms(const rl_pace *pace, const rl_header *h,
                         uint32_t full)
{
    uint64_t share = (uint64_t)full * h->mv2_cycles >> (16u + REST_SHIFT);
    uint32_t ms = REST_LEAST_MS;
    while (ms < REST_MOST_MS && (uint64_t)ms * pace->rest_cycles < share) {
        ms *= 2u;
    }
    return ms;
}

/* For all that is known, sleep pays. */
static int may_pay(const rl_pace *pace)
{
    return pace->rest_cycles != 0 && !pace->vain;
}

/* The first look and, half as much again, the clocks' way down and up. */
static uint64_t look_cycles(const rl_pace *pace, const rl_header *h)
{
    uint32_t ms = first_ms(pace, h, above(h->von_mv, h->voff_mv));
    return (uint64_t)(ms + ms / 2u) * pace->rest_cycles;
}

/* ----------------------------------------------------------------- fits -- */

static int enough(const rl_pace *pace, const rl_blob *blob, uint64_t tile,
                  uint32_t left)
{
    uint64_t commit = commit_cycles(blob->header, pace->next_live,
                                    pace->next_dirty, pace->next_ranges);
    return drained(tile + commit, pace->drain) <= left;
}

static int suffices(const rl_pace *pace, const rl_blob *blob, uint64_t tile,
                    uint32_t mv)
{
    const rl_header *h = blob->header;
    return enough(pace, blob, tile, left_by(h, mv))
        && (!may_pay(pace) || enough(pace, blob,
                                     tile + look_cycles(pace, h),
                                     stored(h, mv)));
}

int rl_pace_fits(rl_pace *pace, rl_live *live, const rl_tile *tile,
                 int copies, void *ctx)
{
    const rl_blob *blob = live->blob;
    guess(pace, blob, tile);
    uint32_t mv = pace->on ? reading(pace, blob->header, ctx) : 0;
    uint32_t left = left_by(blob->header, mv);
    if (pace->spent == 0) {
        pace->left = left;
    }
    if (left == RL_PACE_UNKNOWN) {
        pace->on = 0;
        return 1;
    }
    uint64_t cycles = tile_cycles(blob, tile, copies, pace->share);
    if (suffices(pace, blob, cycles, mv)) {
        return 1;
    }
    survey(pace, live, tile);
    pace->hope = (uint8_t)enough(pace, blob,
                                 pace->share ? cycles : cycles / 2u,
                                 stored(blob->header, mv));
    return suffices(pace, blob, cycles, mv);
}

void rl_pace_ran(rl_pace *pace, const rl_blob *blob, const rl_tile *tile,
                 int copies)
{
    uint64_t spent = tile_cycles(blob, tile, copies, 0) + pace->spent;
    pace->spent = clamped(spent);
    pace->live = pace->next_live;
    pace->dirty = pace->next_dirty;
    pace->ranges = pace->next_ranges;
}

/* ----------------------------------------------------------------- rest -- */

#define LONGER 8u        /* than the first are the others at most */

void rl_pace_begin(rl_pace *pace, const rl_blob *blob, void *ctx)
{
    pace->begun = above(pace->millivolts(ctx), blob->header->voff_mv);
}

/* What came in beyond what sleep took, against that; energy as square
 * millivolts, products below 2^64. */
static int pays(const rl_pace *pace, const rl_header *h, uint32_t now,
                uint32_t full)
{
    uint32_t next = pace->begun != 0 ? pace->begun : full / 2u;
    uint32_t more = next > now ? next - now : 0;
    more = more < full ? more : full;
    uint64_t came = (uint64_t)(now - pace->rested) * h->mv2_cycles >> 16;
    uint64_t slept = (uint64_t)pace->rest_ms * pace->rest_cycles;
    return clamped(came) * (uint64_t)(full - more)
        > clamped(slept) * (uint64_t)more;
}

uint32_t rl_pace_rest(rl_pace *pace, const rl_blob *blob, int fits,
                      void *ctx)
{
    const rl_header *h = blob->header;
    uint32_t full = above(h->von_mv, h->voff_mv);
    uint32_t goal = full - full / 4u, first = first_ms(pace, h, full);
    uint32_t now = above(pace->millivolts(ctx), h->voff_mv);
    if (pace->rest_ms == 0) {
        if (fits || (pace->hope && !may_pay(pace))) {
            return 0;
        }
        pace->rest_ms = first;
    } else {
        if (now <= pace->rested || !pays(pace, h, now, full)) {
            return 0;
        }
        pace->vain = 0;
        if (now >= goal && fits) {
            return 0;
        }
        uint32_t came = now - pace->rested;
        uint32_t missing = now < goal ? goal - now : 0;
        if (came <= missing / 2u && pace->rest_ms < LONGER * first) {
            pace->rest_ms *= 2u;
        } else if (came > missing && pace->rest_ms > first) {
            pace->rest_ms /= 2u;
        }
    }
    pace->rested = now;
    return pace->rest_ms;
}
