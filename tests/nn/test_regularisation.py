"""LSeg's blocks against plain loops in float64, and what makes them fit for any vocabulary."""

import math

import pytest
import torch

from clipkit.nn import SpatialRegularisation
from support.closed_form import closed_form_

ACTIVATIONS = {
    "relu": lambda v: max(v, 0.0),
    "lrelu": lambda v: v if v > 0 else 0.01 * v,
    "tanh": math.tanh,
}


def logits(*shape, seed=0):
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(kind, depth=2, activation="lrelu"):
    return closed_form_(SpatialRegularisation(kind, depth, activation).double(), scale=0.4)


def loops(block, x, kind, depth, activation):
    weight, bias = block.conv.weight.tolist()[0][0], block.conv.bias.item()
    labels, height, width = x.shape
    now = x.tolist()
    for step in range(depth):
        new = [[[0.0] * width for _ in range(height)] for _ in range(labels)]
        for k in range(labels):
            for i in range(height):
                for j in range(width):
                    total = bias
                    for a in range(3):
                        for b in range(3):
                            y, z = i + a - 1, j + b - 1
                            if 0 <= y < height and 0 <= z < width:
                                total += weight[a][b] * now[k][y][z]
                    if kind == "bottleneck":
                        total += max(now[m][i][j] for m in range(labels))
                    new[k][i][j] = total if step == depth - 1 else ACTIVATIONS[activation](total)
        now = new
    return torch.tensor(now, dtype=torch.float64)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("kind", ["bottleneck", "depthwise"])
def test_equals_loops(kind, depth, activation):
    block, x = build(kind, depth, activation), logits(2, 3, 4, 5)
    got = block(x)
    assert sum(p.numel() for p in block.parameters()) == 10
    for image in range(2):
        torch.testing.assert_close(got[image].detach(), loops(block, x[image], kind, depth, activation))


@pytest.mark.parametrize("kind", ["bottleneck", "depthwise"])
def test_labels_permute(kind):
    block, x = build(kind), logits(2, 7, 6, 5)
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    assert torch.equal(block(x)[:, order], block(x[:, order]))


def test_other_labels_matter_to_the_bottleneck_alone():
    x = logits(1, 5, 4, 4)
    x[:, 4] += 20
    assert torch.equal(build("depthwise")(x)[:, :3], build("depthwise")(x[:, :3]))
    assert not torch.allclose(build("bottleneck")(x)[:, :3], build("bottleneck")(x[:, :3]))
    assert build("bottleneck")(x[:, :1]).shape == (1, 1, 4, 4)
    assert build("bottleneck")(logits(1, 200, 3, 3)).shape == (1, 200, 3, 3)


def test_chunks_of_labels_with_the_maximum_of_all_give_the_whole():
    block, x = build("bottleneck"), logits(1, 7, 4, 5)
    wanted = block(x)
    for step in range(block.depth):
        top = x.amax(1, keepdim=True)
        x = torch.cat([block.apply_once(part, top, last=step == 1) for part in x.split(3, dim=1)], dim=1)
    torch.testing.assert_close(x, wanted)
    with pytest.raises(ValueError, match="maximum over all labels"):
        block.apply_once(x)


@pytest.mark.parametrize("kind", ["bottleneck", "depthwise"])
def test_gradients(kind):
    block, x = build(kind, activation="tanh"), logits(1, 3, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(block, (x,))
    block(x).square().sum().backward()
    assert all(p.grad.abs().min() > 0 for p in block.parameters())


def test_gradient_of_equal_labels_is_shared():
    x = torch.ones(1, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    build("bottleneck")(x).sum().backward()
    assert torch.equal(x.grad, x.grad[:, :1].expand_as(x))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="'dense' is unknown; known: bottleneck"):
        SpatialRegularisation("dense")
    with pytest.raises(ValueError, match="'gelu' is unknown; known: relu"):
        SpatialRegularisation(activation="gelu")
    with pytest.raises(ValueError, match="at least 1"):
        SpatialRegularisation(depth=0)
