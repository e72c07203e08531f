"""Commands share their options through `_options`; the names that it writes once more are the library's."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

import clipkit.commands
from clipkit.cli import COMMANDS
from clipkit.commands import _options, embed, frames, label, precompute

FOLDER = Path(clipkit.commands.__file__).parent


def test_every_module_of_the_folder_is_a_command():
    names = {path.stem for path in FOLDER.glob("[!_]*.py")}
    assert {f"clipkit.commands.{name}" for name in names} == {module for module, _ in COMMANDS.values()} and names


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_no_command_imports_another(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
            assert not node.level, "relative imports would escape this test"
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
    others = {name.split(".")[2] for name in imported if name.startswith("clipkit.commands.")}
    assert all(name.startswith("_") for name in others), others


def test_choices_are_the_librarys():
    pytest.importorskip("mmengine")
    from clipkit.adapters._crops import RESIZE_MODES
    from clipkit.adapters.teacher import ORDERS
    from clipkit.data._video_backends import BACKENDS
    from clipkit.data.formats import FORMATS
    from clipkit.data.samples import WANTED
    from clipkit.data.video_sets import READERS
    from clipkit.embed import bulk, frame_store, region_store
    from clipkit.engine.distributed import LAUNCHERS

    assert _options.LAUNCHERS == LAUNCHERS
    assert tuple(BACKENDS) == _options.BACKENDS
    assert tuple(READERS) == frames.SETS
    assert tuple(frame_store.DTYPES) == frames.DTYPES
    assert (embed.WANTED, embed.LAYOUTS) == (WANTED, bulk.LAYOUTS)
    assert tuple(region_store.DTYPES) == precompute.DTYPES
    assert sorted(FORMATS) == sorted(label.FORMATS)
    assert (precompute.ORDERS, precompute.RESIZE_MODES) == (ORDERS, RESIZE_MODES)


def test_the_layouts_of_sets_are_in_the_help():
    assert "*.parquet      a column of pictures" in embed.parser().format_help()
    assert "lsmdc        LSMDC16_annos_training.csv" in frames.parser().format_help()
    assert ".npz   arrays names (N,) text" in precompute.parser().format_help()


def test_parents_give_positions_in_order():
    from clipkit.commands import predict, test, train

    args = predict.parser().parse_args(["c.py", "x.pth", "a.png", "b.png", "--labels", "cat", "--device", "cpu"])
    assert (args.config, args.inputs, args.labels) == ("c.py", ["x.pth", "a.png", "b.png"], "cat")
    args = test.parser().parse_args(["c.py", "none", "--launcher", "none", "--cfg-options", "a=1", "b=2"])
    assert (args.config, args.checkpoint, args.cfg_options, args.launcher) == ("c.py", "none", ["a=1", "b=2"], "none")
    assert train.parser().parse_args(["c.py"]).cfg_options == []  # a parent's default list is not filled for good


def test_labels_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        import_module("clipkit.commands.test").parser().parse_args(["c", "x", "--labels", "a", "--labels-file", "b"])
    assert "not allowed with argument --labels" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["index", "query"])
def test_a_backend_is_chosen_by_what_is_installed(command):
    from clipkit.commands import search

    words = {"index": ["films", "--out", "x"], "query": ["x", "a cat"]}[command]
    assert search.parser().parse_args([command, *words]).backend is None
    assert search.parser().parse_args([command, *words, "--backend", "pyav"]).backend == "pyav"


@pytest.mark.parametrize("there, expected", [(True, "decord"), (False, "pyav")])
def test_pyav_reads_where_decord_is_not(there, expected, monkeypatch):
    import importlib.util
    from importlib.machinery import ModuleSpec, SourceFileLoader

    from clipkit.data import _video_backends

    def find_spec(name, package=None):
        return ModuleSpec(name, None) if there else None

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    name = "another_reading_of_video_backends"
    spec = ModuleSpec(name, SourceFileLoader(name, _video_backends.__file__))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert expected == module.DEFAULT_BACKEND
