/* relume: the part of a filter window that lies on the input. */
#ifndef RELUME_WINDOW_H
#define RELUME_WINDOW_H

#include "../kernels.h"
#include "../requant.h"

/* Valid taps [low, high) of one axis; `start` is the position of tap `low`.
 * high <= low: no tap is valid (only with dilation). */
typedef struct {
    uint32_t low, high, start;
} rl_window_axis;

/* Taps 0 .. taps - 1 at first, first + step, ... of an axis of size `size`.
 * No division: walks over the taps, which are few. */
RL_INLINE rl_window_axis rl_window_clip(int32_t first, uint32_t taps,
                                        int32_t step, int32_t size)
{
    rl_window_axis axis = { 0, taps, 0 };
    int32_t last = first + (int32_t)(taps - 1u) * step;

    while (first < 0 && axis.low < taps) {
        first += step;
        axis.low++;
    }
    while (last >= size && axis.high > axis.low) {
        last -= step;
        axis.high--;
    }
    axis.start = (uint32_t)first;
    return axis;
}

#endif
