/* relume tests: a second opinion on a blob that the checker has accepted. It
 * proves again, in 64 bits and in other words, what SPEC 2 promises; a blob
 * that it does not like is a promise broken by the checker. */
#ifndef OPINION_H
#define OPINION_H

#include <stddef.h>

#include "blob.h"

void opinion_prove(const rl_blob *blob, size_t n);

/* 1: no tile writes over bytes that are still needed. The checker does not ask
 * for that: a plan that lies so gives wrong outputs, or a restore that is said
 * to be damaged. */
int opinion_keeps(const rl_blob *blob);

#endif
