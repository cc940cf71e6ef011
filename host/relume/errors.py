"""The one exception family: each becomes one line on stderr and exit code 1."""


class RelumeError(Exception):
    """What went wrong, in one line that names the place and says what to do."""


class ModelError(RelumeError):
    """A .tflite or .keras file that cannot be used."""


class PlanError(RelumeError):
    """A model that does not fit the board or the power budget."""


class BlobError(RelumeError):
    """A .rlm file that is damaged or of another version."""


class BoardError(RelumeError):
    """A board profile or firmware that is unknown, absent or unsuitable."""


class LinkError(RelumeError):
    """The serial link: port absent, held by another program, no answer, refused."""


class TraceError(RelumeError):
    """A harvest trace that cannot be read."""
