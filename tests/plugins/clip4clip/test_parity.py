"""CLIP4Clip's calculators against the original (ArrowLuo/CLIP4Clip), which was run aside: parity.json holds
what it computed, and clip4clip_official.py the closed formula from which both have their weights."""

import hashlib
import json
from pathlib import Path

import open_clip
import pytest
import torch
from clipkit_plugins.clip4clip.convert import SCALE, convert
from torch.testing import assert_close

from clipkit.adapters import temporal_head
from clipkit.backbone import TunableCLIP
from support.clip4clip_official import (
    KINDS,
    OPEN_CLIP,
    frames,
    masks,
    original_shapes,
    original_state,
    pixels,
    sentences,
    token_ids,
)

RECORDED = json.loads(Path(__file__).with_name("parity.json").read_text())


def build(case, dtype=torch.float64):
    """CLIP, head and logit scale with the original's weights, by way of the converter."""
    kind, _, patches = case.partition(" ")
    ours = convert(original_state(kind, bool(patches))).state
    clip = TunableCLIP(open_clip.model.CLIP(**OPEN_CLIP), name="small")
    if patches:
        clip.inflate_patches()
    options = {"layers": 4} if "Transf" in kind else {}
    head = temporal_head(kind, clip, from_text=False, **options, **heads_of(kind))
    clip.double().load_state_dict(part(ours, "clip."), strict=True)
    head.double().load_state_dict(part(ours, "head."), strict=True)
    return clip.to(dtype).eval(), head.to(dtype).eval(), ours[SCALE].to(dtype).exp() if head.cosine else 1.0


def heads_of(kind):
    return {"seqTransf": {"max_frames": 16}, "tightTransf": {"max_frames": 15}}.get(kind, {})


def part(state, prefix):
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", RECORDED["similarity"])
def test_every_calculator_equals_the_original(case, dtype):
    kind, mask = case.split(", ")
    _, head, scale = build(kind, dtype)
    with torch.no_grad():
        got = scale * head.similarity(sentences().to(dtype), frames().to(dtype), masks()[mask])
    wanted = torch.tensor(RECORDED["similarity"][case]["values"], dtype=torch.float64).view(got.shape)
    size = wanted.abs().max().item()
    assert_close(got.double(), wanted, rtol=0, atol=(1e-9 if dtype == torch.float64 else 1e-5) * max(size, 1))
    assert wanted.std() > 1e-2


@pytest.mark.parametrize("case", RECORDED["model"])
def test_pixels_and_tokens_in_scores_out(case):
    clip, head, scale = build(case)
    mask = masks()["padded"][:3, :4]
    with torch.no_grad():
        text, video = clip.encode_tokens(token_ids(), normalize=False), clip.encode_frames(pixels())
        got = scale * head.similarity(text, video, mask)
    wanted = {key: torch.tensor(values, dtype=torch.float64) for key, values in RECORDED["model"][case].items()}
    assert_close(text.flatten()[::8], wanted["text"], rtol=0, atol=1e-6)
    assert_close(video.flatten()[::32], wanted["frames"], rtol=0, atol=1e-6)
    assert_close(got.flatten(), wanted["similarity"], rtol=0, atol=1e-5)


def test_3d_patches_equal_2d_ones_at_the_start_and_only_then():
    plain, _, _ = build("meanP")
    twin, _, _ = build("meanP")
    trained, _, _ = build("meanP 3d")
    with torch.no_grad():
        assert torch.equal(twin.inflate_patches().encode_frames(pixels()), plain.encode_frames(pixels()))
        assert (trained.encode_frames(pixels()) - plain.encode_frames(pixels())).abs().max() > 1e-2


@pytest.mark.parametrize("case", RECORDED["keys"])
def test_the_layout_is_the_originals(case):
    kind, _, patches = case.partition(" ")
    lines = sorted(f"{key} {tuple(shape)}" for key, shape in original_shapes(kind, bool(patches)).items())
    wanted = RECORDED["keys"][case]
    assert len(lines) == wanted["count"]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == wanted["sha256"]


def test_every_calculator_was_recorded():
    assert {case.split(", ")[0] for case in RECORDED["similarity"]} == set(KINDS)
    assert len(RECORDED["similarity"]) == 16
