"""Batched crops against one box at a time: torch's and torchvision's resampling in float64, and PIL through CLIP."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms import functional as TF

from clipkit.adapters import CLIPTeacher, _crops, crop_boxes, scale_boxes
from clipkit.backbone import FrozenCLIP
from clipkit.shapes import render, tiny_clip


def random_boxes(count, height, width, seed=0):
    """From a few pixels to more than the picture, some beyond its border."""
    g = torch.Generator().manual_seed(seed)
    centre = torch.rand(count, 2, generator=g) * torch.tensor([width, height])
    half = torch.exp(torch.rand(count, 2, generator=g) * 4.5 + 0.5).clamp(max=max(height, width))
    return torch.cat([centre - half, centre + half], 1)


def cut(image, box):
    """The crop's outer whole pixels within the picture, by Python's own integers."""
    x1, y1, x2, y2 = (float(v) for v in box)
    height, width = image.shape[-2:]
    left, top = min(max(int(np.floor(x1)), 0), width - 1), min(max(int(np.floor(y1)), 0), height - 1)
    right = max(min(int(np.ceil(x2)), width), left + 1)
    bottom = max(min(int(np.ceil(y2)), height), top + 1)
    return image[..., top:bottom, left:right]


def test_scale_boxes_by_hand():
    out = scale_boxes(torch.tensor([[10.0, 20, 20, 40]]), 1.5)
    torch.testing.assert_close(out, torch.tensor([[7.5, 15.0, 22.5, 45.0]]))
    assert scale_boxes(torch.zeros(0), 1.5).shape == (0, 4)


def test_crops_are_clamped_whole_pixels():
    image = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor(
        [[2.3, 3.0, 9.1, 7.9], [-5, -5, 100, 100], [28, 18, 28, 18], [50, 50, 60, 60], [-9, -9, -3, -3]]
    )
    crops = crop_boxes(image, boxes, (8, 8))
    slices = [image[:, 3:8, 2:10], image, image[:, 18:19, 28:29], image[:, 19:20, 29:30], image[:, :1, :1]]
    for crop, part in zip(crops, slices):
        expected = F.interpolate(part[None], (8, 8), mode="bicubic", antialias=True)[0].clamp(0, 1)
        torch.testing.assert_close(crop, expected, rtol=0, atol=1e-6)
    assert crop_boxes(image, torch.zeros(0, 4), (8, 8)).shape == (0, 3, 8, 8)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(32, 32), (20, 48)])
@pytest.mark.parametrize("one_by_one", [("cpu",), ()])  # (): the matrix products of a GPU, here on the CPU
def test_squashed_crops_equal_torch_one_at_a_time(size, interpolation, one_by_one, monkeypatch):
    monkeypatch.setattr(_crops, "_ONE_BY_ONE", one_by_one)
    image = torch.rand(3, 150, 210, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    boxes = random_boxes(60, 150, 210)
    out = crop_boxes(image, boxes, size, interpolation=interpolation)
    for box, crop in zip(boxes, out):
        expected = F.interpolate(cut(image, box)[None], size, mode=interpolation, antialias=True)[0].clamp(0, 1)
        torch.testing.assert_close(crop, expected, rtol=0, atol=1e-12)


def test_shortest_crops_equal_torchvisions_resize_and_centre_crop():
    image = torch.rand(3, 150, 210, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    boxes = random_boxes(60, 150, 210)
    out = crop_boxes(image, boxes, (32, 32), "shortest")
    for box, crop in zip(boxes, out):
        resized = TF.resize(cut(image, box), 32, TF.InterpolationMode.BICUBIC, antialias=True)
        expected = TF.center_crop(resized, [32, 32]).clamp(0, 1)
        torch.testing.assert_close(crop, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("one_by_one", [("cpu",), ()])
def test_float32_is_as_exact_as_torchs_own(one_by_one, monkeypatch):
    monkeypatch.setattr(_crops, "_ONE_BY_ONE", one_by_one)
    image = torch.rand(3, 300, 400, generator=torch.Generator().manual_seed(2))
    boxes = random_boxes(40, 300, 400, seed=3)
    torch.testing.assert_close(
        crop_boxes(image, boxes, (64, 64)).double(), crop_boxes(image.double(), boxes, (64, 64)), rtol=0, atol=1e-5
    )


def test_autocast_does_not_round_crops():
    image, boxes = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(2)), random_boxes(5, 40, 50)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = crop_boxes(image, boxes, (16, 16))
    torch.testing.assert_close(found, crop_boxes(image, boxes, (16, 16)), rtol=0, atol=0)


def test_bad_modes_are_refused():
    image, boxes = torch.rand(3, 8, 8), torch.tensor([[0.0, 0, 4, 4]])
    with pytest.raises(ValueError, match="resize_mode is one of squash, shortest"):
        crop_boxes(image, boxes, (8, 8), "longest")
    with pytest.raises(ValueError, match="interpolation is one of"):
        crop_boxes(image, boxes, (8, 8), interpolation="nearest")
    with pytest.raises(ValueError, match="needs a square"):
        crop_boxes(image, boxes, (8, 12), "shortest")
    with pytest.raises(ValueError, match="resize_mode"):
        CLIPTeacher(None, resize_mode="longest")


def pictures(count, side=400):
    """8-bit pictures with coarse and fine structure."""
    scenes = render(count, size=side, seed=5, objects=(2, 3)).images
    noise = torch.rand(scenes.shape, generator=torch.Generator().manual_seed(6)) * 0.2 - 0.1
    return ((scenes + noise).clamp(0, 1) * 255).round().byte()


def by_pil(clip, picture, boxes, mode):
    """Each crop cut and resized by PIL, by the model's own preprocessing where the mode is its own."""
    out = []
    for box in boxes:
        crop = Image.fromarray(cut(picture, box).permute(1, 2, 0).numpy())
        if mode == "squash":
            crop = crop.resize(clip.image_size[::-1], Image.Resampling.BICUBIC)
        out.append(clip.preprocess(crop))
    return torch.stack(out)


