"""Any mmseg or mmdet backbone with CLIP's features fused into its maps, by configuration alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from clipkit.adapters import Fusion, to_whole_patches
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.hosts.frozen_child import build_clip
from clipkit.hosts.host_images import HostImages, valid_part

FEATURES = ("dense", "embedding", "maps")


@MODELS.register_module()
class FusedBackbone(BaseModule):
    """The host's maps, each fused with features of a frozen CLIP that sees the same pictures.

    An existing config gains CLIP features by one block:

    >>> _base_ = ["fcn_r18.py"]
    >>> model = dict(backbone=dict(
    ...     _delete_=True, type="clipkit.FusedBackbone", clip=dict(name="ViT-B-16-quickgelu", pretrained="openai"),
    ...     host={{_base_.model.backbone}}, data_preprocessor={{_base_.model.data_preprocessor}}))

    Shapes and number of the maps stay the host's, so neck and heads stay as they are; with `zero_init` the model is
    exactly the host at the start. The frozen CLIP sees RGB in [0, 1] without the batch's padding and is not part of
    the state dict.

    Args:
        host: config of the backbone.
        clip: a name, `dict(name=..., pretrained=..., precision=...)`, or a `FrozenCLIP`; see `build_clip`.
        data_preprocessor, mean, std, channel_order, pad_value: how the host's input was made; see `HostImages`.
        mode, hidden, heads, normalize, zero_init: see `clipkit.adapters.Fusion`.
        features: 'dense' (text-space map), 'embedding' (text-space vector of the whole picture), or 'maps' (raw maps
            of `layers`, projected one by one and summed).
        layers: blocks or stages of the image tower for 'maps', from 0; negatives count from the end.
        levels: indices of the host's outputs to fuse; default all.
        clip_size: (height, width) or one number that pictures are stretched to for CLIP, all in one pass. None: their
            own size up to whole patches, one pass for each size in the batch.
        host_channels: channels of the host's outputs; by default read off one small forward pass.
        pretrained: of the host; mmseg hands a model's `pretrained` to its backbone.

    Raises:
        ClipkitError: an argument does not fit the host or the CLIP.
    """

    def __init__(
        self,
        host: Mapping[str, Any] | nn.Module,
        clip: str | Mapping[str, Any] | nn.Module,
        data_preprocessor: Mapping[str, Any] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        channel_order: str | None = None,
        pad_value: float | str | None = "auto",
        mode: str = "add",
        hidden: int | None = None,
        heads: int = 4,
        normalize: bool = True,
        zero_init: bool = True,
        features: str = "dense",
        layers: Sequence[int] = (),
        levels: Sequence[int] | None = None,
        clip_size: int | Sequence[int] | None = None,
        host_channels: Sequence[int] | None = None,
        pretrained: str | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if features not in FEATURES:
            raise ClipkitError(f"FusedBackbone: features is one of {', '.join(FEATURES)}, got {features!r}")
        if (features == "maps") != bool(layers):
            raise ClipkitError("FusedBackbone: layers=(...) belongs to features='maps', and the reverse")
        given = {} if pretrained is None else {"pretrained": pretrained}
        self.host = host if isinstance(host, nn.Module) else MODELS.build({**host, **given})
        self.clip = build_clip(clip)
        self.pictures = HostImages(data_preprocessor, mean, std, channel_order, pad_value)
        self.features = features
        self.layers = tuple(layers)
        self.clip_size = (clip_size, clip_size) if isinstance(clip_size, int) else clip_size and tuple(clip_size)
        channels = tuple(host_channels) if host_channels is not None else _probe_host(self.host)
        if any(not -len(channels) <= level < len(channels) for level in levels or ()):
            raise ClipkitError(f"FusedBackbone: levels={tuple(levels or ())}: the host gives {len(channels)} maps")
        chosen = range(len(channels)) if levels is None else [range(len(channels))[level] for level in levels]
        self.levels = tuple(chosen)
        widths = [self.clip.embed_dim] if features != "maps" else _probe_clip(self.clip, self.layers)
        self.fusions = nn.ModuleDict(
            {
                str(level): Fusion(channels[level], widths, mode, hidden, heads, normalize, zero_init)
                for level in self.levels
            }
        )

    def forward(self, inputs: Tensor) -> Any:
        """`(B, 3, H, W)` as the host's preprocessor made it; what the host returns, fused."""
        maps = self.host(inputs)
        single = isinstance(maps, Tensor)
        fused = [maps] if single else list(maps)
        for items, clip, size in self._read(inputs):
            whole = len(items) == len(inputs)
            for level in self.levels:
                host = fused[level]
                part = self.fusions[str(level)](host if whole else host[items], clip, valid_part(size, inputs, host))
                if whole:
                    fused[level] = part
                else:
                    index = torch.tensor(items, device=host.device)
                    fused[level] = host.to(part.dtype).index_copy(0, index, part)
        return fused[0] if single else type(maps)(fused)

    def _read(self, inputs: Tensor) -> list[tuple[list[int], list[Tensor], tuple[int, int]]]:
        """(batch indices, CLIP's features of their pictures, size of the pictures) for each size in the batch."""
        groups = self.pictures.groups(inputs)
        if self.clip_size is None:
            patch = self.clip.patch_size
            return [(items, self._encode(to_whole_patches(images, patch)), size) for items, images, size in groups]
        resized = torch.cat(
            [F.interpolate(images, self.clip_size, mode="bicubic", antialias=True) for _, images, _ in groups]
        )
        parts = [m.split([len(items) for items, _, _ in groups]) for m in self._encode(resized.clamp(0, 1))]
        return [(items, [p[n] for p in parts], size) for n, (items, _, size) in enumerate(groups)]

    @torch.no_grad()
    def _encode(self, images: Tensor) -> list[Tensor]:
        if self.features == "embedding":
            return [self.clip.encode_image(images, normalize=False)]
        if self.features == "dense":
            return [self.clip.features(images).dense]
        return list(self.clip.features(images, self.layers, dense=False).maps)


@torch.no_grad()
def _probe_host(host: nn.Module, size: int = 64) -> tuple[int, ...]:
    """Channels of the host's outputs, from one pass in eval mode; every buffer and the mode stay."""
    modes = [(module, module.training) for module in host.modules()]
    host.eval()
    device = next((p.device for p in host.parameters()), torch.device("cpu"))
    try:
        out = host(torch.zeros(1, 3, size, size, device=device))
        return (out.shape[1],) if isinstance(out, Tensor) else tuple(m.shape[1] for m in out)
    except Exception as error:
        raise ClipkitError(
            f"FusedBackbone: the host failed on a {size}x{size} picture ({error}): give host_channels=(...)"
        ) from error
    finally:
        for module, training in modes:
            module.training = training


def _probe_clip(clip: Any, layers: Sequence[int]) -> list[int]:
    device = next((p.device for p in clip.parameters()), torch.device("cpu"))
    images = torch.zeros(1, 3, *clip.image_size, device=device)
    return [m.shape[1] for m in clip.features(images, layers, dense=False).maps]
