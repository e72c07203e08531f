"""What happens to a pixel, box or frame that is none of the classes. Always said, never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KINDS = ("none", "threshold", "words", "learned", "others")


@dataclass(frozen=True)
class Background:
    """A background policy. Whatever the policy, background gets the index after the last class.

    Kinds:
        'none': the classes share everything between them.
        'threshold': background where the largest softmax probability is below `threshold` (SCLIP's `prob_thd`).
        'words': a list of words that compete with the classes; the best of them is background's score. With a
            `threshold` too, uncertain places go to background as well (SCLIP's VOC21: stuff words and `prob_thd`).
        'learned': one trained vector competes, see `LearnedBackground`.
        'others': the single word "others" competes (LSeg, PASCAL-5i).
    """

    kind: str = "none"
    words: tuple[str, ...] = ()
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"background={self.kind!r} is unknown; known: {', '.join(KINDS)}")
        missing = self.kind == "threshold" and self.threshold is None
        if missing or (self.threshold is not None and not 0.0 < self.threshold < 1.0):
            raise ValueError(f"background threshold must lie between 0 and 1, got {self.threshold}")
        if self.kind not in ("threshold", "words", "others") and self.threshold is not None:
            raise ValueError(f"background={self.kind!r} takes no threshold")
        if self.kind == "words" and not self.words:
            raise ValueError("background='words' needs a list of words")
        if self.kind == "others" and not self.words:
            object.__setattr__(self, "words", ("others",))  # the class is frozen
        elif self.kind != "words" and self.words and (self.kind, self.words) != ("others", ("others",)):
            raise ValueError(f"background={self.kind!r} takes no words")

    @classmethod
    def of(cls, value: Background | str | float | Sequence[str] | None) -> Background:
        """None -> none; a number -> threshold; a list -> words; 'none', 'learned' or 'others' as named."""
        if isinstance(value, Background):
            return value
        if value is None:
            return cls()
        if isinstance(value, str):
            return cls(value)
        if isinstance(value, (int, float)):
            return cls("threshold", threshold=float(value))
        return cls("words", words=tuple(value))

    @property
    def has_class(self) -> bool:
        """True if background can be predicted."""
        return self.kind != "none"


class LearnedBackground(nn.Module):
    """One trained row for "none of these": `forward` appends it to the class matrix.

    Starts at N(0, D^-0.5), as SAN's learnable background does (Xu et al., arXiv 2302.12242).

    Args:
        dim: `D`, the width of the text embedding.
        std: another standard deviation to start with, ViLD's 0.01.
        normalize: bring the row to unit length at use; the cosine of what is not normalised is not bounded.
    """

    def __init__(self, dim: int, std: float | None = None, normalize: bool = True) -> None:
        super().__init__()
        self.normalize = normalize
        self.vector = nn.Parameter(torch.randn(dim) * (dim**-0.5 if std is None else std))

    def forward(self, matrix: Tensor) -> Tensor:
        """`(R, D)` rows -> `(R + 1, D)`, the last one background."""
        row = F.normalize(self.vector, dim=0) if self.normalize else self.vector
        return torch.cat([matrix, row.to(matrix)[None]])
