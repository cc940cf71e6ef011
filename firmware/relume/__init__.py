"""relume: TFLite models on boards whose power keeps dying.

    import relume
    model = relume.Model()              # the active model on this board
    output = model.predict(x)           # numbers in, numbers out

    session = relume.Session()          # the same, in bytes
    output = session.run(input)         # int8 as the model has them

Both take up an inference that a power cut interrupted, if one is there. relume.Store() keeps a
program's own keys and values through power cuts.
"""

try:
    import _relume
except ImportError:  # no C on this board: the same in Python
    import relume_pure as _relume

VERSION = "0.1.0"
if getattr(_relume, "VERSION", "older") != VERSION:
    raise ImportError("relume is %s, but %s %s: install both from one relume" % (
        VERSION, _relume.__name__, getattr(_relume, "VERSION", "older")))  # fmt: skip

EMPTY = 0
RUNNING = 1
DONE = 2
IDLE = 3
STUCK = 4

STATES = ("empty", "running", "done", "idle", "stuck")


def Model(*args, **kwargs):
    """model.Model: a Session with real values for input and output."""
    from .model import Model

    return Model(*args, **kwargs)


def Store(*args, **kwargs):
    """store.Store, which comes when it is asked for: a pending inference has no use for it."""
    from .store import Store

    return Store(*args, **kwargs)


def Results(*args, **kwargs):
    """results.Results: outputs that wait in a Store until they are taken."""
    from .results import Results

    return Results(*args, **kwargs)


def Queue():
    """queue.Queue: inferences of all deployed models, the most urgent first."""
    from .queue import Queue

    return Queue()


def models():
    """What is deployed: a list of dicts name, size, meta_crc, active."""
    return [
        {"name": name, "size": size, "meta_crc": meta_crc, "active": active}
        for name, size, meta_crc, _, _, active, _, _ in _relume.slots()
    ]


def _deployed(name):
    """The blob in flash of the model with this name, None if there is none."""
    for index, slot in enumerate(_relume.slots()):
        if slot[0] == name:
            return _relume.slot_blob(index)
    return None


def _in_place(file):
    """A file's bytes where they lie, if that is memory (ROMFS) and aligned; else None."""
    try:
        from uctypes import addressof

        view = memoryview(file)
        return None if addressof(view) & 3 else view
    except (ImportError, TypeError):
        return None


def _from_file(path):
    """A blob from the filesystem, checked whole. Outside ROMFS it takes its size in RAM."""
    with open(path, "rb") as file:
        blob = _in_place(file) or file.read()
    _relume.check(blob)
    return blob


def load(model=None):
    """The blob of a model: its name in a slot, a path, a buffer, or None for the active one.

    "net.rlm" is the file of that name; if there is none, the deployed model "net"."""
    if model is None:
        blob = _relume.slot_blob(None)
        if blob is None:
            raise ValueError("no model is deployed: relume deploy NET.rlm")
        return blob
    if not isinstance(model, str):
        _relume.check(model)
        return model
    blob = _deployed(model)
    if blob is not None:
        return blob
    try:
        return _from_file(model)
    except OSError:
        blob = _deployed(model[:-4]) if model.endswith(".rlm") else None
        if blob is None:
            raise ValueError("no model or file named " + model) from None
        return blob


def _part(meta_crc):
    """Base and size of a deployed model's part of its NVM; of a file all of it."""
    for slot in _relume.slots():
        if slot[2] == meta_crc:
            return slot[6], slot[7]
    return 0, -1


class Session:
    """One model over this board's NVM.

    model: see load(). nvm: an object of _relume (FRAM, Flash, File), by default what the model
    was planned for, of which a deployed model has its own part; without the C module anything that is read and written as nvm[a:b]. The NVM is opened, and what it holds taken up, at once; OSError if no chip
    answers or it holds the unfinished inference of another model (clear() gives that up).
    """

    def __init__(self, model=None, nvm=None, base=0, size=-1):
        blob = load(model)
        self.info = _relume.info(blob)
        self._start(blob, nvm, base, size)

    def _start(self, blob, nvm, base, size):
        if nvm is None:
            from .board import open_nvm

            nvm = open_nvm(self.info["nvm_kind"])
            if base == 0 and size == -1:
                base, size = _part(self.info["meta_crc"])
        self.core = _relume.Session(blob, nvm, base, size)
        self.refused = None
        try:
            self.core.open()
        except OSError as error:
            if error.code != -16:
                raise
            self.refused = error
        if self.core.state == EMPTY and not isinstance(nvm, bytearray):
            from .older import line

            text = line(getattr(self.core, "nvm", nvm), base, size)
            if text:
                print("relume:", text)

    def begin(self, id, input):
        """Commits the input as inference `id`; from here on no power cut loses it."""
        if self.refused:
            raise self.refused
        while self.core.begin(id, input) == _relume.ERASED:
            pass

    def step(self):
        """Runs to the next commit: _relume.MORE, DONE, ERASED (made room in flash) or RAN (the
        supply carries on past the end of a segment without a commit)."""
        return self.core.step()

    def run(self, input=None, id=None):
        """The output's bytes. Goes on with a pending inference; else starts one on `input`."""
        core = self.core
        if self.refused:
            raise self.refused
        if core.state != RUNNING:
            if input is None:
                raise ValueError("no inference is pending: run(input)")
            self.begin(core.inference + 1 & 0xFFFFFFFF if id is None else id, input)
        while core.step() != _relume.DONE:
            pass
        return core.output()

    def take(self):
        """Says that the output is safe elsewhere: done -> idle."""
        while self.core.take(self.core.inference) == _relume.ERASED:
            pass

    def clear(self):
        """Gives up whatever is there, an inference of another model too."""
        while self.core.clear() == _relume.ERASED:
            pass
        self.refused = None

    @property
    def state(self):
        return self.core.state

    @property
    def output(self):
        return self.core.output()

    @property
    def stats(self):
        """Figures of the newest record: inference, cycles, commits, nvm_bytes, brownouts."""
        core = self.core
        return {
            "inference": core.inference,
            "tile": core.tile,
            "tiles": core.tiles,
            "cycles": core.cycles,
            "commits": core.commits,
            "nvm_bytes": core.nvm_bytes,
            "brownouts": core.brownouts,
        }
