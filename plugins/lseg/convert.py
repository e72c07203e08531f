"""Checkpoints of the original LSeg (isl-org/lang-seg, Lightning's `.ckpt`) and ours, key for key, both ways.

The original's keys begin with `net.`; what follows is listed here from its constructors, for its three image towers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from clipkit.convert.checkpoints import Converted
from clipkit.errors import ClipkitError, some

PREFIX = "net."
SCALE = 1 / 0.07  # the original's constant, which is in none of its checkpoints
# What the original saves and ours has no use for. Nothing else is ever left out.
DROPPED = {
    "clip_pretrained.": "the frozen CLIP, which a config names instead",
    "pretrained.model.norm.": "the tower's last norm, behind the last map",
    "pretrained.model.head.": "the tower's ImageNet classifier",
    "scratch.refinenet4.resConfUnit1.": "a unit of the coarsest fusion block that is never called",
}


@dataclass(frozen=True)
class Tower:
    """One of the original's image towers.

    Attributes:
        title: for people.
        config: ours.
        factors: of a ViT's four reassembled maps; empty for a ResNet.
        depth: blocks of a ViT, or of each stage of a ResNet.
    """

    title: str
    config: str
    factors: tuple[float, ...]
    depth: tuple[int, ...]


TOWERS = {
    "vitl16": Tower("ViT-L/16", "_base_/lseg_vitl16.py", (4, 2, 1, 0.5), (24,)),
    "vitb32": Tower("ViT-B/32", "_base_/lseg_vitb32.py", (8, 4, 2, 1), (12,)),
    "rn101": Tower("ResNet-101", "_base_/lseg_rn101.py", (), (3, 4, 23, 3)),
}


@dataclass(frozen=True)
class Sizes:
    """Widths that a checkpoint of a tower may have.

    Attributes:
        channels: of the four maps that reach the decoder.
        features: of the decoder.
        embed: of the text embeddings: 512, 640 or 768.
        block: whether it has a spatial regularisation block.
        width: of a ViT; positions: its class token's and patches'; patch: pixels a side. None for a ResNet.
    """

    channels: tuple[int, ...] = (256, 512, 1024, 1024)
    features: int = 256
    embed: int = 512
    block: bool = False
    width: int = 1024
    positions: int = 577
    patch: int = 16


Row = tuple[str, str, tuple[int, ...]]  # the original's key without PREFIX, ours, the original's shape


def layout(tower: str, sizes: Sizes) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The original's key without `net.` -> our key and the original's shape, of everything that ours uses."""
    image = _resnet(TOWERS[tower], sizes) if tower == "rn101" else _vit(TOWERS[tower], sizes)
    return {key: (ours, shape) for rows in (image, _decoder(sizes)) for key, ours, shape in rows}


def convert(
    state: Mapping[str, Tensor], reverse: bool = False, original: Mapping[str, Tensor] | None = None
) -> Converted:
    """The hook of `clipkit convert lseg`.

    Args:
        state: the original's state dict; with `reverse` ours.
        reverse: from ours to the original's.
        original: with `reverse`, a state dict of the original from which comes what ours does not keep.

    Raises:
        ClipkitError: a key is missing, has no place, or has a shape that does not go with the rest.
    """
    return _to_original(state, original) if reverse else _to_ours(state)


def _to_ours(state: Mapping[str, Tensor]) -> Converted:
    used, dropped = _split(state)
    tower, rows = _match(used, of_original=True)
    ours = {name: _ours_shape(name, used[key]) for key, (name, _) in rows.items()}
    ours["logit_scale.log_scale"] = torch.tensor(SCALE).log()
    notes = [f"LSeg with {TOWERS[tower].title}: use it with a model from configs/{TOWERS[tower].config}"]
    if "label_head.conv.weight" in ours:
        notes.append("it has a block; its kind, depth and activation are in no checkpoint: say them in model.block")
    for prefix, why in DROPPED.items():
        count = sum(key.startswith(prefix) for key in dropped)
        if count:
            notes.append(f"left out: {count} of {PREFIX}{prefix}* ({why})")
    return Converted(ours, notes)


