"""Detectors from mmdet's own configs with an eighth of the channels, one image for them, and a record of which of
mmcv's operators they call."""

import copy
import functools
import sys
from collections.abc import Mapping
from pathlib import Path

import mmdet
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

SIZE = 160  # two pixels at stride 128: group norm wants more than one
ROI = {"roi_align_forward", "roi_align_backward"}
FOCAL = {"sigmoid_focal_loss_forward", "sigmoid_focal_loss_backward"}
ATTENTION = {"ms_deform_attn_forward", "ms_deform_attn_backward"}
DEFORM = {"deform_conv_forward", "deform_conv_backward_input", "deform_conv_backward_parameters"}
MODULATED = {"modulated_deform_conv_forward", "modulated_deform_conv_backward"}
# Config, operators called on any device, and those that mmdet calls on a GPU only.
DETECTORS = {
    "Mask R-CNN": ("mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", {"nms", *ROI}, set()),
    "Cascade Mask R-CNN": ("cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py", {"nms", *ROI}, set()),
    "RetinaNet": ("retinanet/retinanet_r50_fpn_1x_coco.py", {"nms"}, FOCAL),
    "FCOS": ("fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py", {"nms"}, FOCAL),
    "ATSS": ("atss/atss_r50_fpn_1x_coco.py", {"nms"}, FOCAL),
    "RTMDet": ("rtmdet/rtmdet_l_8xb32-300e_coco.py", {"nms"}, set()),
    "DETR": ("detr/detr_r50_8xb2-150e_coco.py", set(), set()),
    "Deformable DETR": ("deformable_detr/deformable-detr_r50_16xb2-50e_coco.py", set(), FOCAL | ATTENTION),
    "DINO": ("dino/dino-4scale_r50_8xb2-12e_coco.py", set(), FOCAL | ATTENTION),
    "Mask2Former": ("mask2former/mask2former_r50_8xb2-lsj-50e_coco.py", set(), ATTENTION),
    # What calls the other operators.
    "DCN": ("dcn/faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py", {"nms", *ROI, *DEFORM}, set()),
    "DCNv2": ("dcnv2/mask-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py", {"nms", *ROI, *MODULATED}, set()),
    "Soft-NMS": ("faster_rcnn/faster-rcnn_r50_fpn_soft-nms_1x_coco.py", {"nms", "softnms", *ROI}, set()),
    "PISA": ("pisa/faster-rcnn_r50_fpn_pisa_1x_coco.py", {"nms", "nms_match", *ROI}, set()),
    "Guided Anchoring": ("guided_anchoring/ga-retinanet_r50-caffe_fpn_1x_coco.py", {"nms", *DEFORM}, FOCAL),
}

_AN_EIGHTH = {
    *("in_channels", "out_channels", "feat_channels", "conv_out_channels", "fc_out_channels", "feedforward_channels"),
    *("embed_dims", "num_feats", "num_groups"),
}
_AT_MOST = {"num_queries": 20, "num_dn_queries": 10, "num_layers": 2, "num_points": 128, "nms_pre": 200}
_AT_MOST |= {"max_per_img": 20, "max_per_image": 20}


def build(name: str) -> torch.nn.Module:
    """The detector, small, with random weights from seed 0."""
    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(Path(mmdet.__file__).parent / ".mim" / "configs" / DETECTORS[name][0]).model
    _shrink(cfg)
    cfg.backbone.init_cfg = None
    cfg.backbone.update(
        dict(base_channels=8) if cfg.backbone.type == "ResNet" else dict(widen_factor=1 / 8, deepen_factor=1 / 3)
    )
    if "decoder" in cfg:
        cfg.bbox_head.embed_dims = 32
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(cfg)
        model.init_weights()
    return revert_sync_batchnorm(model)


def _shrink(node) -> None:
    if isinstance(node, (list, tuple)):
        for item in node:
            _shrink(item)
    elif isinstance(node, Mapping):
        if node.get("type") == "ScoreHLRSampler":
            node["score_thr"] = 0.0
        for key, value in node.items():
            if key in _AN_EIGHTH and value is not None:
                node[key] = [v // 8 for v in value] if isinstance(value, list) else value // 8
            elif key in _AT_MOST and isinstance(value, int):
                node[key] = min(value, _AT_MOST[key])
            elif key == "score_thr":
                node[key] = 0.0
            elif value == (1024, 1024):
                node[key] = (SIZE, SIZE)
            else:
                _shrink(value)


def batch(with_masks: bool) -> dict:
    """One image of noise with three boxes, as a data loader gives it."""
    generator = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[8.0, 10, 60, 70], [50, 40, 120, 110], [20, 80, 44, 112]])
    masks = np.zeros((3, SIZE, SIZE), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist()):
        mask[y1:y2, x1:x2] = 1
    sample = DetDataSample(
        metainfo=dict(img_id=0, img_shape=(SIZE, SIZE), ori_shape=(SIZE, SIZE), scale_factor=(1.0, 1.0), flip=False)
    )
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([0, 5, 79]))
    if with_masks:
        sample.gt_instances.masks = BitmapMasks(masks, SIZE, SIZE)
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    image = torch.randint(0, 256, (3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    return dict(inputs=[image], data_samples=[sample])


def count_calls(monkeypatch) -> dict[str, int]:
    """Counts the calls of each operator of `mmcv._ext` from now on."""
    extension, calls = sys.modules["mmcv._ext"], {}

    def counted(name, function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            calls[name] = calls.get(name, 0) + 1
            return function(*args, **kwargs)

        return call

    for name, function in list(vars(extension).items()):
        if callable(function) and not name.startswith("_"):
            monkeypatch.setattr(extension, name, counted(name, function))
    return calls


def train_and_predict(model: torch.nn.Module, autocast=None) -> tuple[float, float, DetDataSample]:
    """Two training steps and a prediction: the two losses and the result.

    Raises:
        AssertionError: a loss is not finite, or no gradient reached the backbone.
    """
    optimiser = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=1e-3)
    kind = next(model.parameters()).device.type
    data = batch(with_masks=model.with_mask or hasattr(model, "panoptic_head"))
    losses = []
    model.train()
    for _ in range(2):
        with torch.autocast(kind, autocast or torch.bfloat16, enabled=autocast is not None):
            inputs = model.data_preprocessor(copy.deepcopy(data), training=True)
            loss, log = model.parse_losses(model(**inputs, mode="loss"))
        assert torch.isfinite(loss), log
        optimiser.zero_grad()
        loss.backward()
        gradients = [p.grad for p in model.backbone.parameters() if p.requires_grad]
        assert all(torch.isfinite(g).all() for g in gradients) and any(g.abs().max() > 0 for g in gradients)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        losses.append(float(loss.detach()))
    model.eval()
    with torch.no_grad(), torch.autocast(kind, autocast or torch.bfloat16, enabled=autocast is not None):
        (result,) = model.test_step(data)
    return losses[0], losses[1], result
