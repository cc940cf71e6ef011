"""relume run: an inference on a board, through any number of power cuts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relume import ui
from relume.commands import deploy, waiting
from relume.errors import LinkError

if TYPE_CHECKING:
    import numpy as np

    from relume.blob.reader import Blob
    from relume.link.client import Board
    from relume.link.inference import Result
    from relume.link.inputs import Samples
    from relume.link.ports import Port

    Values = np.ndarray[Any, np.dtype[Any]]


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume run NET -p PORT --input X.npy; --results."""
    parser = sub.add_parser("run", help="run inferences on a board")
    parser.add_argument(
        "net", metavar="NET", nargs="?",
        help="a model's name on the board, a .rlm, or a .tflite",
    )
    deploy.add_port(parser)
    parser.add_argument(
        "-i", "--input", type=Path, metavar="X.npy",
        help="int8, float or (for a model of uint8) uint8 .npy, or raw int8 bytes; a leading axis"
        " counts samples",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, metavar="Y.npy",
        help="write all outputs, [samples][h][w][c], in the type of the model's file",
    )  # fmt: skip
    parser.add_argument(
        "--results", action="store_true",
        help="take the outputs that wait on the board, of all models, instead of running one",
    )  # fmt: skip
    parser.add_argument(
        "--labels", type=Path,
        help="text file, one label a line (default: classes by number)",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=float, metavar="S",
        help="patience without progress, in seconds (default 120, stock firmware 300)",
    )  # fmt: skip
    parser.add_argument("--cap", help="for a .tflite: capacitor to plan for (default: smallest)")
    parser.add_argument(
        "--von",
        help="for a .tflite: turn-on voltage, as 5V (default: the board's)",
    )  # fmt: skip
    parser.add_argument(
        "--voff",
        help="for a .tflite: turn-off voltage, as 1.8V (default: the board's)",
    )  # fmt: skip
    parser.add_argument(
        "--nvm", choices=ui.NVMS,
        help="for a .tflite: where commits go (default: fram)",
    )
    parser.add_argument(
        "--timeline", type=Path, metavar="FILE", help="emu: only: draw the run as an HTML page"
    )
    ui.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Deploys if need be, runs every sample, prints the results."""
    from relume.link.transport import NoRelume

    if args.results:
        return waiting.run(args)
    _check(args)
    try:
        return _run(args)
    except NoRelume as error:
        return _run_stock(args, error)


def _run(args: argparse.Namespace) -> int:
    """On a board with the relume firmware."""
    from relume.link.client import Board
    from relume.link.ports import open_port

    blob = _blob(args, None)
    samples = _samples(args, blob) if blob else None
    with Board(open_port(port_text(args.port, blob)), _timings(args)) as board:
        deploy.plug(board)
        blob = blob or _blob(args, board.connect().board)
        model = _install(board, args.net, blob)
        samples = samples or _samples(args, blob)
        _say(samples.notes)
        supply = _unplug(board.port)
        results = [_infer(board, item, n, blob, model) for n, item in enumerate(samples.items)]
        record = board.port.emulated.run if board.port.emulated else None
    if args.timeline:
        _draw(record, args.timeline)
    return _tell(args, results, blob, record if supply else None)


def _run_stock(args: argparse.Namespace, error: LinkError) -> int:
    """On a board with MicroPython's own firmware. Errors: BoardError, LinkError."""
    from relume.link import stock_run
    from relume.link.install import install
    from relume.link.labels import of_model
    from relume.link.ports import open_port
    from relume.link.transport import PortOpener

    blob = _blob(args, None)
    if blob is None:
        raise LinkError(f"{error}; or give the .rlm, which runs there from RAM") from error
    samples = _samples(args, blob)
    _say(samples.notes)
    port, net = open_port(args.port), Path(args.net)
    try:
        path = install(port, blob, net.stem, of_model(blob, net, args.labels)).path
        patience = args.timeout or _STOCK_S
        results = stock_run.run(PortOpener(port), path, samples.items, patience)
    finally:
        port.close()
    _say([f"{path} ran without our firmware: commits went to RAM, cycles are not counted"])
    return _tell(args, results, blob, None)


