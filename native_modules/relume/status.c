/* relume: one line of text for every status. */
#include "status.h"

const char *rl_status_text(rl_status status)
{
    switch (status) {
    case RL_OK: return "ok";
    case RL_MORE: return "committed, more to come";
    case RL_DONE: return "done";
    case RL_ERASED: return "erased a flash sector";
    case RL_RAN: return "computed, nothing committed yet";
    case RL_RESTED: return "slept, too little is left of the charge";
    case RL_E_TRUNCATED: return "blob is shorter than it says";
    case RL_E_MAGIC: return "not a relume blob";
    case RL_E_VERSION: return "blob of another version, plan it again";
    case RL_E_CRC: return "blob checksum differs";
    case RL_E_BOUNDS: return "blob offset or size out of bounds";
    case RL_E_SHAPE: return "blob shapes do not fit together";
    case RL_E_PLAN: return "blob tiles or segments do not cover the ops";
    case RL_E_KIND: return "blob op or kernel not supported";
    case RL_E_NVM: return "NVM does not answer or reads back wrong";
    case RL_E_NVM_SIZE: return "NVM is too small for the plan";
    case RL_E_NVM_KIND: return "planned for another kind of NVM";
    case RL_E_DAMAGED: return "checkpoint does not match its record";
    case RL_E_STUCK: return "one unit of a tile does not fit a charge";
    case RL_E_STATE: return "not possible in this state";
    case RL_E_SIZE: return "buffer of the wrong size";
    case RL_E_MODEL: return "checkpoint belongs to another model";
    case RL_E_FULL: return "no room";
    case RL_E_ARG: return "argument out of range";
    }
    return "unknown status";
}
