"""relume romfs: models, and what computes them, as an image for a board's ROMFS partition."""

from __future__ import annotations

import argparse
from pathlib import Path

from relume import ui
from relume.errors import RelumeError


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume romfs NET.rlm... --arch armv6m -o NET.romfs."""
    parser = sub.add_parser("romfs", help="models and the native module as a ROMFS image")
    parser.add_argument(
        "nets", type=Path, nargs="+", metavar="NET.rlm",
        help="blobs of relume plan",
    )  # fmt: skip
    parser.add_argument(
        "--arch", default="armv6m", help="of the board: armv6m (RP2040), armv7m, armv7emsp"
        " (nRF52840, RP2350), armv7emdp, rv32imc (ESP32-C3), x64; none: no module"
        " (default armv6m)",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: NET.romfs")
    ui.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the image and says how it comes to the board."""
    from relume.link.romfs import image

    files = contents(args.nets, "" if args.arch == "none" else args.arch)
    made = image(files)
    output = args.output or Path(args.nets[0].stem + ".romfs")
    ui.write_atomic(output, made)
    if args.json:
        ui.emit_json({"file": str(output), "bytes": len(made), "files": sorted(files)})
    else:
        print(f"{output}: {len(made):,} bytes, {len(files)} files, each at a multiple of 16")
        print(f"then: mpremote romfs deploy {output}")
        print(f'there: import relume; relume.Model("/rom/{args.nets[0].stem}.rlm").predict(x)')
    return 0


def contents(nets: list[Path], arch: str) -> dict[str, bytes]:
    """Path in the image -> content. Errors: BlobError, BoardError, RelumeError."""
    from relume.blob.reader import read_blob
    from relume.link.device import CORES, KERNELS, bytecode, native_module

    if arch and arch not in KERNELS:
        raise RelumeError(f"--arch {arch}: there is {', '.join(KERNELS)}, or none")
    files = {f"lib/{path}": data for path, data in bytecode().items()}
    if arch:
        files["lib/_relume_native.mpy"] = native_module(arch)
    for path in nets:
        blob = read_blob(path)
        if blob.core not in (KERNELS[arch] if arch else (0,)):
            what = f"the {arch} module has" if arch else "Python has"
            raise RelumeError(
                f"{path}: planned for {CORES[blob.core]}, of which {what} no kernels: another"
                " --arch, or plan --core portable"
            )
        if path.name in files:
            raise RelumeError(f"{path}: two models of one file name")
        files[path.name] = blob.image
        labels = path.with_suffix(".txt")
        if labels.is_file():
            files[labels.name] = labels.read_bytes()
    return files
