"""FrozenCLIP is open_clip, and transformers, at their own sizes and beyond."""

import pytest
import torch
import torch.nn.functional as F

from clipkit.backbone import FrozenCLIP
from support.backbone_models import CONFIGS, D, photos, small_model, words


def raw(clip, images):
    return (images - clip._mean) / clip._std


@pytest.mark.parametrize("family", CONFIGS)
def test_encode_image_is_open_clips(family):
    clip = FrozenCLIP(small_model(family))
    images = photos(2, 3, *clip.image_size)
    with torch.no_grad():
        expected = clip.model.encode_image(raw(clip, images))
        error = (clip.encode_image(images, normalize=False) - expected).abs().max()
        assert error <= 1e-6 * max(1, expected.abs().max())
        # The closed form makes short embeddings, whose division by their length magnifies float32's rounding.
        clip.double()
        exact = F.normalize(clip.model.encode_image(raw(clip, images.double())), dim=-1)
        assert (clip.encode_image(images.double()) - exact).abs().max() <= 1e-12
    assert expected.std(dim=0).max() > 1e-4, "two images must differ, or the test is blind"
    assert expected.shape == (2, clip.embed_dim)


@pytest.mark.parametrize("custom", [False, True])
def test_encode_tokens_is_open_clips(custom):
    clip = FrozenCLIP(small_model("vit", custom_text=custom))
    ids = words([5, 6, 7], [9], list(range(20, 34)))
    with torch.no_grad():
        expected = clip.model.encode_text(ids)
    assert torch.equal(clip.encode_tokens(ids, normalize=False), expected)
    assert (clip.encode_tokens(ids) - F.normalize(expected, dim=-1)).abs().max() <= 1e-6
    assert (clip.encode_tokens(ids).norm(dim=-1) - 1).abs().max() <= 1e-6


def test_text_tokens_and_embeddings_agree_with_the_sentence():
    clip = FrozenCLIP(small_model("vit"), tokenizer=lambda texts: words(*[[ord(c) for c in t] for t in texts]))
    ids = clip.tokenize(["abc", "z"])
    tokens = clip.text_tokens(["abc", "z"])
    assert tokens.shape == (2, 16, D)
    expected = clip.encode_tokens(ids, normalize=False)
    assert (tokens[torch.arange(2), ids.argmax(-1)] - expected).abs().max() <= 1e-6
    soft = clip.encode_embeddings(clip.embed_tokens(ids), ids.argmax(-1), normalize=False)
    assert (soft - expected).abs().max() <= 1e-6
    # Shorter than the context: causal attention never looks past the end of text.
    short = clip.encode_embeddings(clip.embed_tokens(ids[:, :6]), ids.argmax(-1), normalize=False)
    assert (short - expected).abs().max() <= 1e-6
    assert len(clip.text_blocks) == 2


