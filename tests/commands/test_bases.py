"""A user's config on top of an installed one: `_base_ = ["clipkit::…"]`."""

import pytest

pytest.importorskip("mmengine")

from mmengine.config import Config

from clipkit.engine.config import find_config, load_config
from clipkit.errors import ClipkitError


def test_a_config_inherits_from_an_installed_one(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text('_base_ = ["clipkit::lseg/lseg_folder.py"]\ntrain_cfg = dict(max_iters=7)\n')
    theirs, ours = load_config("lseg/lseg_folder.py"), load_config(mine)
    assert ours.train_cfg.max_iters == 7 != theirs.train_cfg.max_iters
    ours.train_cfg.max_iters = theirs.train_cfg.max_iters
    assert ours.to_dict() == theirs.to_dict()  # no `_scope_` was added either


def test_its_values_can_be_named(tmp_path):
    (tmp_path / "mine.py").write_text('_base_ = "clipkit::lseg/lseg_folder"\ntwice = 2 * _base_.train_cfg.max_iters\n')
    assert load_config(tmp_path / "mine.py").twice == 2 * load_config("lseg/lseg_folder.py").train_cfg.max_iters


def test_a_file_of_that_name_in_the_working_folder_is_no_base(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lseg").mkdir()
    (tmp_path / "lseg/lseg_folder.py").write_text('_base_ = ["clipkit::lseg/lseg_folder.py"]\nmine = True\n')
    assert find_config("lseg/lseg_folder.py").resolve() == tmp_path / "lseg/lseg_folder.py"
    cfg = load_config("lseg/lseg_folder.py")
    assert cfg.mine and cfg.model.type == "LSeg"


def test_a_base_that_is_not_there_is_one_line(tmp_path):
    (tmp_path / "mine.py").write_text('_base_ = ["clipkit::lseg/lseg_foldr.py"]\n')
    with pytest.raises(ClipkitError, match=r'mine\.py: _base_ "clipkit::.*did you mean "lseg/lseg_folder\.py"'):
        load_config(tmp_path / "mine.py")


def test_other_bases_stay_mmengines(tmp_path):
    (tmp_path / "base.py").write_text("a = 1\n")
    (tmp_path / "mine.py").write_text('_base_ = ["./base.py"]\nb = 2\n')
    assert load_config(tmp_path / "mine.py").to_dict() == {"a": 1, "b": 2}
    with pytest.raises(AssertionError, match="does not support"):
        Config._get_cfg_path("nobody::x/y.py", "mine.py")
