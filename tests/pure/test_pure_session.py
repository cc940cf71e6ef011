"""A session of the Python engine survives a power cut anywhere, and C takes up what it left."""

from __future__ import annotations

import functools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pure.twin import Memory, PowerCut, engine, session, turned_on
from tests.unix.firmware import Machine
from tests.unix.nets import Net, planned

SIZE = 1 << 16


@functools.cache
def made(seed: int) -> Net:
    """A net of several segments in portable kernels."""
    return planned(seed, core="portable")


def finished(blob: bytes, data: bytes, memory: Memory, cuts: list[int]) -> tuple[bytes, int]:
    """Runs to the output; the power fails after so many written bytes, one life after another.

    (output, lives). Without cuts the last life runs to the end.
    """
    lives = 0
    while True:
        memory.left = cuts[lives] if lives < len(cuts) else None
        lives += 1
        try:
            run = session(blob, memory)
            run.begin(7, data)
            while run.step() != engine().DONE:
                pass
            return run.output(), lives
        except PowerCut:
            continue


@pytest.mark.parametrize("seed", [4, 8, 16])
def test_an_output_is_the_c_engine_s(seed: int) -> None:
    net = made(seed)
    assert finished(net.blob, net.input, Memory(SIZE), []) == (net.output, 1)


@pytest.mark.parametrize("seed", [4, 26])
def test_a_cut_after_every_written_byte(seed: int) -> None:
    net = made(seed)
    whole = Memory(SIZE)
    whole.left = 1 << 30
    run = session(net.blob, whole)
    run.begin(7, net.input)
    while run.step() != engine().DONE:
        pass
    written = (1 << 30) - whole.left
    step = max(1, written // 120)
    for cut in range(0, written, step):
        output, lives = finished(net.blob, net.input, Memory(SIZE), [cut])
        assert (output, lives) == (net.output, 2), f"cut after {cut} bytes"


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 900), max_size=6), st.integers(0, 255))
def test_cuts_in_a_row(cuts: list[int], fill: int) -> None:
    net = made(4)
    output, _ = finished(net.blob, net.input, Memory(SIZE, fill), cuts)
    assert output == net.output


def test_a_life_too_short_for_a_tile_ends_stuck_and_stays_so() -> None:
    net, memory, pure = made(8), Memory(SIZE), engine()
    run = session(net.blob, memory)
    run.begin(7, net.input)
    for _ in range(40):
        memory.left = 60  # an attempt, no commit
        try:
            run = session(net.blob, memory)
            run.step()
        except PowerCut:
            continue
        except pure.BoardError:
            break
    memory.left = None
    run = session(net.blob, memory)
    with pytest.raises(pure.BoardError, match="does not fit a charge"):
        run.step()
    assert session(net.blob, memory).state == 4
    run = session(net.blob, memory)
    run.clear()
    run.begin(8, net.input)
    while run.step() != pure.DONE:
        pass
    assert run.output() == net.output


@settings(deadline=None, max_examples=40)
@given(st.binary(min_size=256, max_size=256), st.integers(0, 2**32 - 1))
def test_any_content_is_mounted(head: bytes, seed: int) -> None:
    """Random slots and cells: an empty store, or a refusal that clear() heals."""
    net, pure = made(4), engine()
    memory = Memory(SIZE, seed & 255)
    memory.data[:256] = head
    try:
        run = session(net.blob, memory)
    except pure.BoardError:
        return
    run.begin(3, net.input)
    while run.step() != pure.DONE:
        pass
    assert run.output() == net.output


def test_a_damaged_checkpoint_is_refused() -> None:
    net, memory, pure = made(4), Memory(SIZE), engine()
    run = session(net.blob, memory)
    run.begin(7, net.input)
    memory.data[256 + run.blob.tensors[run.blob.input].home] ^= 1
    with pytest.raises(pure.BoardError, match="does not match"):
        session(net.blob, memory)


def test_a_small_memory_and_one_with_mirrors_are_refused() -> None:
    net, pure = made(4), engine()
    with pytest.raises(pure.BoardError, match="too small"):
        session(net.blob, Memory(300))

    class Mirrored(Memory):
        def __getitem__(self, part: slice) -> bytes:
            return super().__getitem__(slice(part.start % 1024, (part.stop - 1) % 1024 + 1))

        def __setitem__(self, part: slice, value: bytes) -> None:
            super().__setitem__(slice(part.start % 1024, (part.stop - 1) % 1024 + 1), value)

    with pytest.raises(pure.BoardError, match="too small"):
        session(net.blob, Mirrored(SIZE))


