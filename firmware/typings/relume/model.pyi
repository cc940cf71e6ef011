from _typeshed import ReadableBuffer
from array import array
from collections.abc import Callable, Sequence
from typing import Any, Union

from . import Session

Numbers = Union[Sequence[float], Sequence["Numbers"], ReadableBuffer]

class Model(Session):
    len: int
    ram_size: int
    resumed: bool
    labels: list[str] | None
    input_shape: list[tuple[int, int, int, int]]
    input_scale: list[float]
    input_zero_point: list[int]
    input_dtype: list[str]
    output_shape: list[tuple[int, int, int, int]]
    output_scale: list[float]
    output_zero_point: list[int]
    output_dtype: list[str]
    def __init__(
        self,
        model: str | ReadableBuffer | None = None,
        nvm: Any = None,
        base: int = 0,
        size: int = -1,
        labels: list[str] | None = None,
    ) -> None: ...
    def predict(self, x: Numbers | Callable[[], Numbers] | None = None) -> array[float]: ...
    def quantised(self, x: Numbers) -> ReadableBuffer: ...
    def label(self, output: Sequence[float] | array[float]) -> str | int: ...
