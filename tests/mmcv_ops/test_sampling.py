"""Deformable convolution, multi-scale deformable attention and masked convolution, against float64 loops."""

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmcv.ops)

pytest.importorskip("mmcv")

from mmcv.ops import MaskedConv2d, deform_conv2d, modulated_deform_conv2d
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

from clipkit.errors import ClipkitError
from support import mmcv_ops_oracles as oracle

SHAPES = {
    "plain": dict(stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1, deform_groups=1),
    "uneven": dict(stride=(2, 1), padding=(0, 2), dilation=(1, 2), groups=1, deform_groups=1),
    "groups": dict(stride=(1, 2), padding=(1, 0), dilation=(1, 1), groups=2, deform_groups=1),
    "deform groups": dict(stride=(2, 2), padding=(1, 1), dilation=(1, 1), groups=1, deform_groups=2),
    "both groups": dict(stride=(2, 2), padding=(2, 1), dilation=(2, 1), groups=2, deform_groups=4),
}
OFFSETS = ("between pixels", "on pixels", "0")


def leaves(*tensors, dtype=torch.float64):
    return [tensor.detach().to(dtype).requires_grad_() for tensor in tensors]


def same(ours, theirs, tensors, tolerance=1e-5, dtype=torch.float32):
    """Values, and gradients by every tensor, of two functions of the same tensors."""
    got, expected = leaves(*tensors, dtype=dtype), leaves(*tensors)
    values = ours(*got), theirs(*expected)
    direction = oracle.wave(*values[1].shape, shift=0.7)
    values[0].backward(direction.to(values[0]))
    values[1].backward(direction)
    torch.testing.assert_close(values[0].double(), values[1], rtol=tolerance, atol=tolerance)
    for a, b in zip(got, expected):
        assert b.grad.abs().max() > 0
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=tolerance, atol=tolerance)


