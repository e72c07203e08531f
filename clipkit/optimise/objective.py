"""What CLIP says of pictures, as losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from clipkit.backbone import FrozenCLIP
from clipkit.errors import ClipkitError, did_you_mean

_DISTANCES = ("spherical", "cosine", "direction")
_SOFT = 0.3  # the directional loss is flat where nothing has moved yet


class Goal(NamedTuple):
    """What pictures shall be like: a text, or a picture `(3, H, W)` in [0, 1].

    Attributes:
        what: the text or picture.
        weight: of its distance; negative: away from it.
        stop: no gradient once the signed distance is below (VQGAN-CLIP's prompts).
    """

    what: str | Tensor
    weight: float = 1.0
    stop: float = float("-inf")


class ClipLoss(nn.Module):
    """Named losses of pictures, one value a picture; their sum is to be made small.

    - `goals`: Σ weight · distance of the picture's embedding to each goal's: `spherical` 2·asin²(‖a − b‖/2)
      (VQGAN-CLIP), `cosine` 1 − cos, or `direction` 1 − Δ·d/√(‖Δ‖² + 0.3²), with Δ = E(x) − E(source) and d from
      `base` to the goal (StyleGAN-NADA, but for the 0.3: without it the gradient is infinite where nothing has moved).
    - `layers`: Σ weight · mean (f_l(x) − f_l(target))² over the maps of CLIP's blocks or stages (CLIPasso, 3.2), each
      divided by the mean of f_l(target)² if `relative`: residual streams grow with depth.
    - `embedding`: embedding_weight · (1 − cos) to the target's embedding.

    Args:
        clip: a frozen CLIP.
        goals: texts, pictures, or `Goal`s of them.
        distance: how goals are measured.
        base: for `direction`: what the picture is now, in words.
        layers: block or stage -> weight; negative ones count from the end.
        relative: see above.
        embedding_weight: see above.

    Raises:
        ClipkitError: an unknown distance, or a direction without `base`.
    """

    def __init__(
        self,
        clip: FrozenCLIP,
        goals: Sequence[str | Tensor | Goal] = (),
        *,
        distance: str = "spherical",
        base: str | None = None,
        layers: Mapping[int, float] | None = None,
        relative: bool = True,
        embedding_weight: float = 0.0,
    ) -> None:
        super().__init__()
        if distance not in _DISTANCES:
            raise ClipkitError(f'distance="{distance}" is unknown; {did_you_mean(distance, _DISTANCES)}')
        if distance == "direction" and base is None:
            raise ClipkitError('distance="direction" needs base=, what the picture is now, in words')
        self.clip, self.distance, self.relative = clip, distance, relative
        self.layers, self.embedding_weight = dict(layers or {}), embedding_weight
        self.goals = [goal if isinstance(goal, Goal) else Goal(goal) for goal in goals]
        with torch.no_grad():
            rows = [self._embed(goal.what) for goal in self.goals]
            self.aims = torch.cat(rows) if rows else torch.zeros(0, clip.embed_dim, device=clip.device)
            if base is not None:
                self.aims = nn.functional.normalize(self.aims - clip.encode_text([base]), dim=-1)

    def forward(
        self, pictures: Tensor, target: Tensor | None = None, source: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Losses by name, each `(B,)`.

        Args:
            pictures: `(B, 3, H, W)` in [0, 1], on any device: losses come back to it.
            target: the same shape, warped alike: what layers and embedding are compared with.
            source: the same shape, warped alike: where a direction begins.

        Raises:
            ClipkitError: `target` or `source` is missing.
        """
        like = bool(self.layers or self.embedding_weight)
        if like and target is None:
            raise ClipkitError("layers= and embedding_weight= compare with a target: give one")
        if self.goals and self.distance == "direction" and source is None:
            raise ClipkitError('distance="direction" begins at a picture: give source=')
        place, device = pictures.device, self.clip.device
        pictures = pictures.to(device)
        target, source = (None if other is None else other.to(device) for other in (target, source))
        seen = self.clip.features(pictures, tuple(self.layers), dense=False)
        embedding = nn.functional.normalize(seen.embedding, dim=-1)
        losses = {}
        if self.goals:
            losses["goals"] = self._to_goals(embedding, source)
        if target is not None and like:
            with torch.no_grad():
                aim = self.clip.features(target, tuple(self.layers), dense=False)
            if self.layers:
                parts = [
                    weight * self._apart(mine, other)
                    for weight, mine, other in zip(self.layers.values(), seen.maps, aim.maps)
                ]
                losses["layers"] = torch.stack(parts).sum(0)
            if self.embedding_weight:
                cosine = (embedding * nn.functional.normalize(aim.embedding, dim=-1)).sum(-1)
                losses["embedding"] = self.embedding_weight * (1 - cosine)
        return {name: value.to(place) for name, value in losses.items()}

    def _embed(self, what: str | Tensor) -> Tensor:
        if isinstance(what, str):
            return self.clip.encode_text([what])
        return self.clip.encode_image(what[None].to(self.clip.device))

    def _to_goals(self, embedding: Tensor, source: Tensor | None) -> Tensor:
        if self.distance == "direction":
            assert source is not None
            with torch.no_grad():
                start = self.clip.encode_image(source)
            moved = embedding - start
            far = 1 - moved @ self.aims.T / (moved.square().sum(-1, keepdim=True) + _SOFT**2).sqrt()
        elif self.distance == "cosine":
            far = 1 - embedding @ self.aims.T
        else:
            chord = (embedding[:, None] - self.aims).norm(dim=-1)
            far = 2 * torch.asin((chord / 2).clamp(max=1 - 1e-6)).square()
        weight = torch.tensor([goal.weight for goal in self.goals]).to(far)
        stop = torch.tensor([goal.stop for goal in self.goals]).to(far)
        signed = far * weight.sign()
        kept = torch.maximum(signed, stop)  # its gradient, with the distance itself as value
        return ((kept + (signed - kept).detach()) * weight.abs()).sum(-1)

    def _apart(self, mine: Tensor, other: Tensor) -> Tensor:
        squares = (mine - other).square().flatten(1).mean(1)
        return squares / other.square().flatten(1).mean(1).clamp(min=1e-12) if self.relative else squares
