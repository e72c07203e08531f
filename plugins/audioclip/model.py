"""AudioCLIP: sound in the space of a CLIP's pictures and texts (Guzhov et al., ICASSP 2022, arXiv:2106.13043)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from clipkit.adapters import MultiPositiveLoss, PairsLoss
from clipkit.backbone import FrozenCLIP, TunableCLIP
from clipkit.backbone.options import build_frozen, clip_options
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.nn import ESResNeXt, LogMel, SoundTower

MODELS.register_module(module=SoundTower)
MODELS.register_module(module=ESResNeXt)
_PARTIAL = ("audio-image", "audio-text")


@MODELS.register_module()
class AudioCLIP(BaseModel):
    """A tower for sound beside a frozen CLIP, whose embeddings of pictures and texts are stored.

    Args:
        clip: a name, or `dict(name=…, pretrained=…, precision=…)`; 'tiny_clip' is the shipped one.
        tower: a part of the registry that takes spectrograms, or waves where it has `takes_waves`; it is given `dim`.
        spectrogram: arguments of `clipkit.nn.LogMel`, those of the data set's; its `rate` counts for waves too.
        seconds: of a window of sound. prompt: of names, where sounds are named.
        pairs: what trains, see `PairsLoss`; the original's first stage has the two with sound, its second all three.
        heads: also train a linear map after each of CLIP's two projections, the identity at start; what the original's
            full stage does to them. CLIP itself stays frozen.
        labels: for sets with a name a class: sounds are drawn to the texts of their names, and items with one `label`
            belong together (`MultiPositiveLoss`).
        own_clip: CLIP's weights lie in the checkpoint, as in those of AudioCLIP's full training; else they are no part
            of it.
        scale: of each pair at start (the original's: 100). reduction: 'compat' is the released sum, see `PairsLoss`.
        roll: turn each sound around in time by a random part of it. mask_bands: of a spectrogram, so many neighbouring
            bands are emptied. Both in training only.

    Raises:
        ClipkitError: heads without the pair of image and text, which would not be held together.
    """

    def __init__(
        self,
        clip: str | Mapping[str, Any],
        tower: Mapping[str, Any] | None = None,
        spectrogram: Mapping[str, Any] | None = None,
        seconds: float = 1.0,
        prompt: str = "{}",
        pairs: Sequence[str] = _PARTIAL,
        heads: bool = False,
        labels: bool = False,
        own_clip: bool = False,
        scale: float = 20.0,
        reduction: str = "mean",
        roll: bool = True,
        mask_bands: int = 6,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if heads and "image-text" not in pairs:
            raise ClipkitError("AudioCLIP: heads=True trains what pictures and texts share: add 'image-text' to pairs")
        self.clip: FrozenCLIP | TunableCLIP
        self.clip = TunableCLIP.from_pretrained(**clip_options(clip)) if own_clip else build_frozen(clip_options(clip))
        dim = self.clip.embed_dim
        self.spectrogram = LogMel(**dict(spectrogram or {}))
        self.tower = MODELS.build({"type": "SoundTower", "dim": dim, **dict(tower or {})})
        self.rate, self.seconds, self.prompt = self.spectrogram.rate, seconds, prompt
        self.heads = nn.ModuleDict({name: nn.Linear(dim, dim, bias=False) for name in ("image", "text") if heads})
        for head in self.heads.values():
            nn.init.eye_(head.weight)
        self.loss = PairsLoss(pairs, scale, reduction)
        self.alike = MultiPositiveLoss() if labels else None
        self.roll, self.mask_bands = roll, mask_bands
        self._names: dict[str, Tensor] = {}

    # ---- one's own sounds, pictures and texts ----------------------------------------------------------------------

    @torch.no_grad()
    def encode_sound(self, waves: Tensor) -> Tensor:
        """`(B, N)` in ±1 at `rate` samples a second -> `(B, D)`, unit length. A window has `seconds` of them."""
        waves = waves.to(next(self.tower.parameters()).device)
        return F.normalize(self.tower(waves if self.takes_waves else self.spectrogram(waves)), dim=-1)

    @torch.no_grad()
    def encode_image(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` as `FrozenCLIP.encode_image` takes them -> `(B, D)`, unit length."""
        return self._known("image", self.clip.encode_image(images, normalize=False).float())

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Sentences -> `(B, D)`, unit length."""
        return self._known("text", self.clip.encode_text(list(texts), normalize=False).float())

    @torch.no_grad()
    def encode_names(self, names: Sequence[str]) -> Tensor:
        """Names in the model's prompt -> `(K, D)`, unit length. Each is encoded once, for CLIP does not change."""
        if missing := [name for name in dict.fromkeys(names) if name not in self._names]:
            texts = [self.prompt.format(name) for name in missing]
            self._names.update(zip(missing, self.clip.encode_text(texts, normalize=False).float()))
        return self._known("text", torch.stack([self._names[name] for name in names]).to(self.clip.device))

    @property
    def takes_waves(self) -> bool:
        """Whether the tower makes its own spectrogram."""
        return getattr(self.tower, "takes_waves", False)

    # ---- mmengine --------------------------------------------------------------------------------------------------

    def forward(
        self,
        sound: Sequence[Tensor],
        image: Sequence[Tensor] | None = None,
        text: Sequence[Tensor] | None = None,
        label: Sequence[int] | None = None,
        name: Sequence[str] | None = None,
        mode: str = "tensor",
    ) -> Any:
        """B sounds with what belongs to them.

        Args:
            sound: of each `(W, bands, frames)`, or `(W, N)` waves for a tower that takes them: its windows, of which
                training draws one.
            image, text: of each CLIP's embedding `(D,)`, not normalised.
            label, name: of each the place of its name, and the name.
            mode: 'loss' gives a dict of losses, 'tensor' a dict of modality -> `(B, D)` of unit length, 'predict' that
                as a dict an item, with `label`, and `moved`: the largest change that heads made to CLIP's embeddings.
        """
        device = next(self.tower.parameters()).device
        given = {"image": image, "text": text}
        raw = {name: torch.stack(list(rows)).to(device).float() for name, rows in given.items() if rows is not None}
        found = {name: self._known(name, rows) for name, rows in raw.items()}
        if mode == "loss":
            if self.alike is not None and name is not None:
                found["text"] = self.encode_names(name)
            drawn = torch.stack([own[torch.randint(len(own), ())] for own in sound]).to(device)
            found["audio"] = self.tower(self._altered(drawn))
            return self._loss(found, label)
        counts = [len(own) for own in sound]
        rows = F.normalize(self.tower(torch.cat(list(sound)).to(device)), dim=-1)
        found["audio"] = F.normalize(torch.stack([part.mean(0) for part in rows.split(counts)]), dim=-1)
        if mode == "tensor":
            return found
        moved = [(found[name] - F.normalize(own, dim=-1)).abs().amax(1) for name, own in raw.items()]
        largest = torch.stack(moved).amax(0) if moved else rows.new_zeros(len(sound))
        return [
            {
                **{name: own[i].cpu() for name, own in found.items()},
                "label": -1 if label is None else int(label[i]),
                "moved": float(largest[i]),
            }
            for i in range(len(sound))
        ]

    def _known(self, name: str, rows: Tensor) -> Tensor:
        return F.normalize(self.heads[name](rows) if name in self.heads else rows, dim=-1)

    def _loss(self, found: dict[str, Tensor], label: Sequence[int] | None) -> dict[str, Tensor]:
        if self.alike is None:
            losses = {f"loss_{pair}": value for pair, value in self.loss(found).items()}
        else:
            labels = torch.as_tensor(label, device=found["audio"].device)
            scale = self.loss.scales["audio-text"]()
            losses = {"loss_audio-text": self.alike(found["audio"], found["text"], scale, labels)}
        if callable(getattr(self.tower, "filter_loss", None)):
            losses["loss_filters"] = self.tower.filter_loss()
        return losses

    def _altered(self, sounds: Tensor) -> Tensor:
        """(B, …, T) with the augmentations of training."""
        if self.roll:
            length = sounds.shape[-1]
            shift = torch.randint(length, (len(sounds), *[1] * (sounds.ndim - 1)), device=sounds.device)
            index = (torch.arange(length, device=sounds.device) + shift) % length
            sounds = sounds.gather(-1, index.expand_as(sounds))
        if self.mask_bands and sounds.ndim == 3:
            bands = sounds.shape[1]
            first = torch.randint(bands, (len(sounds), 1), device=sounds.device)
            place = torch.arange(bands, device=sounds.device)
            masked = (place >= first) & (place < first + self.mask_bands)
            sounds = sounds.masked_fill(masked[..., None], 0.0)
        return sounds
