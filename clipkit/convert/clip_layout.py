"""Weights of a CLIP in OpenAI's names, shape by shape: what the converters of CLIP's descendants share.

A layout is `{key: (our key, shape)}` of an original's state dict. `match` holds a state dict against it: every key is
there, none is too many, every shape fits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from clipkit.errors import ClipkitError, some

Shape = tuple[int, ...]
Layout = dict[str, tuple[str, Shape]]


@dataclass(frozen=True)
class ClipSizes:
    """Sizes of a ViT CLIP.

    Attributes:
        embed: of the shared space.
        width, layers, patch, positions: of the image tower; patch in pixels, positions with the class token.
        text_width, text_layers, context, vocab: of the text tower.
    """

    embed: int
    width: int
    layers: int
    patch: int
    positions: int
    text_width: int
    text_layers: int
    context: int
    vocab: int


def clip_shapes(sizes: ClipSizes) -> dict[str, Shape]:
    """OpenAI's names and shapes of all weights of a ViT CLIP."""
    width, text = sizes.width, sizes.text_width
    shapes: dict[str, Shape] = {
        "visual.class_embedding": (width,),
        "visual.positional_embedding": (sizes.positions, width),
        "visual.conv1.weight": (width, 3, sizes.patch, sizes.patch),
        "visual.proj": (width, sizes.embed),
        "positional_embedding": (sizes.context, text),
        "token_embedding.weight": (sizes.vocab, text),
        "text_projection": (text, sizes.embed),
        "logit_scale": (),
    }
    for norm, size in (("visual.ln_pre", width), ("visual.ln_post", width), ("ln_final", text)):
        shapes |= {f"{norm}.weight": (size,), f"{norm}.bias": (size,)}
    shapes |= dict(block_shapes("visual.transformer.resblocks", sizes.layers, width))
    shapes |= dict(block_shapes("transformer.resblocks", sizes.text_layers, text))
    return shapes


def block_shapes(prefix: str, layers: int, width: int) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of CLIP's transformer blocks."""
    parts: dict[str, Shape] = {
        "attn.out_proj": (width, width),
        "ln_1": (width,),
        "mlp.c_fc": (4 * width, width),
        "mlp.c_proj": (width, 4 * width),
        "ln_2": (width,),
    }
    for i in range(layers):
        yield f"{prefix}.{i}.attn.in_proj_weight", (3 * width, width)
        yield f"{prefix}.{i}.attn.in_proj_bias", (3 * width,)
        for part, shape in parts.items():
            yield f"{prefix}.{i}.{part}.weight", shape
            yield f"{prefix}.{i}.{part}.bias", shape[:1]


def clip_sizes(state: Mapping[str, Tensor], prefix: str = "") -> ClipSizes:
    """Sizes from a few weights whose keys start with `prefix`; `match` then checks all others against them.

    Raises:
        ClipkitError: one of these is missing or has another number of dimensions.
    """
    conv = side(state, f"{prefix}visual.conv1.weight", 4)
    positions = side(state, f"{prefix}visual.positional_embedding", 2)
    embedding = side(state, f"{prefix}token_embedding.weight", 2)
    if math.isqrt(positions[0] - 1) ** 2 != positions[0] - 1:
        raise ClipkitError(
            f"{prefix}visual.positional_embedding has {positions[0]} rows, and a square and one are needed"
        )
    return ClipSizes(
        embed=side(state, f"{prefix}visual.proj", 2)[1],
        width=conv[0],
        layers=count_blocks(state, f"{prefix}visual.transformer.resblocks."),
        patch=conv[2],
        positions=positions[0],
        text_width=embedding[1],
        text_layers=count_blocks(state, f"{prefix}transformer.resblocks."),
        context=side(state, f"{prefix}positional_embedding", 2)[0],
        vocab=embedding[0],
    )


def side(state: Mapping[str, Tensor], key: str, dimensions: int) -> Shape:
    """The shape of a weight that must be there."""
    if key not in state:
        raise ClipkitError(f"lacks {key}: is the file whole, and a checkpoint of this model?")
    if state[key].ndim != dimensions:
        raise ClipkitError(f"{key} has shape {tuple(state[key].shape)}, and {dimensions} dimensions are needed")
    return tuple(state[key].shape)


def count_blocks(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many block numbers the keys that start with `prefix` have; a stranger's largest may be any."""
    numbers = {key.removeprefix(prefix).partition(".")[0] for key in state if key.startswith(prefix)}
    return sum(number.isdecimal() for number in numbers)


def match(state: Mapping[str, Tensor], shapes: Mapping[str, Shape], title: str) -> None:
    """Refuses a state dict that does not hold exactly these weights.

    Raises:
        ClipkitError: keys are missing or too many, or a shape differs; one line with the first of them.
    """
    missing, strange = [key for key in shapes if key not in state], [key for key in state if key not in shapes]
    if missing:
        raise ClipkitError(f"lacks weights of {title}: {some(missing)}; is the file whole?")
    if strange:
        raise ClipkitError(f"has weights with no place in {title}: {some(strange)}; nothing was converted")
    for key, shape in shapes.items():
        if tuple(state[key].shape) != shape:
            found = tuple(state[key].shape)
            raise ClipkitError(f"{key} has shape {found}, and {shape} goes with the other weights of {title}")
