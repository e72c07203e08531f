"""CLIP's contrastive objective and its learned temperature."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._chunked import chunked_infonce
from ._gather import batch_sizes, gather_rows, is_distributed, layout


class LogitScale(nn.Module):
    """`exp(log_scale)`, the inverse temperature. Stored as a logarithm so that a step multiplies it.

    A learned one is brought back into its bounds before it is used and saved, in place, as if `clamp_()` had followed
    the optimiser's step (Radford et al. 2021, section 2.5). The gradient stays alive at the bound; a clamp of what
    `forward` returns would cut it.

    Args:
        init: scale at start; CLIP's is 1 / 0.07 (Radford et al. 2021, section 2.5).
        maximum: CLIP keeps the scale at or below 100.
        minimum: lower bound, `None` for none.
        learned: False keeps it fixed (a buffer, still saved in the state dict).

    Examples:
        >>> scale = LogitScale()
        >>> round(scale().item(), 2)
        14.29
    """

    log_scale: Tensor

    def __init__(
        self, init: float = 1 / 0.07, maximum: float = 100.0, minimum: float | None = 1.0, learned: bool = True
    ) -> None:
        super().__init__()
        if init <= 0 or maximum <= 0 or (minimum is not None and not 0 < minimum <= maximum):
            raise ValueError(f"LogitScale needs 0 < minimum <= maximum and init > 0, got {minimum}, {maximum}, {init}")
        value = torch.tensor(math.log(init))
        if learned:
            self.log_scale = nn.Parameter(value)
        else:
            self.register_buffer("log_scale", value)
        self.log_minimum = None if minimum is None else math.log(minimum)
        self.log_maximum = math.log(maximum)

    def forward(self) -> Tensor:
        """The scale, shape `()`."""
        self._restrain()
        return self.log_scale.exp()

    @torch.no_grad()
    def clamp_(self) -> None:
        """Brings the stored logarithm back into its bounds, in place; a fixed one too."""
        self.log_scale.clamp_(self.log_minimum, self.log_maximum)

    def _restrain(self) -> None:
        if isinstance(self.log_scale, nn.Parameter):
            self.clamp_()

    def _save_to_state_dict(self, *args: Any) -> None:
        self._restrain()
        super()._save_to_state_dict(*args)

    def extra_repr(self) -> str:
        return f"scale={self.log_scale.exp().item():.4g}, learned={isinstance(self.log_scale, nn.Parameter)}"


class ContrastiveLoss(nn.Module):
    """Symmetric InfoNCE over pairs,

        L = -1/(2B) sum_i [ log softmax_j(s x_i.y_j)_i + log softmax_j(s y_i.x_j)_i ],

    the mean over the batch of Radford et al. 2021, figure 3. Where two items of a batch share a class or a caption
    this objective pushes equal things apart: use `MultiPositiveLoss` there.

    Args:
        chunk: rows computed at a time; memory is then O(B * chunk) instead of O(B * B), value and gradients are the
            same. `None` is the plain form.
        gather: when `torch.distributed` is initialised, items of all ranks are each other's negatives. The loss of a
            rank covers its own rows and is weighted so that the *mean over ranks* is the loss of the global batch;
            gradients averaged by DistributedDataParallel equal those of one process. Ranks may hold different counts.
        normalize: bring embeddings to unit length first.
        directions: 'mean' of the two, or their 'sum', which is VideoCLIP's (Xu et al. 2021, section 3.1), with
            `normalize=False` and a scale of 1.
        overlap: two pairs of the same film whose windows overlap by more than this (intersection over union) are
            neither positive nor negative to each other: `forward` then needs `windows`. None: all others are negatives.

    The computation is in float32 (float64 stays), also under autocast: at a scale of 100 half precision would round
    the logits by up to 0.4.

    Examples:
        >>> images, texts = torch.randn(8, 16, requires_grad=True), torch.randn(8, 16)
        >>> ContrastiveLoss(chunk=4)(images, texts, LogitScale()()).backward()
        >>> images.grad.shape
        torch.Size([8, 16])
    """

    def __init__(
        self,
        chunk: int | None = None,
        gather: bool = True,
        normalize: bool = True,
        directions: str = "mean",
        overlap: float | None = None,
    ) -> None:
        super().__init__()
        if chunk is not None and chunk < 1:
            raise ValueError(f"chunk must be a positive number of rows or None, got {chunk}")
        if directions not in _DIRECTIONS:
            raise ValueError(f"directions is 'mean' or 'sum', got {directions!r}")
        if overlap is not None and (chunk is not None or not 0 <= overlap < 1):
            raise ValueError(f"overlap is a share in [0, 1), without chunk, got {overlap} and {chunk}")
        self.chunk = chunk
        self.gather = gather
        self.normalize = normalize
        self.directions = directions
        self.overlap = overlap

    def forward(self, x: Tensor, y: Tensor, logit_scale: Tensor | float, windows: Tensor | None = None) -> Tensor:
        """Row `i` of `x` `(B, D)` and row `i` of `y` `(B, D)` are a pair; `logit_scale` is the scale, not its log.

        Args:
            windows: `(B, 3)` for `overlap`: the number of a pair's film, and its first and last second.

        Returns: 0-d loss, 0 for an empty batch.

        Raises:
            ValueError: shapes differ, or windows without `overlap` or the reverse.
        """
        if (windows is None) != (self.overlap is None) or (windows is not None and windows.shape != (len(x), 3)):
            raise ValueError(f"windows (B, 3) go with overlap, got overlap={self.overlap} and {_shape(windows)}")
        if x.ndim != 2 or x.shape != y.shape:
            raise ValueError(f"pairs need two (B, D) tensors of one shape, got {tuple(x.shape)} and {tuple(y.shape)}")
        with torch.autocast(x.device.type, enabled=False):
            x, y, scale = prepare(x, y, logit_scale, self.normalize)
            sizes = batch_sizes(x) if is_distributed(self.gather) else None
            where = layout(len(x), sizes)
            if where.total == 0:
                return (x.sum() + y.sum()) * 0.0
            weight = _DIRECTIONS[self.directions] * where.loss_weight
            all_y = y if sizes is None else gather_rows(y, sizes)
            if self.chunk is not None:
                return chunked_infonce(x, all_y, scale, self.chunk, where.offset, weight, combine=sizes is not None)
            labels = torch.arange(where.offset, where.offset + len(x), device=x.device)
            logits = scale * x @ all_y.T
            logits_t = logits.T if sizes is None else scale * y @ gather_rows(x, sizes).T
            if windows is not None and self.overlap is not None:
                everyone = windows if sizes is None else gather_rows(windows, sizes)
                ignored = same_moment(windows, everyone, self.overlap)
                ignored[torch.arange(len(x)), labels] = False
                logits, logits_t = (part.masked_fill(ignored, -torch.inf) for part in (logits, logits_t))
            loss = F.cross_entropy(logits, labels, reduction="sum")
            loss = loss + F.cross_entropy(logits_t, labels, reduction="sum")
            return loss * (0.5 * weight)


_DIRECTIONS = {"mean": 1.0, "sum": 2.0}


def same_moment(windows: Tensor, others: Tensor, overlap: float) -> Tensor:
    """`(N, M)` bool: windows `(N, 3)` and `(M, 3)` of film, first and last second are of one film, and the intersection
    of their seconds is more than `overlap` of their union."""
    film, start, end = (column[:, None] for column in windows.unbind(1))
    other_film, other_start, other_end = others.unbind(1)
    common = (torch.minimum(end, other_end) - torch.maximum(start, other_start)).clamp(min=0)
    union = (end - start) + (other_end - other_start) - common
    return (film == other_film) & (common > overlap * union)


def _shape(tensor: Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)


def prepare(x: Tensor, y: Tensor, scale: Tensor | float, normalize: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings and scale in the working precision: float64 where given, otherwise float32."""
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    x, y = x.to(dtype), y.to(dtype)
    if normalize:
        x, y = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
    if not isinstance(scale, Tensor):
        scale = torch.tensor(float(scale))
    return x, y, scale.to(device=x.device, dtype=dtype).reshape(())
