"""Stock mmseg and mmdet configs gain CLIP by configuration alone: fused features, and a teacher."""

import json
import math

import numpy as np
import pytest
import torch

pytest.importorskip("mmdet")

from mmengine.registry import DefaultScope

from clipkit.claims.curve import run
from clipkit.engine.build import build_runner
from clipkit.engine.config import load_config
from clipkit.errors import ClipkitError
from clipkit.predict.segmenter import Segmenter
from clipkit.segmentation.point_head import PointFCNHead
from clipkit.shapes import render

TINY = {
    "train_cfg.max_iters": 2,
    "train_cfg.val_interval": 2,
    "train_dataloader.batch_size": 2,
    "train_dataloader.dataset.length": 4,
    "val_dataloader.dataset.length": 2,
    "custom_hooks": [],
}


@pytest.mark.parametrize("host", ["fcn", "faster_rcnn"])
@pytest.mark.parametrize("way", ["fusion/{}_tiny_shapes_fused.py", "distillation/{}_tiny_shapes_distilled.py"])
def test_one_training_step_and_the_frozen_clip_stays(tmp_path, host, way):
    runner = build_runner(way.format(host), work_dir=tmp_path, seed=0, cfg_options=TINY)
    model = runner.model
    clip = model.clip if "distillation" in way else model.backbone.clip
    before, weights = clip.weights_hash, {k: v.clone() for k, v in model.state_dict().items() if "weight" in k}
    runner.train()
    assert clip.weights_hash == before and not any("clip" in key for key in weights)
    moved = [k for k, v in model.state_dict().items() if k in weights and not torch.equal(v, weights[k])]
    own = "projections" if "distillation" in way else "fusions"
    assert any(own in key for key in moved) and any("layer4" in key for key in moved)


def test_a_distilled_student_is_tested_without_its_teacher(tmp_path):
    build_runner("distillation/fcn_tiny_shapes_distilled.py", work_dir=tmp_path, seed=0, cfg_options=TINY).train()
    tests = dict(for_training=False, checkpoint=tmp_path, cfg_options={"test_dataloader.dataset.length": 2})
    scores = [
        build_runner(config, work_dir=tmp_path / "test", **tests).test()
        for config in ("distillation/fcn_tiny_shapes_distilled.py", "fusion/fcn_tiny_shapes.py")
    ]
    assert scores[0] == scores[1]

    segmenter = Segmenter.load("fusion/fcn_tiny_shapes.py", tmp_path, device="cpu")  # a closed set, and no teacher
    found = segmenter(render(1, seed=0).images[0])
    assert found.labels.shape == (64, 64) and len(found.names) == 102
    assert found.scores.min() > 0 and found.scores.max() < 1
    with pytest.raises(ClipkitError, match="fixed classes"):
        segmenter(render(1, seed=0).images[0], "cat")


def test_scores_of_closed_heads(monkeypatch):
    class Closed(torch.nn.Module):
        label_names = ("background", "cat")

        def test_step(self, data):
            from mmengine.structures import PixelData

            index = (self.logits[0] > 0.3).long() if len(self.logits) == 1 else self.logits.argmax(0)
            sample = data["data_samples"][0]
            sample.set_data({"seg_logits": PixelData(data=self.logits), "pred_sem_seg": PixelData(data=index[None])})
            return [sample]

    segmenter = Segmenter(Closed(), None)
    picture = np.zeros((1, 2, 3), np.uint8)
    segmenter.model.logits = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]])
    assert segmenter(picture).scores.tolist()[0] == pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-2))])
    segmenter.model.logits = torch.tensor([[[0.2, 0.9]]])  # mmseg's binary heads give the sigmoid
    assert segmenter(picture).scores.tolist()[0] == pytest.approx([0.8, 0.9])


def _heads(**options):
    from mmseg.models.decode_heads import FCNHead

    options = dict(in_channels=4, channels=4, num_classes=3, num_convs=1, norm_cfg=None, **options)
    with DefaultScope.overwrite_default_scope("mmseg"):
        return FCNHead(**options), PointFCNHead(points=200000, **options)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("ignore_index", [255, -1])
def test_drawn_pixels_have_the_losses_of_all_pixels(align_corners, ignore_index):
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    twice = [dict(type="CrossEntropyLoss", loss_name="loss_a", loss_weight=w, avg_non_ignore=True) for w in (1.0, 2.0)]
    every, drawn = _heads(align_corners=align_corners, ignore_index=ignore_index, loss_decode=twice)
    target = torch.arange(36).reshape(1, 6, 6) % 3
    target[0, 0, :2] = ignore_index
    samples = [SegDataSample(gt_sem_seg=PixelData(data=target))]
    logits = 4 * torch.randn(1, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    expected, found = (float(head.loss_by_feat(logits, samples)["loss_a"]) for head in (every, drawn))
    assert found == pytest.approx(expected, rel=0.01)


def test_a_head_that_draws_takes_no_sampler():
    with pytest.raises(ValueError, match="leave sampler= out"):
        _heads(align_corners=False, sampler=dict(type="OHEMPixelSampler"))


@pytest.mark.parametrize(
    ("config", "stock"),
    [
        ("fcn_tiny_shapes", "mmseg::_base_/models/fcn_r50-d8.py"),
        ("faster_rcnn_tiny_shapes", "mmdet::_base_/models/faster-rcnn_r50_fpn.py"),
    ],
)
def test_the_host_is_the_library_s_own_config(config, stock):
    host, own = load_config(f"fusion/{config}.py").model, load_config(f"fusion/{config}_fused.py").model
    assert stock in load_config(f"fusion/{config}.py").text
    assert own.backbone.host == host.backbone
    assert {**own, "backbone": 0} == {**host, "backbone": 0}


def test_a_curve_of_scores_and_a_run_that_goes_on(tmp_path):
    options = {**TINY, "train_cfg.max_iters": 4}
    arguments = dict(seed=1, config="fusion/fcn_tiny_shapes.py", metric="mIoU", every=2)
    whole = run(work_dir=tmp_path / "a", cfg_options=options, **arguments)
    assert list(whole) == ["at 2", "at 4"]
    run(work_dir=tmp_path / "b", cfg_options={**options, "train_cfg.max_iters": 2}, **arguments)
    assert list(run(work_dir=tmp_path / "b", cfg_options=options, **arguments)) == ["at 2", "at 4"]
    curve = tmp_path / "a/score_curve.json"  # a kill in the last validation leaves the checkpoint and not its point
    curve.write_text(json.dumps({"2": json.loads(curve.read_text())["2"]}))
    assert run(work_dir=tmp_path / "a", cfg_options=options, **arguments) == whole
