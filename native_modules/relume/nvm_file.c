/* relume: a file as byte-writable NVM. Every write is on the disk before it
 * returns, so that a kill or a power cut leaves old or new bytes. */
#define _POSIX_C_SOURCE 200809L

#include "nvm_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int fd_of(const rl_nvm *nvm)
{
    return ((const rl_file *)nvm->ctx)->fd;
}

static int inside(const rl_nvm *nvm, uint32_t at, uint32_t n)
{
    return at <= nvm->size && n <= nvm->size - at;
}

static rl_status file_read(rl_nvm *nvm, uint32_t at, void *data, uint32_t n)
{
    uint8_t *to = (uint8_t *)data;
    if (!inside(nvm, at, n)) {
        return RL_E_NVM;
    }
    while (n > 0) {
        ssize_t got = pread(fd_of(nvm), to, n, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return RL_E_NVM;
        }
        to += got;
        at += (uint32_t)got;
        n -= (uint32_t)got;
    }
    return RL_OK;
}

static rl_status file_write(rl_nvm *nvm, uint32_t at, const void *data,
                            uint32_t n)
{
    const uint8_t *from = (const uint8_t *)data;
    if (!inside(nvm, at, n)) {
        return RL_E_NVM;
    }
    while (n > 0) {
        ssize_t put = pwrite(fd_of(nvm), from, n, (off_t)at);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return RL_E_NVM;
        }
        from += put;
        at += (uint32_t)put;
        n -= (uint32_t)put;
    }
    return fdatasync(fd_of(nvm)) == 0 ? RL_OK : RL_E_NVM;
}

static rl_status file_erase(rl_nvm *nvm, uint32_t at)
{
    (void)nvm;
    (void)at;
    return RL_E_NVM;
}

static rl_status settle_size(int fd, uint32_t size)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return RL_E_NVM;
    }
    if (info.st_size == 0) {
        return ftruncate(fd, (off_t)size) == 0 ? RL_OK : RL_E_NVM;
    }
    return info.st_size == (off_t)size ? RL_OK : RL_E_NVM_SIZE;
}

rl_status rl_file_open(rl_file *file, const char *path, uint32_t size,
                       rl_nvm *nvm)
{
    file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file->fd < 0) {
        return RL_E_NVM;
    }
    nvm->kind = RL_NVM_FILE;
    nvm->size = size;
    nvm->ctx = file;
    nvm->read = file_read;
    nvm->write = file_write;
    nvm->erase = file_erase;
    nvm->start = NULL;
    nvm->busy = NULL;
    nvm->finish = NULL;
    rl_status status = settle_size(file->fd, size);
    if (status != RL_OK) {
        rl_file_close(file);
    }
    return status;
}

void rl_file_close(rl_file *file)
{
    if (file->fd >= 0) {
        close(file->fd);
        file->fd = -1;
    }
}