def _tell(args: argparse.Namespace, results: list[Result], blob: Blob | None, record: Any) -> int:
    """Prints and writes what came."""
    from relume.link.labels import read

    labels = read(args.labels) if args.labels else []
    values = [None if blob is None else _values(blob, result) for result in results]
    if args.output:
        _save(args.output, values)
    outcome = [as_json(*pair, labels) for pair in zip(results, values, strict=True)]
    if args.json:
        ui.emit_json(outcome[0] if len(outcome) == 1 else outcome)
    else:
        _show(outcome, args.net, record)
    return 0


_STOCK_S = 300.0  # for an inference of which nothing is heard


# ---- What to run ---------------------------------------------------------


def _check(args: argparse.Namespace) -> None:
    """Errors that need no board."""
    if args.net is None or args.input is None:
        raise LinkError("give NET and --input X.npy, or --results")
    if args.timeline and not args.port.startswith("emu:"):
        raise LinkError("--timeline needs an emulated board, which records its run: -p emu:...")
    if args.output and not is_file(args.net):
        raise LinkError(f"--output needs the model's output type: give {args.net}.rlm or .tflite")
    if args.timeout is not None and not args.timeout > 0:
        raise LinkError(f"--timeout {args.timeout:g}: give seconds above 0")
    if not args.input.is_file():
        raise LinkError(f"{args.input}: no such file")
    if is_file(args.net) and not Path(args.net).is_file():
        raise LinkError(f"{args.net}: no such file")


def is_file(net: str) -> bool:
    """NET is a file rather than a name on the board."""
    return Path(net).suffix.lower() in (".rlm", ".tflite")


def _blob(args: argparse.Namespace, board: str | None) -> Blob | None:
    """The model as a blob; None for a name, and for a .tflite whose board is not known yet."""
    from relume.blob.reader import read_blob

    suffix = Path(args.net).suffix.lower()
    if suffix == ".rlm":
        return read_blob(Path(args.net))
    if board is None and args.port.startswith("emu:"):
        board = args.port[4:].partition("?")[0]
    if suffix != ".tflite" or not board:
        return None
    return _planned(args, "RPI_PICO" if board == "unix" else board)


def _planned(args: argparse.Namespace, name: str) -> Blob:
    """Reads, plans and packs a .tflite. Errors: ModelError, PlanError, BoardError."""
    from relume.blob.pack import pack
    from relume.blob.reader import read_blob
    from relume.board.profile import load_board
    from relume.model.dead import without_dead_channels
    from relume.model.tflite_reader import read_tflite
    from relume.plan.planner import Budget, make_plan, smallest_capacitor

    supply = _emulated_supply(args.port)
    for key in ("cap", "von", "voff"):
        setattr(args, key, getattr(args, key) or supply.get(key))
    board, nvm = load_board(name), args.nvm or "fram"
    graph = without_dead_channels(read_tflite(Path(args.net)))
    budget = ui.budget_of(args, board)
    if budget is None:
        von, voff = ui.voltages(args, board)
        budget = Budget(smallest_capacitor(graph, board, von, voff, nvm), von, voff)
    return read_blob(pack(make_plan(graph, board, budget, nvm)))


def _emulated_supply(port: str) -> dict[str, str]:
    """cap, von, voff of an `emu:` port."""
    from urllib.parse import unquote

    if not port.startswith("emu:"):
        return {}
    pairs = (part.partition("=") for part in port.partition("?")[2].split("&"))
    return {key: unquote(value) for key, _, value in pairs if key in ("cap", "von", "voff")}


def port_text(port: str, blob: Blob | None) -> str:
    """An `emu:` port that has a harvest but no capacitor gets the one of the plan."""
    query = port.partition("?")[2]
    harvest = any(part.startswith(("power=", "trace=")) for part in query.split("&"))
    if not port.startswith("emu:") or not harvest or blob is None:
        return port
    given = _emulated_supply(port)
    planned = {
        "cap": f"{blob.cap_f * 1e6:.10g}uF",
        "von": f"{blob.von_v:g}",
        "voff": f"{blob.voff_v:g}",
    }
    return port + "".join(f"&{k}={v}" for k, v in planned.items() if k not in given)


def _timings(args: argparse.Namespace) -> Any:
    from relume.link.stream import EMULATED, Timings

    timings = EMULATED if args.port.startswith("emu:") else Timings()
    if not args.timeout:
        return timings
    answer = max(timings.answer, args.timeout)  # a board that charges may be silent so long
    return replace(timings, progress=args.timeout, answer=answer)


def _samples(args: argparse.Namespace, blob: Blob | None) -> Samples:
    from relume.link.inputs import load_samples

    if blob is None:
        return load_samples(args.input, None)
    return load_samples(args.input, blob.input_tensor, blob.input_type)


