"""Substitutes of mmcv's operators against numbers of the compiled CPU operators."""

import json
from pathlib import Path

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmcv.ops)

pytest.importorskip("mmcv")

from mmcv_ops_cases import CASES

FILE = Path(__file__).with_name("mmcv_cpu_ops.json")
if not FILE.is_file():
    pytest.skip(f"no numbers of compiled operators: {FILE.name} is not there", allow_module_level=True)
RECORDED = json.loads(FILE.read_text())


@pytest.mark.parametrize("name", CASES)
def test_equals_the_compiled_operator(name):
    results = CASES[name]()
    assert len(results) == len(RECORDED[name])
    for ours, theirs in zip(results, RECORDED[name]):
        expected = torch.tensor(theirs["values"], dtype=ours.dtype).view(theirs["shape"])
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
