/* relume tests: a store that has lived long, with its counters about to
 * wrap. */
#ifndef AGED_H
#define AGED_H

#include "faultnvm.h"

/* Writes what an old idle board has in its store at [base, size): a record of
 * number seq and, on flash, sectors that were erased `erases` times. */
void aged_make(fault *device, uint32_t base, uint32_t seq, uint32_t erases);

#endif
