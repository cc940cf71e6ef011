# What the boards beside this folder share; each says its machine, MCU_NAME and CORE_FLAGS.
SHARED := $(dir $(lastword $(MAKEFILE_LIST)))
QEMU_ARCH = arm
CFLAGS += -mthumb $(CORE_FLAGS) -DMICROPY_HW_MCU_NAME='"$(MCU_NAME)"'
CFLAGS += -DMP_CONFIGFILE='"relume_qemu.h"' -I$(SHARED)
QSTR_GLOBAL_DEPENDENCIES += $(SHARED)relume_qemu.h
MICROPY_HEAP_SIZE = 1048576
