"""Module _relume of the firmware keeps its promises on the unix port.

SECURITY B5.
"""

from __future__ import annotations

import zlib

import pytest
from relume.link.frames import encode

from tests.unix.firmware import Machine
from tests.unix.nets import net

pytestmark = pytest.mark.unix

REFUSE = """
import _relume, json
def refusal(call, *args):
    try:
        call(*args)
    except (ValueError, OSError) as error:
        return [str(error), error.code]
"""


def test_a_sound_blob_is_accepted_and_described(machine: Machine) -> None:
    made = net()
    source = f"import _relume, json\nb = {made.blob!r}\n_relume.check(b)\n"
    info = machine.value(source + "print(json.dumps(_relume.info(b)))")
    assert isinstance(info, dict)
    assert info["input_size"] == len(made.input)
    assert info["output_size"] == len(made.output)
    assert info["tiles"] == made.tiles
    assert info["size"] == len(made.blob)
    assert info["meta_crc"] == int.from_bytes(made.blob[16:20], "little")


@pytest.mark.parametrize("at", [0, 4, 9, 47, 90, 200, -1])
def test_a_flipped_byte_is_refused_with_its_place(machine: Machine, at: int) -> None:
    blob = bytearray(net().blob)
    blob[at] ^= 0x10
    source = f"{REFUSE}print(json.dumps(refusal(_relume.check, {bytes(blob)!r})))"
    text, code = machine.value(source)
    assert " at offset " in text
    assert code < 0


def test_the_check_at_boot_skips_the_constants_only(machine: Machine) -> None:
    blob = bytearray(net().blob)
    blob[-1] ^= 1
    source = f"import _relume\n_relume.check({bytes(blob)!r}, False)\n"
    machine.script(source)


def test_an_unaligned_buffer_is_refused(machine: Machine) -> None:
    blob = b"x" + net().blob
    source = f"{REFUSE}b = memoryview({blob!r})[1:]\n"
    text, code = machine.value(source + "print(json.dumps(refusal(_relume.check, b)))")
    assert "aligned" in text
    assert code == -18


def test_crc32_is_the_one_of_zlib(machine: Machine) -> None:
    data = bytes(range(256)) * 5
    source = f"import _relume\nprint(_relume.crc32({data!r}[9:], _relume.crc32({data!r}[:9])))"
    assert machine.value(source) == zlib.crc32(data)


@pytest.mark.parametrize(
    "call",
    [
        "nvm.read(990, 11)",
        "nvm.read(-1, 1)",
        "nvm.read(0, -1)",
        "nvm.write(1000, b'x')",
        "nvm.write(-2, b'x')",
        "nvm.erase(0)",
        "_relume.Session(b, nvm, 0, 1001)",
        "_relume.Session(b, nvm, 1001)",
        "_relume.Session(b, nvm, -1)",
    ],
)
def test_nothing_reaches_outside_the_nvm(machine: Machine, call: str) -> None:
    source = f"""
import _relume
nvm = _relume.File("nvm", 1000)
b = {net().blob!r}
try:
    {call}
except ValueError:
    print("true")
"""
    assert machine.value(source) is True


def test_a_file_keeps_what_was_written(machine: Machine) -> None:
    machine.script("import _relume\n_relume.File('nvm', 1000).write(991, b'123456789')")
    source = "import _relume\nn = _relume.File('nvm', 1000)\nprint(list(n.read(990, 10)))"
    assert machine.value(source) == [0, *b"123456789"]


def test_flash_takes_whole_pages_and_only_clears_bits(machine: Machine) -> None:
    source = """
import _relume, json
flash = _relume.Flash()
seen = []
for at, data in ((1, bytes(256)), (0, bytes(255)), (256, b"")):
    try:
        flash.write(at, data)
        seen.append(0)
    except ValueError as error:
        seen.append(error.code)
flash.write(512, b"\\x0f" * 256)
flash.write(512, b"\\xfa" * 256)
seen.append(flash.read(512, 1)[0])
flash.erase(0)
seen.append(flash.read(512, 1)[0])
print(json.dumps(seen))
"""
    assert machine.value(source) == [-18, -18, 0, 0x0A, 0xFF]


def test_frames_are_the_host_s(machine: Machine) -> None:
    wires = [encode(0x21, 0x1234, bytes(range(256))), encode(0x40, 0, b""), encode(1, 9, b"\0\0")]
    source = f"""
import _relume, json
d = _relume.Decoder()
out = []
for wire in {wires!r}:
    for type, seq, body in d.feed(b"noise" + wire):
        out.append([type, seq, list(body), list(_relume.encode(type, seq, body))])
print(json.dumps([out, d.escape, len(d.feed(b"a\\r\\x03" + {wires[0]!r})), d.escape]))
"""
    out, before, after_escape, escape = machine.value(source)
    assert [entry[3] for entry in out] == [list(wire) for wire in wires]
    assert [entry[:2] for entry in out] == [[0x21, 0x1234], [0x40, 0], [1, 9]]
    assert (before, after_escape, escape) == (False, 0, True)


def test_a_session_needs_an_nvm_object(machine: Machine) -> None:
    source = f"import _relume\n_relume.Session({net().blob!r}, 5)"
    machine.script(source, fails=True)


def test_an_unopened_session_does_nothing(machine: Machine) -> None:
    source = f"""{REFUSE}
s = _relume.Session({net().blob!r}, _relume.File("nvm", 65536))
print(json.dumps([refusal(s.step), refusal(s.output), refusal(s.clear), refusal(s.begin, 1, b"")]))
"""
    answers = machine.value(source)
    assert answers == [answers[0]] * 4
    assert answers[0][1] == -14
