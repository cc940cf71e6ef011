"""The cost model against figures worked out by hand for a board of round numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from relume.board.profile import (
    ACCESS,
    BoardProfile,
    Boot,
    Energy,
    FlashNvm,
    FramNvm,
    StoreCycles,
    Xip,
    load_board,
)
from relume.errors import BoardError
from relume.model.graph import Graph, Kind, Op, Tensor, Window
from relume.plan.costs import TILE_BYTES, CostModel

TABLES = TILE_BYTES / 4 * 40  # fetched once a tile
KINDS = {kind.name: (10.0, 100.0, 1000.0) for kind in Kind}


def _board(**changes: object) -> BoardProfile:
    """1 MHz and 1 mW, so that a cycle is 1 nJ; SPI at 1 MHz / 2; no cost of the store's own."""
    board = replace(
        load_board("RPI_PICO"),
        core="portable",
        hz=1_000_000,
        peripheral_hz=1_000_000,
        boot=Boot(20.0, 30.0),
        xip=Xip(line_bytes=8, miss_cycles=40, cache_bytes=1024),
        energy=Energy(active_mw=1.0, idle_mw=0.5, sleep_mw=0.1),
        fram=FramNvm(1, 4096, 600_000, 5, 2.0),
        flash=FlashNvm(2, 65536, 3.0, 0.4, 400.0, 45.0, 2.0, 100_000),
        cycles=KINDS,
        store=StoreCycles(0.0, 0.0, 0.0, 0.0, 0.0),
    )
    return replace(board, **changes)  # type: ignore[arg-type]


def _dense(inputs: int = 80, outputs: int = 4) -> Graph:
    op = Op(
        Kind.FULLY_CONNECTED, "fc", (0,), 1, weights=np.zeros((outputs, inputs), np.int8),
        multipliers=np.zeros(outputs, np.int32), shifts=np.zeros(outputs, np.int8),
    )  # fmt: skip
    tensors = (Tensor("a", (1, 1, inputs), 1.0, 0), Tensor("b", (1, 1, outputs), 1.0, 0))
    return Graph("dense", tensors, (op,), 0, 1)


def _conv(channels: int) -> Graph:
    """1x1 convolution of `channels` to `channels` on 4x4 pixels."""
    op = Op(
        Kind.CONV_2D, "conv", (0,), 1, window=Window(1, 1, 1, 1, 0, 0, 1, 1),
        weights=np.zeros((channels, 1, 1, channels), np.int8),
    )  # fmt: skip
    shape = (4, 4, channels)
    return Graph("c", (Tensor("a", shape, 1.0, 0), Tensor("b", shape, 1.0, 0)), (op,), 0, 1)


def test_a_boot_costs_the_larger_of_the_two_times() -> None:
    assert CostModel(_dense(), _board(), "fram").boot_uj == pytest.approx(30.0)


def test_a_dense_unit_costs_its_macs_its_output_and_the_flash_fetches_of_its_weights() -> None:
    cycles = CostModel(_dense(), _board(), "fram").ops[0]
    # 80 MACs at 10, one output at 100, (80 + 4 + 1 constant bytes) / 4 fetches at 40.
    unit = 800 + 100 + 85 / 4 * 40
    assert cycles.worst(1) == pytest.approx(TABLES + 1000 + unit)
    assert cycles.worst(3) - cycles.worst(1) == pytest.approx(2 * unit)


def test_weights_that_fit_the_cache_are_fetched_once_a_tile_others_once_a_pixel() -> None:
    small = CostModel(_conv(32), _board(), "fram").ops[0]  # 1024 bytes
    large = CostModel(_conv(36), _board(), "fram").ops[0]  # 1296 bytes
    assert small.fixed == pytest.approx(TABLES + 1000 + 1024 / 4 * 40)
    assert large.fixed == pytest.approx(TABLES + 1000)
    cached = CostModel(_conv(36), _board(xip=Xip(8, 40, 4096)), "fram").ops[0]
    assert large.unit - cached.unit == pytest.approx(1296 / 4 * 40)


