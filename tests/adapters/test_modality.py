"""The objective of three modalities against float64 loops, over the pairs that are present."""

import math

import pytest
import torch
from torch.nn import functional as F

from clipkit.adapters import PairsLoss


def cross_entropies(x, y, scale):
    """Both ways, each a mean over the rows, by hand."""
    x, y = ([[v / math.sqrt(sum(a * a for a in row)) for v in row] for row in m.tolist()] for m in (x, y))
    logits = [[scale * sum(a * b for a, b in zip(p, q)) for q in y] for p in x]
    total = 0.0
    for table in (logits, list(zip(*logits))):
        for i, row in enumerate(table):
            total += (math.log(sum(math.exp(v) for v in row)) - row[i]) / len(table)
    return total


@pytest.fixture
def rows():
    torch.manual_seed(0)
    return {name: torch.randn(5, 7, dtype=torch.float64) for name in ("audio", "image", "text")}


@pytest.mark.parametrize("present", [("audio", "image"), ("image", "text"), ("audio", "image", "text")])
@pytest.mark.parametrize("reduction", ["mean", "compat"])
def test_against_loops(rows, present, reduction):
    found = PairsLoss(scale=9.0, reduction=reduction)({name: rows[name] for name in present})
    pairs = [f"{a}-{b}" for a, b in (("audio", "image"), ("audio", "text"), ("image", "text")) if {a, b} <= {*present}]
    assert list(found) == pairs
    n = len(pairs)
    both = {pair: cross_entropies(*(rows[name] for name in pair.split("-")), 9.0) for pair in pairs}
    factor = 1 / math.factorial(n) if reduction == "compat" else 0.5 / n
    for pair, value in found.items():
        assert value.item() == pytest.approx(factor * both[pair], rel=1e-6)


def test_items_without_a_modality_are_left_out_of_its_pairs_alone(rows):
    has = {
        "image": torch.tensor([True, False, True, True, False]),
        "text": torch.tensor([True, True, False, True, False]),
    }
    found = PairsLoss(scale=5.0)(rows, has)
    own = {"audio": torch.ones(5, dtype=torch.bool), **has}
    for pair, value in found.items():
        a, b = pair.split("-")
        both = own[a] & own[b]
        wanted = cross_entropies(rows[a][both], rows[b][both], 5.0)
        assert value.item() == pytest.approx(wanted / 6, rel=1e-6)
    nothing = {"image": torch.zeros(5, dtype=torch.bool)}
    assert list(PairsLoss()(rows, nothing)) == ["audio-text"]
    assert PairsLoss()({"audio": rows["audio"]}) == {}


def test_scales_have_a_live_gradient_at_their_bound(rows):
    loss = PairsLoss(pairs=("audio-image",), scale=100.0)
    scale = loss.scales["audio-image"].log_scale
    with torch.no_grad():
        scale.fill_(math.log(1000.0))
    value = loss(rows)["audio-image"]
    value.backward()
    assert scale.exp().item() == pytest.approx(100.0, rel=1e-6) and scale.grad.abs() > 1e-6
    wanted = F.normalize(rows["audio"], dim=-1) @ F.normalize(rows["image"], dim=-1).T * 100
    labels = torch.arange(5)
    torch.testing.assert_close(
        value, (F.cross_entropy(wanted, labels) + F.cross_entropy(wanted.T, labels)) / 2, rtol=1e-5, atol=0
    )


def test_what_is_no_pair_is_refused():
    with pytest.raises(ValueError, match="two names"):
        PairsLoss(pairs=("audio",))
    with pytest.raises(ValueError, match="two names"):
        PairsLoss(pairs=("audio-audio",))
    with pytest.raises(ValueError, match="reduction"):
        PairsLoss(reduction="sum")
