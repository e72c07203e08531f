"""What one pass through an image tower gives."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Features:
    """The result of `FrozenCLIP.features`, from a single pass.

    Attributes:
        embedding: `(B, D)`, projected to the text space, **not** normalised.
        maps: for each asked layer `(B, C, h, w)`: the raw residual stream after that block (ViT) or stage (conv).
        cls: for each asked layer `(B, C)`: the class token, or the mean over positions where a tower has none.
        strides: for each asked layer, input pixels per map cell.
        penultimate: `(B, C)`, what enters the last projection (CLIP's own linear probe uses it for ViT).
        no_dense: why there is no dense map; empty when there is one.
    """

    embedding: Tensor
    penultimate: Tensor
    maps: list[Tensor] = field(default_factory=list)
    cls: list[Tensor] = field(default_factory=list)
    strides: list[int] = field(default_factory=list)
    dense_map: Tensor | None = None
    no_dense: str = ""

    @property
    def dense(self) -> Tensor:
        """`(B, D, h, w)`, every position projected to the text space, **not** normalised.

        Raises:
            ValueError: no dense map was asked for, or the tower cannot give one.
        """
        if self.dense_map is None:
            raise ValueError(self.no_dense or "features(..., dense=False) was asked for no dense map")
        return self.dense_map
