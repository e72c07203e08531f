"""`clipkit convert audioclip`: every weight of the original has its place, and what does not fit is refused."""

import open_clip
import pytest
import torch
from clipkit_plugins.audioclip.convert import SCALES, clip_rn50, convert, layout

from clipkit.engine.plugins import load_plugins
from clipkit.errors import ClipkitError
from clipkit.nn import ESResNeXt


@pytest.fixture(scope="module")
def state():
    """An original's state dict whose weights take no memory."""
    return {key: torch.full((), 1.0).expand(shape) for key, (_, shape) in layout().items()}


def test_clip_is_openais_rn50():
    with torch.device("meta"):
        wanted = open_clip.model.CLIP(**open_clip.get_model_config("RN50")).state_dict()
    assert {key: tuple(value.shape) for key, value in wanted.items()} == dict(clip_rn50())


def test_there_and_back(state):
    there = convert(state)
    assert len(there.state) == len(state) and "own_clip" in there.notes[0]
    back = convert(there.state, reverse=True)
    assert back.file == "flat" and back.state.keys() == state.keys()
    assert all(back.state[key] is state[key] for key in state)
    with torch.device("meta"):
        tower = ESResNeXt(1024)
    ours = {key.removeprefix("tower."): value for key, value in there.state.items() if key.startswith("tower.")}
    assert tower.load_state_dict(ours, strict=True, assign=True)
    assert {*SCALES.values()} <= there.state.keys() and "clip.model.visual.attnpool.c_proj.bias" in there.state
    assert load_plugins("audioclip")[0].convert is convert


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda s: s.pop("audio.att3.bn.weight"), r"lacks weights of AudioCLIP.*audio\.att3\.bn\.weight"),
        (lambda s: s.pop("logit_scale_at"), r"lacks weights.*logit_scale_at"),
        (lambda s: s.update({"audio.fbsp.bias": torch.zeros(2)}), r"no place in AudioCLIP.*audio\.fbsp\.bias"),
        (lambda s: s.update({"audio.fc.weight": torch.zeros(527, 2048)}), r"audio\.fc\.weight has shape \(527, 2048\)"),
    ],
)
def test_what_was_missed_in_silence_is_refused(state, change, line):
    broken = dict(state)
    change(broken)
    with pytest.raises(ClipkitError, match=line):
        convert(broken)
