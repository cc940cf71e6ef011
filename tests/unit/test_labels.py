"""Labels are as many as the outputs that they name, or the deploy is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from relume.blob.reader import read_blob
from relume.errors import LinkError
from relume.link import labels

from tests.unit.test_deploy import refusal
from tests.unit.test_link_drops import NEW

BLOB = read_blob(NEW)
NAMES = [f"class {n}" for n in range(BLOB.output_tensor.shape[-1])]


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.rlm"
    path.write_bytes(NEW)
    return path


def test_they_lie_beside_the_blob_or_where_it_is_said(net: Path, tmp_path: Path) -> None:
    assert labels.of_model(BLOB, net, None) == []
    net.with_suffix(".txt").write_bytes("\r\n".join(NAMES).encode() + b"\r\n\n")
    assert labels.of_model(BLOB, net, None) == NAMES
    other = tmp_path / "other.txt"
    other.write_text("\n".join(reversed(NAMES)))
    assert labels.of_model(BLOB, net, other) == NAMES[::-1]


@pytest.mark.parametrize("names", [NAMES[1:], [*NAMES, "one more"], []])
def test_another_number_is_refused(net: Path, names: list[str]) -> None:
    net.with_suffix(".txt").write_text("\n".join(names))
    with pytest.raises(LinkError, match=f"{max(1, len(names))} labels, .* has {len(NAMES)} outp"):
        labels.of_model(BLOB, net, None)


def test_a_file_that_cannot_be_read_is_one_line_and_nothing_is_sent(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"\xff\xfe\x00")
    for path in (bad, tmp_path / "none.txt"):
        line = refusal(["deploy", str(net), "-p", "/dev/ttyNONE", "--labels", str(path)], capsys)
        assert str(path) in line and "labels" in line


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.txt"
    path.write_bytes(labels.as_file(["one", "", "drei Äpfel"]))
    assert labels.read(path) == ["one", "", "drei Äpfel"]
