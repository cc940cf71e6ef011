"""TFLite file -> Graph, with every refusal in one line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from relume.errors import ModelError
from relume.model.aliases import build_graph
from relume.model.constants import with_constants
from relume.model.dilation import with_dilations
from relume.model.edges import edge_fault, host_types, without_edges
from relume.model.graph import Graph, Op, Tensor
from relume.model.lower import RESHAPES, Unsupported, activation_tensor, lower
from relume.model.lower_common import folded
from relume.model.tflite_file import RawModel, RawOp, load

MAX_OPS = 4096


@dataclass(frozen=True)
class SurveyedOp:
    """One op of a file and whether it can be run. reason: None = yes; by_host: at an end."""

    number: int
    kind: str
    layer: str
    shape: tuple[int, ...]
    reason: str | None
    by_host: bool = False


@dataclass(frozen=True)
class Survey:
    """All ops of a file. problems: what is wrong with the model as a whole."""

    name: str
    ops: tuple[SurveyedOp, ...]
    problems: tuple[str, ...]

    @property
    def supported(self) -> bool:
        """Can the model be read by read_tflite?"""
        return not self.problems and all(op.reason is None for op in self.ops)


def read_tflite(source: Path | bytes | RawModel) -> Graph:
    """Reads a fully int8-quantised TFLite model: a file, its bytes, or what load() gave.

    Raises ModelError, naming file, op number, layer, op kind and reason, at the first op that
    cannot be run.
    """
    whole = with_dilations(with_constants(_loaded(source)))
    raw = without_edges(whole)
    problems = _model_problems(whole, raw)
    if problems:
        raise ModelError(f"{raw.file}: {problems[0]}")
    tensors: dict[int, Tensor] = {}
    ops: list[Op] = []
    fresh = len(raw.tensors)
    for op in _needed(raw):
        try:
            lowered, extra = lower(raw, op, fresh)
        except Unsupported as reason:
            raise _refusal(raw, op, reason) from reason
        ops += lowered
        tensors |= extra
        fresh += len(extra)
    for index in {raw.inputs[0], raw.outputs[0]} | _activations(ops, tensors):
        tensors[index] = activation_tensor(raw.tensors[index], folded)
    _check_order(raw, ops)
    graph = build_graph(raw.name, tensors, ops, raw.inputs[0], raw.outputs[0])
    first, last = host_types(whole)
    return replace(graph, input_type=first, output_type=last)


def _loaded(source: Path | bytes | RawModel) -> RawModel:
    return source if isinstance(source, RawModel) else load(source)


def survey(source: Path | bytes | RawModel) -> Survey:
    """Every op of a file with its verdict. Raises ModelError only if the file cannot be parsed."""
    raw = _loaded(source)
    whole = with_dilations(with_constants(raw))
    known = without_edges(whole)
    by_host = {op.number for op in whole.ops} - {op.number for op in known.ops}
    needed = {op.number: op for op in _needed(known)}
    ops = []
    for op in raw.ops:
        shape = raw.tensors[op.outputs[0]].shape if op.outputs else ()
        reason = None
        try:
            if op.number in needed:
                lower(known, needed[op.number], len(raw.tensors))
        except Unsupported as unsupported:
            reason = str(unsupported)
        edge = op.number in by_host
        ops.append(SurveyedOp(op.number, op.kind, raw.layer(op), shape, reason, edge))
    return Survey(raw.name, tuple(ops), tuple(_model_problems(whole, known)))


def _needed(raw: RawModel) -> list[RawOp]:
    """Ops that the model's output depends on, in order.

    A reshape's target shape is in the file already, so ops that only compute it are not needed,
    even where with_constants() could not.
    """
    wanted = set(raw.outputs)
    needed = []
    for op in reversed(raw.ops):
        if wanted.intersection(op.outputs):
            wanted.update(op.inputs[:1] if op.kind in RESHAPES else op.inputs)
            needed.append(op)
    return needed[::-1]


def _refusal(raw: RawModel, op: RawOp, reason: Unsupported) -> ModelError:
    return ModelError(f"{raw.file}: op {op.number}, layer {raw.layer(op)}, {op.kind}: {reason}")


def _activations(ops: list[Op], known: dict[int, Tensor]) -> set[int]:
    return {i for op in ops for i in (*op.inputs, op.output) if i not in known}


def _model_problems(whole: RawModel, raw: RawModel) -> list[str]:
    """What is wrong with the model as a whole; raw: without its edges."""
    fault = edge_fault(whole)
    if fault is not None:
        return [fault]
    problems = []
    if raw.subgraphs != 1:
        problems.append(f"{raw.subgraphs} subgraphs (control flow), only one can be run")
    for what, ends in (("input", raw.inputs), ("output", raw.outputs)):
        if len(ends) != 1:
            problems.append(f"{len(ends)} model {what}s, only one can be run")
            continue
        try:
            activation_tensor(raw.tensors[ends[0]])
        except Unsupported as reason:
            problems.append(f"model {what} {raw.tensors[ends[0]].name}: {reason}")
    if not raw.ops:
        problems.append("no ops")
    if len(raw.ops) > MAX_OPS - 1:
        problems.append(f"{len(raw.ops)} ops, at most {MAX_OPS - 1} can be run")
    if (
        raw.ops
        and len(raw.outputs) == 1
        and not any(raw.outputs[0] in op.outputs for op in raw.ops)
    ):
        problems.append("no op writes the model's output")
    return problems


def _check_order(raw: RawModel, ops: list[Op]) -> None:
    """Every tensor is written once, before it is read, and the input never."""
    written = {raw.inputs[0]}
    for op in ops:
        where = f"{raw.file}: op {op.number}, layer {op.name}"
        for index in op.inputs:
            if index not in written:
                raise ModelError(f"{where}: reads tensor {index} before any op wrote it")
        if op.output in written:
            raise ModelError(f"{where}: writes tensor {op.output} a second time")
        written.add(op.output)
