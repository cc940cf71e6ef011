"""Outputs queue in a Store: none is lost, none comes twice, whenever the program dies.

SECURITY K6.
"""

from __future__ import annotations

import random
import signal

import pytest

from tests.unix.firmware import Machine
from tests.unix.nets import net

pytestmark = pytest.mark.unix

SETUP = """
import relume, _relume, json
nvm = _relume.File("nvm", 65536)
session = relume.Session({blob!r}, nvm)
results = relume.Results(relume.Store(nvm), most={most})
data = {input!r}
"""


def setup(most: int = 16) -> str:
    """A session and a queue in one NVM."""
    made = net()
    return SETUP.format(blob=made.blob, input=made.input, most=most)


def test_outputs_wait_in_the_order_in_which_they_came(machine: Machine) -> None:
    machine.script(setup() + "for i in (7, 3, 9):\n session.run(data, i)\n results.keep(session)")
    again = setup() + """
seen = [[i, list(output)] for i, output in results]
results.drop(3)
session.run(data, 4)
results.keep(session)
print(json.dumps([seen, [i for i, _ in results], len(results), session.state == relume.IDLE]))
"""
    output = list(net().output)
    assert machine.value(again) == [[[7, output], [3, output], [9, output]], [7, 9, 4], 3, True]


def test_a_full_queue_refuses_and_the_session_keeps_its_output(machine: Machine) -> None:
    source = setup(most=2) + """
for i in (1, 2):
    session.run(data, i)
    results.keep(session)
session.run(data, 3)
try:
    results.keep(session)
except OSError as error:
    text = str(error)
kept = [session.state == relume.DONE, [i for i, _ in results]]
results.drop(1)
results.keep(session)
print(json.dumps([text, kept, [i for i, _ in results]]))
"""
    text, kept, after = machine.value(source)
    assert "full" in text
    assert kept == [True, [1, 2]] and after == [2, 3]


def test_an_output_that_was_queued_but_not_taken_is_not_queued_twice(machine: Machine) -> None:
    source = setup() + """
session.run(data, 5)
results.store.put(results._key(5), session.output)
results.store.commit()
results.keep(session)
print(json.dumps([[i for i, _ in results], session.state == relume.IDLE]))
"""
    assert machine.value(source) == [[5], True]


def test_an_output_that_was_dropped_but_not_taken_does_not_come_again(machine: Machine) -> None:
    machine.script(setup() + """
session.run(data, 5)
class Cut:
    state, core, output = session.state, session.core, session.output
    def take(self):
        raise SystemExit  # the power is lost between the queue's commit and the session's
results.keep(Cut())
""")
    source = setup() + """
first = [i for i, _ in results]
results.drop(5)
results.keep(session)
idle = session.state == relume.IDLE
session.run(data, 6)
results.keep(session)
print(json.dumps([first, idle, [i for i, _ in results]]))
"""
    assert machine.value(source) == [[5], True, [6]]


def test_without_an_output_nothing_is_queued(machine: Machine) -> None:
    source = setup() + """
try:
    results.keep(session)
except ValueError:
    print(len(results))
"""
    assert machine.value(source) == 0


LOOP = """
if session.state == relume.DONE:
    results.keep(session)
while len(results) < 12:
    session.run(data)
    results.keep(session)
    print(session.core.inference)
while True:
    pass
"""
TAKE = """
out = []
for i, output in results:
    out.append([i, list(output)])
    results.drop(i)
print(json.dumps(out))
"""


def test_killed_anywhere_each_inference_comes_once(machine: Machine) -> None:
    dice, seen = random.Random(3), []
    for _ in range(8):
        process = machine.start("-c", setup(40) + LOOP)
        assert process.stdout is not None
        for _ in range(dice.randrange(1, 11)):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
        seen += machine.value(setup(40) + TAKE)
    assert len(seen) > 20
    assert [i for i, _ in seen] == list(range(1, len(seen) + 1))
    assert all(output == list(net().output) for _, output in seen)
