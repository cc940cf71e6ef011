/* relume fuzz target: the blobs region with any content, then uploads that are
 * cut, broken off and taken up (SECURITY F3, B2, S3).
 *
 * input: u8 how (1: any content, else erased; 2: reseal headers and drafts),
 * u8 pages, pages (images.h), then steps of one byte and their arguments. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "early.h"
#include "images.h"
#include "models.h"
#include "target.h"

#define STRANGE 1u
#define RESEAL 2u
#define SECTORS 12u
#define REGION (SECTORS * RL_FLASH_SECTOR)
#define PAGES (REGION / RL_FLASH_PAGE)
#define MOST_STEPS 100u
#define ROOM 16384u /* of the models that are found */
#define HEADER 60u /* bytes of it before its CRC */
#define DRAFT_AT 64u

enum { FOUND, BEGUN, RESUMED, DEPLOYED, REFUSED, CUTS };
target_count target_counts[] = {
    { "found", 0 }, { "begun", 0 }, { "resumed", 0 }, { "deployed", 0 },
    { "refused", 0 }, { "cuts", 0 }, { NULL, 0 }
};

typedef struct {
    const uint8_t *data;
    size_t         n;
} steps;

typedef struct {
    rl_nvm   nvm;
    rl_slots slots;
    uint8_t *image; /* [REGION] */
    uint8_t *held;  /* bytes on their way to rl_slots_write */
    uint32_t cut;   /* operations to the power cut; 0: none */
    uint32_t steps;
    int      strange;
    int      any;   /* an upload that nobody wanted was a model all the same */
    const model_image *wanted; /* what is uploaded, NULL: something else */
    const model_image *active, *maybe;
    jmp_buf  off;
} bench;

static uint8_t take(steps *s)
{
    if (s->n == 0) {
        return 0;
    }
    s->n--;
    return *s->data++;
}

/* --------------------------------------------------------------- flash -- */

static void lost(bench *b)
{
    if (b->cut != 0 && --b->cut == 0) {
        target_counts[CUTS].n++;
        longjmp(b->off, 1);
    }
}

static rl_status region_write(rl_nvm *nvm, uint32_t at, const void *data,
                              uint32_t n)
{
    bench *b = nvm->ctx;
    const uint8_t *from = data;
    PROMISE(n == RL_FLASH_PAGE && at % n == 0 && at < REGION,
            "a program outside the region");
    for (uint32_t i = 0; i < n; i++) {
        b->image[at + i] &= from[i];
        if (i == n / 2u) {
            lost(b);
        }
    }
    return RL_OK;
}

static rl_status region_erase(rl_nvm *nvm, uint32_t at)
{
    bench *b = nvm->ctx;
    PROMISE(at % RL_FLASH_SECTOR == 0 && at < REGION,
            "an erase outside the region");
    memset(b->image + at, 0xFF, RL_FLASH_PAGE);
    lost(b);
    memset(b->image + at, 0xFF, RL_FLASH_SECTOR);
    return RL_OK;
}

static rl_status region_read(rl_nvm *nvm, uint32_t at, void *data, uint32_t n)
{
    bench *b = nvm->ctx;
    PROMISE(at <= REGION && n <= REGION - at, "a read outside the region");
    memcpy(data, b->image + at, n);
    return RL_OK;
}

static void let_go(bench *b)
{
    free(b->held);
    b->held = NULL;
}

static void turn_on(bench *b)
{
    let_go(b);
    memset(&b->slots, 0xA5, sizeof b->slots);
    b->slots.nvm = &b->nvm;
    b->slots.image = b->image;
    b->slots.draft.magic = 0;
    b->cut = 0;
}

/* ------------------------------------------------------------ promises -- */

static const model_image *model_at(const uint8_t *image, uint32_t size)
{
    for (uint32_t i = 0; i < 3u * MODELS; i++) {
        const model_image *m = &models[i / MODELS][i % MODELS];
        if (m->size == size && memcmp(m->image, image, size) == 0) {
            return m;
        }
    }
    return NULL;
}

