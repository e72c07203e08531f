"""What a temporal module sees with `contrast`: frames less their video's mean, against plain loops."""

import math

import pytest
import torch

from clipkit.adapters import SeqLSTM, SeqTransformer, TightTransformer
from clipkit.adapters.temporal import changes


def videos():
    g = torch.Generator().manual_seed(0)
    mask = torch.arange(5) < torch.tensor([[5], [3], [1], [0]])
    return torch.randn(4, 5, 6, generator=g, dtype=torch.float64) + 3, mask


def loops(frames, count):
    """One video: `(F, D)` and its number of frames."""
    dim = frames.shape[1]
    mean = [sum(float(frames[f, d]) for f in range(count)) / count for d in range(dim)]
    rest = [[float(frames[f, d]) - mean[d] for d in range(dim)] for f in range(count)]
    spread = sum(r * r for row in rest for r in row) / count / dim
    size = sum(float(x) ** 2 for x in frames[:count].flatten()) / count / dim
    return [[r / math.sqrt(spread + 1e-4 * size) for r in row] for row in rest]


def test_changes_are_the_formula_and_padding_is_not_seen():
    frames, mask = videos()
    found = changes(frames, mask)
    for own, expected, inside in zip(found, frames, mask):
        count = int(inside.sum())
        if count:
            torch.testing.assert_close(own[:count], torch.tensor(loops(expected, count), dtype=torch.float64))
        assert (own[count:] == 0).all()
    frames[1, 3:] = 1e6
    assert torch.equal(changes(frames, mask), found)


def test_what_every_frame_has_is_gone_and_order_is_kept():
    frames, _ = videos()
    torch.testing.assert_close(changes(frames + 7, None), changes(frames, None), rtol=5e-2, atol=0)
    torch.testing.assert_close(changes(frames.flip(1), None), changes(frames, None).flip(1))
    still = frames[:, :1].expand(-1, 5, -1)
    assert changes(still).abs().max() < 1e-6


@pytest.mark.parametrize("build", [SeqLSTM, lambda dim, **k: SeqTransformer(dim, layers=1, heads=1, **k)])
def test_contrast_changes_what_the_module_sees_and_nothing_else(build):
    frames, mask = videos()
    torch.manual_seed(0)
    plain = build(6).double()
    torch.manual_seed(0)
    head = build(6, contrast=True).double()
    assert list(head.state_dict()) == list(plain.state_dict())
    seen = changes(frames, mask)
    torch.testing.assert_close(head.temporal(frames, mask) - frames, plain.temporal(seen, mask) - seen)
    assert (head(frames, mask) - plain(frames, mask)).abs().max() > 1e-3


def test_the_tight_head_sees_frames_and_changes():
    frames, mask = videos()
    text = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    plain = TightTransformer(6, layers=2, heads=1).double().eval()
    torch.manual_seed(0)
    head = TightTransformer(6, layers=2, heads=1, contrast=True).double().eval()
    found = head.similarity(text, frames, mask)
    torch.testing.assert_close(found, plain.similarity(text, frames + changes(frames, mask), mask))
    assert (found - plain.similarity(text, frames, mask)).abs().max() > 1e-6
