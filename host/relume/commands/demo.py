"""relume demo: from training to an emulated Pico whose power is cut again and again."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relume import ui
from relume.errors import RelumeError

if TYPE_CHECKING:
    from relume.blob.reader import Blob
    from relume.link.client import Board
    from relume.link.inference import Result
    from relume.plan.types import Plan

BOARD = "RPI_PICO"
SCALE = 10.0  # of the synthetic RF harvest: a charge takes seconds, and little comes in meanwhile
MOST_DIGITS = 40  # run on until there were enough cuts, but not for ever
SEED = 5


@dataclass(frozen=True)
class Outcome:
    """What the demo found. cuts: inside an inference. mismatches: output bytes that differ."""

    inferences: int
    cuts: int
    mismatches: int
    right: int

    @property
    def accuracy(self) -> float:
        """Share of digits that were recognised."""
        return self.right / self.inferences

    @property
    def line(self) -> str:
        """The closing line."""
        return (f"relume demo: {self.inferences} inferences, {self.cuts} brown-outs, "
                f"{self.mismatches} mismatches, accuracy {self.accuracy:.2f}")


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume demo [--out FOLDER] [--digits N] [--cuts N]."""
    parser = sub.add_parser("demo", help="the whole way on an emulated Pico")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), metavar="FOLDER",
                        help="model, blob, recording and page go there (default build/demo)")
    parser.add_argument(
        "--digits", type=int, default=10,
        help="images to classify, at least (default 10)",
    )  # fmt: skip
    parser.add_argument("--cuts", type=int, default=20,
                        help="power cuts inside inferences to see, at least (default 20)")
    parser.add_argument("--firmware", default="", help="a UF2 (default: the one that was built)")
    ui.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Returns 0 when every output byte equals TFLite's and there were enough cuts."""
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    tflite = _model(out)
    plan, image = _plan(tflite, out)
    outcome = _emulate(args, plan, image, tflite)
    _say(args, f"picture    {out / 'timeline.html'}")
    if args.json:
        ui.emit_json({**outcome.__dict__, "accuracy": outcome.accuracy,
                      "timeline": str(out / "timeline.html")})
    else:
        print(outcome.line)
    return 0 if outcome.mismatches == 0 and outcome.cuts >= args.cuts else 1


def _say(args: argparse.Namespace, text: str) -> None:
    if not args.json:
        print(text, flush=True)


# ---- Train, convert, plan ----------------------------------------------------------------


def _model(out: Path) -> Path:
    """digits.tflite in `out`; trained and converted only if it is not there."""
    from relume.demo.digits import Digits, train

    tflite = out / "digits.tflite"
    files = Digits.in_folder(out)
    if not files.exist():
        print("train      a CNN on scikit-learn's digits (8 x 8 pixels)", flush=True)
        from relume.model.convert import quiet

        with quiet(out):
            files = train(out)
        tflite.unlink(missing_ok=True)
    if not tflite.exists():
        _convert(files, tflite)
    return tflite


def _convert(files: Any, tflite: Path) -> None:
    import numpy as np

    from relume.model.convert import convert

    # Calibration takes the training images, accuracy the held-back ones.
    held = convert(files.keras, files.held_back, files.labels)
    made = convert(files.keras, files.samples, None)
    ui.write_atomic(tflite, made.image)
    print(f"convert    {tflite}: {len(made.image):,} bytes, int8, calibrated with "
          f"{len(np.load(files.samples))} images; held-back accuracy "
          f"{held.accuracy_before:.2%} float, {held.accuracy_after:.2%} int8", flush=True)


