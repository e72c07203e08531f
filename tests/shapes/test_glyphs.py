"""Glyphs: reproducible, ten kinds, and told apart by their pixels."""

import pytest
import torch

from clipkit.shapes.glyphs import GLYPHS, render_glyphs


def test_equal_arguments_give_equal_scenes():
    images, labels = render_glyphs(40, seed=3)
    again, same = render_glyphs(40, seed=3)
    assert torch.equal(images, again) and torch.equal(labels, same)
    assert images.shape == (40, 3, 64, 64) and images.min() >= 0 and images.max() <= 1
    assert not torch.equal(images, render_glyphs(40, seed=4)[0])


def test_all_kinds_come_and_no_two_look_alike():
    from clipkit.shapes.glyphs import _ROWS

    assert set(render_glyphs(300)[1].tolist()) == set(range(len(GLYPHS))) and len(GLYPHS) == 10
    rows = list(_ROWS.values())
    for i, a in enumerate(rows):
        for b in rows[:i]:
            assert sum(x != y for x, y in zip(a, b)) >= 3


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="at least 64"):
        render_glyphs(1, size=32)
