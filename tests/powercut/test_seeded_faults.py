"""Negative controls: each mistake that the store could hold is found by the power cut harness.

SECURITY S1.
"""

from __future__ import annotations

import pytest

from tests.powercut import harness
from tests.powercut.harness import Fault

RECORD_FIRST = """    return rl_store_write(store, RL_FRAM_HOME + home + clean, data + clean,
                          n - clean);
}

rl_status rl_store_bytes_end(rl_store *store, const rl_record *record)
{
    uint32_t at = (record->seq & 1u) * SLOT;
    rl_status status = rl_store_write(store, at, record, sizeof *record);
"""
RECORD_FIRST_WRONG = """    waiting[n_waiting].at = RL_FRAM_HOME + home + clean;
    waiting[n_waiting].data = data + clean;
    waiting[n_waiting++].n = n - clean;
    return RL_OK;
}

rl_status rl_store_bytes_end(rl_store *store, const rl_record *record)
{
    uint32_t at = (record->seq & 1u) * SLOT;
    rl_status status = rl_store_write(store, at, record, sizeof *record);
    while (n_waiting > 0 && status == RL_OK) {
        n_waiting--;
        status = rl_store_write(store, waiting[n_waiting].at,
                                waiting[n_waiting].data, waiting[n_waiting].n);
    }
"""
QUEUE = """#define SLOT 64u
static struct { uint32_t at; const uint8_t *data; uint32_t n; } waiting[64];
static uint32_t n_waiting;
"""

BYTES_FAULTS = (
    Fault("record_before_data", "store_bytes.c",
          (("#define SLOT 64u\n", QUEUE), (RECORD_FIRST, RECORD_FIRST_WRONG))),
    Fault("newest_slot_overwritten", "store_bytes.c",
          (("    uint32_t at = (record->seq & 1u) * SLOT;\n", "    uint32_t at = 0;\n"),
           ("            && (record.seq & 1u) == slot && record.home == 0\n", ""))),
    Fault("record_crc_ignored", "store.c",
          (("        && record->crc == record_crc(record)\n", ""),)),
    Fault("older_record_taken", "store_bytes.c",
          (("rl_record_after(record.seq, store->newest.seq)",
            "rl_record_after(store->newest.seq, record.seq)"),)),
    Fault("clean_mark_too_high", "session_commit.c",
          (("    s->carry = rl_session_now(s) - at;\n",
            "    s->carry = rl_session_now(s) - at;\n"
            "    for (uint32_t t = 0; t < s->blob->header->n_tensors; t++) {\n"
            "        l.end[t] += l.end[t] > 0;\n"
            "    }\n"),)),
    Fault("no_write_enable", "nvm_fram.c",
          (("        command((const rl_fram *)nvm->ctx, WREN);\n", ""),)),
    Fault("attempts_inherited", "store_bytes.c",
          (("                   && c.seq == store->newest.seq\n", ""),)),
)

SESSION_FAULTS = (
    Fault("output_not_live", "live.c", (("    live->lo[h->output] = 0;", "    ;"),)),
    Fault("second_input_ignored", "live.c",
          (("            need(live, op, 1, live->done[o]);\n", ""),)),
    Fault("input_committed_again", "session.c",
          (("        if (s->store->newest.inference == id) {\n            return RL_OK;\n"
            "        }\n"
            "        if (s->state == RL_STATE_RUNNING) {\n            return RL_E_STATE;\n"
            "        }\n", ""),)),
    Fault("brownouts_forgotten", "session_commit.c",
          (("    record.brownouts = rl_store_brownouts(s->store);\n", ""),)),
    Fault("done_before_the_last_tile", "session_step.c",
          (("    int last = s->tile == s->blob->header->n_tiles;",
            "    int last = s->tile + 1u >= s->blob->header->n_tiles;"),)),
    Fault("lost_work_counted", "session_step.c",
          (("    s->since = rl_session_now(s);\n", "    s->since = 0;\n"),)),
    Fault("segment_commits_skipped", "session_step.c",
          (("    uint32_t end = rl_session_segment(s, s->tile)->end_tile;\n",
            "    uint32_t end = rl_session_segment(s, s->tile)->end_tile;\n"
            "    end = end > 2 ? s->blob->header->n_tiles : 2;\n"),)),
)

FLASH_FAULTS = (
    Fault("no_open_mark", "store_ring.c",
          (("        status = mark_open(store, sector);\n", ""),)),
    Fault("open_mark_ignored", "store_ring.c",
          (("    *yes = *yes && header.open == 0xFFFFFFFFu;\n", ""),)),
    Fault("newest_erased", "store_ring.c",
          (("    return here <= span;", "    return span > n;"),
           ("                    : store->at / RL_FLASH_RING;",
            "                    : (store->at / RL_FLASH_RING + n - 1u) % n;"))),
    Fault("torn_pages_used", "store_ring.c",
          (("        *yes = rl_bytes_blank(part, sizeof part);",
            "        *yes = part[0] == 0xFF;"),)),
    Fault("no_room_made", "session_step.c",
          (("    return rl_store_room(s->store, most_live(s, end));",
            "    (void)most_live(s, end);\n    return RL_OK;"),)),
)  # fmt: skip


