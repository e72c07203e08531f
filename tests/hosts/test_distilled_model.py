"""DistilledModel around a small mmengine model and around one of mmseg's."""

import copy

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("mmengine")

import open_clip
from mmengine.model import BaseModel, ImgDataPreprocessor
from mmengine.structures import InstanceData

from clipkit.adapters import CLIPTeacher, CosineDistillLoss, L1DistillLoss, pool_boxes
from clipkit.backbone import FrozenCLIP
from clipkit.errors import ClipkitError
from clipkit.hosts.distilled_model import DistilledModel, _on_grid
from support.closed_form import closed_form_

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def small_clip():
    vision = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
    text = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
    return FrozenCLIP(closed_form_(open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text), scale=0.3))


class Pair(torch.nn.Module):
    """A layer with two outputs; the second has a row for each channel and not for each picture."""

    def forward(self, x):
        return x, x[0].flatten(1)


class Student(BaseModel):
    def __init__(self):
        super().__init__(ImgDataPreprocessor(MEAN, STD, bgr_to_rgb=True))
        self.body, self.head, self.idle = torch.nn.Conv2d(3, 6, 8, 8), torch.nn.Linear(6, 2), torch.nn.Linear(1, 1)
        self.task, self.pair = "own", Pair()

    def forward(self, inputs, data_samples=None, mode="tensor"):
        out = self.head(self.pair(self.body(inputs))[0].mean((-2, -1)))
        return {"loss_task": out.square().mean()} if mode == "loss" else out


class Sample:
    def __init__(self, boxes):
        self.gt_instances = InstanceData(bboxes=boxes)


def bgr(height, width, seed=0):
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def rgb(picture):
    return picture.flip(0)[None] / 255


def build(**target):
    target = {"layer": "body", "loss": {"type": "clipkit.CosineDistillLoss"}, "channels": 6, **target}
    torch.manual_seed(0)
    return DistilledModel(Student(), small_clip(), [target])


def ready(model, pictures):
    return model.data_preprocessor({"inputs": pictures}, True)["inputs"]


def test_image_target_by_hand_and_the_students_loss_is_untouched():
    model = build(kind="image")
    pictures = [bgr(32, 32), bgr(32, 32, 1)]
    inputs = ready(model, pictures)
    losses = model(inputs, mode="loss")
    student = model.projections[0](model.student.body(inputs).mean((-2, -1)))
    teacher = CLIPTeacher(small_clip()).image(torch.cat([rgb(p) for p in pictures]))
    assert set(losses) == {"loss_task", "loss_distill_0"}
    torch.testing.assert_close(losses["loss_distill_0"], CosineDistillLoss()(student, teacher), rtol=1e-4, atol=1e-5)
    assert torch.equal(losses["loss_task"], model.student(inputs, mode="loss")["loss_task"])


def test_a_layer_without_places_can_learn_the_whole_picture():
    model = build(layer="head", channels=2, kind="image")
    inputs = ready(model, [bgr(32, 32), bgr(32, 24, 1)])
    student = model.projections[0](model.student(inputs))
    teacher = torch.cat([CLIPTeacher(small_clip()).image(rgb(p)) for p in (bgr(32, 32), bgr(32, 24, 1))])
    value = model(inputs, mode="loss")["loss_distill_0"]
    torch.testing.assert_close(value, CosineDistillLoss()(student, teacher), rtol=1e-4, atol=1e-5)


