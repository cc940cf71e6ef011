/* relume tests: what every tile must compute, from one uncut run of the
 * shipping engine; afterwards a tile costs a comparison and a copy. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include "blob.h"
#include "stage.h"

#define REFERENCE_INPUTS 3u
#define REFERENCE_TILE_CYCLES 1000u

typedef struct {
    rl_blob   blob;
    uint8_t  *image;
    uint8_t **tensors[REFERENCE_INPUTS]; /* [n_tensors][size] finished */
    uint32_t *finished; /* [n_tiles + 1][n_tensors] bytes before each tile */
    int       real;     /* run the engine each time instead */
    int       forge;    /* inputs look like records of the store */
    uint32_t  input;    /* which inference runs now */
    uint64_t  clock;    /* core cycles */
    uint64_t  tiles;    /* computed in all */
    const char *fault;  /* a tile found wrong input, or made wrong output */
    /* Before a tile, or so many units of it. */
    void    (*on_tile)(void *ctx, uint32_t units);
    void     *ctx;
} reference;

/* One per process: rl_stage_tile has no context. */
extern reference ref;

/* Reads the blob and runs it on REFERENCE_INPUTS random inputs. 0 = ok. */
int reference_make(const char *path, uint64_t seed);
void reference_free(void);

/* Bytes of arena with scratch. */
uint32_t reference_arena(void);

/* The final content of a tensor in inference `input`. */
const uint8_t *reference_tensor(uint32_t input, uint32_t tensor);

/* Takes the place of rl_stage_tile in session_step.c. */
void reference_tile(rl_stage *stage, const rl_blob *blob, uint8_t *arena,
                    const rl_tile *t);

#endif