def caught(fault: Fault, kind: str, *arguments: str, nets: tuple[int, ...] = (0, 6, 9)) -> str:
    """The id of the first failure; the fault must be found with one of the nets."""
    binary = harness.faulty_program(fault)
    for seed in nets:
        outcome = harness.run(binary, harness.blob_file(seed, kind), kind, *arguments)
        if outcome.code == 1:
            return outcome.replay
    pytest.fail(f"{fault.name} survived")


@pytest.mark.parametrize("fault", BYTES_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_the_byte_store_is_caught(fault: Fault) -> None:
    caught(fault, "fram", "--depth", "2", "--every", "50")


@pytest.mark.parametrize("fault", SESSION_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_the_scheduler_is_caught(fault: Fault) -> None:
    caught(fault, "fram", nets=tuple(range(30)))


@pytest.mark.parametrize("fault", FLASH_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_the_flash_store_is_caught(fault: Fault) -> None:
    caught(fault, "flash", "--depth", "2", "--every", "50", "--inferences", "6", "--seeds", "4")


def test_an_attempt_cell_that_is_overwritten_is_caught() -> None:
    fault = Fault("attempt_cell_overwritten", "store_bytes.c",
                  (("CELL_AT + (c.attempts & 1u) * CELL;\n    rl_status status = rl_store_write",
                    "CELL_AT;\n    rl_status status = rl_store_write"),
                   (" || (c.attempts & 1u) != i", "")))  # fmt: skip
    caught(fault, "fram", "--depth", "3", "--every", "20", "--inferences", "1", nets=(6,))


def test_a_data_page_sought_beyond_the_end_of_the_ring_is_caught() -> None:
    fault = Fault("ring_not_closed", "store_flash.c",
                  (("        at = rl_ring_next(store, at);\n    }\n    return RL_OK;\n}\n",
                    "        at++;\n    }\n    return RL_OK;\n}\n"),))  # fmt: skip
    binary = harness.faulty_program(fault)
    blob = harness.blob_file(31, "flash", scale=10)
    assert harness.run(binary, blob, "flash", "--inferences", "6").code == 1


def test_a_record_that_is_not_read_back_is_caught() -> None:
    fault = Fault("record_not_read_back", "store_bytes.c",
                  (("    return rl_store_verify(store, at, record, sizeof *record);",
                    "    return RL_OK;"),))  # fmt: skip
    caught(fault, "fram", "--deaf")


def test_live_data_that_is_not_checked_is_caught() -> None:
    fault = Fault("live_crc_ignored", "session_commit.c",
                  (("    if (crc != record->live_crc) {", "    if (0) {"),))  # fmt: skip
    caught(fault, "fram", "--rot")


def test_a_failed_nvm_that_is_used_on_is_caught() -> None:
    fault = Fault("failure_forgotten", "store.c",
                  (("        store->broken = 1;\n        store->committing = 0;\n",
                    "        store->broken = 2;\n        store->broken = 0;\n"),))  # fmt: skip
    caught(fault, "fram", "--refuse")


def test_attempts_that_are_not_counted_are_caught() -> None:
    fault = Fault("attempts_not_counted", "store.c",
                  (("    return watch(store, is_flash(store) ? rl_store_flash_attempt(store)\n"
                    "                                        : rl_store_bytes_attempt(store));",
                    "    return RL_OK;"),))  # fmt: skip
    caught(fault, "fram", "--starve", "0")


def test_a_data_page_that_passes_for_a_record_is_caught() -> None:
    fault = Fault("data_pages_not_marked", "store_flash.c",
                  (("        && store->page[RL_FLASH_DATA] == IS_RECORD\n", ""),))  # fmt: skip
    binary = harness.faulty_program(fault)
    blob = harness.blob_file(13, "flash", scale=2)
    assert harness.run(binary, blob, "flash", "--forge").code == 1


def test_a_plan_whose_homes_collide_is_caught() -> None:
    blob = harness.colliding_blob_file(0)
    assert harness.run(harness.program(), blob, "fram").code == 1


def test_an_id_replays_the_one_cut_that_failed() -> None:
    fault = BYTES_FAULTS[0]
    binary = harness.faulty_program(fault)
    blob = harness.blob_file(0, "fram")
    first = harness.run(binary, blob, "fram")
    assert first.code == 1
    again = harness.run(binary, blob, "fram", "--replay", first.replay)
    assert (again.code, again.replay) == (1, first.replay)
    assert again.text == first.text
    assert harness.run(harness.program(), blob, "fram", "--replay", first.replay).code == 0
