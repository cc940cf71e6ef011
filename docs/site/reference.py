"""Pages of the reference that are made of the sources when the site is built."""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "native_modules/relume"
DEVICE = ROOT / "firmware/relume"
TYPINGS = ROOT / "firmware/typings/relume"
NET = ROOT / "firmware/examples/digits/digits.tflite"


def pages() -> dict[str, str]:
    """Path on the site -> Markdown."""
    return {
        "reference/commands.md": commands(),
        "reference/device.md": device(),
        "reference/boards.md": boards(),
        "reference/messages.md": messages(),
        "reference/json.md": documents(),
    }


# ---- Commands ------------------------------------------------------------


def commands() -> str:
    """--help of every verb, 80 columns wide."""
    from relume.cli import whole_parser

    os.environ["COLUMNS"] = "80"
    parts = [
        "# Commands\n\nWhat `relume VERB --help` prints. Exit codes: 0 done, 1 an error, which is"
        " one line on stderr, 2 wrong usage, 130 Ctrl-C. `--debug` shows where an error came"
        " from.",
    ]
    for name, parser in _verbs(whole_parser(), "relume"):
        depth = "##" if name.count(" ") == 1 else "###"
        parts.append(f"{depth} {name}\n\n```text\n{parser.format_help().rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def _verbs(
    parser: argparse.ArgumentParser, name: str
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, one in action.choices.items():
                yield f"{name} {word}", one
                yield from _verbs(one, f"{name} {word}")


# ---- In a program --------------------------------------------------------

PAGES = ("model", "__init__", "queue", "store", "results")  # in the order of their use


def device() -> str:
    """Signatures of firmware/typings with the docstrings of firmware/relume."""
    parts = [
        "# In your program\n\n`import relume` on a board. Signatures are those of"
        " `firmware/typings`, which an editor can use, too; both tiers have the same names, unless"
        " it is said.",
    ]
    for name in PAGES:
        typed = ast.parse((TYPINGS / f"{name}.pyi").read_text("utf-8"))
        said = _said(ast.parse((DEVICE / f"{name}.py").read_text("utf-8")))
        for node in typed.body:
            if isinstance(node, ast.ClassDef) and not _is_dict(node):
                parts.append(_class(node, said))
            elif isinstance(node, ast.FunctionDef):
                head = f"## relume.{node.name}\n\n```python\n{_signature(node)}\n```"
                parts.append("\n\n".join([head, said.get(node.name, "")]).rstrip())
    return "\n\n".join(parts) + "\n"


def _class(node: ast.ClassDef, said: dict[str, str]) -> str:
    made = next(
        (one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"),
        None,
    )  # fmt: skip
    parts = [f"## relume.{node.name}"]
    if made:
        parts.append(f"```python\n{_signature(made, f'relume.{node.name}')}\n```")
    parts.append(said.get(node.name, ""))
    fields = [one for one in node.body if isinstance(one, ast.AnnAssign)]
    if fields:
        parts.append("```python\n" + "\n".join(ast.unparse(one) for one in fields) + "\n```")
    for one in node.body:
        if isinstance(one, ast.FunctionDef) and (said_of := said.get(f"{node.name}.{one.name}")):
            parts.append(f"```python\n{_signature(one)}\n```\n\n{said_of}")
    silent = [
        _signature(one) for one in node.body
        if isinstance(one, ast.FunctionDef) and one is not made
        and f"{node.name}.{one.name}" not in said
    ]  # fmt: skip
    if silent:
        parts.append("```python\n" + "\n".join(silent) + "\n```")
    return "\n\n".join(part for part in parts if part)


def _is_dict(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "TypedDict" for base in node.bases)


def _signature(node: ast.FunctionDef, name: str | None = None) -> str:
    """One line, or a line for each argument where that would be too long; name: of a class."""
    asked = node.args.args[node.args.args[:1] != [] and node.args.args[0].arg == "self" :]
    values = [None] * (len(asked) - len(node.args.defaults)) + [*node.args.defaults]
    parts = [
        ast.unparse(one) + (f" = {ast.unparse(value)}" if value is not None else "")
        for one, value in zip(asked, values, strict=True)
    ]
    marks = [f"@{ast.unparse(one)}\n" for one in node.decorator_list]
    head = "".join(marks) + (name or f"def {node.name}")
    end = "" if name else f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{head}({', '.join(parts)}){end}"
    if len(line.splitlines()[-1]) <= 80:
        return line
    return f"{head}(\n" + "".join(f"    {part},\n" for part in parts) + f"){end}"


def _said(tree: ast.Module) -> dict[str, str]:
    """Name or Class.name -> docstring, as Markdown."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = _text(node)
        if isinstance(node, ast.ClassDef):
            for one in node.body:
                if isinstance(one, ast.FunctionDef):
                    found[f"{node.name}.{one.name}"] = _text(one)
    return {name: text for name, text in found.items() if text}


def _text(node: ast.ClassDef | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").replace("<", "&lt;")


# ---- Boards --------------------------------------------------------------


def boards() -> str:
    """What `relume boards --json` says, as a table."""
    from relume.board.profile import board_names, load_board
    from relume.commands.boards import document

    head = ["board", "tier", "core", "MHz", "SRAM", "heap", "flash", "NVM", "active", "start"]
    rows = []
    for name in board_names():
        one = document(load_board(name))
        rows.append([
            name, one["tier"], one["core"], f"{one['hz'] / 1e6:g}",
            f"{one['sram_bytes'] >> 10} KB", f"{one['heap_bytes']:,} bytes",
            f"{one['flash_bytes'] >> 10} KB", " ".join(one["nvm"]),
            f"{one['energy']['active_mw']:g} mW", f"{_start(one['boot']):g} ms",
        ])  # fmt: skip
    return (
        "# Boards, in figures\n\n`relume boards` prints this, `relume boards NAME` where each"
        " figure is from and which are estimates; [how each board was tested](../BOARDS.md)"
        " stands apart. *Heap* is the room for tensors, *start* the time from power-on to a"
        " resume.\n\n" + _table(head, rows)
    )


def _start(boot: dict[str, float | None]) -> float:
    """Milliseconds until a resume, or until the interpreter where nothing comes before it."""
    return boot["early_ms"] or max(boot["sourced_ms"] or 0.0, boot["emulated_ms"] or 0.0)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


# ---- Messages ------------------------------------------------------------

WHAT_TO_DO = {
    "TRUNCATED": "deploy again; a copied file: copy it again",
    "MAGIC": "the file is no .rlm: `relume plan` makes one",
    "VERSION": "bring host and board to one release: `relume flash`, or `relume plan` again",
    "CRC": "deploy again; if it comes back, the flash is worn",
    "BOUNDS": "plan again; no planner of ours writes such a blob",
    "SHAPE": "plan again; no planner of ours writes such a blob",
    "PLAN": "plan again; no planner of ours writes such a blob",
    "KIND": "plan for the core that the board has (`--board`, or `--core portable`)",
    "NVM": "look at the wiring, see [Wire an FRAM](../howto/wire-fram.md)",
    "NVM_SIZE": "a larger chip, a smaller model, or fewer models on the board",
    "NVM_KIND": "plan again with the `--nvm` that the board has",
    "DAMAGED": "begin the inference again (`clear`); if it comes back, look at the wiring",
    "STUCK": "a larger capacitor or a plan for the one you have, see"
    " [Recover a stuck board](../howto/recover.md)",
    "STATE": "a program's mistake: begin before step, take before begin",
    "SIZE": "a program's mistake: the input has `info[\"input_size\"]` bytes",
    "MODEL": "begin an inference of the model that is there, or deploy the other one again",
    "FULL": "take outputs, delete keys, or remove a model",
    "ARG": "a program's mistake",
}  # fmt: skip


def messages() -> str:
    """Statuses, faults of a blob, families of the host's errors. KeyError: one without advice."""
    header = (NATIVE / "status.h").read_text("utf-8")
    texts = dict(re.findall(r'case (RL_\w+): return "(.*?)";', (NATIVE / "status.c").read_text()))
    rows = []
    for name, code in re.findall(r"^ +(RL_\w+) = (-?\d+)", header, re.M):
        what = WHAT_TO_DO[name.removeprefix("RL_E_")] if name.startswith("RL_E_") else ""
        rows.append([code, f"`{name}`", texts[name], what])
    faults = re.findall(r'FAULT\((\w+), "(.*?)"\)', (NATIVE / "blob_faults.h").read_text("utf-8"))
    errors = ast.parse((ROOT / "host/relume/errors.py").read_text("utf-8"))
    families = [
        [f"`{one.name}`", _text(one)] for one in errors.body if isinstance(one, ast.ClassDef)
    ]
    numbers = [[str(n), f"`{name}`", text] for n, (name, text) in enumerate(faults, 1)]
    return "\n\n".join([
        "# Messages\n\n## On the board\n\nWhat the engine, the session and the store return;"
        " on the board an `OSError` with this text, in frames the status byte.",
        _table(["code", "name", "text", "what to do"], rows),
        "## Faults of a blob\n\nWhat the checker found, with the number that stock boards print.",
        _table(["number", "name", "text"], numbers),
        "## On the host\n\n`relume: ` and one line that names file, layer, offset or port and says"
        " what to do, with exit code 1. In Python the families are:",
        _table(["class", "what is wrong"], families),
    ])  # fmt: skip


# ---- JSON ----------------------------------------------------------------

SHOWN = (
    "boards RPI_PICO --json",
    "check digits.tflite --json",
    "plan digits.tflite --cap 100uF -o digits.rlm --json",
    "simulate digits.tflite --cap 100uF --trace 3mW --starts 5 --policy relume,restart --json",
)


def documents() -> str:
    """Real documents of the digits example, long lists cut."""
    parts = [
        "# JSON\n\nWith `--json` a command prints one document on standard output, notes go to"
        " standard error. Units are in the names: `_f` farad, `_v` volt, `_uj` microjoule, `_s`"
        " second, `_ms` millisecond, `_bytes` and `_hz`. These are the documents of a network of"
        " 4.7 KB; lists are shown to their second item. `monitor --json` prints a line for each"
        " thing heard, as [recordings](../SPEC.md#7-recordings-version-1) have them.",
    ]
    for line in SHOWN:
        text = json.dumps(_short(_printed(line)), indent=1, ensure_ascii=False)
        parts.append(f"## relume {line.split()[0]}\n\n`relume {line}`\n\n```json\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def _printed(line: str) -> Any:
    from relume.cli import main

    here, out = Path.cwd(), io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(out):
        os.chdir(folder)
        try:
            Path("digits.tflite").write_bytes(NET.read_bytes())
            code = main(line.split())
        finally:
            os.chdir(here)
    if code:
        raise RuntimeError(f"relume {line}: exit code {code}")
    return json.loads(out.getvalue())


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_short(one) for one in value[:2]] + (["..."] if len(value) > 2 else [])
    return value
