"""TOML tables whose errors name file and key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from relume.errors import BoardError


class Table:
    """A TOML table; `path` is what stands before its keys in errors, as in "nvm.fram."."""

    def __init__(
        self, file: str, path: str, data: Mapping[str, Any], seen: set[str] | None = None
    ) -> None:
        self.file, self.path, self.data = file, path, data
        self.seen: set[str] = set() if seen is None else seen

    def fail(self, key: str, text: str) -> BoardError:
        """The error of one key, to be raised."""
        return BoardError(f"{self.file}: {self.path}{key}: {text}")

    def all_read(self) -> None:
        """Refuses keys that nobody has read: a slip of the pen would change nothing, unnoticed."""
        for key, value in self.data.items():
            if self.path + key not in self.seen:
                raise self.fail(key, "unknown key")
            if isinstance(value, dict):
                self.sub(key).all_read()

    def value(self, key: str) -> Any:
        """Any value that is there."""
        self.seen.add(self.path + key)
        if key not in self.data:
            raise self.fail(key, "missing")
        return self.data[key]

    def sub(self, key: str) -> Table:
        """A table in this one."""
        value = self.value(key)
        if not isinstance(value, dict):
            raise self.fail(key, "not a table")
        return Table(self.file, f"{self.path}{key}.", value, self.seen)

    def maybe(self, key: str) -> Table | None:
        """A table in this one, None where it is left out."""
        return self.sub(key) if key in self.data else None

    def rows(self, key: str) -> list[Table]:
        """A list of tables."""
        rows = self.value(key)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self.fail(key, "not a list of tables")
        return [Table(self.file, f"{self.path}{key}.", row, self.seen) for row in rows]

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self.value(key)
        if not isinstance(value, str) or not value:
            raise self.fail(key, "not a text")
        return value

    def one_of(self, key: str, choices: Iterable[str]) -> str:
        """One of some words."""
        value, known = self.text(key), list(choices)
        if value not in known:
            raise self.fail(key, f"{value}: not one of {', '.join(known)}")
        return value

    def yes(self, key: str) -> bool:
        """true or false."""
        value = self.value(key)
        if not isinstance(value, bool):
            raise self.fail(key, "not true or false")
        return value

    def whole(self, key: str) -> int:
        """A whole number, at least 0."""
        value = self.value(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.fail(key, "not a whole number")
        return value

    def real(self, key: str) -> float:
        """A number, at least 0."""
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise self.fail(key, "not a number of at least 0")
        return float(value)

    def positive(self, key: str) -> int:
        """A whole number, at least 1."""
        if self.whole(key) == 0:
            raise self.fail(key, "is 0")
        return self.whole(key)
