/* relume: a file as byte-writable NVM, for the POSIX builds. */
#ifndef RELUME_NVM_FILE_H
#define RELUME_NVM_FILE_H

#include "nvm.h"

typedef struct {
    int fd;
} rl_file;

/* Opens or makes the file and fills nvm: kind RL_NVM_FILE. A new or empty
 * file is filled with zeros to size; any other length is RL_E_NVM_SIZE.
 * RL_E_NVM: the system refused; errno says why. Nothing stays open then. */
RL_CHECKED rl_status rl_file_open(rl_file *file, const char *path,
                                  uint32_t size, rl_nvm *nvm);

/* May be called twice. */
void rl_file_close(rl_file *file);

#endif
