"""transformers' CLIPModel folders give the same model; others are refused."""

import json

import pytest
import torch

from clipkit.backbone._load import find_source, load_weights, runs_quick_gelu
from clipkit.errors import ClipkitError
from support.clip_files import SMALL, build, clip, one_line, transformers_clip


@pytest.mark.parametrize("hidden_act", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_transformers_folder_equals_transformers(tmp_path, hidden_act, file):
    theirs = transformers_clip(tmp_path, hidden_act)
    if file.endswith(".bin"):
        (tmp_path / "model.safetensors").unlink()
        torch.save(theirs.state_dict(), tmp_path / file)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    source = find_source(f"local-dir:{tmp_path}")
    assert source.kind == "transformers_folder" and source.preprocess_cfg["mean"] == (0.5, 0.5, 0.5)
    ours = build(source)
    assert runs_quick_gelu(ours) == (hidden_act == "quick_gelu")
    image = torch.sin(torch.arange(2 * 3 * 32 * 32).float()).reshape(2, 3, 32, 32)
    text = torch.tensor([[58, 3, 4, 59] + [0] * 8, [58, *range(10), 59]])
    with torch.no_grad():
        out = theirs(pixel_values=image, input_ids=text)
        torch.testing.assert_close(ours.encode_image(image, normalize=True), out.image_embeds, rtol=0, atol=1e-5)
        torch.testing.assert_close(ours.encode_text(text, normalize=True), out.text_embeds, rtol=0, atol=1e-5)


def test_transformers_shards(tmp_path):
    theirs = transformers_clip(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    source = find_source(f"local-dir:{tmp_path}")
    torch.testing.assert_close(build(source).visual.proj, theirs.visual_projection.weight.T)


def test_folder_that_describes_both(tmp_path):
    """Published folders often carry both configurations; the weights decide."""
    transformers_clip(tmp_path)
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {**SMALL, "quick_gelu": True}}))
    assert find_source(f"local-dir:{tmp_path}").kind == "transformers_folder"
    torch.save(clip().state_dict(), tmp_path / "open_clip_pytorch_model.bin")
    source = find_source(f"local-dir:{tmp_path}")
    assert source.kind == "open_clip_folder" and source.weights.name == "open_clip_pytorch_model.bin"


def test_transformers_file_where_open_clip_is_expected(tmp_path):
    transformers_clip(tmp_path)
    with pytest.raises(ValueError, match=r"transformers' CLIPModel.*local-dir:") as error:
        load_weights(tmp_path / "model.safetensors", clip())
    one_line(error)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "siglip", "architectures": ["SiglipModel"]}, "SiglipModel"),
        ({"vision_config": {"hidden_act": "relu"}}, "hidden_act"),
        ({"text_config": {"hidden_size": 0}}, "hidden_size"),
        ({"text_config": {"hidden_size": "32"}}, "hidden_size"),
    ],
)
def test_other_transformers_models_are_refused(tmp_path, change, message):
    transformers_clip(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for key, value in change.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message) as error:
        find_source(f"local-dir:{tmp_path}")
    assert "config.json" in one_line(error)


def test_shards_stay_in_their_folder(tmp_path):
    transformers_clip(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../secret.safetensors"}}))
    with pytest.raises(ValueError, match="outside its folder"):
        load_weights(tmp_path, clip())


@pytest.mark.parametrize(
    "change",
    [
        {"text_config": 3}, {"vision_config": [1]}, {"architectures": "x"}, {"architectures": []},
        {"text_config": {"hidden_act": ["gelu"]}}, {"vision_config": {"layer_norm_eps": "small"}},
        {"text_config": {"num_hidden_layers": 1 << 30}}, {"vision_config": {"image_size": 1 << 20}},
        {"text_config": {"vocab_size": "many"}}, {"projection_dim": "wide"}, {"projection_dim": 1 << 40},
    ],
)  # fmt: skip
def test_a_config_that_says_anything_is_one_line(tmp_path, change):
    transformers_clip(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for key, value in change.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises((ValueError, ClipkitError)) as error:
        find_source(f"local-dir:{tmp_path}")
    assert "config.json" in one_line(error)