def test_dense_target_ignores_padding():
    """Two pictures of different size in one batch cost what their places cost alone, weighted by their number."""
    model = build(kind="dense", name="places", loss={"type": "clipkit.L1DistillLoss", "weight": 2.0})
    pictures = [bgr(32, 32), bgr(16, 24, 1)]
    together = model(ready(model, pictures), mode="loss")["loss_distill_places"]
    alone = [model(ready(model, [p]), mode="loss")["loss_distill_places"] for p in pictures]
    torch.testing.assert_close(together, (16 * alone[0] + 6 * alone[1]) / 22, rtol=1e-4, atol=1e-5)
    grid = model.projections[0](model.student.body(ready(model, pictures[:1])).movedim(1, -1)).movedim(-1, 1)
    expected = L1DistillLoss(2.0)(grid, CLIPTeacher(small_clip()).dense(rgb(pictures[0])))
    torch.testing.assert_close(alone[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("covered", "rows", "grid"), [(2.5, 3, 3), (2.5, 3, 6), (7.25, 8, 3), (4.0, 4, 4)])
def test_the_students_places_lie_where_the_teachers_do(covered, rows, grid):
    """A map that rises by one a cell, of which the picture covers a part: its value says where a place was taken."""
    rise = torch.arange(rows) + 0.5  # a cell's middle, in cells
    found = _on_grid(rise.expand(2, 1, rows, rows), (covered, covered), torch.Size((grid, grid)))
    expected = (torch.arange(grid) + 0.5) * covered / grid
    inside = (expected > 0.5 + covered / grid / 2) & (
        expected < rows - 0.5 - covered / grid / 2
    )  # no sample is held back
    assert found.shape == (2, 1, grid, grid) and inside.sum() >= min(grid, 3) - 2
    torch.testing.assert_close(found[0, 0, :, inside], expected[inside].expand(grid, -1))
    across = _on_grid(rise[:, None].expand(2, 1, rows, rows), (covered, covered), torch.Size((grid, grid)))
    torch.testing.assert_close(across, found.transpose(-1, -2))


def test_a_dense_target_of_a_picture_that_ends_within_a_cell():
    model = build(kind="dense", loss={"type": "clipkit.L1DistillLoss"})
    picture = bgr(20, 28)
    inputs = ready(model, [bgr(32, 32), picture])[1:]
    seen = model.projections[0](model.student.body(inputs).movedim(1, -1)).movedim(-1, 1)[..., :3, :4]
    teacher = CLIPTeacher(small_clip()).dense(rgb(picture))
    expected = L1DistillLoss()(_on_grid(seen, (20 / 8, 28 / 8), teacher.shape[-2:]), teacher)
    both = model(ready(model, [bgr(32, 32), picture]), mode="loss")["loss_distill_0"]
    first = model(ready(model, [bgr(32, 32)]), mode="loss")["loss_distill_0"]
    places = teacher.shape[-2] * teacher.shape[-1]
    torch.testing.assert_close(both, (16 * first + places * expected) / (16 + places), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("source", ["crops", "dense"])
def test_region_target_by_hand(source):
    model = build(kind="regions", source=source)
    pictures = [bgr(32, 32), bgr(16, 24, 1), bgr(32, 32, 2)]
    boxes = [torch.tensor([[2.0, 3, 20, 30], [8, 8, 16, 16]]), torch.tensor([[0.0, 0, 9, 9]]), torch.zeros(0, 4)]
    inputs = ready(model, pictures)
    value = model(inputs, [Sample(b) for b in boxes], mode="loss")["loss_distill_0"]
    grid = model.projections[0](model.student.body(inputs).movedim(1, -1)).movedim(-1, 1)
    student = pool_boxes(grid, boxes, tuple(inputs.shape[-2:]))
    parts = [CLIPTeacher(small_clip()).regions(rgb(p), [b], source) for p, b in zip(pictures, boxes)]
    expected = CosineDistillLoss()(student, torch.cat(parts))
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)


def test_boxes_lie_where_they_lie_although_cells_reach_into_the_padding():
    model = build(kind="regions")
    pictures = [bgr(32, 32), bgr(20, 20, 1)]  # cells of 8 pixels: the second picture ends within its third
    boxes = [torch.zeros(0, 4), torch.tensor([[10.0, 4, 14, 12]])]
    inputs = ready(model, pictures)
    value = model(inputs, [Sample(b) for b in boxes], mode="loss")["loss_distill_0"]
    grid = model.projections[0](model.student.body(inputs).movedim(1, -1)).movedim(-1, 1)[1:, :, :3, :3]
    expected = CosineDistillLoss()(
        pool_boxes(grid, boxes[1:], (24, 24)), CLIPTeacher(small_clip()).regions(rgb(pictures[1]), boxes[1:])
    )
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)


def test_a_copy_trains_too():
    model = copy.deepcopy(build(kind="image"))
    assert model(ready(model, [bgr(32, 32)]), mode="loss")["loss_distill_0"] > 0


def test_training_moves_student_and_projection_but_not_clip():
    model = build(kind="dense")
    before = model.clip.weights_hash
    model.train()
    assert not model.clip.training and model.student.training
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.03, weight_decay=0.1)
    inputs, values = ready(model, [bgr(32, 32)]), []
    for _ in range(12):
        losses = model(inputs, mode="loss")
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        values.append(losses["loss_distill_0"].item())
    assert values[-1] < 0.7 * values[0]
    assert model.student.body.weight.grad.abs().max() > 0 and model.projections[0].weight.grad.abs().max() > 0
    model.clip._hash = None
    assert model.clip.weights_hash == before


def test_the_teacher_is_not_saved_and_prediction_is_the_students():
    model = build(kind="image")
    state = model.state_dict()
    assert not [key for key in state if "clip" in key] and "student.body.weight" in state
    build(kind="image").load_state_dict(state, strict=True)
    inputs = ready(model, [bgr(32, 32)])
    assert torch.equal(model(inputs), model.student(inputs))
    assert model.task == "own"
    model(inputs, mode="loss")
    assert model._seen is None


