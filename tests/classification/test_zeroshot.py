"""Zero-shot classification through the whole command: numbers against loops, other labels, real photos."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("mmengine")

import clipkit_plugins.clip  # noqa: F401

from clipkit import cli
from clipkit.classification.image_sets import ShapesImages, build_images
from clipkit.data.image_folder import ImageArray, ImageFolder
from clipkit.data.images import read_image
from clipkit.embed import images as image_features_module
from clipkit.embed.images import image_features
from clipkit.errors import ClipkitError
from clipkit.shapes import render, tiny_clip
from clipkit.store import Store

CONFIG = "clip/zeroshot_tiny_shapes.py"
SCENE = Path(__file__).parents[2] / "examples/scene.png"
FEW = ["test_dataloader.dataset.length=60", "model.templates=['{}','photo']"]


def run(tmp_path, *arguments, options=()):
    out = tmp_path / "scores.json"
    words = [CONFIG, "none", "--work-dir", str(tmp_path / "w"), "--out", str(out), *arguments]
    assert cli.run("test", [*words, "--cfg-options", *FEW, *options]) == 0
    records = (tmp_path / "w/results.jsonl").read_text().splitlines()
    return json.loads(out.read_text())["scores"], [json.loads(line) for line in records]


def by_hand(clip, images, prompts, labels):
    """Top-1 and top-5 in loops: preprocess each image, normalise, average prompts, count."""
    rows = []
    for group in prompts:
        mean = sum(clip.encode_text([text])[0].double() for text in group) / len(group)
        rows.append(mean / mean.norm())
    right = near = 0
    for index, label in enumerate(labels):
        pixels = clip.preprocess(Image.fromarray(images.read(index)))
        image = clip.encode_image(pixels[None])[0].double()
        order = sorted(range(len(rows)), key=lambda k: -float(image @ rows[k]))
        right += order[0] == label
        near += label in order[:5]
    return 100 * right / len(labels), 100 * near / len(labels)


def test_the_command_s_numbers_are_those_of_loops(tmp_path):
    scores, records = run(tmp_path, options=["test_dataloader.dataset.style=night"])
    images, clip = ShapesImages(60, style="night"), tiny_clip()
    for key, template in (("bare", "{}"), ("photo", "a photo of a {}.")):
        expected = by_hand(clip, images, [[template.format(n)] for n in images.names], images.labels.tolist())
        assert (scores[f"{key}/top1"], scores[f"{key}/top5"]) == pytest.approx(expected, abs=0.01)
    assert 3 < scores["bare/top1"] < 100
    assert (tmp_path / "w/confusion.png").stat().st_size > 1000
    for record in records:  # every number says what made it
        assert record["weights"].endswith(clip.weights_hash[:12]) and record["weights"].startswith("tiny_clip")
        assert record["activation"] == "GELU" and record["names"] == "96, the data set's"
        assert record["resize"] == "short side to 64, centre crop, bicubic" and record["images"] == 60
        assert {"templates", "precision", "commit", "hardware", "date"} <= set(record)
        assert str(Path.home()) not in json.dumps(record)


def test_an_ensemble_is_the_mean_of_its_prompts(tmp_path):
    scores, _ = run(tmp_path, options=["model.templates=[['a small {}','a large {}','{}']]"])
    images = ShapesImages(60)
    prompts = [[f"a small {n}", f"a large {n}", n] for n in images.names]
    expected = by_hand(tiny_clip(), images, prompts, images.labels.tolist())
    assert (scores["own3/top1"], scores["own3/top5"]) == pytest.approx(expected, abs=0.01)


def test_other_labels_synonyms_distractors_and_classes_left_out(tmp_path):
    option = ["test_dataloader.dataset.label=colour"]
    scores, records = run(tmp_path, "--labels", "red; scarlet, golden; yellow, unicorn", options=option)
    images, clip = ShapesImages(60, label="colour"), tiny_clip()
    labels = images.labels
    kept = [i for i in range(60) if labels[i] in (0, 2)]  # red, yellow
    rows = []
    for group in (("red", "scarlet"), ("golden", "yellow"), ("unicorn",)):
        mean = sum(clip.encode_text([word])[0].double() for word in group)
        rows.append(mean / mean.norm())
    right = 0
    for i in kept:
        image = clip.encode_image(clip.preprocess(Image.fromarray(images.read(i)))[None])[0].double()
        right += (0, 2, -1)[max(range(3), key=lambda k: float(image @ rows[k]))] == labels[i]
    assert scores["bare/top1"] == pytest.approx(100 * right / len(kept), abs=0.01)
    assert records[-1]["images"] == len(kept)
    assert "distractors: unicorn" in records[-1]["names"] and "left out of the score: orange" in records[-1]["names"]


def test_names_that_no_class_has_are_refused(tmp_path, capsys):
    arguments = ["test", CONFIG, "none", "--work-dir", str(tmp_path), "--labels", "unicorn"]
    assert cli.main([*arguments, "--cfg-options", *FEW]) == 2
    assert "no image has one of these names" in capsys.readouterr().err


def test_loops_that_take_no_labels_say_so(tmp_path, capsys):
    arguments = ["test", "clip/probe_tiny_shapes.py", "none", "--work-dir", str(tmp_path), "--labels", "unicorn"]
    assert cli.main([*arguments]) == 2
    assert "goes by the data set's own classes: leave the labels out" in capsys.readouterr().err
    assert cli.main(["train", CONFIG, "--amp", "--work-dir", str(tmp_path)]) == 2
    assert "has no `train_cfg`" in capsys.readouterr().err
    assert cli.main(["predict", CONFIG, "none", str(SCENE), "--labels", "a, b", "--out", str(tmp_path)]) == 2
    assert "ClipClassifier neither segments nor detects" in capsys.readouterr().err


def test_features_are_computed_once_and_follow_the_content(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in ("cat/a.png", "cat/b.jpg", "dog/c.png"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)).save(path)
    clip, images = tiny_clip(), ImageFolder(tmp_path / "set")
    first = image_features(clip, images, tmp_path / "store")
    pixels = torch.stack([clip.preprocess(Image.fromarray(images.read(i))) for i in range(3)])
    expected = clip.features(pixels, dense=False)
    assert torch.allclose(first.embedding, expected.embedding, atol=1e-5)
    assert torch.allclose(first.penultimate, expected.penultimate, atol=1e-5)
    assert first.thumbnail.shape == (3, 16, 16)

    passes = []
    real = type(clip).features
    monkeypatch.setattr(type(clip), "features", lambda self, x, **k: passes.append(len(x)) or real(self, x, **k))
    again = image_features(clip, images.take([2, 0]), tmp_path / "store")
    assert passes == [] and torch.equal(again.embedding, first.embedding[[2, 0]])
    Image.fromarray(rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)).save(tmp_path / "set/cat/a.png")
    changed = image_features(clip, ImageFolder(tmp_path / "set"), tmp_path / "store")
    assert passes == [1] and torch.equal(changed.embedding[1:], first.embedding[1:])
    assert (changed.embedding[0] - first.embedding[0]).abs().max() > 1e-3
    (folder,) = (tmp_path / "store").iterdir()
    assert Store(folder).key["weights"] == clip.weights_hash and len(Store(folder)) == 4


def test_a_broken_photo_does_not_lock_the_store(tmp_path):
    rng, clip = np.random.default_rng(0), tiny_clip()
    for name in ("a", "b", "c"):
        (tmp_path / "set/cat").mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)).save(tmp_path / f"set/cat/{name}.png")
    bad, whole = tmp_path / "set/cat/b.png", (tmp_path / "set/cat/b.png").read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ClipkitError, match=r"b\.png"):
        image_features(clip, ImageFolder(tmp_path / "set"), tmp_path / "store")
    expected = image_features(clip, ImageArray(np.stack([read_image(tmp_path / f"set/cat/{n}.png") for n in "ac"]),
                                               np.zeros(2, int), ["cat"]), tmp_path / "aside")  # fmt: skip
    bad.unlink()
    found = image_features(clip, ImageFolder(tmp_path / "set"), tmp_path / "store")
    assert torch.allclose(found.embedding, expected.embedding, atol=1e-5)
    bad.write_bytes(whole)
    assert len(image_features(clip, ImageFolder(tmp_path / "set"), tmp_path / "store")) == 3


def test_images_of_a_stopped_run_come_when_they_are_wanted_again(tmp_path, monkeypatch):
    scenes = render(6, seed=5, objects=(1, 1), split=None)
    pixels = (scenes.images * 255).byte().movedim(1, -1).numpy()
    clip, images = tiny_clip(), ImageArray(pixels, np.zeros(6, int), ["thing"])

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(clip), "features", killed)
        image_features(clip, images, tmp_path / "store")
    few = image_features(clip, images.take([1, 4]), tmp_path / "store")
    for _ in range(2):  # the second time from the store
        found = image_features(clip, images, tmp_path / "store")
        assert torch.equal(found.embedding[[1, 4]], few.embedding)
        assert found.embedding.norm(dim=1).min() > 0.1 and len(found.embedding) == 6


def test_a_run_that_needs_less_leaves_nothing_out_of_another_s(tmp_path, monkeypatch):
    """While A works on its first shard B, which wants one image of the second, writes that shard, A's image empty."""
    monkeypatch.setattr(image_features_module, "SHARD", 8)
    monkeypatch.setattr(image_features_module, "BATCH", 2)
    pixels = (render(20, seed=5, split=None).images * 255).byte().movedim(1, -1).numpy()
    clip, images, others = tiny_clip(), ImageArray(pixels, np.zeros(20, int), ["thing"]), []
    alone = image_features(clip, images, tmp_path / "alone")

    class Interrupted(ImageArray):
        def read(self, index):
            if index == 5 and not others and list(tmp_path.glob("store/*/part-0000.json")):  # within A's first shard
                others.append(None)
                others[0] = image_features(clip, images.take([10]), tmp_path / "store")
            return super().read(index)

    mine = Interrupted(images.images, images.labels, images.names)
    found = image_features(clip, mine, tmp_path / "store", workers=1)
    assert len(others[0].embedding) == 1 and len(found.embedding) == len(found.ids) == 20
    torch.testing.assert_close(found.embedding, alone.embedding, atol=1e-4, rtol=1e-4)


