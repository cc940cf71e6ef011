"""Inference after inference on a capacitor: checkpoints in FRAM, each result counted once.

Runs at each turn-on, with the relume firmware and a deployed model (relume deploy NET.rlm). A
Session takes up what the last power cut interrupted; its answer goes into a Store together with
the count, so that no cut counts an inference twice or not at all.
"""

import struct

import relume


def read_input(number, size):
    """The number-th input, int8: your sensor or microphone; here a pattern."""
    return bytes([(number * 31 + i * 7) & 255 for i in range(size)])


def answer(output):
    """The number of the largest output."""
    values = [byte - 256 if byte > 127 else byte for byte in output]
    return values.index(max(values))


def count(store, number, output):
    """Counts the answer of inference `number`, if it was not counted before the cut."""
    done = struct.unpack("<I", store.get("done") or bytes(4))[0]
    if number <= done:
        return
    key = "answer%d" % answer(output)
    store[key] = struct.pack("<I", struct.unpack("<I", store.get(key) or bytes(4))[0] + 1)
    store["done"] = struct.pack("<I", number)
    store.commit()


def step(session, store):
    """One inference, taken up or new; its number and output."""
    if session.state == relume.RUNNING:
        output = session.run()
    elif session.state == relume.DONE:  # the power went before it was counted
        output = session.output
    else:
        done = struct.unpack("<I", store.get("done") or bytes(4))[0]
        output = session.run(read_input(done + 1, session.info["input_size"]), done + 1)
    number = session.stats["inference"]
    count(store, number, output)
    session.take()
    return number, output


def main(most=None):
    """For ever, or until inference `most` is counted."""
    session, store = relume.Session(), relume.Store()
    while True:
        number, output = step(session, store)
        print("inference %d: class %d, %d brown-outs, %d commits" % (
            number, answer(output), session.stats["brownouts"], session.stats["commits"]))
        if number == most:
            return


if __name__ == "__main__":
    main()
