/* A program of newlib on a bare Cortex-M of QEMU: the vector table, the FPU,
 * and stdin and stdout as files of the host (semihosting). The machine is a
 * microbit (Cortex-M0: armv6m faults as the chip does) or an MPS2 with the
 * AN386 image (Cortex-M4F). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define SYS_EXIT 0x18u
#define STOPPED 0x20023u /* the reason "run-time error" */

extern uint32_t stack_top, __bss_start__, __bss_end__;
void initialise_monitor_handles(void);
int main(int argc, char **argv);

/* What is `staged` for run_blob is a file of that name here. */
static int run(void)
{
    char *arguments[] = { "run_blob", "staged", NULL };
    FILE *staged = fopen("staged", "rb");
    int result;

    if (!freopen("in.bin", "rb", stdin) || !freopen("out.bin", "wb", stdout)) {
        return 3;
    }
    result = main(staged ? 2 : 1, arguments);
    return fflush(stdout) ? 3 : result;
}

/* The loader has put .data in its place. */
static void reset(void)
{
    uint32_t *word;

#if defined(__ARM_FP)
    CPACR |= 0xFu << 20;
    __asm volatile("dsb\n\tisb");
#endif
    for (word = &__bss_start__; word < &__bss_end__; word++) {
        *word = 0;
    }
    initialise_monitor_handles();
    exit(run());
}

/* Newlib asks for these; there is nothing to set up or to end. */
void _init(void);
void _init(void) { }
void _fini(void);
void _fini(void) { }

/* Ends the machine, so that a fault is no hang. */
static void fault(void)
{
    register uint32_t operation __asm("r0") = SYS_EXIT;
    register uint32_t reason __asm("r1") = STOPPED;

    __asm volatile("bkpt 0xAB" : : "r"(operation), "r"(reason) : "memory");
    for (;;) {
    }
}

__attribute__((section(".vectors"), used))
static const struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors = {
    &stack_top,
    { reset, fault, fault, fault, fault, fault, fault, fault,
      fault, fault, fault, fault, fault, fault, fault },
};
