"""Small mistakes made one by one in the C of store, session and liveness.

Works on the text of a line: comments, strings and the preprocessor are left alone. A mutant is
named by its file, its function, and the line before and after: its name outlives other changes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.native import NATIVE

_FILES = ("store*.c", "session*.c", "behind.c", "live.c")
SOURCES = tuple(sorted(path.name for pattern in _FILES for path in NATIVE.glob(pattern)))
_SWAPS = (
    (r"==", "!="), (r"!=", "=="), (r"<=", "<"), (r">=", ">"), (r" < ", " <= "), (r" > ", " >= "),
    (r"&&", "||"), (r"\|\|", "&&"), (r" \+ ", " - "), (r" - ", " + "), (r" \* ", " + "),
    (r" / ", " % "), (r" % ", " / "), (r"\+=", "-="), (r"-=", "+="), (r"\+\+", "--"),
    (r"--", "++"), (r" >> ", " << "), (r" & ", " | "), (r" \| ", " & "), (r"!(?=[\w(])", ""),
    (r"~", ""), (r"\(uint8_t\)~", "(uint8_t)"), (r"continue;", ";"), (r"break;", ";"),
    (r"return status;", "return RL_OK;"), (r"return RL_E_\w+;", "return RL_OK;"),
    (r"return RL_OK;", "return RL_E_STATE;"), (r"\bif \(.*\) \{$", "if (0) {"),
    (r"\bif \(.*\) \{$", "if (1) {"),
)  # fmt: skip
_NUMBER = re.compile(r"(?<![\w.])(\d+|0x[0-9A-Fa-f]+)(u?)(?![\w.])")
_STATEMENT = re.compile(r"^    +(?:\(void\))?[\w>.\[\]()+*/ -]+(?:\(.*\)|[+|-]?= .*|\+\+|--);$")
_DECLARES = re.compile(r"^\s+(?:const |static )*(?:u?int\d*_t|int|cell|rl_\w+) \**\w+")
_FUNCTION = re.compile(r"^(?:static |RL_HOT )*[a-z]\w*[ *]+(\w+)\(")


@dataclass(frozen=True)
class Mutant:
    """One mistake. number: among those of the same function that read alike."""

    source: str
    function: str
    line: int
    before: str
    after: str
    number: int = 0

    @property
    def name(self) -> str:
        """As survivors.md lists it."""
        tail = f" [{self.number}]" if self.number else ""
        return f"{self.source} {self.function}: `{self.before}` -> `{self.after}`{tail}"

    def text(self) -> str:
        """The whole source with the mistake."""
        lines = (NATIVE / self.source).read_text(encoding="utf-8").split("\n")
        found = lines[self.line]
        indent = found[: len(found) - len(found.lstrip())]
        lines[self.line] = indent + self.after
        return "\n".join(lines)


def mutants(source: str) -> list[Mutant]:
    """All of a source, in order of lines."""
    text = (NATIVE / source).read_text(encoding="utf-8")
    blank = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.S)
    function, made, seen = "", [], Counter[tuple[str, str, str]]()
    for number, line in enumerate(blank.split("\n")):
        named = _FUNCTION.match(line)
        function = named[1] if named else function
        if not line.startswith(" ") or _prototype(line) or '"' in line:
            continue
        for after in dict.fromkeys(_changes(line.rstrip())):
            key = (function, line.strip(), after.strip())
            made.append(Mutant(source, *key[:1], number, *key[1:], seen[key]))
            seen[key] += 1
    return made


def _prototype(line: str) -> bool:
    return bool(re.match(r"^\s+(?:const )?(?:void|u?int\d+_t|rl_\w+|int) \*?\w+[,)]", line))


def _changes(line: str) -> Iterator[str]:
    for pattern, other in _SWAPS:
        for found in re.finditer(pattern, line):
            yield line[: found.start()] + other + line[found.end() :]
    for found in _NUMBER.finditer(line):
        yield f"{line[: found.start()]}{int(found[1], 0) + 1}{found[2]}{line[found.end() :]}"
    if _STATEMENT.match(line) and not _DECLARES.match(line) and "return" not in line:
        yield ";"
