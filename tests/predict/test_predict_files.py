"""`clipkit predict` on many files: photos of equal size share a pass, and everything is as if each had come alone."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mmseg")

from clipkit.cli import main
from clipkit.errors import ClipkitError
from clipkit.predict.predictor import equal_sizes, windows
from clipkit.predict.segmenter import Segmenter
from clipkit.shapes import render

CONFIG = "dense_clip/dense_tiny_shapes.py"
LABELS = "orange star, blue ring, wood, grass"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two sizes in turn, and a file that is none."""
    folder = tmp_path_factory.mktemp("photos")
    for i, scene in enumerate(render(6, seed=5).images):
        photo = Image.fromarray((scene.permute(1, 2, 0).numpy() * 255).astype(np.uint8))
        photo.resize((96, 64) if i % 2 else (64, 64)).save(folder / f"{i}.png")
    (folder / "2b.png").write_text("no picture")
    return folder


@pytest.fixture
def passes(monkeypatch):
    """How many photos each pass held."""
    sizes = []
    predict = Segmenter.predict
    monkeypatch.setattr(Segmenter, "predict", lambda self, im, names: sizes.append(len(im)) or predict(self, im, names))
    return sizes


def run(photos, out, *more):
    code = main(["predict", CONFIG, "none", str(photos), "--labels", LABELS, "--out", str(out), *more])
    return code, {path.name: path.read_bytes() for path in out.iterdir()}


def test_batches_write_what_single_photos_do(photos, tmp_path, passes, capsys):
    code, together = run(photos, tmp_path / "a")
    said = capsys.readouterr()
    assert code == 1 and passes == [3, 3] and "6 of 7 images" in said.out
    assert said.err.count("skipped: ") == 1 and "2b.png" in said.err
    named = [line.partition(" -> ")[0][-5:] for line in said.out.splitlines() if " -> " in line]
    assert named == [f"{i}.png" for i in range(6)]  # in the folder's order
    passes.clear()
    _, alone = run(photos, tmp_path / "b", "--batch-size", "1")
    assert passes == [1] * 6 and together == alone and len(alone) == 18


def test_a_photo_that_ends_a_pass_takes_no_other_with_it(photos, tmp_path, monkeypatch, capsys):
    predict = Segmenter.predict
    bad = np.asarray(Image.open(photos / "2.png").convert("RGB"))

    def fails(self, images, names):
        if any(np.array_equal(image, bad) for image in images):
            raise ClipkitError("too flat")
        return predict(self, images, names)

    monkeypatch.setattr(Segmenter, "predict", fails)
    code, files = run(photos, tmp_path)
    assert code == 1 and len(files) == 15 and "2_labels.png" not in files
    said = capsys.readouterr()
    assert "5 of 7 images" in said.out and "2.png: too flat" in said.err


def test_windows_are_bounded_by_pixels_and_by_number(monkeypatch):
    monkeypatch.setattr("clipkit.predict.predictor.WINDOW", 200)
    images = [np.zeros((10, side, 3), np.uint8) for side in (5, 5, 20, 5, 30, 1, 1)]
    taken = []

    def give():
        for image in images:
            taken.append(image)
            yield image

    parts = windows(give(), batch_size=8)
    assert [image.shape[1] for image in next(parts)] == [5, 5, 20] and len(taken) == 3  # no more is read than is used
    assert [[image.shape[1] for image in part] for part in parts] == [[5, 30], [1, 1]]
    assert [len(part) for part in windows([None] * 10, batch_size=2)] == [8, 2]
    assert list(equal_sizes([images[0], None, images[2], images[1], images[0]], 2)) == [[0, 3], [4], [2]]


def test_a_batch_of_nothing_is_a_usage_error(photos, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(photos, tmp_path, "--batch-size", "0")
    assert "at least 1" in capsys.readouterr().err


def test_a_folder_s_films_are_looked_at_too(photos, tmp_path, capsys):
    pytest.importorskip("av")
    from clipkit.shapes.film_files import write_film

    (tmp_path / "in").mkdir()
    write_film(np.random.default_rng(0).integers(0, 256, (6, 48, 64, 3), dtype=np.uint8), tmp_path / "in/a.mkv", 8)
    (tmp_path / "in/b.png").write_bytes((photos / "0.png").read_bytes())
    (tmp_path / "in/c.heic").write_bytes(b"as a telephone leaves it")
    code, files = run(tmp_path / "in", tmp_path / "out")
    said = capsys.readouterr()
    assert code == 0 and {"a.mp4", "b_overlay.png"} <= set(files) and "2 of 2 files" in said.out
    assert "not read: 1 .heic" in said.err


def test_words_without_meaning_are_named_once(photos, tmp_path, capsys):
    words = ["--labels", "orange star, unicorn; red circle, wood"]
    assert main(["predict", CONFIG, "none", str(photos / "0.png"), *words, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert said.count("warning") == 1 and "the model's CLIP never saw unicorn:" in said
    segmenter = Segmenter.load(CONFIG, device="cpu")
    segmenter(photos / "0.png")  # the config's own names
    assert capsys.readouterr().err == ""
    for _ in range(2):
        segmenter(photos / "0.png", "red star, zebra")
    assert capsys.readouterr().err.count("never saw zebra:") == 1
