"""Names and shapes of a CLIP in OpenAI's layout: read off a state dict, and held against one."""

import open_clip
import pytest
import torch

from clipkit.convert.clip_layout import ClipSizes, clip_shapes, clip_sizes, match
from clipkit.errors import ClipkitError

SIZES = ClipSizes(
    embed=16, width=128, layers=2, patch=8, positions=17, text_width=64, text_layers=3, context=8, vocab=40
)


@pytest.fixture
def state():
    """Of open_clip's own model, whose names are OpenAI's."""
    vision = {"image_size": 32, "patch_size": 8, "width": 128, "layers": 2}
    text = {"context_length": 8, "vocab_size": 40, "width": 64, "heads": 1, "layers": 3}
    return open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text).state_dict()


def test_shapes_are_those_of_open_clip(state):
    weights = {key: tuple(value.shape) for key, value in state.items() if key != "attn_mask"}
    assert clip_sizes(state) == SIZES and clip_shapes(SIZES) == weights


def test_sizes_are_read_behind_a_prefix(state):
    assert clip_sizes({f"clip.{key}": value for key, value in state.items()}, "clip.") == SIZES


def test_what_does_not_fit_is_named(state):
    state.pop("attn_mask", None)
    shapes = clip_shapes(SIZES)
    match(state, shapes, "a CLIP")
    changes = {
        "lacks weights of a CLIP: visual.proj; is the file whole": {"visual.proj": None},
        r"has weights with no place in a CLIP: more\.0, more\.1, more\.2 and 1 more": {
            f"more.{i}": torch.zeros(1) for i in range(4)
        },
        r"visual\.proj has shape \(1, 2\), and \(128, 16\) goes with": {"visual.proj": torch.zeros(1, 2)},
    }
    for said, change in changes.items():
        changed = {key: value for key, value in {**state, **change}.items() if value is not None}
        with pytest.raises(ClipkitError, match=said):
            match(changed, shapes, "a CLIP")
    with pytest.raises(ClipkitError, match="has 16 rows, and a square and one are needed"):
        clip_sizes({**state, "visual.positional_embedding": torch.zeros(16, 128)})
    with pytest.raises(ClipkitError, match=r"lacks visual\.conv1\.weight: is the file whole"):
        clip_sizes({})


def test_a_number_of_a_block_that_is_none_is_a_weight_without_a_place(state):
    weights = {key: value for key, value in state.items() if key != "attn_mask"}
    for number in ("²", "9" * 5000, "999999999"):  # a square is a digit, and no number
        more = {**weights, f"transformer.resblocks.{number}.ln_1.bias": torch.zeros(64)}
        sizes = clip_sizes(more)
        with pytest.raises(ClipkitError, match=r"has weights with no place|lacks weights"):
            match(more, clip_shapes(sizes), "a CLIP")
