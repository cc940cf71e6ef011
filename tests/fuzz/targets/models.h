/* relume tests: small sound models of each NVM, built into the programs that
 * need one (models.c is written by build.py). */
#ifndef MODELS_H
#define MODELS_H

#include "blob.h"

#define MODELS 4u /* of each kind */

typedef struct {
    const uint8_t *image;
    uint32_t       size;
} model_image;

extern const model_image models[3][MODELS]; /* FRAM, flash, file */

/* Model `number` % MODELS of the NVM's kind, checked. */
void model_open(uint8_t kind, uint32_t number, rl_blob *blob);

#endif
