// Board and hardware specific configuration
#include "../../firmware/ports/rp2/board_rp2.h"

#define MICROPY_HW_BOARD_NAME                   "Adafruit Feather RP2040 (relume)"

#define MICROPY_HW_USB_VID                      (0x239A)
#define MICROPY_HW_USB_PID                      (0x80F2)
