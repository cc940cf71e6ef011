# relume as a user C module of a make port of MicroPython (unix):
#   make USER_C_MODULES=/path/to/native_modules

RELUME_DIR := $(USERMOD_DIR)
RELUME_PORT_DIR := $(abspath $(RELUME_DIR)/../../firmware/ports/unix)

RELUME_CORE := $(filter-out $(RELUME_DIR)/bind_% $(RELUME_DIR)/nvm_fram%, \
	$(wildcard $(RELUME_DIR)/*.c $(RELUME_DIR)/kernels/*/*.c))
RELUME_BIND := $(filter-out %/bind_natmod.c, $(wildcard $(RELUME_DIR)/bind_*.c))

SRC_USERMOD_C += $(RELUME_BIND)
SRC_USERMOD_LIB_C += $(RELUME_CORE) $(RELUME_PORT_DIR)/port_unix.c
CFLAGS_USERMOD += -I$(RELUME_DIR) -I$(RELUME_PORT_DIR)

$(BUILD)/relume/%.o: COPT += -O2

# An assembly file and its portable C twin share a name, and so an object.
# MicroPython's rules would assemble; here the twin is wanted.
RELUME_TWINS := $(filter $(RELUME_CORE), \
	$(patsubst %.S,%.c,$(wildcard $(RELUME_DIR)/kernels/*/*.S)))
RELUME_TWINS_O := $(RELUME_TWINS:$(RELUME_DIR)/%.c=$(BUILD)/relume/%.o)
$(RELUME_TWINS_O): $(BUILD)/relume/%.o: $(RELUME_DIR)/%.c
	$(call compile_c)
