/* relume: whether the Cortex-M4 assembly is built; else its C twins are. */
#ifndef RELUME_M4_ASM_H
#define RELUME_M4_ASM_H

#if defined(__ARM_ARCH) && defined(__ARM_FEATURE_DSP) && defined(__thumb2__)
#define RL_M4_ASM 1
#else
#define RL_M4_ASM 0
#endif

#endif