def check_against_pil(clip, count, images, mode):
    teacher = CLIPTeacher(clip, crop_scales=(1.0, 1.5), order="sum-normalize", crop_batch=50, resize_mode=mode)
    views = pictures(images)
    boxes = [random_boxes(count // images, *views.shape[-2:], seed=n) for n in range(images)]
    got = teacher.regions(views.float() / 255, boxes)
    expected = torch.cat(
        [
            sum(
                torch.cat(
                    [
                        clip.encode_image(part, normalize=False).float()
                        for part in by_pil(clip, view, scale_boxes(own, scale), mode).split(50)
                    ]
                )
                for scale in (1.0, 1.5)
            )
            for view, own in zip(views, boxes)
        ]
    )
    assert got.shape == expected.shape == (count, clip.embed_dim)
    expected = F.normalize(expected, dim=-1)
    assert F.cosine_similarity(got, expected).min() >= 0.999
    # Random weights put all pictures near one direction: what is left without it must agree too.
    mean = expected.mean(0)
    assert F.cosine_similarity(got - mean, expected - mean).median() >= 0.99


@pytest.mark.parametrize("mode", ["squash", "shortest"])
@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_regions_equal_pil_crops_through_the_tiny_clip(count, mode):
    check_against_pil(tiny_clip(), count, count // 20, mode)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_regions_equal_pil_crops_through_a_vit_b_32(precision):
    torch.manual_seed(0)
    check_against_pil(FrozenCLIP.from_pretrained("ViT-B-32", precision=precision), 1000, 50, "shortest")


def test_pictures_of_several_sizes_and_any_batch_give_the_same():
    clip = tiny_clip()
    views = [view[:, : 300 - 40 * n].float() / 255 for n, view in enumerate(pictures(3, 300))]
    boxes = [random_boxes(n, *views[0].shape[-2:], seed=n) for n in (5, 0, 9)]
    one_by_one = [CLIPTeacher(clip).regions([view], [own]) for view, own in zip(views, boxes)]
    for batch in (4, 64):
        torch.testing.assert_close(CLIPTeacher(clip, crop_batch=batch).regions(views, boxes), torch.cat(one_by_one))
