"""CLIP that trains where it is told to, and only there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from clipkit.backbone.clip import ClipModel


class BottleneckAdapter(nn.Module):
    """`x + up(gelu(down(x)))` with `up` zero at start, so that it begins as the identity (Houlsby et al. 2019, 2.1)."""

    def __init__(self, dim: int, width: int = 64) -> None:
        super().__init__()
        self.down = nn.Linear(dim, width)
        self.up = nn.Linear(width, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.up(nn.functional.gelu(self.down(x.to(self.down.weight.dtype)))).to(x.dtype)


class TunableCLIP(ClipModel):
    """A CLIP with gradients. Everything is frozen until `unfreeze` names it; what stays frozen stays bit-identical,
    running statistics of batch norms included.

    >>> clip = TunableCLIP.from_pretrained("ViT-B-32").unfreeze("visual.transformer.resblocks.11.*", "logit_scale")
    """

    def __init__(self, model: Any, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        self.adapters = nn.ModuleDict()
        self._tower.adapters = self._text.adapters = self.adapters  # type: ignore[assignment]
        self.model.requires_grad_(False)
        self.train(True)

    @property
    def logit_scale_log(self) -> nn.Parameter:
        """The logarithm of the logit scale, as it is stored and trained."""
        return self.model.logit_scale

    def unfreeze(self, *what: str) -> TunableCLIP:
        """Lets parts train.

        Args:
            what: 'visual', 'text', 'logit_scale' (with the bias, where there is one), 'all', or patterns over the names
                of `model.named_parameters()`, e.g. 'visual.transformer.resblocks.11.*'.

        Raises:
            ValueError: nothing has such a name, or the weights are in half precision (Adam's eps is lost there).
        """
        return self._mark(what, True)

    def freeze(self, *what: str) -> TunableCLIP:
        """The reverse of `unfreeze`."""
        return self._mark(what, False)

    def _mark(self, what: Sequence[str], trains: bool) -> TunableCLIP:
        named = dict(self.model.named_parameters())
        for pattern in what:
            chosen = [key for key in named if _matches(key, pattern)]
            if not chosen:
                heads = ", ".join(sorted({key.split(".")[0] for key in named}))
                raise ValueError(
                    f"{pattern!r}: no weight has such a name; use 'visual', 'text', 'logit_scale', 'all' or a pattern "
                    f"such as 'visual.*'; names start with {heads}"
                )
            for key in chosen:
                if trains and named[key].dtype in (torch.float16, torch.bfloat16):
                    raise ValueError(
                        f"{key} is {named[key].dtype}: load with precision='fp32' to train, and use torch.autocast"
                    )
                named[key].requires_grad_(trains)
        self.train(self.training)
        return self

    def add_adapters(
        self, tower: str = "visual", layers: Sequence[int] | None = None, width: int = 64
    ) -> nn.ModuleDict:
        """Puts a trainable `BottleneckAdapter` after blocks of a transformer; at first they change nothing.

        Args:
            tower: 'visual' or 'text'.
            layers: 0-based blocks, negative ones from the end; default all.
            width: of the bottleneck.

        Raises:
            ValueError: the tower is no transformer, an unknown layer, or one that has its adapter already.
        """
        if tower not in ("visual", "text"):
            raise ValueError(f"tower={tower!r}: adapters go into 'visual' or 'text'")
        blocks: Any = self._text.blocks if tower == "text" else getattr(self._tower, "blocks", None)
        if blocks is None:
            raise ValueError(f"adapters need a transformer; the image tower of {self.name!r} is none")
        for layer in range(len(blocks)) if layers is None else layers:
            if not -len(blocks) <= layer < len(blocks):
                raise ValueError(f"layers: this tower has blocks 0 to {len(blocks) - 1}, not {layer}")
            if f"{tower}_{layer % len(blocks)}" in self.adapters:
                raise ValueError(f"block {layer} of {tower!r} has an adapter already; a second would replace it")
            norm = getattr(blocks[layer], "ln_1", None) or blocks[layer].norm1
            adapter = BottleneckAdapter(norm.weight.shape[0], width).to(norm.weight.device)
            self.adapters[f"{tower}_{layer % len(blocks)}"] = adapter
        return self.adapters

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recomputes blocks in the backward pass: less memory, about a third more time."""
        self.model.set_grad_checkpointing(enable)

    def train(self, mode: bool = True) -> TunableCLIP:
        """Train mode for the parts that train; parts whose weights are all frozen stay in eval mode."""
        super().train(mode)
        if mode:
            _rest(self.model)
        return self

    def _graph(self, *inputs: Tensor) -> AbstractContextManager:
        return nullcontext()

    def _count_writes(self, tensors: Mapping[str, Tensor]) -> int:
        return -1  # an optimiser may write through `.data`, which is not counted

    def _hashed_tensors(self) -> dict[str, Tensor]:
        # Without adapters the hash is that of the same weights in a `FrozenCLIP`.
        return {**super()._hashed_tensors(), **self.adapters.state_dict(prefix="adapters.")}


def _matches(key: str, pattern: str) -> bool:
    scale = key.startswith("logit_")
    if pattern == "all":
        return True
    if pattern == "logit_scale":
        return scale
    if pattern == "visual":
        return key.startswith("visual.")
    if pattern == "text":
        return not scale and not key.startswith("visual.")
    return fnmatchcase(key, pattern)


def _rest(module: nn.Module) -> None:
    """Eval mode for every subtree with weights or statistics of which none trains."""
    for child in module.children():
        if any(parameter.requires_grad for parameter in child.parameters()):
            _rest(child)
        elif next(child.parameters(), None) is not None or next(child.buffers(), None) is not None:
            child.eval()
