# What the board files of boards/ that build for the RP2040 share. Before it a
# board says which board of the pico-sdk it is: set(PICO_BOARD ...).
set(PICO_PLATFORM "rp2040")

# start_rp2.c sets the clocks.
add_compile_definitions(PICO_RUNTIME_SKIP_INIT_CLOCKS=1)

if(NOT MICROPY_FROZEN_MANIFEST)
    set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
endif()
if(NOT USER_C_MODULES)
    set(USER_C_MODULES ${MICROPY_BOARD_DIR}/../../native_modules/relume/micropython.cmake)
endif()

# One region table for the header, the linker and the deploy: board.toml.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(RELUME_BOARD_TOML ${MICROPY_BOARD_DIR}/board.toml)
set(RELUME_REGIONS_PY ${MICROPY_BOARD_DIR}/../../firmware/tools/regions.py)
execute_process(
    COMMAND ${Python3_EXECUTABLE} ${RELUME_REGIONS_PY}
        ${RELUME_BOARD_TOML} ${CMAKE_BINARY_DIR}
    RESULT_VARIABLE RELUME_REGIONS_RESULT
)
if(NOT RELUME_REGIONS_RESULT EQUAL 0)
    message(FATAL_ERROR "relume: board.toml was refused")
endif()
file(GLOB RELUME_BOARD_TOMLS CONFIGURE_DEPENDS
    ${MICROPY_BOARD_DIR}/../*/board.toml) # boards extend each other
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    ${RELUME_BOARD_TOMLS} ${RELUME_REGIONS_PY})

# What runs once before the first tile comes to SRAM in bursts with the rest of
# it: MicroPython's linker script, with these files kept out of flash.
set(RELUME_EARLY
    blob*.c slots.c crc32.c engine*.c
    early.c early_models.c frame.c live.c nvm_fram.c pace.c
    session.c session_commit.c session_quantiles.c session_step.c store.c
    store_bytes.c
    crc_rp2.c early_rp2.c port_rp2.c spi_rp2.c gpio.c uart.c
)
set(RELUME_SCRIPT ${CMAKE_CURRENT_SOURCE_DIR}/memmap_mp_rp2040.ld)
set(RELUME_SRAM_PY ${MICROPY_BOARD_DIR}/../../firmware/tools/sram.py)
execute_process(
    COMMAND ${Python3_EXECUTABLE} ${RELUME_SRAM_PY}
        ${RELUME_SCRIPT} ${CMAKE_BINARY_DIR}/relume_memmap.ld ${RELUME_EARLY}
    RESULT_VARIABLE RELUME_SRAM_RESULT
)
if(NOT RELUME_SRAM_RESULT EQUAL 0)
    message(FATAL_ERROR "relume: the linker script was not made")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    ${RELUME_SCRIPT} ${RELUME_SRAM_PY})
# Behind the port's own choice.
cmake_language(DEFER CALL set_target_properties firmware PROPERTIES
    PICO_TARGET_LINKER_SCRIPT ${CMAKE_BINARY_DIR}/relume_memmap.ld
    LINK_DEPENDS ${CMAKE_BINARY_DIR}/relume_memmap.ld)
