"""What may be asked: words with signs, a picture, both; by a default index and CLIP; answers as JSON and in Python."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from clipkit import ClipkitError, SearchIndex, cli
from clipkit.commands import search as command
from clipkit.predict import dense
from clipkit.search import index as index_module
from clipkit.search import model
from clipkit.search.query import AWAY, signs, text_vector
from clipkit.shapes import COLOURS, SHAPES, STUFF, render, tiny_clip


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Scenes of one object in one ground, named by both."""
    root = tmp_path_factory.mktemp("photos")
    scenes = render(400, seed=5, objects=(1, 1), split=None)
    for number, picture in enumerate(scenes.images):
        if scenes.present[number, 0]:
            colour, shape = COLOURS[scenes.colour[number, 0]], SHAPES[scenes.shape[number, 0]]
            name = f"{colour} {shape} {STUFF[scenes.stuff[number, 0]]} {STUFF[scenes.stuff[number, 1]]} {number}.png"
            Image.fromarray((picture * 255).round().byte().movedim(0, -1).numpy()).save(root / name)
    return root


@pytest.fixture(scope="module")
def folder(photos, tmp_path_factory):
    """An index that nobody named, in a folder of its own."""
    here = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        assert cli.run("search", ["index", str(photos), "--clip", "tiny_clip"]) == 0
    return here


def names(found):
    return [moment.path.rpartition("/")[2] for moment in found]


@pytest.mark.parametrize(
    "text, wanted, away",
    [
        ("a red circle", "a red circle", ()),
        ("a dog, running", "a dog, running", ()),  # a sentence stays whole
        ("a ball, not grass, Not  snow", "a ball", ("grass", "snow")),
        ("not grass", "", ("grass",)),
        ("a knot, notes", "a knot, notes", ()),
    ],
)
def test_signs(text, wanted, away):
    assert signs(text) == (wanted, away)


@pytest.mark.parametrize("text", ["", " , ", "not  "])
def test_no_words_are_refused(text):
    with pytest.raises(ClipkitError, match="nothing to look for"):
        signs(text)


def test_the_formula():
    clip = tiny_clip()
    star, grass, wood = (row / np.linalg.norm(row) for row in clip.encode_text(["a star", "grass", "wood"]).numpy())
    np.testing.assert_allclose(
        text_vector(clip, "a star, not grass, not wood"), star - AWAY * (grass + wood) / 2, atol=1e-6
    )
    np.testing.assert_allclose(text_vector(clip, "not wood"), -AWAY * wood, atol=1e-6)


def test_what_is_not_wanted_goes_down(folder):
    index = SearchIndex(folder / "clipkit_index")
    with_it, without = (index.find(text, top=20) for text in ("a star", "a star, not grass"))
    assert sum("grass" in name for name in names(without)) < sum("grass" in name for name in names(with_it))
    assert sum("star" in name for name in names(without)) >= 15


def test_a_picture_finds_itself_first_and_its_like_after(folder, photos):
    index = SearchIndex(folder / "clipkit_index")
    picture = next(photos.glob("red circle*"))
    found = index.find(image=picture)
    assert names(found)[0] == picture.name and found[0].score == pytest.approx(1, abs=1e-3)
    both = index.find("a blue star", image=picture, top=1)
    assert both[0].score < 1 and both.query == "a blue star"
    with pytest.raises(ClipkitError, match="give words or a picture"):
        index.find()


def test_the_command_searches_the_default_index_and_prints_json(folder, photos, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert cli.run("search", ["query", "a red circle", "--json", "--top", "2", "--contact-sheet", "sheet.png"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert len(answers) == 2 and answers[0]["path"].startswith(str(photos)) and Image.open("sheet.png").width > 200
    assert set(answers[0]) == {"path", "score", "start", "end", "frame", "time"}
    picture = str(next(photos.glob("red circle*")))
    for words in ([], ["clipkit_index"], ["a red circle"], ["clipkit_index", "a red circle"]):
        assert cli.run("search", ["query", *words, "--image", picture, "--top", "1"]) == 0
        assert picture in capsys.readouterr().out


def test_nothing_to_look_for_is_a_usage_error(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit):
        command.main(["query"])
    assert "give what to look for" in capsys.readouterr().err


def test_an_index_that_does_not_name_its_model_asks_for_it(folder, tmp_path, capsys):
    index = tmp_path / "index"
    shutil.copytree(folder / command.INDEX, index)
    (index / "model.json").unlink()
    assert cli.run("search", ["query", str(index), "red"]) == 2
    assert capsys.readouterr().err == (
        f"error: {index}: has no model.json, which says what CLIP made it; name that one with --clip\n"
    )
    assert cli.run("search", ["query", str(index), "red", "--clip", "tiny_clip"]) == 0


def test_three_lines_of_python(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    index = SearchIndex.of(photos, clip="tiny_clip")
    rows = len(index)
    found = index.find("a red circle", top=3)
    assert (tmp_path / "clipkit_index").is_dir() and len(found) == 3 and len(repr(found).splitlines()) == 3
    assert found._repr_png_()[:4] == b"\x89PNG"
    assert len(SearchIndex.of([photos])) == rows  # its own CLIP, nothing new


def test_defaults_are_those_of_try(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(model, "load_frozen", lambda *given: asked.append(given[:3]) or (None, {}))
    _, _, named = model.load_model(tmp_path, None, None, "fp32")
    assert asked == [(dense.CLIP, dense.TAG, "fp32")] and named == {"clip": dense.CLIP, "pretrained": dense.TAG}
    model.load_model(tmp_path, "tiny_clip", None, "fp32")
    assert asked[1][:2] == ("tiny_clip", None)
    assert index_module.INDEX == command.INDEX
