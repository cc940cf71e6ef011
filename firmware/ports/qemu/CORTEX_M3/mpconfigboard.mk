QEMU_MACHINE = mps2-an385
MCU_NAME = Cortex-M3
CORE_FLAGS = -mcpu=cortex-m3 -mfloat-abi=soft -DQEMU_SOC_MPS2
LDSCRIPT = mcu/arm/mps2.ld
SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o
include $(BOARD_DIR)/../board/board.mk
