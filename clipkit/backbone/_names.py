"""Names of CLIPs that are clipkit's own."""

from pathlib import Path

SHIPPED = ("tiny_clip", "tiny_shapes")
_TINY = Path(__file__).parents[1] / "shapes" / "tiny_clip"


def local_name(name: str) -> str:
    """The name as open_clip has it: `tiny_clip`, also called `tiny_shapes`, is the folder that ships with clipkit."""
    return f"local-dir:{_TINY}" if name in SHIPPED else name


def brings_weights(name: str) -> bool:
    """True of a folder's or a hub's name, which stands for its weights too, and of the shipped CLIP's."""
    return local_name(name).startswith(("local-dir:", "hf-hub:"))
