"""`clipkit try`: a photo and words in, a picture out, without OpenMMLab and without training."""

import importlib.util
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clipkit.cli import main
from clipkit.data import read_image
from clipkit.errors import ClipkitError
from clipkit.inference import sliding_window
from clipkit.predict.dense import NONE, DenseSegmenter
from clipkit.predict.try_photos import run_try
from support.video_files import steady
from support.video_files import write_video as support_film

SCENE = Path(__file__).parents[2] / "examples" / "scene.png"


@pytest.fixture(scope="module")
def tiny() -> DenseSegmenter:
    return DenseSegmenter.load("tiny_clip", None, dense="maskclip")


def test_the_scene_is_segmented_by_its_words(tiny):
    found = tiny(SCENE, "orange star; scarlet star, yellow triangle, blue ring, wood")
    assert found.names == ("orange star", "yellow triangle", "blue ring", "wood", NONE)
    assert found.labels.shape == (64, 64) and found.scores.shape == (64, 64)
    # Where the objects are in the picture, by eye: x, y.
    named = {(12, 46): "orange star", (37, 44): "blue ring", (30, 10): "wood"}
    assert {place: found.names[found.labels[place[1], place[0]]] for place in named} == named


def test_what_is_not_asked_for_is_none_of_these(tiny):
    found = tiny(SCENE, ["orange star"])
    assert found.names[found.labels[10, 30]] == NONE and found.shares()[NONE] > 60


def test_it_equals_windows_of_logits_in_plain_form(tiny):
    image = torch.rand(3, 96, 160, generator=torch.Generator().manual_seed(0)).mul(255).byte()
    text = tiny.encode(["red star", "grass"])
    found = tiny(image, text)

    def logits(batch):
        dense = torch.nn.functional.normalize(tiny.clip.features(batch).dense.double(), dim=1)
        small = tiny.scale * torch.einsum("bdhw,kd->bkhw", dense, text.matrix.double())
        return torch.nn.functional.interpolate(small, batch.shape[-2:], mode="bilinear", align_corners=False)

    resized = torch.nn.functional.interpolate(
        image[None].float() / 255, (64, 104), mode="bilinear", align_corners=False, antialias=True
    )
    summed = sliding_window(logits, resized, tiny.window, tiny.stride)
    whole = torch.nn.functional.interpolate(summed, (96, 160), mode="bilinear", align_corners=False)[0]
    p, row = whole.softmax(0).max(0)
    top = whole.topk(2, 0).values
    sure = top[0] - top[1] > 1e-3
    assert torch.equal(found.labels[sure], text.row_class[row][sure])
    torch.testing.assert_close(found.scores.double(), p, atol=1e-4, rtol=0)


def test_the_command_writes_a_picture_and_says_what_it_saw(tmp_path, capsys):
    code = main(["try", str(SCENE), "orange star, unicorn", "--clip", "tiny_clip", "--out", str(tmp_path)])
    said = capsys.readouterr()
    assert code == 0
    with Image.open(tmp_path / "scene_try.png") as picture:
        assert picture.size[0] > 2 * picture.size[1] * 0.9  # the photo beside its regions
    assert "orange star" in said.out and NONE in said.out
    assert said.err.count("warning") == 1 and "unicorn" in said.err and "orange star" not in said.err


