"""Rows of different lengths in one batch, and fewer of many."""

import numpy as np
import torch

from clipkit.data.padding import pad_rows, spread


def test_shorter_rows_are_filled_with_zeros_that_the_mask_leaves_out():
    rows = [torch.full((length, 2), float(length), dtype=torch.float16) for length in (1, 3, 0)]
    padded, mask = pad_rows(rows)
    assert padded.dtype == torch.float32 and padded[..., 0].tolist() == [[1, 0, 0], [3, 3, 3], [0, 0, 0]]
    assert mask.tolist() == [[True, False, False], [True] * 3, [False] * 3]


def test_rows_without_any_length_leave_one_masked_place():
    padded, mask = pad_rows([torch.zeros(0, 4)])
    assert padded.shape == (1, 1, 4) and not mask.any()


def test_frames_are_spread_alike_from_both_ends():
    assert spread(5, 12).tolist() == [0, 1, 2, 3, 4]
    for count, most in ((100, 7), (13, 12), (20, 3)):
        found = spread(count, most)
        assert len(found) == most and found[0] == 0 and found[-1] == count - 1
        assert np.ptp(np.diff(found)) <= 1
