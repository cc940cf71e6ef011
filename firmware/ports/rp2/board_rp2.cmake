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