def test_a_layer_already_in_clips_space_needs_no_projection():
    student = Student()
    student.body = torch.nn.Conv2d(3, 16, 8, 8)
    student.head = torch.nn.Linear(16, 2)
    model = DistilledModel(student, small_clip(), [{"layer": "body", "loss": {"type": "clipkit.CosineDistillLoss"}}])
    inputs = ready(model, [bgr(32, 32)])
    teacher = CLIPTeacher(small_clip()).dense(rgb(bgr(32, 32)))
    expected = F.cosine_similarity(student.body(inputs), teacher, dim=1)
    value = model(inputs, mode="loss")["loss_distill_0"]
    torch.testing.assert_close(value, 1 - expected.mean(), rtol=1e-4, atol=1e-5)


def test_mistakes_end_in_one_line():
    with pytest.raises(ClipkitError, match='no layer "bodi"; did you mean "body"'):
        build(layer="bodi")
    with pytest.raises(ClipkitError, match="kind is one of"):
        build(kind="pixels")
    with pytest.raises(ClipkitError, match='unknown key "weight"'):
        build(weight=1.0)
    with pytest.raises(ClipkitError, match='needs "loss"'):
        build(loss=None)
    with pytest.raises(ClipkitError, match='never ran its layer "idle"'):
        build(layer="idle", channels=None)(torch.zeros(1, 3, 32, 32), mode="loss")
    with pytest.raises(ClipkitError, match="gives no map"):
        build(layer="head", channels=2)(torch.zeros(1, 3, 32, 32), mode="loss")
    with pytest.raises(ClipkitError, match=r"source is one of crops, dense, got 'crop'"):
        build(kind="regions", source="crop")
    for wrong, line in (
        (dict(channels=9), 'layer "body" has 6 channels, not 9'),
        (dict(layer="pair", index=5), 'layer "pair" gives 2 outputs, index is 5'),
        (dict(layer="pair", index=1, kind="image"), "for B pictures"),  # six rows for one picture
    ):
        with pytest.raises(ClipkitError, match=line):
            build(**wrong)(torch.zeros(1, 3, 32, 32), mode="loss")
    target = dict(layer="body", loss=dict(type="clipkit.CosineDistillLoss"), channels=6)
    with pytest.raises(ClipkitError, match="names of their own, got 1, 1"):
        DistilledModel(Student(), small_clip(), [{**target, "name": "1"}, target])
    with pytest.raises(ClipkitError, match="gt_instances"):
        build(kind="regions")(torch.zeros(1, 3, 32, 32), mode="loss")


def test_an_mmseg_model_becomes_a_student_by_configuration():
    pytest.importorskip("mmseg")
    from mmengine.registry import DefaultScope
    from mmengine.structures import PixelData
    from mmseg.registry import MODELS
    from mmseg.structures import SegDataSample
    from mmseg.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    norm = {"type": "BN"}
    backbone = {"type": "ResNetV1c", "depth": 18, "base_channels": 8, "norm_cfg": norm}
    head = {"type": "FCNHead", "in_channels": 64, "channels": 8, "num_classes": 3, "norm_cfg": norm, "in_index": 3}
    config = {
        "type": "clipkit.DistilledModel",
        "student": {
            "type": "EncoderDecoder",
            "backbone": backbone,
            "decode_head": head,
            "data_preprocessor": {"type": "SegDataPreProcessor", "mean": MEAN, "std": STD, "bgr_to_rgb": True,
                                  "size": (64, 64)},
            "test_cfg": {"mode": "whole"},
        },
        "clip": small_clip(),
        "targets": [
            {"layer": "backbone", "index": 2, "channels": 32, "loss": {"type": "clipkit.CosineDistillLoss"}},
            {"layer": "backbone.layer4", "channels": 64, "kind": "image", "name": "whole",
             "loss": {"type": "clipkit.RelationalDistillLoss"}},
        ],
    }  # fmt: skip
    with DefaultScope.overwrite_default_scope("mmseg"):
        model = MODELS.build(config)
    samples = [SegDataSample(metainfo={"img_shape": (64, 64), "ori_shape": (64, 64)}) for _ in range(2)]
    for sample in samples:
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, 64, 64)))
    data = {"inputs": [bgr(64, 64), bgr(64, 64, 1)], "data_samples": samples}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = model(**model.data_preprocessor(data, True), mode="loss")
    assert {"decode.loss_ce", "loss_distill_0", "loss_distill_whole"} <= set(losses)
    total, _ = model.parse_losses(losses)
    total.backward()
    optimizer.step()
    assert model.projections[1].weight.grad.abs().max() > 0
    torch.testing.assert_close(model.pictures(model.data_preprocessor(data, True)["inputs"])[:1], rgb(bgr(64, 64)))
