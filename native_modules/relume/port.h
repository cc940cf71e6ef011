/* relume: what the MicroPython binding needs of a board. Implemented once per
 * port in firmware/ports/; knows no MicroPython. */
#ifndef RELUME_PORT_H
#define RELUME_PORT_H

#include <stddef.h>
#include <stdint.h>

#include "nvm.h"

typedef struct {
    const char *name;
    uint32_t    offset, size; /* bytes from the start of flash */
} rl_region;

extern const char *const rl_port_board; /* name of the board's folder */

/* The region table of board.toml; its length goes to *n. */
const rl_region *rl_port_regions(size_t *n);

/* Monotonic count of core cycles since turn-on. ctx is not used. */
uint64_t rl_port_cycles(void *ctx);

/* Microseconds since turn-on, wraps. */
uint32_t rl_port_micros(void);

/* Copies flash to SRAM (rl_fetch): begins, waits for the end. */
void rl_port_fetch(void *to, const void *from, uint32_t bytes);
void rl_port_fetched(void);

/* As rl_crc32, by hardware where there is some. */
uint32_t rl_port_crc32(uint32_t crc, const void *data, uint32_t n);

/* Supply voltage in millivolts, 0 = unknown. */
uint32_t rl_port_millivolts(void);

/* Moves up to n bytes that have arrived on the console into data[0, n)
 * without waiting. Returns their number, -1 when the console is closed. */
int32_t rl_port_console(uint8_t *data, uint32_t n);

/* The blobs region as flash NVM; *image: its bytes, mapped for reading. */
RL_CHECKED rl_status rl_port_blobs(rl_nvm *nvm, const uint8_t **image);

/* The store region as flash NVM. */
RL_CHECKED rl_status rl_port_store(rl_nvm *nvm);

#endif
