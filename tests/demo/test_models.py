"""What the page can ask, by the real models that need no training, and what stays of it."""

import base64

import numpy as np
import pytest
import torch
from PIL import Image

import clipkit
from clipkit.demo.limits import Limits
from clipkit.demo.models import Models, open_index
from clipkit.demo.views import sure_pixels
from clipkit.errors import ClipkitError
from clipkit.predict.dense import DenseSegmenter

SCENE = clipkit.example("scene")
DATA = "data:image/png;base64," + base64.b64encode(SCENE.read_bytes()).decode()
WORDS = "orange star, blue ring, wood"


@pytest.fixture(scope="module")
def models():
    clip = DenseSegmenter.load("tiny_clip", None, device="cpu", precision="fp32")
    return Models(Limits(), clip, "tiny_clip")


def test_tabs_are_those_whose_model_is_there(models):
    assert models.tabs() == ["segment", "detect", "classify", "draw"]
    assert Models().tabs() == []
    assert Models(trained={"ask": {"vqa": None}}).tabs() == ["ask"]


def test_words_are_answered_as_from_python(models):
    asked = clipkit.segment(SCENE, WORDS, clip="tiny_clip")
    view = models.segment(DATA, WORDS, "tiny_clip", 0)
    assert {row["name"]: row["text"].partition(" %")[0] for row in view["legend"]} == {
        name: f"{share:.0f}" for name, share in asked.shares().items()
    }
    boxes = models.detect(DATA, WORDS, "tiny_clip", 0.5)
    assert [piece["name"] for piece in boxes["pieces"]]
    assert all(piece["score"] >= 0.5 for piece in boxes["pieces"])
    named = clipkit.classify(SCENE, WORDS, clip="tiny_clip")
    bars = models.classify(DATA, WORDS)["bars"]
    assert [bar["name"] for bar in bars] == list(named.names)
    assert [bar["score"] for bar in bars] == pytest.approx(named.probabilities, abs=1e-4)


def test_words_that_mean_nothing_are_noted(models):
    assert "tiny_clip never saw unicorn" in models.segment(DATA, "unicorn, wood", "tiny_clip", 0)["note"]
    assert "note" not in models.segment(DATA, WORDS, "tiny_clip", 0)


def test_words_of_one_question_are_not_kept_for_the_next(models):
    models.segment(DATA, "orange star", "tiny_clip", 0)
    models.segment(DATA, "blue ring", "tiny_clip", 0)
    assert not [key for key in models.clip.bank._words if "star" in str(key)]


def test_a_drawing_is_a_file_of_strokes(models):
    view = models.draw(DATA, "", 3, 2)
    svg = base64.b64decode(view["files"][0]["data"].partition(",")[2]).decode()
    assert svg.count("<path") == 3 and view["note"].startswith("2 steps")
    assert models.draw("", "a red heart", 4, 2)["files"]
    with pytest.raises(ClipkitError, match="no picture yet"):
        models.draw("", " ", 4, 2)


def test_an_unknown_model_is_refused(models):
    for task in (models.segment, models.detect):
        with pytest.raises(ClipkitError, match='no model "/etc" here'):
            task(DATA, WORDS, "/etc", 0)
    with pytest.raises(ClipkitError, match="no model"):
        models.ask(DATA, "what?", "vqa")


def test_a_folder_is_searched_by_its_index_or_one_of_this_run(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        Image.new("RGB", (64, 64), colour).save(photos / f"{name}.png")
    index = open_index(str(photos), "tiny_clip", None, tmp_path / "beside")
    tiles = Models(Limits(), index=index).search("blue")["tiles"]
    assert {tile["name"] for tile in tiles} == {"red.png", "blue.png"} and all(tile["photo"] for tile in tiles)
    assert [path.name for path in photos.iterdir() if path.suffix != ".png"] == []
    again = open_index(str(tmp_path / "beside"), "tiny_clip", None, tmp_path / "unused")
    assert len(again) == 2 and not (tmp_path / "unused").exists()
    (photos / "red.png").unlink()
    assert [tile["name"] for tile in Models(Limits(), index=index).search("blue")["tiles"]] == ["blue.png"]


def test_a_threshold_is_that_of_pixels(models):
    result = models.clip(np.asarray(Image.open(SCENE).convert("RGB")), WORDS)
    sure = sure_pixels(result, 0.6)
    assert torch.equal(sure.labels == 3, (result.labels == 3) | (result.scores < 0.6))


def test_work_folders_go_through_the_loader_of_the_predictors(tmp_path):
    pytest.importorskip("mmseg")
    from clipkit.predict.segmenter import Segmenter

    models = Models()
    models.open(["dense_clip/dense_tiny_shapes.py"], "cpu")
    assert models.tabs() == ["segment"] and models.names("segment") == ["dense_tiny_shapes.py"]
    view = models.segment(DATA, WORDS, "dense_tiny_shapes.py", 0)
    own = Segmenter.load("dense_clip/dense_tiny_shapes.py", device="cpu")
    expected = own(SCENE, own.model.own_prompts(Limits().vocabulary(WORDS)))
    (tmp_path / "ids.png").write_bytes(base64.b64decode(view["files"][0]["data"].partition(",")[2]))
    assert (np.asarray(Image.open(tmp_path / "ids.png")) == expected.labels.numpy()).all()
    with pytest.raises(ClipkitError, match="no tab for a DepthPredictor"):
        models.open(["depthclip/depthclip_tiny_shapes.py"], "cpu")
