"""Each warp is torchvision's, one by one; together they are one map; the generator is the cutouts' own."""

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as tv

from clipkit.optimise import Cutouts
from clipkit.optimise.cutouts import affine, crop, homography, relight, sample
from clipkit.shapes import render

SIZE = 64


def picture():
    return render(1, seed=3).images


def inside(warp, side=SIZE):
    """Where a map stays a pixel or more inside of the picture."""
    axis = torch.arange(SIZE).double() + 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    u, v, w = (warp[0] @ torch.stack([x, y, torch.ones_like(x)]).flatten(1)).unbind(0)
    return ((u / w > 1) & (u / w < side - 1) & (v / w > 1) & (v / w < side - 1)).view(SIZE, SIZE)


def test_affine_is_torchvisions():
    given = dict(angle=12.5, translate=[5, -3], scale=1.0, shear=[7.0, -4.0])
    theirs = tv.affine(picture(), **given, interpolation=InterpolationMode.BILINEAR)
    warp = affine(
        torch.tensor([12.5]), torch.tensor([[5.0, -3]]).double(), torch.tensor([[7.0, -4]]).double(), SIZE, SIZE
    )
    mine = sample(picture(), warp, SIZE, 0.0)
    assert inside(warp).float().mean() > 0.5
    assert (mine - theirs).abs()[..., inside(warp)].max() < 1e-5


def test_perspective_is_torchvisions():
    corners = [[0, 0], [SIZE - 1, 0], [SIZE - 1, SIZE - 1], [0, SIZE - 1]]
    seen = [[6, 3], [52, 9], [60, 58], [2, 49]]
    theirs = tv.perspective(picture(), corners, seen, interpolation=InterpolationMode.BILINEAR, fill=1.0)
    warp = homography(torch.tensor([seen]).double(), torch.tensor(corners).double())
    mine = sample(picture(), warp, SIZE, 1.0)
    assert inside(warp).float().mean() > 0.5
    assert (mine - theirs).abs()[..., inside(warp)].max() < 1e-5
    assert mine[0, :, 0, 0].min() == 1.0


def test_crop_is_torchvisions():
    theirs = tv.resized_crop(picture(), 7, 11, 48, 50, [SIZE, SIZE], antialias=False)
    warp = crop(torch.tensor([[11.0, 7]]).double(), torch.tensor([[50.0, 48]]).double(), SIZE)
    mine = sample(picture(), warp, SIZE, 1.0)
    assert (mine - theirs).abs()[..., 1:-1, 1:-1].max() < 1e-5


def test_light_is_torchvisions_where_nothing_is_clamped():
    given = 0.3 + 0.3 * picture()
    theirs = tv.adjust_saturation(tv.adjust_contrast(tv.adjust_brightness(given, 1.1), 0.8), 1.2)
    mine = relight(given, torch.tensor([[1.1, 0.8, 1.2]]))
    assert (mine - theirs).abs().max() < 1e-5


def test_erasing_is_torchvisions():
    cutouts = Cutouts(SIZE, 3, perspective=0, crop=(1, 1), erase=(0.1, 0.4))
    (copies,) = cutouts(0.5 + 0.5 * picture())
    for copy in copies:
        rows, columns = ((copy == 0).all(0).any(axis).nonzero()[:, 0] for axis in (1, 0))
        top, left, height, width = rows[0], columns[0], len(rows), len(columns)
        theirs = tv.erase(0.5 + 0.5 * picture()[0], int(top), int(left), height, width, torch.tensor(0.0))
        assert (copy - theirs).abs().max() < 1e-5
        assert 0.08 < height * width / SIZE**2 < 0.42


def test_together_they_are_one_map():
    """Every pixel of a copy by itself, in float64."""
    cutouts = Cutouts(SIZE, 2, perspective=0.4, crop=(0.5, 0.9), degrees=15, translate=0.1, shear=5, seed=4)
    random = torch.rand(2, 28, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    warp = cutouts._warp(random, SIZE, SIZE)
    (mine,) = cutouts(picture())
    source = torch.nn.functional.pad(picture()[0].double() - 1, (1, 1, 1, 1)) + 1  # white around it
    for copy, map_ in zip(mine.double(), warp):
        for row, column in [(5, 7), (31, 40), (60, 3), (20, 59), (0, 0)]:
            x, y, w = (map_ @ torch.tensor([column + 0.5, row + 0.5, 1.0]).double()).tolist()
            x, y = x / w + 0.5, y / w + 0.5  # on the padded grid, from centre to centre
            if not (0 <= x < SIZE + 1 and 0 <= y < SIZE + 1):
                expected = torch.ones(3).double()
            else:
                i, j, p, q = int(y), int(x), y - int(y), x - int(x)
                upper = (1 - q) * source[:, i, j] + q * source[:, i, j + 1]
                lower = (1 - q) * source[:, i + 1, j] + q * source[:, i + 1, j + 1]
                expected = (1 - p) * upper + p * lower
            torch.testing.assert_close(copy[:, row, column], expected, atol=1e-5, rtol=0)


def test_both_of_a_pair_are_warped_alike():
    everything = dict(degrees=15, translate=0.1, shear=5, jitter=0.1, erase=(0.1, 0.4), noise=0.1, chance=0.7)
    two = picture()
    one, other = Cutouts(SIZE, 5, **everything)(two, two.clone())
    assert (one == other).all() and one.shape == (5, 3, SIZE, SIZE) and one.min() >= 0 and one.max() <= 1
    with pytest.raises(ValueError, match="one shape"):
        Cutouts(SIZE, 5)(two, two[..., :32])


def test_the_first_copy_may_stay_plain_and_copies_stay_side_by_side():
    two = render(2, seed=3).images
    (copies,) = Cutouts(SIZE, 3, plain=True)(two)
    torch.testing.assert_close(copies[::3], two, atol=1e-5, rtol=0)
    assert (copies[1] - two[0]).abs().mean() < (copies[1] - two[1]).abs().mean()


def test_same_seed_same_warps_and_a_state_that_can_be_kept():
    first, second = Cutouts(SIZE, 2, seed=1), Cutouts(SIZE, 2, seed=1)
    assert (first(picture())[0] == second(picture())[0]).all()
    state = first.generator.get_state()
    later = first(picture())[0]
    first.generator.set_state(state)
    assert (first(picture())[0] == later).all() and (later != second(picture())[0]).sum() == 0
    assert (Cutouts(SIZE, 2, seed=2)(picture())[0] != Cutouts(SIZE, 2, seed=1)(picture())[0]).any()


def test_larger_pictures_are_made_smaller_first_and_gradients_flow():
    large = torch.nn.functional.interpolate(picture(), (256, 320)).requires_grad_()
    (copies,) = Cutouts(SIZE, 2, perspective=0, crop=(1, 1), noise=0.1)(large)
    copies.sum().backward()
    assert (large.grad != 0).float().mean() > 0.9
