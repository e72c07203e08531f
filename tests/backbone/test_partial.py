"""Partial unfreezing and the adapters inside the blocks of both encoders."""

import copy

import pytest
import torch

from clipkit.backbone import TunableCLIP
from support.backbone_models import photos, small_model, words
from support.clip_training import changed, state, train


def open_names(clip):
    return {key for key, parameter in clip.model.named_parameters() if parameter.requires_grad}


TOPS = {
    "vit": {"visual.ln_post.weight", "visual.ln_post.bias", "visual.proj"},
    "timm-vit": {f"visual.trunk.{part}.{kind}" for part in ("norm", "head") for kind in ("weight", "bias")},
}
TEXT_TOP = {"ln_final.weight", "ln_final.bias", "text_projection", "logit_scale"}


@pytest.mark.parametrize("family", TOPS)
@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_blocks_above_and_what_follows_them(family, layer):
    clip = TunableCLIP(small_model(family)).unfreeze_from(layer)
    names = open_names(clip)
    block = "visual.transformer.resblocks" if family == "vit" else "visual.trunk.blocks"
    wanted = [f"{block}.{i}." for i in range(layer, 3)] + [f"transformer.resblocks.{i}." for i in range(layer, 2)]
    assert TOPS[family] | TEXT_TOP <= names
    inside = names - TOPS[family] - TEXT_TOP
    assert all(key.startswith(tuple(wanted)) for key in inside)
    assert all(any(key.startswith(prefix) for key in inside) for prefix in wanted)


def test_3d_patches_train_and_nothing_else_below():
    """The original's condition was true for every name once the patch layer was 3D, so that nothing was frozen."""
    clip = TunableCLIP(small_model("vit")).inflate_patches()
    names = open_names(clip.unfreeze_from(2))
    assert "visual.conv1.weight" in names
    low = ("visual.class_embedding", "visual.positional_embedding", "visual.ln_pre.", "visual.transformer.resblocks.1.",
           "token_embedding.", "positional_embedding", "transformer.resblocks.1.")  # fmt: skip
    assert not [key for key in names if key.startswith(low)]


def test_custom_text_towers_have_a_top_too():
    names = open_names(TunableCLIP(small_model("vit", custom_text=True)).unfreeze_from(1))
    assert {
        "text.ln_final.weight",
        "text.text_projection",
        "logit_scale",
        "text.transformer.resblocks.1.ln_1.bias",
    } <= names
    assert not [key for key in names if key.startswith(("text.token_embedding", "text.transformer.resblocks.0."))]


def test_what_stays_frozen_does_not_move():
    clip = TunableCLIP(small_model("vit")).unfreeze_from(1)
    before = state(clip.model)
    train(clip, parameters=list(clip.parameters()))
    assert changed(before, state(clip.model)) == open_names(clip)


def test_refusals():
    with pytest.raises(ValueError, match="3 in 'visual', 2 in 'text'"):
        TunableCLIP(small_model("vit")).unfreeze_from(4)
    for call in (lambda c: c.unfreeze_from(0), lambda c: c.add_cross_modal_adapters()):
        with pytest.raises(ValueError, match="is no transformer"):
            call(TunableCLIP(small_model("resnet")))
    with pytest.raises(ValueError, match="no place inside a EvaBlock"):
        TunableCLIP(small_model("eva")).add_cross_modal_adapters()
    clip = TunableCLIP(small_model("vit"))
    with pytest.raises(ValueError, match="shared=32"):
        clip.add_cross_modal_adapters(shared=32)
    clip.add_cross_modal_adapters()
    with pytest.raises(ValueError, match="already"):
        clip.add_cross_modal_adapters()


