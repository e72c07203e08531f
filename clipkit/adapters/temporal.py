"""Frames of a video to one embedding: CLIP4Clip's mean, LSTM and transformer (Luo et al. 2022, section 3.3).

Every similarity here and in `temporal_text` and `temporal_tight` has one face:

    similarity(text (N, D), frames (M, F, D), mask (M, F) bool) -> (N, M)

`frames` are CLIP's frame embeddings as the image tower gives them, **not** normalised (layers see their norms); `mask`
is False where a video is padded, None where nothing is. `pools` says that a video has an embedding of its own, so that
`forward(frames, mask) -> (M, D)` exists and retrieval is one matrix product; `cosine` that the similarity lies in
[-1, 1] and the objective multiplies it by the logit scale.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._clip_blocks import ResidualAttentionBlock


def frame_mask(frames: Tensor, mask: Tensor | None) -> Tensor:
    """`(M, F)` bool, all True for None.

    Raises:
        ValueError: shapes that do not go together.
    """
    if frames.ndim != 3:
        raise ValueError(f"frames must be (videos, frames, D), got {tuple(frames.shape)}")
    if mask is None:
        return torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
    if mask.shape != frames.shape[:2]:
        raise ValueError(f"a mask of shape {tuple(mask.shape)} does not fit frames {tuple(frames.shape)}")
    return mask.bool()


def masked_mean(rows: Tensor, mask: Tensor | None = None, skip: int = 0) -> Tensor:
    """The mean `(N, D)` of rows `(N, L, D)` where `mask` `(N, L)` is True, without the first `skip` ones: VideoCLIP
    leaves the class token out of the tokens that it averages (Xu et al. 2021, section 3.1). 0 where nothing is left."""
    weights = frame_mask(rows, mask)[:, skip:].to(rows.dtype)
    return (weights[:, None] @ rows[:, skip:])[:, 0] / weights.sum(1, keepdim=True).clamp(min=1)


class TemporalPool(nn.Module):
    """What the poolings share: `mean_f(unit(temporal(frames)))`, brought to unit length.

    Args:
        unit_frames: bring each frame to unit length before the mean, as CLIP4Clip does; False is the order of
            ActionCLIP and MMAction2, where long frames weigh more.

    A video whose mask is empty has the embedding 0.
    """

    pools = True
    cosine = True

    def __init__(self, unit_frames: bool = True) -> None:
        super().__init__()
        self.unit_frames = unit_frames

    def temporal(self, frames: Tensor, mask: Tensor) -> Tensor:
        """`(M, F, D)` to `(M, F, D)`; here nothing happens."""
        return frames

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embeddings of unit length, `(M, D)`."""
        mask = frame_mask(frames, mask)
        frames = self.temporal(frames, mask)
        # The mean's count goes in the last normalisation, the frames' norms into weights: one product, no copies.
        with torch.autocast(frames.device.type, enabled=False):  # bfloat16 would round a film and its reverse apart
            weights = mask.to(frames.dtype)
            if self.unit_frames:
                weights = weights / frames.norm(dim=-1).clamp(min=1e-12)
            return F.normalize((weights[:, None] @ frames)[:, 0], dim=-1)

    def similarity(self, text: Tensor, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """Cosines `(N, M)` of sentences `(N, D)` and videos."""
        return F.normalize(text, dim=-1) @ self(frames, mask).T

    def extra_repr(self) -> str:
        return "" if self.unit_frames else "unit_frames=False"


class MeanPool(TemporalPool):
    """The masked mean of the frames: no parameters, blind to their order (CLIP4Clip's `meanP`).

    Examples:
        >>> MeanPool()(torch.randn(3, 12, 16)).shape
        torch.Size([3, 16])
    """


class SeqLSTM(TemporalPool):
    """`frames + LSTM(frames)`, one layer forward in time, then the mean (CLIP4Clip's `seqLSTM`).

    As in the original a video's length is the number of True in its mask, and frames behind it pass unchanged.

    Args:
        dim: D, also the width of the LSTM.
        contrast: the LSTM sees `changes(frames)` instead. Frames of a video are almost alike, and a short training does
            not find what moves in them; without it this is the original.

    Examples:
        >>> SeqLSTM(16).similarity(torch.randn(5, 16), torch.randn(3, 12, 16)).shape
        torch.Size([5, 3])
    """

    def __init__(self, dim: int, unit_frames: bool = True, contrast: bool = False) -> None:
        super().__init__(unit_frames)
        self.lstm = nn.LSTM(dim, dim, batch_first=True)
        self.contrast = contrast

    def temporal(self, frames: Tensor, mask: Tensor) -> Tensor:
        # A forward LSTM never looks ahead: running it over the padding equals the original's packed sequences.
        inside = torch.arange(frames.shape[1], device=frames.device) < mask.sum(1, keepdim=True)
        seen = changes(frames, mask) if self.contrast else frames
        return frames + self.lstm(seen)[0].masked_fill(~inside[..., None], 0)


class SeqTransformer(TemporalPool):
    """`frames + blocks(frames + positions)`, then the mean (CLIP4Clip's `seqTransf`). Padded frames are not looked at.

    Args:
        dim: D.
        layers: number of blocks; 4 in CLIP4Clip, 6 in ActionCLIP.
        heads: default one for each 64 dimensions.
        max_frames: positions; 77 where they start as CLIP's text positions.
        eps: of the layer norms.
        quick_gelu: the activation, see `ResidualAttentionBlock`.
        unit_frames: see `TemporalPool`.
        contrast: the blocks see `changes(frames)` instead, see `SeqLSTM`.

    `temporal_head` starts it as CLIP's first text blocks.

    Examples:
        >>> SeqTransformer(64).similarity(torch.randn(5, 64), torch.randn(3, 12, 64)).shape
        torch.Size([5, 3])
    """

    def __init__(
        self,
        dim: int,
        layers: int = 4,
        heads: int | None = None,
        max_frames: int = 77,
        eps: float = 1e-12,
        quick_gelu: bool = True,
        unit_frames: bool = True,
        contrast: bool = False,
    ) -> None:
        super().__init__(unit_frames)
        self.contrast = contrast
        self.positions = nn.Parameter(torch.randn(max_frames, dim) * 0.02)
        heads = heads or max(dim // 64, 1)
        self.blocks = nn.ModuleList(ResidualAttentionBlock(dim, heads, eps, quick_gelu) for _ in range(layers))

    def temporal(self, frames: Tensor, mask: Tensor) -> Tensor:
        x = changes(frames, mask) if self.contrast else frames
        x = x + positions_of(self.positions, frames.shape[1])
        for block in self.blocks:
            x = block(x, mask)
        return frames + x


def changes(frames: Tensor, mask: Tensor | None = None) -> Tensor:
    """Frames less their video's mean, brought to a mean square of 1 over the video; `(M, F, D)`, 0 where padded.

    What is the same in all frames is gone, what differs is large, whatever the order. A video whose frames differ by
    less than about 1 % of their size stays small.
    """
    inside = frame_mask(frames, mask)[..., None]
    count = inside.sum(1, keepdim=True).clamp(min=1)
    mean = (frames * inside).sum(1, keepdim=True) / count
    rest = (frames - mean) * inside
    spread, size = ((x.square() * inside).sum((1, 2), keepdim=True) / count / x.shape[-1] for x in (rest, frames))
    return rest / (spread + 1e-4 * size).clamp(min=torch.finfo(frames.dtype).tiny).sqrt()


def positions_of(table: Tensor, length: int) -> Tensor:
    """The first `length` rows of a position table.

    Raises:
        ValueError: it has fewer.
    """
    if length > len(table):
        raise ValueError(f"{length} positions are wanted, and this module has {len(table)}: raise max_frames")
    return table[:length]
