"""A ViLD of a few thousand parameters, with text embeddings from a file."""

import json

import numpy as np
import torch
import torch.nn.functional as F
from clipkit_plugins.vild import ViLDClassifier
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from clipkit.engine.registry import MODELS
from clipkit.text import TextEmbeddings

NAMES = ["red circle", "blue star", "green ring", "orange star"]
DIM = 8


def write_embeddings(folder, names=(*NAMES, "background", "grass", "unicorn")):
    rows = np.random.default_rng(0).normal(size=(len(names), DIM)).astype(np.float32)
    np.save(folder / "rows.npy", rows)
    (folder / "rows.json").write_text(json.dumps(list(names)))
    return str(folder / "rows.npy")


def model_config(embeddings, **changes):
    rcnn = dict(nms=dict(type="nms", iou_threshold=0.5), score_thr=0.0, max_per_img=20, mask_thr_binary=0.5)
    rpn = dict(nms_pre=50, max_per_img=20, nms=dict(type="nms", iou_threshold=0.7), min_bbox_size=0)
    assigner = dict(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.3, match_low_quality=True)
    sampler = dict(type="RandomSampler", num=16, pos_fraction=0.5, neg_pos_ub=-1)
    config = dict(
        type="clipkit.ViLD",
        classes=NAMES,
        base_classes=NAMES[:3],
        text=dict(path=embeddings),
        data_preprocessor=dict(
            type="DetDataPreprocessor", mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True, pad_mask=True
        ),
        backbone=dict(type="ResNet", depth=18, base_channels=4, num_stages=2, strides=(1, 2), dilations=(1, 1),
                      out_indices=(0, 1), norm_eval=False),
        neck=dict(type="FPN", in_channels=[4, 8], out_channels=8, num_outs=3),
        rpn_head=dict(
            type="RPNHead", in_channels=8, feat_channels=8,
            anchor_generator=dict(type="AnchorGenerator", scales=[4], ratios=[1.0], strides=[4, 8, 16]),
            bbox_coder=dict(type="DeltaXYWHBBoxCoder"),
            loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True), loss_bbox=dict(type="L1Loss"),
        ),
        roi_head=dict(
            bbox_roi_extractor=extractor(7),
            bbox_head=dict(in_channels=8, conv_out_channels=8, fc_out_channels=16, num_shared_convs=1,
                           num_shared_fcs=1),
            mask_roi_extractor=extractor(7),
            mask_head=dict(type="FCNMaskHead", num_convs=1, in_channels=8, conv_out_channels=8),
        ),
        train_cfg=dict(
            rpn=dict(assigner=assigner, sampler=sampler, allowed_border=-1, pos_weight=-1),
            rpn_proposal=rpn,
            rcnn=dict(assigner=assigner, sampler=sampler, mask_size=14, pos_weight=-1),
        ),
        test_cfg=dict(rpn=rpn, rcnn=rcnn),
    )  # fmt: skip
    return ConfigDict({**config, **changes})


def extractor(size):
    return dict(
        type="SingleRoIExtractor",
        roi_layer=dict(type="RoIAlign", output_size=size, sampling_ratio=2),
        out_channels=8,
        featmap_strides=[4, 8],
    )


def build(embeddings, **changes):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("clipkit"):
        model = MODELS.build(model_config(embeddings, **changes))
    model.init_weights()
    return model


def batch(seed=0, count=2, size=64, regions=5, labels=(0, 2)):
    """What a loader gives: images as uint8 BGR, two boxes with masks each, `regions` of the teacher."""
    g = torch.Generator().manual_seed(seed)
    inputs, samples = [], []
    for _ in range(count):
        inputs.append(torch.randint(256, (3, size, size), generator=g, dtype=torch.uint8))
        shapes = dict.fromkeys(("img_shape", "ori_shape", "pad_shape", "batch_input_shape"), (size, size))
        sample = DetDataSample(metainfo=dict(**shapes, scale_factor=(1.0, 1.0), img_id=0))
        boxes = torch.tensor([[4.0, 4, 30, 34], [28, 20, 60, 62]])[: len(labels)]
        masks = np.zeros((len(labels), size, size), dtype=np.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist()):
            mask[y1:y2, x1:x2] = 1
        sample.gt_instances = InstanceData(
            bboxes=boxes, labels=torch.tensor(labels, dtype=torch.int64), masks=BitmapMasks(masks, size, size)
        )
        corner = 40 * torch.rand(regions, 2, generator=g)
        sample.teacher_regions = InstanceData(
            bboxes=torch.cat([corner, corner + 8 + 12 * torch.rand(regions, 2, generator=g)], 1),
            embeddings=torch.randn(regions, DIM, generator=g),
            valid=torch.ones(regions, dtype=torch.bool),
        )
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def losses(model, data):
    """The losses of a training step, sampled in the same way each time."""
    torch.manual_seed(1)
    np.random.seed(1)
    return model(**model.data_preprocessor(data, True), mode="loss")


def scalar(value):
    return float((sum(value) if isinstance(value, list) else value).detach())


def near(*shape):
    """Rows near each other, so that at a scale of 100 no softmax is saturated."""
    return F.normalize(torch.ones(*shape, DIM) + 0.1 * torch.randn(*shape, DIM), dim=-1)


def classifier(**options):
    torch.manual_seed(3)
    rows, word, start = near(4), near(), near()
    made = ViLDClassifier(DIM, **{"variant": "ensemble", **options})
    if made.background is not None:
        made.background.vector.data = 2 * start
    made.set_training_classes(rows, torch.tensor([True, True, True, False]), word)
    made.set_labels(TextEmbeddings(tuple(NAMES), rows), [True, True, True, False])
    return made
