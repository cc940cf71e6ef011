"""Host and board agree on the blob's bytes: pack() makes the golden blob and C reads it."""

from __future__ import annotations

import numpy as np
from relume.blob.pack import pack

from tests import native
from tests.unit.golden import make_golden as golden


def test_pack_makes_the_golden_blob() -> None:
    assert pack(golden.golden_plan()) == golden.BLOB.read_bytes()
    assert golden.golden_input() == golden.INPUT.read_bytes()


def test_golden_blob_gives_the_golden_output() -> None:
    checked = native.accepted(golden.BLOB.read_bytes())
    tensors = checked.run(golden.INPUT.read_bytes(), watch=True)
    assert tensors[6] == golden.OUTPUT.read_bytes()
    assert all(len(set(data)) > 2 for data in tensors.values())


def test_golden_blob_is_small_and_its_softmax_sums_to_one() -> None:
    assert golden.BLOB.stat().st_size < 4096
    shares = np.frombuffer(golden.OUTPUT.read_bytes(), np.int8).astype(int) + 128
    assert abs(int(shares.sum()) - 256) <= len(shares)
