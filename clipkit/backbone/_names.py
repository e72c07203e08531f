"""Names of CLIPs that are clipkit's own."""

from pathlib import Path

SHIPPED = ("tiny_clip", "tiny_shapes")
_TINY = Path(__file__).parents[1] / "shapes" / "tiny_clip"


def local_name(name: str) -> str:
    """The name as open_clip has it: `tiny_clip`, also called `tiny_shapes`, is the folder that ships with clipkit."""
    return f"local-dir:{_TINY}" if name in SHIPPED else name
