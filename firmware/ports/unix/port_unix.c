/* relume: a POSIX machine under the binding. The flash is a file with the
 * blobs region and the store region: RELUME_FLASH in the environment, else
 * relume_flash.img in the current folder. It behaves as flash does: programs
 * clear bits, erases set a sector. */
#define _GNU_SOURCE
#include "port.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "crc32.h"

#define BLOBS_SIZE 0x100000u
#define STORE_SIZE 0x030000u
#define NOMINAL_MHZ 1000u /* "cycles" here are nanoseconds */

const char *const rl_port_board = "unix";

/* ---- Region table ------------------------------------------------------ */

static const rl_region regions[] = {
    { "blobs", 0, BLOBS_SIZE },
    { "store", BLOBS_SIZE, STORE_SIZE },
};

const rl_region *rl_port_regions(size_t *n) {
    *n = sizeof regions / sizeof regions[0];
    return regions;
}

/* ---- Flash image ------------------------------------------------------- */

static uint8_t *image; /* [BLOBS_SIZE + STORE_SIZE], the file, shared */

/* A file shorter than the image is a new chip: the rest reads erased. */
static int image_grow(int fd, off_t from) {
    uint8_t sector[RL_FLASH_SECTOR];
    for (uint32_t i = 0; i < RL_FLASH_SECTOR; i++) {
        sector[i] = 0xFF;
    }
    while (from < (off_t)(BLOBS_SIZE + STORE_SIZE)) {
        size_t n = RL_FLASH_SECTOR - (size_t)from % RL_FLASH_SECTOR;
        ssize_t done = pwrite(fd, sector, n, from);
        if (done <= 0) {
            return -1;
        }
        from += done;
    }
    return 0;
}

static rl_status image_open(void) {
    const char *path = getenv("RELUME_FLASH");
    struct stat file;
    if (image != NULL) {
        return RL_OK;
    }
    int fd = open(path != NULL ? path : "relume_flash.img",
                  O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return RL_E_NVM;
    }
    void *map = MAP_FAILED;
    if (fstat(fd, &file) == 0 && image_grow(fd, file.st_size) == 0) {
        map = mmap(NULL, BLOBS_SIZE + STORE_SIZE, PROT_READ | PROT_WRITE,
                   MAP_SHARED, fd, 0);
    }
    close(fd);
    if (map == MAP_FAILED) {
        return RL_E_NVM;
    }
    image = map;
    return RL_OK;
}

static rl_status flash_read(rl_nvm *nvm, uint32_t at, void *data,
                            uint32_t n) {
    __builtin_memcpy(data, (const uint8_t *)nvm->ctx + at, n);
    return RL_OK;
}

static rl_status flash_write(rl_nvm *nvm, uint32_t at, const void *data,
                             uint32_t n) {
    uint8_t *flash = (uint8_t *)nvm->ctx + at;
    const uint8_t *page = data;
    if (n != RL_FLASH_PAGE || at % RL_FLASH_PAGE != 0 || at >= nvm->size) {
        return RL_E_ARG;
    }
    for (uint32_t i = 0; i < n; i++) {
        flash[i] = (uint8_t)(flash[i] & page[i]);
    }
    return RL_OK;
}

static rl_status flash_erase(rl_nvm *nvm, uint32_t at) {
    if (at % RL_FLASH_SECTOR != 0 || at >= nvm->size) {
        return RL_E_ARG;
    }
    __builtin_memset((uint8_t *)nvm->ctx + at, 0xFF, RL_FLASH_SECTOR);
    return RL_OK;
}

static rl_status flash_nvm(rl_nvm *nvm, uint32_t offset, uint32_t size) {
    rl_status status = image_open();
    if (status == RL_OK) {
        *nvm = (rl_nvm) {
            .kind = RL_NVM_FLASH, .size = size, .ctx = image + offset,
            .read = flash_read, .write = flash_write, .erase = flash_erase,
        };
    }
    return status;
}

rl_status rl_port_store(rl_nvm *nvm) {
    return flash_nvm(nvm, BLOBS_SIZE, STORE_SIZE);
}

rl_status rl_port_blobs(rl_nvm *nvm, const uint8_t **mapped) {
    rl_status status = flash_nvm(nvm, 0, BLOBS_SIZE);
    *mapped = image;
    return status;
}

/* ---- Time, supply, console --------------------------------------------- */

static uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t rl_port_cycles(void *ctx) {
    (void)ctx;
    return nanoseconds() * NOMINAL_MHZ / 1000u;
}

uint32_t rl_port_micros(void) {
    return (uint32_t)(nanoseconds() / 1000u);
}

void rl_port_fetch(void *to, const void *from, uint32_t bytes) {
    memcpy(to, from, bytes);
}

void rl_port_fetched(void) {
}

uint32_t rl_port_crc32(uint32_t crc, const void *data, uint32_t n) {
    return rl_crc32(crc, data, n);
}

uint32_t rl_port_millivolts(void) {
    return 0;
}

static struct termios terminal_before;

static void terminal_restore(void) {
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
}

/* A terminal carries frames only in raw mode; Ctrl-C is then a byte. */
static void terminal_raw(void) {
    static int done;
    struct termios raw;
    if (done) {
        return;
    }
    done = 1;
    if (tcgetattr(STDIN_FILENO, &terminal_before) == 0) {
        raw = terminal_before;
        cfmakeraw(&raw);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        atexit(terminal_restore);
    }
}

int32_t rl_port_console(uint8_t *data, uint32_t n) {
    struct pollfd console = { .fd = STDIN_FILENO, .events = POLLIN };
    terminal_raw();
    if (poll(&console, 1, 0) <= 0) {
        return 0;
    }
    ssize_t got = read(STDIN_FILENO, data, n);
    return got > 0 ? (int32_t)got : -1;
}
