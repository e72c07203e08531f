"""Pictures that are much wider than high cost what CLIP sees of them, and look to it as they always did."""

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from clipkit.backbone._flat import without_excess


def transform(mode, size=32, interpolation="bicubic"):
    config = PreprocessCfg(size=size, resize_mode=mode, interpolation=interpolation, mean=(0, 0, 0), std=(1, 1, 1))
    return image_transform_v2(config, is_train=False)


def picture(width, height):
    columns = np.sin(np.arange(width) / 3)[None] * 60 + np.cos(np.arange(height) / 2)[:, None] * 60 + 128
    return Image.fromarray(columns.astype(np.uint8)).convert("RGB")


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(400, 20), (20, 401), (403, 20), (166, 7), (7, 165), (1000, 7), (40, 30), (320, 20)])
def test_the_centre_is_what_clip_sees(size, interpolation):
    plain = transform("shortest", interpolation=interpolation)
    found = without_excess(plain, "shortest", (32, 32), interpolation, picture(*size))
    assert found.shape == (3, 32, 32)
    torch.testing.assert_close(found, plain(picture(*size)), atol=1.01 / 255, rtol=0)  # rounding to 8 bits


@pytest.mark.parametrize("size", [(400, 20), (20, 403), (166, 7), (7, 165)])
def test_the_centre_of_what_is_no_square(size):
    """There open_clip rounds the longer side to the nearest pixel."""
    plain = transform("shortest", (32, 48))
    found = without_excess(plain, "shortest", (32, 48), "bicubic", picture(*size))
    torch.testing.assert_close(found, plain(picture(*size)), atol=0.05, rtol=0)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [(30_000, 1), (1, 30_000), (3000, 2), (1, 1)])
def test_nothing_large_is_made_of_a_line(mode, size):
    widest = []
    plain = transform(mode)
    watched = lambda image: widest.append(image.size) or plain(image)  # noqa: E731
    kept = without_excess(watched, mode, (32, 32), "bicubic", picture(*size))
    assert kept.shape == (3, 32, 32) and torch.isfinite(kept).all()
    if mode == "shortest":
        assert widest[0] == (32, 32) or max(size) <= 16
