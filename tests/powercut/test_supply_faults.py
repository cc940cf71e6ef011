"""Negative controls: mistakes in what follows the voltage and writes behind tiles are found.

SECURITY S6.
"""

from __future__ import annotations

import pytest

from tests.powercut import harness
from tests.powercut.harness import Fault

FAULTS = (
    Fault("source_given_up", "behind.c",
          (("        if (lo <= b->from) {", "        if (lo <= b->to) {"),)),
    Fault("behind_too_far", "behind.c", (("    b->to = end;", "    b->to = end + 1u;"),)),
    Fault("behind_to_another_home", "behind.c",
          (("tensor->nvm_off + b->from,", "tensor->nvm_off + b->from + 1u,"),)),
    Fault("clean_where_it_was_not_written", "behind.c",
          (("        live->clean[b->tensor - 1u] = b->to;",
            "        live->clean[b->tensor - 1u] = b->to + 1u;"),)),
    Fault("obligatory_commit_passed", "session_step.c",
          (("              && (segment->flags & RL_OBLIGATORY) == 0;",
            "              && segment != NULL;"),)),
    Fault("write_left_behind_a_step", "session_step.c",
          (("    rl_status status = rl_behind_finish(&s->behind, &l, s->store);\n"
            "    s->loaded = status == RL_OK;\n    s->carry",
            "    rl_status status = l.blob ? RL_OK : RL_DONE;\n"
            "    s->loaded = status == RL_OK;\n    s->carry"),)),
    Fault("unfinished_tiles_live", "session_step.c",
          (("    rl_live_grow(&l, ran);\n    s->units", "    s->units"),)),
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_what_follows_the_voltage_is_caught(fault: Fault) -> None:
    binary = harness.faulty_program(fault)
    for seed in range(40):
        blob = harness.blob_file(seed, "fram", paced=1, scale=1 + seed % 2)
        for volts in ("high", "true"):
            arguments = ("--volts", volts, "--behind", "--inferences", "2")
            if harness.run(binary, blob, "fram", *arguments).code == 1:
                return
    pytest.fail(f"{fault.name} survived")


def test_room_for_the_end_of_a_segment_alone_is_caught() -> None:
    fault = Fault("room_for_the_end_alone", "session_step.c",
                  (("    if (s->pace.on) {\n        return s->blob->header->nvm_size;",
                    "    if (s->pace.on && l.blob == NULL) {\n        return 0;"),))  # fmt: skip
    binary = harness.faulty_program(fault)
    for seed in range(30):
        blob = harness.blob_file(seed, "flash", paced=1, scale=6)
        arguments = ("--volts", "random", "--soak", "3000", "--inferences", "30")
        if harness.run(binary, blob, "flash", *arguments).code == 1:
            return
    pytest.fail(f"{fault.name} survived")