@pytest.mark.parametrize("family", ["vit", "vit-quickgelu", "timm-vit"])
def test_cross_modal_adapters_start_as_the_identity_and_alone_learn(family):
    clip = TunableCLIP(small_model(family)).double()
    images, ids = photos(2, 3, 64, 64).double(), words([4, 5])
    outputs = lambda: (clip.encode_image(images), clip.features(images).dense, clip.encode_tokens(ids))  # noqa: E731
    before, weights = outputs(), state(clip.model)
    clip.add_cross_modal_adapters(bottleneck=4, shared=6).double()
    assert all((a - b).abs().max() <= 1e-12 for a, b in zip(outputs(), before))
    adapters = state(clip.adapters)
    train(clip)
    assert not changed(weights, state(clip.model))
    moved = changed(adapters, state(clip.adapters))
    assert {key.split(".")[0] for key in moved} == set(clip.adapters)
    assert all((a - b).abs().max() > 1e-5 for a, b in zip(outputs(), before))


def test_the_formula_and_the_place_inside_the_blocks():
    """Against the blocks written out: x + A(attention), x + A(mlp), A(y) = y + [z W_unique, z W_shared]."""
    clip = TunableCLIP(small_model("vit-quickgelu")).double().eval()
    adapters = clip.add_cross_modal_adapters(bottleneck=4, shared=6).double()
    with torch.no_grad():
        for parameter in adapters.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    visual, images = clip.model.visual, photos(2, 3, 32, 32).double()

    def adapted(name, y):
        a = clip.adapters[name]
        z = torch.nn.functional.gelu(y @ a.down.weight.T + a.down.bias)
        made = torch.cat((z @ a.unique.weight.T + a.unique.bias, z @ a.shared.weight.T + a.shared.bias), dim=-1)
        return y + made

    plain = copy.deepcopy(small_model("vit-quickgelu")).double().visual
    x = plain.conv1(clip._normalised(images)).flatten(2).transpose(1, 2)
    x = plain.ln_pre(torch.cat((plain.class_embedding.expand(2, 1, -1), x), dim=1) + plain.positional_embedding)
    for i, block in enumerate(plain.transformer.resblocks):
        n = block.ln_1(x)
        if i == 0:  # three image blocks, two text blocks: the first has no partner
            assert clip.adapters["visual_0_mlp"].shared is None
            a, m = clip.adapters["visual_0_attention"], clip.adapters["visual_0_mlp"]
            x = x + a(block.attn(n, n, n, need_weights=False)[0])
            x = x + m(block.mlp(block.ln_2(x)))
            continue
        x = x + adapted(f"visual_{i}_attention", block.attn(n, n, n, need_weights=False)[0])
        x = x + adapted(f"visual_{i}_mlp", block.mlp(block.ln_2(x)))
    expected = plain.ln_post(x[:, 0]) @ plain.proj
    torch.testing.assert_close(clip.encode_image(images, normalize=False), expected, rtol=0, atol=1e-10)
    assert visual.transformer.resblocks[0] is not plain.transformer.resblocks[0]


def test_the_two_encoders_share_from_the_last_block_down():
    clip = TunableCLIP(small_model("vit"))
    adapters = clip.add_cross_modal_adapters(bottleneck=4, shared=6)
    assert len(adapters) == 2 * (3 + 2)
    for part in ("attention", "mlp"):
        for i in (0, 1):
            assert adapters[f"text_{i}_{part}"].shared is adapters[f"visual_{i + 1}_{part}"].shared
    width, pairs = 32, 2 * 2
    alone = 2 * (width * 4 + 4 + 4 * width + width)  # image block 0, both places
    pair = 2 * (width * 4 + 4 + 4 * (width - 6) + width - 6) + 4 * 6 + 6
    assert sum(p.numel() for p in adapters.parameters()) == alone + pairs * pair
    unshared = TunableCLIP(small_model("vit")).add_cross_modal_adapters(bottleneck=4, shared=0)
    assert all(adapter.shared is None for adapter in unshared.values())


def test_copies_have_adapters_of_their_own():
    clip = TunableCLIP(small_model("vit")).eval()
    clip.add_cross_modal_adapters()
    twin, images = copy.deepcopy(clip), photos(1, 3, 32, 32)
    before = clip.encode_image(images)
    with torch.no_grad():
        twin.adapters["visual_1_mlp"].unique.bias.fill_(1.0)
    assert torch.equal(clip.encode_image(images), before)
    assert not torch.equal(twin.encode_image(images), before)
    assert twin.weights_hash != clip.weights_hash
