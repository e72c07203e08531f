"""A part is found when it is asked for, and nothing is imported that nobody asked for."""

import subprocess
import sys

import pytest

from clipkit.engine import register, register_all
from clipkit.engine.registry import DATASETS, ROOTS, TRANSFORMS
from clipkit.errors import ClipkitError


def in_a_process(code):
    """What a fresh interpreter prints: rooms stay imported, so this one can show nothing."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_the_table_is_what_the_rooms_register():
    """Importing a room registers its parts, and no room registers one that the table does not have."""
    code = """
import importlib
from clipkit.engine.register import ROOMS, quiet_imports
from clipkit.engine.registry import ROOTS
children = [root.children["clipkit"] for root in ROOTS if "clipkit" in root.children]
for room, parts in ROOMS.items():
    before = {name for child in children for name in child.module_dict}
    with quiet_imports():
        importlib.import_module(room)
    found = {name for child in children for name in child.module_dict}
    assert set(parts) <= found, (room, set(parts) - found)
    new = found - before - {part for parts in ROOMS.values() for part in parts}
    assert not new or room.startswith("clipkit_plugins."), (room, new)
"""
    assert in_a_process(code) == ""


def test_a_name_has_one_room():
    assert len(register.ROOM_OF) == sum(map(len, register.ROOMS.values()))


def test_a_part_is_found_before_anything_imported_it_and_nothing_more_is_loaded():
    code = """
import sys
from mmengine.registry import DefaultScope, root
import clipkit.engine.build
from clipkit.engine import load_plugins, registry

def loaded(*names):
    return [name for name in names if name in sys.modules]

rooms = [f"clipkit.{name}" for name in ("segmentation", "detection", "video", "classification", "embed", "commands")]
assert not loaded(*rooms, "clipkit.backbone", "clipkit.hosts")
assert registry.HOOKS.get("ReseedHook") is not None
assert registry.TRANSFORMS.get("LoadImageFromFile").__module__.startswith("mmcv")  # in mmengine's own registry
assert root.MODELS.get("Conv2d") is None  # nobody asked clipkit
assert registry.MODELS.get("mmengine.Conv2d") is not None
assert not loaded(*rooms)
assert root.FUNCTIONS.get("clipkit.collate_lists") is registry.FUNCTIONS.get("collate_lists") is not None
assert loaded("clipkit.video") and not loaded("clipkit.classification")
with DefaultScope.overwrite_default_scope("clipkit"):
    data = root.DATASETS.build(dict(type="ShapesImages", length=2))
assert type(data).__module__ == "clipkit.classification.image_sets"
assert "clipkit.ZeroShotLoop" in registry.LOOPS
assert registry.MODELS.get("ContrastivePretrainer") is not None  # once the engine's, now a plugin's
load_plugins(["clip", "clip4clip", "actionclip"])
assert not loaded("mmseg", "mmdet", "matplotlib", "clipkit.segmentation", "clipkit.detection")
assert registry.MODELS.get("mmseg.EncoderDecoder") and loaded("mmseg")
assert registry.MODELS.get("mmdet.RetinaNet")
assert registry.DATASETS.get("FolderSegDataset")
"""
    assert in_a_process(code) == ""


def test_a_package_that_is_missing_is_one_line(monkeypatch):
    def fails(name):
        raise ModuleNotFoundError("No module named 'mmseg.datasets'", name="mmseg.datasets")

    monkeypatch.setattr(register.importlib, "import_module", fails)
    monkeypatch.delitem(DATASETS.module_dict, "FolderSegDataset", raising=False)
    with pytest.raises(ClipkitError, match=r'"FolderSegDataset" needs the package mmseg.*pip install -e "\.\[seg\]"'):
        DATASETS.get("FolderSegDataset")


def test_a_module_of_clipkits_own_that_is_missing_is_no_hint_to_install(monkeypatch):
    def fails(name):
        raise ModuleNotFoundError("No module named 'clipkit.no'", name="clipkit.no")

    monkeypatch.setattr(register.importlib, "import_module", fails)
    monkeypatch.delitem(DATASETS.module_dict, "FolderSegDataset", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"clipkit\.no"):
        DATASETS.get("FolderSegDataset")


def test_register_all_fills_every_registry_and_says_what_it_left_out(monkeypatch):
    assert register_all() == {}
    children = [root.children["clipkit"] for root in ROOTS if "clipkit" in root.children]
    assert set(register.ROOM_OF) <= {name for child in children for name in child.module_dict}
    assert TRANSFORMS.get("Resize").__module__.startswith("mmcv")
    real = register.importlib.import_module

    def without_mmseg(name):
        if name == "clipkit.segmentation":
            raise ModuleNotFoundError("No module named 'mmseg'", name="mmseg")
        return real(name)

    monkeypatch.setattr(register.importlib, "import_module", without_mmseg)
    assert register_all() == {"clipkit.segmentation": "mmseg"}


def test_a_wrong_name_is_explained_by_what_no_room_loaded_yet():
    code = (
        "from clipkit.engine.registry import DATASETS; from clipkit.engine.friendly import friendly_build\n"
        "from mmengine.registry import DefaultScope\n"
        "for kind in ('FolderSegDatasett', 'ADE20KDataset'):\n"
        "    try:\n"
        "        with friendly_build(), DefaultScope.overwrite_default_scope('clipkit'):\n"
        "            DATASETS.build(dict(type=kind))\n"
        "    except Exception as error:\n"
        "        print(error)"
    )
    first, second = in_a_process(code).splitlines()
    assert 'did you mean "FolderSegDataset"' in first
    assert 'write "mmseg.ADE20KDataset"' in second
