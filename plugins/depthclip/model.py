"""Depth of a picture's patches from their likeness to distance words (Zhang et al., "Can Language Understand Depth?",
ACM MM 2022, section 3, and its released code)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from clipkit_plugins.depthclip.bins import BinFit
from mmengine.model import BaseModel
from torch import Tensor

from clipkit.adapters import to_whole_patches
from clipkit.backbone.options import build_frozen, clip_options
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.evaluation.depth import measured

WORDS = ("giant", "extremely close", "close", "not in distance", "a little remote", "far", "unseen")
BINS = (1.0, 1.5, 2.0, 2.25, 2.5, 2.75, 3.0)
SCALE = 100.0
SPACES = ("dense", "compat")
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@MODELS.register_module()
class DepthCLIP(BaseModel):
    """depth = Σ_k softmax_k(100 · f · t_k / temperature) · b_k, with f the embedding of a patch, t_k of a sentence with
    the k-th distance word, b_k that word's distance; averaged with the mirrored picture's, then enlarged bilinearly
    (`align_corners=True`).

    Nothing trains by gradients. `clipkit test CONFIG none` reads depth with the given distances; `clipkit train` fits
    them to pictures with measured depth (`BinFit`), each in one step.

    Args:
        clip: a name, or `dict(name=..., pretrained=..., precision=..., dense=...)`.
        words: K distance words, the nearest first; the default is the paper's.
        bins: their distances in metres, rising.
        template: the sentence, with `{}` for the word.
        temperature: the paper's 0.1 makes the softmax nearly an argmax.
        space: 'dense', f is CLIP's own dense map in the space of texts, of any tower that has one; 'compat', what the
            released code does: the last stage of a ResNet without its attention pool, of unit length, of which every
            n-th channel is kept so that there are as many as a text has; with ImageNet's normalisation of pixels.
        pool: an embedding is first averaged with those of `pool` patches on each side, so that what fills a patch is
            seen with its edge; the paper's is 0.
        stride: of the dense map in pixels, finer than the tower's own, see `FrozenCLIP.features`; None: its own.
        size: (height, width) to which pictures are brought; None: their own.
        flip: average with the mirrored picture.
        shrink: see `BinFit`.

    Raises:
        ClipkitError: words and bins that do not fit each other, an unknown space, or a tower that has not what it
            needs.
    """

    bins: Tensor
    texts: Tensor

    def __init__(
        self,
        clip: str | Mapping[str, Any],
        words: Sequence[str] = WORDS,
        bins: Sequence[float] = BINS,
        template: str = "This object is {}",
        temperature: float = 0.1,
        space: str = "dense",
        pool: int = 0,
        stride: int | None = None,
        size: Sequence[int] | None = None,
        flip: bool = True,
        shrink: float = 1.0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if space not in SPACES:
            raise ClipkitError(f"DepthCLIP: space={space!r}; known: {', '.join(SPACES)}")
        self.words, start = tuple(words), torch.tensor([float(metres) for metres in bins])
        if len(words) != len(start) or len(words) < 2 or start[0] <= 0 or (start.diff() <= 0).any():
            raise ClipkitError(
                f"DepthCLIP: {len(words)} words and bins of {[*bins]} metres: give each word its distance, the nearest "
                "first, more than 0 and rising"
            )
        if "{}" not in template or temperature <= 0:
            raise ClipkitError(f"DepthCLIP: template={template!r} needs {{}}, temperature={temperature} more than 0")
        self.clip = build_frozen(clip_options(clip))
        if pool < 0:
            raise ClipkitError(f"DepthCLIP: pool={pool} is to be 0 or more patches on each side")
        self.space, self.pool, self.stride, self.temperature, self.flip = space, pool, stride, temperature, flip
        self.size = None if size is None else tuple(size)
        with torch.no_grad():
            texts = self.clip.encode_text([template.format(word) for word in words])
        self.register_buffer("texts", texts, persistent=False)
        self.register_buffer("bins", start)
        self.fit = BinFit(start, shrink)

    def embed(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) float RGB in [0, 1] -> embeddings of their patches (B, D, h, w)."""
        images = to_whole_patches(images, self.clip.patch_size)
        if self.space == "dense":
            return F.normalize(self.clip.features(images, stride=self.stride).dense, dim=1)
        mean, std = (images.new_tensor(value)[:, None, None] for value in _IMAGENET)
        own_mean, own_std = (images.new_tensor(self.clip.preprocess_cfg[key])[:, None, None] for key in ("mean", "std"))
        # The CLIP will take its own mean and divide by its own deviation.
        seen = F.normalize(
            self.clip.features((images - mean) / std * own_std + own_mean, layers=(-1,), dense=False).maps[0], dim=1
        )
        wanted = self.texts.shape[1]
        if self.clip.patch_size is not None or seen.shape[1] % wanted:
            raise ClipkitError(
                f"space='compat' keeps every n-th channel of a ResNet's last stage, and {self.clip.name} has "
                f"{seen.shape[1]} channels for {wanted} of a text: take space='dense', or RN50"
            )
        return seen[:, :: seen.shape[1] // wanted]

    def probabilities(self, images: Tensor) -> Tensor:
        """Images as for `embed` -> of each patch the probabilities of the words (B, K, h, w)."""
        if self.size is not None and images.shape[-2:] != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True).clamp(0, 1)
        found = self._softmax(images)
        if self.flip:
            found = (found + self._softmax(images.flip(-1)).flip(-1)) / 2
        return found

    def _softmax(self, images: Tensor) -> Tensor:
        embeddings = self.embed(images.to(self.clip.dtype)).float()
        if self.pool:
            embeddings = F.normalize(
                F.avg_pool2d(embeddings, 2 * self.pool + 1, 1, self.pool, count_include_pad=False), dim=1
            )
        cosines = torch.einsum("bdhw,kd->bkhw", embeddings, self.texts.float())
        return (SCALE / self.temperature * cosines).softmax(1)

    @torch.no_grad()
    def depth(self, images: Tensor) -> Tensor:
        """Images as for `embed` -> metres (B, H, W) at their own size."""
        metres = torch.einsum("bkhw,k->bhw", self.probabilities(images), self.bins)
        return _enlarged(metres[:, None], images.shape[-2:])[:, 0]

    def forward(self, image: list[Tensor], depth: list[Tensor], mode: str = "tensor", **about: list) -> Any:
        """Samples of a data set, collated to lists: images (H, W, 3) uint8 and depths (H, W) in metres.

        mode 'tensor' gives depths (H, W); 'predict' gives of each `predicted`, `depth` and what else the sample has.
        """
        found = [self.depth(self.pixels(one)[None])[0] for one in image]
        if mode == "tensor":
            return found
        keys = {"depth": depth, **about}
        return [
            {"predicted": predicted.cpu(), **{key: values[i] for key, values in keys.items()}}
            for i, predicted in enumerate(found)
        ]

    def pixels(self, image: Tensor) -> Tensor:
        """(H, W, 3) uint8 -> (3, H, W) float in [0, 1] on the model's device."""
        return image.to(self.bins.device).movedim(-1, 0).float() / 255

    @torch.no_grad()
    def train_step(self, data: dict[str, list], optim_wrapper: Any) -> dict[str, Tensor]:
        """Adds pictures to the fit of the bins, and sets these; `optim_wrapper` has nothing to do.

        Returns:
            `loss`: mean |p − t| / t of these pictures with the new bins.
        """
        seen = []
        for image, depth in zip(data["image"], data["depth"]):
            truth = depth.to(self.bins.device)
            valid = measured(truth)
            if valid.any():
                found = _enlarged(self.probabilities(self.pixels(image)[None]), truth.shape)[0]
                seen.append((found[:, valid].T, truth[valid]))
                self.fit.add(*seen[-1])
        self.bins.copy_(self.fit.solve())
        errors = [((found @ self.bins - truth).abs() / truth).mean() for found, truth in seen]
        return {"loss": torch.stack(errors).mean() if errors else self.bins.new_zeros(())}


def _enlarged(maps: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size)."""
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=True)
