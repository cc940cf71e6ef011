"""Resume and service before the interpreter, on the emulated Pico's real firmware.

SECURITY R1.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from relume.blob.pack import pack
from relume.blob.reader import read_blob
from relume.errors import LinkError
from relume.model.reference import reference_output
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan, smallest_capacitor
from relume_boards.virtual.fram import Fault
from relume_boards.virtual.pico import VirtualPico
from relume_boards.virtual.record import Run

from tests.emulated.bench import BOARD, PROMPT, supply, until
from tests.emulated.test_board_firmware import firmware
from tests.emulated.test_inference import SUPPLY, Bench, random_bytes
from tests.kernels.netgen import random_net
from tests.shared import model_file, model_input

pytestmark = pytest.mark.emulated


def planned(model: bytes, cap_f: float) -> bytes:
    return pack(make_plan(read_tflite(model), BOARD, Budget(cap_f, SUPPLY.von_v, SUPPLY.voff_v)))


def smallest(model: bytes, nvm: str = "fram") -> float:
    graph = read_tflite(model)
    return smallest_capacitor(graph, BOARD, SUPPLY.von_v, SUPPLY.voff_v, nvm, exchange=True)


def kinds(run: Run) -> list[str]:
    return [event.kind for event in run.events]


@pytest.fixture(scope="module")
def interrupted() -> tuple[bytes, bytes]:
    """Flash and FRAM of a board whose power went in the middle of an inference."""
    model, data = model_file("kws").read_bytes(), model_input("kws")
    image = planned(model, 10e-3)
    with Bench("seed=2") as bench:
        bench.board.deploy(image, "kws")
        runner = threading.Thread(target=lambda: _until_stopped(bench, data), daemon=True)
        runner.start()
        assert bench.emulated.wait_until(lambda run: "committed" in kinds(run), 60)
        bench.emulated.stop()
        runner.join(30)
    return bytes(bench.emulated.pico.flash), bytes(bench.emulated.pico.fram.memory)


def _until_stopped(bench: Bench, data: bytes) -> None:
    with suppress(LinkError):
        bench.board.run(data)


class Early:
    """That board again, from a full capacitor on, in emulated time only. hold=False: without the
    interpreter's sourced start, so that it comes up on any capacitor."""

    def __init__(self, memories: tuple[bytes, bytes], cap_f: float, **options: object) -> None:
        flash, fram = memories
        made = supply(cap_f, 2e-3)
        made.fill(5.0)
        given: dict[str, object] = {
            "seed": 5, "flash": flash, "fram": fram, "supply": made, "hold": False, **options,
        }  # fmt: skip
        self.pico = VirtualPico(BOARD, firmware(), **given)  # type: ignore[arg-type]
        self.output = bytearray()
        self.pico.on_tx = self.output.append
        while self.pico.chip is None:
            self.pico.advance()

    @property
    def kinds(self) -> list[str]:
        return kinds(self.pico.run_record)

    def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        until(self.pico, condition, seconds)

    def reaches_the_prompt(self, every: float = 1.0) -> bool:
        """What a person does who wants the REPL: Ctrl-C until it is there."""
        for _ in range(round(12 / every)):
            self.pico.feed(b"\r\x03\x03")
            end = self.pico.now + every
            while self.pico.now < end and self.pico.advance():
                if self.output.endswith(PROMPT):
                    return True
        return False


def test_a_resume_comes_before_the_interpreter(interrupted: tuple[bytes, bytes]) -> None:
    early = Early(interrupted, 10e-3)
    early.until(lambda: bool(early.kinds))
    assert early.kinds == ["resumed"]
    took = early.pico.run_record.events[0].t - early.pico.run_record.power[0].t
    assert took <= 10e-3


def test_usb_power_starts_the_interpreter_at_once(interrupted: tuple[bytes, bytes]) -> None:
    early = Early(interrupted, 10e-3, plugged=True)
    early.until(lambda: len(early.kinds) > 1)
    assert early.kinds[:2] == ["booted", "resumed"]


