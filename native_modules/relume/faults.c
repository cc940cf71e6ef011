/* relume: one line of text for every fault of a blob. */
#include "blob.h"
#include "blob_faults.h"

#define TEXT(name, text) text "\0"
#define NOTHING(status)

const char *rl_blob_fault_text(uint32_t number)
{
    static const char texts[] = "\0" RL_FAULTS(TEXT, NOTHING);
    const char *text = texts;

    if (number >= RL_FAULTS_END) {
        return "unknown fault";
    }
    for (; number; number--) {
        while (*text++) {
        }
    }
    return text;
}
