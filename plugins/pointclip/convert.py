"""The inter-view adapter of the original PointCLIP (ZrrSkywalker/PointCLIP, `adapter/model-best.pth.tar`) and ours, key
for key, both ways."""

from collections.abc import Mapping

from torch import Tensor

from clipkit.convert.checkpoints import Converted
from clipkit.convert.clip_layout import Layout, match, side
from clipkit.errors import ClipkitError

_NORMS = {"global_f.0.bn": "adapter.norm_in", "global_f.4": "adapter.norm"}
_LAYERS = {"global_f.3": "adapter.gather", "view_f.0": "adapter.spread.0", "view_f.2": "adapter.spread.2"}


def convert(
    state: Mapping[str, Tensor], reverse: bool = False, original: Mapping[str, Tensor] | None = None
) -> Converted:
    """The hook of `clipkit convert pointclip`.

    Args:
        state: the original's; with `reverse` ours, of a model that learns nothing but its adapter.
        reverse: from ours to the original's.

    Raises:
        ClipkitError: a key is missing, has no place, or has a shape that does not go with the rest.
    """
    fusion = "adapter.fusion" if reverse else "fusion_ratio"
    if fusion not in state:
        raise ClipkitError(f"is no inter-view adapter: it has no {fusion}")
    gather = "adapter.gather.weight" if reverse else "global_f.3.weight"
    rows = layout(side(state, fusion, 1)[0], side(state, gather, 2)[0])
    names = {(ours if reverse else theirs): (theirs if reverse else ours) for theirs, (ours, _) in rows.items()}
    shapes = {(ours if reverse else theirs): shape for theirs, (ours, shape) in rows.items()}
    match(state, shapes, "clipkit's adapter" if reverse else "PointCLIP's adapter")
    # Its checkpoints are in half precision; counters are whole numbers.
    found = {names[key]: value.float() if value.is_floating_point() else value for key, value in state.items()}
    views, dim = shapes[fusion][0], shapes[gather][0]
    sizes = f"an adapter of {views} views and {dim} dimensions"
    note = f"{sizes}: use it with pointclip/pointclip_modelnet40.py, and the CLIP that it was trained on"
    return Converted(found, [] if reverse else [note])


def layout(views: int, dim: int) -> Layout:
    """The original's key -> ours and the shape."""
    rows: Layout = {"fusion_ratio": ("adapter.fusion", (views,))}
    for theirs, ours in _NORMS.items():
        for name in ("weight", "bias", "running_mean", "running_var"):
            rows[f"{theirs}.{name}"] = (f"{ours}.{name}", (dim,))
        rows[f"{theirs}.num_batches_tracked"] = (f"{ours}.num_batches_tracked", ())
    for (theirs, ours), shape in zip(_LAYERS.items(), ((dim, views * dim), (dim, dim), (views * dim, dim))):
        rows |= {f"{theirs}.weight": (f"{ours}.weight", shape), f"{theirs}.bias": (f"{ours}.bias", shape[:1])}
    return rows
