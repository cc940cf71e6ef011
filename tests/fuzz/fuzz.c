/* relume tests: hostile bytes for the frame decoder and for the store.
 *
 *   fuzz frames ROUNDS SEED          random streams
 *   fuzz store BLOB ROUNDS SEED      random, mutated and resealed stores
 *   fuzz file frames|BLOB PATH...    one input a file: what a fuzzer found
 *
 * Run under ASan and UBSan. Exit code 1: a promise was broken. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "faultnvm.h"
#include "frame.h"
#include "session.h"

static uint64_t state;

static uint32_t roll(uint32_t below)
{
    state = fault_hash(state, 1);
    return (uint32_t)(state >> 20) % below;
}

static void *allot(size_t n)
{
    void *memory = malloc(n > 0 ? n : 1);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void broken_promise(const char *what)
{
    printf("FAILED: %s\n", what);
    exit(1);
}

/* -------------------------------------------------------------- frames -- */

static uint64_t n_ready, n_escapes;

static void feed(const uint8_t *data, size_t n)
{
    rl_frame_decoder *decoder = allot(sizeof *decoder);
    memset(decoder, 0xEE, sizeof *decoder);
    rl_frame_reset(decoder);
    for (size_t i = 0; i < n; i++) {
        rl_frame_event event = rl_frame_feed(decoder, data[i]);
        if (decoder->fill > RL_FRAME_PAYLOAD) {
            broken_promise("the decoder left its payload");
        }
        if (event == RL_FRAME_READY) {
            uint32_t sent;
            n_ready++;
            memcpy(&sent, decoder->payload + decoder->fill - 4, 4);
            if (decoder->fill < 8 || data[i] != 0
                || sent != rl_crc32(0, decoder->payload, decoder->fill - 4)) {
                broken_promise("a frame with a wrong CRC came out");
            }
        }
        n_escapes += event == RL_FRAME_ESCAPE;
    }
    free(decoder);
}

static size_t put_piece(uint8_t *to)
{
    uint8_t body[RL_FRAME_BODY];
    size_t n = roll(RL_FRAME_BODY + 1u);
    for (size_t i = 0; i < n; i++) {
        body[i] = (uint8_t)(roll(3) == 0 ? 0 : roll(256));
    }
    switch (roll(5)) {
    case 0:
        memcpy(to, body, n);
        return n;
    case 1:
        memcpy(to, "\r\x03", 2);
        return 2;
    case 2:
        memset(to, 0, 4);
        return roll(4);
    default:
        n = rl_frame_encode((uint8_t)roll(256), (uint16_t)roll(65536), body, n,
                            to);
        if (roll(3) == 0) {
            to[roll((uint32_t)n)] ^= (uint8_t)(1u << roll(8));
        }
        return roll(4) == 0 ? roll((uint32_t)n + 1u) : n;
    }
}

static void fuzz_frames(uint32_t rounds)
{
    for (uint32_t round = 0; round < rounds; round++) {
        uint8_t *stream = allot(8 * RL_FRAME_WIRE);
        size_t n = 0;
        for (uint32_t piece = roll(8); piece > 0; piece--) {
            n += put_piece(stream + n);
        }
        uint8_t *exact = allot(n);
        memcpy(exact, stream, n);
        feed(exact, n);
        free(exact);
        free(stream);
    }
    if (rounds > 0 && (n_ready == 0 || n_escapes == 0)) {
        broken_promise("no frame and no escape came out at all");
    }
}

/* --------------------------------------------------------------- store -- */

static rl_blob blob;
static uint8_t *image;
static uint64_t n_resumed, n_damaged, n_empty;

static int read_file(const char *path, uint8_t **data, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return -1;
    }
    long length = ftell(file);
    rewind(file);
    *data = allot((size_t)length);
    *size = fread(*data, 1, (size_t)length, file);
    fclose(file);
    return 0;
}

static int read_blob(const char *path)
{
    size_t size = 0;
    rl_blob_fault fault;
    if (read_file(path, &image, &size) != 0) {
        return -1;
    }
    return rl_blob_check(image, size, 1, &blob, &fault) == RL_OK ? 0 : -1;
}

/* One life: everything that a board would call. Returns the last status. */
static void live(fault *device, uint32_t calls)
{
    rl_nvm nvm;
    rl_store *store = allot(sizeof *store);
    const rl_header *h = blob.header;
    uint8_t *arena = allot(h->arena_size + h->scratch_size);
    uint32_t *work = allot(rl_session_work(&blob));
    uint32_t size = blob.tensors[h->input].size;
    uint8_t *input = allot(size);
    rl_session s = { .blob = &blob, .store = store, .arena = arena,
                     .work = work };
    memset(input, 0x11, size);
    memset(arena, 0x22, h->arena_size + h->scratch_size);
    rl_status status = fault_power(device, &nvm);
    if (status != RL_OK
        || rl_store_open(store, &nvm, 0, device->size) != RL_OK) {
        broken_promise("a store with strange content does not open");
    }
    status = rl_session_open(&s);
    if (status == RL_E_DAMAGED || status == RL_E_MODEL) {
        n_damaged++;
        do {
            status = rl_session_clear(&s);
        } while (status == RL_ERASED);
    }
    n_resumed += s.state == RL_STATE_RUNNING || s.state == RL_STATE_DONE;
    n_empty += s.state == RL_STATE_EMPTY;
    for (uint32_t i = 0; i < calls && status >= 0; i++) {
        if (s.state == RL_STATE_RUNNING) {
            status = rl_session_step(&s);
        } else if (s.state == RL_STATE_DONE) {
            status = rl_session_take(&s, store->newest.inference);
        } else if (s.state == RL_STATE_STUCK) {
            status = rl_session_clear(&s);
        } else {
            status = rl_session_begin(&s, i, input, size);
        }
    }
    if (status < 0 && status != RL_E_STUCK) {
        broken_promise(rl_status_text(status));
    }
    if (device->violation != NULL) {
        broken_promise(device->violation);
    }
    free(input);
    free(work);
    free(arena);
    free(store);
}

