"""The shapes in three dimensions: where their points lie, and what changes them."""

import pytest
import torch

from clipkit.shapes import SHAPES, render_clouds
from clipkit.shapes._sdf import shape_sdf
from clipkit.shapes.clouds import TURNED

STILL = dict(yaw=0.0, pitch=0.0, stretch=0.0, jitter=0.0)


@pytest.fixture(scope="module")
def still():
    return render_clouds(12, points=2000, seed=1, **STILL).points


@pytest.mark.parametrize("name", SHAPES)
def test_points_lie_on_the_surface(name, still):
    x, y, z = still[SHAPES.index(name)].double().unbind(1)
    if name in TURNED:
        assert shape_sdf(name, (x**2 + z**2).sqrt(), -y).abs().max() < 0.03
    else:
        outline, half = shape_sdf(name, x, -y), z.abs().max()
        on_cap = (z.abs() - half).abs() < 1e-6
        near = 0.06 if name in ("heart", "crescent") else 0.03  # at whose corners the distances are not exact
        assert outline[~on_cap].abs().max() < near and outline.max() < near
        assert 0.05 < on_cap.double().mean() < 0.98


def test_a_sphere_is_even(still):
    """Of a sphere equal slices have equal areas (Archimedes)."""
    y = still[SHAPES.index("circle")][:, 1] / 0.95
    slices = torch.histc(y, bins=4, min=-1, max=1)
    assert (slices - 500).abs().max() < 90  # of 19, more than four standard deviations


def test_equal_arguments_give_equal_clouds_and_more_the_same_first_ones():
    few, more, other = (render_clouds(n, points=50, seed=s) for n, s in ((5, 3), (14, 3), (5, 4)))
    assert torch.equal(few.points, more.points[:5]) and not torch.equal(few.points, other.points)
    assert more.shape.tolist() == [*range(12), 0, 1] and more.points.dtype == torch.float32


def test_a_scan_sees_one_side():
    whole, scan = (render_clouds(1, points=500, one_sided=side, **STILL).points[0, :, 2] for side in (False, True))
    assert whole.max() > 0.5 and scan.max() < 0.05 and scan.min() < -0.9


def test_clutter_is_a_wall_behind():
    points = render_clouds(3, points=200, clutter=0.25, **STILL).points
    assert ((points[:, :, 2] - 0.9).abs() < 1e-6).sum(1).tolist() == [50] * 3


@pytest.mark.parametrize("bad", [dict(count=0), dict(points=0), dict(clutter=1.0), dict(clutter=-0.1)])
def test_what_cannot_be_is_refused(bad):
    with pytest.raises(ValueError, match=r"count|clutter"):
        render_clouds(**{"count": 1, **bad})
