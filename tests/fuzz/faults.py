"""Mistakes of one line in checker, decoder, store and slots, with the targets that find them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """In `source`, the text `right` (there once) becomes `wrong`."""

    name: str
    target: str
    source: str
    right: str
    wrong: str


FAULTS = tuple(
    Fault(*row)
    for row in (
        # The blob: sizes and checksums.
        ("total_size", "blob", "blob.c", "h->total_size <= size,", "h->total_size <= size + 16u,"),
        ("meta_crc", "blob", "blob.c", "crc == h->meta_crc,", "crc == h->meta_crc || with_data,"),
        ("data_crc", "blob", "blob.c", "crc == h->data_crc,", "crc == h->data_crc || with_data,"),
        ("section", "blob", "blob.c", "size, *low, c->blob.header->meta_size)",
         "size, *low, c->blob.header->total_size)"),
        ("tensor_arena", "blob", "blob.c", "t->size, 0, h->arena_size)",
         "t->size, 0, h->arena_size + 16u)"),
        ("tensor_home", "blob", "blob.c", "t->size, 0, h->nvm_size)",
         "t->size, 0, h->nvm_size + 1u)"),
        ("tensor_name", "blob", "blob.c", "*string < c->blob.header->strings_size",
         "*string <= c->blob.header->strings_size"),
        # Its ops.
        ("array", "blob", "blob_ops.c", "within(*offset, size, h->meta_size, h->total_size)",
         "within(*offset, 0, h->meta_size, h->total_size)"),
        ("array_align", "blob", "blob_ops.c", "*offset % 4 == 0, *offset, ARRAY_ALIGN",
         "*offset % 1 == 0, *offset, ARRAY_ALIGN"),
        ("multiplier", "blob", "blob_ops.c", "is_multiplier(mult[i], shift[i])",
         "is_multiplier(mult[i], 0 * shift[i])"),
        ("window", "blob", "blob_ops.c", "before <= (taps - 1u) * dilation",
         "before <= taps * dilation"),
        ("operand", "blob", "blob_ops.c", "&& repeats(c, out->c);", "&& (c || out->c);"),
        ("gather", "blob", "blob_move.c", "reach <= c->in->size", "reach <= c->in->size + 1u"),
        # Its plan.
        ("readiness", "blob", "blob_plan.c", "slot >= OPS_A_PASS\n",
         "slot < OPS_A_PASS\n"),
        ("over_input", "blob", "blob_plan.c", "!meet(in, out), tile->first",
         "!meet(in, out) || which, tile->first"),
        ("scratch_end", "blob", "blob_plan.c", "scratch.to <= memory_of(c)",
         "scratch.from <= memory_of(c)"),
        ("cover", "blob", "blob_plan.c", "p->done[i] == op->units", "p->done[i] <= op->units"),
        ("stage_end", "blob", "blob_stage.c", "within(op->stage_off, op->stage_size, 0,",
         "within(op->stage_off, 4, 0,"),
        # Layouts of cores.
        ("m0plus_place", "blob", "blob_m0plus.c", "place[i] < channels", "place[i] < 65535u"),
        ("m0plus_exact", "blob", "blob_m0plus.c", "entry[0] < (uint32_t)op->p[2]",
         "entry[0] <= (uint32_t)op->p[2] + 64u"),
        ("m4_place", "blob", "blob_m4.c", "place[i] < channels", "place[i] < 65535u"),
        # Frames and requests.
        ("payload_end", "link", "frame.c", "decoder->fill == RL_FRAME_PAYLOAD",
         "decoder->fill == RL_FRAME_PAYLOAD + 1u"),
        ("frame_crc", "link", "frame.c", "decoder->payload, n) == sent;",
         "decoder->payload, n) == sent || n == 8u;"),
        ("shortest", "link", "frame.c", "decoder->fill < SMALLEST", "decoder->fill < CRC_SIZE"),
        ("input_end", "link", "early_link.c", "n <= tensor->size - at", "n <= RL_FRAME_BODY"),
        ("cobs_full", "frame", "frame.c", "decoder->full = byte == BLOCK;", "decoder->full = 0;"),
        ("any_crc", "frame", "frame.c", "decoder->payload, n) == sent;",
         "decoder->payload, n) << 16 == sent << 16;"),
        ("next_begin", "frame", "frame.c", "if (!good(decoder)) {\n        start(decoder);",
         "if (!good(decoder)) {\n        rl_frame_reset(decoder);"),
        ("other_output", "request", "early_link.c",
         "if (result != RL_OK || m->store.newest.inference != get(body)) {",
         "if (result != RL_OK && result != RL_E_STATE) {"),
        ("output_end", "request", "early_link.c", "i < CHUNK && at < size; i++, at++",
         "i < CHUNK && at <= size; i++, at++"),
        ("input_room", "request", "early_link.c", "at == e->input_at && n <= tensor->size - at",
         "at <= tensor->size && n <= RL_FRAME_BODY"),
        # NVM.
        ("record_crc", "store", "store.c", "&& record->crc == record_crc(record)", ""),
        ("flash_home", "store", "store_flash.c", "&& placed(store, &record, ring)", ""),
        ("slot_size", "slots", "slots.c", "&& slot->size <= room - RL_SLOT_DATA;",
         ";"),
        ("slot_unproven", "slots", "slots_put.c",
         "if (status != RL_OK) {\n        slots->draft.magic = 0;\n        rl_status erased",
         "if (status == RL_E_ARG) {\n        slots->draft.magic = 0;\n        rl_status erased"),
        ("key_size", "kv", "kv_open.c", "e.key_n > RL_KV_KEY || ", ""),
    )
)