def test_a_folder_of_real_photos(tmp_path, data_root):
    """Cells cut out of real photos, as files in folders, through the command."""
    from clipkit.data.annotations import read_voc
    from clipkit.data.image_folder import BoxImages

    rename = dict(RBC="red blood cell", WBC="white blood cell", Platelets="platelet")
    found = read_voc(data_root / "bccd", "val", list(rename.values()), rename, check=False)
    cells = BoxImages(found, on_bad="skip")  # one box has no size
    chosen = [i for k in range(3) for i in np.flatnonzero(cells.labels == k)[:6]]
    for i in chosen:
        path = tmp_path / "cells" / cells.names[cells.labels[i]].replace(" ", "_") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(cells.read(i)).save(path)
    options = ["model.clip=tiny_shapes", "model.pretrained=None", "model.templates=['photo']"]
    options += [f"variables.images={tmp_path / 'cells'}", "test_dataloader.num_workers=1"]
    out = ["--work-dir", str(tmp_path / "w"), "--out", str(tmp_path / "s.json"), "--cfg-options", *options]
    assert cli.run("test", ["clip/zeroshot_folder.py", "none", *out]) == 0
    record = json.loads((tmp_path / "w/results.jsonl").read_text())
    assert record["images"] == 18 and record["names"] == "3, the data set's"
    order = sorted(chosen, key=lambda i: (cells.names[cells.labels[i]], str(i)))
    labels = [sorted(cells.names).index(cells.names[cells.labels[i]]) for i in order]
    prompts = [[f"a photo of a {name}."] for name in sorted(cells.names)]
    expected = by_hand(tiny_clip(), cells.take(order), prompts, labels)
    scores = json.loads((tmp_path / "s.json").read_text())["scores"]
    assert scores["photo/top1"] == pytest.approx(expected[0], abs=0.01)


def test_boxes_of_coco_s_format_in_a_config(tmp_path):
    pixels = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels).save(tmp_path / "photos/x.png")
    content = {
        "images": [{"id": 1, "file_name": "x.png", "width": 30, "height": 20}],
        "categories": [{"id": 7, "name": "cell"}, {"id": 9, "name": "plate"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 9, "bbox": [2, 3, 10, 12], "iscrowd": 0}],
    }
    (tmp_path / "x.json").write_text(json.dumps(content))
    config = dict(type="COCOBoxes", annotations=str(tmp_path / "x.json"), images=str(tmp_path / "photos"))
    images = build_images({**config, "names": ["blood cell", "dish"], "enlarge": 1.0})
    assert images.names == ("blood cell", "dish") and images.labels.tolist() == [1]
    assert (images.read(0) == pixels[3:15, 2:12]).all()
