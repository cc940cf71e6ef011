# cmake file for Adafruit Feather RP2040 with relume
set(PICO_BOARD "adafruit_feather_rp2040")
include(${CMAKE_CURRENT_LIST_DIR}/../../firmware/ports/rp2/board_rp2.cmake)
