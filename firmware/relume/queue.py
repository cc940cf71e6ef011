"""Inferences of several models on one board: the most urgent goes on, at the ends of segments.

    import relume
    queue = relume.Queue()                              # all that is deployed
    queue.begin("kws", sound)                           # from here on no power cut loses it
    queue.begin("vww", image, priority=1, deadline_ms=due)
    for model, output in queue.run():                   # vww, then kws
        send(model, output)
        queue.take(model)

Each model has a store of its own, so one inference of each can wait. A higher priority (0 to 255)
comes first; of equal ones a deadline before none, the earlier deadline, who came first.
"""

import gc

import _relume

from . import DONE, EMPTY, RUNNING
from .board import FLASH, open_nvm

_NVM_KIND_AT = 25  # in the blob, SPEC 2.1
_HALF = 0x80000000


def _before(a, b):
    """The inference of core a comes before that of core b: SPEC 4.7."""
    if a.priority != b.priority:
        return a.priority > b.priority
    if a.dated != b.dated:
        return a.dated
    return 0 < (b.due - a.due & 0xFFFFFFFF) < _HALF


class NoNvm(OSError):
    """No NVM of the kind that a model is planned for answers."""


class Queue:
    """Sessions of all deployed models, each over its part of the NVM; opened when they are used.

    A model is named by its name, by its id (meta_crc) or, with None, the active one is meant:
    what was deployed last. ValueError: there is none. What another call raises belongs to the
    model: OSError if its NVM does not answer or does not hold what it should (clear() gives it
    up).
    """

    def __init__(self):
        self.slots = []
        self.forget()

    def forget(self):
        """Looks anew at what is deployed; for who has deployed."""
        self.cores = {}  # model -> mounted core session
        self.open = set()  # models whose core is open
        self.trouble = {}  # model -> why it was refused
        self.older = {}  # model -> what another version has left in its store
        self.nvms = {}
        self.now = None  # runs, or ran last
        self.alone = None  # the core that runs and is open, if no other can run
        self.slots = []
        gc.collect()
        self.slots = _relume.slots()

    def _index(self, model):
        for index, slot in enumerate(self.slots):
            if slot[5] if model is None else model in (slot[0], slot[2]):
                return index
        if model is None:
            raise ValueError("no model is deployed: relume deploy NET.rlm")
        text = model if isinstance(model, str) else f"{model:08x}"
        raise ValueError(f"no model {text} on the board")

    def find(self, model=None):
        """The id of a model."""
        return self.slots[self._index(model)][2]

    def blob(self, model=None):
        """The blob in place."""
        return _relume.slot_blob(self._index(model))

    def nvm(self, kind):
        """The NVM that a plan of this kind is for."""
        flash = kind == FLASH
        if flash not in self.nvms:
            try:
                self.nvms[flash] = open_nvm(kind)
            except OSError as error:
                raise NoNvm(str(error)) from None
        return self.nvms[flash]

    def core(self, model=None):
        """The core session, its store mounted: what its record says can be read."""
        model = self.find(model)
        if model not in self.cores:
            index = self._index(model)
            blob, slot = _relume.slot_blob(index), self.slots[index]
            core = _relume.Session(blob, self.nvm(blob[_NVM_KIND_AT]), slot[6], slot[7])
            core.mount()
            if core.state == EMPTY:
                from .older import line

                self.older[model] = line(self.nvm(blob[_NVM_KIND_AT]), slot[6], slot[7])
            self.cores[model] = core
        return self.cores[model]

    def session(self, model=None):
        """The open core session. A running inference counts an attempt when it is first opened."""
        model = self.find(model)
        core = self.core(model)
        if model not in self.open:
            try:
                core.open()
            except MemoryError:
                self._make_room(model)
                core.open()
            self.open.add(model)
            self.trouble.pop(model, None)
        return core

    def _make_room(self, model):
        """Takes the SRAM of all others; what runs has committed, or is the only one."""
        self.alone = None
        running = self.now
        if running != model and running in self.open and not self._committed(running):
            raise OSError("no memory for a second model now: wait for the first")
        for other in list(self.open):
            if other != model:
                self.open.discard(other)
                del self.cores[other]
        gc.collect()

    def _committed(self, model):
        core = self.cores[model]
        return core.state != RUNNING or core.tile == core.committed

    def first(self):
        """The model whose inference comes first, None if none runs."""
        if self.alone is not None and self.alone.state == RUNNING:
            return self.now
        self.alone = best = None
        running = 0
        for slot in self.slots:
            model = slot[2]
            if model in self.trouble:
                continue
            try:
                core = self.core(model)
            except OSError as error:
                self.trouble[model] = error
                continue
            if core.state != RUNNING or core.model != model:
                continue
            running += 1
            if best is None or _before(core, self.cores[best]):
                best = model
        if running == 1 and best == self.now and best in self.open:
            self.alone = self.cores[best]
        return best

    def started(self, model):
        """An inference of a model has begun: looks who comes first, before it is waited for."""
        self.alone = None
        now = self.cores.get(self.now)
        if now is None or now.state != RUNNING:
            self.now = model
        self.first()

    def due(self):
        """The place in the queue behind all that run."""
        due = 0
        for slot in self.slots:
            core = self.cores.get(slot[2])
            if core and core.state == RUNNING and not core.dated:
                if (core.due - due & 0xFFFFFFFF) < _HALF:
                    due = core.due + 1 & 0xFFFFFFFF
        return due

    def begin(self, model, input, id=None, priority=0, deadline_ms=None):
        """Commits the input as inference `id`, by default the next number.

        deadline_ms: milliseconds, modulo 2**32, of a clock that the program keeps; deadlines are
        compared with one another only. OSError: the model's inference before it runs, or its
        output waits: take() it, or queue it (relume.Results).
        """
        core = self.session(model)
        self.alone = None
        if core.state == DONE:
            raise OSError("the output before it waits: take it first")
        if id is None:
            id = core.inference + 1 & 0xFFFFFFFF
        dated = deadline_ms is not None
        due = deadline_ms & 0xFFFFFFFF if dated else self.due()
        while core.begin(id, input, priority, due, dated) == _relume.ERASED:
            pass

    def step(self):
        """One step of the inference that comes first: its model and MORE, DONE, RAN or ERASED of
        _relume. None: nothing runs. OSError: it cannot go on, and is passed over from then on."""
        first = self.first()
        if first is None:
            return None
        if self.alone is not None:
            try:
                return first, self.alone.step()
            except OSError as error:
                self.alone, self.trouble[first] = None, error
                raise
        now = self.now
        waits = now is not None and now != first and now in self.open and not self._committed(now)
        model = now if waits else first
        try:
            core = self.session(model)
            self.now = model
            return model, core.step(waits)
        except OSError as error:
            self.now = model
            self.trouble[model] = error
            raise

    def run(self):
        """Goes on until nothing runs; pairs of model name and output as they come."""
        while True:
            done = self.step()
            if done is None:
                return
            model, result = done
            if result == _relume.DONE:
                yield self.slots[self._index(model)][0], self.cores[model].output()

    def output(self, model=None):
        """The output's bytes of an inference that is done."""
        return self.session(model).output()

    def take(self, model=None):
        """The output is safe elsewhere."""
        core = self.session(model)
        while core.take(core.inference) == _relume.ERASED:
            pass

    def clear(self, model=None):
        """Gives up whatever is in the model's store."""
        model = self.find(model)
        core = self.core(model)
        self.alone = None
        try:
            self.session(model)
        except OSError:
            pass  # what it refuses is given up
        while core.clear() == _relume.ERASED:
            pass
        self.open.discard(model)
        self.trouble.pop(model, None)
        del self.cores[model]
