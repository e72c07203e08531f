"""The converter: the original's and the port's files, strictly, both ways."""

import pytest
import torch
from clipkit_plugins.groupvit import convert

from clipkit.convert.checkpoints import convert_file
from clipkit.errors import ClipkitError
from support.groupvit_parts import port, small


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return small()


@pytest.fixture(scope="module")
def original(model):
    """A state dict in the original's layout, as segmentation.md lists its keys."""
    return {key.removeprefix("model."): value for key, value in convert(model.state_dict(), reverse=True).state.items()}


def test_keys_are_the_originals(original):
    wanted = {
        "img_encoder.pos_embed", "img_encoder.patch_embed.proj.weight", "img_encoder.patch_embed.norm.bias",
        "img_encoder.layers.0.group_token", "img_encoder.layers.1.blocks.1.attn.qkv.weight",
        "img_encoder.layers.0.downsample.mlp_inter.fc1.weight", "img_encoder.layers.1.downsample.assign.proj.bias",
        "img_encoder.layers.0.downsample.pre_assign_attn.attn.q_proj.weight",
        "img_encoder.layers.0.downsample.pre_assign_attn.norm_post.weight",
        "img_encoder.layers.1.group_projector.1.fc2.bias", "img_encoder.layers.2.blocks.0.mlp.fc1.weight",
        "img_encoder.norm.weight", "text_encoder.token_embedding.weight", "text_encoder.positional_embedding",
        "text_encoder.transformer.resblocks.1.attn.in_proj_weight", "text_encoder.ln_final.weight",
        "img_projector.linear_hidden.0.weight", "img_projector.linear_hidden.1.running_var",
        "text_projector.linear_out.weight", "logit_scale", "multi_label_logit_scale",
    }  # fmt: skip
    assert wanted <= set(original)
    assert original["img_projector.linear_out.weight"].shape == (12, 20, 1)  # convolutions of one pixel


def test_there_and_back(model, original):
    ours = convert(original).state
    assert ours.keys() == model.state_dict().keys()
    assert all(torch.equal(ours[key], value) for key, value in model.state_dict().items())
    model.load_state_dict(ours, strict=True)


def test_the_port_there_and_back():
    theirs = port().state_dict()
    ours = convert(theirs).state
    back = convert(ours, reverse=True, original=theirs)
    assert back.file == "flat"
    kept = {key for key in theirs if not key.endswith("num_batches_tracked")}
    assert back.state.keys() == kept and all(torch.equal(back.state[key], theirs[key]) for key in kept)


def test_files(tmp_path, original, model):
    torch.save({"model": original, "epoch": 30}, tmp_path / "official.pth")
    lines = convert_file("groupvit", tmp_path / "official.pth", tmp_path / "ours.pth")
    assert "width 32, patches of 8, 6 and 4 group tokens" in lines[1]
    convert_file("groupvit", tmp_path / "ours.pth", tmp_path / "back.pth", reverse=True)
    back = torch.load(tmp_path / "back.pth", weights_only=True)["model"]
    assert back.keys() == original.keys() and all(torch.equal(back[key], original[key]) for key in back)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("logit_scale", "lacks weights of GroupViT: logit_scale"),
        ("img_encoder.patch_embed.proj.weight", r"lacks img_encoder\.patch_embed\.proj\.weight"),
        ("img_encoder.layers.0.blocks.0.attn.qkv.weight", r"lacks weights of GroupViT: img_encoder\.layers\.0\.blocks"),
    ],
)
def test_what_is_missing_is_named(original, change, line):
    with pytest.raises(ClipkitError, match=line):
        convert({key: value for key, value in original.items() if key != change})


def test_what_does_not_fit_is_named(original, model):
    with pytest.raises(ClipkitError, match=r"has weights with no place in GroupViT: strange"):
        convert({**original, "strange": torch.zeros(1)})
    with pytest.raises(ClipkitError, match=r"img_encoder\.norm\.bias has shape \(3,\), and \(32,\)"):
        convert({**original, "img_encoder.norm.bias": torch.zeros(3)})
    with pytest.raises(ClipkitError, match="is no checkpoint of GroupViT"):
        convert({"a": torch.zeros(1)})
    frozen = small(text=dict(clip="tiny_clip"), tokens=dict(type="FrozenTokens", dim=32, width=144))
    with pytest.raises(ClipkitError, match="only a GroupViT with the paper's own patches and text converts back"):
        convert(frozen.state_dict(), reverse=True)
