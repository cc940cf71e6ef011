"""The checker's limits, one by one: what is just beyond each is refused for that reason.

SECURITY B1, B3.
"""

from __future__ import annotations

import ctypes
import struct

import pytest
from relume.model.graph import Kind

from tests import native
from tests.kernels import m0plus_ops
from tests.unit import blob_edit
from tests.unit.golden import make_golden as golden
from tests.unit.raw_blob import raw

M0PLUS, M4 = 1, 2
WINDOW = {"kh": 1, "kw": 1, "sh": 1, "sw": 1, "dil_h": 1, "dil_w": 1}
CONV = {"kind": Kind.CONV_2D, **WINDOW}
SCATTER = 2  # flag of the Cortex-M0+ layout


def refused(blob: bytes) -> tuple[str, str]:
    """Status and what is wrong."""
    status, fault, _ = native.check(blob)
    return status, fault.what


@pytest.mark.parametrize("beyond", [1, 2, 3])
def test_a_blob_that_is_not_aligned_is_not_looked_at(beyond: int) -> None:
    blob = golden.BLOB.read_bytes()
    memory = ctypes.create_string_buffer(bytes(beyond) + blob, len(blob) + 8)
    at = ctypes.c_void_p(ctypes.addressof(memory) + beyond)
    view, fault = native._Blob(), native._Fault()
    status = native.librelume().rl_blob_check(
        at, ctypes.c_size_t(len(blob)), 1, ctypes.byref(view), ctypes.byref(fault)
    )
    assert (native.STATUS[status], fault.number, view.ops) == ("RL_E_ARG", 0, None)


# --------------------------------------------------------------- shapes of portable ops


def simple(kind: Kind, shapes: list[tuple[int, int, int]], **fields: int) -> bytes:
    """One op without constants."""
    return raw(shapes, [{"kind": kind, **fields}])


def test_a_softmax_keeps_shape_and_stays_below_its_sums_limit() -> None:
    field = {"p1": 0, "p2": -1}
    assert refused(simple(Kind.SOFTMAX, [(2, 1, 6), (2, 1, 6)], **field))[0] == "RL_OK"
    for other in ((3, 1, 4), (1, 1, 6)):
        assert refused(simple(Kind.SOFTMAX, [(2, 1, 6), other], **field))[1] == (
            "shapes of SOFTMAX differ"
        )
    assert refused(simple(Kind.SOFTMAX, [(1, 1, 4095)] * 2, **field))[0] == "RL_OK"
    assert refused(simple(Kind.SOFTMAX, [(1, 1, 4096)] * 2, **field))[1] == (
        "SOFTMAX over more than 4095 elements"
    )


@pytest.mark.parametrize(("axes", "count", "out"), [(1, 4, 15), (2, 3, 20), (3, 12, 5)])
def test_a_mean_is_over_what_its_axes_say(axes: int, count: int, out: int) -> None:
    def mean(size: int, over: int) -> bytes:
        return simple(Kind.MEAN, [(4, 3, 5), (1, 1, size)], p0=axes, p1=1, p3=over)

    assert refused(mean(out, count))[0] == "RL_OK"
    assert refused(mean(out + 1, count))[1] == "output does not fit the mean"
    assert refused(mean(out, count + 1))[1] == "count"


def test_a_window_spreads_below_2_to_the_30_in_either_axis() -> None:
    for side, dilation in (("kh", "dil_h"), ("kw", "dil_w")):
        for taps, step, what in ((0x8000, 0x8000, ""), (0x8002, 0x8000, "dilation")):
            fields = {**CONV, side: taps, dilation: step}
            _, found = refused(raw([(1, 1, 1), (1, 1, 1)], [fields]))
            assert (found == "dilation") == bool(what), (side, taps, found)


@pytest.mark.parametrize(
    ("runs", "right"),
    [((2, 3), True), ((0, 3), False), ((2, 0), False), ((3, 3), False), ((2, 4), False),
     ((4, 3), False), ((1, 3), False)],
)  # fmt: skip
def test_the_runs_of_a_concatenation_divide_both_inputs_alike(
    runs: tuple[int, int], right: bool
) -> None:
    copy = {"kind": Kind.GATHER, "p1": 1, "p2": 1, "p3": 8}
    join = {"kind": Kind.CONCATENATION, "in0": 1, "in1": 0, "from1": 0xFFFF}
    blob = raw([(1, 4, 3), (1, 4, 2), (1, 4, 5)], [copy, join | {"p0": runs[0], "p1": runs[1]}])
    status, what = refused(blob)
    assert status == "RL_OK" if right else what == "CONCATENATION: runs"


# ----------------------------------------------------------- order, over many ops


def chain(n: int, tiles: list[tuple[int, int, int]] | None = None) -> bytes:
    """n copies of two bytes, one behind the other."""
    return raw([(1, 1, 2)] * (n + 1), [{"kind": Kind.RESHAPE}] * n, tiles=tiles or ())