def test_typical_cycles_leave_padding_taps_out() -> None:
    window = Window(3, 3, 1, 1, 1, 1, 1, 1)
    op = Op(Kind.MAX_POOL_2D, "pool", (0,), 1, window=window)
    shape = (2, 2, 1)  # each 3x3 window covers all 4 pixels: 16 of 36 taps
    graph = Graph("p", (Tensor("a", shape, 1.0, 0), Tensor("b", shape, 1.0, 0)), (op,), 0, 1)
    cycles = CostModel(graph, _board(), "fram").ops[0]
    assert (cycles.typical_unit - 100) / (cycles.unit - 100) == pytest.approx(16 / 36)


def test_the_spi_clock_is_the_peripheral_clock_over_an_even_number() -> None:
    assert CostModel(_dense(), _board(), "fram").spi_hz() == 500_000  # not 600,000
    assert CostModel(_dense(), load_board("RPI_PICO"), "fram").spi_hz() == 15_625_000


def test_fram_bytes_cost_their_time_on_the_wire_and_the_chip() -> None:
    costs = CostModel(_dense(), _board(), "fram")
    byte = 16e-3 + 2e-3  # 8 bits at 500 kHz = 16 us at 1 mW; 2 nJ of the chip
    access = 5 * byte + ACCESS * 1e-3
    assert costs.restore_uj(100.0, 2.0) == pytest.approx(100 * byte + 2 * access)
    record = 128 * byte + 2 * access
    assert costs.commit_uj(100.0, 3.0, 500.0) == pytest.approx(record + 100 * byte + 3 * access)


def test_crc_surveys_and_steps_are_counted_where_they_happen() -> None:
    plain = CostModel(_dense(), _board(), "fram")
    costs = CostModel(_dense(), _board(store=StoreCycles(7.0, 11.0, 13.0, 17.0, 19.0)), "fram")
    survey = 11 + 2 * 13
    more = costs.commit_uj(0.0, 0.0, 50.0) - plain.commit_uj(0.0, 0.0, 50.0)
    assert more == pytest.approx((50 * 7 + 17 + 2 * survey) * 1e-3)
    more = costs.restore_uj(50.0, 1.0) - plain.restore_uj(50.0, 1.0)
    assert more == pytest.approx(50 * 7 * 1e-3)
    more = costs.resume_uj(3) - plain.resume_uj(3)
    assert more == pytest.approx((19 + survey + 7 * costs.meta_bytes_bound(3)) * 1e-3)


def test_flash_commits_program_all_live_bytes_and_a_record_page() -> None:
    costs = CostModel(_dense(), _board(), "flash")
    page = costs.commit_uj(0.0, 0.0, 0.0)  # the record alone
    assert page >= 3.0 * (1.0 + 2.0)
    assert costs.commit_uj(1.0, 1.0, 255.0) == pytest.approx(2 * page)
    assert costs.commit_uj(0.0, 0.0, 256.0) == pytest.approx(3 * page)
    assert costs.erase_uj() >= 400.0 * (1.0 + 2.0) + 2 * page
    assert CostModel(_dense(), _board(), "fram").erase_uj() == 0.0


def test_costs_of_whole_arrays_are_those_of_their_elements() -> None:
    live = np.array([0.0, 10.0, 300.0])
    for nvm in ("fram", "flash"):
        costs = CostModel(_dense(), _board(), nvm)
        whole = costs.commit_uj(live, (live > 5).astype(np.float64), live)
        assert list(whole) == pytest.approx([costs.commit_uj(x, float(x > 5), x) for x in live])


def test_a_board_without_cycles_for_a_kind_is_named() -> None:
    with pytest.raises(BoardError, match=r"boards/RPI_PICO/board\.toml: .*FULLY_CONNECTED"):
        CostModel(_dense(), _board(cycles={}), "fram")
