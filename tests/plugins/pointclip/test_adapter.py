"""The inter-view adapter against the released code's own layers, the converter, and the search of view weights."""

from itertools import product

import pytest
import torch
from clipkit_plugins.pointclip import convert
from clipkit_plugins.pointclip.adapter import InterViewAdapter
from clipkit_plugins.pointclip.search import search_view_weights
from torch import nn

from clipkit.errors import ClipkitError
from clipkit.nn import PointNet
from support.closed_form import closed_form_

VIEWS, DIM = 3, 8


class BatchNormPoint(nn.Module):
    """The original's, whose norm is called `bn`."""

    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm1d(DIM)

    def forward(self, x):
        return self.bn(x.reshape(-1, DIM)).view(x.shape)


class Original(nn.Module):
    """Layers in the released order, with its names (PointCLIP, trainers/fewshot.py)."""

    def __init__(self):
        super().__init__()
        self.fusion_ratio = nn.Parameter(torch.full((VIEWS,), 0.5))
        self.global_f = nn.Sequential(
            BatchNormPoint(), nn.Dropout(0.075), nn.Flatten(), nn.Linear(DIM * VIEWS, DIM), nn.BatchNorm1d(DIM),
            nn.ReLU(), nn.Dropout(0.075),
        )  # fmt: skip
        self.view_f = nn.Sequential(nn.Linear(DIM, DIM), nn.ReLU(), nn.Linear(DIM, DIM * VIEWS), nn.ReLU())

    def forward(self, x):
        adapted = self.view_f(self.global_f(x * self.fusion_ratio.view(1, -1, 1)))
        return adapted * 0.6 + x.reshape(len(x), -1) * 0.4


def original():
    model = closed_form_(Original()).eval()
    model.global_f[0].bn.running_var.abs_().add_(0.5)
    model.global_f[4].running_var.abs_().add_(0.5)
    return model


def test_a_converted_adapter_says_the_same():
    theirs, ours = original(), InterViewAdapter(DIM, VIEWS).eval()
    found = convert(
        {key: value.half() if value.is_floating_point() else value for key, value in theirs.state_dict().items()}
    )
    ours.load_state_dict({key.removeprefix("adapter."): value for key, value in found.state.items()}, strict=True)
    x = torch.sin(torch.arange(5.0 * VIEWS * DIM)).view(5, VIEWS, DIM)
    with torch.no_grad():
        torch.testing.assert_close(ours(x).flatten(1), theirs.half().float()(x))
    assert f"{VIEWS} views" in found.notes[0]


def test_both_ways_gives_the_same_file():
    state = original().state_dict()
    back = convert(convert(state).state, reverse=True)
    assert set(back.state) == set(state)
    assert all(torch.equal(back.state[key], value) for key, value in state.items())
    original().load_state_dict(back.state, strict=True)


@pytest.mark.parametrize(
    "key", ["fusion_ratio", "global_f.3.weight", "view_f.2.bias", "global_f.0.bn.num_batches_tracked"]
)
def test_a_missing_weight_is_named(key):
    state = original().state_dict()
    del state[key]
    with pytest.raises(ClipkitError, match=key):
        convert(state)


def test_what_has_no_place_or_another_shape_is_named():
    state = original().state_dict()
    with pytest.raises(ClipkitError, match="prompt"):
        convert({**state, "prompt": torch.zeros(1)})
    with pytest.raises(ClipkitError, match=r"view_f\.0\.weight"):
        convert({**state, "view_f.0.weight": torch.zeros(DIM, DIM + 1)})


def search_by_loop(features, text, labels, values):
    """The released search: the features of all views are weighted and multiplied for each combination."""
    best, found = 0.0, None
    for weights in product(values, repeat=features.shape[1]):
        weighted = (features * torch.tensor(weights, dtype=features.dtype).view(1, -1, 1)).flatten(1)
        accuracy = 100 * (weighted @ text.repeat(1, features.shape[1]).T).argmax(1).eq(labels).double().mean().item()
        if accuracy > best:
            best, found = accuracy, weights
    return found, best


def test_the_search_finds_what_the_loop_finds():
    generator = torch.Generator().manual_seed(0)
    text = torch.randn(5, 12, generator=generator, dtype=torch.float64)
    labels = torch.arange(40) % 5
    features = text[labels][:, None] + 2.5 * torch.randn(40, 6, 12, generator=generator, dtype=torch.float64)
    values = (0.25, 0.5, 0.75, 1.0)
    found = search_view_weights(features @ text.T, labels, values)  # all 4,096
    weights, accuracy = search_by_loop(features, text, labels, values)
    assert tuple(found.weights.tolist()) == weights and found.accuracy == pytest.approx(accuracy)
    equal = search_by_loop(features, text, labels, (1.0,))[1]
    assert accuracy > equal


def test_a_search_without_clouds_is_refused():
    with pytest.raises(ValueError, match="fit"):
        search_view_weights(torch.zeros(0, 2, 3), torch.zeros(0, dtype=torch.int64))


def test_a_network_of_points_knows_no_order():
    network = closed_form_(PointNet(4)).eval()
    points = torch.sin(torch.arange(2.0 * 30 * 3)).view(2, 30, 3)
    shuffled = points[:, torch.randperm(30, generator=torch.Generator().manual_seed(0))]
    assert network(points).shape == (2, 4)
    torch.testing.assert_close(network(points), network(shuffled))
    one = network(points[:1, :1].expand(1, 30, 3))
    torch.testing.assert_close(one, network(points[:1, :1]))  # a point that comes again says nothing new
