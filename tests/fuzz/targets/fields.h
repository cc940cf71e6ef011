/* relume tests: fields of a blob (SPEC 2) that a fuzzer changes. Nothing is
 * assumed of the bytes. */
#ifndef FIELDS_H
#define FIELDS_H

#include <stddef.h>
#include <stdint.h>

/* Both checksums right, if the sizes still make sense. */
void fields_seal(uint8_t *image, size_t n);

/* Are they right? The sizes make sense. */
int fields_sealed(const uint8_t *image, size_t n, int with_data);

/* One field of some entry, or some bytes of the constants. */
void fields_mutate(uint8_t *image, size_t n);

/* What follows from shapes is made to: sizes, units, tiles, weights' sizes;
 * sometimes tensors are put one behind the other. */
void fields_mend(uint8_t *image, size_t n);

#endif
