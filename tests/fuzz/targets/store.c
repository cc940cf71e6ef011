/* relume fuzz target: a store of any content is mounted, gone on with and
 * used, under models of each NVM (SECURITY S3, S4, S5).
 *
 * input: u8 how (0 to 2: NVM; 4 reseal; 16 writes in the background), u8
 * model, content (images.h). */
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "images.h"
#include "models.h"
#include "session.h"
#include "target.h"

#define RESEAL 4u
#define BEHIND 16u
#define SECTORS 6u
#define CALLS 30u

enum { EMPTY, RESUMED, DAMAGED, STUCK, DONE };
target_count target_counts[] = {
    { "empty", 0 }, { "resumed", 0 }, { "damaged", 0 }, { "stuck", 0 },
    { "done", 0 }, { NULL, 0 }
};

/* --------------------------------------------------------------- life -- */

static void look(const rl_session *s, rl_status status)
{
    int damaged = status == RL_E_DAMAGED || status == RL_E_MODEL;
    target_counts[DAMAGED].n += damaged;
    target_counts[STUCK].n += s->state == RL_STATE_STUCK;
    target_counts[RESUMED].n += s->state == RL_STATE_RUNNING
                             || s->state == RL_STATE_DONE;
    target_counts[EMPTY].n += !damaged && s->state == RL_STATE_EMPTY;
}

static rl_status cleared(rl_session *s)
{
    rl_status status;
    do {
        status = rl_session_clear(s);
    } while (status == RL_ERASED);
    return status;
}

static rl_status call(rl_session *s, uint32_t id, const uint8_t *input)
{
    const rl_blob *blob = s->blob;
    switch (s->state) {
    case RL_STATE_RUNNING: return rl_session_step(s);
    case RL_STATE_DONE:
        target_counts[DONE].n++;
        return rl_session_take(s, s->store->newest.inference);
    case RL_STATE_STUCK: return rl_session_clear(s);
    default:
        return rl_session_begin(s, id, input,
                                blob->tensors[blob->header->input].size);
    }
}

/* Everything that a board would call. */
static void use(rl_session *s, const uint8_t *input, uint32_t calls)
{
    rl_status status = rl_session_open(s);
    look(s, status);
    if (status == RL_E_DAMAGED || status == RL_E_MODEL) {
        PROMISE(rl_session_begin(s, 1, input, 1) < 0,
                "an input of the wrong size is taken");
        status = cleared(s);
    }
    for (uint32_t i = 0; i < calls && status >= 0; i++) {
        status = call(s, i, input);
    }
    PROMISE(status >= 0 || status == RL_E_STUCK, rl_status_text(status));
}

static void live(fault *device, const rl_blob *blob, uint32_t calls)
{
    const rl_header *h = blob->header;
    rl_nvm nvm;
    rl_store *store = target_exact(NULL, sizeof *store);
    rl_session s;
    uint8_t *input = target_exact(NULL, blob->tensors[h->input].size);
    memset(&s, 0, sizeof s);
    s.blob = blob;
    s.store = store;
    s.arena = target_exact(NULL, h->arena_size + h->scratch_size);
    s.work = target_exact(NULL, rl_session_work(blob));
    PROMISE(fault_power(device, &nvm) == RL_OK
            && rl_store_open(store, &nvm, 0, device->size) == RL_OK,
            "a store with strange content does not open");
    PROMISE(store->newest.magic == 0 || store->newest.crc
            == rl_crc32(0, &store->newest, sizeof(rl_record) - 4u),
            "a record with a wrong CRC is taken");
    use(&s, input, calls);
    PROMISE(device->violation == NULL, device->violation);
    free(s.work);
    free(s.arena);
    free(input);
    free(store);
}

/* ------------------------------------------------------------- content -- */

/* Places where a structure with a CRC may lie. */
static void reseal(fault *device)
{
    if (device->kind != RL_NVM_FLASH) {
        target_seal(device->bytes, 60);
        target_seal(device->bytes + 64, 60);
        target_seal(device->bytes + 128, 12);
        target_seal(device->bytes + 144, 12);
        return;
    }
    for (uint32_t at = 0; at < device->size; at += RL_FLASH_PAGE) {
        if (memcmp(device->bytes + at, "RLR1", 4) == 0) {
            target_seal(device->bytes + at, 60);
        } else if (memcmp(device->bytes + at, "RLS1", 4) == 0) {
            target_seal(device->bytes + at, 8);
        }
    }
}

static uint8_t kind_of(uint8_t how)
{
    return (uint8_t)(RL_NVM_FRAM + (how & 3u) % 3u);
}

static uint32_t size_of(const rl_blob *blob)
{
    return blob->header->nvm_kind == RL_NVM_FLASH
        ? SECTORS * RL_FLASH_SECTOR
        : (RL_FRAM_HOME + blob->header->nvm_size + 63u) & ~63u;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    rl_blob blob;
    fault device;
    if (n < 2) {
        return 0;
    }
    model_open(kind_of(data[0]), data[1], &blob);
    image_make(&device, blob.header->nvm_kind, size_of(&blob), data + 2,
               n - 2);
    device.behind = (data[0] & BEHIND) != 0;
    if (data[0] & RESEAL) {
        reseal(&device);
    }
    live(&device, &blob, CALLS);
    fault_free(&device);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most,
                               unsigned seed)
{
    target_dice(seed);
    if (n < 200 || target_roll(6) == 0) {
        return LLVMFuzzerMutate(data, n, most);
    }
    if (target_roll(8) == 0) {
        data[0] = (uint8_t)(data[0] ^ 1u << (2u + target_roll(3)));
    }
    for (uint32_t i = 1u + target_roll(4); i > 0; i--) {
        image_mutate(kind_of(data[0]), data + 2, n - 2);
    }
    return n;
}

/* Stores in some state of some life. */
size_t target_seed(uint32_t number, uint8_t *to, size_t most)
{
    rl_blob blob;
    fault device;
    target_dice(number);
    to[0] = (uint8_t)(number % 3u | RESEAL | (number & 8u ? BEHIND : 0));
    to[1] = (uint8_t)(number / 3u);
    model_open(kind_of(to[0]), to[1], &blob);
    fault_make(&device, blob.header->nvm_kind, size_of(&blob),
               number % 2u ? 0xFFu : 256u + number);
    live(&device, &blob, target_roll(CALLS));
    size_t n = 2u + image_write(&device, to + 2, most - 2);
    fault_free(&device);
    return n;
}
