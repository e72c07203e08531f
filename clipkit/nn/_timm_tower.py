"""timm's networks as image towers: a ViT whose blocks give maps and class tokens, and convolutional pyramids.

Both leave out what the maps do not need (final norm, head, blocks behind the last one that is read), keep no forward
hooks and no state between calls: two towers, or two threads in one, never see each other's maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from clipkit.errors import did_you_mean, one_line, some
from clipkit.hub import download_failed, downloading
from clipkit.safe import load_tensors


class TimmTower(nn.Module):
    """A ViT of timm, which gives the residual stream after some of its blocks. LSeg's towers are
    `TimmTower("vit_large_patch16_384", layers=(5, 11, 17, 23))` and
    `TimmTower("vit_base_patch32_384", layers=(2, 5, 8, 11))`, DPT's is the same as the first.

    Args:
        name: a timm name of the class `VisionTransformer`, with or without tag.
        layers: 0-based blocks to read, ascending; negatives count from the end.
        pretrained: load timm's weights (a download).
        weights: a local file of this network's weights instead.
        align_corners: how the grid of positions is resized (bilinearly) to other images; DPT and LSeg: False.
        model_args: further arguments of `timm.create_model`, such as `img_size` or `drop_path_rate`.
        checkpointing: compute blocks again in the backward pass: less memory, about a third more time.

    Attributes:
        out_channels: list, channels of the maps (all the same).
        strides: list, pixels of the image a step in each map (all the same).
        gives_class_tokens: True; tells a caller what `forward` returns.

    Raises:
        ValueError: for a network that timm lacks or that is no plain ViT, a block that does not exist, or weights that
            do not fit.
    """

    gives_class_tokens = True

    def __init__(
        self,
        name: str = "vit_large_patch16_384",
        layers: Sequence[int] = (5, 11, 17, 23),
        pretrained: bool = False,
        weights: str | None = None,
        align_corners: bool = False,
        model_args: Mapping[str, Any] | None = None,
        checkpointing: bool = False,
    ):
        from timm.models.vision_transformer import VisionTransformer

        super().__init__()
        vit = _create(name, pretrained, **(model_args or {}))
        if type(vit) is not VisionTransformer:
            raise ValueError(f"{name} is a {type(vit).__name__}, not timm's VisionTransformer; see also TimmPyramid")
        depth = len(vit.blocks)
        wrong = [i for i in layers if not -depth <= i < depth]
        self.layers = [i % depth for i in layers]
        if wrong or self.layers != sorted(set(self.layers)):
            raise ValueError(f"layers={tuple(layers)}: {name} has blocks 0..{depth - 1}; give some, in ascending order")
        vit.prune_intermediate_layers(self.layers, prune_norm=True, prune_head=True)
        self.vit = vit
        self.align_corners = align_corners
        self.checkpointing = checkpointing
        self.patch: tuple[int, int] = tuple(vit.patch_embed.patch_size)
        self.out_channels = [vit.embed_dim] * len(self.layers)
        self.strides = [self.patch[0]] * len(self.layers)
        if weights is not None:
            load_trunk(vit, weights, name)

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """`images` (B, 3, H, W), normalised, of any size -> maps, list of (B, C, h, w), and class tokens, list of
        (B, C), empty where the ViT has none.

        h and w are H and W over the patch size; an image that is no whole number of patches is first enlarged to one,
        so that the map still covers all of it.
        """
        vit = self.vit
        grid = [-(-side // patch) for side, patch in zip(images.shape[-2:], self.patch)]
        size = [cells * patch for cells, patch in zip(grid, self.patch)]
        if size != list(images.shape[-2:]):
            images = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
        x = vit.patch_embed.norm(vit.patch_embed.proj(images).flatten(2).transpose(1, 2))
        x = vit.norm_pre(vit.pos_drop(self._with_positions(x, grid)))
        maps, tokens = [], []
        for i, block in enumerate(vit.blocks):
            again = self.checkpointing and torch.is_grad_enabled()
            x = checkpoint(block, x, use_reentrant=False) if again else block(x)
            if i in self.layers:
                maps.append(x[:, vit.num_prefix_tokens :].transpose(1, 2).unflatten(2, grid))
                if vit.cls_token is not None:
                    tokens.append(x[:, 0])
        return maps, tokens

    def _with_positions(self, x: Tensor, grid: list[int]) -> Tensor:
        """Patches (B, h*w, C) -> class token, registers and patches, positions added."""
        vit = self.vit
        front = [token.expand(len(x), -1, -1) for token in (vit.cls_token, vit.reg_token) if token is not None]
        prefix = torch.cat([*front, x[:, :0]], dim=1)
        if vit.pos_embed is None:
            return torch.cat([prefix, x], dim=1)
        kept = 0 if vit.no_embed_class else vit.num_prefix_tokens
        table = vit.pos_embed[:, kept:].transpose(1, 2).unflatten(2, vit.patch_embed.grid_size)
        if list(table.shape[-2:]) != grid:
            table = F.interpolate(table, size=grid, mode="bilinear", align_corners=self.align_corners)
        if kept:
            prefix = prefix + vit.pos_embed[:, :kept]
        return torch.cat([prefix, x + table.flatten(2).transpose(1, 2)], dim=1)


class TimmPyramid(nn.Module):
    """A convolutional network of timm, which gives the maps of its stages. LSeg's ResNet-101 is
    `TimmPyramid("resnet101")`: its four stages at strides 4 to 32, named as torchvision's are.

    Args:
        name: a timm name, with or without tag.
        stages: indices of timm's `feature_info`; a ResNet's 0 is its stem, 1 to 4 are its stages.
        pretrained: load timm's weights (a download).
        weights: a local file of this network's weights instead.
        model_args: further arguments of `timm.create_model`.

    Attributes:
        out_channels: list, channels of the maps.
        strides: list, pixels of the image a step in each map.

    Raises:
        ValueError: for a name that timm lacks, a download that failed, or weights that do not fit.
    """

    def __init__(
        self,
        name: str = "resnet101",
        stages: Sequence[int] = (1, 2, 3, 4),
        pretrained: bool = False,
        weights: str | None = None,
        model_args: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.net = _create(name, pretrained, features_only=True, out_indices=tuple(stages), **(model_args or {}))
        self.out_channels = list(self.net.feature_info.channels())
        self.strides = list(self.net.feature_info.reduction())
        if weights is not None:
            load_trunk(self.net, weights, name)

    def forward(self, images: Tensor) -> list[Tensor]:
        """`images` (B, 3, H, W), normalised -> list of (B, C_i, H/stride_i, W/stride_i), finest first."""
        return list(self.net(images))


def _create(name: str, pretrained: bool, **options: Any) -> Any:
    from timm import create_model, get_pretrained_cfg, is_model, list_models  # here: it takes a second to import

    if not is_model(name):
        raise ValueError(f"timm has no network {name}; {did_you_mean(name, list_models())}")
    if not pretrained:
        return create_model(name, pretrained=False, **options)
    try:
        with downloading():
            return create_model(name, pretrained=True, **options)
    except OSError as error:  # huggingface_hub's are
        known = get_pretrained_cfg(name)
        raise ValueError(download_failed(f"timm's {name}", getattr(known, "hf_hub_id", None) or "", error)) from error


def load_trunk(trunk: nn.Module, path: str, name: str) -> None:
    """Fills a network from a file of weights; what the network left out (head, later blocks) may be in it.

    Raises:
        ValueError: a weight is missing or has another shape.
    """
    state = load_tensors(path)
    state = state.get("state_dict", state.get("model", state))
    own = trunk.state_dict()
    # timm's pyramids fold the first level of containers into the name: stages.0 is stages_0 there.
    state = {key if key in own else key.replace(".", "_", 1): value for key, value in state.items()}
    missing = [key for key in own if key not in state]
    if missing:
        raise ValueError(f"{path}: not the weights of {name}: lacks {some(missing)}")
    try:
        trunk.load_state_dict({key: state[key] for key in own})
    except RuntimeError as error:
        reason = one_line(one_line(error).partition(": ")[2], 200)
        raise ValueError(f"{path}: not the weights of {name}: {reason}") from error
