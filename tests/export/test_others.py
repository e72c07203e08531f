"""Frames, views and sounds: each kind once, against its own model."""

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime", reason="the extra onnx")

from mmengine.config import Config

from clipkit.engine.plugins import load_plugins
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.export import OnnxFile, export_onnx, model_graph

CLIP4CLIP = dict(type="CLIP4Clip", clip="tiny_clip", head=dict(type="seqTransf", layers=1))
QUERY = dict(type="CLIP4Clip", clip="tiny_clip", head=dict(type="query_scoring"))
LSTM = dict(type="CLIP4Clip", clip="tiny_clip", head=dict(type="seqLSTM"))
ACTION = dict(type="ActionCLIP", clip="tiny_clip", head=dict(type="Transf", layers=1), templates=["{}"])
SHIFT = dict(ACTION, tune=dict(shift_tokens=4))
JOIN = dict(ACTION, head=dict(type="meanP"), tune=dict(join_frames=4))
CLS = dict(ACTION, head=dict(type="Transf_cls", layers=1))
POINTS = dict(
    type="PointCLIP", classes=["cone", "cube"], projection=dict(type="DepthMaps", size=64), adapter=dict(),
    weights="learned",
)  # fmt: skip
AUDIO = dict(type="AudioCLIP", clip="tiny_clip", tower=dict(channels=(4, 4, 8, 4), hidden=8), prompt="a {}")


def exported(path, plugin, model):
    load_plugins([plugin])
    torch.manual_seed(0)
    module = MODELS.build(Config(model)).eval()
    graph, about = model_graph(module, Config(dict(model=model)))
    return module, export_onnx(graph, about, path), OnnxFile(path)


ALL = {
    "clip4clip": ("clip4clip", CLIP4CLIP), "query": ("clip4clip", QUERY), "lstm": ("clip4clip", LSTM),
    "actionclip": ("actionclip", ACTION), "shift": ("actionclip", SHIFT), "join": ("actionclip", JOIN),
    "cls": ("actionclip", CLS),
    "pointclip": ("pointclip", POINTS), "audioclip": ("audioclip", AUDIO),
}


@pytest.mark.parametrize("kind", ALL)
def test_try(kind, tmp_path):
    module, check, file = exported(tmp_path / "a.onnx", *ALL[kind])
    print(kind, check)
