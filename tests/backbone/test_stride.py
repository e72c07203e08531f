"""`features(stride=...)`: a finer grid from the same weights."""

import copy

import pytest
import torch
import torch.nn.functional as F

from clipkit.backbone import FrozenCLIP, TunableCLIP
from clipkit.backbone._stride import at_stride
from clipkit.shapes import class_names, render, tiny_clip
from support.backbone_models import photos, small_model

VITS = ["vit", "vit-avg", "timm-vit", "timm-vit-avg", "eva", "siglip"]


@pytest.fixture(scope="module")
def tiny():
    return tiny_clip().double()


def stem_of(clip, images, stride):
    """What enters the transformer, before positions: `(B, C, h, w)`."""
    tower, seen = clip._tower, []
    original = tower.trunk.pos_embed.data
    tower.trunk.pos_embed.data = torch.zeros_like(original)
    try:
        tokens, grid, _ = tower.embed(clip._normalised(images), stride)
        seen.append(tokens[:, tower.prefix :].transpose(1, 2).unflatten(2, grid))
    finally:
        tower.trunk.pos_embed.data = original
    return seen[0]


@pytest.mark.parametrize("family", [*VITS, "tiny"])
def test_the_native_stride_is_the_ordinary_map_bit_for_bit(family, tiny):
    clip = tiny if family == "tiny" else FrozenCLIP(small_model(family))
    images = photos(2, 3, 40, 48).to(clip.dtype)
    dense = family != "siglip"
    plain, asked = (clip.features(images, layers=(0, -1), dense=dense, stride=s) for s in (None, 8))
    assert all(torch.equal(a, b) for a, b in zip(plain.maps, asked.maps)) and plain.strides == asked.strides == [8, 8]
    assert torch.equal(plain.embedding, asked.embedding)
    assert not dense or torch.equal(plain.dense, asked.dense)


@pytest.mark.parametrize("stride", [4, 2, 1])
def test_a_stem_gives_the_native_values_at_the_places_that_both_grids_have(tiny, stride):
    images = render(2, size=64, seed=1).images[..., :48].double()
    native, fine = stem_of(tiny, images, None), stem_of(tiny, images, stride)
    step = 8 // stride
    assert fine.shape[2:] == (64 // stride, 48 // stride)
    torch.testing.assert_close(fine[..., ::step, ::step], native, rtol=0, atol=1e-10)
    assert (fine[..., 1::step, ::step] - native).abs().max() > 1e-2  # and other values between them


@pytest.mark.parametrize("family", VITS)
@pytest.mark.parametrize("stride", [4, 2])
def test_a_patch_convolution_sees_the_patch_that_begins_at_its_place(family, stride):
    """The map's cell (i, j) is what a whole image of that single patch would give, before positions and blocks."""
    clip = FrozenCLIP(small_model(family)).double()
    images = photos(1, 3, 32, 40).double()
    seen = clip.features(images, layers=(0,), dense=family != "siglip", stride=stride)
    rows, columns = (32 - 8) // stride + 1, (40 - 8) // stride + 1
    assert seen.maps[0].shape[2:] == (rows, columns) and seen.strides == [stride]
    visual = clip.model.visual
    conv = visual.conv1 if hasattr(visual, "conv1") else visual.trunk.patch_embed.proj
    got, normalised = at_stride([conv], clip._normalised(images), stride), clip._normalised(images)
    for i, j in ((0, 0), (1, 2), (rows - 1, columns - 1)):
        patch = normalised[..., i * stride : i * stride + 8, j * stride : j * stride + 8]
        torch.testing.assert_close(got[..., i, j], conv(patch)[..., 0, 0], rtol=0, atol=1e-10)


def test_finer_maps_show_smaller_things(tiny):
    """On scenes of the world the dense map of stride 4 says the right class at more pixels than that of 8."""
    scenes = render(24, size=64, seed=7)
    names = class_names()
    text, right = tiny.encode_text(names), {}
    for stride in (8, 4):
        dense = tiny.features(scenes.images.double(), stride=stride).dense
        scores = torch.einsum("bdhw,kd->bkhw", F.normalize(dense, dim=1), text)
        scores = F.interpolate(scores, (64, 64), mode="bilinear")
        right[stride] = (scores.argmax(1) == scenes.semantic)[scenes.semantic < 96].double().mean().item()
    assert right[4] > right[8]


@pytest.mark.parametrize("stride", [3, 16, 0, -4])
def test_a_stride_that_is_no_divisor_is_refused(tiny, stride):
    with pytest.raises(ValueError, match=rf"stride={stride}: this tower's is 8; it takes 1, 2, 4, 8$"):
        tiny.features(torch.rand(1, 3, 64, 64).double(), stride=stride)


@pytest.mark.parametrize("family", ["resnet", "convnext", "mobileclip"])
def test_towers_without_patches_refuse_it(family):
    clip = FrozenCLIP(small_model(family))
    with pytest.raises(ValueError, match="stride=4: only vision transformers take another stride, this tower is a "):
        clip.features(photos(1, 3, 64, 64), stride=4)


def test_a_stem_of_other_layers_is_refused(tiny):
    clip = copy.deepcopy(tiny)
    clip.model.visual.trunk.patch_embed.backbone.append(torch.nn.MaxPool2d(1))
    with pytest.raises(ValueError, match="stem has a MaxPool2d; only convolutions are served"):
        clip.features(torch.rand(1, 3, 64, 64).double(), stride=4)


def test_gradients_reach_a_tunable_stem():
    clip = TunableCLIP(small_model("vit")).unfreeze("visual")
    clip.features(photos(1, 3, 32, 32), stride=4).dense.sum().backward()
    assert clip.model.visual.conv1.weight.grad.abs().sum() > 0
