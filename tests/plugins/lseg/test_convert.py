"""`clipkit convert lseg`: official checkpoints in and out, and files that are none."""

import sys
import types
from dataclasses import replace

import pytest
import torch

pytest.importorskip("mmseg")

from clipkit_plugins.lseg.convert import Sizes, convert

from clipkit.cli import main
from clipkit.engine.checkpoint import load_checkpoint
from clipkit.errors import ClipkitError
from support.lseg_official import official_state
from support.refused_checkpoints import refused

UNUSED = (
    "net.clip_pretrained.",
    "net.pretrained.model.norm.",
    "net.pretrained.model.head.",
    "net.scratch.refinenet4.resConfUnit1.",
)
SIZES = {
    "vitl16": Sizes((4, 6, 8, 8), 4, 8, False, 12, 10, 2),
    "vitb32": Sizes((4, 6, 8, 8), 4, 8, False, 12, 10, 2),
    "rn101": Sizes((4, 8, 16, 32), 4, 8),
}


def official(tower="vitl16", block=False):
    state = official_state(tower, replace(SIZES[tower], block=block), unused=True)
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def lightning(state, path, **more):
    """The file that Lightning 1.3 wrote: the state of callbacks lies under their class."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    callback = type("ModelCheckpoint", (), {"__module__": name})
    parents = {name[:end]: types.ModuleType(name[:end]) for end in (17, 27, len(name))}
    parents[name].ModelCheckpoint = callback
    callbacks = {callback: {"best_model_path": "a", "best_model_score": torch.tensor(0.8)}}
    content = {"epoch": 199, "pytorch-lightning_version": "1.3.5", "callbacks": callbacks, "state_dict": state}
    with pytest.MonkeyPatch.context() as patch:
        for key, module in parents.items():
            patch.setitem(sys.modules, key, module)
        torch.save(content | more, path)
    return path


def same(a, b):
    assert set(a) == set(b)
    for key, value in a.items():
        assert value.dtype == b[key].dtype and torch.equal(value, b[key]), key


@pytest.mark.parametrize(("tower", "block"), [*((tower, False) for tower in SIZES), ("vitl16", True)])
def test_there_and_back_key_for_key(tower, block, tmp_path, capsys):
    state = official(tower, block)
    source = lightning(state, tmp_path / "demo.ckpt")
    assert main(["convert", "lseg", str(source), str(tmp_path / "ours.pth")]) == 0
    said = capsys.readouterr().out
    ours = load_checkpoint(tmp_path / "ours.pth")["state_dict"]
    kept = used(state)
    assert len(ours) == len(kept) + 1 and ours["logit_scale.log_scale"].exp() == pytest.approx(1 / 0.07)
    assert "left out: 3 of net.clip_pretrained.*" in said and "left out: 12 of net.scratch.refinenet4" in said
    assert ("model.block" in said) == block == ("label_head.conv.weight" in ours)
    back = ["convert", "lseg", str(tmp_path / "ours.pth"), str(tmp_path / "back.ckpt"), "--reverse"]
    assert main([*back, "--original", str(source)]) == 0
    same(load_checkpoint(tmp_path / "back.ckpt")["state_dict"], state)
    assert main(["convert", "lseg", str(tmp_path / "ours.pth"), str(tmp_path / "bare.ckpt"), "--reverse"]) == 0
    assert "give --original, or load not strictly" in capsys.readouterr().out
    same(load_checkpoint(tmp_path / "bare.ckpt")["state_dict"], {key: state[key] for key in kept})
    again = convert({**state, **load_checkpoint(tmp_path / "bare.ckpt")["state_dict"]}).state
    same(again, ours)


def used(state):
    """Keys of what ours uses, of a state dict of either kind."""
    return [key for key in state if not key.startswith(UNUSED)]


@pytest.mark.parametrize("reverse", [False, True])
def test_keys_that_are_missing_or_too_many_are_refused(reverse):
    whole = convert(official()).state if reverse else official()
    for key in used(whole)[::7]:
        with pytest.raises(ClipkitError, match=r"lacks|has none of|has no|no place"):
            convert({k: v for k, v in whole.items() if k != key}, reverse)
    with pytest.raises(ClipkitError, match=r"no place in LSeg with ViT-L/16: \S*extra; nothing was converted"):
        convert({**whole, ("extra" if reverse else "net.extra"): torch.zeros(1)}, reverse)


@pytest.mark.parametrize("reverse", [False, True])
def test_wrong_shapes_are_refused(reverse):
    whole = convert(official(block=True)).state if reverse else official(block=True)
    for key in used(whole)[::5]:
        if whole[key].ndim:
            with pytest.raises(ClipkitError, match=r"has shape|lacks|no place"):
                convert({**whole, key: torch.cat([whole[key]] * 2)}, reverse)


class HyperParameters:
    pass


def test_files_that_are_no_checkpoints(tmp_path):
    state = official()
    whole = lightning(state, tmp_path / "whole.ckpt").read_bytes()
    refused("lseg", tmp_path, None, "no such file")
    refused("lseg", tmp_path, b"", "is empty")
    refused("lseg", tmp_path, whole[: len(whole) // 2], "truncated or damaged")
    refused("lseg", tmp_path, b"\xff\xd8\xff\xe0" + bytes(400), "no known format")
    refused("lseg", tmp_path, b"<html>not found</html>", "a web page")
    refused("lseg", tmp_path, {"state_dict": {}}, "holds no state dict")
    refused("lseg", tmp_path, {"epoch": 3, "names": ["a"]}, "entry 'epoch' is a int, not a tensor")
    refused("lseg", tmp_path, [1, 2], "holds a list")
    refused(
        "lseg",
        tmp_path,
        {"state_dict": state, "hyper_parameters": HyperParameters()},
        "asks Python for .*nothing was run",
    )


def test_checkpoints_of_something_else(tmp_path):
    state = official()
    renamed = {key.replace("net.", "module.", 1): value for key, value in state.items()}
    refused(
        "lseg", tmp_path, {"state_dict": renamed}, r"no checkpoint of the original LSeg: module\.\S+, .* prefix 'net\.'"
    )
    refused("lseg", tmp_path, torch.nn.Linear(2, 2).state_dict(), "weight, bias without the prefix")
    refused(
        "lseg",
        tmp_path,
        {"net.weight": torch.zeros(2)},
        r"none of the original's towers \(ViT-L/16, ViT-B/32, ResNet-101\)",
    )
    refused("lseg", tmp_path, convert(state).state, "no checkpoint of the original LSeg")
    some = {key: value for key, value in state.items() if "blocks.7" not in key}
    refused(
        "lseg",
        tmp_path,
        some,
        r"lacks weights of LSeg with ViT-L/16: pretrained\.model\.blocks\.7\.norm1\.weight, .* and 9 more",
    )


def test_ways_back_that_lead_nowhere(tmp_path):
    ours = convert(official()).state
    with pytest.raises(ClipkitError, match=r"its scale is 20\.00, .* model\.learn_scale=False"):
        convert({**ours, "logit_scale.log_scale": torch.tensor(20.0).log()}, reverse=True)
    for size in ((0,), (3,)):
        with pytest.raises(ClipkitError, match="no single number"):
            convert({**ours, "logit_scale.log_scale": torch.zeros(size)}, reverse=True)
    with pytest.raises(ClipkitError, match="is it a checkpoint of clipkit's LSeg"):
        convert(official(), reverse=True)
    with pytest.raises(ClipkitError, match="--original has another tower"):
        convert(ours, reverse=True, original=official("vitb32"))
    with pytest.raises(ClipkitError, match="--original: lacks"):
        convert(ours, reverse=True, original={k: v for k, v in official().items() if "head1.bias" not in k})
    assert "net.scratch.head1.bias" in convert({**ours, "text.clip.a": torch.zeros(1)}, reverse=True).state


def test_the_command_says_what_it_cannot_do(tmp_path, capsys):
    source = lightning(official(), tmp_path / "a.ckpt")
    assert main(["convert", "lseg", str(source), str(source)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["convert", "lsegg", str(source), str(tmp_path / "b.pth")]) == 2
    assert 'unknown plugin "lsegg"; did you mean "lseg"?' in capsys.readouterr().err
    assert main(["convert", "lseg", str(source), str(tmp_path / "b.pth"), "--original", str(source)]) == 2
    assert "--original is for --reverse" in capsys.readouterr().err
    assert not (tmp_path / "b.pth").exists()
