"""`clipkit convert clip4clip`: checkpoints of the original in and out, and files that are none."""

import json

import open_clip
import pytest
import torch
from clipkit_plugins.clip4clip.convert import CONV, POSITIONS, SCALE, convert
from clipkit_plugins.clip4clip.model import CLIP4Clip

from clipkit.cli import main
from clipkit.engine.checkpoint import load_checkpoint
from clipkit.errors import ClipkitError
from support.clip4clip_official import KINDS, OPEN_CLIP, original_state
from support.refused_checkpoints import refused

# Nothing else says how many words there are, or how long a sentence may be.
FREE = ("token_embedding.weight", "clip.positional_embedding", "model.positional_embedding")
CASES = [(kind, three) for kind in KINDS for three in (False, True)]


def official(kind="seqTransf", three=False):
    """As the original saves it: half precision where it converts weights, float32 elsewhere."""
    state = original_state(kind, three)
    return {key: value.half() if ".attn.in_proj" in key else value.float() for key, value in state.items()}


def same(a, b):
    assert set(a) == set(b)
    for key, value in a.items():
        assert value.dtype == b[key].dtype and torch.equal(value, b[key]), key


@pytest.mark.parametrize(("kind", "three"), CASES)
def test_there_and_back_key_for_key(kind, three, tmp_path, capsys):
    source, ours, back = tmp_path / "pytorch_model.bin.4", tmp_path / "ours.pth", tmp_path / "back.bin"
    state = official(kind, three)
    torch.save(state, source)
    assert main(["convert", "clip4clip", str(source), str(ours)]) == 0
    said = capsys.readouterr().out
    unused = ({CONV} if three else set()) | ({POSITIONS} if kind == "seqLSTM" else set())
    assert f"CLIP4Clip {kind}{' with 3D patches' if three else ''}" in said
    assert all(f"left out: {key}" in said for key in unused)
    assert len(load_checkpoint(ours)["state_dict"]) == len(state) - len(unused) + 1
    assert main(["convert", "clip4clip", str(ours), str(back), "--reverse", "--original", str(source)]) == 0
    same(torch.load(back, weights_only=True), state)
    assert main(["convert", "clip4clip", str(ours), str(tmp_path / "bare.bin"), "--reverse"]) == 0
    same(torch.load(tmp_path / "bare.bin", weights_only=True), {k: v for k, v in state.items() if k not in unused})


@pytest.mark.parametrize(("kind", "three"), CASES)
@pytest.mark.parametrize("reverse", [False, True])
def test_missing_strange_renamed_and_misshapen_keys_are_refused(kind, three, reverse):
    whole = convert(official(kind, three)).state if reverse else official(kind, three)
    keys = sorted(set(whole) - {SCALE})
    for key in keys[::5]:
        for broken in (
            {k: v for k, v in whole.items() if k != key},
            {k.replace(key, key + "x"): v for k, v in whole.items()},
            {**whole, key: whole[key][..., None]},
            {**whole, key: torch.cat([whole[key]] * 3)} if whole[key].ndim and not key.endswith(FREE) else {},
        ):
            with pytest.raises(ClipkitError) as caught:
                convert(broken, reverse)
            assert "\n" not in str(caught.value)
    with pytest.raises(ClipkitError, match=r"no place in .*CLIP4Clip .*: clip\.extra"):
        convert({**whole, "clip.extra": torch.zeros(1)}, reverse)


def test_the_scale_is_the_objectives(tmp_path):
    ours = convert(official()).state
    assert torch.equal(ours[SCALE], official()["clip.logit_scale"])
    ours[SCALE] = torch.tensor(4.0)
    assert convert(ours, reverse=True).state["clip.logit_scale"] == 4.0


def test_files_that_are_no_checkpoints(tmp_path):
    state = official()
    torch.save(state, tmp_path / "whole.bin")
    whole = (tmp_path / "whole.bin").read_bytes()
    refused("clip4clip", tmp_path, whole[: len(whole) // 2], "truncated or damaged")
    refused(
        "clip4clip",
        tmp_path,
        {"epoch": 3, "optimizer_state_dict": {"state": {}}, "loss": 0.1},
        "entry 'epoch' is a int",
    )
    refused(
        "clip4clip", tmp_path, {f"module.{key}": value for key, value in state.items()}, r"no key starts with 'clip\.'"
    )
    refused(
        "clip4clip",
        tmp_path,
        {k: v for k, v in state.items() if "token_embedding" not in k},
        "lacks clip.token_embedding.weight",
    )
    refused(
        "clip4clip",
        tmp_path,
        {k: v for k, v in state.items() if ".3.ln_2" not in k},
        r"lacks weights of CLIP4Clip seqTransf: ",
    )
    refused("clip4clip", tmp_path, convert(state).state, "lacks clip.visual.conv1.weight")


def test_ways_back_that_lead_nowhere():
    ours = convert(official("seqLSTM")).state
    frozen = {key: value for key, value in ours.items() if not key.startswith("clip.")}
    with pytest.raises(ClipkitError, match="its CLIP was frozen"):
        convert(frozen, reverse=True)
    with pytest.raises(ClipkitError, match=f"--original: lacks {POSITIONS}"):
        convert(ours, reverse=True, original=official("meanP"))


@pytest.mark.parametrize(("kind", "three"), CASES)
def test_a_converted_file_fits_the_model(kind, three, tmp_path):
    """Strictly: its keys are those of the model that the note names."""
    (tmp_path / "clipkit-clip4clip-test.json").write_text(json.dumps(OPEN_CLIP))
    open_clip.add_model_config(tmp_path / "clipkit-clip4clip-test.json")
    # Its two text blocks are too few to start from.
    frames = {"seqTransf": {"max_frames": 16}, "tightTransf": {"max_frames": 15}}
    frames = {name: {**options, "from_text": False} for name, options in frames.items()}
    model = CLIP4Clip(
        clip=dict(name="clipkit-clip4clip-test"),
        head=dict(type=kind, **frames.get(kind, {})),
        tune=dict(unfreeze=["all"], inflate_patches=three),
    )
    model.load_state_dict(convert(official(kind, three)).state, strict=True)
