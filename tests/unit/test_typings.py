"""firmware/typings says what the packages in firmware have, no more and no less."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).resolve().parent.parent.parent / "firmware"
STUBS = sorted(
    str(path.relative_to(FIRMWARE / "typings")) for path in (FIRMWARE / "typings").rglob("*.pyi")
)
# What relume_pure/__init__.py has from its other files.
ELSEWHERE = {
    "Bytes": "nvm", "File": "file", "FramI2c": "fram_i2c", "Session": "session",
    "BlobError": "status", "BoardError": "status", "crc32": None, "text": "status",
}  # fmt: skip


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions(body: list[ast.stmt]) -> dict[str, list[str]]:
    """Name -> its arguments, * and those with a default marked; of public functions."""
    found = {}
    for node in body:
        if not isinstance(node, ast.FunctionDef):
            continue
        if node.name.startswith("_") and not node.name.endswith("__"):
            continue
        given = node.args
        names = [one.arg for one in given.args]
        for i in range(len(given.defaults)):
            names[-1 - i] += "="
        if given.vararg:
            names.append("*")
        if not any(isinstance(one, ast.Name) and one.id == "overload"
                   for one in node.decorator_list):  # fmt: skip
            found[node.name] = names
        else:
            found.setdefault(node.name, names)
    return found


def classes(tree: ast.Module) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def aliases(node: ast.ClassDef) -> dict[str, str]:
    """Methods that are another's second name."""
    return {
        target.id: one.value.id
        for one in node.body
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.Name)
        for target in one.targets
        if isinstance(target, ast.Name)
    }


def methods(node: ast.ClassDef) -> dict[str, list[str]]:
    found = functions(node.body)
    found |= {name: found[other] for name, other in aliases(node).items() if other in found}
    return {name: args for name, args in found.items() if name not in ("__getattr__", "__str__")}


def compared(stub: Path, source: Path, wanted: set[str] | None = None) -> int:
    """Classes of the stub against those of the source; how many there were."""
    here, there = classes(parsed(stub)), classes(parsed(source))
    count = 0
    for name, node in here.items():
        if any(isinstance(base, ast.Name) and base.id == "TypedDict" for base in node.bases):
            continue
        if wanted is not None and name not in wanted:
            continue
        found, given = methods(there[name]), methods(node)
        if name in ("File", "FramI2c"):  # what it has of Bytes is said there
            found = {method: found[method] for method in given}
        assert given == found, name
        count += 1
    return count


@pytest.mark.parametrize("stub", [one for one in STUBS if one.startswith("relume/")])
def test_classes_and_functions_are_those_of_the_source(stub: str) -> None:
    path, source = FIRMWARE / "typings" / stub, (FIRMWARE / stub).with_suffix(".py")
    count = compared(path, source)
    here, there = functions(parsed(path).body), functions(parsed(source).body)
    lazy = [name for name in there if name[0].isupper()]  # they import their class
    assert here == {name: args for name, args in there.items() if name not in lazy}
    imported = {
        alias.name
        for node in parsed(path).body
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
        if alias.asname
    }
    assert imported == set(lazy)
    assert count


def test_the_engine_in_python_too() -> None:
    stub = FIRMWARE / "typings/relume_pure/__init__.pyi"
    source = FIRMWARE / "relume_pure/__init__.py"
    seen = 0
    for file in ("nvm", "file", "fram_i2c", "session", "status"):
        wanted = {name for name, where in ELSEWHERE.items() if where == file}
        seen += compared(stub, FIRMWARE / f"relume_pure/{file}.py", wanted)
    assert seen == 6
    here, there = functions(parsed(stub).body), functions(parsed(source).body)
    assert {name for name in there if name[0].isupper()} == {"File", "FramI2c"}  # imported late
    assert {name: args for name, args in here.items() if name not in ELSEWHERE} == {
        name: args for name, args in there.items() if name not in ELSEWHERE
    }
    test, itself = (FIRMWARE / f"{folder}relume_pure/selftest.py{end}"
                    for folder, end in (("typings/", "i"), ("", "")))  # fmt: skip
    assert functions(parsed(test).body) == functions(parsed(itself).body)