def test_a_bad_photo_is_named_and_the_others_are_done(tmp_path, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    Image.fromarray(read_image(SCENE)).save(tmp_path / "whole.png")
    pictures, bad = run_try([str(tmp_path)], "grass", tmp_path / "out", clip="tiny_clip", pretrained=None)
    assert bad == 1 and [path.name for path in pictures] == ["whole_try.png"] and pictures[0].is_file()
    assert "broken.jpg" in capsys.readouterr().err


def test_pictures_of_one_name_do_not_overwrite_each_other(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(read_image(SCENE)).save(tmp_path / folder / "x.png")
    inputs = [str(tmp_path / folder / "x.png") for folder in ("a", "b")]
    pictures, _ = run_try(inputs, "grass", tmp_path, clip="tiny_clip", pretrained=None)
    assert {path.name for path in pictures} == {"x_try.png", "x-2_try.png"}


def test_a_file_in_place_of_the_words_is_explained(tmp_path):
    with pytest.raises(ClipkitError, match="the last argument is the words"):
        run_try([str(SCENE)], str(SCENE), tmp_path, clip="tiny_clip", pretrained=None)


def test_words_may_be_many_or_a_folder_s_name_but_not_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grass").mkdir()
    for words in ("grass", ", ".join(f"grass {i}" for i in range(60))):
        assert run_try([str(SCENE)], words, tmp_path, clip="tiny_clip", pretrained=None)[1] == 0
    with pytest.raises(ValueError, match="no label is given"):
        run_try([str(SCENE)], "", tmp_path, clip="tiny_clip", pretrained=None)


@pytest.mark.parametrize("shape", [(1, 400), (400, 1), (3, 3), (1, 1)])
def test_odd_shapes_are_segmented(tiny, shape):
    assert tiny(np.full((*shape, 3), 90, np.uint8), ["grass"]).labels.shape == shape


def test_it_needs_no_openmmlab(tmp_path):
    blocked = "import sys\nfor name in ('mmengine', 'mmcv', 'mmseg', 'mmdet'): sys.modules[name] = None\n"
    run = f"from clipkit.cli import main\nsys.exit(main(['try', {str(SCENE)!r}, 'blue ring', '--clip', 'tiny_clip', "
    code = blocked + run + f"'--out', {str(tmp_path)!r}]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "scene_try.png").is_file()


def write_film(path: Path, count: int, size: tuple[int, int] = (48, 64)) -> Path:
    pixels = np.asarray(Image.fromarray(read_image(SCENE)).resize(size[::-1]))
    return support_film(path, steady(Fraction(8), count), picture=lambda number: np.roll(pixels, number, axis=1))


def test_a_folder_of_photos_and_films(tmp_path, capsys):
    av = pytest.importorskip("av")
    write_film(tmp_path / "a.mp4", 20)
    Image.fromarray(read_image(SCENE)).save(tmp_path / "b.png")
    (tmp_path / "c.mp4").write_bytes(b"no film at all")
    (tmp_path / "notes.txt").write_text("not for us")
    pictures, bad = run_try([str(tmp_path)], "grass, blue ring", tmp_path / "out", clip="tiny_clip", pretrained=None)
    assert bad == 1 and [path.name for path in pictures] == ["a_try.mp4", "b_try.png"]
    with av.open(str(tmp_path / "out" / "a_try.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert film.streams.video[0].average_rate == 2
    assert len(frames) == 5  # of 2.5 seconds, two a second
    # The photo's side is the photo, within what H.264 does to it.
    shown = np.asarray(Image.fromarray(frames[0][: frames[0].shape[1] // 3, : frames[0].shape[1] // 2 - 3]))
    assert shown.std() > 20 and np.abs(frames[0].astype(int) - frames[-1]).mean() > 1
    said = capsys.readouterr()
    assert "c.mp4" in said.err and said.err.count("skipped") == 1
    shares = [float(n) for n in re.findall(r"(\d+) %", next(x for x in said.out.splitlines() if "a_try.mp4" in x))]
    assert 98 <= sum(shares) <= 102


def test_a_film_without_the_extra_is_skipped_in_one_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"a film")
    Image.fromarray(read_image(SCENE)).save(tmp_path / "b.png")
    real = importlib.util.find_spec
    monkeypatch.setattr("clipkit.data.video_file.find_spec", lambda name: None if name == "av" else real(name))
    pictures, bad = run_try([str(tmp_path)], "grass", tmp_path / "out", clip="tiny_clip", pretrained=None)
    assert bad == 1 and [path.name for path in pictures] == ["b_try.png"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "pip install 'openclipkit[media]'" in said


def test_large_photos_are_read_as_large_as_they_are_shown(tmp_path):
    pixels = np.asarray(Image.fromarray(read_image(SCENE)).resize((2400, 1800), Image.Resampling.BICUBIC))
    for name in ("a.jpg", "a.png"):
        Image.fromarray(pixels).save(tmp_path / name)
        small = read_image(tmp_path / name, enough=560)
        assert small.shape == ((900, 1200, 3) if name == "a.jpg" else (600, 800, 3))
        whole = np.asarray(Image.fromarray(pixels).resize(small.shape[1::-1], Image.Resampling.BOX))
        assert np.abs(small.astype(int) - whole).mean() < 1.5
        assert read_image(tmp_path / name, enough=1801).shape == pixels.shape
