"""Tiles computed by the native module, on the unix port, which loads .mpy files of its machine."""

from __future__ import annotations

import functools
import json

import pytest

from tests.native import ROOT
from tests.pure.twin import FOLDER
from tests.unix.firmware import Machine
from tests.unix.nets import Net, planned

MODULE = ROOT / "build" / "natmod" / "x64_6.3"
pytestmark = pytest.mark.unix


@functools.cache
def made(seed: int, core: str) -> Net:
    if not (MODULE / "_relume_native.mpy").is_file():
        pytest.skip("the native module is not built (make natmod)")
    return planned(seed, core=core)


BEGIN = f"""
import sys, json
sys.path[:] = [{str(MODULE)!r}, {str(FOLDER)!r}]
import _relume_native
import relume_pure as pure
assert pure.engine.native is _relume_native
def said(call):
    try:
        call()
    except ValueError as error:
        return [error.code, str(error)]
"""


@pytest.mark.parametrize("core", ["portable", "m0plus", "m4"])
@pytest.mark.parametrize("seed", [4, 8, 16])
def test_outputs_are_the_engine_s(machine: Machine, seed: int, core: str) -> None:
    net = made(seed, core)
    source = f"""{BEGIN}
session = pure.Session({net.blob!r}, bytearray(262144))
session.open()
session.begin(1, {net.input!r})
while session.step() != pure.DONE:
    session = pure.Session({net.blob!r}, session.nvm)
    session.open()
print(json.dumps([session.commits, list(session.output())]))
"""
    commits, output = machine.value(source)
    assert bytes(output) == net.output and commits == net.segments + 1


def test_what_the_checker_refuses_is_refused_with_its_offset(machine: Machine) -> None:
    net = made(4, "m0plus")
    bad = bytearray(net.blob)
    bad[-20] ^= 1
    source = f"""{BEGIN}
bad = {bytes(bad)!r}
print(json.dumps([said(lambda: pure.check(bad)), said(lambda: pure.check(bad[:64])),
                  said(lambda: pure.check(bad, False)),
                  said(lambda: pure.check(memoryview(bytes(1) + bad)[1:]))]))
"""
    checksum, short, without, crooked = machine.value(source)
    assert checksum == [-4, "blob checksum differs: constants checksum at offset 20"]
    assert short[0] == -1 and without is None
    assert crooked[0] == -18 and "aligned" in crooked[1]


def test_a_small_arena_and_units_of_no_tile_are_refused(machine: Machine) -> None:
    net = made(4, "m0plus")
    source = f"""{BEGIN}
blob = {net.blob!r}
refused = []
from relume_pure.blob import Blob
count = Blob(blob, False).tile(0)[2]
arena = bytearray(1 << 20)
for call in ((bytearray(8), 0, 0, count), (arena, 1 << 16, 0, 1), (arena, -1, 0, 1),
             (arena, 0, count, 1), (arena, 0, 0, count + 1), (arena, 0, 1, count),
             (arena, 0, 0, 0), (arena, 0, -1, 1), (arena, 0, 0, -1), (arena, 0, 0, count)):
    try:
        _relume_native.run(blob, *call)
    except ValueError:
        refused.append(call[1:])
print(json.dumps([len(refused), count]))
"""
    refused, count = machine.value(source)
    assert refused == 9 and count > 1


def test_checksums_are_crc_32(machine: Machine) -> None:
    made(4, "m0plus")
    value = machine.value(BEGIN + "print(json.dumps(_relume_native.crc32(b'123456789', 0)))")
    assert json.dumps(value) == str(0xCBF43926)
