"""Documented modules that left clipkit.engine: old names are the same objects, and say where they are now."""

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from clipkit.engine.moved import MOVED

# What README, docs, examples, configs and plugins' pages of the version before named.
DOCUMENTED = [
    ("claim_c3", "run"),
    ("claim_curve", "run"),
    ("embed_frames", "load_frozen"),
    ("embed_regions", "embed_regions"),
    ("embed_regions", "load_teacher"),
    ("image_features", "image_features"),
    ("mmcv_ops", "install"),
    ("provenance", "commit"),
    ("provenance", "hardware"),
    ("provenance", "now"),
    ("search_index", "SearchIndex"),
    ("search_index", "index_key"),
    ("teacher_store", "TeacherStore"),
    ("teacher_store", "pack"),
    ("teacher_store", "record_id"),
    ("video_texts", "VideoTexts"),
    ("video_texts", "collate_lists"),
]


@pytest.fixture
def forgotten():
    """The old modules as in a process that did not import them yet."""
    for name in [name for name in sys.modules if name.startswith(tuple(f"clipkit.engine.{old}" for old in MOVED))]:
        del sys.modules[name]


@pytest.mark.parametrize(("old", "name"), DOCUMENTED)
def test_an_old_name_is_the_same_object_and_says_where_it_is(forgotten, old, name):
    with pytest.warns(FutureWarning, match=f"clipkit.engine.{old} is now {MOVED[old][0]}"):
        found = getattr(import_module(f"clipkit.engine.{old}"), name)
    homes = [vars(import_module(home)) for home in MOVED[old]]
    assert found is next(home[name] for home in homes if name in home)


def test_every_old_name_is_gone_from_engine_and_asked_for_here():
    assert {old for old, _ in DOCUMENTED} == set(MOVED)
    files = {path.stem for path in Path(import_module("clipkit.engine").__file__).parent.iterdir()}
    assert not files & set(MOVED)


def test_a_moved_module_stays_one_module(forgotten):
    with pytest.warns(FutureWarning):
        import clipkit.engine.mmcv_ops.nms as old
    import clipkit.mmcv_ops.nms as new

    assert old is new
    assert sys.modules["clipkit.engine.mmcv_ops"] is sys.modules["clipkit.mmcv_ops"]
    assert new.__name__ == "clipkit.mmcv_ops.nms" and new.__spec__.name == new.__name__  # what reload and pickle read


def test_several_homes_of_one_old_name(forgotten, monkeypatch):
    homes = ("clipkit.provenance", "clipkit.safe")
    monkeypatch.setitem(MOVED, "two_homes", homes)
    with pytest.warns(FutureWarning, match="clipkit.provenance and clipkit.safe"):
        from clipkit.engine import two_homes
    import clipkit.safe
    from clipkit.provenance import commit

    assert two_homes.commit is commit and two_homes.read_json is clipkit.safe.read_json
    del sys.modules["clipkit.engine.two_homes"]


def test_what_never_was_is_still_missing():
    assert find_spec("clipkit.engine.no_such") is None
    with pytest.raises(ModuleNotFoundError, match="no_such"):
        import_module("clipkit.engine.no_such")


def test_the_line_that_imports_is_shown_by_default(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text("from clipkit.engine import provenance\nfrom clipkit.engine.provenance import now\n")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert run.stderr.count("FutureWarning: clipkit.engine.provenance is now clipkit.provenance") == 1
    assert f"{script}:1:" in run.stderr
