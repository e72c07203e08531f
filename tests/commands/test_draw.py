"""`clipkit draw`: files that are written, and what is said of a wrong word."""

import pytest
import torch
from PIL import Image

from clipkit.cli import main
from clipkit.nn import read_svg
from clipkit.shapes import render_outlines


def test_a_photo_is_drawn(tmp_path, capsys):
    pixels = render_outlines(1, shapes=torch.tensor([6]), still=True, filled=1.0)[0][0]
    Image.fromarray((pixels * 255).byte().permute(1, 2, 0).numpy()).crop((0, 0, 64, 48)).save(tmp_path / "heart.png")
    quick = ["--steps", "2", "--seeds", "2", "--strokes", "3", "--size", "64", "--clip", "tiny_clip"]
    out = tmp_path / "out"
    assert (
        main(["draw", str(tmp_path / "heart.png"), *quick, "--mask", str(tmp_path / "heart.png"), "--out", str(out)])
        == 0
    )
    strokes = read_svg(out / "heart.svg")
    assert len(strokes.width) == 3 and strokes.size == (48, 64)
    assert Image.open(out / "heart.png").size == (64, 48) and (out / "heart.mp4").stat().st_size > 0
    assert "the best of 2" in capsys.readouterr().out


def test_words_are_drawn(tmp_path):
    quick = ["--steps", "2", "--seeds", "1", "--strokes", "4", "--size", "64", "--clip", "tiny_clip"]
    assert main(["draw", "--words", "a red heart", "--away-from", "text", *quick, "--out", str(tmp_path)]) == 0
    strokes = read_svg(tmp_path / "a-red-heart.svg")
    assert len(strokes.width) == 4 and len(strokes.segments) >= 4


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["a.png", "--words", "x"],
        ["a.png", "--steps", "0"],
        ["a.png", "--size", "8"],
        ["a.png", "--width", "0"],
        ["--words", " "],
    ],
)
def test_wrong_words_are_told(wrong):
    with pytest.raises(SystemExit) as end:
        main(["draw", *wrong])
    assert end.value.code == 2


def test_a_drawing_goes_on_from_its_checkpoint(tmp_path, capsys):
    pixels = render_outlines(1, shapes=torch.tensor([3]), still=True, filled=1.0)[0][0]
    Image.fromarray((pixels * 255).byte().permute(1, 2, 0).numpy()).save(tmp_path / "star.png")
    quick = ["--seeds", "1", "--strokes", "2", "--size", "64", "--clip", "tiny_clip", "--out", str(tmp_path / "out")]
    kept = ["--checkpoint", str(tmp_path / "star.pt")]
    assert main(["draw", str(tmp_path / "star.png"), "--steps", "2", *quick, *kept]) == 0
    first = (tmp_path / "out" / "star.svg").read_bytes()
    assert main(["draw", str(tmp_path / "star.png"), "--steps", "2", *quick, *kept]) == 0
    assert (tmp_path / "out" / "star.svg").read_bytes() == first
    capsys.readouterr()
    assert main(["draw", str(tmp_path / "star.png"), "--steps", "3", *quick, *kept]) == 2
    assert "star.pt: cannot be taken up" in capsys.readouterr().err
    Image.new("RGB", (64, 64), "white").save(tmp_path / "star.png")  # another photo
    assert main(["draw", str(tmp_path / "star.png"), "--steps", "2", *quick, *kept]) == 2
    assert "star.pt: cannot be taken up (it is of another run)" in capsys.readouterr().err


def test_names_of_files_stay_in_their_folder_and_no_photo_is_replaced(tmp_path, capsys):
    quick = ["--steps", "1", "--seeds", "1", "--strokes", "2", "--size", "64", "--clip", "tiny_clip"]
    assert main(["draw", "--words", "..", *quick, "--out", str(tmp_path / "out")]) == 0
    assert {path.name for path in tmp_path.rglob("*.svg")} == {"drawing.svg"} and (
        tmp_path / "out/drawing.svg"
    ).exists()
    Image.new("RGB", (64, 48), "white").save(tmp_path / "a.png")
    assert main(["draw", str(tmp_path / "a.png"), *quick, "--out", str(tmp_path)]) == 2
    assert "a.png: the result would replace it" in capsys.readouterr().err
    assert main(["draw", str(tmp_path / "a.png"), *quick, "--strokes", "9999", "--out", str(tmp_path / "out")]) == 2
    assert "9999 strokes are more than a picture of 3072 pixels has room for" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["photo", "mask", "dark mask"])
def test_a_bad_photo_or_mask_is_told_in_one_line(what, tmp_path, capsys):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.new("RGB", (32, 32), "white").save(good)
    if what == "dark mask":
        Image.new("RGB", (32, 32)).save(bad)
    else:
        bad.write_text("no picture")
    files = [str(bad)] if what == "photo" else [str(good), "--mask", str(bad)]
    assert main(["draw", *files, "--clip", "tiny_clip", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip()
    assert "bad.png" in said and "\n" not in said


@pytest.mark.slow
def test_the_networks_of_the_paper_draw(tmp_path):
    """RN101's stages 2 and 3, and ViT-B/32's attention; random weights, which say nothing but have every shape."""
    Image.new("RGB", (64, 48), "white").save(tmp_path / "a.png")
    quick = ["--steps", "1", "--seeds", "1", "--strokes", "2", "--out", str(tmp_path / "out")]
    assert main(["draw", str(tmp_path / "a.png"), *quick, "--clip", "RN101", "--looks", "ViT-B-32"]) == 0
    assert read_svg(tmp_path / "out" / "a.svg").width.tolist() == [1.5, 1.5]


def test_a_missing_photo_is_told(tmp_path, capsys):
    assert main(["draw", str(tmp_path / "none.png"), "--clip", "tiny_clip", "--out", str(tmp_path)]) == 2
    assert "none.png" in capsys.readouterr().err
