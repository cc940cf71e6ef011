"""Input files that once ended in a traceback, or in a warning beside the result.

SECURITY H1.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from relume.blob.reader import read_blob
from relume.errors import LinkError
from relume.link.inputs import load_samples

from tests.unit.golden import make_golden

BLOB = read_blob(make_golden.BLOB.read_bytes())
TENSOR = BLOB.tensors[BLOB.input]


HEADERS = [b"{'descr': (\n", b"'''", b"{" * 200, b"\\\n\\", b"{'a':\x00}"]


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_that_is_no_python_is_refused_in_one_line(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(LinkError, match="not a NumPy array file") as refusal:
        load_samples(path, TENSOR)
    assert "\n" not in str(refusal.value)


def test_a_value_beyond_float32_is_clamped_without_a_warning(tmp_path: Path) -> None:
    file = io.BytesIO()
    values = np.zeros(TENSOR.shape, np.float32)
    values.flat[:2] = 3e38, -3e38
    np.save(file, values)
    (tmp_path / "x.npy").write_bytes(file.getvalue())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (sample,) = load_samples(tmp_path / "x.npy", TENSOR).items
    assert np.frombuffer(sample[:2], np.int8).tolist() == [127, -128]
