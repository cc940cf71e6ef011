# relume as a user C module of a cmake port of MicroPython (rp2):
#   -DUSER_C_MODULES=/path/to/native_modules/relume/micropython.cmake

set(RELUME_DIR ${CMAKE_CURRENT_LIST_DIR})
set(RELUME_PORT_DIR ${RELUME_DIR}/../../firmware/ports/rp2)

file(GLOB RELUME_CORE CONFIGURE_DEPENDS
    ${RELUME_DIR}/*.c ${RELUME_DIR}/kernels/portable/*.c
    ${RELUME_DIR}/kernels/m0plus/*.c ${RELUME_DIR}/kernels/m0plus/*.S)
list(FILTER RELUME_CORE EXCLUDE REGEX "/(bind_|nvm_file)[^/]*$")
file(GLOB RELUME_BIND CONFIGURE_DEPENDS ${RELUME_DIR}/bind_*.c)
list(FILTER RELUME_BIND EXCLUDE REGEX "/bind_natmod[^/]*$")

add_library(usermod_relume INTERFACE)

# hot_begin.S and hot_end.S stand around what RL_HOT puts into SRAM.
target_sources(usermod_relume INTERFACE
    ${RELUME_PORT_DIR}/hot_begin.S
    ${RELUME_CORE}
    ${RELUME_PORT_DIR}/hot_end.S
    ${RELUME_BIND}
    ${RELUME_PORT_DIR}/port_rp2.c
    ${RELUME_PORT_DIR}/console_rp2.c
    ${RELUME_PORT_DIR}/spi_rp2.c
    ${RELUME_PORT_DIR}/i2c_rp2.c
    ${RELUME_PORT_DIR}/crc_rp2.c
    ${RELUME_PORT_DIR}/fetch_rp2.c
    ${RELUME_PORT_DIR}/sleep_rp2.c
    ${RELUME_PORT_DIR}/early_rp2.c
    ${RELUME_PORT_DIR}/start_rp2.c
    ${RELUME_PORT_DIR}/copy_rp2.c
    ${RELUME_PORT_DIR}/reset_rp2.S
)

target_include_directories(usermod_relume INTERFACE
    ${RELUME_DIR}
    ${RELUME_PORT_DIR}
)

# Kernels run from SRAM, where nothing stalls.
set_source_files_properties(${RELUME_CORE} PROPERTIES
    COMPILE_OPTIONS "-O2"
    COMPILE_DEFINITIONS
        "RL_HOT=__attribute__((section(\".time_critical.relume\")));RL_WARM=__attribute__((section(\".after_data.relume\")))"
)

# Speed where the cycles go, size elsewhere.
file(STRINGS ${RELUME_DIR}/small.txt RELUME_SMALL)
list(TRANSFORM RELUME_SMALL PREPEND "${RELUME_DIR}/")
file(GLOB RELUME_SMALL CONFIGURE_DEPENDS ${RELUME_SMALL})
set_property(SOURCE ${RELUME_SMALL} PROPERTY COMPILE_OPTIONS "-Os")

# The image must end below the region of the blobs.
target_link_options(usermod_relume INTERFACE
    ${CMAKE_BINARY_DIR}/relume_regions.ld)

# The flash chip is asked for its number later, clocks that run as they are
# wanted stay (start_rp2.c); the DMA computes the CRC of the model (crc_rp2.c).
target_link_options(usermod_relume INTERFACE
    -Wl,--wrap=flash_get_unique_id
    -Wl,--wrap=check_sys_clock_khz -Wl,--wrap=set_sys_clock_pll
    -Wl,--wrap=rl_crc32)

target_link_libraries(usermod INTERFACE usermod_relume)