def test_the_escape_pin_starts_the_interpreter_at_once(interrupted: tuple[bytes, bytes]) -> None:
    early = Early(interrupted, 10e-3)
    assert early.pico.chip is not None
    early.pico.chip.drive(BOARD.pins["escape"], False)
    early.until(lambda: len(early.kinds) > 1)
    assert early.kinds[:2] == ["booted", "resumed"]


def test_one_start_in_three_without_a_commit_is_the_interpreters(
    interrupted: tuple[bytes, bytes],
) -> None:
    early = Early(interrupted, 110e-6, hold=True)  # a resume and no more
    firsts = []
    for _ in range(7):
        early.until(lambda: early.pico.chip is not None, 1e4)
        seen = len(early.kinds)
        early.until(lambda: early.pico.chip is None, 1e4)
        firsts.append(early.kinds[seen] if len(early.kinds) > seen else "interpreter")
    assert firsts.count("interpreter") == 2 and firsts.index("interpreter") == 2


def test_ctrl_c_ends_the_service_before_the_interpreter(interrupted: tuple[bytes, bytes]) -> None:
    early = Early(interrupted, 1e-3, xip=False)
    early.until(lambda: early.pico.idle, 1e3)  # done: it serves, asleep
    assert early.kinds[-1] == "done" and b"relume" not in early.output
    assert early.reaches_the_prompt(every=0.02)  # the charge does not feed the interpreter long


@pytest.mark.parametrize("kind", ["absent", "dead"])
def test_without_an_fram_the_prompt_is_reached(
    interrupted: tuple[bytes, bytes], kind: str
) -> None:
    early = Early(interrupted, 10e-3, xip=False)
    early.pico.fram.fault = Fault(kind)
    assert early.reaches_the_prompt()
    assert "resumed" not in early.kinds


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_fram_holds_the_prompt_is_reached(
    interrupted: tuple[bytes, bytes], seed: int
) -> None:
    flash, fram = interrupted
    damaged = random_bytes(512, seed) + fram[512:] if seed % 2 else random_bytes(len(fram), seed)
    early = Early((flash, damaged), 10e-3, xip=False)
    assert early.reaches_the_prompt()


def test_a_keyword_net_lives_on_a_capacitor_that_never_starts_the_interpreter() -> None:
    model, data = model_file("kws").read_bytes(), model_input("kws")
    cap = smallest(model)
    assert cap * (SUPPLY.von_v**2 - SUPPLY.voff_v**2) / 2e-3 < BOARD.boot.ms * 1e-3 * 82.5
    image = planned(model, cap)
    with Bench(f"cap={cap * 1e9:.0f}nF&power=2mW&seed=4&plugged=1") as bench:
        bench.board.deploy(image, "kws")
        bench.emulated.unplug(empty=True)
        result = bench.board.run(data, blob=read_blob(image))
        run = bench.emulated.run
    assert result.output == reference_output(model, data)
    assert result.brownouts >= 3
    assert kinds(run).count("resumed") >= 3


def test_a_checkpoint_in_flash_is_resumed_before_the_interpreter() -> None:
    model = random_net(11)
    cap = smallest(model, "flash")
    graph = read_tflite(model)
    budget = Budget(cap, SUPPLY.von_v, SUPPLY.voff_v)
    image = pack(make_plan(graph, BOARD, budget, "flash"))
    data = random_bytes(read_blob(image).input_tensor.size, 1)
    with Bench(f"cap={cap * 1e9:.0f}nF&power=6mW&seed=4&plugged=1") as bench:
        bench.board.deploy(image, "net")
        bench.emulated.unplug(empty=True)
        results = [bench.board.run(data, number=n, blob=read_blob(image)) for n in range(2)]
    assert [result.output for result in results] == [reference_output(model, data)] * 2
