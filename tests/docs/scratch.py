"""A folder to run a page's commands in: the files that the pages name, and a board.

net.tflite (firmware/examples/digits), net.rlm, net.txt, x.npy, y.npy and harvest.csv are there,
net.keras where it is asked for; firmware/ and .venv/ are the project's; `a0` is an emulated Pico
that keeps its flash and FRAM, and a loader's drive waits for `relume flash`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from relume.cli import main as relume

from tests.docs.blocks import Block, Command, missing
from tests.shared import ROOT, shared_folder

BOARD = "emu:RPI_PICO?state=board"
DIGITS = ROOT / "firmware/examples/digits"
LOADER = "UF2 Bootloader v3.0\nModel: Raspberry Pi RP2\nBoard-ID: RPI-RP2\n"
HARVEST = "time_s,power_w\n0,0.004\n20,0.001\n45,0.003\n60,0\n"
LIMIT_S = 300
SERVES = re.compile(r"relume emulate\b")
WATCHES = re.compile(r"relume monitor\b(?!.*--(once|for|replay))")


class Failure(AssertionError):
    """A command that did not do what its page says."""


class Scratch:
    """A folder and the commands that were run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._served: list[subprocess.Popen[str]] = []
        (folder / "RPI-RP2").mkdir()
        (folder / "RPI-RP2/INFO_UF2.TXT").write_text(LOADER)
        for name in ("firmware", "native_modules", "docs"):
            (folder / name).symlink_to(ROOT / name)
        (folder / ".venv").symlink_to(sys.prefix)
        shutil.copy(DIGITS / "digits.tflite", folder / "net.tflite")
        shutil.copy(DIGITS / "digits.txt", folder / "net.txt")
        for model in (shared_folder() / "models/mlperf_tiny").glob("*.tflite"):
            shutil.copy(model, folder)
        rng = np.random.default_rng(1)
        np.save(folder / "x.npy", rng.random((3, 1, 1, 64), np.float32))
        np.save(folder / "y.npy", np.array([3, 8, 0]))
        (folder / "harvest.csv").write_text(HARVEST)
        here = Path.cwd()
        os.chdir(folder)
        try:
            assert relume(["plan", "net.tflite", "--cap", "2.2mF", "-o", "net.rlm"]) == 0
        finally:
            os.chdir(here)

    def run(self, block: Block) -> None:
        """Every command of a block. Failure: one did not end with 0, or printed something else."""
        for command in block.commands:
            if SERVES.search(command.text):
                self._serve(block, command)
                continue
            code, printed = self._end(command.text)
            if code:
                raise Failure(f"{block.name}: {command.text}: exit code {code}\n{printed}")
            line = missing(command.shown, printed)
            if line is not None:
                raise Failure(f"{block.name}: {command.text}: no line {line!r} in\n{printed}")

    def absent(self, block: Block) -> str | None:
        """The model of MLPerf Tiny that a block names and that is not here."""
        text = " ".join(one.text for one in block.commands)
        names = [name for name in re.findall(r"\b(?:kws|ic|ad|vww)(?=\.(?:tflite|rlm))", text)]
        return next((n for n in names if not (self.folder / f"{n}.tflite").exists()), None)

    def close(self) -> None:
        """Ends what still serves, by Ctrl-C. Failure: it did not end with 0."""
        for process in self._served:
            process.send_signal(signal.SIGINT)
        codes = [process.wait(60) for process in self._served]
        if any(codes):
            raise Failure(f"relume emulate ended with {codes}")

    def _end(self, text: str) -> tuple[int, str]:
        """Exit code and output. What watches until Ctrl-C is watched for some seconds."""
        process = self._start(text)
        if WATCHES.search(text):
            time.sleep(5)
            os.killpg(process.pid, signal.SIGINT)
        try:
            printed, _ = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
            return -1, printed + f"\n(nothing more in {LIMIT_S} s)"
        watched = WATCHES.search(text) and process.returncode in (130, -signal.SIGINT)
        return 0 if watched else process.returncode, printed

    def _serve(self, block: Block, command: Command) -> None:
        """Starts what goes on until Ctrl-C, on a free port, and reads its greeting."""
        text = SERVES.sub("exec relume emulate --tcp 0", command.text)
        process = self._start(text)
        self._served.append(process)
        assert process.stdout is not None
        printed = ""
        while "Ctrl-C ends it." not in printed:
            line = process.stdout.readline()
            if not line:
                raise Failure(f"{block.name}: {command.text}: ended\n{printed}")
            printed += line

    def _start(self, text: str) -> subprocess.Popen[str]:
        text = re.sub(r"(?<![\w/])a0\b", f'"{BOARD}"', text)
        text = re.sub(r"relume flash(?!.*--drive)", "relume flash --drive RPI-RP2", text)
        if "net.keras" in text:
            self._keras()
        path = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder, env={**os.environ, "PATH": path, "COLUMNS": "132"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip

    def _keras(self) -> None:
        """A small network for x.npy and y.npy."""
        import tensorflow as tf

        tf.keras.utils.set_random_seed(1)
        layers = tf.keras.layers
        net = tf.keras.Sequential([
            layers.Input((1, 1, 64)), layers.Flatten(),
            layers.Dense(16, "relu"), layers.Dense(10, "softmax"),
        ])  # fmt: skip
        net.save(self.folder / "net.keras")
