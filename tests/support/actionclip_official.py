"""A small ActionCLIP of the original's layout: sizes, weights and inputs by a closed formula
(`tests/plugins/actionclip/parity.json` holds what the original computes of them)."""

import torch
from clipkit_plugins.actionclip.convert import CLIP, FUSION, POSITIONS, WRAPPED

from clipkit.convert.clip_layout import ClipSizes, block_shapes, clip_shapes
from support.hashed_weights import formula, tensor

KINDS = {"meanP": "meanP", "Conv1D": "Conv_1D", "LSTM": "LSTM", "Transf": "Transf", "Transf_cls": "Transf_cls"}
SIZES = ClipSizes(
    embed=64, width=64, layers=2, patch=16, positions=5, text_width=64, text_layers=2, context=16, vocab=300
)
T = 8
DIM = SIZES.embed


def prompt_shapes(kind: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the original's `fusion_model_state_dict`, without `module.`."""
    if kind == "meanP":
        return {}
    shapes: dict[str, tuple[int, ...]] = {POSITIONS: (SIZES.context, DIM)}
    if kind == "Conv1D":
        shapes["shift.weight"] = (DIM, 1, 3)
    if kind == "LSTM":
        for part in ("ih", "hh"):
            shapes |= {f"lstm_visual.weight_{part}_l0": (4 * DIM, DIM), f"lstm_visual.bias_{part}_l0": (4 * DIM,)}
    if kind == "Transf":
        shapes |= dict(block_shapes("transformer.resblocks", 6, DIM))
    if kind == "Transf_cls":
        shapes |= {"transformer.cls_token": (1, 1, DIM), "transformer.pos_embed": (1, T + 1, DIM)}
        encoder = "transformer.transformer_enc"
        sizes = {"linear1": (2048, DIM), "linear2": (DIM, 2048), "norm1": (DIM,), "norm2": (DIM,)}
        for i in range(6):
            attention = f"{encoder}.layers.{i}.self_attn"
            shapes |= {f"{attention}.in_proj_weight": (3 * DIM, DIM), f"{attention}.in_proj_bias": (3 * DIM,)}
            shapes |= {f"{attention}.out_proj.weight": (DIM, DIM), f"{attention}.out_proj.bias": (DIM,)}
            for name, shape in sizes.items():
                shapes |= {f"{encoder}.layers.{i}.{name}.weight": shape, f"{encoder}.layers.{i}.{name}.bias": shape[:1]}
        shapes |= {f"{encoder}.norm.weight": (DIM,), f"{encoder}.norm.bias": (DIM,)}
    return shapes


def original_state(kind: str, shifted: bool = False) -> dict[str, dict[str, torch.Tensor]]:
    """The two state dicts of a checkpoint of the original, float64."""
    clip = {}
    for key, shape in clip_shapes(SIZES).items():
        if shifted and key.startswith("visual.transformer.resblocks."):
            head, number, rest = key.split("resblocks.")[0], *key.split("resblocks.")[1].split(".", 1)
            key = f"{head}resblocks.{number}.net.{rest}"
        clip[key] = formula(key, shape)
    prompt = {WRAPPED + key: formula(key, shape) for key, shape in prompt_shapes(kind).items()}
    return {CLIP[:-1]: clip, FUSION[:-1]: prompt}


def flat(state: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """As `clipkit.convert.checkpoints.read_state` gives it."""
    return {f"{part}.{key}": value for part, inner in state.items() for key, value in inner.items()}


def frames() -> torch.Tensor:
    """Frame embeddings (4 videos, 8 frames, 64), float64."""
    return 3 * tensor("frames", 4, T, DIM)


def tokens() -> torch.Tensor:
    """Tokens of 2 videos of 3 frames, (1 + 2·2 tokens, 6 frames, 16 channels), float64: the original's order."""
    return tensor("tokens", 5, 6, 16)


def pairs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Videos and sentences (7, 64) and their classes (7,): two, three and two of a class."""
    return tensor("videos", 7, DIM), tensor("told", 7, DIM), torch.tensor([4, 0, 4, 2, 0, 2, 4])