def convolution_inputs(shape, offsets="between pixels"):
    """input, offset, weight, mask, bias. Offsets reach beyond the border of the map: odd eighths, which bf16 holds
    exactly; whole numbers, which put samples on pixels' centres and on row and column -1; or 0 as at the start."""
    tall, wide = (
        (size + 2 * shape["padding"][i] - 2 * shape["dilation"][i] - 1) // shape["stride"][i] + 1
        for i, size in enumerate((4, 5))
    )
    places = 9 * shape["deform_groups"]
    moves = oracle.wave(2, 2 * places, tall, wide, scale=7, speed=2.2).floor()
    moves = {"between pixels": (moves + 0.5) / 4, "on pixels": (moves / 2).round(), "0": moves * 0}[offsets]
    return (
        oracle.wave(2, 4, 4, 5),
        moves,
        oracle.wave(6, 4 // shape["groups"], 3, 3, speed=0.8),
        0.5 + 0.4 * oracle.wave(2, places, tall, wide, speed=1.9),
        oracle.wave(6, shift=0.2),
    )


def as_mmcv(shape):
    return tuple(shape[key] for key in ("stride", "padding", "dilation", "groups", "deform_groups"))


@pytest.mark.parametrize("offsets", OFFSETS)
@pytest.mark.parametrize("name", SHAPES)
def test_deform_conv(name, offsets):
    shape = SHAPES[name]
    same(
        lambda x, offset, w: deform_conv2d(x, offset, w, *as_mmcv(shape)),
        lambda x, offset, w: oracle.deform_conv(x, offset, w, **shape),
        convolution_inputs(shape, offsets)[:3],
    )


@pytest.mark.parametrize("offsets", OFFSETS)
@pytest.mark.parametrize("name, with_bias", [*((name, True) for name in SHAPES), ("both groups", False)])
def test_modulated_deform_conv(name, with_bias, offsets):
    shape = SHAPES[name]
    same(
        lambda x, offset, w, mask, *bias: modulated_deform_conv2d(
            x, offset, mask, w, *(bias or [None]), *as_mmcv(shape)
        ),
        lambda x, offset, w, mask, *bias: oracle.deform_conv(x, offset, w, mask, *bias, **shape),
        convolution_inputs(shape, offsets)[: 5 if with_bias else 4],
    )


def larger(tensor):
    """The same kind of values in a map that has two rows and three columns more."""
    return oracle.wave(*tensor.shape[:2], tensor.shape[2] + 2, tensor.shape[3] + 3, speed=2.2) * tensor.abs().max()


@pytest.mark.parametrize("name", SHAPES)
def test_maps_larger_than_the_output_are_read_as_flat_memory(name):
    """As DyHead hands the offsets of one level to the next: what follows the first values has no gradient."""
    shape = SHAPES[name]
    x, offset, w, mask, bias = convolution_inputs(shape)
    tensors = x, larger(offset), w, larger(mask), bias
    same(
        lambda x, offset, w, mask, bias: modulated_deform_conv2d(x, offset, mask, w, bias, *as_mmcv(shape)),
        lambda x, offset, w, mask, bias: oracle.deform_conv(x, offset, w, mask, bias, **shape),
        tensors,
    )
    same(
        lambda x, offset, w: deform_conv2d(x, offset, w, *as_mmcv(shape)),
        lambda x, offset, w: oracle.deform_conv(x, offset, w, **shape),
        tensors[:3],
    )


def test_larger_maps_that_are_parts_of_one_map():
    """DyHead cuts offsets and masks out of the 27 channels of one convolution: images do not follow each other."""
    shape = SHAPES["plain"]
    x, offset, w, mask, bias = convolution_inputs(shape)
    both = torch.cat([larger(offset), larger(mask)], 1)
    same(
        lambda x, both, w, bias: modulated_deform_conv2d(x, both[:, :18], both[:, 18:], w, bias, *as_mmcv(shape)),
        lambda x, both, w, bias: oracle.deform_conv(x, both[:, :18], w, both[:, 18:], bias, **shape),
        (x, both, w, bias),
    )


def test_maps_smaller_than_the_output_are_refused():
    x, offset, w, mask, bias = (tensor.float() for tensor in convolution_inputs(SHAPES["plain"]))
    with pytest.raises(ClipkitError, match=r"output of 4 x 5 takes 360 offsets per image \(18 maps\), there are 288"):
        deform_conv2d(x, offset[..., 1:], w, 1, 1)
    with pytest.raises(ClipkitError, match="takes 180 masks per image"):
        modulated_deform_conv2d(x, offset, mask[:, 1:], w, bias, 1, 1)


def test_deform_conv_gradients_that_nobody_asked_for():
    """The weight alone, then the input alone: mmcv calls one half of the backward each time."""
    shape = SHAPES["plain"]
    x, offset, w = leaves(*convolution_inputs(shape)[:3], dtype=torch.float32)
    every = torch.autograd.grad(deform_conv2d(x, offset, w, *as_mmcv(shape)).square().sum(), (x, w))
    (weight_alone,) = torch.autograd.grad(deform_conv2d(x.detach(), offset.detach(), w, 1, 1).square().sum(), w)
    (input_alone,) = torch.autograd.grad(deform_conv2d(x, offset.detach(), w.detach(), 1, 1).square().sum(), x)
    assert torch.equal(every[1], weight_alone) and torch.equal(every[0], input_alone)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_convolutions_in_half_precision(dtype):
    shape = SHAPES["both groups"]
    rounded = [tensor.to(dtype).double() for tensor in convolution_inputs(shape)]
    same(
        lambda x, offset, w, mask, bias: modulated_deform_conv2d(x, offset, mask, w, bias, *as_mmcv(shape)),
        lambda x, offset, w, mask, bias: oracle.deform_conv(x, offset, w, mask, bias, **shape),
        rounded,
        tolerance=4 * torch.finfo(dtype).eps,
        dtype=dtype,
    )


def test_deform_conv_under_autocast():
    """The offsets come from a convolution, in bf16; input and weight are still float32."""
    x, offset, w, _, _ = (tensor.float() for tensor in convolution_inputs(SHAPES["plain"]))
    with torch.autocast("cpu", torch.bfloat16):
        output = deform_conv2d(x, offset.bfloat16(), w, 1, 1)
    assert output.dtype == torch.bfloat16
    rounded = (tensor.bfloat16().double() for tensor in (x, offset, w))
    torch.testing.assert_close(output.double(), oracle.deform_conv(*rounded, **SHAPES["plain"]), rtol=0.01, atol=0.01)


LEVELS = [(3, 4), (2, 2), (1, 3)]


def attention_inputs():
    """value, sampling locations (some outside the map), attention weights."""
    pixels = sum(height * width for height, width in LEVELS)
    weights = oracle.wave(2, 4, 2, len(LEVELS), 2, speed=1.3).exp()
    return (
        oracle.wave(2, pixels, 2, 3),
        0.5 + 0.7 * oracle.wave(2, 4, 2, len(LEVELS), 2, 2, speed=2.9, shift=0.4),
        weights / weights.sum((3, 4), keepdim=True),
    )


def attend(value, locations, weights, levels=LEVELS):
    shapes = torch.tensor(levels)
    starts = torch.cat([torch.zeros(1, dtype=torch.long), shapes.prod(1).cumsum(0)[:-1]])
    return MultiScaleDeformableAttnFunction.apply(value, shapes, starts, locations, weights, 64)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_deformable_attention(dtype, tolerance):
    same(
        attend,
        lambda value, places, weights: oracle.deformable_attention(value, LEVELS, places, weights),
        attention_inputs(),
        tolerance,
        dtype,
    )


def test_deformable_attention_on_row_and_column_minus_one():
    """There, and at the height and the width, the compiled operator counts a sample among those outside."""
    levels = [(4, 4), (2, 4), (1, 2)]  # sizes by which shares divide without rounding
    value, weights = oracle.wave(2, 26, 2, 3), attention_inputs()[2]
    corners = torch.tensor([[-1.0, 0], [0, -1], [-1, -1], [1, 0], [2, 2], [4, 1], [3, 3]])
    turns = torch.arange(16).view(2, 4, 2)
    per_level = torch.stack([corners[turns % 7], corners[(turns + 3) % 7]], 3)
    sizes = torch.tensor([size[::-1] for size in levels], dtype=torch.float64)
    places = (per_level[:, :, :, None].double() + 0.5) / sizes[:, None]
    same(
        lambda value, places, weights: attend(value, places, weights, levels),
        lambda value, places, weights: oracle.deformable_attention(value, levels, places, weights),
        (value, places, weights),
        1e-12,
        torch.float64,
    )


def test_deformable_attention_in_half_precision():
    rounded = [tensor.half().double() for tensor in attention_inputs()]
    same(
        attend,
        lambda value, places, weights: oracle.deformable_attention(value, LEVELS, places, weights),
        rounded,
        4e-3,
        torch.float16,
    )


def test_deformable_attention_takes_the_type_of_the_value():
    value, locations, weights = (tensor.float() for tensor in attention_inputs())
    assert attend(value.half(), locations, weights).dtype == torch.float16


@pytest.mark.parametrize("kernel, padding", [(3, 1), (1, 0), ((3, 5), (1, 2))])
def test_masked_conv(kernel, padding):
    layer = MaskedConv2d(3, 4, kernel, padding=padding)
    x = oracle.wave(1, 3, 6, 7).float()
    mask = (oracle.wave(1, 6, 7, speed=2.0) > 0.2).float()
    with torch.no_grad():
        expected = torch.nn.Conv2d.forward(layer, x) * mask
        torch.testing.assert_close(layer(x, mask), expected, rtol=1e-5, atol=1e-5)
        assert layer(x, torch.zeros_like(mask)).abs().max() == 0
