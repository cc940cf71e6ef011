"""Options of every test run: `--heavy` adds the long suites, `--shard i/n` takes one part."""

from __future__ import annotations

import zlib

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--heavy", action="store_true", help="the long suites too")
    parser.addoption("--shard", default="1/1", metavar="i/n", help="part i of n, from 1")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "heavy: a long suite, run with --heavy")
    _shard(config)


def _shard(config: pytest.Config) -> tuple[int, int]:
    text = str(config.getoption("--shard"))
    part, slash, parts = text.partition("/")
    if not slash or not part.isdecimal() or not parts.isdecimal():
        raise pytest.UsageError(f"--shard {text}: write it as 1/4")
    if not 1 <= int(part) <= int(parts):
        raise pytest.UsageError(f"--shard {text}: the part lies outside 1 to {parts}")
    return int(part) - 1, int(parts)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--heavy"):
        skip = pytest.mark.skip(reason="a long suite: --heavy")
        for item in items:
            if item.get_closest_marker("heavy"):
                item.add_marker(skip)
    part, parts = _shard(config)
    # By name, so that a test stays in its shard when others come and go.
    mine = [item for item in items if zlib.crc32(item.nodeid.encode()) % parts == part]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(mine)])
    items[:] = mine
