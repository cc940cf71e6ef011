"""The host package where there is no pty, no termios, no fork and no alarm: Windows, mostly."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from relume.errors import LinkError

from tests.native import ROOT

HIDDEN = ("pty", "tty", "termios", "fcntl", "resource", "grp", "pwd", "readline")

IMPORTS = """
import importlib, os, signal, sys
import serial  # its own files choose by os.name
for name in {hidden!r}:
    sys.modules[name] = None
for name in ("openpty", "fork", "forkpty", "geteuid", "getuid", "mkfifo", "pipe2"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGALRM", "SIGHUP", "SIGKILL", "alarm", "setitimer"):
    if hasattr(signal, name):
        delattr(signal, name)
for name in {names!r}:
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(name, error)
"""


def modules() -> list[str]:
    """Every module of the host package, virtual boards included."""
    found = []
    for package, folder in (("relume", ROOT / "host/relume"), ("relume_boards", ROOT / "boards")):
        for path in sorted(folder.rglob("*.py")):
            if path.name == "manifest.py" or "device" in path.parts:
                continue  # MicroPython's
            parts = path.relative_to(folder).with_suffix("").parts
            found.append(".".join((package, *(p for p in parts if p not in ("__init__",)))))
    return [name for name in found if not name.endswith("__main__")]


def test_every_module_is_imported_without_what_windows_lacks() -> None:
    source = IMPORTS.format(hidden=HIDDEN, names=modules())
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not [line for line in done.stdout.splitlines() if "None in sys.modules" in line]


def test_a_module_that_needs_one_would_be_named(tmp_path: Path) -> None:
    (tmp_path / "needy.py").write_text("import termios\n")
    source = IMPORTS.format(hidden=HIDDEN, names=["needy"])
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.startswith("needy ") and "termios" in done.stdout


def test_a_pseudo_terminal_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from relume_boards.virtual import console

    monkeypatch.setitem(sys.modules, "pty", None)
    with pytest.raises(LinkError, match="no pseudo-terminals; use the TCP port"):
        console._open_pty()


def test_the_emulated_board_s_console_needs_no_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    from relume_boards.virtual.console import Console

    for name in ("pipe", "pipe2"):
        monkeypatch.delattr(os, name, raising=False)
    heard = threading.Event()
    served = Console(on_input=heard.set)
    try:
        served.power(True)
        with socket.create_connection(("127.0.0.1", served.tcp_port), 5) as line:
            line.sendall(b"x")
            assert heard.wait(5)
    finally:
        served.stop()
