"""Substitutes of mmcv's operators against numbers of the compiled CPU operators: onedl-mmcv 2.3.6's C++ files for nms,
soft-nms, nms_match, roi_align and both deformable convolutions, built with torch 2.15, 2026-11-21."""

import json
from pathlib import Path

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmcv.ops)

pytest.importorskip("mmcv")

from support.mmcv_ops_cases import CASES

RECORDED = json.loads(Path(__file__).with_name("mmcv_cpu_ops.json").read_text())


@pytest.mark.parametrize("name", CASES)
def test_equals_the_compiled_operator(name):
    results = CASES[name]()
    assert len(results) == len(RECORDED[name])
    for ours, theirs in zip(results, RECORDED[name]):
        expected = torch.tensor(theirs["values"], dtype=ours.dtype).view(theirs["shape"])
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
