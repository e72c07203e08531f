"""Proposals of a trained detector's RPN, as `clipkit precompute --rpn` takes them."""

import numpy as np
import pytest
import torch

pytest.importorskip("mmdet")
from clipkit.data.proposals import ImageFile
from clipkit.detection.rpn import RPNProposals
from clipkit.engine.checkpoint import save_checkpoint
from clipkit.errors import ClipkitError
from clipkit.shapes import render

ROI_HEAD = """
    roi_head=dict(
        type="StandardRoIHead",
        bbox_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=0),
            out_channels=16,
            featmap_strides=[4, 8, 16, 32],
        ),
        bbox_head=dict(type="Shared2FCBBoxHead", in_channels=16, fc_out_channels=8, roi_feat_size=7, num_classes=3),
    ),
"""
CONFIG = """
default_scope = "mmdet"
model = dict(
    type="{kind}",
    data_preprocessor=dict(
        type="DetDataPreprocessor", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(type="ResNet", depth=18, base_channels=8, norm_cfg=dict(type="SyncBN"), norm_eval=True),
    neck=dict(type="FPN", in_channels=[8, 16, 32, 64], out_channels=16, num_outs=5),
    rpn_head=dict(type="RPNHead", in_channels=16, feat_channels=16),
    {roi_head}
    train_cfg=None,
    test_cfg=dict(
        rpn=dict(nms_pre=200, max_per_img=1000, nms=dict(type="nms", iou_threshold=0.7), min_bbox_size=0),
        {rcnn}
    ),
)
test_dataloader = dict(
    dataset=dict(
        type="CocoDataset",
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Resize", scale=(160, 160), keep_ratio=True),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
            ),
        ],
    )
)
"""


def detector(folder, kind):
    """A config file, a checkpoint for it and the model."""
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    import clipkit.engine
    from clipkit.engine.register import quiet_imports

    with quiet_imports():
        import mmdet.models  # noqa: F401
    from mmdet.registry import MODELS

    two_stage = kind == "FasterRCNN"
    rcnn = 'rcnn=dict(score_thr=0.05, nms=dict(type="nms", iou_threshold=0.5), max_per_img=100),' if two_stage else ""
    path = folder / f"{kind}.py"
    path.write_text(CONFIG.format(kind=kind, roi_head=ROI_HEAD if two_stage else "", rcnn=rcnn))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(Config.fromfile(str(path)).model)
    for name, value in model.state_dict().items():
        if "running" in name:  # statistics other than those of a fresh network
            value.uniform_(0.5, 1.5)
    save_checkpoint({"state_dict": model.state_dict(), "meta": {}}, folder / f"{kind}.pth")
    assert clipkit.engine
    return path, folder / f"{kind}.pth", model


def picture(height=90, width=120):
    scene = (render(1, size=128, seed=4).images[0] * 255).round().byte().movedim(0, -1).numpy()
    return scene[:height, :width]


@pytest.mark.parametrize("kind", ["RPN", "FasterRCNN"])
def test_proposals_are_those_that_the_detector_sees(tmp_path, kind):
    config, checkpoint, model = detector(tmp_path, kind)
    source = RPNProposals(str(config), str(checkpoint), 40, torch.device("cpu"))
    pixels = picture()
    boxes, scores = source(ImageFile("a.png", tmp_path / "a.png"), pixels)
    assert boxes.shape == (40, 4) and (np.diff(scores) <= 0).all()
    assert boxes.min() >= 0 and (boxes.max(0) <= [120, 90, 120, 90]).all()
    assert boxes.max() > 60  # in the picture's own pixels, not the resized ones' 160
    # The same by hand: BGR array, resized by 4/3, normalised, padded to 32.
    import cv2
    from mmdet.structures import DetDataSample

    resized = cv2.resize(np.ascontiguousarray(pixels[..., ::-1]), (160, 120))
    sample = DetDataSample(metainfo={"img_shape": (120, 160), "scale_factor": (160 / 120, 120 / 90)})
    batch = {"inputs": [torch.from_numpy(resized).movedim(-1, 0)], "data_samples": [sample]}
    from mmengine.model import revert_sync_batchnorm

    model = revert_sync_batchnorm(model).eval()
    batch = model.data_preprocessor(batch, False)
    with torch.no_grad():
        features = model.extract_feat(batch["inputs"])
        head = model.rpn_head if kind == "FasterRCNN" else model.bbox_head
        expected = head.predict(features, batch["data_samples"], rescale=True)[0]
    np.testing.assert_allclose(boxes, expected.bboxes[:40].numpy(), atol=1e-3)
    np.testing.assert_allclose(scores, expected.scores[:40].numpy(), atol=1e-5)
    assert source.key["from"] == "rpn" and source.key["model"]["type"] == kind


def test_a_pipeline_that_loads_nothing_only_packs(tmp_path):
    config, checkpoint, _ = detector(tmp_path, "RPN")
    text = config.read_text()
    steps = text[text.index('dict(type="LoadImageFromFile")') : text.index('dict(\n                type="PackDet')]
    config.write_text(text.replace(steps, ""))
    boxes, _ = RPNProposals(str(config), str(checkpoint), 40, torch.device("cpu"))(
        ImageFile("a.png", tmp_path / "a.png"), picture()
    )
    assert len(boxes) > 20 and (boxes.max(0) <= [120, 90, 120, 90]).all()
    config.write_text(text.replace("PackDetInputs", "Resize").replace("meta_keys", "scale=(1, 1)) or dict(x"))
    with pytest.raises(ClipkitError, match="no step of its test pipeline packs"):
        RPNProposals(str(config), str(checkpoint), 40, torch.device("cpu"))


def test_what_is_no_rpn_is_said(tmp_path):
    config, checkpoint, _ = detector(tmp_path, "RPN")
    other = tmp_path / "other.py"
    other.write_text('default_scope = "mmdet"\nmodel = dict(type="FCOS", test_cfg=dict(nms_pre=1000))\n')
    with pytest.raises(ClipkitError, match=r"other\.py: the model has no region proposal network"):
        RPNProposals(str(other), str(checkpoint), 40, torch.device("cpu"))
    with pytest.raises(ClipkitError, match=r"absent\.pth"):
        RPNProposals(str(config), str(tmp_path / "absent.pth"), 40, torch.device("cpu"))
    save_checkpoint({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "a.pth")
    with pytest.raises(ClipkitError, match="does not fit the model"):
        RPNProposals(str(config), str(tmp_path / "a.pth"), 40, torch.device("cpu"))
