"""Strokes against supersampling, gradients against differences, and all that a drawing may be."""

import math

import pytest
import torch

from clipkit.nn import Strokes, render_strokes
from support.stroke_oracle import bent, supersampled


def psnr(a, b):
    return -10 * math.log10((a.double() - b.double()).square().mean().item())


def test_thin_strokes_equal_supersampling():
    strokes = Strokes.of(bent(16, 224, 1), 1.5, size=(224, 224))
    assert psnr(strokes().detach(), supersampled(strokes)) > 50  # of seeds 0, 1, 2: 51.1, 53.1, 51.3


def test_translucent_colours_of_all_widths_equal_supersampling():
    g = torch.Generator().manual_seed(1)
    looks = {"colour": torch.rand(64, 3, generator=g), "opacity": 0.3 + 0.7 * torch.rand(64, generator=g)}
    strokes = Strokes.of(bent(64, 224, 1, length=18), 2 + 14 * torch.rand(64, generator=g), size=(224, 224), **looks)
    assert psnr(strokes().detach(), supersampled(strokes)) > 46


def closed_disc(radius, size):
    """A circle of four cubics, filled."""
    k = 0.5522847498 * radius
    r = radius
    ring = [(r, 0), (r, k), (k, r), (0, r), (-k, r), (-r, k), (-r, 0), (-r, -k), (-k, -r), (0, -r), (k, -r), (r, -k)]
    points = torch.tensor([ring], dtype=torch.float64) + size / 2
    filled = torch.ones(1, dtype=torch.bool)
    return Strokes.of(points, 0.0, closed=True, size=(size, size), filled=filled, colour=torch.zeros(1, 3).double())


def drawings():
    g = torch.Generator().manual_seed(0)
    two = 4 + 40 * torch.rand(3, 7, 2, generator=g, dtype=torch.float64)
    looks = {
        "colour": torch.rand(3, 3, generator=g).double(),
        "opacity": 0.1 + 0.8 * torch.rand(3, generator=g).double(),
    }
    width = torch.tensor([1.5, 4.0, 0.7], dtype=torch.float64)
    yield Strokes.of(two[:, :4], width, size=(48, 40))
    yield Strokes.of(two, width, size=(48, 40), **looks)
    drawing = {"drawing": torch.tensor([1, 0, 1]), "drawings": 2}
    yield Strokes.of(
        two[:, :6], width, closed=True, size=(48, 40), filled=torch.tensor([1, 0, 1]) > 0, **drawing, **looks
    )


@pytest.mark.parametrize("number", range(3), ids=("black", "two segments", "filled, two pictures"))
def test_gradients_equal_central_differences(number):
    strokes = list(drawings())[number]
    weight = torch.rand(strokes.drawings, 3, *strokes.size, generator=torch.Generator().manual_seed(3)).double()

    def value():
        return (strokes() * weight).sum()

    value().backward()
    for name, parameter in strokes.named_parameters():
        flat, slope = parameter.data.view(-1), torch.zeros(parameter.numel(), dtype=torch.float64)
        for i in range(len(flat)):
            kept = flat[i].item()
            sides = []
            for step in (1e-5, -1e-5):
                flat[i] = kept + step
                sides.append(value().item())
            flat[i] = kept
            slope[i] = (sides[0] - sides[1]) / 2e-5
        wrong = (slope - parameter.grad.view(-1)).abs().max() / slope.abs().max()
        assert wrong < 1e-6, f"{name}: {wrong}"


def test_a_filled_disc_has_its_area():
    strokes = closed_disc(10.3, 32)
    assert (1 - strokes())[:, 0].sum().item() == pytest.approx(math.pi * 10.3**2, rel=2e-3)
    strokes.width.data.fill_(2.0)  # the stroke around it is of the same colour
    assert (1 - strokes())[:, 0].sum().item() == pytest.approx(math.pi * 11.3**2, rel=2e-3)


