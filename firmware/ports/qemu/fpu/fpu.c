/* The FPU of a Cortex-M4F or M7 is off after reset, and QEMU's port of
 * MicroPython leaves it so. Nothing of relume is in this image. */
#include <stdint.h>

#define CPACR (*(volatile uint32_t *)0xE000ED88u)

void __real_uart_init(void);
void __wrap_uart_init(void);

void __wrap_uart_init(void) {
#if defined(__ARM_FP)
    CPACR |= 0xFu << 20;
    __asm volatile ("dsb\n\tisb");
#endif
    __real_uart_init();
}
