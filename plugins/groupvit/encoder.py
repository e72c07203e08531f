"""GroupViT's image encoder behind its tokens: stages of joint attention and grouping (Xu et al., CVPR 2022,
arXiv:2202.11094, section 3.1)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clipkit.errors import ClipkitError
from clipkit.nn import GroupingBlock, TokenMixer, TransformerBlock

INITS = ("paper", "unit")


class Stage(nn.Module):
    """Blocks over image tokens and group tokens together, then grouping; without group tokens only the blocks.

    Args:
        previous: group tokens of the stage before, which these start from; 0 for none.
        drop_paths: one rate a block.
    """

    def __init__(
        self, dim: int, heads: int, drop_paths: Sequence[float], tokens: int, groups: int, previous: int, cosine: bool
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TransformerBlock(dim, heads, drop_path=rate) for rate in drop_paths)
        self.group_token: nn.Parameter | None = None
        self.downsample: GroupingBlock | None = None
        self.group_projector: nn.Sequential | None = None
        if tokens:
            self.group_token = nn.Parameter(torch.zeros(1, tokens, dim))
            self.downsample = GroupingBlock(dim, heads, tokens, groups, cosine)
            if previous:
                self.group_projector = nn.Sequential(nn.LayerNorm(dim), TokenMixer(previous, dim // 2, tokens))

    def attend(self, x: Tensor, previous: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """`x` (B, N, d) and the last stage's group tokens -> both as the blocks leave them, not grouped yet."""
        tokens = None
        if self.group_token is not None:
            tokens = self.group_token.expand(x.shape[0], -1, -1)
            if self.group_projector is not None:
                tokens = tokens + self.group_projector(previous)
            x = torch.cat([x, tokens], dim=1)
        for block in self.blocks:
            x = block(x)
        return (x, None) if tokens is None else (x[:, : -tokens.shape[1]], x[:, -tokens.shape[1] :])

    def forward(self, x: Tensor, previous: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """`x` (B, N, d) and the last stage's group tokens -> x or its groups, group tokens, soft assignment
        (B, G, N) or None."""
        x, tokens = self.attend(x, previous)
        if tokens is None or self.downsample is None:
            return x, None, None
        groups, soft = self.downsample(x, tokens)
        return groups, tokens, soft


class GroupingEncoder(nn.Module):
    """Tokens to segments, stage by stage.

    Args:
        dim, heads: of every block.
        depths: blocks of each stage.
        tokens: group tokens of each stage; 0 where a stage does not group, as the paper's last.
        groups: segments that each stage makes of them; read where there are group tokens.
        cosine: see `clipkit.nn.AssignAttention`.
        drop_path: rate of the last block; those before rise to it in equal steps.
        init: 'paper', truncated normal of 0.02, the group tokens of later stages 0; 'unit', ours: group tokens N(0, 1)
            and weights of 1 / sqrt(inputs), so that groups differ before anything was learned.

    Raises:
        ClipkitError: lists of different lengths, a stage after one that does not group, or another `init`.
    """

    needs_seen = False

    def __init__(
        self,
        dim: int,
        heads: int,
        depths: Sequence[int],
        tokens: Sequence[int],
        groups: Sequence[int],
        cosine: bool = False,
        drop_path: float = 0.0,
        init: str = "paper",
    ) -> None:
        super().__init__()
        if not len(depths) == len(tokens) == len(groups):
            counts = f"{len(depths)}, {len(tokens)} and {len(groups)}"
            raise ClipkitError(f"depths, tokens and groups are of {counts} stages; give one number a stage")
        if not any(tokens) or 0 in tokens[:-1] or any(t and not g for t, g in zip(tokens, groups)):
            raise ClipkitError(f"tokens={list(tokens)}, groups={list(groups)}: each stage groups, the last one may not")
        if init not in INITS:
            raise ClipkitError(f"init={init!r} is unknown; known: {', '.join(INITS)}")
        rates = torch.linspace(0, drop_path, max(sum(depths), 1)).tolist()
        self.stages = nn.ModuleList()
        previous = 0
        for depth, count, made in zip(depths, tokens, groups):
            self.stages.append(Stage(dim, heads, rates[:depth], count, made, previous, cosine))
            rates, previous = rates[depth:], count
        self.dim, self.norm = dim, nn.LayerNorm(dim)
        self.segments = [made for count, made in zip(tokens, groups) if count][-1]
        self._initialise(init)

    @torch.no_grad()
    def _initialise(self, init: str) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                if init == "paper":
                    nn.init.trunc_normal_(module.weight, std=0.02)
                else:
                    nn.init.normal_(module.weight, std=module.in_features**-0.5)
                nn.init.zeros_(module.bias)
        for i, stage in enumerate(self.stages):
            if stage.group_token is not None and (init == "unit" or i == 0):
                stage.group_token.normal_(std=1.0 if init == "unit" else 0.02)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, N, d) -> segments (B, G, d) and how much of each token is theirs (B, N, G): the product of the
        stages' soft assignments."""
        tokens, maps = None, None
        for stage in self.stages:
            x, tokens, soft = stage(x, tokens)
            if soft is not None:
                step = soft.transpose(1, 2)
                maps = step if maps is None else maps @ step
        assert maps is not None
        return self.norm(x), maps
