"""Deploys over a line that drops, garbles and repeats, to a board that dies anywhere, also inside
flash operations: none ends in a wrong or half model.

The real host code, the firmware's server, and the C decoder and slots, in one process.

SECURITY B5, F2, F3, F5.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from relume.errors import LinkError
from relume.link.client import Board
from relume.link.ports import Port
from relume.link.stream import Stream, Timings

from tests import native
from tests.fuzz.serverboard import Flash, FlashBench, Upload
from tests.unit.fakelines import Faults, grown

TINY = (Path(native.ROOT) / "tests/unit/golden/tiny.rlm").read_bytes()
TIMES = Timings(retry=0.5, hello=1.0, answer=8.0, progress=30.0, poll=1.0, fresh=0.2)


def line(draw: random.Random) -> Faults:
    """Some lines are quiet, some hardly carry a frame."""
    few = draw.choice((0, 0, 2, 10))
    return Faults(
        cuts=[draw.randrange(draw.choice((300, 3000, 12_000))) for _ in range(few)],
        flips=draw.choice((0.0, 0.01, 0.1)),
        repeats=draw.choice((0.0, 0.1)),
        keep_open=draw.random() < 0.5,
        off_s=draw.choice((0.01, 0.4, 4.0)),
        limit=300,
        seed=draw.randrange(1 << 16),
    )


def active(flash: Flash) -> bytes | None:
    """The model that would run, checked as the board checks it at its start."""
    blob = Upload(flash).blob(None)
    if blob is None:
        return None
    assert native.check(blob)[0] == "RL_OK"
    return blob


def deploy(flash: Flash, image: bytes, name: str, draw: random.Random) -> str:
    """One deploy over a line of its own: "done" or "refused"."""
    bench = FlashBench(flash, line(draw))
    stream = Stream(bench, TIMES, clock=bench.clock, sleep=bench.sleep, seq=draw.randrange(999))
    try:
        Board(Port("bench"), stream=stream).deploy(image, name)
        return "done"
    except LinkError as error:
        assert "\n" not in str(error)
        return "refused"


def life(seed: int, deploys: int) -> Counter[str]:
    """Deploys one after another to one flash; what is active is always whole, old or new."""
    draw = random.Random(seed)
    flash = Flash([draw.randrange(1, 60) for _ in range(draw.choice((0, 3, 20)))])
    now: bytes | None = None
    count: Counter[str] = Counter()
    for number in range(deploys):
        image = grown(TINY, 16 * draw.randrange(draw.choice((4, 500))), seed=seed * 64 + number)
        how = deploy(flash, image, draw.choice(("a", "b", "c")), draw)
        found = active(flash)
        if how == "done":
            assert found == image, f"life {seed}, deploy {number}: another model is active"
        else:
            assert found in (now, image), f"life {seed}, deploy {number}: a half model is active"
        count[how] += 1
        now = found
    count["cut in flash"] += flash.deaths
    return count


def test_no_deploy_ends_in_a_wrong_or_half_model() -> None:
    count = sum((life(seed, 5) for seed in range(40)), Counter[str]())
    assert count["done"] + count["refused"] == 200
    assert count["done"] > 100 and count["refused"] > 0 and count["cut in flash"] > 50


@pytest.mark.heavy
@pytest.mark.parametrize("part", range(20))
def test_ten_thousand_deploys_end_right(part: int) -> None:
    count = sum((life(1000 + part * 100 + n, 5) for n in range(100)), Counter[str]())
    assert count["done"] + count["refused"] == 500 and count["done"] > 250


def test_pieces_at_the_wrong_place_make_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not look where a piece belongs: those that come twice shift the rest."""
    real = Upload.write

    def anywhere(self: Upload, at: int, data: memoryview) -> int:
        return real(self, self.next, data)

    monkeypatch.setattr(Upload, "write", anywhere)
    count = sum((life(seed, 3) for seed in range(12)), Counter[str]())
    assert count["refused"] > 5, "the board's check of the whole blob tells"
