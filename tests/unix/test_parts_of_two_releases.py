"""Parts of two releases on one board are refused in one line that says which."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from tests.native import NATIVE, ROOT
from tests.unix.firmware import Machine
from tests.unix.nets import planned

pytestmark = pytest.mark.unix
FIRMWARE = ROOT / "firmware"
OLD = "0.0.9"


def test_all_parts_of_a_release_say_the_same_version() -> None:
    def named(path: str, name: str) -> str:
        found = re.search(rf'\b{name}"?:? ?=? ?"(.+?)"', (ROOT / path).read_text("utf-8"))
        assert found, path
        return found[1]

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {
        named("host/relume/__init__.py", "__version__"),
        named("firmware/relume/__init__.py", "VERSION"),
        named("firmware/relume_pure/status.py", "RELUME"),
        named(str(NATIVE.relative_to(ROOT) / "version.h"), "RL_VERSION"),
        *(
            json.loads((FIRMWARE / name).read_text("utf-8"))["version"]
            for name in ("package.json", "package_pure.json")
        ),
    } == {project["version"]}


IMPORTS = """
import sys, json
sys.path[:] = PATHS
FAKE
try:
    import relume
    print(json.dumps("imported"))
except ImportError as error:
    print(json.dumps(str(error)))
"""


def imported(machine: Machine, fake: str) -> str:
    """What importing relume says when a part is another's."""
    source = IMPORTS.replace("PATHS", repr([str(FIRMWARE)])).replace("FAKE", fake)
    answer = machine.value(source)
    assert isinstance(answer, str)
    return answer


FAKES = {
    "firmware": "class _relume: VERSION = {0!r}\nsys.modules['_relume'] = _relume",
    "native": "class native: VERSION = {0!r}\nsys.modules['_relume_native'] = native\n"
              "import relume_pure",
    "python": "import relume_pure\nrelume_pure.VERSION = {0!r}\n"
              "sys.modules['_relume'] = relume_pure",
}  # fmt: skip
LINES = {
    "firmware": f"relume is 0.1.0, but _relume {OLD}: install both from one relume",
    "native": f"_relume_native is of relume {OLD}, relume_pure of 0.1.0: relume deploy brings"
              " both",
    "python": f"relume is 0.1.0, but relume_pure {OLD}: install both from one relume",
}


@pytest.mark.parametrize("part", FAKES)
def test_an_older_part_is_named_beside_what_it_met(machine: Machine, part: str) -> None:
    fake = FAKES[part].format(OLD).replace("\n", "\n    ")
    source = f"try:\n    {fake}\nexcept ImportError as error:\n    print(json.dumps(str(error)))\n"
    source += "    raise SystemExit\n"
    assert imported(machine, source) == LINES[part]


def test_the_firmware_s_own_parts_fit(machine: Machine) -> None:
    assert imported(machine, "") == "imported"


@pytest.mark.parametrize("module", ["_relume", "relume_pure"])
def test_a_blob_of_another_version_is_to_be_planned_again(machine: Machine, module: str) -> None:
    blob = bytearray(planned(4).blob)
    blob[4] += 1
    source = f"""
import sys, json
sys.path[:] = [{str(FIRMWARE)!r}]
import {module} as relume
try:
    relume.check({bytes(blob)!r})
except ValueError as error:
    print(json.dumps(str(error)))
"""
    assert re.fullmatch(
        r"blob of another version, plan it again: .*version at offset 4", machine.value(source)
    )