def test_another_model_s_inference_is_kept() -> None:
    pure, memory = engine(), Memory(SIZE)
    session(made(4).blob, memory).begin(1, made(4).input)
    with pytest.raises(pure.BoardError, match="another model"):
        session(made(8).blob, memory)
    assert session(made(4).blob, memory).state == 1


def test_results_are_taken_once() -> None:
    net, memory, pure = made(4), Memory(SIZE), engine()
    finished(net.blob, net.input, memory, [])
    run = session(net.blob, memory)
    assert run.output() == net.output
    with pytest.raises(pure.BoardError):
        run.take(8)
    run.take(7)
    run.take(7)
    assert session(net.blob, memory).state == 3


C_SIDE = """
import _relume, json
session = _relume.Session({blob!r}, _relume.File("nvm.bin", 65536))
state = session.open()
if state in (0, 3):
    session.begin(7, {input!r})
n = {steps}
while n and session.step() != _relume.DONE:
    n -= 1
print(json.dumps([session.state, list(session.output()) if session.state == 2 else []]))
"""


@pytest.mark.unix
@pytest.mark.parametrize("first", ["python", "c"])
def test_c_and_python_take_up_each_other_s_checkpoints(machine: Machine, first: str) -> None:
    net, pure = made(16), engine()
    path = machine.folder / "nvm.bin"

    def python(steps: int) -> bytes:
        run = session(net.blob, pure.File(str(path), 65536))
        if run.state in (0, 3):
            run.begin(7, net.input)
        while steps and run.step() != pure.DONE:
            steps -= 1
        return run.output() if run.state == 2 else b""

    def c(steps: int) -> bytes:
        source = C_SIDE.format(blob=net.blob, input=net.input, steps=steps)
        return bytes(machine.value(source)[1])

    turns = [python, c] if first == "python" else [c, python]
    for turn in range(60):
        output = turns[turn % 2](1)
        if output:
            break
    assert output == net.output and turn >= 4


@pytest.mark.unix
def test_it_runs_on_micropython(machine: Machine) -> None:
    """The same files, no native code, power lost once in the middle."""
    from tests.pure.twin import FOLDER

    net = made(8)
    source = f"""
import sys
sys.path.insert(0, {str(FOLDER)!r})
import relume_pure as pure, json
def opened():
    session = pure.Session({net.blob!r}, pure.File("py.bin", 65536))
    session.open()
    return session
session = opened()
session.begin(5, {net.input!r})
session.step()
pure.session._opened.clear()
session = opened()
steps = 0
while session.step() != pure.DONE:
    steps += 1
print(json.dumps([steps, session.brownouts, list(session.output())]))
"""
    steps, brownouts, output = machine.value(source)
    assert bytes(output) == net.output and steps > 0 and brownouts == 1


@pytest.mark.unix
def test_package_relume_falls_back_on_it(machine: Machine) -> None:
    """Without module _relume: a Session over anything with slices, and infer.py's calls."""
    from tests.pure.twin import FOLDER

    net = made(8)
    (machine.folder / "net.rlm").write_bytes(net.blob)
    (machine.folder / "relume").mkdir()
    for name in ("__init__.py", "board.py"):  # this interpreter has the C module
        text = (FOLDER / "relume" / name).read_text()
        text = text.replace("    import _relume\n", "    import _absent\n")
        (machine.folder / "relume" / name).write_text(text)
    source = f"""
import sys, json
sys.path[:] = ["", {str(FOLDER)!r}]
import relume
session = relume.Session("net.rlm", nvm=bytearray(65536))
output = session.run({net.input!r})
session.take()
try:
    relume.Session("net.rlm")
except OSError as error:
    said = str(error)
print(json.dumps([list(output), session.stats["commits"], session.info["name"], said]))
"""
    output, commits, _, said = machine.value(source)
    assert bytes(output) == net.output and commits == net.segments + 1
    assert "nvm=fram" in said


def test_the_record_is_the_spec_s() -> None:
    net, memory = made(4), Memory(SIZE)
    session(net.blob, memory).begin(9, net.input)
    magic, seq, model, inference, tile = struct.unpack_from("<5I", memory.data, 64)
    assert (magic, seq, inference, tile) == (0x31524C52, 1, 9, 0)
    assert model == struct.unpack_from("<I", net.blob, 16)[0]
    turned_on()