def _to_original(state: Mapping[str, Tensor], original: Mapping[str, Tensor] | None) -> Converted:
    state = {key: value for key, value in state.items() if not key.startswith("text.")}  # a frozen CLIP, if saved
    scale = state.pop("logit_scale.log_scale", None)
    if scale is None:
        raise ClipkitError("has no logit_scale.log_scale: is it a checkpoint of clipkit's LSeg?")
    if scale.numel() != 1:
        raise ClipkitError("its logit_scale.log_scale is no single number: the checkpoint is damaged, or not of LSeg")
    if abs(float(scale.exp()) - SCALE) > 1e-4 * SCALE:
        raise ClipkitError(
            f"its scale is {float(scale.exp()):.2f}, and the original's is always {SCALE:.2f}: "
            "train with model.learn_scale=False"
        )
    _, rows = _match(state, of_original=False)
    out = {PREFIX + key: state[name].reshape(shape) for key, (name, shape) in rows.items()}
    if original is None:
        what = ", ".join(f"{PREFIX}{prefix}*" for prefix in DROPPED)
        return Converted(out, [f"missing, for clipkit does not keep it: {what}; give --original, or load not strictly"])
    used, kept = _split(original)
    try:
        _, wanted = _match(used, of_original=True)
    except ClipkitError as error:
        raise ClipkitError(f"--original: {error}") from error
    if wanted != rows:
        raise ClipkitError("--original has another tower or other widths")
    out |= {PREFIX + key: value for key, value in kept.items()}
    return Converted(out, [f"taken from --original: {len(kept)} weights that clipkit does not keep"])


