"""`clipkit list` and `clipkit copy`: what is installed can be found, and inherited from."""

import textwrap
from importlib.metadata import EntryPoint

import pytest

from clipkit.cli import COMMANDS, main
from clipkit.commands import list as listing
from clipkit.commands._headers import Header, first_sentence, read_header
from clipkit.config_files import installed_configs


def listed(capsys, *words):
    assert main(["list", *words]) == 0
    return capsys.readouterr().out


def names_in(text):
    return [line for line in text.splitlines() if not line.startswith(" ")]


def test_configs_by_a_word(capsys):
    text = listed(capsys, "configs", "lseg", "CamVid", "linear classifier")
    assert names_in(text) == ["lseg/lseg_camvid_linear.py"]
    assert "mmseg's own linear classifier" in text
    assert "    time: 8 minutes" in text and "    expected: mIoU 33.1" in text


def test_all_configs_and_no_bases(capsys):
    names = names_in(listed(capsys, "configs"))
    assert names == list(installed_configs()) and "clip/tiny_shapes.py" in names and "claims/c3.py" in names
    assert not any(name.startswith("_") for name in names)


def test_every_config_says_what_it_is():
    headers = {name: read_header(path) for name, path in installed_configs().items()}
    assert [name for name, header in headers.items() if len(header.title) < 10] == []
    measured = [name for name, header in headers.items() if header.time and header.expected]
    assert len(measured) > len(headers) / 3


def test_a_header_is_read_as_it_is_written(tmp_path):
    file = tmp_path / "x.py"
    file.write_text(
        textwrap.dedent('''\
        """A model (Li et al., 2022) on data
        of two lines. And more.

        Command:   clipkit train x.py
        Time:      5 minutes
                   on one core
        Expected:  mIoU 3.5
        """
        raise SystemExit("a config is not run to be listed")
        ''')
    )
    assert read_header(file) == Header(
        "A model (Li et al., 2022) on data of two lines.", "5 minutes on one core", "mIoU 3.5"
    )
    file.write_text('"""One.\n\ntime:     2 s\nexpect:   more\nmeasured: most\n"""')
    assert read_header(file) == Header("One.", "2 s", "more")
    file.write_text('"""One.\n\nTime:      not measured here\nExpected:  not yet measured; the paper: 5\n"""')
    assert read_header(file) == Header("One.", "", "not yet measured; the paper: 5")
    file.write_text("x = 1\n")
    assert read_header(file) == Header("", "", "")


def test_first_sentences():
    assert first_sentence("One line") == "One line"
    assert first_sentence("mIoU 3.5 on\nx.py. Then more.\n\nA paragraph.") == "mIoU 3.5 on x.py."


def test_plugins_are_those_that_a_config_can_name(capsys):
    pytest.importorskip("mmengine")
    from clipkit.engine.plugins import find_plugins

    text = listed(capsys, "plugins")
    assert set(names_in(text)) == set(find_plugins())
    assert "lseg\n    LSeg: language-driven semantic segmentation" in text and "plugins/lseg/README.md" in text


def test_a_strangers_plugin_is_listed_and_not_imported(capsys, monkeypatch):
    point = EntryPoint("mine", "no_such_package.plugin", "clipkit.plugins")
    monkeypatch.setattr(listing, "entry_points", lambda group: [point] if group == "clipkit.plugins" else [])
    assert "mine\n    no_such_package.plugin" in listed(capsys, "plugins", "mine")


def test_commands(capsys):
    assert names_in(listed(capsys, "commands")) == list(COMMANDS)


def test_models_with_the_tags_of_their_weights(capsys):
    text = listed(capsys, "models", "ViT-B-32", "laion2b_s34b_b79k")
    assert names_in(text) == ["ViT-B-32"]
    assert names_in(listed(capsys, "models", "shipped")) == ["tiny_clip", "distance_clip"]
    assert "tiny-shapes" in names_in(listed(capsys, "models"))


def test_nothing_found_is_one_line(capsys):
    assert main(["list", "configs", "no", "such"]) == 2
    assert capsys.readouterr().err == "error: no configs with no such; `clipkit list configs` shows all\n"


def test_copy_writes_a_config_that_inherits(tmp_path, capsys, monkeypatch):
    pytest.importorskip("mmengine")
    from clipkit.engine.config import load_config

    monkeypatch.chdir(tmp_path)
    assert main(["copy", "lseg/lseg_folder.py", "mine/street.py"]) == 0
    text = (tmp_path / "mine/street.py").read_text()
    assert "Command:   clipkit train mine/street.py --cfg-options" in text and "train \\\n" in text
    assert load_config("mine/street.py").to_dict() == load_config("lseg/lseg_folder.py").to_dict()
    with open("mine/street.py", "a") as file:
        file.write("train_cfg = dict(max_iters=3)\n")
    assert load_config("mine/street.py").train_cfg.max_iters == 3


def test_copy_overwrites_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["copy", "configs/lseg/lseg_folder"]) == 0
    before = (tmp_path / "lseg_folder.py").read_text()
    assert main(["copy", "lseg/lseg_folder.py"]) == 2
    assert "lseg_folder.py: exists already" in capsys.readouterr().err
    assert (tmp_path / "lseg_folder.py").read_text() == before


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["lseg/lseg_foldr.py"], 'did you mean "lseg/lseg_folder.py"'),
        (["claims/c3.py"], "is a claim"),
        (["lseg/lseg_folder.py", "mine.yaml"], "ends in .py"),
    ],
)
def test_copy_refuses_in_one_line(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["copy", *arguments]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_every_copy_is_python(tmp_path):
    from clipkit.commands.copy import _header

    for name, path in installed_configs().items():
        compile(_header(path, name, tmp_path / "mine.py"), name, "exec")
