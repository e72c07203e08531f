"""`clipkit convert actionclip`: checkpoints of the original in and out, and files that are none."""

import json

import open_clip
import pytest
import torch
from clipkit_plugins.actionclip.convert import CLIP, FUSION, SCALE, convert
from clipkit_plugins.actionclip.model import ActionCLIP

from clipkit.cli import main
from clipkit.engine.checkpoint import load_checkpoint
from clipkit.errors import ClipkitError
from support.actionclip_official import KINDS, flat, original_state
from support.refused_checkpoints import refused

CASES = [*((kind, False) for kind in KINDS), ("Transf", True)]


def official(kind="Transf", shifted=False):
    """The file as the original saves it."""
    parts = {
        part: {key: value.half() if ".attn.in_proj" in key else value.float() for key, value in state.items()}
        for part, state in original_state(kind, shifted).items()
    }
    return {"epoch": 49, **parts, "optimizer_state_dict": {"state": {}, "param_groups": []}}


def weights(content):
    return flat({part: state for part, state in content.items() if part.endswith("model_state_dict")})


def same(a, b):
    assert set(a) == set(b)
    for key, value in a.items():
        assert value.dtype == b[key].dtype and torch.equal(value, b[key]), key


@pytest.mark.parametrize(("kind", "shifted"), CASES)
def test_there_and_back_key_for_key(kind, shifted, tmp_path, capsys):
    source, ours, back = tmp_path / "model_best.pt", tmp_path / "ours.pth", tmp_path / "back.pt"
    content = official(kind, shifted)
    torch.save(content, source)
    assert main(["convert", "actionclip", str(source), str(ours)]) == 0
    said = capsys.readouterr().out
    unused = kind in ("Conv1D", "LSTM", "Transf_cls")
    assert f"ActionCLIP {kind}" in said and ("shift_tokens=8" in said) == shifted and ("left out" in said) == unused
    assert len(load_checkpoint(ours)["state_dict"]) == len(weights(content)) - unused + 1
    assert main(["convert", "actionclip", str(ours), str(back), "--reverse", "--original", str(source)]) == 0
    written = torch.load(back, weights_only=True)
    assert set(written) == {"model_state_dict", "fusion_model_state_dict"}
    same(weights(written), weights(content))
    if not shifted:  # without --original nobody says that blocks are wrapped
        assert main(["convert", "actionclip", str(ours), str(tmp_path / "bare.pt"), "--reverse"]) == 0
        bare = weights(torch.load(tmp_path / "bare.pt", weights_only=True))
        assert {key: value.shape for key, value in bare.items()} == {k: v.shape for k, v in weights(content).items()}


@pytest.mark.parametrize(("kind", "shifted"), CASES)
@pytest.mark.parametrize("reverse", [False, True])
def test_missing_strange_and_misshapen_keys_are_refused(kind, shifted, reverse):
    whole = convert(weights(official(kind, shifted))).state if reverse else weights(official(kind, shifted))
    for key in sorted(set(whole) - {SCALE})[::7]:
        for broken in (
            {k: v for k, v in whole.items() if k != key},
            {k.replace(key, key + "x"): v for k, v in whole.items()},
            {**whole, key: whole[key][..., None]},
        ):
            with pytest.raises(ClipkitError) as caught:
                convert(broken, reverse)
            assert "\n" not in str(caught.value)
    extra = "head.extra" if reverse else f"{FUSION}module.extra"
    with pytest.raises(ClipkitError, match=r"no place in .*ActionCLIP .*extra"):
        convert({**whole, extra: torch.zeros(1)}, reverse)


def test_files_that_are_no_checkpoints(tmp_path):
    content = official()
    torch.save(content, tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    refused("actionclip", tmp_path, whole[: len(whole) // 2], "truncated or damaged")
    refused("actionclip", tmp_path, content["model_state_dict"], "holds no 'model_state_dict'")
    refused("actionclip", tmp_path, {"epoch": 1, "model_state_dict": [1]}, "entry 'epoch' is a int")
    renamed = {f"net.{key}": value for key, value in content["model_state_dict"].items()}
    refused("actionclip", tmp_path, {**content, "model_state_dict": renamed}, f"lacks {CLIP}visual.conv1.weight")
    refused(
        "actionclip",
        tmp_path,
        {"state_dict": convert(weights(content)).state},
        "no checkpoint of the original ActionCLIP",
    )


def test_ways_back_that_lead_nowhere():
    ours = convert(weights(official("LSTM"))).state
    with pytest.raises(ClipkitError, match="its CLIP was frozen"):
        convert({key: value for key, value in ours.items() if not key.startswith("clip.")}, reverse=True)
    with pytest.raises(ClipkitError, match="--original: lacks frame_position_embeddings"):
        convert(ours, reverse=True, original=weights(official("meanP")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_converted_file_fits_the_model(kind, tmp_path):
    """Strictly: its keys are those of the model that the note names."""
    vision = {"layers": 2, "width": 64, "head_width": 64, "patch_size": 16, "image_size": 32}
    text = {"context_length": 16, "vocab_size": 300, "width": 64, "heads": 1, "layers": 2}
    config = {"embed_dim": 64, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    (tmp_path / "clipkit-actionclip-test.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "clipkit-actionclip-test.json")
    options = {"Conv1D": {"compatible": True}, "Transf": {"max_frames": 16}, "Transf_cls": {"max_frames": 8}}
    model = ActionCLIP(
        clip=dict(name="clipkit-actionclip-test"),
        head=dict(type=kind, **options.get(kind, {})),
        classes=["a", "b"],
        tune=dict(unfreeze=["all"]),
    )
    model.load_state_dict(convert(weights(official(kind))).state, strict=True)
