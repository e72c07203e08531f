"""`clipkit edit`: files that are written, a run that is taken up, and what is said of wrong words and files."""

import pytest
import torch
from clipkit_plugins.latent_edit.vq_files import write_vq_model
from clipkit_plugins.latent_edit.vqgan import VQGAN
from PIL import Image

from clipkit.cli import main
from clipkit.shapes import render
from support.closed_form import closed_form_

WORDS = ["--from", "a red star", "--to", "a blue star", "--clip", "tiny_clip"]


@pytest.fixture
def photo(tmp_path):
    pixels = (render(1, seed=1).images[0] * 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).crop((0, 0, 64, 49)).save(tmp_path / "star.png")
    return tmp_path / "star.png"


def test_a_photo_is_edited_and_a_stopped_run_taken_up(photo, tmp_path, capsys):
    out, state = tmp_path / "out", tmp_path / "state.pth"
    quick = [*WORDS, "--steps", "3", "--size", "64", "--out", str(out)]
    assert main(["edit", str(photo), *quick, "--checkpoint", str(state)]) == 0
    assert Image.open(out / "star.png").size == (64, 49) and (out / "star.mp4").stat().st_size > 0
    first, said = (out / "star.png").read_bytes(), capsys.readouterr().out
    assert "star.png, .mp4: loss" in said
    assert main(["edit", str(photo), *quick, "--checkpoint", str(state)]) == 0  # it is at its end
    assert (out / "star.png").read_bytes() == first
    assert main(["edit", str(photo), *quick[:-4], "--steps", "4", "--checkpoint", str(state)]) == 2
    assert "another run" in capsys.readouterr().err
    assert main(["edit", str(photo), *quick, "--checkpoint", str(state), "--to", "a ring"]) == 2  # not the blue star
    assert "another run" in capsys.readouterr().err


def test_a_photo_is_not_replaced_and_a_strip_is_refused(photo, tmp_path, capsys):
    before = photo.read_bytes()
    assert main(["edit", str(photo), *WORDS, "--out", str(tmp_path)]) == 2
    assert "star.png: the result would replace it" in capsys.readouterr().err and photo.read_bytes() == before
    Image.new("RGB", (1, 300)).save(tmp_path / "strip.png")
    assert main(["edit", str(tmp_path / "strip.png"), *WORDS, "--out", str(tmp_path / "out")]) == 2
    assert "strip.png: is too narrow: 224x1 pixels" in capsys.readouterr().err


def test_a_generator_edits(photo, tmp_path):
    options = dict(widths=(8, 16), layers=1, latent_channels=4, codes=16, groups=4)
    write_vq_model(closed_form_(VQGAN(**options), scale=0.3), tmp_path / "vqgan", **options)
    quick = [*WORDS, "--steps", "2", "--size", "64", "--out", str(tmp_path / "out")]
    assert main(["edit", str(photo), *quick, "--generator", str(tmp_path / "vqgan")]) == 0
    assert Image.open(tmp_path / "out/star.png").size == (64, 48)


@pytest.mark.parametrize("name", ["stylegan2-ffhq.pkl", "last.ckpt", "gone"])
def test_other_generators_are_refused_in_one_line(photo, tmp_path, capsys, name):
    if name != "gone":
        torch.save({"state_dict": {}}, tmp_path / name)
    assert main(["edit", str(photo), *WORDS, "--generator", str(tmp_path / name), "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert name in said and "config.json" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        ["--steps", "0"],
        ["--size", "8"],
        ["--way", "pixels", "--generator", "x"],
        ["--keep", "nan"],
        ["--seed", "9" * 30],
        ["--to", " a red  star "],
        ["--from", ""],
    ],
)
def test_wrong_words_are_told(wrong):
    with pytest.raises(SystemExit) as end:
        main(["edit", "a.png", *WORDS, *wrong])
    assert end.value.code == 2


def test_a_missing_photo_is_told(tmp_path, capsys):
    assert main(["edit", str(tmp_path / "none.png"), *WORDS, "--out", str(tmp_path)]) == 2
    assert "none.png" in capsys.readouterr().err
