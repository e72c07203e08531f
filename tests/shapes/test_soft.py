"""The renderer as a generator: its pictures are the renderer's own, and its gradients those of what it draws."""

import pytest
import torch
from torch.nn import functional as F

from clipkit.shapes.soft import FACTORS, SoftScenes


def test_its_pictures_are_those_of_the_renderer():
    """But for edges: it reads the signed distances between the table's cells, the renderer at the nearest one."""
    scenes = SoftScenes(32, seed=3)
    drawn, truth = scenes(scenes.start), scenes.scenes.images
    apart = (drawn - truth).abs()
    inside = (scenes.scenes.instances > 0).float()[:, None]
    edge = F.max_pool2d(inside, 3, 1, 1) + F.max_pool2d(-inside, 3, 1, 1) > 0
    assert (apart * ~edge).max() < 0.12 and ((apart > 0.02) & ~edge).float().mean() < 1e-4
    assert apart.max() < 0.25 and -10 * apart.square().mean().log10() > 45


def test_gradients_are_those_of_its_pictures():
    """Of the drawn edge itself, edge=0, by central differences in float64."""
    scenes = SoftScenes(2, seed=5, edge=0).double()
    weight = torch.randn(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    start = scenes.start.clone()
    start[:, FACTORS["shape"]] += torch.randn(2, 12, generator=torch.Generator().manual_seed(1))
    latents = start.clone().requires_grad_()
    picture = scenes(latents)
    weight *= (picture > 0.01) & (picture < 0.99)  # beyond, pictures are clamped and the gradient is not
    (picture * weight).sum().backward()
    for channel in (0, 2, 3, 4, 5, 6, 9):
        step = torch.zeros_like(start)
        step[:, channel] = 1e-6
        with torch.no_grad():
            slope = ((scenes(start + step) - scenes(start - step)) * weight).sum((1, 2, 3)) / 2e-6
        torch.testing.assert_close(latents.grad[:, channel], slope, rtol=1e-4, atol=1e-4 * float(slope.abs().max()))


def test_a_wide_edge_draws_the_same_and_feels_further():
    near, far = SoftScenes(2, seed=5, edge=0), SoftScenes(2, seed=5, edge=3)
    torch.testing.assert_close(near(near.start), far(far.start))
    latents = far.start.clone().requires_grad_()
    far(latents).sum().backward()
    assert torch.isfinite(latents.grad).all() and (latents.grad[:, 4:6] != 0).all()


def test_copies_lie_side_by_side_and_what_is_kept_is_told():
    scenes = SoftScenes(2, seed=1)
    both = scenes(scenes.start.repeat_interleave(3, 0)).unflatten(0, (2, 3))
    torch.testing.assert_close(both[:, 2], scenes(scenes.start))
    assert all(value.all() for value in scenes.kept(scenes.start).values())
    other = scenes.start.clone()
    other[0, FACTORS["place"]] += 0.1
    other[1, FACTORS["shape"]] = other[1, FACTORS["shape"]].roll(1)
    kept = scenes.kept(other)
    assert kept["place"].tolist() == [False, True] and kept["shape"].tolist() == [True, False]
    scenes.clamp_(other.mul_(10))
    assert other[:, :3].max() <= 1 and other[:, 4:6].max() <= 1


def test_a_painted_object_is_where_its_mask_is():
    scene = SoftScenes(1, seed=2)
    shape = int(scene.scenes.shape[0, 0])
    assert (scene.mask(shape) ^ (scene.scenes.instances > 0)).float().mean() < 0.01
    painted = scene.painted(shape)
    changed = (painted[0] - painted[5]).abs().sum(0) > 0.1
    assert painted.shape == (8, 3, 64, 64) and (changed & ~scene.mask(shape)[0]).float().mean() < 0.03


@pytest.mark.parametrize("size", [64, 96])
def test_other_sizes(size):
    scenes = SoftScenes(1, size=size, seed=4)
    assert (scenes(scenes.start) - scenes.scenes.images).abs().mean() < 0.002