def hf_pair(act):
    transformers = pytest.importorskip("transformers")
    from clipkit.backbone._transformers_folder import convert_state

    vision = {"hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 2}
    vision |= {"image_size": 32, "patch_size": 8, "hidden_act": act, "projection_dim": D}
    text = {"hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    text |= {"vocab_size": 300, "max_position_embeddings": 16, "hidden_act": act, "projection_dim": D}
    text |= {"eos_token_id": 299, "bos_token_id": 1, "pad_token_id": 0}
    from support.closed_form import closed_form_

    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=D)
    theirs = closed_form_(transformers.CLIPModel(config).eval(), scale=0.2)
    from open_clip.model import CLIP

    from support.backbone_models import OPEN_VIT, TEXT

    ours = CLIP(D, OPEN_VIT, TEXT, quick_gelu=act == "quick_gelu").eval()
    ours.load_state_dict(convert_state(theirs.state_dict(), "memory"), strict=True)
    return FrozenCLIP(ours), theirs


def embeds(output):
    return output if isinstance(output, torch.Tensor) else output.pooler_output


@pytest.mark.parametrize("act", ["gelu", "quick_gelu"])
def test_equal_to_transformers(act):
    clip, theirs = hf_pair(act)
    images, ids = photos(2, 3, 32, 32), words([5, 6], [7, 8, 9])
    with torch.no_grad():
        expected = embeds(theirs.get_image_features(pixel_values=raw(clip, images)))
        assert (clip.encode_image(images, normalize=False) - expected).abs().max() <= 1e-5
        expected = embeds(theirs.get_text_features(input_ids=ids))
        assert (clip.encode_tokens(ids, normalize=False) - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("size", [(64, 16), (48, 40)])
def test_transformers_interpolation_differs_by_the_kernel_only(size, monkeypatch):
    """transformers resizes positions by torch's bicubic kernel without antialias (a = -0.75); clipkit by timm's choice,
    bicubic **with** antialias (a = -0.5, widened when shrinking). With the kernel exchanged, all else is equal."""
    from clipkit.backbone import _vit

    clip, theirs = hf_pair("quick_gelu")
    images = photos(2, 3, *size)
    with torch.no_grad():
        output = theirs.get_image_features(pixel_values=raw(clip, images), interpolate_pos_encoding=True)
    ours = clip.encode_image(images, normalize=False)
    kernel = _vit.resample_abs_pos_embed
    monkeypatch.setattr(_vit, "resample_abs_pos_embed", lambda *a, **k: kernel(*a, **k, antialias=False))
    without = clip.encode_image(images, normalize=False)
    assert (without - embeds(output)).abs().max() <= 1e-5
    assert (ours - without).abs().max() > 1e-5


@pytest.mark.parametrize("family", ["vit", "timm-vit", "eva", "siglip"])
def test_native_positions_are_untouched_and_the_same_count_is_another_grid(family):
    clip = FrozenCLIP(small_model(family))
    square = photos(1, 3, 32, 32)
    flat = torch.cat((square[:, :, :16], square[:, :, 16:]), dim=3)  # 16x64: 16 patches too, on a grid of 2x8
    seen = clip.features(flat, layers=(0,), dense=False)
    assert seen.maps[0].shape[-2:] == (2, 8)
    # An implementation that adds the 4x4 table as it is would see the same set of patches at wrong places.
    tower, table = clip._tower, "positional_embedding" if family == "vit" else "pos_embed"
    owner = tower.visual if family == "vit" else tower.trunk
    from timm.layers import resample_abs_pos_embed

    positions = getattr(owner, table).detach().clone()
    prefix = positions.shape[-2] - 16
    expected = resample_abs_pos_embed(positions.reshape(1, -1, 32), [2, 8], [4, 4], prefix)
    tokens, grid, _ = tower.embed(raw(clip, flat))
    with torch.no_grad():
        getattr(owner, table).zero_()
    plain, _, _ = tower.embed(raw(clip, flat))
    if family == "vit":  # ln_pre follows, so compare before it
        tower.visual.ln_pre = torch.nn.Identity()
        plain, _, _ = tower.embed(raw(clip, flat))
        with torch.no_grad():
            getattr(owner, table).copy_(positions)
        tokens, _, _ = tower.embed(raw(clip, flat))
    assert grid == (2, 8)
    assert (tokens - plain - expected).abs().max() <= 1e-6


def test_a_tower_that_is_not_square_is_resized_from_its_own_grid():
    """Built for 16x64 pixels, 2x8 patches; an image of 32x32 has as many patches, on a grid of 4x4."""
    from open_clip.model import CLIP
    from timm.layers import resample_abs_pos_embed

    from support.backbone_models import OPEN_VIT, TEXT
    from support.closed_form import closed_form_

    vision = {**OPEN_VIT, "image_size": (16, 64), "no_ln_pre": True}
    clip = FrozenCLIP(closed_form_(CLIP(D, vision, TEXT).eval(), scale=0.2))
    assert clip.image_size == (16, 64) and clip.patch_size == 8
    visual, images = clip.model.visual, raw(clip, photos(1, 3, 32, 32))
    tokens, grid, _ = clip._tower.embed(images)
    positions = resample_abs_pos_embed(visual.positional_embedding[None], [4, 4], [2, 8], 1)[0, 1:]
    assert grid == (4, 4)
    assert (tokens[0, 1:] - visual.conv1(images)[0].flatten(1).T - positions).abs().max() <= 1e-6


@pytest.mark.parametrize("family", ["eva"])
def test_rope_of_another_grid_is_that_of_a_model_built_for_it(family):
    """The rotary table for 4x2 patches equals the one of a tower that timm itself resized."""
    clip = FrozenCLIP(small_model(family))
    images = photos(2, 3, 32, 16)
    ours = clip.encode_image(images, normalize=False)
    model = small_model(family)
    model.visual.trunk.set_input_size((32, 16))
    with torch.no_grad():
        assert (ours - model.encode_image(raw(clip, images))).abs().max() <= 1e-6
    native = photos(1, 3, 32, 32)
    with torch.no_grad():
        assert (clip.encode_image(native, False) - clip.model.encode_image(raw(clip, native))).abs().max() <= 1e-6


@pytest.mark.parametrize("family", ["resnet", "convnext", "mobileclip"])
def test_conv_towers_take_other_sizes(family):
    clip = FrozenCLIP(small_model(family))
    seen = clip.features(photos(1, 3, 96, 64), layers=(-1,))
    assert seen.embedding.shape == (1, D) and seen.dense.shape == (1, D, 3, 2)
    assert seen.embedding.isfinite().all()


def test_bad_images_are_refused_in_a_sentence():
    clip = FrozenCLIP(small_model("vit"))
    with pytest.raises(ValueError, match="float RGB"):
        clip.encode_image(torch.zeros(1, 3, 32, 32, dtype=torch.int64))
    with pytest.raises(ValueError, match="float RGB"):
        clip.encode_image(torch.zeros(3, 32, 32))
    with pytest.raises(ValueError, match="less than one patch"):
        clip.encode_image(torch.zeros(1, 3, 4, 32))
