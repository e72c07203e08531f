"""What every segmentor whose classes are words shares: labels that can be replaced, cosine logits, prediction."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from mmseg.models.segmentors import BaseSegmentor
from torch import Tensor

from clipkit.device import autocast_dtype
from clipkit.engine.class_names import read_classes
from clipkit.engine.traps import normalises
from clipkit.nn import SpatialRegularisation
from clipkit.segmentation.test_time import LabelChunks, check_test_cfg, image_logits, predict_streamed, too_many_logits
from clipkit.text.class_rows import ClipText, PrecomputedText, build_text
from clipkit.text.labels import TextLabels


class TextSegmentor(TextLabels, BaseSegmentor):
    """Base of LSeg and of training-free dense CLIP: logits[p, k] = scale * cos(pixel embedding p, text embedding k).

    A subclass gives `extract_feat` and `scale`, and builds its image side from `self.text.clip` or from a config.

    Args:
        classes: names that the ids of the masks stand for, in order; see `read_classes` for what may be written.
        text: `dict(clip=..., templates=...)` or `dict(path=..., stand_ins=...)`, see `clipkit.text.class_rows`.
        test_cfg: `dict(mode='whole')` or `dict(mode='slide', window=..., stride=..., batch_size=...)`, windows as
            mmsegmentation has them. With `scales`, `flip` or `base_size` windows are padded as LSeg does, see
            `clipkit.inference.multi_scale`. `max_logits`: when the logits of a batch need more bytes (default 1 GiB),
            labels are taken in chunks: equal, slower, and results hold no `seg_logits`; 0 does so always.
        precision: 'fp32', 'bf16', 'fp16', or 'auto': bf16 where the device computes it fast.
        data_preprocessor: mmseg's `SegDataPreProcessor`; images must leave it as RGB.

    Attributes:
        unnamed: classes that have no embedding; their pixels are ignored in loss and score.
        label_chunks: how labels can be taken in chunks: 'classes', whose logits enter the softmax, as here; 'words'
            (rows), where a class has the probability of its best word; None for all at once, right for any formula.
            Each subclass states its own: it is None where the class body says nothing, whatever the base says.
        label_head: LSeg's spatial regularisation of the logits (`SpatialRegularisation`), or None. To it every row of
            `label_text` is a label; synonyms are joined after it.
    """

    label_chunks: LabelChunks | None = None

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        if "label_chunks" not in vars(cls):  # its base speaks of the base's formula
            cls.label_chunks = None

    def __init__(
        self,
        classes: str | Sequence[str],
        text: dict,
        test_cfg: dict | None = None,
        precision: str = "auto",
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        names = read_classes(classes)  # first: a wrong path should not cost the download of a CLIP
        self.init_labels(names, self.build_text(text))
        self.test_cfg = check_test_cfg(test_cfg)
        self.precision = precision
        self.align_corners = False  # read by mmseg's postprocess_result
        self.label_head: SpatialRegularisation | None = None

    def build_text(self, text: dict) -> ClipText | PrecomputedText:
        """Where rows come from; a subclass may know other sources."""
        return build_text(text)

    # ---- forward --------------------------------------------------------------------------------------------------

    def scale(self) -> Tensor | float:
        """Factor of the cosines."""
        raise NotImplementedError

    def _autocast(self, device: torch.device):
        dtype = autocast_dtype(self.precision, device)
        return nullcontext() if dtype is None else torch.autocast(device.type, dtype)

    def _unit_range(self, inputs: Tensor) -> Tensor:
        """Undoes the preprocessor: images in [0, 1], as CLIP takes them."""
        prep = self.data_preprocessor
        if normalises(prep):
            inputs = inputs * prep.std + prep.mean
        return (inputs / 255).clamp(0, 1)

    def cosine_logits(self, embedding: Tensor, text: Tensor) -> Tensor:
        """Pixel embeddings (B, D, h, w), unit rows (K, D) -> scaled cosines (B, K, h, w), float32."""
        # Cosines in bf16 would round logits of 100 to 0.5: leave whatever autocast the caller is in.
        with torch.autocast(embedding.device.type, enabled=False):
            # A product of matrices, not a 1x1 convolution: those are in TF32 on a GPU unless torch is told otherwise.
            return self.scale() * torch.einsum("bdhw,kd->bkhw", F.normalize(embedding.float(), dim=1), text)

    def label_logits(self, embedding: Tensor, text: Tensor) -> Tensor:
        """`cosine_logits`, then `label_head` where there is one."""
        logits = self.cosine_logits(embedding, text)
        return logits if self.label_head is None else self.label_head(logits)

    def encode_decode(self, inputs: Tensor, batch_data_samples=None) -> Tensor:
        """`inputs` (B, 3, H, W) -> logits of the current labels (B, K, H, W)."""
        logits = self.labels.class_scores(self.label_logits(self.extract_feat(inputs), self.label_text), dim=1)
        return F.interpolate(logits, size=inputs.shape[-2:], mode="bilinear", align_corners=self.align_corners)

    def _forward(self, inputs: Tensor, data_samples=None) -> Tensor:
        return self.encode_decode(inputs)

    # ---- prediction -----------------------------------------------------------------------------------------------

    def predict(self, inputs: Tensor, data_samples=None) -> list:
        """Label maps at the images' original size: `pred_sem_seg` (indices into `label_names`), and `seg_logits`, or
        `pred_scores` (the probability of the label) where logits would exceed `test_cfg['max_logits']`."""
        if too_many_logits(self, inputs, data_samples):
            return predict_streamed(self, inputs, data_samples)
        logits = image_logits(self, inputs)
        single = logits.shape[1] == 1
        if single:  # mmseg reads one channel as a binary probability; here a single label simply wins everywhere
            logits = torch.cat([logits, torch.full_like(logits, -1e4)], dim=1)
        samples = self.postprocess_result(logits, data_samples)
        for sample in samples:
            scores = sample.seg_logits.data[:1] if single else sample.seg_logits.data
            sample.pred_sem_seg.data, sample.seg_logits.data = self.decide(scores)
            sample.set_metainfo({"label_names": self.label_names})
        return samples

    def decide(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of one image (K, H, W) -> its label map (1, H, W), and the scores (K, H, W) that its result keeps."""
        labels, threshold = logits.argmax(0, keepdim=True), self.labels.background.threshold
        if threshold is not None:
            unsure = logits.softmax(0).amax(0, keepdim=True) < threshold
            labels = labels.masked_fill(unsure, len(self.label_names) - 1)
        return labels, logits

    def probability(self, scores: Tensor) -> Tensor:
        """What `decide` keeps of an image (K, H, W) -> softmax probability of the best label (H, W)."""
        return scores.softmax(0).amax(0)
