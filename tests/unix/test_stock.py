"""relume deploy to a board with MicroPython's own firmware: the unix port as that board.

SECURITY F4.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from relume.blob.pack import with_test
from relume.blob.reader import Blob, read_blob
from relume.errors import BoardError, LinkError, RelumeError
from relume.link import device, stock
from relume.link.device import Firmware
from relume.link.install import Installed, facts, install, lines
from relume.link.ports import Port
from relume.link.selftest import known_input
from relume.link.transport import Raised

from tests.native import accepted
from tests.unix.nets import planned
from tests.unix.prompt import UnixBoard

pytestmark = pytest.mark.unix

PICO = Firmware(
    "micropython", "1.25.0", "Raspberry Pi Pico with RP2040", 4 << 10 | 0x306, "/lib", 4096,
    1 << 20, 180_000,
)  # fmt: skip


def proven(seed: int = 8, core: str = "m0plus") -> Blob:
    """A blob whose self-test is the host engine's."""
    net = planned(seed, core=core)
    checked = accepted(net.blob)
    data = known_input(len(net.input))
    return read_blob(with_test(net.blob, zlib.crc32(checked.run(data)[checked.header.output])))


@pytest.fixture
def board(tmp_path: Path) -> Iterator[UnixBoard]:
    if not device._folders()[1].joinpath("x64_6.3", "_relume_native.mpy").is_file():
        pytest.skip("the native modules are not built (make natmod)")
    made = UnixBoard(tmp_path)
    yield made
    made.off()


def put(board: UnixBoard, blob: Blob, labels: list[str] | None = None) -> Installed:
    return install(Port("unix"), blob, "net", labels or [], opener=board)


def there(board: UnixBoard) -> dict[str, bytes]:
    """Every file on the board."""
    return {
        str(path.relative_to(board.folder)): path.read_bytes()
        for path in sorted(board.folder.rglob("*"))
        if path.is_file()
    }


def test_what_is_installed_is_whole_and_computes_tflite_s_output(board: UnixBoard) -> None:
    blob = proven()
    done = put(board, blob)
    assert done.arch == "x64" and done.tested.native
    assert done.tested.crc == done.tested.wanted == blob.test_crc
    assert done.copied.sent == done.copied.bytes == sum(map(len, there(board).values()))
    assert there(board)["net.rlm"] == blob.image
    text = "\n".join(lines(done))
    assert "x64 module" in text and "TFLite's own" in text and "bytes, " in text
    assert json.loads(json.dumps(facts(done)))["expected_crc"] == f"{blob.test_crc:08x}"


def test_a_model_runs_from_what_was_installed(board: UnixBoard) -> None:
    net = planned(8, core="m0plus")
    put(board, proven(), ["yes", "no"])
    source = f"""
import sys, relume_pure
sys.modules["_relume"] = relume_pure
import relume
model = relume.Model("{board.folder}/net.rlm")
print(list(model.run({net.input!r})), model.labels)
"""
    with board.python(True, 1) as execute:
        assert execute(source).strip() == f"{list(net.output)} ['yes', 'no']"


