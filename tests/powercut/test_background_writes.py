"""The FRAM driver's writes in the background (nvm.h: start, busy, finish).

SECURITY S7.
"""

from __future__ import annotations

import ctypes

import pytest

from tests.powercut import session as rl
from tests.powercut.chips import Behind, Chip, Driver
from tests.powercut.session import RL_OK


def started(chip: Behind, data: bytes = b"behind") -> tuple[Driver, ctypes.Array[ctypes.c_char]]:
    """A driver whose write of data at 100 has begun, and the buffer that it reads."""
    driver = Driver(chip)
    buffer = ctypes.create_string_buffer(data, len(data))
    assert driver.start(100, buffer) == RL_OK
    return driver, buffer


def test_a_write_in_the_background_is_one_transaction_that_finish_ends() -> None:
    chip = Behind(8192)
    driver, _ = started(chip)
    assert driver.busy() == 1 and chip.transactions == [b"\x06"]
    assert driver.finish() == RL_OK and driver.busy() == 0
    assert chip.transactions == [b"\x06", b"\x02\x00\x64behind"]
    assert driver.finish() == RL_OK and len(chip.transactions) == 2
    assert driver.read(100, 6) == (RL_OK, b"behind")


def test_a_write_that_nobody_waits_for_goes_on_and_its_chip_stays_selected() -> None:
    chip = Behind(8192)
    driver, _ = started(chip)
    while driver.busy():
        pass
    assert bytes(chip.data[100:106]) == b"behind" and chip.frame
    assert driver.finish() == RL_OK and chip.frame is None


def test_whatever_comes_next_finishes_the_write_first() -> None:
    for then in ("read", "write", "start"):
        chip = Behind(8192)
        driver, buffer = started(chip)
        call = {
            "read": lambda driver=driver: driver.read(100, 6)[0],
            "write": lambda driver=driver: driver.write(200, b"next"),
            "start": lambda driver=driver, buffer=buffer: driver.start(200, buffer),
        }[then]
        assert call() == RL_OK
        assert driver.finish() == RL_OK
        assert chip.transactions[1] == b"\x02\x00\x64behind" and len(chip.transactions) > 2


def test_bytes_that_change_before_finish_are_written_changed() -> None:
    """The promise of nvm.h that data stays as it is, is needed."""
    chip = Behind(8192)
    driver, buffer = started(chip)
    driver.busy()
    buffer[:] = b"BEHIND"  # type: ignore[assignment]
    driver.finish()
    assert bytes(chip.data[100:106]) == b"bEHIND"


def test_a_power_cut_in_a_background_write_leaves_a_prefix() -> None:
    for sent in range(7):
        chip = Behind(8192)
        driver, _ = started(chip)
        for _ in range(sent):
            driver.busy()
        assert bytes(chip.data[100:106]) == b"behind"[:sent] + bytes(6 - sent)


@pytest.mark.parametrize("then", ["finish", "read", "write", "start"])
def test_a_write_that_failed_is_told_by_the_next_call(then: str) -> None:
    chip = Behind(8192)
    driver, buffer = started(chip)
    chip.fails = True
    seen = {
        "finish": driver.finish, "read": lambda: driver.read(0, 1)[0],
        "write": lambda: driver.write(0, b"x"), "start": lambda: driver.start(0, buffer),
    }[then]()  # fmt: skip
    assert seen == rl.RL_E_NVM and chip.frame is None


def test_a_write_that_cannot_be_sent_in_the_background_is_sent_at_once() -> None:
    chip = Behind(8192)
    chip.refuses = True
    driver, _ = started(chip)
    assert driver.busy() == 0 and chip.data[100:106] == b"behind" and chip.frame is None
    assert driver.finish() == RL_OK


def test_a_background_write_outside_the_chip_or_of_nothing_sends_nothing() -> None:
    chip = Behind(8192)
    driver = Driver(chip)
    two, none = ctypes.create_string_buffer(2), (ctypes.c_char * 0)()
    assert driver.start(8191, two) == driver.start(0xFFFFFFFF, two) == rl.RL_E_NVM
    assert driver.start(8192, none) == RL_OK
    assert chip.transactions == [] and driver.busy() == 0 and driver.finish() == RL_OK


def test_an_spi_without_a_background_gives_a_driver_without_one() -> None:
    driver = Driver(Chip(8192))
    assert not (driver.nvm.start or driver.nvm.busy or driver.nvm.finish)
