"""Small models to bundle: one of depth that trains nothing, and a work folder of a closed-set segmenter."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import DefaultScope

from clipkit.bundle._layout import INDEX, digest, file_record
from clipkit.engine.build import prepare_config
from clipkit.engine.checkpoint import save_checkpoint
from clipkit.engine.registry import MODELS
from clipkit.engine.work_folder import read_record
from clipkit.predict.predictor import open_predictor

DEPTH = """
plugins = ["depthclip"]
model = dict(type="DepthCLIP", clip="distance_clip", stride=4, words=["near", "far"], bins=[1.0, 3.0])
"""
FCN = """
default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[127.0, 127.0, 127.0], std=[64.0, 64.0, 64.0],
        size=(32, 32)),
    backbone=dict(type='clipkit.ConvTower', channels=(4, 8), blocks=(1, 1)),
    decode_head=dict(type='FCNHead', in_channels=8, in_index=1, channels=4, num_convs=1, num_classes=3,
        norm_cfg=dict(type='BN'), loss_decode=dict(type='CrossEntropyLoss'),
        init_cfg=dict(type='Normal', std=0.01)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
work_dir = '/home/somebody/w'
test_dataloader = dict(dataset=dict(type='Mine', data_root='/home/somebody/photos', pipeline=[
    dict(type='mmcv.LoadImageFromFile', backend_args=dict(path='/home/somebody')),
    dict(type='mmcv.Resize', scale=(64, 48), keep_ratio=True)]))
val_dataloader = dict(dataset=dict(type='Mine', data_root='/home/somebody/photos'))
val_evaluator = dict(type='mmseg.IoUMetric', output_dir='/home/somebody/out')
"""
CLASSES = ("grass", "sky", "a road")


def depth_bundle(folder: Path, config: str = DEPTH) -> Path:
    """Of a model without weights of its own; the config is written beside the folder."""
    file = folder.with_name(f"{folder.name}.py")
    file.write_text(config)
    predictor, _ = open_predictor(str(file), None, "cpu")
    return predictor.save_pretrained(folder)


def fcn_work_dir(folder: Path) -> Path:
    """What training leaves behind: record, checkpoint, log; the scores are of iterations 5 and 10."""
    (folder / "trained").mkdir(parents=True)
    (folder / "trained/config.py").write_text(FCN)
    cfg = prepare_config(read_record(folder / "trained/config.py"), for_training=False)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    meta = {"iter": 10, "experiment_name": "somebody", "dataset_meta": {"classes": CLASSES}}
    save_checkpoint({"state_dict": model.state_dict(), "meta": meta}, folder / "iter_10.pth")
    log = folder / "20260101_000000/vis_data/scalars.json"
    log.parent.mkdir(parents=True)
    rows = [{"mIoU": 20.5, "step": 5}, {"loss": 0.5, "lr": 0.1, "step": 10}, {"mIoU": 41.25, "time": 0.1, "step": 10}]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def fcn_bundle(root: Path) -> Path:
    """A bundle of `fcn_work_dir`, at `root / "bundle"`."""
    predictor, _ = open_predictor(str(fcn_work_dir(root / "work")), None, "cpu")
    return predictor.save_pretrained(root / "bundle")


def change_index(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Rewrites `bundle.json` as a stranger would: with sums that are right."""
    index = json.loads((folder / INDEX).read_text())
    for name in index["files"]:
        if (folder / name).is_file():
            index["files"][name] = file_record(folder / name)
    change(index)
    index["sha256"] = digest(index)
    (folder / INDEX).write_text(json.dumps(index))
