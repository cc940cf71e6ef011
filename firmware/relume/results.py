"""Outputs that wait, through any power cut, until somebody has taken them.

    import relume
    session, results = relume.Session(), relume.Results(relume.Store())
    session.run(input)
    results.keep(session)                  # from here on the session takes the next input
    for inference, output in results:      # oldest first
        send(inference, output)
        results.drop(inference)
"""

from . import DONE


class Results:
    """A queue in a Store: at most `most` outputs under the name `name`, each kept exactly once.

    A full queue refuses the newest, it never gives up an older one. Several models: a name each.
    Inferences that follow one another have different numbers, as Session.run gives them.
    """

    def __init__(self, store, name="results", most=16):
        self.store = store
        self.prefix = name.encode() + b":"
        self.last = name.encode() + b"=last"  # the key of the newest that was ever queued
        self.most = most

    def _key(self, inference):
        return self.prefix + b"%08x" % inference

    def _keys(self):
        return [key for key in self.store.keys() if key.startswith(self.prefix)]

    def keep(self, session):
        """Queues the output of a session that is done, and takes it.

        Commits the store with whatever else was put. A power cut leaves the session done or its
        output queued; call keep() again when a session opens as done. OSError: the queue or the
        store is full; the session keeps its output.
        """
        if session.state != DONE:
            raise ValueError("the session has no output")
        self.add(session.core.inference, session.output)
        session.take()

    def add(self, inference, output):
        """Queues an output, once, and commits. OSError as keep()."""
        key = self._key(inference)
        before = self.store.get(self.last)
        if before != key:  # else it was queued, maybe dropped, and only not taken
            if len(self) >= self.most:
                raise OSError("the queue of outputs is full: drop some")
            self.store.put(key, output)
            self.store.put(self.last, key)
            try:
                self.store.commit()
            except OSError:
                self.store.delete(key)
                if before is None:
                    self.store.delete(self.last)
                else:
                    self.store.put(self.last, before)
                raise

    def drop(self, inference):
        """Takes an output out of the queue, and commits. KeyError if it is not there."""
        self.store.delete(self._key(inference))
        self.store.commit()

    def __len__(self):
        return len(self._keys())

    def __iter__(self):
        """Pairs of inference and output, oldest first."""
        for key in self._keys():
            yield int(key[len(self.prefix):], 16), self.store[key]