def _install(board: Board, net: str, blob: Blob | None) -> int:
    """The id of the wanted model, which is on the board afterwards. Errors: LinkError."""
    hello = board.connect()
    if blob is not None:
        deploy.check_board(board.port.text, blob, hello.board)
        if blob.meta_crc not in [slot.meta_crc for slot in board.models()]:
            _say([deploy.summary(deploy.send(board, blob, None), hello.board)])
        return blob.meta_crc
    models = {slot.name: slot.meta_crc for slot in board.models()}
    if net in models:
        return models[net]
    there = ", ".join(models) or "none"
    raise LinkError(f"no model {net} on the board (there: {there}): relume deploy {net}.rlm")


# ---- Running -------------------------------------------------------------


def _unplug(port: Port) -> bool:
    """Hands an emulated board over to its capacitor; False when it has none."""
    if port.emulated is None:
        return False
    if not getattr(port.emulated, "has_supply", True):
        _say(["no capacitor given, external power: add ?cap=1mF&power=10mW to the port"])
        return False
    if "plugged=1" not in port.text.partition("?")[2].split("&"):
        port.emulated.unplug()
    return True


def _infer(board: Board, data: bytes, number: int, blob: Blob | None, model: int) -> Result:
    result = board.run(data, number=number, blob=blob, model=model)
    _say(result.notes)
    return result


def _say(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"relume: {note}", file=sys.stderr)


# ---- Results -------------------------------------------------------------


_FIGURES = ("brownouts", "charges", "commits", "cycles", "nvm_bytes")
_COLUMNS = [
    ("sample", True), ("answer", False), ("brown-outs", True), ("charges", True),
    ("commits", True), ("cycles", True), ("NVM bytes", True), ("host s", True),
]  # fmt: skip


def _values(blob: Blob, result: Result) -> Values:
    """The output in the type of the model's file."""
    from relume.link.outputs import in_file_type

    return in_file_type(result.output, blob.output_tensor, blob.output_type)


def _save(path: Path, values: Sequence[Values | None]) -> None:
    import numpy as np

    try:
        with path.open("wb") as file:
            np.save(file, np.stack([one for one in values if one is not None]))
    except OSError as error:
        raise LinkError(f"{path}: {error.strerror or error}") from error
    _say([f"{len(values)} outputs written to {path}"])


def as_json(result: Result, values: Values | None, labels: Sequence[str]) -> dict[str, Any]:
    """A result as plain values.

    output: int8 numbers. values: the same in the type of the model's file, None with a name on
    the board alone, which does not tell the type.
    """
    output = [value - 256 if value > 127 else value for value in result.output]
    best = output.index(max(output))
    return {
        "output": output,
        "values": None if values is None else values.reshape(-1).tolist(),
        "type": None if values is None else str(values.dtype),
        "argmax": best,
        "label": labels[best] if best < len(labels) else None,
        "brownouts": result.brownouts,
        "charges": result.charges,
        "cycles": result.cycles,
        "commits": result.commits,
        "nvm_bytes": result.nvm_bytes,
        "seconds": round(result.seconds, 3),
    }


def _show(outcome: Sequence[dict[str, Any]], net: str, record: Any) -> None:
    from relume.report.tables import elided, grid

    rows = [
        (
            str(number),
            _answer(row),
            *(f"{row[key]:,}" for key in _FIGURES),
            f"{row['seconds']:.1f}",
        )
        for number, row in enumerate(outcome)
    ]
    out = ui.console()
    out.print(grid(Path(net).stem, _COLUMNS, elided(rows, "samples")))
    if record is not None:
        out.print(supply_line(record), markup=False, soft_wrap=True)


def _answer(row: dict[str, Any]) -> str:
    """The label, or the class, and its value where the model's file gives floats."""
    text = str(row["label"] or f"class {row['argmax']}")
    if row["type"] == "float32":
        text += f" ({row['values'][row['argmax']]:.4g})"
    return text


def supply_line(record: Any) -> str:
    """What the emulated supply counted, deploy included."""
    return (
        f"supply: {record.charges} turn-ons, {record.brownouts} brown-outs in"
        f" {record.end:.2f} s emulated"
    )


def _draw(record: Any, path: Path) -> None:
    from relume.report.timeline import write_timeline

    write_timeline(record, path)
    _say([f"timeline written to {path}"])
