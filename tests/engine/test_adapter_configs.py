"""Stock mmseg and mmdet configs gain CLIP by configuration alone: fused features, and a teacher."""

import json

import pytest
import torch

pytest.importorskip("mmdet")

from clipkit.engine.build import build_runner
from clipkit.engine.claim_curve import run
from clipkit.engine.config import load_config

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
