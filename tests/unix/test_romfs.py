"""ROMFS images: MicroPython's own reader finds every file, aligned, and models run in place."""

from __future__ import annotations

import json
import random
import zlib
from pathlib import Path

import pytest
from relume.cli import main
from relume.errors import RelumeError
from relume.link import romfs

from tests.unix.firmware import Machine
from tests.unix.nets import planned

pytestmark = pytest.mark.unix

MOUNT = """
import vfs, uctypes, json, os, sys, gc
rom = open("image.romfs", "rb").read()
vfs.mount(vfs.VfsRom(rom), "/rom")
"""


def test_every_file_is_found_whole_and_aligned(machine: Machine) -> None:
    rng, files = random.Random(6), {}
    for number in range(120):
        folders = [f"d{rng.randrange(4)}" for _ in range(rng.randrange(4))]
        name = "n" * rng.choice([1, 2, 3, 40, 130]) + str(number)
        size = rng.choice([0, 1, 15, 126, 127, 128, 129, 16383, 16384, 20000])
        files["/".join([*folders, name])] = rng.randbytes(size)
    (machine.folder / "image.romfs").write_bytes(romfs.image(files))
    (machine.folder / "names").write_text("\n".join(files))
    source = f"""{MOUNT}
import binascii
found = []
for name in open("names").read().split("\\n"):
    with open("/rom/" + name, "rb") as file:
        at = uctypes.addressof(memoryview(file)) - uctypes.addressof(rom)
        data = file.read()
        found.append([at, len(data), binascii.crc32(data)])
def count(folder):
    total = 0
    for entry in os.ilistdir(folder):
        total += count(folder + "/" + entry[0]) if entry[1] & 0x4000 else 1
    return total
print(json.dumps([found, count("/rom")]))
"""
    found, count = machine.value(source)
    assert count == len(files)
    assert [(n, crc) for _, n, crc in found] == [
        (len(data), zlib.crc32(data)) for data in files.values()
    ]
    assert all(at % romfs.ALIGN == 0 for at, n, _ in found)


@pytest.mark.parametrize(
    ("files", "line"),
    [(["a", "a/b"], "a is a file already"), (["a/b", "a"], "a is there twice"),
     (["/a"], "no path"), (["a/"], "no path"), ([""], "no path")],
)  # fmt: skip
def test_paths_that_cannot_be_are_refused(files: list[str], line: str) -> None:
    with pytest.raises(RelumeError, match=line):
        romfs.image(dict.fromkeys(files, b"x"))


def test_the_size_of_an_image_is_even() -> None:
    for size in range(40):
        made = romfs.image({"a": bytes(size)})
        assert len(made) % 2 == 0
        length = 0
        for byte in made[3:8]:
            length = length << 7 | byte & 0x7F
        assert length == len(made) - 8


def built(machine: Machine, capsys: pytest.CaptureFixture[str]) -> Path:
    """image.romfs by the command, of one model for the M0+."""
    net = machine.folder / "net.rlm"
    net.write_bytes(planned(8, core="m0plus").blob)
    (machine.folder / "net.txt").write_text("yes\nno\n")
    out = machine.folder / "image.romfs"
    if main(["romfs", str(net), "--arch", "x64", "-o", str(out), "--json"]):
        pytest.skip("the native modules are not built (make natmod): " + capsys.readouterr().err)
    facts = json.loads(capsys.readouterr().out)
    assert facts["bytes"] == out.stat().st_size and "net.txt" in facts["files"]
    net.unlink()
    return out


@pytest.mark.parametrize("shift", [0, 1])
def test_a_model_runs_in_place_or_from_a_copy(
    machine: Machine, capsys: pytest.CaptureFixture[str], shift: int
) -> None:
    """shift: an image that is not aligned itself, as others' images are inside."""
    made, net = built(machine, capsys), planned(8, core="m0plus")
    made.write_bytes(bytes(shift) + made.read_bytes())
    mount = MOUNT.replace("VfsRom(rom)", f"VfsRom(memoryview(rom)[{shift}:])")
    output, labels, native, inside = machine.value(f"""{mount}
sys.path[:] = ["/rom/lib"]
import relume_pure
sys.modules["_relume"] = relume_pure
import relume
model = relume.Model("/rom/net.rlm")
at = uctypes.addressof(model.core.blob.data) - uctypes.addressof(rom)
print(json.dumps([list(model.run({net.input!r})), model.labels,
                  relume_pure.engine.native is not None, 0 <= at < len(rom)]))
""")
    assert bytes(output) == net.output and labels == ["yes", "no"] and native
    assert inside == (shift == 0)


def test_a_model_without_kernels_for_the_board_is_refused(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    built(machine, capsys)
    net = machine.folder / "net.rlm"
    net.write_bytes(planned(8, core="m0plus").blob)
    lines = {
        "armv7emsp": "planned for Cortex-M0+", "xtensawin": "there is armv7emdp",
        "none": "of which Python has no kernels",
    }  # fmt: skip
    for arch, line in lines.items():
        assert main(["romfs", str(net), "--arch", arch]) == 1
        assert line in capsys.readouterr().err
