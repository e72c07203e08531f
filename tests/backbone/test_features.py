"""`features`: one pass, raw maps, the same numbers as separate calls."""

import pytest
import torch

from clipkit.backbone import FrozenCLIP, TunableCLIP
from support.backbone_models import CONFIGS, DENSE, photos, small_model

VITS = ["vit", "vit-quickgelu", "vit-avg", "timm-vit", "timm-vit-avg", "eva", "siglip"]


def block_outputs(clip, images):
    """Outputs of all blocks or stages in one plain run of the library, by hooks."""
    visual, seen = clip.model.visual, []
    if hasattr(visual, "transformer"):
        modules = visual.transformer.resblocks
    elif hasattr(visual, "layer1"):
        modules = [visual.layer1, visual.layer2, visual.layer3, visual.layer4]
    else:
        modules = getattr(visual.trunk, "blocks", None) or visual.trunk.stages
    handles = [module.register_forward_hook(lambda m, i, o: seen.append(o)) for module in modules]
    with torch.no_grad():
        clip.model.encode_image((images - clip._mean) / clip._std)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("family", CONFIGS)
def test_maps_are_the_raw_stream_after_each_block(family):
    clip = FrozenCLIP(small_model(family)).double()
    images = photos(2, 3, *clip.image_size).double()
    raw = block_outputs(clip, images)
    depth = clip.num_layers
    assert len(raw) == depth
    seen = clip.features(images, layers=range(depth), dense=family != "siglip")
    for layer, expected in enumerate(raw):
        got = seen.maps[layer]
        assert images.shape[-1] // got.shape[-1] == seen.strides[layer]
        if family in CONFIGS and expected.ndim == 3:
            prefix = expected.shape[1] - got.shape[2] * got.shape[3]
            assert (got.flatten(2).transpose(1, 2) - expected[:, prefix:]).abs().max() <= 1e-12
            cls = expected[:, 0] if prefix else expected.mean(1)
            assert (seen.cls[layer] - cls).abs().max() <= 1e-12
        else:
            assert (got - expected).abs().max() <= 1e-12
            assert (seen.cls[layer] - expected.mean((2, 3))).abs().max() <= 1e-12


@pytest.mark.parametrize("family", DENSE)
def test_a_single_pass_equals_separate_ones(family):
    clip = FrozenCLIP(small_model(family)).double()
    images = photos(2, 3, *clip.image_size).double()
    all_at_once = clip.features(images, layers=(0, -1))
    assert (all_at_once.embedding - clip.encode_image(images, normalize=False)).abs().max() <= 1e-12
    assert (all_at_once.dense - clip.features(images).dense).abs().max() <= 1e-12
    assert (all_at_once.maps[1] - clip.features(images, layers=(-1,), dense=False).maps[0]).abs().max() <= 1e-12
    assert (all_at_once.penultimate - clip.features(images, dense=False).penultimate).abs().max() <= 1e-12


def test_it_is_a_single_pass():
    clip = FrozenCLIP(small_model("vit"))
    calls = []
    blocks = clip.model.visual.transformer.resblocks
    for i, block in enumerate(blocks):
        block.register_forward_hook(lambda m, a, o, i=i: calls.append(i))
    clip.features(photos(1, 3, 32, 32), layers=(0, 1))
    assert calls == [0, 1], "the last block runs for the class token alone, the others once"


def test_layers_keep_the_callers_order_and_repeat():
    clip = FrozenCLIP(small_model("vit"))
    images = photos(1, 3, 32, 32)
    seen = clip.features(images, layers=(2, 0, -1))
    assert torch.equal(seen.maps[0], seen.maps[2])
    assert torch.equal(seen.maps[1], clip.features(images, layers=(0,)).maps[0])


def test_unknown_layers_are_refused():
    clip = FrozenCLIP(small_model("vit"))
    with pytest.raises(ValueError, match="layers 0 to 2, not 3"):
        clip.features(photos(1, 3, 32, 32), layers=(3,))
    with pytest.raises(ValueError, match="not -4"):
        clip.features(photos(1, 3, 32, 32), layers=(-4,))


@pytest.mark.parametrize("family", ["vit", "timm-vit", "eva", "resnet"])
def test_penultimate_is_what_the_projection_takes(family):
    clip = FrozenCLIP(small_model(family)).double()
    visual = clip.model.visual
    seen = clip.features(photos(2, 3, *clip.image_size).double(), dense=False)
    if family == "vit":
        projected = seen.penultimate @ visual.proj
    elif family == "resnet":
        projected = visual.attnpool.c_proj(seen.penultimate)
    else:
        projected = visual.trunk.head(seen.penultimate)
    assert (projected - seen.embedding).abs().max() <= 1e-12


def test_adapters_do_not_hide_the_class_only_path():
    """A tower that trains has the same last block as a frozen one, and its gradients are the library's."""
    images = photos(2, 3, 32, 32).double()
    clip = TunableCLIP(small_model("timm-vit")).double().unfreeze("visual")
    clip.encode_image(images, normalize=False).pow(2).sum().backward()
    other = TunableCLIP(small_model("timm-vit")).double().unfreeze("visual")
    other.model.encode_image((images - other._mean) / other._std).pow(2).sum().backward()
    reference = dict(other.model.named_parameters())
    checked = 0
    for name, parameter in clip.model.visual.named_parameters():
        expected = reference[f"visual.{name}"].grad
        assert (parameter.grad - expected).abs().max() <= 1e-10 * max(1, expected.abs().max()), name
        checked += 1
    assert checked > 20
