"""A logger that remembers: its readings and their statistics survive every brown-out.

Runs at each turn-on, with the relume firmware: mpremote cp main.py :main.py. Whatever is put since
the last commit() is lost with the power, all of it: the count, the sum, the extremes and the log
always belong to the same readings. `mpremote run fetch.py` prints the log.
"""

import struct
import time

import relume

FORM = "<IiiiI"  # readings, sum, least, most, turn-ons
KEPT = 200  # readings in the log, 2 bytes each
EVERY_S = 1


def read_sensor():
    """Hundredths of a degree: the RP2040's own sensor; elsewhere a number to play with."""
    try:
        from machine import ADC

        volts = ADC(4).read_u16() * 3.3 / 65535
        return round(2700 - (volts - 0.706) / 0.001721 * 100)
    except ImportError:
        return 2000 + time.time_ns() // 1000000 % 500


def load(store):
    """The statistics so far."""
    nothing = struct.pack(FORM, 0, 0, 1 << 30, -1 << 30, 0)
    return list(struct.unpack(FORM, store.get("stats", nothing)))


def save(store, stats, reading):
    """Statistics and log: both or none."""
    store["stats"] = struct.pack(FORM, *stats)
    store["log"] = (store.get("log", b"") + struct.pack("<h", reading))[-2 * KEPT :]
    store.commit()


def take(store, stats, reading):
    """Counts one reading in."""
    count, total, least, most, starts = stats
    stats[:] = count + 1, total + reading, min(least, reading), max(most, reading), starts
    save(store, stats, reading)


def main():
    store = relume.Store()
    stats = load(store)
    stats[4] += 1
    print("turn-on", stats[4], "with", stats[0], "readings behind it")
    while True:
        take(store, stats, read_sensor())
        print("%d readings, mean %.2f, %.2f to %.2f" % (
            stats[0], stats[1] / stats[0] / 100, stats[2] / 100, stats[3] / 100))
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
