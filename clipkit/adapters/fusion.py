"""Fusion: CLIP's features join a host network's feature map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MODES = ("add", "multiply", "concatenate", "gate", "film", "cross_attention")


class Fusion(nn.Module):
    """`(B, C, H, W)` host map and CLIP features to a map of the same shape. With `h` the host's map, and `c` CLIP's
    features after a learned 1x1 projection, resized to the host's grid and summed over layers:

    - `'add'`: `h + c`, projection starts at zero;
    - `'multiply'`: `h * (1 + c)`, projection starts at zero;
    - `'concatenate'`: `W [h; c] + b`, `W` starts as `[I, 0]` and `b` as zero;
    - `'gate'`: `h + a * sigmoid(G [h; c]) * c`, `a` (one per channel) starts at zero;
    - `'film'`: `(1 + gamma(c)) * h + beta(c)`, both linear maps start at zero (Perez et al. 2018, eq. 1-2);
    - `'cross_attention'`: `h + O(attention(Q LN(h), K c, V c))`, `O` starts at zero; keys are CLIP's places at their
      own resolution, of all layers.

    So every mode is exactly the identity at the start, bit for bit, and the host's training begins where it would
    have begun. ('concatenate' passes `h` through a convolution: there the identity is as exact as its arithmetic, so
    in bf16 or TF32 `h` is rounded.) `zero_init=False` gives all projections torch's usual initialisation instead (and
    `a = 1`).

    Args:
        host_channels: C.
        clip_channels: channels of the features given to `forward`, one number, or one per layer.
        mode: see above.
        hidden: width of `c` where it need not be C ('concatenate', 'film') and of the attention; default C.
        heads: attention heads; must divide `hidden`.
        normalize: bring each CLIP vector to unit length first, so that towers of another scale behave alike.
        zero_init: see above.

    Raises:
        ValueError: unknown mode, or heads that do not divide the width.

    Examples:
        >>> fusion = Fusion(host_channels=32, clip_channels=16, mode="film")
        >>> features, dense = torch.randn(2, 32, 24, 24), torch.randn(2, 16, 7, 7)
        >>> torch.equal(fusion(features, dense), features)  # before the first step
        True
    """

    def __init__(
        self,
        host_channels: int,
        clip_channels: int | Sequence[int],
        mode: str = "add",
        hidden: int | None = None,
        heads: int = 4,
        normalize: bool = True,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"fusion mode is one of {', '.join(MODES)}, got {mode!r}")
        self.mode = mode
        self.normalize = normalize
        self.host_channels = host_channels
        self.clip_channels = (clip_channels,) if isinstance(clip_channels, int) else tuple(clip_channels)
        free_width = mode in ("concatenate", "film", "cross_attention")
        width = hidden if hidden is not None and free_width else host_channels
        self.project = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in self.clip_channels)
        zeros: list[nn.Conv2d] = []
        if mode in ("add", "multiply"):
            zeros.extend(self.project)  # type: ignore[arg-type]
        elif mode == "concatenate":
            self.mix = nn.Conv2d(host_channels + width, host_channels, 1)
            if zero_init:
                self._identity_(self.mix)
        elif mode == "gate":
            self.gate = nn.Conv2d(host_channels + width, host_channels, 1)
            self.amount = nn.Parameter(torch.zeros(host_channels) if zero_init else torch.ones(host_channels))
        elif mode == "film":
            self.gamma = nn.Conv2d(width, host_channels, 1)
            self.beta = nn.Conv2d(width, host_channels, 1)
            zeros.extend([self.gamma, self.beta])
        else:
            if width % heads:
                raise ValueError(f"{heads} heads do not divide a width of {width}: set heads or hidden")
            self.heads = heads
            self.norm = nn.LayerNorm(host_channels)
            self.query = nn.Conv2d(host_channels, width, 1)
            self.key = nn.Conv2d(width, width, 1)
            self.value = nn.Conv2d(width, width, 1)
            self.out = nn.Conv2d(width, host_channels, 1)
            zeros.append(self.out)
        if zero_init:
            for conv in zeros:
                nn.init.zeros_(conv.weight)
                assert conv.bias is not None
                nn.init.zeros_(conv.bias)

    def forward(self, host: Tensor, clip: Tensor | Sequence[Tensor], valid: tuple[int, int] | None = None) -> Tensor:
        """The fused map, shape of `host`.

        Args:
            host: `(B, C, H, W)`.
            clip: `(B, D)` (a whole image's or a text's embedding, the same at each place), `(B, D, h, w)`, or a list
                of these, one per entry of `clip_channels`. Any h, w over the same field of view.
            valid: (rows, columns) of `host`, from its top left, that the CLIP features cover; the rest is padding
                and passes as it is. None is all of it.

        Raises:
            ValueError: number of layers or channels differ from those given at construction.
        """
        layers = [clip] if isinstance(clip, Tensor) else list(clip)
        if len(layers) != len(self.clip_channels):
            raise ValueError(f"fusion was built for {len(self.clip_channels)} CLIP layers, got {len(layers)}")
        maps = [self._check(layer, channels, host) for layer, channels in zip(layers, self.clip_channels)]
        if valid is None or tuple(valid) == tuple(host.shape[-2:]):
            return self._fuse(host, maps)
        rows, columns = valid
        fused = self._fuse(host[..., :rows, :columns], maps)
        right = host[..., :rows, columns:].to(fused.dtype)
        return torch.cat([torch.cat([fused, right], 3), host[..., rows:, :].to(fused.dtype)], 2)

    def _check(self, layer: Tensor, channels: int, host: Tensor) -> Tensor:
        layer = layer[:, :, None, None] if layer.ndim == 2 else layer
        if layer.ndim != 4 or layer.shape[1] != channels or len(layer) != len(host):
            raise ValueError(
                f"expected CLIP features ({len(host)}, {channels}) or ({len(host)}, {channels}, h, w), "
                f"got {tuple(layer.shape)}"
            )
        if self.normalize:
            layer = F.normalize(layer.to(torch.promote_types(layer.dtype, torch.float32)), dim=1)
        return layer.to(host)

    def _fuse(self, host: Tensor, maps: list[Tensor]) -> Tensor:
        if self.mode == "cross_attention":
            return self._attend(host, maps)
        # Projecting on CLIP's grid and then resizing equals the reverse, both being linear; it is cheaper on a
        # coarse grid, which CLIP's is.
        size = host.shape[-2:]
        c = torch.stack([_resize(project(m), size) for project, m in zip(self.project, maps)]).sum(0)
        if self.mode == "add":
            return host + c
        if self.mode == "multiply":
            return host * (1 + c)
        if self.mode == "concatenate":
            return self.mix(torch.cat([host, c], 1))
        if self.mode == "gate":
            gate = self.gate(torch.cat([host, c], 1)).sigmoid()
            return host + self.amount[:, None, None] * gate * c
        return (1 + self.gamma(c)) * host + self.beta(c)

    def _attend(self, host: Tensor, maps: list[Tensor]) -> Tensor:
        c = torch.cat([project(m).flatten(2) for project, m in zip(self.project, maps)], 2)[..., None]
        normed = self.norm(host.movedim(1, -1)).movedim(-1, 1)
        q, k, v = self.query(normed), self.key(c), self.value(c)
        split = [x.flatten(2).unflatten(1, (self.heads, -1)).transpose(-1, -2) for x in (q, k, v)]
        y = F.scaled_dot_product_attention(*split)
        return host + self.out(y.transpose(-1, -2).flatten(1, 2).unflatten(-1, host.shape[-2:]))

    @staticmethod
    def _identity_(conv: nn.Conv2d) -> None:
        nn.init.zeros_(conv.weight)
        assert conv.bias is not None
        nn.init.zeros_(conv.bias)
        with torch.no_grad():
            conv.weight[:, : conv.out_channels, 0, 0].copy_(torch.eye(conv.out_channels))

    def extra_repr(self) -> str:
        return f"mode={self.mode!r}, host_channels={self.host_channels}, clip_channels={self.clip_channels}"


def _resize(x: Tensor, size: torch.Size) -> Tensor:
    """Bilinear, antialiased where it shrinks; a 1x1 map is spread without arithmetic. At least in float32: on a CPU
    torch has no antialiased form in bfloat16."""
    if x.shape[-2:] == size:
        return x
    if x.shape[-2:] == (1, 1):
        return x.expand(*x.shape[:2], *size)
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return F.interpolate(wide, size=size, mode="bilinear", align_corners=False, antialias=True).to(x.dtype)
