"""LSeg on mmsegmentation's BaseSegmentor (Li et al., "Language-driven Semantic Segmentation", ICLR 2022,
arXiv:2201.03546, section 3): pixels and labels meet in CLIP's text space, so that labels can change at test time."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from clipkit_plugins.lseg.towers import FrozenTower
from torch import Tensor, nn

from clipkit.adapters import LogitScale
from clipkit.engine.class_names import read_classes
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError, some
from clipkit.nn import SpatialRegularisation, draw_points
from clipkit.segmentation.text_segmentor import TextSegmentor


@MODELS.register_module()
class LSeg(TextSegmentor):
    """logits[p, k] = exp(s) * cos(pixel embedding p, text embedding k), then an optional block over the labels' maps,
    then bilinear upsampling from the decoder's size to the image's.

    Args:
        classes, text, test_cfg, precision, data_preprocessor: see `TextSegmentor`.
        tower: config of a trainable image tower (a module that gives a list of maps, finest first), such as
            `dict(type='TimmTower')`, or `dict(type='FrozenTower', layers=...)` for the frozen CLIP's own.
        decoder: config of a module with `out_channels`, such as `DPTDecoder` or `FPNDecoder`; `in_channels` is taken
            from the tower where it says so.
        block: arguments of `SpatialRegularisation` (section 3.3), such as
            `dict(kind='bottleneck', depth=2)`; None for none.
        train_classes: the names that compete in training; default all. Pixels of the others are ignored. A class
            that is to be recognised unseen must not be here: as a negative it would be pushed away.
        points: number of pixels an image on which the loss is computed, drawn anew each step; None takes all.
            With 100 classes the full-size logits cost more than the network.
        points_balance: see `clipkit.nn.draw_points`; 0 keeps the expected gradient of all pixels.
        logit_scale: initial scale; CLIP's and LSeg's 1/0.07.
        learn_scale: False keeps it fixed, as it is in the original (which means to learn it, and cannot).
        align_corners: how logits are upsampled, in training and prediction; the original's: True.
        ignore_index: id of the masks that counts nowhere.

    Raises:
        ClipkitError: when no class has an embedding, or `train_classes` names what `classes` lacks.
    """

    label_chunks = "classes"
    train_text: Tensor
    train_lookup: Tensor

    def __init__(
        self,
        classes: str | Sequence[str],
        text: dict,
        tower: dict,
        decoder: dict,
        block: dict | None = None,
        train_classes: str | Sequence[str] | None = None,
        points: int | None = None,
        points_balance: float = 0.0,
        logit_scale: float = 1 / 0.07,
        learn_scale: bool = True,
        align_corners: bool = False,
        ignore_index: int = 255,
        test_cfg: dict | None = None,
        precision: str = "auto",
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(classes, text, test_cfg, precision, data_preprocessor, init_cfg)
        self.tower, self.decoder = self._build_image_side(dict(tower), dict(decoder))
        self.head = nn.Conv2d(self.decoder.out_channels, self.text.embed_dim, 1)
        self.logit_scale = LogitScale(logit_scale, learned=learn_scale)
        self.label_head = None if block is None else SpatialRegularisation(**block)
        self.align_corners = align_corners
        self.points, self.points_balance = points, points_balance
        self.ignore_index = ignore_index
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
            raise ClipkitError(f"train_classes has {some(unknown, 5)}, which classes lacks")
        places = [k for k, i in enumerate(self.named) if self.classes[i] in set(train_classes)]
        if not places:
            raise ClipkitError("no class that takes part in training has a text embedding; check classes= and text=")
        # `ignore_index` is an id of masks, and may be that of a training class in their own numbering.
        self.train_ignore = len(places)
        lookup = torch.full((max(len(self.classes), self.ignore_index) + 1,), self.train_ignore, dtype=torch.int64)
        lookup[[self.named[k] for k in places]] = torch.arange(len(places))
        # The labels are still the data set's classes; `set_labels` replaces them later, the training rows never.
        self.register_buffer("train_text", self.label_text[places], persistent=False)
        self.register_buffer("train_lookup", lookup, persistent=False)

    # ---- forward --------------------------------------------------------------------------------------------------

    def scale(self) -> Tensor:
        """The factor of the cosines, learned unless `learn_scale` is False."""
        return self.logit_scale()

    def _maps(self, inputs: Tensor) -> tuple[list[Tensor], list[Tensor] | None]:
        if isinstance(self.tower, FrozenTower):  # CLIP normalises by its own mean and std
            return self.tower(self._unit_range(inputs), self.text.clip)
        maps = self.tower(inputs)
        return maps if getattr(self.tower, "gives_class_tokens", False) else (list(maps), None)

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """`inputs` (B, 3, H, W) normalised -> pixel embeddings (B, D, h, w) at the decoder's size, not normalised."""
        with self._autocast(inputs.device):
            maps, cls = self._maps(inputs.contiguous(memory_format=torch.channels_last))
            return self.head(self.decoder(maps, cls))

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """loss = mean over pixels of -log softmax_k(logits)[target], over the training classes; and `acc_pixel`, %."""
        embedding = self.extract_feat(inputs)
        target = self._training_ids(torch.stack([sample.gt_sem_seg.data for sample in data_samples])[:, 0])
        if self.points is None:
            logits = self.label_logits(embedding, self.train_text)
            logits = F.interpolate(logits, target.shape[-2:], mode="bilinear", align_corners=self.align_corners)
        elif self.label_head is None:  # cosines of interpolated embeddings are interpolated cosines, for a few pixels
            rows, target = self._draw(embedding, target)
            with torch.autocast(rows.device.type, enabled=False):
                logits = self.scale() * rows @ self.train_text.T
        else:  # a block needs its neighbours: the whole map at the decoder's size, then a few pixels of it
            logits, target = self._draw(self.label_logits(embedding, self.train_text), target, normalize=False)
        # The mean over valid pixels, 0 (not NaN) when all are ignored.
        valid = (target != self.train_ignore).sum().clamp(min=1)
        loss = F.cross_entropy(logits, target, ignore_index=self.train_ignore, reduction="sum") / valid
        correct = (logits.detach().argmax(1) == target).sum() / valid
        return {"loss": loss, "acc_pixel": 100 * correct, "scale": self.scale().detach()}

    def _draw(self, cells: Tensor, target: Tensor, normalize: bool = True) -> tuple[Tensor, Tensor]:
        return draw_points(
            cells,
            target,
            self.points,
            self.points_balance,
            self.train_ignore,
            normalize=normalize,
            align_corners=self.align_corners,
        )

    def _training_ids(self, target: Tensor) -> Tensor:
        """Ids of `classes` -> ids among the training classes, their number for the rest."""
        wrong = (target != self.ignore_index) & ((target < 0) | (target >= len(self.classes)))
        if bool(wrong.any()):
            raise ClipkitError(
                f"a mask holds id {int(target[wrong][0])}; there are {len(self.classes)} classes: ids "
                f"0..{len(self.classes) - 1} and {self.ignore_index} (ignored) are allowed"
            )
        return self.train_lookup[target]
