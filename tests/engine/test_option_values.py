"""What `--cfg-options` write: texts stay texts, lists keep their blanks, and what would do nothing is refused."""

import pytest

pytest.importorskip("mmseg")

from clipkit.engine.build import prepare_config
from clipkit.engine.config import parse_options
from clipkit.errors import ClipkitError

CONFIG = "lseg/lseg_folder.py"


@pytest.mark.parametrize(
    "text, value",
    [
        ("[grass, red circle]", ["grass", "red circle"]),
        ("[grass,red circle, 'a, b']", ["grass", "red circle", "a, b"]),
        ("[x, [1, two words], (a, b)]", ["x", [1, "two words"], ("a", "b")]),
        ("[bird's eye, cat]", ["bird's eye", "cat"]),
        ("(red circle, sky)", ("red circle", "sky")),
        ("[1, 2]", [1, 2]),
        ("[old] masks", "[old] masks"),
        ("(copy) masks", "(copy) masks"),
        ("(copy)", "(copy)"),
        ("[a] [b]", "[a] [b]"),
        (" two  blanks ", " two  blanks "),
        ("'2024'", "2024"),
    ],
)
def test_texts_and_lists_of_texts(text, value):
    assert parse_options([f"v={text}"])["v"] == value


def test_a_bracket_that_never_closes_is_one_line():
    with pytest.raises(ClipkitError, match=r"the bracket of \[0\.1, 0\.2 is not closed"):
        parse_options(["v=[0.1, 0.2"])


@pytest.mark.parametrize("name", ["2024", "None", "1e5", "true", "0x10", "007", "[old] masks"])
def test_a_folder_may_be_called_anything(name):
    options = [f"variables.train_images={name}", f"val_dataloader.dataset.mask_dir={name}"]
    options.append(f"train_dataloader.dataset.data_root={name}" if name != "None" else "train_cfg.max_iters=3")
    cfg = prepare_config(CONFIG, cfg_options=parse_options(options))
    assert cfg.train_dataloader.dataset.image_dir == name and cfg.val_dataloader.dataset.mask_dir == name
    assert name == "None" or cfg.train_dataloader.dataset.data_root == name


def test_numbers_and_nothing_stay_what_they_are_elsewhere():
    options = [
        "train_cfg.max_iters=20",
        "variables.weights=None",
        "variables.labels=[grass, red circle]",
        "resume=true",
    ]
    cfg = prepare_config(CONFIG, cfg_options=parse_options([*options, "variables.val_masks=null"]))
    assert cfg.train_cfg.max_iters == 20 and cfg.model.text.clip.pretrained is None and cfg.resume is True
    assert cfg.model.classes == ["grass", "red circle"] and cfg.val_dataloader.dataset.mask_dir is None


@pytest.mark.parametrize(
    "key, said",
    [
        ("iterations", "set what it became: train_cfg.max_iters, param_scheduler.1.end"),
        ("train_pipeline.2.scales", r"train_dataloader\.dataset\.pipeline\.2\.scales"),
        ("crop", r"pipeline\.3\.crop_size, model\.data_preprocessor\.size"),
    ],
)
def test_a_name_that_only_the_configs_own_lines_use_is_refused(key, said):
    with pytest.raises(ClipkitError, match=rf"{key}: .* is used only while the config runs; .*{said}"):
        prepare_config(CONFIG, cfg_options={key: 10})


def test_a_variable_that_nothing_reads_is_refused(tmp_path):
    config = tmp_path / "x.py"
    config.write_text("variables = dict(a=1, b=2)\nmodel = dict(type='X', width='{a}')\n")
    assert prepare_config(config, cfg_options={"variables.a": 3}).model.width == 3
    with pytest.raises(ClipkitError, match=r'variables\.b: nothing in the config reads "\{b\}"'):
        prepare_config(config, cfg_options={"variables.b": 3})
    assert prepare_config(config, cfg_options={"variables.b": 3, "model.width": "{b}"}).model.width == 3


@pytest.mark.parametrize("place", ["²", "9" * 5000, "-1", "x"])
def test_a_place_in_a_list_that_is_none_is_one_line(place):
    with pytest.raises(ClipkitError, match=r'"param_scheduler" is a list of \d; write param_scheduler\.0'):
        prepare_config(CONFIG, cfg_options={f"param_scheduler.{place}.end": 10})