def test_only_what_has_changed_is_sent(board: UnixBoard) -> None:
    put(board, proven())
    assert put(board, proven()).copied.sent == 0
    other = proven(16)
    assert put(board, other).copied.sent == other.size
    path = next(board.folder.glob("lib/relume_pure/session.*py"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert put(board, other).copied.sent == path.stat().st_size


def test_a_py_that_would_hide_a_new_mpy_is_taken_away(board: UnixBoard) -> None:
    put(board, proven())
    if not any(name.endswith("session.mpy") for name in there(board)):
        pytest.skip("the bytecode is not built (make natmod)")
    (board.folder / "lib/relume_pure/session.py").write_text("raise ValueError('old')")
    put(board, proven())
    assert "lib/relume_pure/session.py" not in there(board)


def test_a_deploy_goes_on_after_resets_and_what_was_there_stays_until_the_end(
    tmp_path: Path, board: UnixBoard
) -> None:
    old, new = proven(8), proven(16)
    put(board, old)
    before, asked = there(board), board.asked
    put(board, new)
    steps, after = board.asked - asked, there(board)
    assert steps > 8
    for cut in range(steps):
        again = UnixBoard(tmp_path / str(cut), [cut, 10**6])
        for name, data in before.items():
            (again.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (again.folder / name).write_bytes(data)
        try:
            done = put(again, new)
        finally:
            again.off()
        assert there(again) == after, f"cut at piece {cut}"
        assert new.size <= done.copied.sent <= new.size + 2048


@pytest.mark.parametrize("rest", [b"", b"wrong", "prefix"])
def test_the_rest_of_an_earlier_attempt_is_used_only_if_it_is_right(
    board: UnixBoard, rest: bytes | str
) -> None:
    blob = proven()
    put(board, proven(16))
    part = blob.image[:1000] if rest == "prefix" else rest
    assert isinstance(part, bytes)
    (board.folder / "net.rlm.part").write_bytes(part)
    done = put(board, blob)
    assert there(board)["net.rlm"] == blob.image
    assert done.copied.sent == blob.size - (1000 if rest == "prefix" else 0)


def test_a_board_that_resets_again_and_again_is_given_up(tmp_path: Path) -> None:
    board = UnixBoard(tmp_path, [2] + [0] * 40)
    with pytest.raises(LinkError, match="cut"):
        put(board, proven())
    board.off()


def test_a_wrong_output_is_an_error(board: UnixBoard) -> None:
    blob = proven()
    bad = read_blob(with_test(blob.image, blob.test_crc ^ 1))
    with pytest.raises(LinkError, match=rf"computes {blob.test_crc:08x}, TFLite"):
        put(board, bad)


def test_without_a_self_test_the_output_is_not_said_to_be_right(board: UnixBoard) -> None:
    done = put(board, read_blob(planned(8, core="m0plus").blob))
    assert "not checked" in "\n".join(lines(done)) and facts(done)["expected_crc"] is None


def test_too_little_memory_is_one_line_that_says_what_helps(tmp_path: Path) -> None:
    board = UnixBoard(tmp_path, heap="180k")
    with pytest.raises(LinkError, match=r"memory is too small \(.* bytes of heap\).*relume flash"):
        put(board, replace(proven(), image=proven().image + bytes(200_000)))
    board.off()


def test_another_relume_in_the_way_is_named(board: UnixBoard) -> None:
    put(board, proven())
    (board.folder / "relume_pure").mkdir()
    for path in (board.folder / "lib/relume_pure").iterdir():
        (board.folder / "relume_pure" / path.name).write_bytes(path.read_bytes())
    board.off()
    source = "import sys; sys.path.insert(0, '')"
    original, board.python = board.python, None  # type: ignore[assignment, method-assign]

    import contextlib

    @contextlib.contextmanager
    def first(reset: bool, patience: float) -> Iterator[stock.Execute]:
        with original(reset, patience) as execute:
            execute(source)
            yield execute

    board.python = first  # type: ignore[method-assign]
    with pytest.raises(LinkError, match=r"imports relume .* remove the other one"):
        put(board, proven())


def test_a_full_filesystem_is_refused_before_anything_is_sent() -> None:
    sent: list[str] = []

    def execute(source: str) -> str:
        sent.append(source)
        return "(-1, 0)"

    job = stock._Copy("a0", replace(PICO, free=8192), {"/net.rlm": bytes(9000)}, lambda done: None)
    with pytest.raises(LinkError, match="full: 12,288 bytes to copy, 8,192 free"):
        job.run(execute)
    assert not any(source.startswith("_to(") for source in sent)


@pytest.mark.parametrize(
    ("raised", "line"),
    [("OSError: 28", "filesystem is full"), ("OSError: [Errno 28] ENOSPC", "filesystem is full"),
     ("OSError: [Errno 30] EROFS", "read-only"), ("OSError: 5", "cannot be written: 5")],
)  # fmt: skip
def test_a_write_that_fails_says_why(raised: str, line: str) -> None:
    def execute(source: str) -> str:
        if source.startswith("_w("):
            raise Raised("a0", f"Traceback (most recent call last):\n{raised}\n")
        return "(-1, 0)"

    job = stock._Copy("a0", PICO, {"/net.rlm": bytes(9000)}, lambda done: None)
    with pytest.raises(LinkError, match=line):
        job.run(execute)


def mpy(arch: str, abi: tuple[int, int] = (6, 3)) -> int:
    return device._ARCHES.index(arch) << 10 | abi[1] << 8 | abi[0]


@pytest.mark.parametrize(
    ("arch", "core", "module"),
    [("armv6m", 1, "armv6m"), ("armv6m", 0, "armv6m"), ("armv7m", 0, "armv7m"),
     ("armv7m", 1, "armv6m"), ("armv7emsp", 2, "armv7emsp"), ("armv7emsp", 0, "armv7emsp"),
     ("armv7emsp", 1, "armv6m"), ("armv7emdp", 2, "armv7emdp"), ("armv7em", 0, "armv7m"),
     ("x64", 2, "x64"), ("rv32imc", 0, "rv32imc"), ("xtensawin", 0, ""), ("", 0, "")],
)  # fmt: skip
def test_each_board_is_given_the_best_module_that_it_loads(
    arch: str, core: int, module: str
) -> None:
    assert device.module_for("a0", replace(PICO, mpy=mpy(arch)), core) == module


@pytest.mark.parametrize(
    ("changes", "core", "line"),
    [({"mpy": mpy("xtensawin")}, 2, "no module for xtensawin, only for armv7emdp"),
     ({"mpy": mpy("")}, 1, "loads no native code"),
     ({"mpy": mpy("armv6m", (6, 1))}, 1, r"modules of .mpy 6.1, ours are 6.3: update MicroPython"),
     ({"mpy": mpy("armv6m", (7, 0))}, 1, "7.0, ours are 6.3: update relume"),
     ({"mpy": mpy("rv32imc")}, 1, "no module for rv32imc has kernels for Cortex-M0"),
     ({"mpy": mpy("armv6m")}, 2, "no module for armv6m has kernels for Cortex-M4"),
     ({"name": "circuitpython"}, 0, "files are its drive's: copy relume")],
)  # fmt: skip
def test_a_board_that_cannot_run_a_blob_is_told_what_would_help(
    changes: dict[str, object], core: int, line: str
) -> None:
    with pytest.raises(BoardError, match=line) as caught:
        device.module_for("a0", replace(PICO, **changes), core)  # type: ignore[arg-type]
    assert str(caught.value).startswith("a0: ") and "\n" not in str(caught.value)


def test_a_plan_for_flash_and_a_name_with_a_slash_are_refused(board: UnixBoard) -> None:
    with pytest.raises(LinkError, match="relume plan --nvm fram"):
        put(board, replace(proven(), nvm="flash"))
    with pytest.raises(LinkError, match="without a slash"):
        install(Port("unix"), proven(), "a/b", [], opener=board)
    assert there(board) == {}


def test_a_module_that_is_not_built_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_folders", lambda: (Path("/none"), Path("/none")))
    with pytest.raises(RelumeError, match=r"/none/armv6m_6.3/.*make natmod"):
        device.native_module("armv6m")