def _split(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The original's weights without `net.`: those that ours uses, and those of DROPPED."""
    strange = [key for key in state if not key.startswith(PREFIX)]
    if strange:
        raise ClipkitError(f"is no checkpoint of the original LSeg: {some(strange)} without the prefix '{PREFIX}'")
    bare = {key.removeprefix(PREFIX): value for key, value in state.items()}
    dropped = {key: value for key, value in bare.items() if key.startswith(tuple(DROPPED))}
    return {key: value for key, value in bare.items() if key not in dropped}, dropped


def _match(state: Mapping[str, Tensor], of_original: bool) -> tuple[str, dict[str, tuple[str, tuple[int, ...]]]]:
    """Name of the tower and rows of `layout` that a state dict fits exactly, in the original's or our names."""
    tower = _find_tower(state, of_original)
    rows = layout(tower, _sizes(tower, state, of_original))
    shapes = {key: shape for key, (_, shape) in rows.items()} if of_original else dict(rows.values())
    title = f"LSeg with {TOWERS[tower].title}"
    missing, strange = [k for k in shapes if k not in state], [k for k in state if k not in shapes]
    if missing:
        raise ClipkitError(f"lacks weights of {title}: {some(missing)}; is the file whole?")
    if strange:
        raise ClipkitError(f"has weights with no place in {title}: {some(strange)}; nothing was converted")
    for key, shape in shapes.items():
        found = tuple(state[key].shape)
        if found != (shape if of_original else tuple(_ours_shape(key, torch.empty(shape, device="meta")).shape)):
            raise ClipkitError(f"{key} has shape {found}, and {shape} goes with the other weights of {title}")
    return tower, rows


def _find_tower(state: Mapping[str, Tensor], of_original: bool) -> str:
    marks = {
        "rn101": ("pretrained.layer1.0.weight", "tower.net.conv1.weight"),
        "vitl16": ("pretrained.act_postprocess4.4.weight", "decoder.reassemble.3.rescale.weight"),
        "vitb32": ("pretrained.act_postprocess3.4.weight", "decoder.reassemble.2.rescale.weight"),
    }
    for tower, keys in marks.items():
        if keys[not of_original] in state:
            return tower
    whose = "the original's" if of_original else "clipkit's"
    raise ClipkitError(f"has none of {whose} towers ({', '.join(t.title for t in TOWERS.values())}): {some(state)}")


def _sizes(tower: str, state: Mapping[str, Tensor], of_original: bool) -> Sizes:
    """Sizes from a few weights; all others are then checked against them."""
    names = {key: ours for key, (ours, _) in layout(tower, Sizes(block=True)).items()}

    def side(key: str, axis: int) -> int:
        key = key if of_original else names[key]
        if key not in state:
            raise ClipkitError(f"lacks {key}; is the file whole?")
        if state[key].ndim <= axis:
            raise ClipkitError(f"{key} has shape {tuple(state[key].shape)}, which is no weight of LSeg")
        return int(state[key].shape[axis])

    block = "scratch.head_block.depthwise.depthwise.weight"
    vit = {}
    if tower != "rn101":
        vit["width"] = side("pretrained.model.cls_token", 2)
        vit["positions"] = side("pretrained.model.pos_embed", 1)
        vit["patch"] = side("pretrained.model.patch_embed.proj.weight", 2)
    return Sizes(
        channels=tuple(side(f"scratch.layer{n}_rn.weight", 1) for n in (1, 2, 3, 4)),
        features=side("scratch.head1.weight", 1),
        embed=side("scratch.head1.weight", 0),
        block=(block if of_original else names[block]) in state,
        **vit,
    )


def _ours_shape(name: str, value: Tensor) -> Tensor:
    """The readout is a Linear in the original and a 1x1 convolution in ours."""
    return value[:, :, None, None] if name.endswith("readout.project.weight") else value


# ---- the layout -------------------------------------------------------------------------------------------------


def _pair(key: str, ours: str, *shape: int) -> Iterator[Row]:
    """Weight and bias of a Linear, a convolution or a norm."""
    yield f"{key}.weight", f"{ours}.weight", shape
    yield f"{key}.bias", f"{ours}.bias", shape[:1]


def _batch_norm(key: str, ours: str, width: int) -> Iterator[Row]:
    yield from _pair(key, ours, width)
    for name, shape in (("running_mean", (width,)), ("running_var", (width,)), ("num_batches_tracked", ())):
        yield f"{key}.{name}", f"{ours}.{name}", shape


def _vit(tower: Tower, sizes: Sizes) -> Iterator[Row]:
    width, trunk, ours = sizes.width, "pretrained.model", "tower.vit"
    yield f"{trunk}.cls_token", f"{ours}.cls_token", (1, 1, width)
    yield f"{trunk}.pos_embed", f"{ours}.pos_embed", (1, sizes.positions, width)
    yield from _pair(f"{trunk}.patch_embed.proj", f"{ours}.patch_embed.proj", width, 3, sizes.patch, sizes.patch)
    parts = {
        "norm1": (width,),
        "attn.qkv": (3 * width, width),
        "attn.proj": (width, width),
        "norm2": (width,),
        "mlp.fc1": (4 * width, width),
        "mlp.fc2": (width, 4 * width),
    }
    for i in range(tower.depth[0]):
        for part, shape in parts.items():
            yield from _pair(f"{trunk}.blocks.{i}.{part}", f"{ours}.blocks.{i}.{part}", *shape)
    for i, (channels, factor) in enumerate(zip(sizes.channels, tower.factors)):
        post, mine = f"pretrained.act_postprocess{i + 1}", f"decoder.reassemble.{i}"
        yield from _pair(f"{post}.0.project.0", f"{mine}.readout.project", width, 2 * width)
        yield from _pair(f"{post}.3", f"{mine}.project", channels, width, 1, 1)
        if factor != 1:
            kernel = int(factor) if factor > 1 else 3
            yield from _pair(f"{post}.4", f"{mine}.rescale", channels, channels, kernel, kernel)


def _resnet(tower: Tower, sizes: Sizes) -> Iterator[Row]:
    before = 64
    yield "pretrained.layer1.0.weight", "tower.net.conv1.weight", (before, 3, 7, 7)
    yield from _batch_norm("pretrained.layer1.1", "tower.net.bn1", before)
    for n, (blocks, out) in enumerate(zip(tower.depth, sizes.channels), start=1):
        stage = "pretrained.layer1.4" if n == 1 else f"pretrained.layer{n}"
        inner = out // 4
        for i in range(blocks):
            key, ours = f"{stage}.{i}", f"tower.net.layer{n}.{i}"
            shapes = (inner, before, 1, 1), (inner, inner, 3, 3), (out, inner, 1, 1)
            for j, shape in enumerate(shapes, start=1):
                yield f"{key}.conv{j}.weight", f"{ours}.conv{j}.weight", shape
                yield from _batch_norm(f"{key}.bn{j}", f"{ours}.bn{j}", shape[0])
            if i == 0:
                yield f"{key}.downsample.0.weight", f"{ours}.downsample.0.weight", (out, before, 1, 1)
                yield from _batch_norm(f"{key}.downsample.1", f"{ours}.downsample.1", out)
            before = out


def _decoder(sizes: Sizes) -> Iterator[Row]:
    width = sizes.features
    for n, channels in enumerate(sizes.channels, start=1):
        yield f"scratch.layer{n}_rn.weight", f"decoder.laterals.{n - 1}.weight", (width, channels, 3, 3)
        block, ours = f"scratch.refinenet{n}", f"decoder.fusions.{n - 1}"
        yield from _pair(f"{block}.out_conv", f"{ours}.out_conv", width, width, 1, 1)
        for unit in (1, 2) if n < 4 else (2,):
            for j in (1, 2):
                key, mine = f"{block}.resConfUnit{unit}", f"{ours}.rcu{unit}"
                yield f"{key}.conv{j}.weight", f"{mine}.conv{j}.weight", (width, width, 3, 3)
                yield from _batch_norm(f"{key}.bn{j}", f"{mine}.bn{j}", width)
    yield from _pair("scratch.head1", "head", sizes.embed, width, 1, 1)
    if sizes.block:
        yield from _pair("scratch.head_block.depthwise.depthwise", "label_head.conv", 1, 1, 3, 3)