def test_a_hole_is_wound_by_the_nonzero_rule():
    outer = torch.tensor([[4.0, 4], [28, 4], [28, 28], [4, 28]])
    corners = torch.cat([outer, outer])  # twice around: still inside
    legs = corners.roll(-1, 0) - corners
    points = torch.stack([corners, corners + legs / 3, corners + 2 * legs / 3], 1).view(1, -1, 2)
    strokes = Strokes.of(points, 0.0, closed=True, size=(32, 32), filled=torch.ones(1, dtype=torch.bool))
    assert strokes()[0, 0, 16, 16] < 1e-5 and strokes()[0, 0, 2, 2] == 1


def test_a_batch_paints_each_drawing_alone():
    points = bent(6, 64, 0)
    looks = {"colour": torch.rand(6, 3), "opacity": torch.rand(6)}
    drawing = torch.tensor([0, 1, 0, 1, 1, 0])
    both = Strokes.of(points, 3.0, size=(64, 50), drawing=drawing, drawings=2, **looks)()
    for number in (0, 1):
        own = drawing == number
        alone = Strokes.of(points[own], 3.0, size=(64, 50), **{key: value[own] for key, value in looks.items()})()
        torch.testing.assert_close(both[number], alone[0])


def test_black_ink_equals_black_colour():
    points = bent(8, 64, 0)
    black = {"colour": torch.zeros(8, 3), "opacity": torch.full((8,), 0.7)}
    ink = Strokes.of(points, 2.0, size=(64, 64), opacity=black["opacity"])()
    torch.testing.assert_close(ink, Strokes.of(points, 2.0, size=(64, 64), **black)())


def test_the_last_path_is_in_front():
    line = torch.tensor([[4.0, 16], [12, 16], [20, 16], [28, 16]])
    colour = torch.eye(3)[:2]
    strokes = Strokes.of(torch.stack([line, line]), 6.0, size=(32, 32), colour=colour)
    torch.testing.assert_close(strokes()[0, :, 16, 16], colour[1], atol=1e-5, rtol=0)


def test_nothing_outside_and_equal_points():
    empty = Strokes.of(torch.zeros(0, 4, 2), 1.5, size=(8, 12), background=torch.tensor([0.2, 0.4, 0.6]))
    assert empty().shape == (1, 3, 8, 12) and (empty()[0, :, 3, 3] == torch.tensor([0.2, 0.4, 0.6])).all()
    empty().sum().backward()
    outside = Strokes.of(torch.full((1, 4, 2), -300.0), 1.5, size=(8, 12))
    assert (outside() == 1).all()
    dot = Strokes.of(torch.full((1, 4, 2), 8.2), 4.0, size=(16, 16))
    (1 - dot()).sum().backward()
    assert (1 - dot())[0, 0].sum().item() == pytest.approx(math.pi * 4, rel=0.05)
    assert all(torch.isfinite(p.grad).all() for p in dot.parameters())
    tiny = Strokes.of(torch.rand(2, 4, 2), 1.5, size=(1, 1))
    assert tiny().shape == (1, 3, 1, 1)


def test_backgrounds():
    picture = torch.rand(1, 3, 16, 16)
    strokes = Strokes.of(torch.full((1, 4, 2), -300.0), size=(16, 16), background=picture)
    torch.testing.assert_close(strokes(), picture)


def test_bad_points_are_told():
    points = torch.zeros(1, 4, 2)
    points[0, 1] = math.nan
    with pytest.raises(ValueError, match="finite"):
        Strokes.of(points, size=(8, 8))()
    points[0, 1] = 1e9
    with pytest.raises(ValueError, match="too large"):
        Strokes.of(points, size=(8, 8))()
    with pytest.raises(ValueError, match="3S"):
        Strokes.of(torch.zeros(1, 5, 2), size=(8, 8))


def test_the_function_needs_no_module():
    points = torch.tensor([[2.0, 8], [6, 8], [10, 8], [14, 8]], requires_grad=True)
    picture = render_strokes(
        points, torch.arange(4)[None], torch.zeros(1, dtype=torch.int64), torch.tensor([2.0]), size=(16, 16)
    )
    picture[0, 0, 6].sum().backward()
    assert picture[0, 0, 8, 8] < 0.03 and points.grad[:, 1].abs().min() > 0
