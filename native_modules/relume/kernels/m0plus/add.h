/* relume: ADD on Cortex-M0+ (SPEC 2.7.4): the sum is linear in both bytes, and
 * the packer has tried all 65536 pairs. */
#ifndef RELUME_M0PLUS_ADD_H
#define RELUME_M0PLUS_ADD_H

#include "m0plus.h"

typedef struct {
    const int8_t *a, *b;
    int8_t       *y;
    uint32_t      n; /* >= 1 */
    uint32_t      by_a, by_b, start;
    uint32_t      shift; /* 0 to 31 */
    int32_t       low, high;
} rl_m0_add_job;

/* y = clamp((by_a * a + by_b * b + start) >> shift) */
void rl_m0_add(const rl_m0_add_job *job);

void rl_m0_add_tile(const rl_call *call);

#endif
