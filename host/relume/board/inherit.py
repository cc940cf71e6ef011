"""What a board takes from others: `extends` in its board.toml.

`extends` names folders under boards/ (RPI_PICO: its board.toml) or files (families/nrf52840:
families/nrf52840.toml), the later ones win, the board itself over all. Tables are merged key by
key, anything else is replaced; `drop` lists keys of the others that the board does not have.
What a board is called and how it was tested is never taken over. The firmware's build reads
board.toml through this file too, so it needs nothing but Python.
"""

from __future__ import annotations

import tomllib
from typing import Any, Protocol

from relume.errors import BoardError

OWN = ("name", "title", "tested", "extends", "drop")  # never taken over
DEPTH = 4  # of boards that extend boards: more is a circle


class Folder(Protocol):
    """What is needed of a path or of a package's resource."""

    def __truediv__(self, name: str, /) -> Folder:
        """A file in it."""

    def is_file(self) -> bool:
        """Is it there?"""

    def read_text(self, encoding: str | None = None, /) -> str:
        """Its text."""


def file_name(name: str) -> str:
    """The file of a board or family, below boards/."""
    return f"{name}.toml" if "/" in name else f"{name}/board.toml"


def read_tables(root: Folder, name: str, depth: int = DEPTH) -> dict[str, Any]:
    """A board's values with all that it extends. Errors: BoardError naming file and key."""
    file = f"boards/{file_name(name)}"
    try:
        text = (root / file_name(name)).read_text("utf-8")
    except OSError as error:
        raise BoardError(f"{file}: {error.strerror or error}") from error
    return merge(root, parse(text, file), file, depth)


def parse(text: str, file: str) -> dict[str, Any]:
    """TOML text as it stands. Errors: BoardError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BoardError(f"{file}: {error}") from error


def merge(root: Folder, own: dict[str, Any], file: str, depth: int = DEPTH) -> dict[str, Any]:
    """`own` over what it extends, `extends` and `drop` done. Errors: BoardError."""
    result: dict[str, Any] = {}
    for other in _names(own, "extends", file):
        if depth == 0:
            raise BoardError(f"{file}: extends: {other}: boards extend each other in a circle")
        if not (root / file_name(other)).is_file():
            raise BoardError(f"{file}: extends: {other}: there is no boards/{file_name(other)}")
        taken = read_tables(root, other, depth - 1)
        result = _over(result, {key: taken[key] for key in taken if key not in OWN})
    for path in _names(own, "drop", file):
        _drop(result, path, file)
    return _over(result, {key: own[key] for key in own if key not in ("extends", "drop")})


def _names(own: dict[str, Any], key: str, file: str) -> list[str]:
    value = own.get(key, [])
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise BoardError(f"{file}: {key}: not a text or a list of texts")
    return names


def _over(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    result = dict(low)
    for key, value in high.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _over(result[key], value) if both else value
    return result


def _drop(result: dict[str, Any], path: str, file: str) -> None:
    *tables, key = path.split(".")
    place = result
    for name in tables:
        value = place.get(name)
        if not isinstance(value, dict):
            raise BoardError(f"{file}: drop: {path}: there is nothing to drop")
        place[name] = dict(value)
        place = place[name]
    if key not in place:
        raise BoardError(f"{file}: drop: {path}: there is nothing to drop")
    del place[key]