/* The active model is the one that was deployed last, whole. */
static void look(bench *b)
{
    rl_early_models found;
    uint8_t *memory = target_exact(NULL, ROOM);
    rl_status status = rl_early_find(&b->nvm, b->image, memory, ROOM, &found);
    if (status != RL_OK) {
        PROMISE(b->strange || b->active == NULL, "the active model is gone");
        free(memory);
        return;
    }
    target_counts[FOUND].n++;
    for (uint32_t i = 0; i < found.n; i++) {
        const rl_early_model *m = &found.model[i];
        PROMISE(m->slot.size <= REGION && m->image >= b->image
                && m->image + m->slot.size <= b->image + REGION,
                "a model that lies outside the region");
        PROMISE(b->strange || b->any
                || model_at(m->image, m->slot.size) != NULL,
                "a model that nobody deployed whole is there");
    }
    if (!b->strange) {
        const rl_early_model *active = &found.model[found.active];
        const model_image *m = model_at(active->image, active->slot.size);
        PROMISE(m != NULL, "a model that nobody deployed whole is active");
        PROMISE(m == b->active || m == b->maybe || b->any,
                "another model is active");
        b->active = m;
        b->maybe = NULL;
        b->any = 0;
    }
    free(memory);
}

/* --------------------------------------------------------------- steps -- */

static void announced(rl_slot *slot, const model_image *m, uint8_t name)
{
    const rl_header *h = (const rl_header *)(const void *)m->image;
    memset(slot, 0, sizeof *slot);
    slot->size = m->size;
    slot->meta_crc = h->meta_crc;
    slot->data_crc = h->data_crc;
    slot->name[0] = (char)('a' + name % 3u);
}

static void begin(bench *b, steps *s)
{
    rl_slot slot;
    uint32_t next = 0;
    uint8_t number = take(s);
    b->wanted = &models[number % 3u][number / 3u % MODELS];
    announced(&slot, b->wanted, number);
    if (number >= 128) { /* something else */
        b->wanted = NULL;
        ((uint8_t *)&slot)[take(s) % sizeof slot] = take(s);
    }
    if (rl_slots_begin(&b->slots, &slot, &next) == RL_OK) {
        target_counts[BEGUN].n++;
        target_counts[RESUMED].n += next > 0;
        PROMISE(next <= slot.size, "an upload goes on behind its end");
    }
}

/* The next n bytes of what is wanted; bit 0 of `spoil`: one is wrong. */
static void write_on(bench *b, uint32_t n, uint8_t spoil)
{
    uint32_t next = b->slots.next, done = 0;
    if (b->wanted == NULL || next >= b->wanted->size) {
        return;
    }
    n = n < b->wanted->size - next ? n : b->wanted->size - next;
    b->held = target_exact(b->wanted->image + next, n);
    if (spoil & 1) {
        b->held[n / 2u] ^= (uint8_t)(1u << (spoil >> 5));
    }
    if (n > 0
        && rl_slots_write(&b->slots, next, b->held, n, &done) == RL_OK) {
        PROMISE(done == next + n, "an upload goes on somewhere else");
    }
    let_go(b);
}

static void end(bench *b)
{
    rl_blob_fault fault;
    rl_rooms rooms = { 1u << 20, 1u << 20, 1u << 15 };
    int there = b->slots.draft.magic != 0 && b->slots.whole;
    b->maybe = b->wanted;
    rl_status status = rl_slots_end(&b->slots, &rooms, &fault);
    target_counts[status == RL_OK ? DEPLOYED : REFUSED].n++;
    if (status == RL_OK && !there) {
        b->any = b->wanted == NULL;
        b->active = b->wanted;
    }
    b->maybe = NULL;
}

static void anywhere(bench *b, steps *s)
{
    uint32_t at = take(s) | (uint32_t)take(s) << 8, n = take(s), next = 0;
    n = n < s->n ? n : (uint32_t)s->n;
    b->held = target_exact(s->data, n);
    s->data += n;
    s->n -= n;
    if (rl_slots_write(&b->slots, at, b->held, n, &next) == RL_OK) {
        PROMISE(next <= b->slots.draft.size, "an upload without end");
    }
    let_go(b);
}

static void step(bench *b, steps *s)
{
    switch (take(s) % 8u) {
    case 0: begin(b, s); break;
    case 1: write_on(b, 240, 0); break;
    case 2: write_on(b, 0xFFFFFFu, 0); break;
    case 3: write_on(b, 1u + take(s), take(s)); break;
    case 4: end(b); break;
    case 5: anywhere(b, s); break;
    case 6: turn_on(b); break;
    default: b->cut = 1u + take(s) % 40u; break;
    }
}

/* ------------------------------------------------------------- content -- */

static void reseal(uint8_t *image)
{
    for (uint32_t at = 0; at < REGION; at += RL_FLASH_SECTOR) {
        if (memcmp(image + at, "RLSL", 4) == 0) {
            target_seal(image + at, HEADER);
        }
        if (memcmp(image + at + DRAFT_AT, "RLSD", 4) == 0) {
            target_seal(image + at + DRAFT_AT, HEADER);
        }
    }
}

