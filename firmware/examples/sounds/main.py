"""Hears a clap, a whistle, a hum and a doorbell: microphone amplifier on GP26, sounds.rlm.

    relume plan sounds.tflite -o sounds.rlm
    relume deploy sounds.rlm --labels sounds.txt
    mpremote run main.py

On stock MicroPython as on the relume firmware.
"""

import relume

RATE = 4000
FRAMES, FRAME = 16, 64  # a quarter of a second
LOUD, QUIET_MS = 100, 40  # jump between two samples, of 4096


def record():
    """Samples of 12 bits, from the first loud one behind a silence."""
    from time import sleep_ms, sleep_us, ticks_add, ticks_diff, ticks_us

    from machine import ADC

    microphone, quiet = ADC(26), 0
    while True:
        before = microphone.read_u16() >> 4
        sleep_us(1000000 // RATE)
        loud = abs((microphone.read_u16() >> 4) - before) >= LOUD
        if loud and quiet >= QUIET_MS:
            break
        quiet = 0 if loud else quiet + 1
        sleep_ms(1)
    samples, due = [], ticks_us()
    for _ in range(FRAMES * FRAME):
        sleep_us(ticks_diff(due, ticks_us()))
        due = ticks_add(due, 1000000 // RATE)
        samples.append(microphone.read_u16() >> 4)
    return samples


def steps(number):
    """About 8 log2(number), in whole numbers: as an ear hears loudness."""
    octaves = 0
    while number >= 16:
        number >>= 1
        octaves += 8
    return octaves + number


def octaves(frame):
    """How loud a frame is in six octaves, the highest first.

    What differs between neighbours is high, their mean is low, and goes through the same again.
    """
    loud = []
    while len(frame) > 1:
        pairs = range(0, len(frame), 2)
        loud.append(steps(sum([abs(frame[i] - frame[i + 1]) for i in pairs])))
        frame = [(frame[i] + frame[i + 1]) // 2 for i in pairs]
    return loud


def features(samples):
    """What the network takes: 16 frames of 6 numbers from 0 to 1."""
    starts = range(0, len(samples), FRAME)
    return [[n / 128 for n in octaves(samples[i : i + FRAME])] for i in starts]


def main(most=None):
    """For ever, or so many sounds."""
    model = relume.Model("sounds.rlm")
    print("listening")
    heard = 0
    while heard != most:
        output = model.predict(lambda: features(record()))
        when = ", from before the power cut" if model.resumed else ""
        print("%s (%d %%)%s" % (model.label(output), round(100 * max(output)), when))
        heard += 1


if __name__ == "__main__":
    main()
