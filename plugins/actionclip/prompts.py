"""ActionCLIP's visual prompts: frames of a video to one embedding (Wang et al. 2021, section 3.3).

Unlike CLIP4Clip's poolings they average frames that were **not** brought to unit length; the embedding is.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipkit.adapters import MeanPool, SeqLSTM, SeqTransformer
from clipkit.adapters.temporal import TemporalPool, frame_mask, positions_of
from clipkit.errors import ClipkitError, did_you_mean

KINDS = ("meanP", "Conv1D", "LSTM", "Transf", "Transf_cls")


class ShiftConv(TemporalPool):
    """`frames + conv(frames)`: one kernel of 3 frames for each channel, which starts as a shift: a quarter of the
    channels from the previous frame, half in place, a quarter from the next.

    Args:
        dim: D.
        compatible: reads the memory of `(F, D)` as `(D, F)`, as the original does. That mixes channels and time, and
            is for its checkpoints alone.
    """

    def __init__(self, dim: int, compatible: bool = False) -> None:
        super().__init__(unit_frames=False)
        self.compatible = compatible
        self.shift = nn.Conv1d(dim, dim, 3, padding=1, groups=dim, bias=False)
        with torch.no_grad():
            self.shift.weight.zero_()
            parts = slice(0, dim // 4), slice(dim // 4, dim - dim // 4), slice(dim - dim // 4, dim)
            for tap, channels in enumerate(parts):
                self.shift.weight[channels, 0, tap] = 1.0

    def temporal(self, frames: Tensor, mask: Tensor) -> Tensor:
        seen = frames.masked_fill(~mask[..., None], 0)
        videos, length, dim = seen.shape
        rows = seen.contiguous().view(videos, dim, length) if self.compatible else seen.transpose(1, 2)
        return frames + self.shift(rows).transpose(1, 2)


class ClassTokenTransformer(TemporalPool):
    """The state of a learned class token after a post-norm transformer over `[token; frames] + positions`.

    Args:
        dim: D, a multiple of 8.
        max_frames: positions are one more.
        layers: of the encoder.
    """

    def __init__(self, dim: int, max_frames: int = 32, layers: int = 6) -> None:
        super().__init__(unit_frames=False)
        layer = nn.TransformerEncoderLayer(dim, nhead=8, batch_first=True)
        # The fused form of evaluation gives nested tensors where a mask hides frames.
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(dim), enable_nested_tensor=False)
        self.token = nn.Parameter(torch.empty(dim))
        self.positions = nn.Parameter(torch.empty(max_frames + 1, dim))
        for parameter in (self.token, self.positions):
            nn.init.trunc_normal_(parameter, std=0.02)
        for module in self.encoder.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embeddings of unit length, `(M, D)`."""
        hidden = ~F.pad(frame_mask(frames, mask), (1, 0), value=True)
        x = torch.cat((self.token.expand(frames.shape[0], 1, -1), frames), dim=1)
        x = x + positions_of(self.positions, x.shape[1])
        return F.normalize(self.encoder(x, src_key_padding_mask=hidden)[:, 0], dim=-1)


def visual_prompt(kind: str, dim: int, **options: Any) -> TemporalPool:
    """Builds one of `KINDS` for embeddings of width `dim`.

    Raises:
        ClipkitError: unknown name.
    """
    if kind not in KINDS:
        raise ClipkitError(f'no visual prompt is called "{kind}"; {did_you_mean(kind, KINDS)}')
    if kind == "meanP":
        return MeanPool(unit_frames=False, **options)
    if kind == "Conv1D":
        return ShiftConv(dim, **options)
    if kind == "LSTM":
        return SeqLSTM(dim, unit_frames=False, **options)
    if kind == "Transf":
        return SeqTransformer(dim, **{"layers": 6, **options}, unit_frames=False)
    return ClassTokenTransformer(dim, **options)
