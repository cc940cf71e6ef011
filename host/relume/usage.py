"""What --help teaches beyond the options: what a verb does, and commands to begin with.

The tests run every example, in this order, in a folder that has net.keras, net.tflite, x.npy and
y.npy (samples and their classes) and harvest.csv; a0 is an emulated board there.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """does: a few sentences. examples: command lines, each complete."""

    does: str
    examples: tuple[str, ...]


USAGE = {
    "boards": Usage(
        "Prints the boards, what runs on each and how that was tested; with NAME its clocks,"
        " memories and energies, and which of these figures are estimates.",
        ("relume boards", "relume boards RPI_PICO"),
    ),
    "convert": Usage(
        "Quantises a Keras model to int8, per channel, with TFLite's converter, and tells what"
        " that cost in accuracy where the classes are known.",
        ("relume convert net.keras --samples x.npy --labels y.npy -o net.tflite",),
    ),
    "check": Usage(
        "Tells which layers can run, whether flash, SRAM and NVM suffice, and the smallest"
        " capacitor. Exit code 1 when the model does not fit.",
        ("relume check net.tflite", "relume check net.tflite --board all"),
    ),
    "plan": Usage(
        "Cuts a model into tiles and segments of which each fits one charge of the capacitor,"
        " boot and commit included, and writes the blob that deploy sends.",
        (
            "relume plan net.tflite --cap 2.2mF -o net.rlm",
            "relume plan net.tflite --cap 2.2mF --trace harvest.csv --period 10min",
        ),
    ),
    "simulate": Usage(
        "Runs an inference under published intermittency policies and ours, on one board, one"
        " capacitor and one harvest: times, energy, work done again, NVM bytes, livelocks.",
        ("relume simulate net.tflite --cap 1mF --trace 3mW --starts 50",),
    ),
    "deploy": Usage(
        "Sends a blob to a board, which checks every byte before the model counts. A board with"
        " stock MicroPython gets the native module and the Python part, too.",
        ("relume deploy net.rlm -p a0", "relume deploy --list -p a0"),
    ),
    "romfs": Usage(
        "Writes models and the native module as an image for mpremote romfs deploy; weights are"
        " then read in place from flash.",
        ("relume romfs net.rlm --arch armv6m -o net.romfs",),
    ),
    "owner": Usage(
        "Makes a board take only models that you have signed. Keep the key: a board asks for it"
        " before it takes another owner.",
        ("relume owner new me.pem", "relume owner set me.pem -p a0"),
    ),
    "run": Usage(
        "Runs every sample of X.npy on a board and prints the answers, whatever happens to the"
        " board's power meanwhile. The model is sent first if it is not there.",
        (
            "relume run net.rlm -p a0 --input x.npy",
            'relume run net.rlm -p "emu:RPI_PICO?cap=2.2mF&power=5mW" --input x.npy',
        ),
    ),
    "monitor": Usage(
        "Shows supply, progress, commits and brown-outs of a board that runs. It starts nothing"
        " and takes no result.",
        (
            "relume monitor -p a0 --net net.rlm --once --record run.jsonl",
            "relume monitor --replay run.jsonl --page run.html",
        ),
    ),
    "emulate": Usage(
        "Serves an emulated board on a TCP port until Ctrl-C: the firmware's own image, its"
        " supply a capacitor with a harvest if you give them.",
        ("relume emulate RPI_PICO --cap 1mF --power 5mW",),
    ),
    "flash": Usage(
        "Puts our firmware, or --firmware FILE, on a board that waits in its loader (a Pico: hold"
        " BOOTSEL while you plug it in), and looks at the image first.",
        ("relume flash --board RPI_PICO --erase-files", "relume flash --model net.rlm -o net.uf2"),
    ),
    "calibrate": Usage(
        "Runs models on a board, compares its cycles with the worst case that plans count with,"
        " and writes a profile that holds for this board.",
        ("relume calibrate -p a0 --model net.tflite -o mine.toml",),
    ),
    "bench": Usage(
        "Counts cycles of the shipped kernels under unicorn, or of whole ops on a board.",
        ("relume bench models net.tflite --core m4",),
    ),
    "demo": Usage(
        "Trains a small CNN, plans it, runs it on an emulated Pico whose power dies again and"
        " again, and compares every output byte with TFLite's.",
        ("relume demo --digits 10 --cuts 20",),
    ),
    "completion": Usage(
        "Prints a script for your shell that completes verbs, options and files. For bash once:"
        " relume completion bash > ~/.local/share/bash-completion/completions/relume",
        ("relume completion bash",),
    ),
}


def teach(verb: str, parser: argparse.ArgumentParser) -> None:
    """Gives a verb's parser its description and its examples."""
    usage = USAGE.get(verb)
    if usage is None:
        return
    parser.description = usage.does
    parser.epilog = "\n".join(["examples:", *(f"  {line}" for line in usage.examples)])
    parser.formatter_class = _Lines


class _Lines(argparse.HelpFormatter):
    """Fills paragraphs, but leaves the lines of examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return "".join(indent + line + "\n" for line in text.splitlines())
        return super()._fill_text(text, width, indent)
