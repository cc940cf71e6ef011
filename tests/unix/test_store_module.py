"""relume.Store on the unix port: a program's state survives its death.

SECURITY K1.
"""

from __future__ import annotations

import json
import random
import signal

import pytest

from tests.unix.firmware import Machine
from tests.unix.nets import net

pytestmark = pytest.mark.unix

NVMS = pytest.mark.parametrize("nvm", ["None", "_relume.Flash()", "_relume.File('kv', 65536)"])


def listed(machine: Machine, nvm: str) -> dict[str, str]:
    """What a new Store finds."""
    source = f"""
import relume, _relume, json
s = relume.Store({nvm})
print(json.dumps({{k.decode(): v.decode() for k, v in s.items()}}))
"""
    found: dict[str, str] = machine.value(source)
    return found


@NVMS
def test_what_was_committed_is_there_after_a_restart(machine: Machine, nvm: str) -> None:
    machine.script(f"""
import relume, _relume
s = relume.Store({nvm})
s["count"] = b"1"
s.put(b"name", bytearray(b"node 7"))
s["empty"] = b""
s.commit()
s["lost"] = b"1"
del s["count"]
""")
    assert listed(machine, nvm) == {"count": "1", "name": "node 7", "empty": ""}


@NVMS
def test_it_is_a_mapping_of_what_was_put(machine: Machine, nvm: str) -> None:
    steps = machine.value(f"""
import relume, _relume, json
s = relume.Store({nvm})
out = []
s["a"] = b"1"
out.append([s["a"] == b"1", "a" in s, "b" in s, len(s), s.get("b", 5), s.get("b")])
s.commit()
s["b"] = b"2"
del s["a"]
out.append([[k.decode() for k in s], "a" in s, len(s), s.get("a", 6)])
s.rollback()
out.append([[k.decode() for k in s], s["a"] == b"1"])
with s:
    s["c"] = b"3"
    s["a"] = b"4"
try:
    with s:
        s["d"] = b"5"
        raise RuntimeError
except RuntimeError:
    out.append(s.keys() == [b"a", b"c"])
refused = []
for call in (lambda: s["none"], lambda: s.delete("none"), lambda: s.put("", b""),
             lambda: s.put("k" * 65, b""), lambda: s.put("k", 5),
             lambda: s.put("k", bytes(65536))):
    try:
        call()
        refused.append(None)
    except (KeyError, ValueError, TypeError) as error:
        refused.append(type(error).__name__)
out.append(refused)
print(json.dumps(out))
""")
    assert steps == [
        [True, True, False, 1, 5, None],
        [["b"], False, 1, 6],
        [["a"], True],
        True,
        ["KeyError", "KeyError", "ValueError", "ValueError", "TypeError", "ValueError"],
    ]
    assert listed(machine, nvm) == {"a": "4", "c": "3"}


@NVMS
def test_many_keys_and_values_of_all_sizes_are_kept(machine: Machine, nvm: str) -> None:
    made = machine.value(f"""
import relume, _relume, json
s = relume.Store({nvm})
for round in range(3):
    for i in range(60):
        s["key %d" % i] = bytes([round + 65]) * ((i * 7 + round) % 23)
        if i % 7 == 0:
            s.commit()
    s["long"] = b"x" * 400
    s.commit()
    while s.prepare(300):
        pass
stats = s.stats()
t = relume.Store({nvm})
stats["same"] = dict(t.items()) == dict(s.items()) and len(t) == 61
print(json.dumps(stats))
""")
    assert made["same"] and made["keys"] == 61 and made["commits"] == 30
    assert made["bytes"] <= made["capacity"]
    least, most = made["wear"]
    assert least <= most and (most > 0) == ("Flash" in nvm)


@NVMS
def test_values_that_do_not_fit_are_refused_and_nothing_changes(
    machine: Machine, nvm: str
) -> None:
    code = machine.value(f"""
import relume, _relume
s = relume.Store({nvm})
s["a"] = b"1"
s.commit()
s["a"] = b"2"
s["large"] = bytes(40000)
try:
    s.commit()
except OSError as error:
    print(error.code)
""")
    assert code == -17
    assert listed(machine, nvm) == {"a": "1"}


def test_a_model_and_a_store_share_an_nvm(machine: Machine) -> None:
    made = net()
    source = f"""
import relume, _relume, json
nvm = _relume.File("nvm", 65536)
s, m = relume.Store(nvm), relume.Session({made.blob!r}, nvm)
for i in range(3):
    s["count"] = str(i).encode()
    m.begin(i, {made.input!r})
    s.commit()
    out = m.run()
    s["last"] = out
    s.commit()
t = relume.Store(nvm)
print(json.dumps([t["count"] == b"2", list(t["last"]), nvm.models]))
"""
    assert machine.value(source) == [True, list(made.output), 65536 - 8192]


def test_a_damaged_store_is_refused_and_can_be_begun_anew(machine: Machine) -> None:
    codes = machine.value("""
import relume, _relume, json
nvm = _relume.File("nvm", 8192)
s = relume.Store(nvm, 0, 8192)
s["a"] = bytes(300)
s.commit()
nvm.write(256 + 40, b"spoilt")
codes = []
for reset in (False, True, False):
    try:
        codes.append(len(relume.Store(nvm, 0, 8192, reset=reset)))
    except OSError as error:
        codes.append(error.code)
print(json.dumps(codes))
""")
    assert codes == [-12, 0, 0]


@pytest.mark.parametrize("call", ["Store(nvm, 0, 1001)", "Store(nvm, 1001)", "Store(nvm, -1)"])
def test_a_store_stays_inside_the_nvm(machine: Machine, call: str) -> None:
    source = f"""
import relume, _relume
nvm = _relume.File("nvm", 1000)
try:
    relume.{call}
except ValueError:
    print("true")
"""
    assert machine.value(source) is True


WRITER = """
import relume, _relume
s = relume.Store({nvm})
n = int(s.get("n", b"0"))
while True:
    n += 1
    for key in "nmk":
        s[key] = str(n).encode()
    s["pad"] = b"p" * (n * 37 % 300)
    s.commit()
    print(n)
"""


@NVMS
def test_a_process_killed_anywhere_leaves_a_whole_commit(machine: Machine, nvm: str) -> None:
    dice, last = random.Random(5), 0
    for _ in range(8):
        process = machine.start("-c", WRITER.format(nvm=nvm))
        assert process.stdout is not None
        for _ in range(dice.randrange(2, 60)):
            seen = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
        found = json.loads(json.dumps(listed(machine, nvm)))
        assert found["n"] == found["m"] == found["k"] and int(found["n"]) >= seen > last
        assert found["pad"] == "p" * (int(found["n"]) * 37 % 300)
        last = int(found["n"])
