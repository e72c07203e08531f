"""A part is found when it is asked for, and nothing is imported that nobody asked for."""

import subprocess
import sys

import pytest

from clipkit.engine import register, register_all
from clipkit.engine.friendly import explain
from clipkit.engine.registry import DATASETS, MODELS, ROOTS, TRANSFORMS
from clipkit.errors import ClipkitError


def in_a_process(code):
    """What a fresh interpreter prints: rooms stay imported, so this one can show nothing."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_the_table_is_what_the_rooms_register():
    """Every part of every room stands in the table, under the room that registers it, and nothing else."""
    for room, parts in register.ROOMS.items():
        code = (
            f"import importlib; from clipkit.engine.registry import ROOTS; importlib.import_module({room!r})\n"
            "children = [root.children['clipkit'] for root in ROOTS if 'clipkit' in root.children]\n"
            "print(*sorted({name for child in children for name in child.module_dict}))"
        )
        found = set(in_a_process(code).split())
        # A room may stand on others, and a plugin brings parts of its own, which configs ask for by `plugins`.
        others = {part for other, theirs in register.ROOMS.items() if other != room for part in theirs}
        own = found - others
        assert set(parts) <= own, room
        assert room.startswith("clipkit_plugins.") or own == set(parts), room


def test_a_name_has_one_room():
    assert len(register.ROOM_OF) == sum(map(len, register.ROOMS.values()))


@pytest.mark.parametrize(
    "look_up",
    [
        "registry.DATASETS.get('clipkit.VideoTexts')",
        "registry.DATASETS.get('VideoTexts')",
        "root.DATASETS.get('clipkit.VideoTexts')",
        "root.FUNCTIONS.get('clipkit.collate_lists')",
        "registry.HOOKS.get('ReseedHook')",
        "registry.MODELS.get('TimmTower')",
        "registry.MODELS.get('ContrastivePretrainer')",  # once the engine's, now a plugin's
        "registry.TRANSFORMS.get('LoadImageFromFile')",  # mmcv's, under mmengine's own scope
        "registry.MODELS.get('mmengine.Conv2d')",
        "'clipkit.ZeroShotLoop' in registry.LOOPS",
    ],
)
def test_a_part_is_found_before_anything_imported_it_and_loads_neither_mmseg_nor_mmdet(look_up):
    code = (
        "import sys; from clipkit.engine import registry; from mmengine.registry import root\n"
        f"assert {look_up}\nprint(*sorted({{'mmseg', 'mmdet'}} & {{*sys.modules}}))"
    )
    assert in_a_process(code) == ""


def test_a_look_up_under_a_default_scope():
    code = (
        "from mmengine.registry import DATASETS, DefaultScope\nimport clipkit.engine.registry\n"
        "with DefaultScope.overwrite_default_scope('clipkit'):\n"
        "    print(type(DATASETS.build(dict(type='ShapesImages', length=2))).__module__)"
    )
    assert in_a_process(code) == "clipkit.classification.image_sets"


def test_parts_of_mmseg_and_mmdet_are_found_without_a_word():
    code = (
        "from clipkit.engine import registry\n"
        "print(registry.MODELS.get('mmseg.EncoderDecoder').__name__, registry.MODELS.get('mmdet.RetinaNet').__name__)"
    )
    assert in_a_process(code) == "EncoderDecoder RetinaNet"


def test_importing_the_registry_imports_no_room():
    code = (
        "import sys; import clipkit.engine.build\n"
        "print(*sorted(name for name in sys.modules if name.count('.') == 1 and name.startswith('clipkit.')))"
    )
    rooms = {"segmentation", "detection", "video", "classification", "commands", "backbone", "hosts", "embed"}
    assert not {f"clipkit.{room}" for room in rooms} & set(in_a_process(code).split())


@pytest.mark.parametrize(
    ("plugin", "absent"),
    [
        ("clip", "mmseg mmdet matplotlib clipkit.segmentation clipkit.detection clipkit.video clipkit.commands"),
        ("clip4clip", "mmseg mmdet matplotlib clipkit.segmentation clipkit.detection clipkit.classification"),
        ("actionclip", "mmseg mmdet matplotlib clipkit.segmentation clipkit.detection clipkit.classification"),
    ],
)
def test_a_plugin_loads_the_rooms_that_it_builds_on(plugin, absent):
    code = (
        "import sys; from clipkit.engine.register import register_engine; from clipkit.engine import load_plugins\n"
        f"register_engine(); load_plugins([{plugin!r}])\n"
        f"print(*[name for name in {absent.split()!r} if name in sys.modules])"
    )
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


def test_a_scope_that_is_not_installed_is_one_line():
    with pytest.raises(RuntimeError) as caught:
        MODELS.get("mmpretrain.VisionTransformer")
    assert "mmpretrain, which is not installed" in explain(caught.value)
