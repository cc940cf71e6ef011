"""A Session over a file or emulated flash survives SIGKILL anywhere.

SECURITY S2.
"""

from __future__ import annotations

import random
import time

import pytest

from tests.unix.firmware import DONE, RUNNING, Machine
from tests.unix.nets import Net, net

pytestmark = pytest.mark.unix

OPEN = """
import _relume, json, sys
blob = {blob!r}
session = _relume.Session(blob, {nvm})
state = session.open()
"""
RUN = """
print("open", state)
if state != {running} and state != {done}:
    while session.begin(7, {input!r}) == _relume.ERASED:
        pass
    print("begun")
while session.state == {running}:
    sys.stdin.readline()
    session.step()
    print("step", session.tile)
print(json.dumps([session.inference, session.commits, session.brownouts, list(session.output())]))
"""
NVM = {"fram": '_relume.File("nvm.bin", 262144)', "flash": "_relume.Flash()"}


def opening(made: Net, nvm: str) -> str:
    return OPEN.format(blob=made.blob, nvm=NVM[nvm])


def running(made: Net, nvm: str) -> str:
    return opening(made, nvm) + RUN.format(running=RUNNING, done=DONE, input=made.input)


@pytest.mark.parametrize("nvm", ["fram", "flash"])
@pytest.mark.parametrize("seed", [4, 8, 16, 26])
def test_a_session_gives_the_engine_s_output(machine: Machine, seed: int, nvm: str) -> None:
    made = net(seed, nvm)
    inference, commits, brownouts, output = machine.value(running(made, nvm))
    assert (inference, commits, brownouts) == (7, made.segments + 1, 0)
    assert bytes(output) == made.output


def killed_run(
    machine: Machine, source: str, rng: random.Random, steps: int, sure: bool
) -> tuple[list[str], bool]:
    """Asks a run for some steps, kills it soon after; its lines, whether it ended.

    sure: waits for one step first, as lives without any commit end in the stuck state.
    """
    process = machine.start("-c", source)
    assert process.stdin is not None and process.stdout is not None
    lines = [process.stdout.readline().decode().strip()]
    if not lines[0].endswith(f" {RUNNING}"):
        lines.append(process.stdout.readline().decode().strip())
    try:
        if sure:
            process.stdin.write(b"\n")
            process.stdin.flush()
            lines.append(process.stdout.readline().decode().strip())
        for _ in range(steps):
            process.stdin.write(b"\n")
            process.stdin.flush()
            time.sleep(rng.random() * 0.0004)
    except BrokenPipeError:
        pass  # it ended before
    process.kill()
    rest, errors = process.communicate(timeout=10)
    assert not errors, errors.decode()
    lines.extend(rest.decode().splitlines())
    return lines, any(line.startswith("[") for line in lines)


@pytest.mark.parametrize("nvm", ["fram", "flash"])
@pytest.mark.parametrize("seed", [50, 96])
def test_sigkill_anywhere_loses_nothing(machine: Machine, seed: int, nvm: str) -> None:
    made = net(seed, nvm)
    rng = random.Random(seed)
    source = running(made, nvm)
    found_running, ended = 0, False
    for life in range(60):
        steps = rng.randrange(3) if life else 0
        lines, ended = killed_run(machine, source, rng, steps, life % 3 == 2)
        found_running += f"open {RUNNING}" in lines
        if ended:
            break
    inference, commits, brownouts, output = machine.value(source)
    assert inference == 7
    assert bytes(output) == made.output
    assert commits >= made.segments + 1
    assert brownouts == found_running + (not ended)
    assert found_running >= 1


def test_an_inference_of_another_model_is_kept_until_cleared(machine: Machine) -> None:
    first, second = net(8), net(16)
    machine.script(opening(first, "fram") + f"session.begin(3, {first.input!r})")
    refused = f"""
import _relume, json
session = _relume.Session({second.blob!r}, {NVM["fram"]})
try:
    session.open()
except OSError as error:
    print(json.dumps([error.code, session.state, session.inference]))
"""
    assert machine.value(refused) == [-16, RUNNING, 3]
    machine.script(refused + "session.clear()\n")
    inference, _, _, output = machine.value(running(second, "fram"))
    assert (inference, bytes(output)) == (7, second.output)


def test_the_package_s_session_runs_a_file(machine: Machine) -> None:
    made = net(8)
    (machine.folder / "net.rlm").write_bytes(made.blob)
    source = f"""
import relume, json
s = relume.Session("net.rlm")
out = s.run({made.input!r})
first = s.stats
s.take()
again = s.run({made.input!r})
print(json.dumps([list(out), out == again, first["inference"], s.stats["inference"], s.state]))
"""
    assert machine.value(source) == [list(made.output), True, 1, 2, DONE]
