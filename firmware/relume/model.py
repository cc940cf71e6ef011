"""A model as one object that takes numbers and gives numbers.

    import relume
    model = relume.Model("net.rlm")        # a file, a deployed model's name, a buffer
    output = model.predict(x)              # array of floats
    print(model.label(output))

Attributes have OpenMV's names and forms: lists with one entry for each tensor, of which there is
one. input_dtype, output_dtype: what the model's file has, "b" int8, "B" uint8, "f" float.
"""

import struct
from array import array

from . import DONE, RUNNING, Session, _relume, load

_DTYPES = " bBf"
_NAMES = {"b": "int8, -128 to 127", "B": "uint8, 0 to 255"}


class Model(Session):
    """A Session whose input and output are real values.

    model, nvm, base, size: as Session has them; without the C module and without nvm commits go
    to RAM, and a power cut begins the inference again. labels: names of the outputs, by default
    what relume deploy has put on the board with the model, or the lines of the file beside the
    blob, net.txt beside net.rlm; None if there is none.
    len: bytes of the blob. ram_size: bytes of SRAM for tensors and scratch memory. resumed: the
    last predict() gave the output of an inference that a power cut had interrupted.
    """

    def __init__(self, model=None, nvm=None, base=0, size=-1, labels=None):
        blob = load(model)
        self.info = info = _relume.info(blob)
        if nvm is None and not hasattr(_relume, "Flash"):
            base, size = 0, 256 + info["nvm_size"]
            nvm = bytearray(size)
        self._start(blob, nvm, base, size)
        self.len, self.ram_size, self.resumed = info["size"], info["arena_size"], False
        self.labels = _labels(model, info) if labels is None else labels
        source, target = struct.unpack_from("<HH", blob, 76)
        self._x, self._y = _quantisation(blob, source), _quantisation(blob, target)
        for end, pair, shape, at in (("input", self._x, info["input_shape"], 108),
                                     ("output", self._y, info["output_shape"], 109)):  # fmt: skip
            dtype = _DTYPES[blob[at]]
            setattr(self, end + "_shape", [(1,) + shape])
            setattr(self, end + "_scale", [pair[0]])
            setattr(self, end + "_zero_point", [pair[1] + 128 if dtype == "B" else pair[1]])
            setattr(self, end + "_dtype", [dtype])

    def predict(self, x=None):
        """The output for x: array of floats, scale * (q - zero point).

        x: numbers as a list (nested or not), an array, ulab's too, or bytes; or a function that
        gives them. Floats are quantised as TFLite does; integers are taken as the model's own
        type, bytes and int8 arrays as they are. [x] gives [output], as OpenMV has it.

        An inference that a power cut interrupted is finished first, and its output is what comes:
        then `resumed` is True and x was not looked at. Otherwise no program that runs out of
        power would ever get an answer. Errors: ValueError, TypeError: x does not fit the model;
        OSError as Session.run().
        """
        listed = isinstance(x, (list, tuple)) and len(x) == 1 and not isinstance(x[0], (int, float))
        if self.refused:
            raise OSError(str(self.refused) + ": clear() gives it up")
        self.resumed = self.state in (RUNNING, DONE)
        if self.state == DONE:
            data = self.output
        elif self.resumed:
            data = self.run()
        else:
            x = x[0] if listed else x
            data = self.run(self.quantised(x() if callable(x) else x))
        self.take()
        scale, zero = self._y
        output = array("f", [scale * ((byte ^ 128) - 128 - zero) for byte in data])
        return [output] if listed else output

    def quantised(self, x):
        """x as bytes of the input tensor, int8, as Session.run() takes them."""
        dtype, shape = self.input_dtype[0], self.input_shape[0]
        values, kind = _values(x)
        wanted = shape[1] * shape[2] * shape[3]
        given = getattr(x, "shape", None)
        if len(values) != wanted or (given is not None
                                     and _trim(given) not in (_trim(shape), (wanted,))):  # fmt: skip
            has = "%d values" % len(values) if given is None else "shape %s" % (tuple(given),)
            raise ValueError("input has %s, the model takes %s" % (has, shape))
        if kind == "float" or (kind == "int" and dtype == "f"):
            return _quantised(values, *self._x)
        if kind == "byte" and dtype != "B":
            return values
        return _integers(values, dtype)

    def label(self, output):
        """The label of the largest output; its number where there are no labels."""
        best = max(range(len(output)), key=lambda i: output[i])
        return self.labels[best] if self.labels and best < len(self.labels) else best


def _quantisation(blob, tensor):
    """(scale, zero point) of an int8 tensor (SPEC 2.2)."""
    at = struct.unpack_from("<I", blob, 52)[0] + 32 * tensor
    zero, scale = struct.unpack_from("<if", blob, at + 20)
    return scale, zero


def _labels(model, info):
    """Lines of what lies behind the blob in flash, of the file that is deployed with the model, or
    of the one beside it; else None."""
    if hasattr(_relume, "slot_labels"):
        lines = _relume.slot_labels(info["meta_crc"])
        if lines:
            return _lines(lines)
    beside = info["name"] if model is None else model
    names = ["labels/%08x" % info["meta_crc"]]
    if isinstance(beside, str):
        names.append(beside[:-4] if beside.endswith(".rlm") else beside)
    for name in names:
        try:
            with open(name + ".txt") as file:
                return _lines(file.read())
        except OSError:
            pass
    return None


def _lines(text):
    return [line.strip() for line in text.rstrip().split("\n")]


def _trim(shape):
    """Axes of length 1 carry nothing."""
    return tuple([n for n in shape if n != 1])


def _flat(x, values):
    """Appends the numbers of a nested list."""
    for item in x:
        if isinstance(item, (int, float)):
            values.append(item)
        elif isinstance(item, (list, tuple)):
            _flat(item, values)
        else:
            raise TypeError("input: %r at %d is no number" % (item, len(values)))
    return values


def _values(x):
    """(indexable numbers, "float", "int" or "byte")."""
    if isinstance(x, (list, tuple)):
        x = _flat(x, [])
        return x, "float" if any([isinstance(value, float) for value in x]) else "int"
    try:
        if isinstance(x, str):
            raise TypeError
        x = memoryview(x)
    except TypeError:
        raise TypeError("an input is a list, an array or bytes, not " + type(x).__name__) from None
    if len(x) and isinstance(x[0], float):
        return x, "float"
    return x, "byte" if len(bytes(x[:1])) <= 1 else "int"


def _quantised(values, scale, zero):
    """TFLite's QUANTIZE: the quotient a float32, halves away from zero, clamped."""
    data, one = bytearray(len(values)), array("f", [0.0])
    for i in range(len(data)):
        one[0] = values[i]
        value = one[0]
        one[0] = value / scale
        q = one[0]
        if -512 < q < 512:
            whole = int(q)
            rest = q - whole
            q = whole + (rest >= 0.5) - (rest <= -0.5) + zero
        elif value - value != 0:
            raise ValueError("input: the value at %d is not a finite number" % i)
        data[i] = (-128 if q < -128 else 127 if q > 127 else int(q)) & 255
    return data


def _integers(values, dtype):
    """Numbers of the model's own type, "b" or "B", as bytes of its int8 tensor."""
    low = -128 if dtype == "b" else 0
    data = bytearray(len(values))
    for i in range(len(data)):
        value = values[i] - low
        if not 0 <= value <= 255:
            line = "input: %d at %d, the model takes %s (floats are quantised)"
            raise ValueError(line % (values[i], i, _NAMES[dtype]))
        data[i] = value ^ 128
    return data
