/* relume tests: a second opinion on a blob that the checker has accepted. It
 * proves again, in 64 bits and in other words, what SPEC 2 promises; a blob
 * that it does not like is a promise broken by the checker. */
#ifndef OPINION_H
#define OPINION_H

#include <stddef.h>

#include "blob.h"

void opinion_prove(const rl_blob *blob, size_t n);

#endif
