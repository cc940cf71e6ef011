# cmake file for Raspberry Pi Pico W with relume
set(PICO_BOARD "pico_w")
include(${CMAKE_CURRENT_LIST_DIR}/../../firmware/ports/rp2/board_rp2.cmake)
