"""One inference on the board, through any power cut: `mpremote run firmware/infer.py`.

Needs the relume firmware and a deployed model (`relume deploy NET.rlm`). Takes up the inference
that a power cut interrupted, or whose output nobody has taken; else starts one on the file
`input.bin` of the board's filesystem (int8, as large as the model's input), or on zeros if there
is none. `labels.txt`, one label a line, names the answer. The last line printed is the result as
JSON; run the script again after a disconnect, and it goes on where the board is.
"""

import json
import os

INPUT = "input.bin"
LABELS = "labels.txt"


def exists(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def read_input(size):
    """The input's bytes and where they come from."""
    if not exists(INPUT):
        return bytes(size), "zeros"
    with open(INPUT, "rb") as file:
        data = file.read(size + 1)
    if len(data) != size:
        raise ValueError(f"{INPUT} must have {size} bytes, int8")
    return data, INPUT


def label(index):
    """The index-th line of labels.txt, None without one."""
    if not exists(LABELS):
        return None
    with open(LABELS) as file:
        lines = file.read().split("\n")
    return lines[index].strip() if index < len(lines) else None


def infer():
    """Runs to the output; the result as a dict."""
    import relume

    session = relume.Session()
    source = "pending"
    if session.state == relume.DONE:
        output = session.output
    elif session.state == relume.RUNNING:
        output = session.run()
    else:
        data, source = read_input(session.info["input_size"])
        output = session.run(data)
    values = [byte - 256 if byte > 127 else byte for byte in output]
    best = values.index(max(values))
    result = {
        "relume": 1,
        "model": session.info["name"],
        "state": relume.STATES[session.state],
        "input": source,
        "output": values,
        "argmax": best,
        "label": label(best),
    }
    result.update(session.stats)
    session.take()
    return result


def main():
    try:
        result = infer()
    except ImportError:
        result = {"relume": 1, "error": "this firmware has no relume: relume flash --board NAME"}
    except (OSError, ValueError) as error:
        result = {"relume": 1, "error": str(error)}
    print(json.dumps(result))


main()
