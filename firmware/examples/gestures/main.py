"""Sees wave, circle and shake: MPU-6050 on GP20 (SDA), GP21 (SCL), gestures.rlm; counts each once.

    relume plan gestures.tflite -o gestures.rlm
    relume deploy gestures.rlm --labels gestures.txt
    mpremote run main.py

With the relume firmware and an FRAM. Copied to the board as main.py it runs at each turn-on.
"""

import struct
import time

import relume

RATE, ROWS = 50, 64  # 1.3 seconds
ONE_G = 16384


class Mpu6050:
    """The accelerometer of an MPU-6050."""

    def __init__(self, i2c, address=0x68):
        self.i2c, self.address = i2c, address
        i2c.writeto_mem(address, 0x6B, b"\0")  # awake

    def acceleration(self):
        """Along x, y and z, in g."""
        data = self.i2c.readfrom_mem(self.address, 0x3B, 6)
        return [value / ONE_G for value in struct.unpack(">hhh", data)]


def watch(sensor):
    """What the network takes: 64 rows of x, y, z."""
    rows, due = [], time.ticks_ms()
    for _ in range(ROWS):
        time.sleep_ms(max(0, time.ticks_diff(due, time.ticks_ms())))
        due = time.ticks_add(due, 1000 // RATE)
        rows.append(sensor.acceleration())
    return rows


def answer(model, sensor):
    """The output of the inference that a power cut interrupted, or of a new one."""
    if model.state == relume.DONE:  # the power went before it was counted
        return model.output
    if model.state == relume.RUNNING:
        return model.run()
    return model.run(model.quantised(watch(sensor)))


def count(store, number, name):
    """Counts inference `number`, unless that was done before the cut; how often it was `name`."""
    if number > int(store.get("counted", b"0")):
        store[name] = b"%d" % (int(store.get(name, b"0")) + 1)
        store["counted"] = b"%d" % number
        store.commit()  # both or none
    return int(store[name])


def main(most=None):
    """For ever, or until inference `most` is counted."""
    from machine import I2C, Pin

    sensor = Mpu6050(I2C(0, sda=Pin(20), scl=Pin(21), freq=400_000))
    model, store = relume.Model("gestures.rlm"), relume.Store()
    number = 0
    while number != most:
        output = answer(model, sensor)
        name = model.label([byte ^ 128 for byte in output])
        number = model.stats["inference"]
        print("%d: %s, %d so far" % (number, name, count(store, number, name)))
        model.take()


if __name__ == "__main__":
    main()
