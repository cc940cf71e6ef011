# cmake file for Raspberry Pi Pico with relume
set(PICO_BOARD "pico")
include(${CMAKE_CURRENT_LIST_DIR}/../../firmware/ports/rp2/board_rp2.cmake)
