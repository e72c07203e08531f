"""Box and mask pooling against loops over cells."""

import pytest
import torch
import torch.nn.functional as F

from clipkit.adapters import pool_boxes, pool_masks


def dense(b=2, d=3, h=4, w=5):
    return torch.randn(b, d, h, w, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_box_of_whole_cells_is_their_mean():
    """8-pixel cells; a box of 2 x 3 cells samples each cell's centre line symmetrically, so for a map that is linear
    in x and y the pooled value is the value at the box's centre."""
    ys, xs = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    linear = torch.stack([xs, ys, torch.ones_like(xs)])[None].double()
    out = pool_boxes(linear, [torch.tensor([[8.0, 8, 24, 32], [16, 24, 32, 40]])], (48, 56), normalize=False)
    expected = torch.tensor([[2 - 0.5, 2.5 - 0.5, 1], [3 - 0.5, 4 - 0.5, 1]], dtype=torch.float64)
    torch.testing.assert_close(out, expected)


def test_axes_are_scaled_apart():
    """A 4 x 5 grid over 40 x 100 pixels: cells are 10 high and 20 wide."""
    f = dense()
    cell = torch.tensor([[40.0, 10, 60, 20]])
    out = pool_boxes(f, [cell, cell], (40, 100), normalize=False)
    assert out.shape == (2, 3)
    # sampling_ratio -1 puts one sample at the centre of a box of one cell: the cell itself.
    torch.testing.assert_close(out, f[:, :, 1, 2])


def test_cells_are_normalised_before_pooling_and_order_is_kept():
    f = dense()
    boxes = [torch.tensor([[0.0, 0, 1, 1], [2, 3, 3, 4]]), torch.tensor([[4.0, 2, 5, 3]])]
    out = pool_boxes(f, boxes, (4, 5))
    unit = F.normalize(f, dim=1)
    torch.testing.assert_close(out, torch.stack([unit[0, :, 0, 0], unit[0, :, 3, 2], unit[1, :, 2, 4]]))


def test_no_boxes():
    assert pool_boxes(dense(), [torch.zeros(0, 4), torch.zeros(0)], (4, 5)).shape == (0, 3)
    with pytest.raises(ValueError, match="box tensors"):
        pool_boxes(dense(), [torch.zeros(0, 4)], (4, 5))


@pytest.mark.parametrize("normalize", [True, False])
def test_masks_equal_loops(normalize):
    f = dense()
    masks = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64) > 0.5
    out = pool_masks(f, masks, normalize)
    cells = F.normalize(f, dim=1) if normalize else f
    for b in range(2):
        for n in range(3):
            picked = [cells[b, :, y, x] for y in range(4) for x in range(5) if masks[b, n, y, x]]
            torch.testing.assert_close(out[b, n], sum(picked) / len(picked))


def test_fine_masks_weigh_cells_by_area():
    f = dense(b=1)
    mask = torch.zeros(1, 1, 8, 10)
    mask[0, 0, 0, 0] = 1  # a quarter of cell (0, 0)
    mask[0, 0, 2:4, 2:4] = 1  # all of cell (1, 1)
    out = pool_masks(f, mask, normalize=False)
    torch.testing.assert_close(out[0, 0], (0.25 * f[0, :, 0, 0] + f[0, :, 1, 1]) / 1.25)


def test_empty_masks():
    f = dense().requires_grad_()
    out = pool_masks(f, torch.zeros(2, 2, 4, 5, dtype=torch.bool))
    out.sum().backward()
    assert (out == 0).all() and torch.isfinite(f.grad).all()
    assert pool_masks(f, torch.zeros(2, 0, 16, 20)).shape == (2, 0, 3)
    with pytest.raises(ValueError, match="masks"):
        pool_masks(f, torch.zeros(2, 4, 5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_maps_keep_the_place_of_a_box(dtype):
    """roi_align has no bfloat16, and 1001 is no number of bfloat16."""
    f = dense(h=8, w=8).to(dtype)
    boxes = [torch.tensor([[1001.0, 515, 1403, 777]])] * 2
    out = pool_boxes(f, boxes, (2048, 2048), normalize=False)
    assert out.dtype == dtype
    expected = pool_boxes(f.double(), boxes, (2048, 2048), normalize=False)
    torch.testing.assert_close(out, expected.to(dtype))
