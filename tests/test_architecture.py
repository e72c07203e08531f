"""Arrows point one way: who may import whom (DESIGN: layout), read from the source text of every module."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OPENMMLAB = {"mmengine", "mmcv", "mmseg", "mmdet"}
# What each part of clipkit may import of clipkit. Parts that are missing here may import nothing of it.
ALLOWED = {
    "backbone": {"errors", "safe"},
    "text": {"errors", "safe", "store", "backbone"},
    "safe": {"errors"},
    "store": {"errors", "safe"},
    "adapters": {"errors", "backbone", "text"},
    "nn": {"errors", "safe", "adapters"},
    "data": {"errors", "safe", "text"},
    "evaluation": {"errors", "text", "data"},
    "inference": {"errors", "text", "nn", "adapters", "backbone"},
    "shapes": {"errors", "backbone", "text", "evaluation"},
}


def imported(path: Path) -> set[str]:
    """Absolute names of all modules that a file imports, also inside functions."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def part_of(name: str) -> str | None:
    """'clipkit.text.bank' → 'text'; None for other packages and for clipkit itself."""
    head, _, rest = name.partition(".")
    return rest.partition(".")[0] if head == "clipkit" and rest else None


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_parts_of_the_library_import_only_what_lies_below(part):
    files = modules(f"clipkit/{part}")
    assert files
    for path in files:
        for name in imported(path):
            assert name.partition(".")[0] not in OPENMMLAB | {"clipkit_plugins", "plugins"}, f"{path} imports {name}"
            other = part_of(name)
            if other and (ROOT / "clipkit" / other).with_suffix(".py").exists() | (ROOT / "clipkit" / other).is_dir():
                assert other in ALLOWED[part] | {part}, f"{path} imports clipkit.{other}"


def test_every_folder_of_the_library_is_covered():
    folders = {path.parent.name for path in (ROOT / "clipkit").glob("*/__init__.py")}
    assert folders == set(ALLOWED) | {"engine"}


def test_only_the_backbone_touches_open_clip():
    for path in modules("clipkit"):
        if path.parts[-2] != "backbone":
            touched = {name for name in imported(path) if name.partition(".")[0] == "open_clip"}
            # The prompt templates are data that open_clip carries, no model.
            assert touched <= {"open_clip", "open_clip.zero_shot_metadata"}, (path, touched)
            assert not touched or path.name == "templates.py", path


def test_plugins_import_neither_each_other_nor_tools():
    for path in modules("plugins"):
        own = path.relative_to(ROOT / "plugins").parts[0]
        for name in imported(path):
            parts = name.split(".")
            if parts[0] in ("plugins", "clipkit_plugins") and len(parts) > 1:
                assert parts[1] == own, f"{path} imports {name}"
            assert parts[0] != "tools", f"{path} imports {name}"


def test_tools_hold_no_mathematics():
    for path in modules("tools"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 60, f"{path} is not thin"
        assert not {name for name in imported(path) if name.partition(".")[0] in ("torch", "numpy")}, path


def test_the_check_sees_a_violation(tmp_path, monkeypatch):
    folder = tmp_path / "clipkit" / "text"
    for name in ("text", "engine", "adapters", "store"):
        (folder.parent / name).mkdir(parents=True)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (folder / "good.py").write_text("from clipkit.store import Store\nimport torch\n")
    test_parts_of_the_library_import_only_what_lies_below("text")
    for line in ("from clipkit.engine import registry", "from ..adapters import Fusion", "import mmseg.models"):
        (folder / "bad.py").write_text(f"def late():\n    {line}\n")
        with pytest.raises(AssertionError):
            test_parts_of_the_library_import_only_what_lies_below("text")
