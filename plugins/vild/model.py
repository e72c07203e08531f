"""ViLD on mmdet's two-stage detector (Gu et al., "Open-vocabulary Object Detection via Vision and Language Knowledge
Distillation", ICLR 2022, arXiv:2104.13921)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from clipkit_plugins.vild.heads import Teach
from mmdet.models.detectors import TwoStageDetector
from mmengine.registry import DefaultScope
from torch import Tensor

from clipkit.adapters import CLIPTeacher
from clipkit.engine.class_names import read_classes
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError, some
from clipkit.hosts.host_images import HostImages
from clipkit.text import match_key
from clipkit.text.class_rows import as_vocabulary, build_text
from clipkit.text.labels import Labels, TextLabels

DISTILLED = ("image", "vild", "ensemble")


@MODELS.register_module()
class ViLD(TextLabels, TwoStageDetector):
    """A two-stage detector whose classes are words, taught by CLIP's embeddings of regions.

    Inner types are mmdet's; class-agnostic heads are what makes new labels possible, so box and mask head become it.

    Args:
        classes: names that the annotations' label indices stand for, in order; see `read_classes`.
        text: `dict(clip=..., templates='vild')` or `dict(path=...)`, see `clipkit.text.class_rows`.
        backbone, neck, rpn_head, roi_head, train_cfg, test_cfg, data_preprocessor: as mmdet's `MaskRCNN` has them; the
            box head needs no `num_classes`, no `loss_cls` and no types, the mask head no `num_classes`.
        variant: 'text', 'image', 'vild', 'ensemble' or 'crops', see `ViLDClassifier`.
        base_classes: those whose annotations are trained on; default all. No logit of the others is trained.
        classifier: further options of `ViLDClassifier`: `dict(type='ViLDClassifier', scale=...)`.
        distill_weight: w of L = L_text + w L_image. The release has 0.5 for ResNet-50; 'text' has none.
        teacher: None where every sample brings its regions' embeddings from a store; `dict(crop_scales=(1.0, 1.5))`
            (arguments of `CLIPTeacher`) to run CLIP on crops in every step, as 'crops' needs it.
        max_regions: an image, that CLIP teaches in a step.
        labels: what is predicted until `set_labels` says otherwise; default the classes. For transfer to another data
            set by its vocabulary.

    Raises:
        ClipkitError: a class without an embedding, an unknown base class, or an online teacher without a CLIP.
    """

    backgrounds = ("none",)  # it has one of its own

    def __init__(
        self,
        classes: str | Sequence[str],
        text: dict,
        backbone: dict,
        rpn_head: dict,
        roi_head: dict,
        train_cfg: dict,
        test_cfg: dict,
        neck: dict | None = None,
        data_preprocessor: dict | None = None,
        variant: str = "vild",
        base_classes: str | Sequence[str] | None = None,
        classifier: dict | None = None,
        distill_weight: float = 0.5,
        teacher: dict | None = None,
        max_regions: int = 300,
        labels: str | Sequence[str] | None = None,
        init_cfg: dict | None = None,
    ):
        names, built = read_classes(classes), build_text(text)
        roi_head = dict(roi_head)
        roi_head["bbox_head"] = dict(
            {"type": "clipkit.ViLDBBoxHead", **roi_head["bbox_head"]},
            num_classes=len(names),
            loss_cls={
                **(classifier or {}),
                "type": "clipkit.ViLDClassifier",
                "variant": variant,
                "embed_dim": built.embed_dim,
            },
        )
        if roi_head.get("mask_head"):
            roi_head["mask_head"] = dict(roi_head["mask_head"], class_agnostic=True, num_classes=1)
        roi_head.setdefault("type", "clipkit.ViLDRoIHead")
        roi_head.update(distill_weight=distill_weight if variant in DISTILLED else 0.0, max_regions=max_regions)
        with DefaultScope.overwrite_default_scope("mmdet"):
            super().__init__(backbone, neck, rpn_head, roi_head, train_cfg, test_cfg, data_preprocessor, init_cfg)
        self.variant = variant
        self.classifier = self.roi_head.bbox_head.loss_cls
        self._set_training_classes(names, built, base_classes)
        self.init_labels(names, built)
        if labels is not None:
            self.own_labels = self.encode_labels(read_classes(labels))
            self.set_labels()
        self.teacher = self._build_teacher(teacher)
        self._pictures = HostImages(data_preprocessor)
        self._known_teachers: set[str] = set()  # hashes that were compared with the text's CLIP

    def _set_training_classes(self, names: list[str], text, base_classes: str | Sequence[str] | None) -> None:
        lacking = text.lacks(names)
        if lacking:
            raise ClipkitError(f"no text embedding for {some(lacking, 5)}; give stand_ins, or other classes")
        self.base_classes = names if base_classes is None else read_classes(base_classes)
        unknown = sorted(set(self.base_classes) - set(names))
        if unknown:
            raise ClipkitError(f"base_classes has {some(unknown, 5)}, which classes lacks")
        self._base_keys = {match_key(name) for name in self.base_classes}
        rows = text.encode(as_vocabulary(names, text.templates, self.reduce)).matrix
        base = torch.tensor([name in set(self.base_classes) for name in names])
        word = torch.zeros(text.embed_dim)
        if "word" in self.classifier.background_kind:
            word = text.encode(as_vocabulary(["background"], text.templates)).matrix[0]
        self.classifier.set_training_classes(rows, base, word)

    def _build_teacher(self, config: dict | None) -> CLIPTeacher | None:
        if config is None:
            if self.variant == "crops":
                raise ClipkitError("variant 'crops' runs CLIP at test time: give teacher=dict(crop_scales=(1.0, 1.5))")
            return None
        if self.text.clip is None:
            raise ClipkitError("teacher= needs text=dict(clip=...): embeddings from a file hold no image tower")
        return CLIPTeacher(self.text.clip, **config)

    # ---- labels -----------------------------------------------------------------------------------------------------

    def set_labels(self, labels: Labels | None = None) -> tuple[str, ...]:
        names = super().set_labels(labels)
        words = self.labels.info.get("words") or [(name,) for name in self.labels.names]
        self.classifier.set_labels(
            self.labels, [any(match_key(w) in self._base_keys for w in group) for group in words]
        )
        return names

    # ---- forward ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _teaching(self, inputs: Tensor, samples: list) -> Iterator[None]:
        """The RoI head may ask about regions of these images."""
        self.roi_head.teach = self._teach_on(inputs, samples) if self.teacher is not None else None
        try:
            yield
        finally:
            self.roi_head.teach = None

    def _teach_on(self, inputs: Tensor, samples: list) -> Teach:
        images = self._pictures(inputs)
        sizes = [sample.metainfo["img_shape"][:2] for sample in samples]

        def teach(boxes: Sequence[Tensor]) -> Tensor:
            assert self.teacher is not None
            # One image at a time, without padding: crops are clamped to the picture.
            parts = [
                self.teacher.regions(image[None, :, :height, :width], [b])
                for image, (height, width), b in zip(images, sizes, boxes)
            ]
            return torch.cat(parts)

        return teach

    def loss(self, batch_inputs: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        """mmdet's losses; `loss_cls` is ViLD-text's, `loss_distill` ViLD-image's.

        Raises:
            ClipkitError: samples without their regions' embeddings, and no online teacher; embeddings of another CLIP
                than the text's.
        """
        if self.variant in DISTILLED:
            for sample in batch_data_samples:
                if "teacher_regions" in sample:
                    self._check_teacher(sample)
                elif self.teacher is None:
                    raise ClipkitError(
                        f"{sample.metainfo.get('img_path', 'a sample')}: has no embeddings of regions; read them from "
                        "a store (clipkit.TeacherRegions in the pipeline), or give the model teacher=dict(...)"
                    )
        with self._teaching(batch_inputs, batch_data_samples):
            return super().loss(batch_inputs, batch_data_samples)

    def _check_teacher(self, sample) -> None:
        """Regions must lie in the text's space. Embeddings from a file say no CLIP, only their width."""
        name = sample.metainfo.get("img_path", "a sample")
        width, own = sample.teacher_regions.embeddings.shape[-1], self.text.embed_dim
        if width != own:
            raise ClipkitError(
                f"{name}: its regions' embeddings are {width} wide and the text's {own}: they come from different "
                "CLIPs; run `clipkit precompute` with the text's"
            )
        weights = sample.metainfo.get("teacher_weights")
        if weights is None or weights in self._known_teachers or self.text.clip is None:
            return
        if weights != self.text.clip.weights_hash:
            raise ClipkitError(
                f"{name}: its regions were embedded by the CLIP {weights[:12]}, the text is of "
                f"{self.text.clip.name}, {self.text.clip.weights_hash[:12]}: give the model's text that CLIP, or run "
                "`clipkit precompute` with the text's into another folder"
            )
        self._known_teachers.add(weights)

    def predict(self, batch_inputs: Tensor, batch_data_samples: list, rescale: bool = True) -> list:
        """mmdet's `pred_instances`; their labels are indices into the sample's metainfo `label_names`."""
        with self._teaching(batch_inputs, batch_data_samples):
            samples = super().predict(batch_inputs, batch_data_samples, rescale)
        for sample in samples:
            sample.set_metainfo({"label_names": self.label_names})
        return samples
