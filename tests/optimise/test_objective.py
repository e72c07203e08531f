"""Each loss against the paper's formula in plain loops."""

import math

import pytest
import torch

from clipkit.errors import ClipkitError
from clipkit.optimise import ClipLoss, Goal
from clipkit.shapes import render, tiny_clip


@pytest.fixture(scope="module")
def clip():
    return tiny_clip().double()


@pytest.fixture(scope="module")
def pictures():
    return render(3, seed=1).images.double()


def unit(row):
    return row / row.norm()


@pytest.mark.parametrize("distance", ["spherical", "cosine"])
def test_goals(clip, pictures, distance):
    aim = render(1, seed=9).images[0].double()
    goals = ["a red heart", Goal("a blue star", -0.3), Goal(aim, 2.0)]
    found = ClipLoss(clip, goals, distance=distance)(pictures)["goals"]
    rows = [*clip.encode_text(["a red heart", "a blue star"]), clip.encode_image(aim[None])[0]]
    for picture, value in zip(pictures, found):
        embedding = clip.encode_image(picture[None])[0]
        total = 0.0
        for weight, row in zip((1.0, -0.3, 2.0), rows):
            angle = math.acos(float(embedding @ row))
            far = 2 * (angle / 2) ** 2 if distance == "spherical" else 1 - math.cos(angle)
            total += weight * far
        assert value.item() == pytest.approx(total, abs=1e-6)


def test_direction(clip, pictures):
    loss = ClipLoss(clip, ["a blue star"], distance="direction", base="a red star")
    source = pictures.roll(1, 0)
    way = unit(clip.encode_text(["a blue star"])[0] - clip.encode_text(["a red star"])[0])
    for picture, start, value in zip(pictures, source, loss(pictures, source=source)["goals"]):
        moved = clip.encode_image(picture[None])[0] - clip.encode_image(start[None])[0]
        expected = 1 - float(moved @ way) / math.sqrt(float(moved @ moved) + 0.09)
        assert value.item() == pytest.approx(expected, abs=1e-6)


def test_a_direction_that_has_not_moved_yet_has_a_finite_gradient(clip, pictures):
    edited = pictures.clone().requires_grad_()
    ClipLoss(clip, ["a blue star"], distance="direction", base="a red star")(edited, source=pictures)[
        "goals"
    ].sum().backward()
    assert torch.isfinite(edited.grad).all() and 0 < edited.grad.abs().max() < 100


@pytest.mark.parametrize("relative", [True, False])
def test_layers_and_embedding(clip, pictures, relative):
    loss = ClipLoss(clip, layers={1: 1.0, -1: 0.5}, relative=relative, embedding_weight=0.1)
    target = pictures.roll(1, 0)
    found = loss(pictures, target)
    mine, other = (clip.features(x, (1, -1), dense=False) for x in (pictures, target))
    for b in range(3):
        total = 0.0
        for weight, a, c in zip((1.0, 0.5), mine.maps, other.maps):
            apart = sum(float((x - y) ** 2) for x, y in zip(a[b].flatten(), c[b].flatten())) / a[b].numel()
            total += weight * apart / (float(c[b].square().mean()) if relative else 1.0)
        assert found["layers"][b].item() == pytest.approx(total, rel=1e-6)
        cosine = float(unit(mine.embedding[b]) @ unit(other.embedding[b]))
        assert found["embedding"][b].item() == pytest.approx(0.1 * (1 - cosine), abs=1e-6)


def test_below_its_stop_a_goal_keeps_its_value_and_loses_its_gradient(clip, pictures):
    asked = pictures.clone().requires_grad_()
    free, stopped = (ClipLoss(clip, [Goal("a red heart", 1.0, stop)]) for stop in (-math.inf, 10.0))
    value = stopped(asked)["goals"]
    torch.testing.assert_close(value, free(pictures)["goals"])
    value.sum().backward()
    assert (asked.grad == 0).all()


def test_what_is_missing_is_told(clip, pictures):
    with pytest.raises(ClipkitError, match="cosine"):
        ClipLoss(clip, ["a"], distance="cosin")
    with pytest.raises(ClipkitError, match="base="):
        ClipLoss(clip, ["a"], distance="direction")
    with pytest.raises(ClipkitError, match="target"):
        ClipLoss(clip, layers={0: 1.0})(pictures)
    with pytest.raises(ClipkitError, match="source"):
        ClipLoss(clip, ["a"], distance="direction", base="b")(pictures)