@pytest.mark.parametrize("n", [63, 64, 65, 128, 130])
def test_tiles_of_many_ops_are_in_order_wherever_a_pass_ends(n: int) -> None:
    """The checker counts 64 ops in each pass over the tiles."""
    right = [(op, 0, 2) for op in range(n)]
    assert refused(chain(n, right))[0] == "RL_OK"
    for op in {1, 62, 63, 64, n - 1} & set(range(1, n)):
        early = right.copy()
        early[op - 1], early[op] = early[op], early[op - 1]
        assert refused(chain(n, early))[1] == "tile runs before its inputs"
        gap = [*right[:op], (op, 1, 1), *right[op + 1 :]]
        assert refused(chain(n, gap))[1] == "tile does not follow the one before"
    short = [*right[:-1], (n - 1, 0, 1)]
    assert refused(chain(n, short))[1] == "tiles do not cover the op"


# ------------------------------------------------------------------ bounded time

CHANNELS = 512
_WEIGHTS = 8 * (CHANNELS // 8) * 2
_AT = {"off_w": 0, "off_bias": _WEIGHTS, "off_mult": _WEIGHTS + 24 * CHANNELS // 8}
_ROWS = _AT["off_mult"] + 16 * CHANNELS  # of exact constants, then places


def many(core: int, fields: dict[str, int], counts: int, more: int) -> bytes:
    """Convolutions that share their constants: there are as many bytes of these as the checker
    reads entries of all ops but the last, `counts` each, and `more` of that one."""
    rows = struct.pack("<3i", 1, 0, 0) * CHANNELS
    data = b"\1" * _ROWS + rows + bytes(3 * CHANNELS) + bytes(1 << 14)
    data += bytes((more - len(data)) % counts)
    n = len(data) // counts + 1
    shapes = [(1, 1, 1), *[(1, 1, CHANNELS)] * n]
    op = {**CONV, "in0": 0, "kernel": 1, "scratch": 1, **fields}
    return raw(shapes, [op] * n, core=core, data=data)


@pytest.mark.parametrize(
    ("fields", "counts", "more"),
    [({}, CHANNELS, CHANNELS // 2),
     ({"p2": CHANNELS}, 2 * CHANNELS, CHANNELS + CHANNELS // 2),
     ({"p3": SCATTER}, 2 * CHANNELS, CHANNELS + CHANNELS // 2)],
    ids=["tables", "exact constants", "places"],
)  # fmt: skip
def test_shared_tables_of_the_cortex_m0plus_cannot_make_the_check_long(
    fields: dict[str, int], counts: int, more: int
) -> None:
    op = {"p0": 1, "p1": CHANNELS, **_AT, "w_size": _WEIGHTS, "off_shift": _ROWS, **fields}
    assert refused(many(M0PLUS, op, counts, more)) == (
        "RL_E_BOUNDS", "more multipliers than constants"
    )  # fmt: skip


def test_shared_places_of_the_cortex_m4_cannot_make_the_check_long() -> None:
    op = {"p1": 1, "p3": CHANNELS, "w_size": 4 * CHANNELS, "off_w": 0, "off_bias": 0,
          "off_mult": 0, "off_shift": _ROWS + 13 * CHANNELS}  # fmt: skip
    assert refused(many(M4, op, CHANNELS, CHANNELS // 2)) == (
        "RL_E_BOUNDS", "more multipliers than constants"
    )  # fmt: skip


# ------------------------------------------------------- layouts of the Cortex-M0+


def test_a_window_of_the_cortex_m0plus_has_32768_inputs_at_most() -> None:
    fields = {**CONV, "kernel": 1, "p0": 1, "p1": 1, "scratch": 1}
    for taps, what in (((128, 256), "w_size does not fit the shapes"),
                       ((129, 256), "inputs of a window")):  # fmt: skip
        window = {"kh": taps[0], "kw": taps[1]}
        assert refused(raw([(1, 1, 1), (1, 1, 1)], [fields | window], core=M0PLUS))[1] == what


def in_parts(blob: bytes, chunk: int, more: int = 0) -> bytes:
    """The blob's only op with its weights in parts of 16 * chunk bytes, behind the tensors.

    more: bytes of constants that are copied besides."""
    size = 16 * chunk + more
    place = sum(blob_edit.get(blob, f"header.{part}_size") for part in ("arena", "scratch"))
    changes = {"op[0].chunk": chunk, "op[0].stage_off": place, "op[0].stage_size": size}
    scratch = blob_edit.get(blob, "header.scratch_size") + -(-size // 16) * 16
    return blob_edit.put(blob, changes | {"header.scratch_size": scratch})


def block(blob: bytes, more: int = 0) -> int:
    """Grains of 16 bytes that a block of channels takes, and `more` bytes beside it."""
    channels = blob_edit.get(blob, "op[0].p1")
    inputs = blob_edit.get(blob, "op[0].w_size") // (-(-channels // 8) * 8)
    return -(-(8 * inputs + more) // 16)


TOO_SMALL = ("RL_E_SHAPE", "chunk does not fit the shapes")


@pytest.mark.parametrize("corner", [0, 1])
def test_a_part_of_a_dense_op_holds_a_block_and_its_tables(corner: int) -> None:
    blobs = (m0plus_ops.case(Kind.FULLY_CONNECTED, seed).fast for seed in range(60))
    blob = next(b for b in blobs if blob_edit.get(b, "op[0].p3") & 1 == corner
                and blob_edit.get(b, "op[0].p2") == 0)  # fmt: skip
    enough = block(blob, 2 * (12 + (96 if corner else 64)))
    assert refused(in_parts(blob, enough))[0] == "RL_OK"
    assert refused(in_parts(blob, enough - 1)) == TOO_SMALL


def test_exact_constants_of_a_dense_op_in_parts_are_in_sram() -> None:
    fields = {"kind": Kind.FULLY_CONNECTED, "kernel": 1, "p0": 1, "p1": 8, "p2": 2, "w_size": 16}
    fields |= {"off_w": 0, "off_bias": 16, "off_mult": 40, "off_shift": 168, "scratch": 1}
    rows = struct.pack("<6i", 1, 0, 0, 1, 0, 0)
    blob = raw([(1, 1, 1), (1, 1, 8)], [fields], core=M0PLUS, data=b"\1" * 168 + rows)
    chunk = block(blob, 2 * (12 + 64))
    assert refused(in_parts(blob, chunk, more=len(rows)))[0] == "RL_OK"
    assert refused(in_parts(blob, chunk)) == TOO_SMALL
    assert refused(in_parts(blob, chunk, more=len(rows) - 4))[1] == "outside the stage"


def test_a_part_of_a_convolution_holds_a_block_of_whole_quads() -> None:
    blobs = [m0plus_ops.case(Kind.CONV_2D, seed).fast for seed in range(60)]
    live = [blob_edit.get(b, "op[0].p1") for b in blobs]
    out = [blob_edit.get(b, "tensor[1].c") for b in blobs]
    seen = set()
    for blob, computed, channels in zip(blobs, live, out, strict=True):
        right = computed == channels and computed % 4 == 0
        seen.add((computed == channels, computed % 4 == 0))
        status = refused(in_parts(blob, block(blob)))
        assert status == TOO_SMALL if not right else status[0] == "RL_OK"
        assert refused(in_parts(blob, block(blob) - 1))[0] != "RL_OK"
    assert {(True, True), (True, False)} <= seen


def test_a_part_of_a_convolution_leaves_no_channel_out() -> None:
    fields = {**CONV, "kernel": 1, "scratch": 1, "p0": 1, "p1": 8, "p3": SCATTER, "w_size": 16}
    fields |= {"off_w": 0, "off_bias": 16, "off_mult": 40, "off_shift": 168}
    blob = raw([(1, 1, 1), (1, 1, 12)], [fields], core=M0PLUS, data=b"\1" * 168 + bytes(28))
    assert refused(blob)[0] == "RL_OK"
    assert refused(in_parts(blob, 1)) == TOO_SMALL


@pytest.mark.parametrize(("core", "table"), [(M0PLUS, 0), (M4, 4 * 512)])
def test_an_add_of_a_core_has_two_inputs_of_the_outputs_size(core: int, table: int) -> None:
    def added(second: int, **fields: int) -> tuple[str, str]:
        copy = {"kind": Kind.GATHER, "p1": 1, "p2": 1, "p3": second}
        add = {"kind": Kind.ADD, "kernel": 1, "in0": 0, "in1": 1, "from1": 0, "w_size": table}
        add |= {"off_w": 0} if table else {}
        shapes = [(1, 1, 8), (1, 1, second), (1, 1, 8)]
        return refused(raw(shapes, [copy, add | fields], core=core, data=bytes(table)))

    assert added(8)[0] == "RL_OK"
    assert added(4)[1] == added(8, in1=0xFFFF, from1=0xFFFF)[1] == "sizes of ADD differ"


HALVES = [("p0", "sh", "rows of a half"), ("p1", "sw", "columns of a half")]


@pytest.mark.parametrize(("half", "step", "what"), HALVES)
def test_a_half_of_a_depthwise_op_reaches_over_few_inputs(half: str, step: str, what: str) -> None:
    def halved(n: int) -> str:
        op = {"kind": Kind.DEPTHWISE_CONV_2D, **WINDOW, "kernel": 1, "depth_mult": 1, "p0": 1,
              "p1": 1, half: n, step: 3}  # fmt: skip
        blob = raw([(1, 1, 1), (1, 1, 1)], [op], core=M0PLUS, scratch=1 << 24)
        return refused(blob)[1]

    assert halved(2732) == "w_size does not fit the shapes", "8194 inputs"
    assert halved(2733) == what, "8197 inputs"
