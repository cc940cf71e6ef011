// Board and hardware specific configuration
#include "../../firmware/ports/rp2/board_rp2.h"

#define MICROPY_HW_BOARD_NAME                   "Raspberry Pi Pico (relume)"
