// What the board files of boards/ that build for the RP2040 share.
#include "relume_regions.h" // generated from board.toml

// The filesystem is the last region of the flash.
#define MICROPY_HW_FLASH_STORAGE_BYTES          (RL_FILESYSTEM_SIZE)

// REPL on UART0 (GP0, GP1; 115200) beside USB: USB powers the board, so runs
// from harvested energy talk over the UART.
#define MICROPY_HW_ENABLE_UART_REPL             (1)

// One core runs Python; the other sleeps. A flash write then needs no lockout.
#define MICROPY_PY_THREAD                       (0)

// The frame server's own UART handler goes at a soft reset: console_rp2.c.
#define MICROPY_BOARD_END_SOFT_RESET            relume_board_deinit
void relume_board_deinit(void);

// The pending inference goes on before the interpreter: early_rp2.c.
#define MICROPY_BOARD_STARTUP                   relume_board_startup
void relume_board_startup(void);
