QEMU_MACHINE = microbit
MCU_NAME = Cortex-M0
CORE_FLAGS = -mcpu=cortex-m0 -mfloat-abi=soft -DQEMU_SOC_NRF51
LDSCRIPT = $(BOARD_DIR)/memory.ld
SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb1.o
include $(BOARD_DIR)/../board/board.mk
