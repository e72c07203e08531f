"""What is written is what is read: the same outputs to the bit, nothing of this machine, whole or not at all."""

import filecmp
import json
import os

import pytest
import torch
import yaml

pytest.importorskip("mmseg")

from clipkit import cli
from clipkit.backbone import FrozenCLIP, save_open_clip_folder
from clipkit.bundle import read_bundle, write
from clipkit.engine import Detector, Segmenter
from clipkit.errors import ClipkitError
from clipkit.predict.depth import DepthPredictor
from clipkit.predict.predictor import Predictor
from clipkit.shapes import render
from support.bundles import CLASSES, DEPTH, depth_bundle, fcn_bundle, fcn_work_dir


@pytest.fixture(scope="module")
def photo():
    return render(1, seed=3).images[0]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("fcn")
    return root / "work", fcn_bundle(root)


def test_a_bundle_gives_the_same_scores_to_the_bit(made, photo):
    work_dir, folder = made
    before = Segmenter.load(str(work_dir), device="cpu")(photo)
    after = Segmenter.from_pretrained(folder, device="cpu")(photo)
    assert torch.equal(before.labels, after.labels) and torch.equal(before.scores, after.scores)
    assert after.names == CLASSES  # which a closed set says in its checkpoint
    assert type(Predictor.from_pretrained(folder)) is Segmenter


def test_it_keeps_the_resize_and_types_of_numbers(made):
    assert Segmenter.from_pretrained(made[1]).resize.scale == (64, 48)
    config = read_bundle(made[1]).config
    assert config["model"]["backbone"]["channels"] == (4, 8) and config["model"]["data_preprocessor"]["size"] == (
        32,
        32,
    )


def test_nothing_of_the_machine_is_in_it(made):
    for file in (path for path in made[1].rglob("*") if path.is_file()):
        content = file.read_bytes()
        assert b"somebody" not in content and str(made[0].parent).encode() not in content, file
        assert b"Normal" not in content and file.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_card_says_what_the_work_folder_recorded(made, tmp_path):
    text = (made[1] / "README.md").read_text()
    header = yaml.safe_load(text.split("---")[1])
    assert header == {
        "library_name": "clipkit",
        "tags": ["clipkit", "clip"],
        "pipeline_tag": "image-segmentation",
    }
    assert "| mIoU | 41.25 |" in text and "20.5" not in text and "`Mine`, `mmseg.IoUMetric`" in text
    assert "3: grass, sky, a road" in text and "10 iterations" in text and "Nobody has said one" in text
    licensed = Segmenter.from_pretrained(made[1]).save_pretrained(tmp_path / "b", licence="cc-by-4.0")
    assert yaml.safe_load((licensed / "README.md").read_text().split("---")[1])["license"] == "cc-by-4.0"


def test_a_bundle_of_a_bundle_is_the_same(made, tmp_path):
    again = Segmenter.from_pretrained(made[1]).save_pretrained(tmp_path / "bundle")
    names = [str(path.relative_to(again)) for path in again.rglob("*") if path.is_file()]
    assert filecmp.cmpfiles(made[1], again, names, shallow=False) == (names, [], [])


