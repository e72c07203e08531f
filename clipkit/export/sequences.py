"""What is exported of models that see no single pictures: frames of videos, views of clouds, sounds."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clipkit.export.graphs import BATCH, Graph, PictureGraph, coloured


class VideoGraph(PictureGraph):
    """Frames `(B, F, H, W, 3)` uint8, `mask` `(B, F)`, False where a video is padded, and rows of sentences: scores
    `(B, K)`, and where the head gives a video one embedding that too, `(B, D)` of length 1.

    Args:
        clip, head: of CLIP4Clip or ActionCLIP; the head pools or scores by sentences.
        scale: of the cosines.
        size: see `PictureGraph`.
        frames: of the example, and of all videos where the model joins or shifts frames.
    """

    inputs = ("frames", "mask", "text")

    def __init__(self, clip: Any, head: Any, scale: float, size: tuple[int, int], frames: int, free: bool) -> None:
        super().__init__(clip.embed_dim, size, 1)
        self.clip, self.head, self.scale, self.frames, self.free = clip, head, scale, frames, free
        self.outputs = ("scores", "embedding") if head.pools else ("scores",)

    def forward(self, frames: Tensor, mask: Tensor, text: Tensor) -> Any:
        count, length = frames.shape[:2]
        assert self.size is not None
        pixels = self.read(frames.flatten(0, 1)).view(count, length, 3, *self.size)
        seen = self.clip.encode_frames(pixels).float()
        if not self.free:  # joined frames are one
            mask = mask[:, : seen.shape[1]]
        if not self.head.pools:
            return self.scale * self.head.similarity(text, seen, mask).T
        video = self.head(seen, mask)
        return self.scale * video @ text.T, video

    def example(self, seed: int) -> tuple[Tensor, ...]:
        assert self.size is not None
        count = self.frames - seed % 3 if self.free else self.frames
        high, wide = (side + 7 * (seed % 5 + 1) for side in self.size)
        mask = torch.ones(BATCH, count, dtype=torch.bool)
        mask[1, 2:] = not self.free
        pixels = coloured(BATCH * count, high, wide, seed).unflatten(0, (BATCH, count))
        return pixels, mask, self.rows(seed)

    def axes(self) -> tuple[dict[int, Any], ...]:
        free, batch = torch.export.Dim.DYNAMIC, torch.export.Dim("batch")
        # Where the head has positions: one for each frame, and one for a class token.
        most = len(getattr(self.head, "positions", range(1024))) - hasattr(self.head, "token")
        shared = {0: batch, 1: torch.export.Dim("frames", min=1, max=most)} if self.free else {0: batch}
        return {**shared, 2: free, 3: free}, shared, {0: free}


class ViewGraph(Graph):
    """Views of clouds `(B, V, 3, S, S)` as the model's projection draws them, and rows: probabilities `(B, K)` as the
    model joins its parts, and each view's own logits `(B, V, K)`.

    Args:
        model: a PointCLIP whose prediction needs no points.
    """

    inputs = ("views", "text")
    outputs = ("scores", "votes")

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.dim = model, model.clip.embed_dim
        self.shape = (len(model.projection.angles), 3, model.projection.size, model.projection.size)

    def forward(self, views: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        flat, clip = views.flatten(0, 1), self.model.clip
        if self.model.projection.normalised:
            seen = clip.encode_image(flat, normalize=False)
        else:  # as PointCLIP has it: without CLIP's mean and standard deviation
            seen = clip.model.encode_image(flat)
        seen = seen.float().unflatten(0, views.shape[:2])
        return self.model.probabilities(self.model.logits(seen, rows=text)), self.model.view_logits(seen, text)

    def example(self, seed: int) -> tuple[Tensor, ...]:
        flat = coloured(BATCH * self.shape[0], *self.shape[2:], seed).permute(0, 3, 1, 2).float() / 255
        return flat.contiguous().view(BATCH, *self.shape), self.rows(seed)

    def axes(self) -> tuple[dict[int, Any], ...]:
        free = torch.export.Dim.DYNAMIC
        return {0: free}, {0: free}


class SoundGraph(Graph):
    """Spectrograms `(B, bands, frames)` as the model's `LogMel` gives them, or waves for a tower that takes them, and
    rows: scores `(B, K)`, and embeddings `(B, D)` of length 1.

    Args:
        tower: of an AudioCLIP.
        shape: of one window.
        dim: of the rows.
        scale: of the cosines.
    """

    inputs = ("sounds", "text")
    outputs = ("scores", "embedding")

    def __init__(self, tower: Any, shape: tuple[int, ...], dim: int, scale: float) -> None:
        super().__init__()
        self.tower, self.shape, self.dim, self.scale = tower, shape, dim, scale

    def forward(self, sounds: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        embedding = F.normalize(self.tower(sounds).float(), dim=-1)
        return self.scale * embedding @ text.T, embedding

    def example(self, seed: int) -> tuple[Tensor, ...]:
        drawn = torch.randn(BATCH, *self.shape, generator=torch.Generator().manual_seed(seed))
        return drawn if len(self.shape) == 2 else 0.1 * drawn, self.rows(seed)

    def axes(self) -> tuple[dict[int, Any], ...]:
        free = torch.export.Dim.DYNAMIC
        return {0: free}, {0: free}
