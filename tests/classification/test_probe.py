"""Probes, few-shot adapters, retrieval and the search for duplicates through the whole command."""

import json
import os
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("mmengine")

import clipkit_plugins.clip
from clipkit_plugins.clip.methods import METHODS, FewShotTask, train
from clipkit_plugins.clip.views import CroppedView

from clipkit import cli
from clipkit.classification.image_sets import ShapesImages
from clipkit.classification.pictures import confusion_picture
from clipkit.data.image_folder import ImageArray
from clipkit.data.shots import draw_shots, split_off
from clipkit.shapes import tiny_clip

assert clipkit_plugins.clip.ProbeLoop


def run(tmp_path, config, *options):
    out = tmp_path / "scores.json"
    words = [config, "none", "--work-dir", str(tmp_path / "w"), "--out", str(out), "--cfg-options"]
    assert cli.run("test", [*words, "test_dataloader.num_workers=1", *options]) == 0
    records = (tmp_path / "w/results.jsonl").read_text().splitlines()
    return json.loads(out.read_text())["scores"], [
        json.loads(line, parse_constant=pytest.fail) for line in records
    ]  # no NaN


def test_probes_through_the_command_are_scikit_learn_s(tmp_path):
    linear_model = pytest.importorskip("sklearn.linear_model")
    sizes = ["test_dataloader.dataset.length=200", "test_cfg.train.length=200", "test_cfg.val.length=80"]
    sizes += ["test_cfg.features=[penultimate]"]
    scores, records = run(tmp_path, "clip/probe_tiny_shapes.py", "variables.label=texture", *sizes)
    clip = tiny_clip()
    data = {}
    for key, arguments in {"train": (200, 1), "val": (80, 2), "test": (200, 0)}.items():
        images = ShapesImages(*arguments, label="texture")
        pixels = torch.from_numpy(images.images).movedim(-1, 1).float() / 255
        data[key] = clip.features(pixels, dense=False).penultimate.double().numpy(), images.labels
    chosen = next(r for r in records if r["probe"] == "logistic" and r["features"].startswith("penultimate"))
    C = float(chosen["chosen"].split()[1])
    x, y = (np.concatenate([data["train"][i], data["val"][i]]) for i in range(2))
    theirs = linear_model.LogisticRegression(C=C, max_iter=5000, tol=1e-6).fit(x, y)
    accuracy = 100 * theirs.score(*data["test"])
    assert scores["penultimate/logistic/top1"] == pytest.approx(accuracy, abs=0.6)  # C is printed with 3 digits
    assert scores["penultimate/ridge/top1"] > 50  # chance is 25
    assert accuracy > 50
    for record in records:
        assert record["weights"].endswith(clip.weights_hash[:12]) and "not normalised" in record["features"]
        assert "on validation data" in record["chosen"] and record["training"] == 200


def test_a_probe_on_real_photos_splits_its_own_validation(tmp_path, data_root):
    root = tmp_path / "bccd"
    (root / "ImageSets/Main").mkdir(parents=True)
    for folder in ("JPEGImages", "Annotations"):
        (root / folder).symlink_to(data_root / "bccd" / folder)
    for split, count in (("train", 12), ("val", 6)):
        names = (data_root / f"bccd/ImageSets/Main/{split}.txt").read_text().split()[:count]
        (root / f"ImageSets/Main/{split}.txt").write_text("\n".join(names))
    scores, records = run(tmp_path, "clip/probe_bccd.py", f"variables.data={root}", "test_cfg.kinds=[ridge]")
    assert scores["penultimate/ridge/mean_per_class"] > 60  # chance is 33
    assert records[0]["held_out"] == pytest.approx(0.2 * (records[0]["held_out"] + records[0]["training"]), abs=3)


def test_shots_are_nested_disjoint_and_reproducible():
    labels = np.arange(300) % 7
    train_2, val_2 = draw_shots(labels, 2, seed=5)
    train_8, val_8 = draw_shots(labels, 8, seed=5)
    assert set(train_2) < set(train_8) and set(val_2) < set(val_8)
    assert not set(train_8) & set(val_8) and len(val_8) == 4 * 7 and len(val_2) == 2 * 7
    assert np.bincount(labels[train_8]).tolist() == [8] * 7
    assert (draw_shots(labels, 2, seed=5)[0] == train_2).all() and set(draw_shots(labels, 2, seed=6)[0]) != set(train_2)
    with pytest.raises(ValueError, match="has 43 examples, 40 shots and 4"):
        draw_shots(labels, 40, seed=0)
    rest, held = split_off(labels, 0.2, seed=0)
    assert sorted([*rest, *held]) == list(range(300)) and 56 <= len(held) <= 63


