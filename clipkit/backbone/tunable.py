"""CLIP that trains where it is told to, and only there."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from clipkit.backbone._cross_modal import CrossModalAdapter, block_width, branches, zero_linear
from clipkit.backbone._video import TemporalConv, inflate
from clipkit.backbone._vit import ViTTower
from clipkit.backbone.clip import ClipModel

_BLOCK = re.compile(r"(?:^|\.)(?:resblocks|blocks)\.(\d+)\.")
# What follows the last block, in open_clip's and timm's names.
_TOP = re.compile(
    r"(text\.)?(ln_final|text_projection)\b|logit_|visual\.(ln_post|proj|attn_pool|head)\b"
    r"|visual\.trunk\.(norm|fc_norm|attn_pool|head)\b"
)


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
        self.register_parameter("time_embedding", None)
        self._tower.adapters = self._text.adapters = self.adapters  # type: ignore[assignment]
        self.model.requires_grad_(False)
        self.train(True)

    @classmethod
    def copy_of(cls, clip: ClipModel) -> TunableCLIP:
        """With the weights, the tokenizer and the settings of another CLIP, which stays as it is."""
        return cls(
            copy.deepcopy(clip.model),
            name=clip.name,
            dense=clip.dense_variant,
            tokenizer=clip._tokenizer,
            tokenizer_name=clip._tokenizer_name,
            preprocess_cfg=clip.preprocess_cfg,
            model_cfg=clip.model_cfg,
        )

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

    def unfreeze_from(self, layer: int) -> TunableCLIP:
        """Lets the tops of both towers train: blocks `layer` and above, norms and projections behind them, the logit
        scale, and an inflated patch layer. What lies below stays frozen (CLIP4Clip's `freeze_layer_num`, whose released
        code forgets to freeze anything where the patch layer is 3D).

        Args:
            layer: 0-based; the number of blocks leaves the norms, projections and scale.

        Raises:
            ValueError: a tower is no transformer, or `layer` lies above both.
        """
        towers = self._transformers()
        if not 0 <= layer <= max(len(blocks) for blocks in towers.values()):
            depths = ", ".join(f"{len(blocks)} in {name!r}" for name, blocks in towers.items())
            raise ValueError(f"unfreeze_from({layer}): there are blocks 0 and above, {depths}")
        inflated = {f"{name}.{key}" for name, module in self.model.named_modules() if isinstance(module, TemporalConv)
                    for key, _ in module.named_parameters()}  # fmt: skip
        top = []
        for key, _ in self.model.named_parameters():
            found = _BLOCK.search(key)
            if key in inflated or (int(found.group(1)) >= layer if found else _TOP.match(key)):
                top.append(key)
        return self._mark(top, True)

    def _transformers(self) -> dict[str, Any]:
        blocks = getattr(self._tower, "blocks", None)
        if blocks is None:
            raise ValueError(f"the image tower of {self.name!r} is no transformer: it has no blocks to choose")
        return {"visual": blocks, "text": self._text.blocks}

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
            adapter = BottleneckAdapter(block_width(blocks[layer]), width).to(self.device)
            self.adapters[f"{tower}_{layer % len(blocks)}"] = adapter
        return self.adapters

    def add_cross_modal_adapters(self, bottleneck: int = 8, shared: int = 16) -> nn.ModuleDict:
        """Puts a trainable `CrossModalAdapter` behind the attention and the MLP of every block of both towers; at first
        they change nothing. Blocks share weights across the towers counted from the last: 0.5 M weights in ViT-B/32.

        Args:
            bottleneck: width inside.
            shared: how many output channels the two modalities share; 0: none.

        Raises:
            ValueError: a tower is no transformer, its blocks have no place, or they have these adapters already.
        """
        towers = self._transformers()
        if any(key.endswith("_mlp") for key in self.adapters):
            raise ValueError("the blocks have cross-modal adapters already; a second set would replace them")
        if not 0 <= shared < min(block_width(blocks[0]) for blocks in towers.values()):
            raise ValueError(f"shared={shared}: it must be at least 0 and less than the towers' widths")
        places = {(name, i, part): branch for name, blocks in towers.items() for i, block in enumerate(blocks)
                  for part, branch in zip(("attention", "mlp"), branches(block))}  # fmt: skip
        depth = min(len(blocks) for blocks in towers.values())
        common = {
            (i, part): zero_linear(bottleneck, shared)
            for i in range(1, depth + 1)
            for part in ("attention", "mlp")
            if shared
        }
        for (name, i, part), branch in places.items():
            layer = common.get((len(towers[name]) - i, part))
            adapter = CrossModalAdapter(block_width(towers[name][i]), layer, bottleneck).to(self.device)
            self.adapters[f"{name}_{i}_{part}"] = adapter
            branch.register_forward_hook(adapter.hook)
        return self.adapters

    # Time ------------------------------------------------------------------------------------------------------------

    def inflate_patches(self) -> TunableCLIP:
        """The patch layer sees 3 frames and trains (CLIP4Clip's 3D linear projection); at first it changes nothing."""
        inflate(self.model.visual).to(self.device).requires_grad_(True)
        return self

    def shift_tokens(self, divisor: int = 8) -> TunableCLIP:
        """Patches get 2/divisor of their channels from the neighbouring frames before every block (TSM). Nothing new
        is to be trained, and outputs change at once: unfreeze the blocks.

        Raises:
            ValueError: the tower is no vision transformer, or `divisor` is below 2.
        """
        if divisor < 2:
            raise ValueError(f"divisor={divisor}: two parts of 1/divisor are shifted, so it must be at least 2")
        self._video_tower().shift = divisor
        return self

    def join_frames(self, frames: int) -> TunableCLIP:
        """Blocks attend over the patches of all frames of a video at once, and a video has one embedding. A learned
        time embedding `(frames, C)` is added to the patches; it starts as zero.

        Raises:
            ValueError: the tower is no vision transformer, or has rotary positions.
        """
        tower = self._video_tower()
        if tower.has_rope:
            raise ValueError(f"the image tower of {self.name!r} has rotary positions, which know no time")
        width = block_width(tower.blocks[0])
        self.time_embedding = nn.Parameter(torch.zeros(frames, width, device=self.device))
        tower.time = self.time_embedding
        return self

    def _video_tower(self) -> ViTTower:
        if not isinstance(self._tower, ViTTower):
            raise ValueError(f"the image tower of {self.name!r} is no vision transformer: it has no tokens")
        return self._tower

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
        extra = {} if self.time_embedding is None else {"time_embedding": self.time_embedding}
        return {**super()._hashed_tensors(), **self.adapters.state_dict(prefix="adapters."), **extra}


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
