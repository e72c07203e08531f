"""Sliding windows against a plain loop."""

import pytest
import torch
import torch.nn.functional as F

from clipkit.inference import sliding_window, whole_image, window_starts


def network(x):
    """Depends on its window's border (padding), so that a wrong window changes the result."""
    kernel = torch.linspace(-1, 1, 5 * 3 * 9, dtype=x.dtype).reshape(5, 3, 3, 3)
    return F.conv2d(x, kernel, padding=1)


def brute_force(images, window, stride):
    batch, _, height, width = images.shape
    total = torch.zeros(batch, 5, height, width, dtype=images.dtype)
    count = torch.zeros(height, width, dtype=images.dtype)
    wh, ww = min(window[0], height), min(window[1], width)
    ys = sorted({min(y, height - wh) for y in range(0, height, stride[0]) if y == 0 or y - stride[0] + wh < height})
    xs = sorted({min(x, width - ww) for x in range(0, width, stride[1]) if x == 0 or x - stride[1] + ww < width})
    for y in ys:
        for x in xs:
            for b in range(batch):
                total[b, :, y : y + wh, x : x + ww] += network(images[b : b + 1, :, y : y + wh, x : x + ww])[0]
            count[y : y + wh, x : x + ww] += 1
    assert (count > 0).all()
    return total / count


@pytest.mark.parametrize("size", [(8, 8), (9, 23), (30, 17), (5, 40), (16, 16)])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_equals_one_by_one(size, batch_size):
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    got = sliding_window(network, images, window=8, stride=5, batch_size=batch_size)
    torch.testing.assert_close(got, brute_force(images, (8, 8), (5, 5)), atol=1e-5, rtol=1e-5)


def test_rectangular_windows_and_small_images():
    images = torch.randn(1, 3, 11, 13, dtype=torch.float64)
    got = sliding_window(network, images, window=(6, 13), stride=(4, 9))
    torch.testing.assert_close(got, brute_force(images, (6, 13), (4, 9)))
    torch.testing.assert_close(sliding_window(network, images, window=50, stride=20), whole_image(network, images))


def test_mean_of_constant_is_constant():
    got = sliding_window(lambda x: torch.ones(len(x), 2, *x.shape[-2:]), torch.zeros(1, 3, 20, 31), 7, 3)
    torch.testing.assert_close(got, torch.ones(1, 2, 20, 31))


def test_memory_is_one_batch_of_windows():
    sizes = []

    def watch(x):
        sizes.append(len(x))
        return network(x)

    sliding_window(watch, torch.zeros(1, 3, 40, 40), 10, 10, batch_size=6)
    assert sizes == [6, 6, 4]


def test_starts_cover_the_side():
    for length in range(1, 30):
        for window in range(1, 12):
            for stride in range(1, window + 1):
                starts = window_starts(length, window, stride)
                covered = {p for s in starts for p in range(s, s + min(window, length))}
                assert covered == set(range(length)) and len(set(starts)) == len(starts)


def test_errors():
    with pytest.raises(ValueError, match="larger than window"):
        sliding_window(network, torch.zeros(1, 3, 20, 20), 4, 5)
    with pytest.raises(ValueError, match="at least 1 pixel"):
        sliding_window(network, torch.zeros(1, 3, 20, 20), 0, 0)
    with pytest.raises(ValueError, match="turned a window"):
        sliding_window(lambda x: x[..., ::2], torch.zeros(1, 3, 20, 20), 4, 2)
    with pytest.raises(ValueError, match="batch_size"):
        sliding_window(network, torch.zeros(1, 3, 20, 20), 4, 2, batch_size=0)
