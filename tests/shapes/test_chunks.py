"""Scenes in chunks: no scene depends on how many are asked for."""

import numpy as np
import pytest
import torch

from clipkit.shapes import render
from clipkit.shapes.chunks import chunks, to_bytes


def images(length, **options):
    found = list(chunks(length, seed=5, chunk=3, size=64, **options))
    assert all(len(scenes.images) == 3 for scenes, _ in found)
    return torch.cat([scenes.images[:count] for scenes, count in found])


def test_fewer_scenes_are_the_first_of_more():
    seven = images(7)
    assert len(seven) == 7 and torch.equal(images(4), seven[:4])
    assert torch.equal(seven[3:6], render(3, seed=6, size=64).images)  # the next chunk has the next seed
    assert not torch.equal(images(7, style="sketch"), seven)


def test_none_is_too_few():
    with pytest.raises(ValueError, match="at least 1 scene, got 0"):
        next(chunks(0, seed=0))


def test_bytes_are_rounded_and_lie_in_order():
    pixels = torch.tensor([0.0, 0.4 / 255, 0.6 / 255, 1.0]).expand(2, 3, 1, 4)
    found = to_bytes(pixels)
    assert found.dtype == np.uint8 and found.shape == (2, 1, 4, 3) and found.flags.c_contiguous
    assert found[1, 0, :, 2].tolist() == [0, 0, 1, 255]
