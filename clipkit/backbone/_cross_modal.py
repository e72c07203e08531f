"""Adapters inside the blocks of both encoders, with weights that the two share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class CrossModalAdapter(nn.Module):
    """`x + [z W_unique, z W_shared]`, `z = gelu(x W_down)` (Jiang et al. 2022, "Cross-Modal Adapter for Text-Video
    Retrieval", section 3.3): the last channels of both modalities are made by one matrix.

    Both `W` start at zero, so that the adapter begins as the identity.

    Args:
        dim: width of the encoder.
        shared: the linear layer from the bottleneck that the other encoder's adapter has too; None for none.
        bottleneck: width of z.
    """

    def __init__(self, dim: int, shared: nn.Linear | None, bottleneck: int = 8) -> None:
        super().__init__()
        self.down = nn.Linear(dim, bottleneck)
        self.unique = zero_linear(bottleneck, dim - (shared.out_features if shared else 0))
        self.shared = shared

    def forward(self, x: Tensor) -> Tensor:
        z = nn.functional.gelu(self.down(x.to(self.down.weight.dtype)))
        change = self.unique(z) if self.shared is None else torch.cat((self.unique(z), self.shared(z)), dim=-1)
        return x + change.to(x.dtype)

    def hook(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        """A forward hook that puts the adapter behind a module."""
        return self(output)


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that starts as zero."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def branches(block: Any) -> tuple[nn.Module, nn.Module]:
    """The last modules of a block's attention branch and of its MLP branch, before they are added to `x`: the layer
    scales, which open_clip and timm keep as identities where a model has none.

    Raises:
        ValueError: a block of another kind.
    """
    for names in (("ls_1", "ls_2"), ("ls1", "ls2")):
        if all(hasattr(block, name) for name in names):
            return getattr(block, names[0]), getattr(block, names[1])
    raise ValueError(f"adapters have no place inside a {type(block).__name__}; add_adapters puts them between blocks")


def block_width(block: Any) -> int:
    """Channels of a transformer block of open_clip or timm."""
    norm = getattr(block, "ln_1", None) or block.norm1
    return int(norm.weight.shape[0])