def test_few_shot_through_the_command(tmp_path):
    names = ["zero-shot", "linear probe", "Tip-Adapter", "Tip-Adapter-F", "CLIP-Adapter", "CoOp"]
    options = [f"test_cfg.methods={names}", "test_cfg.shots=[1,4]", "test_cfg.seeds=[0]", "test_cfg.views=1"]
    options += ["test_dataloader.dataset.length=200", "test_cfg.train.length=400", "variables.label=shape"]
    options += ["test_cfg.coop={'batch':64,'lr':0.02,'epochs':2,'context':4}", "variables.style=night"]
    scores, records = run(tmp_path, "clip/fewshot_tiny_shapes.py", *options)
    assert set(scores) == {f"{name}/{k}" for name in names for k in (1, 4)}
    assert scores["zero-shot/1"] == scores["zero-shot/4"]
    assert scores["linear probe/4"] > scores["linear probe/1"]
    for name in ("Tip-Adapter", "CLIP-Adapter"):  # both hold the zero-shot classifier
        assert scores[f"{name}/4"] > scores["zero-shot/4"] - 8
    assert (tmp_path / "w/fewshot.png").stat().st_size > 1000
    assert {r["method"] for r in records} == set(names) and all(r["views"] == 1 and r["seed"] == 0 for r in records)
    assert any(r["chosen"].startswith("alpha") for r in records)


def test_too_few_images_for_the_shots_are_said_before_anything_is_fitted(tmp_path, capsys):
    options = ["test_cfg.shots=[1,16]", "test_dataloader.dataset.length=40", "test_cfg.train.length=150"]
    words = ["test", "clip/fewshot_tiny_shapes.py", "none", "--work-dir", str(tmp_path), "--cfg-options", *options]
    assert cli.main([*words, "variables.label=shape"]) == 2
    line = capsys.readouterr().err
    assert "training images, and 16 shots with 4 for validation need 20: set test_cfg.shots to numbers up to " in line
    assert 'few-shot: class "' in line and not (tmp_path / "results.jsonl").exists()


def task(seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(5, 128, generator=generator)
    labels = torch.arange(20) % 5
    shots = centres[labels] + 0.7 * torch.randn(1, 20, 128, generator=generator)
    val = centres[labels] + 0.7 * torch.randn(20, 128, generator=generator)
    noisy = torch.nn.functional.normalize(centres + 1.5 * torch.randn(5, 128, generator=generator), dim=-1)
    coop = {"context": 4, "epochs": 3, "lr": 0.02}
    test = centres[labels] + 0.7 * torch.randn(20, 128, generator=generator)
    return FewShotTask(tiny_clip(), list("abcde"), noisy, shots, labels, val, labels, 4, coop=coop), test, labels


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_is_a_function_of_its_task_alone(name):
    given, test, labels = task()
    first = METHODS[name](given).logits(test)
    torch.manual_seed(12345)
    again = METHODS[name](given).logits(test)
    assert torch.equal(first, again) and first.shape == (20, 5) and not first.requires_grad
    if name in ("linear probe", "Tip-Adapter", "Tip-Adapter-F"):
        zero = METHODS["zero-shot"](given).logits(test)
        assert (first.argmax(1) == labels).sum() >= (zero.argmax(1) == labels).sum()


def test_coop_s_schedule_warms_up_for_an_epoch():
    weight = torch.nn.Parameter(torch.zeros(2, 3))
    before = []

    def logits(x):
        before.append(weight.detach().clone())
        return x @ weight.T

    x, y = torch.eye(3).repeat(2, 1), torch.tensor([0, 1, 0, 1, 1, 0])
    train([weight], logits, x, y, 0, epochs=3, batch=3, lr=0.5, sgd=True)
    steps = [(b - a).abs().max().item() for a, b in pairwise(before)]
    assert max(steps[:2]) < 1e-5 < 1e-2 < steps[2]  # two steps an epoch; the first epoch has the rate 1e-5


def test_views_differ_from_the_image_and_not_from_themselves():
    images = ImageArray(np.random.default_rng(0).integers(0, 256, (2, 40, 60, 3), dtype=np.uint8), [0, 0], ["a"])
    view = CroppedView(images, 1)
    assert (view.read(0) == CroppedView(images, 1).read(0)).all() and view.read(0).shape[0] == view.read(0).shape[1]
    assert view.identify(0) != CroppedView(images, 2).identify(0) != images.identify(0)
    assert view.read(0).shape != CroppedView(images, 2).read(0).shape or (view.read(0) != view.read(1)).any()


def test_retrieval_through_the_command(tmp_path):
    scores, records = run(tmp_path, "clip/retrieval_tiny_shapes.py", "test_dataloader.dataset.count=150")
    assert scores["text_to_image/R@1"] > 90 and scores["image_to_text/R@1"] > 90
    assert records[0]["texts"] == records[0]["images"] == 150 and records[0]["direction"] == "text_to_image"


def test_retrieval_on_karpathy_s_layout(tmp_path):
    from clipkit.shapes.evaluate import distinct_pairs

    images, texts = distinct_pairs(12)
    (tmp_path / "flickr30k-images").mkdir()
    rows = []
    for i, (image, text) in enumerate(zip(images, texts)):
        pixels = (image * 255).byte().movedim(0, -1).numpy()
        Image.fromarray(pixels).save(tmp_path / f"flickr30k-images/{i}.png")
        rows.append(
            {"filename": f"{i}.png", "split": "test", "sentences": [{"raw": text}, {"raw": f"a photo of {text}"}]}
        )
    (tmp_path / "dataset_flickr30k.json").write_text(json.dumps({"images": rows}))
    options = [f"variables.data={tmp_path}", "model.clip=tiny_shapes", "model.pretrained=None"]
    scores, records = run(tmp_path, "clip/retrieval_flickr30k.py", *options)
    assert records[0]["texts"] == 24 and scores["image_to_text/R@5"] == 100
    assert scores["text_to_image/R@1"] > 80


def test_duplicates_through_the_command(tmp_path):
    for part, seed, count in (("test", 0, 24), ("train", 1, 24)):
        images = ShapesImages(count, seed=seed, label="colour")
        for i in range(count):
            path = tmp_path / part / images.names[images.labels[i]] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images.read(i)).save(path)
    folders = sorted(path.name for path in (tmp_path / "test").iterdir())
    copied = sorted((tmp_path / "test").rglob("*.png"))[3]
    target = tmp_path / "train" / sorted(path.name for path in (tmp_path / "train").iterdir())[0] / "copy.jpg"
    Image.open(copied).resize((100, 100)).save(target, quality=70)
    options = [f"variables.test={tmp_path / 'test'}", f"variables.train={tmp_path / 'train'}"]
    options += ["model.clip=tiny_shapes", "model.pretrained=None"]
    scores, records = run(tmp_path, "clip/duplicates_folder.py", *options)
    assert scores["duplicates"] == 1 and scores["contamination"] == pytest.approx(100 / 24, abs=0.01)
    table = (tmp_path / "w/duplicates.csv").read_text().splitlines()
    assert len(table) == 2 and copied.name in table[1] and "copy.jpg" in table[1]
    assert (tmp_path / "w/duplicates.png").is_file() and records[0]["against"] == 25 and folders


