# The port's own VIRT_RV32 with a larger heap. tests/qemu starts it without what an ESP32-C3 lacks.
QEMU_ARCH = riscv32
QEMU_MACHINE = virt
CFLAGS += -DQEMU_SOC_VIRT -DMICROPY_HW_MCU_NAME='"$(RV32_ARCH)"'
LDSCRIPT = mcu/rv32/virt.ld
SRC_BOARD_O += shared/runtime/gchelper_native.o shared/runtime/gchelper_rv32i.o
MICROPY_HEAP_SIZE = 1048576
# The linker's libraries have no folder for rv32imac_zicsr; the last -march counts.
LIBS = -march=rv32imac
