"""What a file that cannot be read does to a run, in both spellings."""

import pytest

from clipkit import errors
from clipkit.data.bad_files import read_on_bad
from clipkit.errors import ClipkitError


def test_the_name_before_is_read_with_one_line(capsys, monkeypatch):
    monkeypatch.setattr(errors, "_SAID", set())
    assert [read_on_bad("skip", "stop") for _ in range(2)] == ["raise", "raise"]
    assert capsys.readouterr().err == "broken='stop' is read until clipkit 1.0: write on_bad='raise'\n"
    assert read_on_bad("raise", "skip") == "skip"


def test_there_are_two_answers(capsys):
    assert read_on_bad("raise") == "raise" and read_on_bad("skip") == "skip"
    assert not capsys.readouterr().err
    for given in [("stop",), ("raise", "ignore")]:
        with pytest.raises(ClipkitError, match="is unknown; known: raise, skip"):
            read_on_bad(*given)


def test_a_config_and_its_options_are_read_in_the_spelling_before(capsys, monkeypatch):
    pytest.importorskip("mmengine")
    from clipkit.engine.config import load_config, merge_options
    from clipkit.engine.variables import resolve_variables

    monkeypatch.setattr(errors, "_SAID", set())
    config = load_config("actionclip/actionclip_folder.py")
    merge_options(config, {"variables.broken": "stop"})
    resolve_variables(config)
    assert config.train_dataloader.dataset.on_bad == "raise"
    assert capsys.readouterr().err.count("write on_bad='raise'") == 1
    with pytest.raises(ClipkitError, match="variables"):
        merge_options(config, {"variables.pretrained": "openai"})