def test_names_of_folders_and_files_may_be_anything(tmp_path):
    """A `$` is no formula in a picture, and a file's name may be bytes that are no text."""
    for number, (part, folder) in enumerate((p, f) for p in ("test", "train") for f in ("100$ (50%) $", "$10%$")):
        (tmp_path / part / folder).mkdir(parents=True)
        name = os.fsdecode(b"caf\xe9.png") if part == "test" else "b.png"
        Image.new("RGB", (64, 64), (255, 60 * (number % 2), 0)).save(tmp_path / part / folder / name)
    options = [f"variables.test={tmp_path / 'test'}", f"variables.train={tmp_path / 'train'}"]
    options += ["model.clip=tiny_shapes", "model.pretrained=None"]
    scores, _ = run(tmp_path, "clip/duplicates_folder.py", *options)
    assert scores["duplicates"] == 2 and b"caf\xe9.png" in (tmp_path / "w/duplicates.csv").read_bytes()
    numbers, names = torch.tensor([[1, 1, 0], [0, 2, 0]]), ["100$ (50%) $", "$10%$"]
    confusion_picture(numbers, names).savefig(tmp_path / "c.png")


def test_mistakes_are_named(tmp_path, capsys):
    def error(config, *options):
        assert cli.main(["test", config, "none", "--work-dir", str(tmp_path), "--cfg-options", *options]) == 2
        return capsys.readouterr().err

    few = ["test_dataloader.dataset.length=10", "test_cfg.train.length=10"]
    line = error("clip/fewshot_tiny_shapes.py", *few, "test_cfg.methods=[Tip]")
    assert 'no method "Tip"' in line and "Known: CLIP-Adapter" in line.replace("did you mean", "")
    assert 'CoOp has no option "rate"' in error("clip/fewshot_tiny_shapes.py", *few, "test_cfg.coop={'rate':1}")
    assert "features= is a list of" in error("clip/probe_tiny_shapes.py", *few, "test_cfg.features=[pixels]")
    different = ["test_cfg.train.label=shape", "test_cfg.val.length=10"]
    assert "different classes" in error("clip/probe_tiny_shapes.py", *few, *different)
    assert "has no captions" in error("clip/zeroshot_tiny_shapes.py", few[0], "test_cfg.type=ImageTextLoop")
