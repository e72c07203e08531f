"""Clouds as pictures: against the originals' recorded numbers, and against loops over points in float64."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from clipkit_plugins.pointclip.projection import (
    SIX,
    TEN,
    TEN_DIAGONAL,
    DepthMaps,
    PaintedViews,
    RealisticMaps,
    build_projection,
)

from clipkit.errors import ClipkitError

# Of the originals (PointCLIP 02c91ee, PointCLIP_V2 04779d3) over `formula()`: of each view the sum, the sums weighted
# by rows and by columns, the largest value; and every 1777th pixel of the first cloud.
RECORDED = json.loads(Path(__file__).with_name("recorded_maps.json").read_text())
KINDS = {"zero-shot": DepthMaps("zero-shot"), "few-shot": DepthMaps("few-shot"), "v2": RealisticMaps()}


def formula(clouds: int = 3, count: int = 200) -> torch.Tensor:
    i = torch.arange(clouds * count * 3, dtype=torch.float64)
    points = torch.sin(i * 12.9898 + 0.5).mul(43758.5453).frac().view(clouds, count, 3)
    return (points / points.norm(dim=-1).amax()).float()


@pytest.mark.parametrize("kind", KINDS)
def test_equal_to_the_original(kind):
    maps = KINDS[kind](formula())
    assert torch.equal(maps[:, :, 0], maps[:, :, 1]) and torch.equal(maps[:, :, 0], maps[:, :, 2])
    found, ramp = maps[:, :, 0].double(), torch.linspace(0, 1, 224, dtype=torch.float64)
    sums = found.sum((-2, -1)), (found * ramp[:, None]).sum((-2, -1)), (found * ramp).sum((-2, -1))
    recorded = torch.tensor(RECORDED[kind]["stats"], dtype=torch.float64)
    for got, wanted in zip((*sums, found.amax((-2, -1))), recorded.unbind(-1)):
        torch.testing.assert_close(got, wanted, rtol=1e-6, atol=2e-5)
    pixels = torch.tensor(RECORDED[kind]["pixels"], dtype=torch.float64)
    torch.testing.assert_close(found.flatten(2)[0, :, ::1777], pixels, rtol=0, atol=1e-6)


def turned(points: np.ndarray, angles: tuple[float, float, float]) -> np.ndarray:
    (a, b, c), (d, e, f) = np.cos(angles), np.sin(angles)
    about = np.array([[1, 0, 0], [0, a, -d], [0, d, a]]), np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
    return points @ (about[0] @ about[1] @ np.array([[c, -f, 0], [f, c, 0], [0, 0, 1]])).T


def depth_map(points: np.ndarray, angles: tuple, side: int, distance: float) -> np.ndarray:
    """n / Σ 1/z of the points of a pixel, one after the other."""
    count, inverse = np.zeros((side, side)), np.zeros((side, side))
    for x, y, z in turned(points, angles) + np.array([0, 0, distance]):
        row, column = (math.ceil((part / z + 1) * side / 2 - 0.5) for part in (x, y))
        if 0 <= row < side and 0 <= column < side:
            count[row, column] += 1
            inverse[row, column] += 1 / z
    return np.divide(count, inverse, out=np.zeros_like(count), where=inverse > 0)


@pytest.mark.parametrize("kind, angles, side, distance", [("zero-shot", SIX, 128, 1.6), ("few-shot", TEN, 224, 1.4)])
def test_depth_maps_are_a_loop_over_points(kind, angles, side, distance):
    points = formula(1, 150)
    found = DepthMaps(kind, size=side)(points)[0, :, 0]
    for view, own in enumerate(angles):
        wanted = depth_map(points[0].double().numpy(), own, side, distance)
        np.testing.assert_allclose(found[view].numpy(), wanted, rtol=0, atol=2e-6)


def realistic_map(points: np.ndarray, view: int) -> np.ndarray:
    """The second version's steps, cell by cell."""
    seen = turned(turned(points, TEN_DIAGONAL[view]), (0, math.pi / (9 if view < 8 else 15), 0))
    middle, span = (seen.max(0) + seen.min(0)) / 2, (seen.max(0) - seen.min(0)).max()
    grid = np.zeros((8, 112, 112))
    for x, y, z in (seen - middle) / span * 2:
        x, y = (min(max(math.ceil((part * 0.8 + 1) / 2 * 112), 1), 110) for part in (x, y))
        z = ((z + 1) / 2 + 0.2) / 1.2 * 6
        cell = math.ceil(round(z, 9)), x, y  # the nearest point is at 1 but for rounding
        grid[cell] = max(grid[cell], min(max(z, 1), 6))
    padded = np.pad(grid, ((0, 0), (2, 2), (2, 2)), constant_values=-np.inf)
    thick = np.array(
        [[[layer[i : i + 7, j : j + 7].max() for j in range(110)] for i in range(110)] for layer in padded]
    )
    line = np.exp(-(np.arange(-1, 2) ** 2) / 18)
    weights = np.outer(line, line) / np.outer(line, line).sum()
    edged = np.pad(thick, ((0, 0), (1, 1), (1, 1)))
    smooth = sum(weights[i, j] * edged[:, i : i + 110, j : j + 110] for i in range(3) for j in range(3)).max(0)
    return 1 - smooth / smooth.max()


