"""The client and the commands against the real firmware over a pty, killed again and again.

SECURITY F2, F3, R1.
"""

from __future__ import annotations

import json
import os
import pty
import random
import subprocess
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from relume.blob.reader import read_blob
from relume.cli import main
from relume.link.client import Board as Client
from relume.link.messages import Event, State
from relume.link.stream import Timings

from tests.shared import model_file, model_input, shared_file
from tests.unit.tflite_nets import small_net
from tests.unix.firmware import Machine, binary
from tests.unix.nets import net

pytestmark = pytest.mark.unix

QUICK = Timings(retry=0.3, hello=0.6, answer=20.0, progress=60.0, poll=0.5, fresh=0.3, appear=0.5)


class PtyBoard:
    """The unix firmware behind a pty that stays open, as a UART adapter does.

    A server that ends (Ctrl-C in data that meets a fresh boot) is started again: this port has no
    raw REPL to go back to.
    """

    def __init__(self, machine: Machine, *arguments: str) -> None:
        self.machine, self.arguments = machine, arguments or ("-m", "relume")
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.path = os.ttyname(self.slave)
        self.process: subprocess.Popen[bytes] | None = None
        self.cuts = 0
        self.stopped = False
        self.lock = threading.Lock()
        self.power_on()
        threading.Thread(target=self._to_board, daemon=True).start()

    def power_on(self) -> None:
        self.process = self.machine.start(*self.arguments)
        threading.Thread(target=self._from_board, args=(self.process,), daemon=True).start()

    def cut(self, off_s: float = 0.0) -> None:
        """kill -9, and the next start."""
        with self.lock:
            assert self.process is not None
            self.process.kill()
            self.process.wait()
            self.cuts += 1
            time.sleep(off_s)
            self.power_on()

    def stop(self) -> None:
        with self.lock:
            self.stopped = True
            assert self.process is not None
            self.process.kill()
            self.process.wait()
        os.close(self.slave)

    def _to_board(self) -> None:
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return
            process = self.process
            try:
                assert process is not None and process.stdin is not None
                process.stdin.write(data)
                process.stdin.flush()
            except (OSError, ValueError):
                continue  # no power: the bytes are lost

    def _from_board(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        while data := os.read(process.stdout.fileno(), 4096):
            os.write(self.master, data)
        with self.lock:
            if self.process is process and not self.stopped:
                self.power_on()


@pytest.fixture
def on_pty(tmp_path: Path) -> Iterator[PtyBoard]:
    binary()
    board = PtyBoard(Machine(tmp_path))
    yield board
    board.stop()


def test_deploy_and_run_end_to_end_gives_the_engines_bytes(on_pty: PtyBoard) -> None:
    made = net()
    with Client(on_pty.path, QUICK) as client:
        done = client.deploy(made.blob, "net")
        assert done.size == len(made.blob) and client.hello.model_name == "net"
        result = client.run(made.input)
        assert result.output == made.output
        assert result.brownouts == 0 and result.commits >= made.segments
        assert client.status().state == State.IDLE
        assert client.run(made.input, number=1).output == made.output


@pytest.mark.parametrize("seed", range(4))
def test_an_upload_through_kills_ends_with_the_whole_model(on_pty: PtyBoard, seed: int) -> None:
    made, draw = net(16), random.Random(seed)
    cut_at = sorted(draw.sample(range(1, len(made.blob) // 240), 4))

    def progress(done: int) -> None:
        if cut_at and done >= cut_at[0] * 240:
            cut_at.pop(0)
            on_pty.cut()

    with Client(on_pty.path, QUICK) as client:
        assert client.deploy(made.blob, "net", progress).size == len(made.blob)
        assert on_pty.cuts == 4
        assert client.run(made.input).output == made.output


@pytest.mark.parametrize("seed", range(6))
def test_an_inference_through_kills_gives_the_same_bytes(on_pty: PtyBoard, seed: int) -> None:
    made, draw = net(), random.Random(seed)
    with Client(on_pty.path, QUICK) as client:
        client.deploy(made.blob, "net")
        cut_at = set(draw.sample(range(1, made.tiles), min(3, made.tiles - 1)))

        def watch(event: Event) -> None:
            wanted = {tile for tile in cut_at if tile <= event.tile}
            if wanted and event.state == State.RUNNING:
                cut_at.difference_update(wanted)
                on_pty.cut(draw.choice([0.0, 0.05]))

        result = client.run(made.input, watch=watch)
    assert result.output == made.output
    assert result.brownouts <= on_pty.cuts


def test_killed_at_random_times_every_sample_of_a_real_model_is_exact(on_pty: PtyBoard) -> None:
    model, draw = model_file("ic"), random.Random(7)
    wanted = shared_file("models/mlperf_tiny/ic.output.bin").read_bytes()
    stop = threading.Event()

    def killer() -> None:
        while not stop.wait(draw.uniform(0.02, 0.12)):
            on_pty.cut()

    with Client(on_pty.path, QUICK) as client:
        client.deploy(planned(model), "ic")
        thread = threading.Thread(target=killer)
        thread.start()
        outputs, brownouts = [], 0
        try:
            # Until kills have hit inferences, however quick the machine is.
            while len(outputs) < 5 or ((on_pty.cuts < 5 or not brownouts) and len(outputs) < 100):
                result = client.run(model_input("ic"), number=len(outputs))
                outputs.append(result.output)
                brownouts += result.brownouts
        finally:
            stop.set()
            thread.join()
    assert set(outputs) == {wanted}
    assert on_pty.cuts >= 5 and brownouts >= 1, "no kill hit an inference"


def planned(model: Path) -> bytes:
    from relume.blob.pack import pack
    from relume.board.profile import load_board
    from relume.model.tflite_reader import read_tflite
    from relume.plan.planner import Budget, make_plan, smallest_capacitor

    graph, board = read_tflite(model), load_board("RPI_PICO")
    cap = smallest_capacitor(graph, board, 5.0, 1.8)
    return pack(make_plan(graph, board, Budget(cap, 5.0, 1.8)))


def test_run_takes_a_tflite_and_does_the_steps_between(
    on_pty: PtyBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_file("kws")
    data = tmp_path / "two.bin"
    data.write_bytes(model_input("kws") * 2)
    arguments = ["run", str(model), "-p", on_pty.path, "--input", str(data), "--json"]
    assert main(arguments) == 0
    wanted = shared_file("models/mlperf_tiny/kws.output.bin").read_bytes()
    facts = json.loads(capsys.readouterr().out)
    assert [f["output"] for f in facts] == [np.frombuffer(wanted, np.int8).tolist()] * 2
    assert all(f["commits"] > 1 and f["nvm_bytes"] > 0 and f["cycles"] > 0 for f in facts)
    assert main(["run", "kws", "-p", on_pty.path, "--input", str(data)]) == 1
    assert "the model's input has 490 bytes, not 980" in capsys.readouterr().err


def test_a_damaged_blob_is_refused_by_the_boards_own_check(on_pty: PtyBoard) -> None:
    from dataclasses import replace

    from relume.blob.reader import read_blob
    from relume.errors import LinkError

    made = net()
    blob = read_blob(made.blob)
    flipped = bytearray(made.blob)
    flipped[-1] ^= 1
    with Client(on_pty.path, QUICK) as client:
        client.deploy(blob, "good")
        with pytest.raises(LinkError, match=r"the board refuses model bad: .*checksum"):
            client.deploy(replace(blob, image=bytes(flipped)), "bad")
        assert client.connect().model == blob.meta_crc
        assert client.run(made.input).output == made.output


def test_times_tell_what_each_op_took_since_the_last_input(on_pty: PtyBoard) -> None:
    made = net()
    with Client(on_pty.path, QUICK) as client:
        client.deploy(made.blob, "net")
        n_ops = len(read_blob(made.blob).ops)
        assert client.times().cycles == (0,) * n_ops
        client.run(made.input)
        first = client.times()
        assert first.hz == 1_000_000_000 and len(first.cycles) == n_ops
        assert all(first.cycles)
        client.run(made.input, number=1)
        assert all(b < 20 * a for a, b in zip(first.cycles, client.times().cycles, strict=True))


def test_bench_runs_a_model_on_a_board(
    on_pty: PtyBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "small.tflite"
    file.write_bytes(small_net())
    assert main(["bench", "models", str(file), "-p", on_pty.path, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    (row,) = made["rows"]
    assert made["measured"]["board"] == "unix" and not made["measured"]["emulated"]
    assert row["exact"] and row["name"] == "small" and row["cycles"] > 0
    assert row["xip_bytes"] is None and row["sram_bytes"] > 64
    assert main(["bench", "models", str(file), "-p", on_pty.path]) == 0
    assert "measured on the board unix" in capsys.readouterr().out


def test_bench_on_a_board_takes_no_folder(
    on_pty: PtyBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "kernels", "-p", on_pty.path, "--from", str(tmp_path)]) == 1
    assert "no --from" in capsys.readouterr().err
