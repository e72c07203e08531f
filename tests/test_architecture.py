"""Arrows point one way: which room may import which (DESIGN: layout), read from the source text of every module."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the ground up: a room imports only rooms that stand before it. A room is a folder or a single file of clipkit;
# the plugins, of which none imports another, stand in one place.
ORDER = (
    *("errors", "explain", "safe", "files", "config_files", "device", "provenance", "hub"),
    *("work_dir_lock", "mmcv_ops", "evaluation"),
    *("backbone", "nn", "store", "text", "adapters", "inference", "shapes", "data", "optimise"),
    *("engine", "sharding", "hosts", "embed", "segmentation", "detection", "video", "classification"),
    *("search", "claims", "convert", "bundle"),
    "plugins",
    *("predict", "export", "demo", "cli", "commands", "doctor", "__main__"),
)
OPENMMLAB = ("mmengine", "mmcv", "mmseg", "mmdet")
# What a room may import of OpenMMLab; what is not named here needs none of it.
NEEDS = {
    "engine": {"mmengine"},
    "hosts": {"mmengine"},
    "sharding": {"mmengine"},
    "segmentation": {"mmengine", "mmcv", "mmseg"},
    "detection": {"mmengine", "mmdet"},
    "video": {"mmengine"},
    "classification": {"mmengine"},
    "bundle": {"mmengine"},
    "claims": {"mmengine"},
    "plugins": set(OPENMMLAB),
    "predict": {"mmengine", "mmseg", "mmdet"},
    "commands": {"mmengine", "mmcv"},  # doctor asks whether mmcv has its operators
}
# Imports that break a rule below, (module, what it imports), until the split that removes them.
OPEN: set[tuple[str, str]] = set()


def modules(root: Path) -> dict[str, Path]:
    """Dotted name -> file, of clipkit and its plugins; a package has its own name."""
    files = [path for folder in ("clipkit", "plugins") for path in sorted((root / folder).rglob("*.py"))]
    named = ((".".join(path.relative_to(root).with_suffix("").parts), path) for path in files)
    return {name.removesuffix(".__init__"): path for name, path in named}


def imports(path: Path, root: Path, known: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """`(module, name in it or '')` for all that a file imports, also inside functions and by `import_module("…")`, but
    not under `if TYPE_CHECKING`. Names that a package looks up in a table when they are first used are no imports."""
    package = path.relative_to(root).with_suffix("").parts[:-1]
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from ((_own(alias.name), "") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            if node.args and isinstance(node.args[0], ast.Constant):
                yield _own(node.args[0].value), ""
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = _own(".".join(filter(None, (base, node.module))))
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                yield (whole, "") if whole in known else (module, alias.name)


def _own(name: str) -> str:
    """An installed plugin is `clipkit_plugins.x`, its folder here `plugins/x`."""
    return name.replace("clipkit_plugins", "plugins", 1) if name.startswith("clipkit_plugins") else name


@cache
def graph(root: Path) -> dict[str, list[tuple[str, str]]]:
    known = modules(root)
    return {name: list(imports(path, root, known)) for name, path in known.items()}


def room_of(module: str) -> str:
    """'clipkit.text.bank' -> 'text', 'plugins.lseg.model' -> 'plugins.lseg', 'clipkit' -> ''; others: '!mmseg'."""
    parts = module.split(".")
    if parts[0] == "plugins":
        return ".".join(parts[:2])
    return "".join(parts[1:2]) if parts[0] == "clipkit" else f"!{parts[0]}"


def place(room: str) -> int:
    return ORDER.index(room.partition(".")[0])


def upward(root: Path) -> set[tuple[str, str]]:
    """Imports of a room that does not stand below, and of one plugin by another. The package of all plugins, which is
    listed to find them, stands for none of them."""
    found = set()
    for module, names in graph(root).items():
        for other, _ in names:
            a, b = room_of(module), room_of(other)
            if a and b not in ("", "plugins", a) and not b.startswith("!") and place(b) >= place(a):
                found.add((module, other))
    return found


def private(root: Path) -> set[tuple[str, str]]:
    """Imports of `_names` and `_modules` of another room."""
    return {
        (module, f"{other}.{name}".rstrip("."))
        for module, names in graph(root).items()
        for other, name in names
        if room_of(module) != room_of(other) and not room_of(other).startswith("!")
        for part in [*other.split("."), name]
        if part.startswith("_") and not part.endswith("__")
    }


def foreign(root: Path) -> set[tuple[str, str]]:
    """Imports of OpenMMLab by rooms that do not need it."""
    return {
        (module, other)
        for module, names in graph(root).items()
        for other, _ in names
        if (head := other.partition(".")[0]) in OPENMMLAB
        and head not in NEEDS.get(room_of(module).partition(".")[0], ())
    }


def circles(root: Path) -> set[tuple[str, str]]:
    """Imports between modules that import each other, also by way of others and inside functions."""
    edges = {module: {other for other, _ in names} for module, names in graph(root).items()}
    inner = set(edges)
    while inner:
        edges = {module: edges[module] & inner - {module} for module in inner}
        imported = set().union(*edges.values())
        if inner == (inner := {module for module, others in edges.items() if others and module in imported}):
            break
    return {(module, other) for module in inner for other in edges[module]}


def test_every_room_has_its_place():
    assert {room_of(name).partition(".")[0] for name in modules(ROOT)} - {""} == set(ORDER)


def test_a_room_imports_only_rooms_below_it():
    assert upward(ROOT) - OPEN == set()


def test_no_room_imports_what_is_private_in_another():
    assert private(ROOT) - OPEN == set()


def test_only_rooms_that_need_openmmlab_import_it():
    assert foreign(ROOT) == set()


def test_no_module_imports_one_that_imports_it():
    assert circles(ROOT) == set()


def test_what_is_open_is_still_so():
    assert upward(ROOT) | private(ROOT) >= OPEN


def test_only_the_backbone_touches_open_clip():
    for module, names in graph(ROOT).items():
        if room_of(module) != "backbone" and module.startswith("clipkit."):
            touched = {f"{other}.{name}" for other, name in names if other.partition(".")[0] == "open_clip"}
            # The prompt templates are data that open_clip carries, no model.
            allowed = {"open_clip.zero_shot_metadata"} if module == "clipkit.text.templates" else set()
            assert touched <= allowed, module


def test_tools_are_thin():
    for path in sorted((ROOT / "tools").rglob("*.py")):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 60, f"{path} is not thin"
        heads = {module.partition(".")[0] for module, _ in imports(path, ROOT, {})}
        assert not heads & {"torch", "numpy"}, path
    assert not [module for module, names in graph(ROOT).items() if any(o.startswith("tools") for o, _ in names)]


def test_every_room_has_its_tests():
    rooms = {path.parent.name for path in (ROOT / "clipkit").glob("*/__init__.py")}
    plugins = {path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py")}
    for folder, names in ((ROOT / "tests", rooms), (ROOT / "tests" / "plugins", plugins)):
        without = sorted(name for name in names if not list((folder / name).rglob("test_*.py")))
        assert not without, f"no test_*.py in {', '.join(str(folder / name) for name in without)}"


@pytest.mark.parametrize(
    ("module", "line", "check"),
    [
        ("clipkit/text/bad.py", "from clipkit.engine import registry", upward),
        ("clipkit/text/bad.py", "from ..adapters import Fusion", upward),
        ("clipkit/text/bad.py", "import_module('clipkit.commands')", upward),
        ("plugins/lseg/bad.py", "from clipkit_plugins.vild import ViLD", upward),
        ("plugins/lseg/bad.py", "from clipkit.text._match import match_key", private),
        ("clipkit/engine/bad.py", "from clipkit.text import _match", private),
        ("clipkit/text/bad.py", "import mmseg.models", foreign),
        ("clipkit/engine/bad.py", "from mmdet.structures import DetDataSample", foreign),
        ("clipkit/store/a.py", "from clipkit.store import bad", circles),
    ],
)
def test_the_checks_see_a_violation(tmp_path, module, line, check):
    good = {
        "clipkit/__init__.py": "__version__ = '0'",
        "clipkit/text/bank.py": "import torch\nfrom clipkit import __version__\nfrom ._match import match_key",
        "clipkit/text/_match.py": "if TYPE_CHECKING:\n    from clipkit.text.bank import Bank",
        "clipkit/store/bad.py": "from clipkit.store.a import Store",
        "clipkit/engine/build.py": "from clipkit.text.bank import TextBank\nimport mmengine",
        "plugins/lseg/model.py": "from clipkit.engine import build\nfrom clipkit_plugins.lseg._parts import x",
        "plugins/vild/model.py": "",
    }
    for root, files in (("good", good), ("bad", {**good, module: f"def late():\n    {line}\n"})):
        for name, text in files.items():
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    assert not check(tmp_path / "good") and check(tmp_path / "bad")
