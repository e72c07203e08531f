"""LSeg on mmsegmentation's BaseSegmentor (Li et al., "Language-driven Semantic Segmentation", ICLR 2022,
arXiv:2201.03546, section 3): pixels and labels meet in CLIP's text space, so that labels can change at test time."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from mmseg.models.segmentors import BaseSegmentor
from torch import Tensor, nn

from clipkit.adapters import LogitScale
from clipkit.engine.precision import autocast_dtype
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.inference import sliding_window
from clipkit.nn import draw_points
from clipkit.text import TextEmbeddings, Vocabulary

from .labels import read_classes
from .text import as_vocabulary, build_text
from .towers import FrozenTower


@MODELS.register_module()
class LSeg(BaseSegmentor):
    """logits[p, k] = exp(s) * cos(pixel embedding p, text embedding k), upsampled bilinearly to the image's size.

    Args:
        classes: names that the ids of the masks stand for, in order; see `read_classes` for what may be written.
        text: `dict(clip=..., pretrained=..., templates=...)` or `dict(path=..., stand_ins=...)`, see `text.py`.
        tower: config of a trainable image tower (a module that gives a list of maps, finest first), or
            `dict(type='FrozenTower', layers=...)` for the frozen CLIP's own maps.
        decoder: config of a module with `out_channels`, such as `DPTDecoder` or `FPNDecoder`; `in_channels` is taken
            from the tower where it says so.
        train_classes: the names that compete in training; default all. Pixels of the others are ignored. A class
            that is to be recognised unseen must not be here: as a negative it would be pushed away.
        points: number of pixels an image on which the loss is computed, drawn anew each step; None takes all.
            With 100 classes the full-size logits cost more than the network.
        points_balance: see `clipkit.nn.draw_points`; 0 keeps the expected gradient of all pixels.
        logit_scale: initial scale; CLIP's and LSeg's 1/0.07. It is learned (LSeg's is constant).
        ignore_index: id of the masks that counts nowhere.
        test_cfg: `dict(mode='whole')` or `dict(mode='slide', window=..., stride=..., batch_size=...)`.
        precision: 'fp32', 'bf16', 'fp16', or 'auto': bf16 where the device computes it fast.
        data_preprocessor: mmseg's `SegDataPreProcessor`; images must leave it as RGB.

    Raises:
        ClipkitError: when no class has an embedding, or `train_classes` names what `classes` lacks.
    """

    train_text: Tensor
    train_lookup: Tensor
    label_text: Tensor

    def __init__(
        self,
        classes: str | Sequence[str],
        text: dict,
        tower: dict,
        decoder: dict,
        train_classes: str | Sequence[str] | None = None,
        points: int | None = None,
        points_balance: float = 0.0,
        logit_scale: float = 1 / 0.07,
        ignore_index: int = 255,
        test_cfg: dict | None = None,
        precision: str = "auto",
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.classes = read_classes(classes)  # first: a wrong path should not cost the download of a CLIP
        self.text = build_text(text)
        self.tower, self.decoder = self._build_image_side(dict(tower), dict(decoder))
        self.head = nn.Conv2d(self.decoder.out_channels, self.text.embed_dim, 1)
        self.logit_scale = LogitScale(logit_scale)
        self.points, self.points_balance = points, points_balance
        self.ignore_index = ignore_index
        self.test_cfg = dict(test_cfg or {"mode": "whole"})
        self.precision = precision
        self.align_corners = False  # read by mmseg's postprocess_result
        self._set_training_classes(self.classes if train_classes is None else read_classes(train_classes))

    # ---- building -------------------------------------------------------------------------------------------------

    def _build_image_side(self, tower: dict, decoder: dict) -> tuple[nn.Module, nn.Module]:
        if tower.get("type") == "FrozenTower":
            if self.text.clip is None:
                raise ClipkitError(
                    "tower FrozenTower needs text=dict(clip=...): embeddings from a file hold no image tower"
                )
            tower.pop("type")
            built: nn.Module = FrozenTower(**tower)
            if "in_channels" not in decoder:
                size = self.text.clip.image_size
                with torch.no_grad():
                    maps, _ = built(torch.zeros(1, 3, *size), self.text.clip)
                decoder["in_channels"] = [m.shape[1] for m in maps]
        else:
            built = MODELS.build(tower)
            if hasattr(built, "out_channels"):
                decoder.setdefault("in_channels", built.out_channels)
        # Convolutions in channels_last are faster on CPUs (twice with bf16) and on tensor cores; values are the same.
        return built.to(memory_format=torch.channels_last), MODELS.build(decoder).to(memory_format=torch.channels_last)

    def _set_training_classes(self, train_classes: Sequence[str]) -> None:
        unknown = [name for name in train_classes if name not in self.classes]
        if unknown:
            raise ClipkitError(f"train_classes has {', '.join(unknown[:5])}, which classes lacks")
        # Names without an embedding cannot be said: their pixels are ignored in loss and score.
        self.unnamed = self.text.lacks(self.classes)
        named = [i for i, name in enumerate(self.classes) if name not in set(self.unnamed)]
        places = [k for k, i in enumerate(named) if self.classes[i] in set(train_classes)]
        if not places:
            raise ClipkitError("no class that takes part in training has a text embedding; check classes= and text=")
        labels = self.text.encode(as_vocabulary([self.classes[i] for i in named], self.text.templates))
        lookup = torch.full((max(len(self.classes), self.ignore_index) + 1,), self.ignore_index, dtype=torch.int64)
        lookup[[named[k] for k in places]] = torch.arange(len(places))
        self.register_buffer("train_text", labels.matrix[places], persistent=False)
        self.register_buffer("train_lookup", lookup, persistent=False)
        self.register_buffer("label_text", labels.matrix, persistent=False)
        self.labels: TextEmbeddings = labels

    @property
    def label_names(self) -> tuple[str, ...]:
        """What a prediction can say: index i of a label map is `label_names[i]`."""
        return self.labels.class_names

    def set_labels(self, labels: str | Sequence[str] | Vocabulary) -> tuple[str, ...]:
        """Replaces the labels of `predict`, in the caller's order; training is not touched.

        Args:
            labels: a Vocabulary (templates, synonyms, background policy), a list of names, or `'a, b; synonym'`.

        Returns:
            `label_names`.
        """
        encoded = self.text.encode(as_vocabulary(labels, self.text.templates))
        if encoded.background.kind == "learned":
            raise ClipkitError("LSeg has no learned background; use none, others, a list of words or a threshold")
        self.label_text = encoded.matrix.to(self.label_text.device)
        self.labels = encoded
        return self.label_names

    # ---- forward --------------------------------------------------------------------------------------------------

    def _autocast(self, device: torch.device):
        dtype = autocast_dtype(self.precision, device)
        return nullcontext() if dtype is None else torch.autocast(device.type, dtype)

    def _maps(self, inputs: Tensor) -> tuple[list[Tensor], list[Tensor] | None]:
        if isinstance(self.tower, FrozenTower):
            prep = self.data_preprocessor
            if getattr(prep, "_enable_normalize", False):  # back to [0, 1]: CLIP normalises by its own mean and std
                inputs = inputs * prep.std + prep.mean
            return self.tower((inputs / 255).clamp(0, 1), self.text.clip)
        return list(self.tower(inputs)), None

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """`inputs` (B, 3, H, W) normalised -> pixel embeddings (B, D, h, w) at the decoder's size, not normalised."""
        with self._autocast(inputs.device):
            maps, cls = self._maps(inputs.contiguous(memory_format=torch.channels_last))
            return self.head(self.decoder(maps, cls))

    def _logits(self, embedding: Tensor, text: Tensor) -> Tensor:
        """Pixel embeddings (B, D, h, w), unit rows (K, D) -> scaled cosines (B, K, h, w), float32."""
        # Cosines in bf16 would round logits of 100 to 0.5: leave whatever autocast the caller is in.
        with torch.autocast(embedding.device.type, enabled=False):
            return self.logit_scale() * F.conv2d(F.normalize(embedding.float(), dim=1), text[:, :, None, None])

    def encode_decode(self, inputs: Tensor, batch_data_samples=None) -> Tensor:
        """`inputs` (B, 3, H, W) -> logits of the current labels (B, K, H, W)."""
        logits = self.labels.class_scores(self._logits(self.extract_feat(inputs), self.label_text), dim=1)
        return F.interpolate(logits, size=inputs.shape[-2:], mode="bilinear", align_corners=False)

    def _forward(self, inputs: Tensor, data_samples=None) -> Tensor:
        return self.encode_decode(inputs)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """loss = mean over pixels of -log softmax_k(logits)[target], over the training classes; and `acc_pixel`, %."""
        embedding = self.extract_feat(inputs)
        target = self._training_ids(torch.stack([sample.gt_sem_seg.data for sample in data_samples])[:, 0])
        if self.points is not None:
            rows, target = draw_points(embedding, target, self.points, self.points_balance, self.ignore_index)
            with torch.autocast(rows.device.type, enabled=False):
                logits = self.logit_scale() * rows @ self.train_text.T
        else:
            logits = self._logits(embedding, self.train_text)
            logits = F.interpolate(logits, target.shape[-2:], mode="bilinear", align_corners=False)
        # The mean over valid pixels, 0 (not NaN) when all are ignored.
        valid = (target != self.ignore_index).sum().clamp(min=1)
        loss = F.cross_entropy(logits, target, ignore_index=self.ignore_index, reduction="sum") / valid
        correct = (logits.detach().argmax(1) == target).sum() / valid
        return {"loss": loss, "acc_pixel": 100 * correct, "scale": self.logit_scale().detach()}

    def _training_ids(self, target: Tensor) -> Tensor:
        """Ids of `classes` -> ids among the training classes, `ignore_index` for the rest."""
        low, high = int(target.min()), int(target.max())
        if low < 0 or high >= len(self.train_lookup) or len(self.classes) <= high != self.ignore_index:
            raise ClipkitError(
                f"a mask holds id {low if low < 0 else high}; there are {len(self.classes)} classes: ids "
                f"0..{len(self.classes) - 1} and {self.ignore_index} (ignored) are allowed"
            )
        return self.train_lookup[target]

    # ---- prediction -----------------------------------------------------------------------------------------------

    def predict(self, inputs: Tensor, data_samples=None) -> list:
        """Label maps at the images' original size: `pred_sem_seg` (indices into `label_names`) and `seg_logits`."""
        mode = self.test_cfg.get("mode", "whole")
        if mode == "slide":
            options = {key: self.test_cfg[key] for key in ("window", "stride", "batch_size") if key in self.test_cfg}
            logits = sliding_window(self.encode_decode, inputs, **options)
        elif mode == "whole":
            logits = self.encode_decode(inputs)
        else:
            raise ClipkitError(f"test_cfg mode '{mode}' is unknown; known: whole, slide")
        single = logits.shape[1] == 1
        if single:  # mmseg reads one channel as a binary probability; here a single label simply wins everywhere
            logits = torch.cat([logits, torch.full_like(logits, -1e4)], dim=1)
        samples = self.postprocess_result(logits, data_samples)
        background = self.labels.background
        for sample in samples:
            if single:
                sample.seg_logits.data = sample.seg_logits.data[:1]
            if background.kind == "threshold":
                unsure = sample.seg_logits.data.softmax(0).amax(0, keepdim=True) < background.threshold
                sample.pred_sem_seg.data = sample.pred_sem_seg.data.masked_fill(unsure, len(self.label_names) - 1)
            sample.set_metainfo({"label_names": self.label_names})
        return samples
