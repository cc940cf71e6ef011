"""FRAM on I2C under the firmware, on the emulated Pico: faults, cuts, commits, plans."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from relume.blob.pack import pack
from relume.blob.reader import read_blob
from relume.model.reference import reference_output
from relume.model.tflite_reader import read_tflite
from relume.plan.costs import RECORD_BYTES, CostModel
from relume.plan.planner import Budget, make_plan, sufficient_capacitor
from relume.plan.types import Pace
from relume_boards.virtual.fram import Fault
from relume_boards.virtual.i2c import I2cFram

from tests.emulated.bench import BOARD, Repl
from tests.emulated.test_inference import SUPPLY, Bench, infer_on_harvest, random_bytes
from tests.kernels.netgen import random_net

pytestmark = pytest.mark.emulated

DATA = random.Random(17).randbytes(256) * 4
assert BOARD.fram_i2c is not None
WIRE = BOARD.fram_i2c
SETUP = (
    "import _relume, gc, machine, time",
    "f = _relume.FRAM_I2C()",
    f"d = bytes.fromhex({DATA[:256].hex()!r}) * 4",
    "def us(call, *a):\r gc.collect(); s = time.ticks_us(); call(*a); "
    "return time.ticks_us() - s\r",
)


def ready(before: Callable[[I2cFram], None] = lambda chip: None, setup: bool = True) -> Repl:
    """A board at its prompt with a FRAM `f`, 1 KB `d` and `us(call, ...)`."""
    repl = Repl()
    before(repl.pico.fram_i2c)
    repl.boot()
    for line in SETUP if setup else SETUP[:1]:
        repl.type(line)
    return repl


@pytest.fixture(scope="module")
def board() -> Repl:
    """One board for the tests that leave it as it was."""
    return ready()


# --- the driver ----------------------------------------------------------------------------------


def test_what_is_written_is_on_the_chip_and_reads_back(board: Repl) -> None:
    assert board.type("print(f.kind, f.size)") == f"1 {WIRE.size}"
    for at, n in ((0, 1), (1000, 16), (2000, 17), (3001, 1024)):
        board.type(f"f.write({at}, d[:{n}])")
        assert bytes(board.pico.fram_i2c.memory[at : at + n]) == DATA[:n]
        assert board.type(f"print(f.read({at}, {n}) == d[:{n}])") == "True"
    assert "BlobError: argument out of range" in board.type(f"f.write({WIRE.size - 3}, d)")


@pytest.mark.parametrize("hz", [1_000_000, 400_000, 100_000])
def test_a_transfer_takes_nine_bits_a_byte_and_what_the_plan_counts_with(hz: int) -> None:
    board = ready(setup=False)
    for line in (f"f = _relume.FRAM_I2C(baud={hz})", *SETUP[2:]):
        board.type(line)
    wire = replace(WIRE, hz=hz)
    for call in ("f.write, 0, d", "f.read, 0, 1024"):
        took = int(board.type(f"print(us({call}))")) * 1e-6
        planned = wire.seconds(1024, 1) + BOARD.store.access / BOARD.hz
        assert planned * 0.98 <= took <= planned * 1.05, (call, took, planned)


def test_a_chip_that_is_not_there_is_an_error() -> None:
    board = ready(lambda chip: setattr(chip, "absent", True), setup=False)
    assert "NVM does not answer" in board.type("_relume.FRAM_I2C()")
    assert "NVM does not answer" in board.type("_relume.FRAM_I2C(address=0x51)")
    for wrong in ("sda=7", "scl=6", "i2c=0", "i2c=2", "baud=2000000", "baud=0", "address=0x20"):
        assert "argument out of range" in board.type(f"_relume.FRAM_I2C({wrong})")


def test_a_chip_that_holds_the_bus_is_clocked_free() -> None:
    board = ready(lambda chip: setattr(chip, "holds", 9), setup=False)
    assert board.type("f = _relume.FRAM_I2C(); print(f.size)").endswith(str(WIRE.size))
    assert board.pico.fram_i2c.holds == 0


def test_a_bus_that_stays_held_is_an_error_and_no_hang() -> None:
    board = ready(lambda chip: setattr(chip, "holds", 1000), setup=False)
    assert "NVM does not answer" in board.type("_relume.FRAM_I2C()")


def test_a_bus_that_stops_moving_is_an_error_and_the_next_transfer_works() -> None:
    board = ready()
    chip = board.pico.fram_i2c
    write, bytes_seen = chip.write, []

    def stalls(value: int) -> bool:
        bytes_seen.append(value)
        chip.holds = 5 if len(bytes_seen) == 40 else chip.holds
        return write(value)

    chip.write = stalls  # type: ignore[method-assign]
    assert "NVM does not answer" in board.type("f.write(0, d)")
    assert chip.holds == 0, "it was clocked free"
    board.type("f.write(4096, d)")
    assert bytes(chip.memory[4096 : 4096 + 1024]) == DATA
    assert bytes(chip.memory[:40]) == DATA[:38] + bytes(2)


def test_a_cut_leaves_a_prefix_of_whole_bytes() -> None:
    board = ready()
    board.pico.feed(b"f.write(0, d)\r")
    board.pico.run(0.005)
    board.pico.power_off("test")
    written = board.pico.fram_i2c.bytes_written
    assert 100 < written < 1024
    assert bytes(board.pico.fram_i2c.memory[:1024]) == DATA[:written] + bytes(1024 - written)
    assert board.pico.record.cuts[-1].operation == "fram write"


WIRED = (  # module _relume with one model, planned for I2C
    "N = 'FRAM', 'FRAM_I2C', 'Flash', 'BoardError'",
    "R = type('R', (), {n: getattr(_relume, n) for n in N})",
    "R.slots = lambda: [0]; R.slot_blob = lambda i: bytes([4] * 26)",
)


def test_a_store_is_kept_on_i2c_where_a_model_is_and_no_other_fram_answers() -> None:
    board = Repl()
    board.pico.fram.fault = Fault("absent")
    board.boot()
    board.type("import _relume, relume, relume.board as b")
    assert board.type("print(b.any_nvm().kind)") == "2", "flash: nothing is planned for I2C"
    assert board.pico.fram_i2c.bytes_read == 0, "its pins may be somebody else's"
    for line in WIRED:
        board.type(line)
    board.type("b._relume = R; s = relume.Store(b.any_nvm())")
    board.type("s['a'] = b'on two wires'; s.commit()")
    kept = bytes(board.pico.fram_i2c.memory)
    assert kept.find(b"on two wires") >= WIRE.size * 7 // 8, "behind the models' part"
    assert board.type("print(relume.Store(b.any_nvm())['a'])") == "b'on two wires'"
    board.pico.fram_i2c.absent = True
    assert "no FRAM answers on I2C" in board.type("b.open_nvm(b.FRAM_I2C)")
    assert board.type("print(b.any_nvm().kind)") == "2"


# --- inferences ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [3, 11])
def test_a_random_net_is_exact_with_checkpoints_on_i2c(seed: int) -> None:
    model = random_net(seed)
    graph = read_tflite(model)
    data = random_bytes(graph.tensors[graph.input].size, seed)
    results, bench = infer_on_harvest(model, [data, data], "6mW", "fram-i2c")
    expected = reference_output(model, data)
    assert [result.output for result in results] == [expected, expected]
    assert bench.emulated.pico.fram_i2c.bytes_written > 0
    assert bench.emulated.pico.fram.bytes_written == 0, "the other chip is left alone"


class Busy(list):  # type: ignore[type-arg]
    """Events, with the time that the bus had been busy at each."""

    def __init__(self, busy_ns: Callable[[], float]) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.busy_ns = busy_ns

    def append(self, event: object) -> None:
        self.seconds.append(self.busy_ns() * 1e-9)
        super().append(event)


def test_commits_keep_the_bus_busy_for_what_the_plan_says() -> None:
    """Every commit that is planned is made, from the input's to the last, without a cut."""
    model = random_net(4)
    graph = read_tflite(model)
    von, voff = SUPPLY.von_v, SUPPLY.voff_v
    cap_f = 1.02 * sufficient_capacitor(graph, BOARD, von, voff, "fram-i2c", "exact")
    plan = make_plan(graph, BOARD, Budget(cap_f, von, voff), "fram-i2c")
    image = pack(replace(plan, pace=Pace()))
    with Bench("seed=2&xip=0") as bench:
        pico = bench.emulated.pico
        bench.board.deploy(image, "net")
        pico.run_record.events = seen = Busy(lambda: pico.chip.i2c_busy_ns if pico.chip else 0.0)
        data = random_bytes(graph.tensors[graph.input].size, 4)
        bench.board.run(data, blob=read_blob(image))
    ends = [n for n, event in enumerate(seen) if event.kind == "committed"]
    assert len(ends) == len(plan.segments) + 1 > 4
    took = [seen.seconds[b] - seen.seconds[a] for a, b in itertools.pairwise(ends)]
    for segment, measured in zip(plan.segments, took, strict=True):
        least = WIRE.seconds(segment.commit_bytes + 2 * RECORD_BYTES, 3)
        assert 0.95 * least <= measured <= 1.05 * least, (segment, measured, least)


def test_the_plan_s_byte_is_the_bus_s(board: Repl) -> None:
    """Energy of a kilobyte more: what the emulated board draws and what the plan counts."""
    costs = CostModel(read_tflite(random_net(3)), BOARD, "fram-i2c")
    planned = float(costs.transfer_uj(1024.0, 0.0)) * 1e-6
    drawn = []
    for n in (0, 1024):
        before = board.pico.record.totals["drawn_j"]
        board.type(f"f.write(0, d[:{n}])")
        drawn.append(board.pico.record.totals["drawn_j"] - before)
    assert 0.9 * planned <= drawn[1] - drawn[0] <= 1.1 * planned
