"""Stack that the entries of the C take at worst, on each core: bounded, and never by recursion.

SECURITY B3.
"""

from __future__ import annotations

import pytest

from tests.native import NATIVE
from tests.unit.stack_use import INDIRECT, MEANT, Graph, Recursion, graph

# Bytes, without the port's own functions; docs/SECURITY.md B3 has the largest.
BOUNDS = {
    "rl_blob_check": 700, "rl_early_find": 1400, "rl_slots_list": 250, "rl_slots_begin": 1250,
    "rl_slots_write": 200, "rl_slots_end": 1500, "rl_frame_feed": 48, "rl_frame_encode": 80,
    "rl_store_open": 450, "rl_session_open": 350, "rl_session_begin": 600,
    "rl_session_step": 1800, "rl_session_take": 500, "rl_session_clear": 500,
    "rl_session_output": 32, "rl_kv_open": 600, "rl_kv_commit": 600, "rl_kv_read": 350,
    "rl_kv_find": 350, "rl_kv_reset": 600, "rl_kv_prepare": 450, "rl_engine_tile": 1600,
    "rl_stage_tile": 1700, "rl_crc32": 24, "rl_early": 2250,
    "rl_ed25519_signed": 1150, "rl_sha512_begin": 24, "rl_sha512_add": 360, "rl_sha512_end": 400,
}  # fmt: skip

EACH = ("m0plus", pytest.param("m4", marks=pytest.mark.heavy))


@pytest.mark.parametrize("core", EACH)
def test_each_entry_stays_within_its_bound(core: str) -> None:
    depths = {name: graph(core).depth(name) for name in BOUNDS}
    assert {n: d for n, d in depths.items() if d > BOUNDS[n]} == {}
    # A bound that is far off guards nothing.
    assert depths["rl_ed25519_signed"] > 900, "a point of the curve takes 128 bytes"
    assert depths["rl_early"] > 1000 and depths["rl_blob_check"] > BOUNDS["rl_blob_check"] // 2


@pytest.mark.parametrize("core", EACH)
def test_no_frame_depends_on_data(core: str) -> None:
    assert graph(core).unbounded == []


@pytest.mark.parametrize("core", EACH)
def test_every_function_that_is_called_is_known(core: str) -> None:
    """Else its frame would not be counted: what is left is the compiler's own library."""
    library = {"memcpy", "memset", "memmove", "__indirect_call", "STEP"}  # STEP: a number's name
    made = graph(core)
    called = {to for names in made.calls.values() for to in names}
    unknown = {to for to in called - made.frames.keys() if not to.startswith("__aeabi_")}
    assert unknown - library == set()


@pytest.mark.parametrize("core", EACH)
def test_whom_a_call_through_a_pointer_means_is_said(core: str) -> None:
    """Kernels mean functions of their own file; what else calls so means others."""
    made = graph(core)
    callers = {made.files[name] for name, to in made.calls.items() if INDIRECT in to}
    assert len(callers) > 10
    own = {path.name for path in (NATIVE / "kernels").rglob("*.c")}
    assert callers - own - MEANT.keys() == set()


def test_calls_add_up_and_recursion_is_noticed() -> None:
    made = Graph({"a": 8, "b": 100, "c": 16}, {"a": {"b", "c"}, "c": {"memcpy"}}, {})
    assert made.depth("a") == 108
    made.calls["b"] = {"a"}
    with pytest.raises(Recursion):
        made.depth("a")
