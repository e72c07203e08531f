"""Small models of every family, with closed-form weights, for the backbone's tests."""

from typing import Any

import open_clip
import timm
import torch
from open_clip.model import CLIP, CustomTextCLIP
from timm.models import register_model
from timm.models.convnext import ConvNeXt
from timm.models.eva import Eva
from timm.models.fastvit import FastVit
from timm.models.vision_transformer import VisionTransformer

from support.closed_form import closed_form_

TEXT = {"context_length": 16, "vocab_size": 300, "width": 32, "heads": 2, "layers": 2}
D = 24


def _plain(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in kwargs.items() if k not in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")}


def _named(model, size):
    model.default_cfg = {"input_size": (3, size, size), "pool_size": None, "num_classes": 0}
    return model


VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 2}


@register_model
def clipkit_test_vit(pretrained=False, **kwargs):
    return _named(VisionTransformer(**VIT, init_values=0.3, qk_norm=True, **_plain(kwargs)), 32)


@register_model
def clipkit_test_vit_avg(pretrained=False, **kwargs):
    return _named(VisionTransformer(**VIT, class_token=False, **{"global_pool": "avg", **_plain(kwargs)}), 32)


@register_model
def clipkit_test_siglip(pretrained=False, **kwargs):
    return _named(VisionTransformer(**VIT, class_token=False, **{"global_pool": "map", **_plain(kwargs)}), 32)


@register_model
def clipkit_test_eva(pretrained=False, **kwargs):
    rope = {"use_rot_pos_emb": True, "ref_feat_shape": (4, 4)}
    return _named(Eva(**VIT, **rope, swiglu_mlp=True, scale_mlp=True, qkv_fused=False, **_plain(kwargs)), 32)


@register_model
def clipkit_test_eva_post(pretrained=False, **kwargs):
    return _named(Eva(**VIT, use_post_norm=True, **_plain(kwargs)), 32)


@register_model
def clipkit_test_convnext(pretrained=False, **kwargs):
    return _named(ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 16, 24, 32), **_plain(kwargs)), 64)


@register_model
def clipkit_test_mobileclip(pretrained=False, **kwargs):
    model = FastVit(layers=(1, 1, 1, 1), embed_dims=(8, 16, 32, 32), mlp_ratios=(2, 2, 2, 2), **_plain(kwargs))
    return _named(model, 64)


def timm_cfg(name: str, size: int, pool: str, proj: str) -> dict[str, Any]:
    return {"timm_model_name": name, "timm_pool": pool, "timm_proj": proj, "image_size": size}


OPEN_VIT = {"layers": 3, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32}
CONFIGS: dict[str, dict[str, Any]] = {
    "vit": {"vision_cfg": {**OPEN_VIT, "ls_init_value": 0.3}},
    "vit-quickgelu": {"vision_cfg": OPEN_VIT, "quick_gelu": True},
    "vit-avg": {"vision_cfg": {**OPEN_VIT, "pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True}},
    "resnet": {"vision_cfg": {"layers": [1, 1, 1, 1], "width": 8, "head_width": 16, "image_size": 64}},
    "timm-vit": {"vision_cfg": timm_cfg("clipkit_test_vit", 32, "token", "")},
    "timm-vit-avg": {"vision_cfg": timm_cfg("clipkit_test_vit_avg", 32, "avg", "linear")},
    "siglip": {"vision_cfg": timm_cfg("clipkit_test_siglip", 32, "map", "none"), "embed_dim": 32},
    "eva": {"vision_cfg": timm_cfg("clipkit_test_eva", 32, "token", "")},
    "eva-post-norm": {"vision_cfg": timm_cfg("clipkit_test_eva_post", 32, "token", "")},
    "convnext": {"vision_cfg": timm_cfg("clipkit_test_convnext", 64, "", "linear")},
    "mobileclip": {"vision_cfg": timm_cfg("clipkit_test_mobileclip", 64, "avg", "")},
}
DENSE = [name for name in CONFIGS if name != "siglip"]
TRANSFORMERS = ["vit", "vit-quickgelu", "vit-avg", "timm-vit", "timm-vit-avg", "eva", "eva-post-norm"]


def small_model(name: str, custom_text: bool = False) -> Any:
    """An open_clip model of this family in eval mode, each weight from the closed formula."""
    config = {"embed_dim": D, "text_cfg": dict(TEXT), **CONFIGS[name]}
    model = closed_form_((CustomTextCLIP if custom_text else CLIP)(**config).eval(), scale=0.2)
    if name == "resnet":  # or its biases drown the image
        with torch.no_grad():
            for parameter in model.visual.parameters():
                if parameter.ndim == 4:
                    parameter.mul_(2)
    return model


def words(*rows: list[int]) -> torch.Tensor:
    """Token ids padded to the context; 299 ends a sentence."""
    return torch.tensor([[1, *row, 299] + [0] * (TEXT["context_length"] - 2 - len(row)) for row in rows])


def photos(*shape: int) -> torch.Tensor:
    """Images in [0, 1] from a closed formula."""
    index = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (0.5 + 0.5 * torch.sin(index * 0.37 + (index / 97).floor())).reshape(shape).float()


def write_config(folder, name: str, family: str) -> None:
    """Registers a family under a model name of open_clip."""
    import json

    config = {"embed_dim": D, "text_cfg": {**TEXT, "vocab_size": 49408}, **CONFIGS[family]}
    (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / f"{name}.json")


assert timm.is_model("clipkit_test_vit")
