"""A small CLIP4Clip of the original's layout: sizes, weights and inputs by a closed formula
(`tests/plugins/clip4clip/parity.json` holds what the original computes of them)."""

import torch
from clipkit_plugins.clip4clip.convert import CONV_3D

from clipkit.convert.clip_layout import ClipSizes, block_shapes, clip_shapes
from support.hashed_weights import formula, tensor

KINDS = ("meanP", "seqLSTM", "seqTransf", "tightTransf")
SIZES = ClipSizes(
    embed=128, width=128, layers=2, patch=16, positions=5, text_width=128, text_layers=2, context=16, vocab=300
)
LAYERS = 4
# open_clip's description of the same CLIP; OpenAI's has one head for each 64 channels.
OPEN_CLIP = {
    "embed_dim": 128,
    "quick_gelu": True,
    "vision_cfg": {"layers": 2, "width": 128, "head_width": 64, "patch_size": 16, "image_size": 32},
    "text_cfg": {"context_length": 16, "vocab_size": 300, "width": 128, "heads": 2, "layers": 2},
}


def original_shapes(kind: str, patches_3d: bool = False) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a checkpoint of the original."""
    width = SIZES.embed
    shapes = {f"clip.{key}": shape for key, shape in clip_shapes(SIZES).items()}
    if patches_3d:
        shapes[CONV_3D] = (SIZES.width, 3, 3, SIZES.patch, SIZES.patch)
    if kind in ("seqLSTM", "seqTransf"):
        shapes["frame_position_embeddings.weight"] = (SIZES.context, width)
    if kind == "seqLSTM":
        for part in ("ih", "hh"):
            shapes |= {f"lstm_visual.weight_{part}_l0": (4 * width, width), f"lstm_visual.bias_{part}_l0": (4 * width,)}
    if kind == "seqTransf":
        shapes |= dict(block_shapes("transformerClip.resblocks", LAYERS, width))
    if kind == "tightTransf":
        shapes["cross.embeddings.position_embeddings.weight"] = (SIZES.context, width)
        shapes |= dict(block_shapes("cross.transformer.resblocks", LAYERS, width))
        for name, rows in (
            ("cross.pooler.ln_pool", ()),
            ("cross.pooler.dense", (width,)),
            ("similarity_dense", (width,)),
        ):
            out = 1 if name == "similarity_dense" else width
            shapes |= {f"{name}.weight": (out, *rows), f"{name}.bias": (out,)}
    return shapes


def original_state(kind: str, patches_3d: bool = False) -> dict[str, torch.Tensor]:
    """A state dict of the original, float64."""
    return {key: formula(key, shape) for key, shape in original_shapes(kind, patches_3d).items()}


def sentences() -> torch.Tensor:
    """Sentence embeddings (5, 128), float64."""
    return 3 * tensor("sentences", 5, 128)


def frames() -> torch.Tensor:
    """Frame embeddings (4 videos, 6 frames, 128), float64."""
    return 3 * tensor("frames", 4, 6, 128)


def masks() -> dict[str, torch.Tensor]:
    """(4 videos, 6 frames) bool."""
    random = tensor("mask", 4, 6) > 0
    random[:, 2] = True  # nobody is empty: the original divides by the length
    return {
        "random mask": random,
        "full": torch.ones(4, 6, dtype=torch.bool),
        "one frame": torch.arange(6) < torch.ones(4, 1),
        "padded": torch.arange(6) < torch.tensor([[2], [6], [4], [3]]),
    }


def token_ids() -> torch.Tensor:
    """Three sentences of 3, 5 and 2 words; 298 starts and 299, the largest id, ends one."""
    rows = [[298, 4, 5, 6, 299], [298, 9, 8, 7, 6, 5, 299], [298, 17, 29, 299]]
    return torch.tensor([row + [0] * (SIZES.context - len(row)) for row in rows])


def pixels() -> torch.Tensor:
    """Videos (3, 4 frames, 3, 32, 32) in [0, 1], float64."""
    return (tensor("pixels", 3, 4, 3, 32, 32) + 1) / 2
