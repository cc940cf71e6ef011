#include "arm_nnfunctions.h"

int8_t fake_byte(int32_t acc, int32_t multiplier, int32_t shift,
                 int32_t offset, const cmsis_nn_activation *clamp)
{
    int32_t left = shift > 0 ? shift : 0, right = shift < 0 ? -shift : 0;
    int64_t product = (int64_t)(acc * (1 << left)) * multiplier;
    int32_t x = (int32_t)((product + (1 << 30)) >> 31);
    if (right > 0) {
        x = (x - (x < 0) + (1 << (right - 1))) >> right;
    }
    x += offset;
    x = x < clamp->min ? clamp->min : x;
    return (int8_t)(x > clamp->max ? clamp->max : x);
}
