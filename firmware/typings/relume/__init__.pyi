"""Types of what a board program imports: point your editor at firmware/typings."""

from _typeshed import ReadableBuffer
from typing import Any, TypedDict

from .model import Model as Model
from .queue import Queue as Queue
from .results import Results as Results
from .store import Store as Store

VERSION: str
EMPTY: int
RUNNING: int
DONE: int
IDLE: int
STUCK: int
STATES: tuple[str, ...]

class Deployed(TypedDict):
    name: str
    size: int
    meta_crc: int
    active: bool

class Info(TypedDict):
    name: str
    board: str
    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]
    input_size: int
    output_size: int
    meta_crc: int
    data_crc: int
    size: int
    nvm_kind: int
    nvm_size: int
    arena_size: int
    tiles: int
    segments: int

class Stats(TypedDict):
    inference: int
    tile: int
    tiles: int
    cycles: int
    commits: int
    nvm_bytes: int
    brownouts: int

def models() -> list[Deployed]: ...
def load(model: str | ReadableBuffer | None = None) -> ReadableBuffer: ...

class Session:
    info: Info
    core: Any
    refused: OSError | None
    def __init__(
        self,
        model: str | ReadableBuffer | None = None,
        nvm: Any = None,
        base: int = 0,
        size: int = -1,
    ) -> None: ...
    def begin(self, id: int, input: ReadableBuffer) -> None: ...
    def step(self) -> int: ...
    def run(self, input: ReadableBuffer | None = None, id: int | None = None) -> bytes: ...
    def take(self) -> None: ...
    def clear(self) -> None: ...
    @property
    def state(self) -> int: ...
    @property
    def output(self) -> bytes: ...
    @property
    def stats(self) -> Stats: ...
