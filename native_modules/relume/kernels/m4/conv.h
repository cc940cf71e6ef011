/* relume: what the parts of the Cortex-M4 CONV_2D share. */
#ifndef RELUME_M4_CONV_H
#define RELUME_M4_CONV_H

#include "m4.h"

typedef struct {
    const rl_call *call;
    int8_t        *bytes;       /* gathered windows, or padding */
    uint32_t      *words;       /* widened windows */
    uint32_t       row, column; /* of the next pixel */
    uint32_t       x_row;       /* bytes of an input row */
    uint32_t       run;         /* bytes of a window's row, rounded up */
    uint32_t       k;           /* kh * run */
    uint32_t       fill;        /* four zero points */
    int            compact;     /* not dilated */
} rl_m4_walk;

typedef struct {
    int32_t y, x; /* first tap */
} rl_m4_corner;

/* The window's bytes, rows rounded up to whole words: [kh][at->run]. */
void rl_m4_gather(const rl_m4_walk *at, const rl_m4_corner *p, int8_t *to);

#endif