@pytest.mark.parametrize("view", [0, 9])
def test_realistic_maps_are_a_loop_over_points(view):
    points = formula(1, 60)
    found = RealisticMaps(size=110)(points)[0, view, 0]
    np.testing.assert_allclose(found.numpy(), realistic_map(points[0].double().numpy(), view), atol=2e-6)


def painted(points: np.ndarray, angles: tuple, of: PaintedViews) -> np.ndarray:
    """A z-buffer, point by point and pixel by pixel of its square."""
    side, wide = 2 * of.size, round(of.dot * of.size)
    depth = np.full((side, side), np.inf)
    for x, y, z in turned(points, angles) + np.array([0, 0, of.distance]):
        row, column = (math.floor((part / z + 1) * side / 2) for part in (x, y))
        if z > 0 and 0 <= row < side and 0 <= column < side:
            square = np.s_[max(row - wide, 0) : row + wide + 1, max(column - wide, 0) : column + wide + 1]
            depth[square] = np.minimum(depth[square], z)
    dark = 1 - of.shade * np.clip((depth - of.distance + 1) / 2, 0, 1)
    fine = np.where(np.isfinite(depth)[..., None], dark[..., None] * np.array(of.colour), np.array(of.ground))
    return fine.reshape(of.size, 2, of.size, 2, 3).mean((1, 3)).transpose(2, 0, 1)


def test_painted_views_are_a_loop_over_points():
    of, points = PaintedViews(size=40), formula(1, 120)
    found = of(points)[0]
    for view, angles in enumerate(of.angles):
        np.testing.assert_allclose(found[view].numpy(), painted(points[0].double().numpy(), angles, of), atol=2e-6)


def test_the_nearest_point_hides_the_others():
    near, far = [0.0, 0.0, -0.5], [0.0, 0.0, 0.5]
    of = PaintedViews(size=32, views="front", shade=1.0)
    both, alone, behind = (of(torch.tensor([points]))[0, 0, :, 16, 16] for points in ([far, near], [near], [far]))
    assert torch.equal(both, alone) and both[0] > behind[0]


def test_up_is_up_and_right_is_right():
    picture = PaintedViews(size=32, views="front")(torch.tensor([[[0.6, 0.9, 0.0]]]))[0, 0]
    red = (picture[0] - picture[2] > 0.4).nonzero().float().mean(0)
    assert red[0] < 16 < red[1]  # rows count downwards


PROJECTIONS = [*KINDS.values(), PaintedViews(size=32)]


@pytest.mark.parametrize("project", PROJECTIONS, ids=lambda p: type(p).__name__)
def test_clouds_without_points_are_empty_pictures(project):
    nothing = project(torch.empty(2, 0, 3))
    unseen = project(torch.full((2, 5, 3), torch.nan))
    assert nothing.shape[:3] == (2, len(project.angles), 3) and nothing.isfinite().all()
    assert torch.equal(nothing, unseen) and len(nothing[:, :, 0].unique()) == 1


@pytest.mark.parametrize("project", PROJECTIONS, ids=lambda p: type(p).__name__)
def test_what_is_no_point_changes_nothing(project):
    points = formula(1, 40)
    more = torch.cat([points, torch.tensor([[[torch.nan, 0, 0], [0, torch.inf, 0]]])], 1)
    assert torch.equal(project(points), project(more))


@pytest.mark.parametrize("project", PROJECTIONS, ids=lambda p: type(p).__name__)
def test_one_point_is_drawn_once(project):
    ground = project(torch.empty(1, 0, 3))
    drawn = (project(torch.zeros(1, 1, 3)) != ground).any(2)[0]
    assert drawn.flatten(1).any(1).all() and drawn.float().mean() < 0.05


@pytest.mark.parametrize("project", [p for p in PROJECTIONS if not isinstance(p, RealisticMaps)])
def test_what_lies_behind_the_eye_is_not_seen(project):
    behind = torch.tensor([[[0.0, 0.0, -5.0], [0.1, 0.0, -project.distance]]])  # and in its plane
    assert torch.equal(project(behind)[:, 0], project(torch.empty(1, 0, 3))[:, 0])


@pytest.mark.parametrize(
    "bad", [dict(type="Depth"), dict(type="DepthMaps", kind="x"), dict(view="ten"), dict(views="x")]
)
def test_unknown_projections_are_refused(bad):
    with pytest.raises(ClipkitError):
        build_projection(bad)
