/* relume: the kernels of one core (op.kernel other than 0). A blob for core
 * 1 or 2 (header.core) may use those of that core; what each makes of the
 * op's constants is in SPEC 2.7. A microcontroller has those of its own core,
 * any other machine has them all, in C where there is no assembly. */
#ifndef RELUME_ENGINE_FAST_H
#define RELUME_ENGINE_FAST_H

#include "kernels/kernels.h"

#if defined(__arm__) || defined(__XTENSA__) \
    || (defined(__riscv) && __riscv_xlen == 32)
#define RL_MICROCONTROLLER 1
#else
#define RL_MICROCONTROLLER 0
#endif

#if !RL_MICROCONTROLLER || defined(__ARM_ARCH_6M__)
#define RL_WITH_M0PLUS 1
#else
#define RL_WITH_M0PLUS 0
#endif

#if !RL_MICROCONTROLLER || defined(__ARM_FEATURE_DSP)
#define RL_WITH_M4 1
#else
#define RL_WITH_M4 0
#endif

#define RL_FOR_PORTABLE 0u /* header.core */
#define RL_FOR_M0PLUS 1u
#define RL_FOR_M4 2u

/* Blobs for this core can be run here. */
int rl_fast_has_core(uint32_t core);

/* op.kernel != 0: computes call's units. The op is checked. */
void rl_fast_tile(uint32_t core, const rl_call *call);

/* Scratch bytes of a checked op with op.kernel != 0. */
uint32_t rl_fast_scratch(uint32_t core, const rl_op *op, const rl_tensor *in,
                         const rl_tensor *out);

#endif
