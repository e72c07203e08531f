"""A small GroupViT of the paper's kind, and transformers' port with the same weights."""

import math

import torch
from transformers import GroupViTConfig, GroupViTModel

from clipkit.engine.plugins import load_plugins
from clipkit.engine.registry import MODELS

CLASSES = ["red circle", "blue star", "grass", "water", "wood", "sand", "brick"]
SIZE, PATCH, CONTEXT = 32, 8, 24
DEPTHS, TOKENS, GROUPS = (1, 2, 1), (6, 4, 0), (6, 4, 0)


def small(classes=CLASSES, **changes):
    """Ours, on the CPU in float64, in evaluation mode."""
    load_plugins("groupvit")
    config = dict(
        type="GroupViT",
        classes=classes,
        text=dict(width=16, layers=2, heads=2, context=CONTEXT, hidden=20, dim=12),
        tokens=dict(type="PatchTokens", dim=32, patch=PATCH, size=SIZE),
        encoder=dict(dim=32, heads=2, depths=DEPTHS, tokens=TOKENS, groups=GROUPS),
        hidden=20,
        precision="fp32",
        data_preprocessor=dict(type="mmseg.SegDataPreProcessor", mean=[0.0] * 3, std=[255.0] * 3, bgr_to_rgb=True),
    )
    return MODELS.build({**config, **changes}).double().eval()


def port():
    """transformers' port with weights from a formula, in float64, in evaluation mode."""
    config = GroupViTConfig(
        text_config=dict(
            hidden_size=16, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=CONTEXT, vocab_size=49408, eos_token_id=49407,
        ),
        vision_config=dict(
            hidden_size=32, intermediate_size=128, num_hidden_layers=4, depths=list(DEPTHS),
            num_group_tokens=list(TOKENS), num_output_groups=[6, 4, 4],
            num_attention_heads=2, image_size=SIZE, patch_size=PATCH,
        ),
        projection_dim=12,
        projection_intermediate_dim=20,
    )  # fmt: skip
    model = GroupViTModel(config).double().eval()
    with torch.no_grad():
        for number, (name, parameter) in enumerate(sorted(model.named_parameters())):
            # Of full rank, so that tokens and groups differ: sin(sqrt(2) n) makes matrices of rank 2.
            index = torch.arange(parameter.numel(), dtype=torch.float64)
            values = torch.sin(math.sqrt(2) * index**2 + number).reshape(parameter.shape)
            if parameter.ndim > 1 and "token" not in name and "position" not in name:
                values = values * 2 / parameter[0].numel() ** 0.5
            parameter.copy_(1 + 0.3 * values if parameter.ndim == 1 and name.endswith("weight") else values)
        for name, parameter in model.vision_model.named_parameters():  # so that several groups win
            if "assign.q_proj" in name or "assign.k_proj" in name:
                parameter.mul_(5)
            elif "self_attn.out_proj" in name or (".layers." in name and "mlp.fc2" in name):
                parameter.mul_(0.3)
        model.logit_scale.fill_(1.5)
        for projection in (model.visual_projection, model.text_projection):
            norm = projection[1]
            norm.running_mean.copy_(torch.linspace(-0.2, 0.3, 20))
            norm.running_var.copy_(torch.linspace(0.5, 2.0, 20))
    return model
