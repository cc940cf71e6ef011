/* relume: what PAD, RESHAPE, GATHER and CONCATENATION share. */
#ifndef RELUME_COPY_H
#define RELUME_COPY_H

#include "../kernels.h"

/* to[i] = from[i], i < n; by words where both are alike modulo 4. */
void rl_copy_bytes(int8_t *to, const int8_t *from, uint32_t n);

#endif
