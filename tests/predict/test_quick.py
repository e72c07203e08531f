"""One line of Python: segment, classify, find; results that can be looked at."""

import io
from pathlib import Path

import pytest
from PIL import Image

import clipkit
from clipkit.commands import _options
from clipkit.errors import ClipkitError
from clipkit.predict import dense

TINY = dict(clip="tiny_clip")
ROOT = Path(__file__).parents[2]


def test_the_example_is_the_repository_s():
    assert clipkit.example("scene").read_bytes() == (ROOT / "examples" / "scene.png").read_bytes()
    with pytest.raises(ClipkitError, match='no example "scen"; did you mean "scene"'):
        clipkit.example("scen")


def test_segment(tmp_path):
    found = clipkit.segment(clipkit.example("scene"), "orange star, wood", **TINY)
    assert found.names == ("orange star", "wood", "none of these")
    assert repr(found).startswith("Segmentation(64 x 64: wood ")
    assert sum(mask.sum() for mask in found.masks().values()) == 64 * 64
    found.save(tmp_path / "x.jpg")
    for picture in (tmp_path / "x.jpg", io.BytesIO(found._repr_png_())):
        with Image.open(picture) as opened:
            assert opened.width > opened.height


def test_classify():
    found = clipkit.classify(clipkit.example("scene"), ["grass", "wood", "sky"], **TINY)
    assert found.names[0] == "wood" and abs(sum(found.probabilities) - 1) < 1e-5
    assert repr(found).startswith("wood 1.00, ") and found.plot().width >= 240


def test_words_without_meaning_are_named_once(capsys):
    for _ in range(2):
        clipkit.segment(clipkit.example("scene"), ["wood", "dragon"], **TINY)
        clipkit.classify(clipkit.example("scene"), "wood, dragon", **TINY)
    said = capsys.readouterr().err
    assert said.count("warning") == 1 and "tiny_clip never saw dragon:" in said


def test_find(tmp_path):
    scene = Image.open(clipkit.example("scene")).convert("RGB")
    scene.save(tmp_path / "scene.png")
    Image.new("RGB", (64, 64), "white").save(tmp_path / "white.png")
    (tmp_path / "broken.png").write_bytes(b"")
    found = clipkit.find(tmp_path, "a blue ring", **TINY)
    assert [path.name for path in found.paths] == ["scene.png", "white.png"]
    assert found.scores[0] > found.scores[1] and found.plot().height > 100


def test_the_command_s_default_is_the_library_s():
    assert (_options.CLIP, _options.TAG) == (dense.CLIP, dense.TAG)
