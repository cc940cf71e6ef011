/* relume tests: NVM content as a fuzzer's input.
 *
 * FRAM and file: the bytes from 0 on, zeros behind them. Flash: pages of 257
 * bytes, number and content; the others are erased. */
#ifndef IMAGES_H
#define IMAGES_H

#include <stddef.h>

#include "faultnvm.h"

#define IMAGE_PAGE (1u + RL_FLASH_PAGE)

/* A device with that content; fault_free() ends it. */
void image_make(fault *device, uint8_t kind, uint32_t size,
                const uint8_t *data, size_t n);

/* The content as an input, into to[0, most). Its size. */
size_t image_write(const fault *device, uint8_t *to, size_t most);

/* Some bytes of it are changed, most of them where something is. */
void image_mutate(uint8_t kind, uint8_t *data, size_t n);

#endif