static void seal(uint8_t *at, uint32_t n)
{
    uint32_t crc = rl_crc32(0, at, n);
    memcpy(at + n, &crc, 4);
}

/* Places where a structure with a CRC may lie. */
static void reseal(fault *device)
{
    if (device->kind != RL_NVM_FLASH) {
        seal(device->bytes, 60);
        seal(device->bytes + 64, 60);
        seal(device->bytes + 128, 12);
        seal(device->bytes + 144, 12);
        return;
    }
    for (uint32_t at = 0; at < device->size; at += RL_FLASH_PAGE) {
        if (memcmp(device->bytes + at, "RLR1", 4) == 0) {
            seal(device->bytes + at, 60);
        } else if (memcmp(device->bytes + at, "RLS1", 4) == 0) {
            seal(device->bytes + at, 8);
        }
    }
}

/* Fields of records and cells, not the data: so that the CRC of the live
 * bytes stays right and the hostile value is really used. */
static void mutate_record(fault *device)
{
    uint32_t at = roll(160);
    if (device->kind == RL_NVM_FLASH) {
        uint32_t tries = 64;
        do {
            at = roll(device->size / RL_FLASH_PAGE) * RL_FLASH_PAGE;
        } while (memcmp(device->bytes + at, "RLR1", 4) != 0 && --tries > 0);
        at += roll(97);
    }
    device->bytes[at] = (uint8_t)(roll(4) == 0 ? 0xFF : roll(256));
    reseal(device);
}

static void mutate(fault *device)
{
    for (uint32_t n = 1u + roll(4); n > 0; n--) {
        uint32_t at = roll(device->size);
        switch (roll(5)) {
        case 0: device->bytes[at] ^= (uint8_t)(1u << roll(8)); break;
        case 1: device->bytes[at] = (uint8_t)roll(256); break;
        case 2: {
            uint32_t from = roll(device->size), m = roll(300);
            uint32_t room = device->size - (from > at ? from : at);
            memmove(device->bytes + at, device->bytes + from,
                    m < room ? m : room);
            break;
        }
        default: mutate_record(device); break;
        }
    }
}

static void fuzz_store(uint32_t rounds)
{
    fault device, start;
    uint32_t size = blob.header->nvm_kind == RL_NVM_FLASH
                  ? 6 * RL_FLASH_SECTOR
                  : (RL_FRAM_HOME + blob.header->nvm_size + 63u) & ~63u;
    fault_make(&device, blob.header->nvm_kind, size, 0xFF);
    fault_make(&start, blob.header->nvm_kind, size, 0xFF);
    fault_op nothing = { OP_WRITE, 0, 0, NULL };
    for (uint32_t round = 0; round < rounds; round++) {
        if (round % 64u == 0) { /* a store in some state of some life */
            fault_free(&start);
            fault_make(&start, blob.header->nvm_kind, size,
                       round % 128u == 0 ? 0xFFu : 256u + round);
            live(&start, roll(40));
        }
        fault_cut(&device, &start, &nothing, 0, 1, 0);
        memset(device.weak, 0, size / RL_FLASH_SECTOR);
        mutate(&device);
        live(&device, 30);
    }
    fault_free(&device);
    fault_free(&start);
    if (rounds > 500 && (n_resumed == 0 || n_damaged == 0 || n_empty == 0)) {
        broken_promise("the mutations reach only some states");
    }
}

/* ---------------------------------------------------------------- files -- */

static void run_store(const uint8_t *data, size_t n)
{
    fault device;
    fault_make(&device, blob.header->nvm_kind, (uint32_t)n, 0);
    memcpy(device.bytes, data, n);
    live(&device, 30);
    fault_free(&device);
}

static int run_files(char **paths, int n)
{
    for (int i = 0; i < n; i++) {
        uint8_t *data;
        size_t size;
        if (read_file(paths[i], &data, &size) != 0) {
            return 2;
        }
        if (image == NULL) {
            feed(data, size);
        } else {
            run_store(data, size);
        }
        free(data);
    }
    return 0;
}

int main(int argc, char **argv)
{
    int code = 2;
    if (argc == 4 && strcmp(argv[1], "frames") == 0) {
        state = strtoull(argv[3], NULL, 0);
        fuzz_frames((uint32_t)strtoul(argv[2], NULL, 0));
        code = 0;
    } else if (argc == 5 && strcmp(argv[1], "store") == 0
               && read_blob(argv[2]) == 0) {
        state = strtoull(argv[4], NULL, 0);
        fuzz_store((uint32_t)strtoul(argv[3], NULL, 0));
        code = 0;
    } else if (argc >= 4 && strcmp(argv[1], "file") == 0
               && (strcmp(argv[2], "frames") == 0
                   || read_blob(argv[2]) == 0)) {
        code = run_files(argv + 3, argc - 3);
    }
    printf("{\"ready\": %llu, \"escapes\": %llu, \"resumed\": %llu,"
           " \"damaged\": %llu, \"empty\": %llu}\n",
           (unsigned long long)n_ready, (unsigned long long)n_escapes,
           (unsigned long long)n_resumed, (unsigned long long)n_damaged,
           (unsigned long long)n_empty);
    free(image);
    return code;
}