def _plan(tflite: Path, out: Path) -> tuple[Plan, bytes]:
    """The plan for the smallest E6 capacitor that is proven sufficient, and its blob."""
    from relume.blob.pack import pack
    from relume.board.profile import load_board
    from relume.model.dead import without_dead_channels
    from relume.model.tflite_reader import read_tflite
    from relume.plan.planner import Budget, make_plan, smallest_capacitor
    from relume.power.capacitor import format_capacitance

    board = load_board(BOARD)
    graph = without_dead_channels(read_tflite(tflite))
    cap = smallest_capacitor(graph, board, board.supply.von_v, board.supply.voff_v, exchange=True)
    plan = make_plan(graph, board, Budget(cap, board.supply.von_v, board.supply.voff_v))
    image = pack(plan)
    ui.write_atomic(out / "digits.rlm", image)
    print(f"plan       {format_capacitance(cap)}, the smallest of E6 that suffices, boot "
          f"included: {len(plan.tiles)} tiles, {len(plan.segments)} segments, "
          f"{len(image):,} bytes", flush=True)
    return plan, image


# ---- Run on the emulated board -----------------------------------------------------------


def _emulate(args: argparse.Namespace, plan: Plan, image: bytes, tflite: Path) -> Outcome:
    from relume.blob.reader import read_blob
    from relume.demo.harvest import write_harvest
    from relume.link.client import Board
    from relume.link.ports import open_port
    from relume.report.timeline import write_timeline, write_timeline_svg

    trace = write_harvest(args.out / "harvest.csv")
    spec = (f"emu:{BOARD}?cap={plan.budget.cap_f * 1e9:.0f}nF&von={plan.budget.von_v}"
            f"&voff={plan.budget.voff_v}&trace={trace}&scale={SCALE:g}&seed={SEED}&plugged=1")
    if args.firmware:
        spec += f"&firmware={args.firmware}"
    port = open_port(spec)
    emulated = port.emulated
    if emulated is None:
        raise RelumeError(f"{spec}: not an emulated board")
    with Board(port) as board:
        deployed = board.deploy(image, "digits")
        _say(args, f"deploy     {deployed.size:,} bytes, checked by the board")
        emulated.unplug(empty=True)
        outcome, results = _classify(args, board, read_blob(image), tflite)
        record = emulated.run
    record.results.update(results)
    write_timeline(record, args.out / "timeline.html")
    write_timeline_svg(record, args.out / "timeline.svg")
    return outcome


def _classify(
    args: argparse.Namespace, board: Board, blob: Blob, tflite: Path
) -> tuple[Outcome, dict[str, str]]:
    """The outcome, and what each inference (by its id) recognised."""
    import numpy as np

    from relume.demo.digits import Digits
    from relume.link.inputs import quantize
    from relume.model.reference import reference_output

    files = Digits.in_folder(args.out)
    images, labels = np.load(files.held_back), np.load(files.labels)
    model, tensor = tflite.read_bytes(), blob.input_tensor
    count = cuts = wrong = right = 0
    results: dict[str, str] = {}
    while count < args.digits or (cuts < args.cuts and count < MOST_DIGITS):
        data = quantize(images[count], tensor)
        started = time.monotonic()
        result = board.run(data, number=count, blob=blob)
        differ = _differences(result.output, reference_output(model, data))
        guess, label = int(np.frombuffer(result.output, np.int8).argmax()), int(labels[count])
        count, cuts, wrong = count + 1, cuts + result.brownouts, wrong + differ
        right += guess == label
        results[str(result.inference)] = str(guess)
        _say(args, _row(count, guess, label, result, differ, time.monotonic() - started))
    return Outcome(count, cuts, wrong, right), results


def _differences(found: bytes, expected: bytes) -> int:
    """Bytes that differ; a missing byte differs."""
    longer = max(len(found), len(expected))
    return longer - sum(a == b for a, b in zip(found, expected, strict=False))


def _row(
    number: int, guess: int, label: int, result: Result, differ: int, seconds: float
) -> str:
    verdict = "exact" if differ == 0 else f"{differ} BYTES DIFFER"
    mark = "" if guess == label else f" (it is a {label})"
    return (
        f"digit {number:3}  {guess}{mark}  {result.brownouts} brown-outs, "
        f"{result.charges} charges, {result.commits} commits, "
        f"{result.cycles / 1e6:.1f} Mcycles, {verdict}, {seconds:.1f} s"
    )