static void content(bench *b, steps *s, uint8_t how)
{
    uint32_t pages = take(s);
    memset(b->image, 0xFF, REGION);
    for (; pages > 0 && s->n >= IMAGE_PAGE; pages--) {
        memcpy(b->image + s->data[0] % PAGES * RL_FLASH_PAGE, s->data + 1,
               RL_FLASH_PAGE);
        s->data += IMAGE_PAGE;
        s->n -= IMAGE_PAGE;
    }
    b->strange = (how & STRANGE) != 0;
    if (!b->strange) {
        memset(b->image, 0xFF, REGION);
    } else if (how & RESEAL) {
        reseal(b->image);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static bench b;
    static steps s;
    s.data = data;
    s.n = n;
    memset(&b, 0, sizeof b);
    b.nvm.kind = RL_NVM_FLASH;
    b.nvm.size = REGION;
    b.nvm.ctx = &b;
    b.nvm.read = region_read;
    b.nvm.write = region_write;
    b.nvm.erase = region_erase;
    b.image = target_exact(NULL, REGION);
    content(&b, &s, take(&s));
    turn_on(&b);
    if (setjmp(b.off) != 0) {
        turn_on(&b);
    }
    look(&b);
    while (s.n > 0 && b.steps++ < MOST_STEPS) {
        step(&b, &s);
        look(&b);
    }
    let_go(&b);
    free(b.image);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most,
                               unsigned seed)
{
    target_dice(seed);
    if (n > 2u + IMAGE_PAGE && (data[0] & STRANGE) && target_roll(2)) {
        uint32_t pages = 1u + (uint32_t)(n - 2u) / IMAGE_PAGE;
        uint8_t *at = data + 2u + target_roll(pages) * IMAGE_PAGE
                    + 1u + 4u * target_roll(35);
        if (at + 4 <= data + n) {
            uint32_t value;
            memcpy(&value, at, 4);
            value = target_near(value);
            memcpy(at, &value, 4);
        }
        data[0] |= RESEAL;
        return n;
    }
    return LLVMFuzzerMutate(data, n, most);
}

/* Uploads in an erased region; strange content: two slots and a draft. */
size_t target_seed(uint32_t number, uint8_t *to, size_t most)
{
    static const uint8_t uploads[][16] = {
        { 0, 0, 0, 0, 2, 4, 0, 1, 1, 1, 7, 9, 2, 4, 6, 4 },
        { 0, 0, 0, 4, 2, 4, 0, 8, 3, 90, 33, 2, 4, 0, 8, 2 },
        { 0, 0, 0, 0, 2, 4, 0, 1, 1, 6, 0, 1, 2, 4, 0, 2 },
        { 0, 0, 0, 9, 2, 4, 0, 129, 4, 1, 4, 5, 0, 0, 3, 7 },
        { 0, 0, 7, 1, 0, 5, 7, 2, 2, 7, 3, 4, 0, 5, 2, 4 },
    };
    target_dice(number);
    if (number < 5u) {
        memcpy(to, uploads[number], sizeof uploads[0]);
        return sizeof uploads[0];
    }
    size_t n = 2;
    to[0] = STRANGE | RESEAL;
    to[1] = 0;
    for (uint32_t slot = 0; slot < 2u + number % 2u; slot++) {
        const model_image *m = &models[slot][number % MODELS];
        for (uint32_t at = 0; at < RL_FLASH_PAGE + m->size && n < most / 2u;
             at += RL_FLASH_PAGE, n += IMAGE_PAGE, to[1]++) {
            uint32_t part = m->size + RL_FLASH_PAGE - at;
            memset(to + n, 0xFF, IMAGE_PAGE);
            to[n] = (uint8_t)((slot * 2u + 1u) * 16u + at / RL_FLASH_PAGE);
            if (at > 0) {
                memcpy(to + n + 1, m->image + at - RL_FLASH_PAGE,
                       part < RL_FLASH_PAGE ? part : RL_FLASH_PAGE);
                continue;
            }
            rl_slot head;
            announced(&head, m, (uint8_t)slot);
            head.magic = slot == 2 ? 0x44534C52u : 0x4C534C52u;
            head.seq = slot == 2 ? 0 : 1u + target_roll(3);
            memcpy(to + n + 1 + (slot == 2 ? DRAFT_AT : 0), &head,
                   sizeof head);
        }
    }
    memcpy(to + n, uploads[number % 5u] + 2, 14);
    return n + 14u;
}
