"""Scales and mirroring against a plain loop: one image, one window at a time, padded as the protocol describes it."""

import math

import pytest
import torch
import torch.nn.functional as F

from clipkit.inference import multi_scale
from clipkit.inference._multi_scale import scaled_size

LSEG = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


def network(x):
    """Not symmetric, and depends on the window's border: a wrong window, padding or mirroring changes the result."""
    kernel = torch.linspace(-1, 1, 4 * 3 * 25, dtype=x.dtype).reshape(4, 3, 5, 5)
    return torch.tanh(F.conv2d(x, kernel, padding=2)) * 10


def one_by_one(image, scales, flip, base_size, crop, stride, black):
    """(3, H, W) -> (K, H, W): every scale, window and mirroring alone, windows that pass the border filled up alone."""
    _, high, wide = image.shape
    total = 0
    for scale in scales:
        long = math.ceil(base_size * scale)
        h, w = (long, int(wide * long / high + 0.5)) if high > wide else (int(high * long / wide + 0.5), long)
        scaled = F.interpolate(image[None], (h, w), mode="bilinear", align_corners=True)[0]
        logits = torch.zeros(4, h, w, dtype=image.dtype)
        count = torch.zeros(h, w, dtype=image.dtype)
        for y in range(0, max(math.ceil((h - crop) / stride), 0) * stride + 1, stride):
            for x in range(0, max(math.ceil((w - crop) / stride), 0) * stride + 1, stride):
                piece = scaled[:, y : y + crop, x : x + crop]
                ph, pw = piece.shape[1:]
                filled = torch.stack([torch.full((crop, crop), value, dtype=image.dtype) for value in black])
                filled[:, :ph, :pw] = piece
                out = network(filled[None])[0]
                if flip:
                    mirrored = torch.stack([filled[..., i] for i in range(crop - 1, -1, -1)], dim=-1)
                    answer = network(mirrored[None])[0]
                    out = out + torch.stack([answer[..., i] for i in range(crop - 1, -1, -1)], dim=-1)
                logits[:, y : y + ph, x : x + pw] += out[:, :ph, :pw]
                count[y : y + ph, x : x + pw] += 1
        assert (count > 0).all()
        total = total + F.interpolate((logits / count)[None], (high, wide), mode="bilinear", align_corners=True)[0]
    return total


@pytest.mark.parametrize("size", [(51, 68), (68, 51), (20, 90), (12, 10), (48, 48)])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("batch_size", [1, 5])
def test_equals_one_by_one(size, flip, batch_size):
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    black = [-1.0, -0.5, 2.0]
    got = multi_scale(network, images, LSEG, flip, 52, 48, 32, batch_size, black)
    for result, image in zip(got, images):
        torch.testing.assert_close(result, one_by_one(image, LSEG, flip, 52, 48, 32, black), atol=1e-5, rtol=1e-5)


def test_lseg_protocol_takes_18_windows_of_an_image_of_683_x_512():
    calls = []

    def watch(x):
        calls.append(tuple(x.shape))
        return x[:, :1]

    multi_scale(watch, torch.zeros(1, 3, 512, 683), LSEG, True, 520, 480, batch_size=8)
    assert sum(shape[0] for shape in calls) == 36  # 18 windows and their mirror images
    assert {shape[1:] for shape in calls} == {(3, 480, 480)} and max(shape[0] for shape in calls) == 8


def test_whole_images():
    images = torch.randn(2, 3, 15, 22, dtype=torch.float64)
    big = F.interpolate(images, (30, 44), mode="bilinear", align_corners=True)
    both = network(big) + network(big.flip(-1)).flip(-1)
    wanted = network(images) + network(images.flip(-1)).flip(-1)
    wanted = wanted + F.interpolate(both, (15, 22), mode="bilinear", align_corners=True)
    torch.testing.assert_close(multi_scale(network, images, (1, 2), True), wanted)
    torch.testing.assert_close(multi_scale(network, images), network(images))


def test_the_network_s_own_tensor_is_not_overwritten():
    images = torch.randn(1, 3, 8, 8)
    before = images.clone()
    torch.testing.assert_close(multi_scale(lambda x: x, images, (1, 1)), 2 * before)
    torch.testing.assert_close(images, before)


def test_sizes():
    assert scaled_size((512, 683), 0.5, 520) == (195, 260)
    assert scaled_size((683, 512), 1.75, 520) == (910, 682)
    assert scaled_size((512, 683), 1.0) == (512, 683)
    assert scaled_size((1, 1000), 0.1) == (1, 100)


def test_errors():
    images = torch.zeros(1, 3, 20, 20)
    with pytest.raises(ValueError, match="at least one scale"):
        multi_scale(network, images, ())
    with pytest.raises(ValueError, match="larger than window"):
        multi_scale(network, images, window=8, stride=9)
    with pytest.raises(ValueError, match="turned an image"):
        multi_scale(lambda x: x[..., ::2], images)
    with pytest.raises(ValueError, match="turned a window"):
        multi_scale(lambda x: x[..., ::2], images, window=8)