def test_what_is_there_is_not_overwritten_and_nothing_half_is_left(made, tmp_path, monkeypatch):
    segmenter = Segmenter.from_pretrained(made[1])
    (tmp_path / "there").mkdir()
    with pytest.raises(ClipkitError, match="there: exists"):
        segmenter.save_pretrained(tmp_path / "there")
    monkeypatch.setattr(write, "write_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        segmenter.save_pretrained(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_labels_that_were_set_meanwhile_are_not_the_models(tmp_path):
    predictor = DepthPredictor.from_pretrained(depth_bundle(tmp_path / "b"))
    assert read_bundle(tmp_path / "b").records.labels == predictor.model.label_names == ()
    with pytest.raises(ClipkitError, match="DepthPredictor, not for Detector"):
        Detector.from_pretrained(tmp_path / "b")
    with pytest.raises(ClipkitError, match="made of a model without its config"):
        Segmenter(torch.nn.Identity()).save_pretrained(tmp_path / "c")


def test_a_clip_that_ships_is_named_and_one_of_a_folder_is_held(tmp_path, photo):
    named = depth_bundle(tmp_path / "named")
    assert not (named / "clip").exists() and b"distance_clip" in (named / "bundle.json").read_bytes()
    clip = FrozenCLIP.from_pretrained("distance_clip")
    with torch.no_grad():
        next(clip.model.text.parameters() if hasattr(clip.model, "text") else clip.model.parameters()).mul_(1.5)
    save_open_clip_folder(clip, tmp_path / "mine", "fp16")
    mine = DEPTH.replace('"distance_clip"', f'dict(name="local-dir:{tmp_path}/mine")')
    held = depth_bundle(tmp_path / "held", mine)
    before = DepthPredictor.load(str(tmp_path / "held.py"), device="cpu")(photo).metres
    os.rename(tmp_path / "mine", tmp_path / "gone")
    os.rename(held, tmp_path / "moved")
    after = DepthPredictor.from_pretrained(tmp_path / "moved", device="cpu")(photo).metres
    assert (before == after).all()
    assert str(tmp_path).encode() not in (tmp_path / "moved/bundle.json").read_bytes()


def test_commands(tmp_path, capsys, made):
    work_dir = fcn_work_dir(tmp_path / "work")
    assert cli.run("bundle", [str(work_dir), str(tmp_path / "out"), "--licence", "mit"]) == 0
    assert "for Segmenter.from_pretrained" in capsys.readouterr().out
    assert cli.run("bundle", [str(work_dir), str(tmp_path / "out")]) == 2
    assert "out: exists" in capsys.readouterr().err
    scene = os.path.join(os.path.dirname(__file__), "..", "..", "examples", "scene.png")
    for source in (work_dir, tmp_path / "out"):
        assert cli.run("predict", [str(source), scene, "--out", str(tmp_path / f"p_{source.name}")]) == 0
    pictures = sorted(path.name for path in (tmp_path / "p_work").iterdir())
    assert filecmp.cmpfiles(tmp_path / "p_work", tmp_path / "p_out", pictures, shallow=False) == (pictures, [], [])


def test_what_a_stranger_does_not_have_is_refused_when_it_is_written(tmp_path):
    for config, said in (
        (DEPTH.replace("stride=4", "stride=4, words_of='/home/somebody/x.csv'"), "words_of"),
        (DEPTH.replace('"near"', '"/home/somebody/near"'), "model.words.0 names a file or address outside"),
    ):
        with pytest.raises((ClipkitError, TypeError), match=said):
            depth_bundle(tmp_path / "b", config)
    assert not (tmp_path / "b").exists() and not list(tmp_path.glob(".b*"))


def test_label_files_and_rows_travel(tmp_path):
    from mmengine.config import Config

    from clipkit.bundle._inference import InferenceConfig

    (tmp_path / "in").mkdir()
    (tmp_path / "in/labels.txt").write_text("cat; puss\ndog\n")
    (tmp_path / "in/rows.npy").write_bytes(b"rows")
    (tmp_path / "in/rows.json").write_text('["cat", "dog"]')
    (tmp_path / "out").mkdir()
    text = {"path": str(tmp_path / "in/rows.npy"), "clip": {"name": "ViT-B-32", "pretrained": "openai"}}
    model = {"type": "LSeg", "classes": str(tmp_path / "in/labels.txt"), "text": text, "cache_dir": "/home/x"}
    values = InferenceConfig(Config({"model": model}), tmp_path / "out").values["model"]
    assert values["classes"] == ["cat", "dog"] and "cache_dir" not in values
    assert values["text"] == {"path": "{bundle}/files/rows.npy", "clip": text["clip"]}
    assert json.loads((tmp_path / "out/files/rows.json").read_text()) == ["cat", "dog"]


def test_a_bundle_stands_for_a_checkpoint_and_names_its_clip(tmp_path, made):
    from clipkit.engine.checkpoint import load_checkpoint, resolve_checkpoint

    assert resolve_checkpoint(made[1]) == made[1] / "model.safetensors"
    before = load_checkpoint(made[0] / "iter_10.pth")["state_dict"]
    after = load_checkpoint(resolve_checkpoint(made[1]))
    assert after["meta"]["frozen"] == [] and before.keys() == after["state_dict"].keys()
    assert all(torch.equal(before[name], after["state_dict"][name]) for name in before)
    folder = depth_bundle(tmp_path / "b")
    said = load_checkpoint(folder / "model.safetensors")["meta"]["frozen"]
    assert said == read_bundle(folder).frozen and said[0]["name"] == "distance_clip"
