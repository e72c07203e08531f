"""Any mmengine model as the student of a frozen CLIP, by configuration alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torchvision.ops import roi_align

from clipkit import adapters
from clipkit.adapters import CLIPTeacher, pool_boxes
from clipkit.engine.registry import MODELS
from clipkit.engine.traps import normalises, swaps_channels
from clipkit.errors import ClipkitError, did_you_mean
from clipkit.hosts.frozen_child import build_clip
from clipkit.hosts.host_images import HostImages, valid_part

KINDS = ("image", "dense", "regions")
SOURCES = ("crops", "dense")

for loss in (
    adapters.L1DistillLoss,
    adapters.CosineDistillLoss,
    adapters.SimilarityKLLoss,
    adapters.RelationalDistillLoss,
):
    MODELS.register_module(module=loss)


@MODELS.register_module()
class DistilledModel(BaseModel):
    """The student's own losses, plus one loss for each target that CLIP sets for a named layer.

    >>> model = dict(type="clipkit.DistilledModel", student={{_base_.model}},
    ...     clip=dict(name="ViT-B-32-quickgelu", pretrained="openai"),
    ...     targets=[dict(layer="backbone.layer4", kind="dense", channels=512,
    ...                   loss=dict(type="clipkit.CosineDistillLoss", weight=1.0))])

    Prediction is the student's. The student's weights are saved under `student.`; CLIP's are not saved.

    Args:
        student: config of a mmengine model (or the model). Its data preprocessor is used, and undone for CLIP.
        clip: a name, `dict(name=..., pretrained=..., precision=...)`, or a `FrozenCLIP`; see `build_clip`.
        targets: one dict each:
            `layer`: path of a module of the student; its last output of a pass is taken;
            `index`: which one, where the output is a tuple or list (default 0);
            `kind`: 'image' (a map is averaged over the picture without padding), 'dense' (the student's map is
                brought to the teacher's grid), 'regions' (the map is pooled in the ground-truth boxes);
            `loss`: config of a loss of `clipkit.adapters`, with its `weight`;
            `channels`: of the layer; a linear projection to CLIP's dimension is then trained. Without it the layer is
                taken as it is;
            `source`: for regions, 'crops' (default) or 'dense';
            `name`: of the loss in the log, `loss_distill_<name>`; by default the number of the target.
        crop_scales, order: see `CLIPTeacher`.
        mean, std, channel_order, pad_value: where the student has no usual data preprocessor; see `HostImages`.

    Raises:
        ClipkitError: unknown layer, kind or key.
    """

    def __init__(
        self,
        student: Mapping[str, Any] | nn.Module,
        clip: str | Mapping[str, Any] | nn.Module,
        targets: Sequence[Mapping[str, Any]],
        crop_scales: Sequence[float] = (1.0, 1.5),
        order: str = "sum-normalize",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        channel_order: str | None = None,
        pad_value: float | str | None = "auto",
        data_preprocessor: Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        built = student if isinstance(student, nn.Module) else MODELS.build(dict(student))
        # mmengine hands a config's top-level `data_preprocessor` to the model, in the model's scope; mmseg's configs
        # have one that is meant for the student, who has it already.
        own = isinstance(student, nn.Module) or "data_preprocessor" in student
        super().__init__(built.data_preprocessor if own else data_preprocessor or built.data_preprocessor, init_cfg)
        self.student = built
        self.clip = build_clip(clip)
        self.teacher = CLIPTeacher(self.clip, crop_scales, order)
        written = student.get("data_preprocessor") if isinstance(student, Mapping) else None
        values = dict(written) if isinstance(written, Mapping) else preprocessor_values(self.data_preprocessor)
        self.pictures = HostImages(values, mean, std, channel_order, pad_value)
        self.targets = [_check_target(dict(target), n) for n, target in enumerate(targets)]
        names = [target["name"] for target in self.targets]
        if len(set(names)) < len(names):
            raise ClipkitError(f"DistilledModel: targets need names of their own, got {', '.join(names)}")
        self.losses = nn.ModuleList(MODELS.build(dict(target["loss"])) for target in self.targets)
        self.projections = nn.ModuleList(
            nn.Identity() if target["channels"] is None else nn.Linear(target["channels"], self.clip.embed_dim)
            for target in self.targets
        )
        self._seen: dict[str, Any] | None = None
        known = dict(self.student.named_modules())
        for layer in {target["layer"] for target in self.targets}:
            if layer not in known:
                raise ClipkitError(f'DistilledModel: the student has no layer "{layer}"; {did_you_mean(layer, known)}')
            known[layer].register_forward_hook(partial(self._keep, layer))

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        """As the student's; in mode 'loss' with one more entry for each target."""
        if mode != "loss":
            return self.student(inputs, data_samples, mode=mode)
        self._seen = {}
        try:
            losses = dict(self.student(inputs, data_samples, mode=mode))
            losses.update(self._distil(inputs, data_samples))
        finally:
            self._seen = None  # or the last batch's graph would live on
        return losses

    def _distil(self, inputs: Tensor, data_samples: Any) -> dict[str, Tensor]:
        values = {}
        groups = self.pictures.groups(inputs)
        for target, loss, project in zip(self.targets, self.losses, self.projections):
            student = self._output(target, len(inputs))
            cell = [inputs.shape[n] / student.shape[n] for n in (-2, -1)] if student.ndim == 4 else []
            pairs = [
                self._pair(target, project, student[items], images, valid_part(size, inputs, student), cell, boxes)
                for items, images, size in groups
                for boxes in [_boxes(data_samples, items) if target["kind"] == "regions" else None]
            ]
            value = loss(torch.cat([s for s, _ in pairs]), torch.cat([t for _, t in pairs]))
            values[f"loss_distill_{target['name']}"] = value
        return values

    def _pair(
        self,
        target: dict[str, Any],
        project: nn.Module,
        student: Tensor,
        images: Tensor,
        part: tuple[int, int],
        cell: list[float],
        boxes: list[Tensor] | None,
    ) -> tuple[Tensor, Tensor]:
        """Rows `(n, D)` of the student and of the teacher, for pictures of one size without padding, of which the
        student's map has `part` cells, each of `cell` pixels."""
        if student.ndim == 2:
            if target["kind"] != "image":
                raise ClipkitError(f'DistilledModel: layer "{target["layer"]}" gives no map; use kind="image"')
            return project(student), self.teacher.image(images)
        student = student[..., : part[0], : part[1]]
        if target["kind"] == "image":
            return project(student.mean((-2, -1))), self.teacher.image(images)
        projected = project(student.movedim(1, -1)).movedim(-1, 1)
        if boxes is not None:
            # The last cells may reach beyond the picture, into the padding.
            covers = (part[0] * cell[0], part[1] * cell[1])
            return pool_boxes(projected, boxes, covers), self.teacher.regions(images, boxes, target["source"])
        teacher = self.teacher.dense(images)
        covered = [pixels / side for pixels, side in zip(images.shape[-2:], cell)]
        projected = _on_grid(projected, covered, teacher.shape[-2:])
        return projected.movedim(1, -1).flatten(0, 2), teacher.movedim(1, -1).flatten(0, 2)

    def _keep(self, layer: str, module: nn.Module, args: Any, output: Any) -> None:
        if self._seen is not None:
            self._seen[layer] = output

    def _output(self, target: dict[str, Any], pictures: int) -> Tensor:
        layer = target["layer"]
        if self._seen is None or layer not in self._seen:
            raise ClipkitError(f'DistilledModel: the student never ran its layer "{layer}" while computing its losses')
        output = self._seen[layer]
        if isinstance(output, (tuple, list)):
            if not -len(output) <= target["index"] < len(output):
                raise ClipkitError(
                    f'DistilledModel: layer "{layer}" gives {len(output)} outputs, index is {target["index"]}'
                )
            output = output[target["index"]]
        if not isinstance(output, Tensor) or output.ndim not in (2, 4) or len(output) != pictures:
            raise ClipkitError(f'DistilledModel: layer "{layer}" gives no (B, C) or (B, C, h, w) tensor for B pictures')
        if target["channels"] not in (None, output.shape[1]):
            raise ClipkitError(
                f'DistilledModel: layer "{layer}" has {output.shape[1]} channels, not {target["channels"]}'
            )
        return output

    def __getattr__(self, name: str) -> Any:
        # Tools ask a model for its `cfg`, `decode_head`, `with_bbox`, ...: the student answers.
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "student":
                raise
            return getattr(super().__getattr__("student"), name)


def preprocessor_values(module: nn.Module) -> dict[str, Any]:
    """What `HostImages` reads from a config, from a built data preprocessor of mmengine, mmseg or mmdet."""
    values: dict[str, Any] = {}
    if normalises(module):
        values["mean"], values["std"] = (getattr(module, name).flatten().tolist() for name in ("mean", "std"))
    # mmcv reads BGR, so a swap nearly always leads to RGB.
    values["bgr_to_rgb"] = swaps_channels(module) or bool(getattr(module, "to_rgb", False))
    values["pad_val"] = getattr(module, "pad_val", getattr(module, "pad_value", 0.0))
    return values


def _check_target(target: dict[str, Any], number: int) -> dict[str, Any]:
    known = {"layer": None, "kind": "dense", "loss": None, "channels": None, "index": 0, "source": "crops"}
    known["name"] = str(number)
    for key in target:
        if key not in known:
            raise ClipkitError(
                f'DistilledModel: targets[{number}] has an unknown key "{key}"; {did_you_mean(key, known)}'
            )
    target = {**known, **target}
    for key in ("layer", "loss"):
        if target[key] is None:
            raise ClipkitError(f'DistilledModel: targets[{number}] needs "{key}"')
    if target["kind"] not in KINDS:
        raise ClipkitError(
            f"DistilledModel: targets[{number}].kind is one of {', '.join(KINDS)}, got {target['kind']!r}"
        )
    if target["source"] not in SOURCES:
        raise ClipkitError(
            f"DistilledModel: targets[{number}].source is one of {', '.join(SOURCES)}, got {target['source']!r}"
        )
    return target


def _on_grid(student: Tensor, covered: Sequence[float], grid: torch.Size) -> Tensor:
    """`(n, D, r, c)`, of which the picture covers `covered` rows and columns, no whole number of them where it ends
    within a cell, brought to the teacher's `grid` over the same picture. The student goes to CLIP's grid and not the
    reverse: detail that CLIP never saw is no target. Each place is the mean of bilinear samples within its cell."""
    if student.shape[-2:] == grid and all(abs(have - n) < 1e-6 for have, n in zip(covered, grid)):
        return student
    # In float32: roi_align has no bfloat16 on a CPU.
    student = student.to(torch.promote_types(student.dtype, torch.float32))
    picture = student.new_tensor([[0.0, 0.0, covered[1], covered[0]]])
    return roi_align(student, [picture] * len(student), tuple(grid), sampling_ratio=-1, aligned=True)


def _boxes(data_samples: Any, items: Sequence[int]) -> list[Tensor]:
    """Ground-truth boxes `(n, 4)` of the chosen samples, as tensors."""
    boxes = []
    for index in items:
        instances = getattr((data_samples or [])[index], "gt_instances", None) if data_samples else None
        if instances is None or "bboxes" not in instances:
            raise ClipkitError('DistilledModel: kind="regions" needs data samples with gt_instances.bboxes')
        boxes.append(getattr(instances.bboxes, "tensor", instances.bboxes))
    return boxes
