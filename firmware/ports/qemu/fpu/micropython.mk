SRC_USERMOD_C += $(USERMOD_DIR)/fpu.c
LDFLAGS += -Wl,--wrap=uart_init
