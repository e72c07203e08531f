"""Names of CLIPs that are clipkit's own."""

from pathlib import Path

_FOLDERS = {"tiny_clip": "tiny_clip", "tiny_shapes": "tiny_clip", "distance_clip": "distance_clip"}
SHIPPED = tuple(_FOLDERS)
_SHAPES = Path(__file__).parents[1] / "shapes"


def local_name(name: str) -> str:
    """The name as open_clip has it: `tiny_clip`, also called `tiny_shapes`, and `distance_clip` are folders that ship
    with clipkit."""
    return f"local-dir:{_SHAPES / _FOLDERS[name]}" if name in SHIPPED else name


def brings_weights(name: str) -> bool:
    """True of a folder's or a hub's name, which stands for its weights too, and of the shipped CLIP's."""
    return local_name(name).startswith(("local-dir:", "hf-hub:"))
