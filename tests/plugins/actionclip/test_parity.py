"""Parts of ActionCLIP against the original (sallymmx/ActionCLIP), run aside: parity.json holds what it
computed, and actionclip_official.py the closed formula from which both have their weights."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from clipkit_plugins.actionclip.convert import convert
from clipkit_plugins.actionclip.prompts import visual_prompt
from torch.testing import assert_close

from clipkit.adapters import MultiPositiveLoss
from clipkit.backbone._video import shift_tokens
from support.actionclip_official import DIM, KINDS, T, flat, frames, original_state, pairs, prompt_shapes, tokens

RECORDED = json.loads(Path(__file__).with_name("parity.json").read_text())
OPTIONS = {"Conv1D": {"compatible": True}, "Transf": {"max_frames": 16}, "Transf_cls": {"max_frames": T}}


def build(kind):
    """A visual prompt with the original's weights, by way of the converter."""
    head = visual_prompt(kind, DIM, **OPTIONS.get(kind, {})).double().eval()
    ours = convert(flat(original_state(kind))).state
    head.load_state_dict({k.removeprefix("head."): v for k, v in ours.items() if k.startswith("head.")}, strict=True)
    return head


@pytest.mark.parametrize("kind", KINDS)
def test_every_prompt_equals_the_original(kind):
    wanted = torch.tensor(RECORDED["prompts"][kind], dtype=torch.float64).view(4, DIM)
    with torch.no_grad():
        got = build(kind)(frames())
        assert_close(got, torch.nn.functional.normalize(wanted, dim=-1), rtol=0, atol=1e-9)
        single = build(kind).float()(frames().float())
    assert_close(single.double(), got, rtol=0, atol=1e-5)
    assert got.std() > 1e-2


def test_the_conv_starts_as_a_shift_of_channels():
    start = visual_prompt("Conv1D", DIM).shift.weight.flatten().tolist()
    assert start == RECORDED["start"]


def test_shifted_tokens_equal_the_original():
    """Its order is (tokens, frames, channels), ours (frames, tokens, channels)."""
    wanted = torch.tensor(RECORDED["shift"], dtype=torch.float64).view(tokens().shape)
    got = shift_tokens(tokens().transpose(0, 1), frames=3, prefix=1, divisor=8).transpose(0, 1)
    assert torch.equal(got, wanted.to(got)) or (got - wanted).abs().max() < 1e-11


def test_the_objective_equals_the_release():
    x, y, labels = pairs()
    assert MultiPositiveLoss("softmax")(x, y, 20.0, labels).item() == pytest.approx(RECORDED["loss"], abs=1e-10)
    assert MultiPositiveLoss("normalized")(x, y, 20.0, labels).item() != pytest.approx(RECORDED["loss"], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_layout_is_the_originals(kind):
    lines = sorted(f"{key} {tuple(shape)}" for key, shape in prompt_shapes(kind).items())
    assert len(lines) == RECORDED["keys"][kind]["count"]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == RECORDED["keys"][kind]["sha256"]
