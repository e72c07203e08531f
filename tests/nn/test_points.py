"""Drawn pixels equal the full-size map at those pixels."""

import pytest
import torch
import torch.nn.functional as F

from clipkit.nn import draw_points


@pytest.mark.parametrize("size", [(4, 6), (8, 12), (7, 11), (1, 1)])
@pytest.mark.parametrize("balance", [0.0, 1.0])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("align_corners", [True, False])
def test_rows_equal_interpolated_unit_embeddings(size, balance, normalize, align_corners):
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(2, 5, *size, generator=generator)
    height, width = 8, 12
    target = torch.arange(2 * height * width).reshape(2, height, width)  # the id tells which pixel was drawn
    options = dict(ignore_index=-1, normalize=normalize, align_corners=align_corners)
    rows, ids = draw_points(embedding, target, points=60, balance=balance, **options)
    cells = F.normalize(embedding, dim=1) if normalize else embedding
    full = F.interpolate(cells, (height, width), mode="bilinear", align_corners=align_corners)
    flat = full.permute(0, 2, 3, 1).reshape(-1, 5)
    torch.testing.assert_close(rows, flat[ids], atol=1e-6, rtol=1e-6)
    assert (ids.view(2, 60) // (height * width) == torch.tensor([[0], [1]])).all()
    assert ids.unique().numel() > 40


def test_balance_gives_small_classes_more_pixels():
    target = torch.zeros(1, 20, 20, dtype=torch.int64)
    target[0, :2, :2] = 1  # 1 % of the image
    torch.manual_seed(0)
    share = [float((draw_points(torch.randn(1, 3, 5, 5), target, 4000, b)[1] == 1).float().mean()) for b in (0.0, 1.0)]
    assert share[0] < 0.03 and abs(share[1] - 0.5) < 0.04


def test_ignored_pixels_are_not_drawn_unless_alone():
    target = torch.full((2, 6, 6), 255)
    target[0, 0, 0] = 3
    _, ids = draw_points(torch.randn(2, 3, 3, 3), target, 10)
    assert (ids[:10] == 3).all() and (ids[10:] == 255).all()


def test_gradient_reaches_only_drawn_cells_and_errors():
    embedding = torch.randn(1, 3, 4, 4, requires_grad=True)
    target = torch.full((1, 4, 4), 255)
    target[0, 1, 2] = 0
    draw_points(embedding, target, 3)[0].square().sum().backward()
    touched = embedding.grad.abs().sum(1)[0] > 0
    assert not touched[0].any() and not touched[3].any()
    with pytest.raises(ValueError, match="at least 1"):
        draw_points(embedding, target, 0)
