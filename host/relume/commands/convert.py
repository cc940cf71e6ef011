"""relume convert: Keras model -> int8 TFLite model."""

from __future__ import annotations

import argparse
from pathlib import Path

from relume import ui
from relume.errors import ModelError


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume convert NET.keras --samples X.npy [--labels Y.npy] -o NET.tflite."""
    parser = sub.add_parser("convert", help="Keras model -> int8 TFLite model")
    parser.add_argument("net", type=Path, metavar="NET.keras", help="or a SavedModel folder")
    parser.add_argument(
        "--samples", type=Path, required=True, metavar="X.npy", help="inputs that calibrate"
    )
    parser.add_argument("--labels", type=Path, metavar="Y.npy", help="classes: measures accuracy")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="NET.tflite", help="default: NET.tflite"
    )
    ui.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the .tflite file; 1 if it holds a layer that no board can run."""
    from relume.model.convert import convert
    from relume.model.tflite_reader import survey

    done = convert(args.net, args.samples, args.labels)
    output = args.output or Path(args.net.stem + ".tflite")
    ui.write_atomic(output, done.image)
    found = survey(done.image)
    refused = [op for op in found.ops if op.reason is not None]
    if args.json:
        ui.emit_json(
            {
                "file": str(output),
                "bytes": len(done.image),
                "samples": done.samples,
                "accuracy_before": done.accuracy_before,
                "accuracy_after": done.accuracy_after,
                "supported": found.supported,
            }
        )
    else:
        print(f"{output}: {len(done.image):,} bytes, int8, calibrated with {done.samples} samples")
        if done.accuracy_before is not None and done.accuracy_after is not None:
            print(f"accuracy: {done.accuracy_before:.2%} float, {done.accuracy_after:.2%} int8")
    if refused:
        op = refused[0]
        raise ModelError(
            f"{output}: {len(refused)} of its layers cannot be run, first op {op.number}, layer "
            f"{op.layer}, {op.kind}: {op.reason} (relume check {output} lists all)"
        )
    if found.problems:
        raise ModelError(f"{output}: {found.problems[0]}")
    return 0
