/* relume: kernels compute units [first, first + count) of one op.
 *
 * Everything a kernel is given has been proven by rl_blob_check(): kernels
 * check nothing. They read finished input bytes, write the units' bytes of
 * the output and the scratch memory, and nothing else. */
#ifndef RELUME_KERNELS_H
#define RELUME_KERNELS_H

#include "../engine.h"

/* The firmware defines RL_HOT to put kernels into SRAM. */
#ifndef RL_HOT
#define RL_HOT
#endif
/* Likewise, of what the checker of blobs calls too: there when the rest is not
 * yet (copy_rp2.c). */
#ifndef RL_WARM
#define RL_WARM RL_HOT
#endif

/* Runs too seldom for speed to matter; and the loop that matters of a file
 * that is compiled for size. */
#if defined(__arm__) && defined(__GNUC__) && !defined(__clang__)
#define RL_SMALL __attribute__((optimize("Os")))
#define RL_FAST __attribute__((optimize("O2"), noinline))
#else
#define RL_SMALL
#define RL_FAST
#endif

/* 0: constants are always read in place, never copied to SRAM; what copies
 * them is left out (native modules). */
#ifndef RL_WITH_STAGES
#define RL_WITH_STAGES 1
#endif
#define RL_IN_PARTS(call) (RL_WITH_STAGES && (call)->chunk)

typedef struct {
    const rl_op     *op;
    const rl_tensor *in0, *in1, *out; /* in1: NULL if there is none */
    const int8_t    *a, *b;           /* data of in0, in1 */
    int8_t          *y;               /* data of out, its first byte */
    const int8_t    *w;               /* weights, SPEC 2.4 */
    const int32_t   *bias;            /* [out.c] or NULL */
    const int32_t   *mult;            /* [out.c] */
    const int8_t    *shift;           /* [out.c] */
    int32_t         *scratch;         /* rl_engine_scratch(op) bytes */
    uint32_t         first, count;    /* count >= 1 */
    int              resident;        /* w is in SRAM, or comes there in parts */
    uint8_t         *chunk;           /* [16 * op->chunk] for parts of w, NULL */
    const rl_fetch  *fetch;           /* brings them there */
} rl_call;

void rl_conv_tile(const rl_call *call);
void rl_depthwise_tile(const rl_call *call);
void rl_dense_tile(const rl_call *call);
void rl_pool_average_tile(const rl_call *call);
void rl_pool_max_tile(const rl_call *call);
void rl_add_tile(const rl_call *call);
void rl_mul_tile(const rl_call *call);
void rl_map_tile(const rl_call *call);
void rl_softmax_tile(const rl_call *call);
void rl_copy_pad_tile(const rl_call *call);
void rl_mean_tile(const rl_call *call);
void rl_copy_reshape_tile(const rl_call *call);
void rl_gather_tile(const rl_call *call);
void rl_concatenation_tile(const rl_call *call);

#endif
