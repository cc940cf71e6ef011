/* relume tests: counts instructions and changes of the NVM while Thumb code
 * runs in the simulator, which calls the two hooks. */
#include <stdint.h>

typedef struct {
    uint64_t boundaries; /* before instructions of shipped code */
    uint64_t all;        /* before any instruction */
    uint64_t pairs;      /* distinct (image, address) of shipped code */
    uint64_t stop;       /* lose power before this one of `all` */
    void   (*halt)(void *machine);
    uint8_t  *shipped;   /* [code_size / 2] 1: shipped code */
    uint32_t *stamp;     /* [code_size / 2] 1 + the last image seen here */
    uint8_t  *mirror;    /* [nvm_size] the NVM as it is */
    uint32_t *changes;   /* [room][3]: offset, byte, notes before it */
    uint32_t *notes;     /* [0]: how many notes the driver has made */
    uint32_t code, code_size, nvm, room, n_changes, pad;
} watch;

void watch_code(void *machine, uint64_t address, uint32_t size, void *user)
{
    watch *w = user;
    uint32_t at = ((uint32_t)address - w->code) / 2u;
    (void)size;
    if (w->all++ == w->stop) {
        w->halt(machine);
        return;
    }
    if (at >= w->code_size / 2u || !w->shipped[at]) {
        return;
    }
    w->boundaries++;
    if (w->stamp[at] != w->n_changes + 1u) {
        w->stamp[at] = w->n_changes + 1u;
        w->pairs++;
    }
}

static void change(watch *w, uint32_t at, uint8_t byte)
{
    if (w->mirror[at] == byte || w->n_changes == w->room) {
        return;
    }
    uint32_t *entry = w->changes + 3u * w->n_changes++;
    entry[0] = at;
    entry[1] = byte;
    entry[2] = w->notes[0];
    w->mirror[at] = byte;
}

void watch_write(void *machine, int kind, uint64_t address, int size,
                 int64_t value, void *user)
{
    watch *w = user;
    uint32_t at = (uint32_t)address - w->nvm;
    (void)machine;
    (void)kind;
    for (int i = 0; i < size; i++) {
        change(w, at + (uint32_t)i, (uint8_t)(value >> 8 * i));
    }
}
