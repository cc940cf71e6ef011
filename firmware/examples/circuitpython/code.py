"""CircuitPython on a capacitor: an inference a segment at a time, asleep in between.

For an Adafruit Feather nRF52840 with Adafruit's SPI FRAM on D5 (circup install adafruit_fram).
On CIRCUITPY: this file as code.py, lib/relume, lib/relume_pure, and net.rlm, planned with
relume plan net.tflite --board ADAFRUIT_FEATHER_NRF52840 -o net.rlm. It may lose its power
anywhere: at the next turn-on it goes on behind the last commit.
"""

import time

import alarm
import microcontroller
import relume

CHARGE_S = 2  # behind each commit, until the capacitor is full again
PERIOD_S = 60  # between two inferences
DAMAGED, RECORDS = -12, 128  # an error's code; bytes of both records


def memory():
    """The FRAM; without one the chip's own few kilobytes of flash, for small models: what is cut
    there while it is written begins again."""
    try:
        import adafruit_fram
        import board
        import digitalio

        return adafruit_fram.FRAM_SPI(board.SPI(), digitalio.DigitalInOut(board.D5))
    except (ImportError, OSError, RuntimeError):
        return microcontroller.nvm


def taken_up(nvm):
    """The session. A checkpoint that a cut has damaged in the chip's flash is given up."""
    try:
        return relume.Session("net.rlm", nvm)
    except OSError as error:
        if getattr(error, "code", 0) != DAMAGED:
            raise
        nvm[0:RECORDS] = bytes(RECORDS)
        return relume.Session("net.rlm", nvm)


def until(seconds):
    """An alarm so many seconds from now."""
    return alarm.time.TimeAlarm(monotonic_time=time.monotonic() + seconds)


def read_input(size):
    """An input, int8: your sensor or microphone; here a pattern."""
    return bytes([i * 7 & 255 for i in range(size)])


def infer(session):
    """The output of what a power cut interrupted, else of a new input."""
    if session.state not in (relume.RUNNING, relume.DONE):
        session.begin(session.stats["inference"] + 1, read_input(session.info["input_size"]))
    while session.state == relume.RUNNING:
        session.step()
        if session.state == relume.RUNNING:
            alarm.light_sleep_until_alarms(until(CHARGE_S))
    return session.output


def main():
    """One inference, then deep sleep: the board starts again with code.py."""
    session = taken_up(memory())
    output = infer(session)
    best = max(range(len(output)), key=lambda i: output[i] ^ 128)
    print("inference %d: class %d" % (session.stats["inference"], best))
    session.take()
    alarm.exit_and_deep_sleep_until_alarms(until(PERIOD_S))


main()
