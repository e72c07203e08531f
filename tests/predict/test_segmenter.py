"""From a config to a picture: train two steps, then Segmenter, predict, browse, metric, with other labels."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("mmseg")

from mmengine.registry import DefaultScope
from mmseg.evaluation import IoUMetric

from clipkit.commands.browse import main as browse
from clipkit.commands.predict import main as predict
from clipkit.engine import Segmenter, build_runner
from clipkit.errors import ClipkitError
from clipkit.segmentation.metrics import SeenUnseenIoU
from clipkit.segmentation.picture import predict_samples
from clipkit.segmentation.shapes_dataset import ShapesSegDataset
from clipkit.shapes import render
from clipkit.text import Vocabulary

CONFIG = """
default_scope = "clipkit"
plugins = ["lseg"]
variables = dict(rows="{rows}", scenes=8)
pipeline = [dict(type="mmseg.PackSegInputs", meta_keys=("img_path", "ori_shape", "img_shape"))]
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type="ResumableInfiniteSampler"),
    dataset=dict(type="ShapesSegDataset", length="{{scenes}}", seed=1, subset="seen", pipeline=pipeline),
)
val_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="ShapesSegDataset", length=4, seed=2, pipeline=pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="SeenUnseenIoU")
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
model = dict(
    type="LSeg", classes="shapes", train_classes="shapes:composition", text=dict(path="{{rows}}"),
    tower=dict(type="ConvTower", channels=(4, 8), blocks=(1, 1)), decoder=dict(type="FPNDecoder", features=8),
    points=32, points_balance=0.5, precision="fp32",
    data_preprocessor=dict(
        type="mmseg.SegDataPreProcessor", mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True, size=(64, 64),
        seg_pad_val=255,
    ),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=2, val_interval=2)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3))
custom_hooks = [dict(type="SegPictureHook", count=4)]
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from clipkit.shapes import class_names

    folder = tmp_path_factory.mktemp("lseg")
    names = [*class_names(), "unicorn"]
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(size=(len(names), 16)).astype(np.float32))
    (folder / "rows.json").write_text(json.dumps(names))
    config = folder / "tiny.py"
    config.write_text(CONFIG.format(rows=folder / "rows.npy"))
    runner = build_runner(config, work_dir=folder / "work")
    runner.train()
    return config, folder / "work" / "iter_2.pth", folder


@pytest.fixture(scope="module")
def segmenter(trained):
    return Segmenter.load(trained[0], trained[1])


def test_training_leaves_checkpoint_and_picture(trained):
    _, checkpoint, folder = trained
    assert checkpoint.is_file()
    with Image.open(folder / "work" / "predictions.png") as picture:
        assert picture.width > 6 * 192


def test_kinds_of_images_agree(segmenter, tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(tmp_path / "x.png")
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)
    forms = [tmp_path / "x.png", str(tmp_path / "x.png"), Image.fromarray(rgb), rgb, tensor, tensor.float() / 255]
    results = [segmenter(form) for form in forms]
    for result in results:
        assert result.labels.shape == result.scores.shape == (48, 64) and len(result.names) == 102
        torch.testing.assert_close(result.labels, results[0].labels)
        torch.testing.assert_close(result.scores, results[0].scores)
    assert sum(results[0].shares().values()) == pytest.approx(100)


def test_channels_are_those_of_training(segmenter):
    """The data set's item through the model, and its picture as RGB through Segmenter, give the same result."""
    pipeline = [{"type": "mmseg.PackSegInputs", "meta_keys": ("ori_shape", "img_shape")}]
    with DefaultScope.overwrite_default_scope("clipkit"):
        dataset = ShapesSegDataset(2, seed=3, pipeline=pipeline)
    segmenter.set_labels(None)
    (rgb, wanted), *_ = predict_samples(segmenter.model, dataset, [1])
    assert np.abs(rgb / 255 - render(256, seed=3 * 1_000_003).images[1].permute(1, 2, 0).numpy()).max() < 0.003
    assert torch.equal(segmenter(rgb).labels, wanted.pred_sem_seg.data[0])
    assert not torch.equal(segmenter(rgb[..., ::-1].copy()).labels, wanted.pred_sem_seg.data[0])


def test_labels_change_and_come_back(segmenter):
    rgb = np.full((64, 64, 3), 80, np.uint8)
    trained_names = segmenter(rgb).names
    two = segmenter(rgb, "unicorn, grass")
    assert two.names == ("unicorn", "grass") and int(two.labels.max()) <= 1
    logits = segmenter.model.encode_decode(torch.zeros(1, 3, 8, 8))
    assert logits.shape[1] == 2
    assert segmenter(rgb, Vocabulary(["grass"])).names == ("grass",)
    assert segmenter(rgb).names == trained_names
    with pytest.raises(ClipkitError, match="no embedding for dragon"):
        segmenter(rgb, ["dragon"])


def test_bad_images_are_one_line(segmenter):
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        segmenter(torch.randn(3, 8, 8))
    with pytest.raises(ValueError, match=r"must be uint8, uint16, bool or float in \[0, 1\], got int64"):
        segmenter(np.zeros((8, 8, 3), np.int64))
    with pytest.raises(FileNotFoundError, match="no such image"):
        segmenter("nowhere.png")


def test_wrong_checkpoint_is_one_line(trained, tmp_path):
    with pytest.raises(ClipkitError, match="no such checkpoint"):
        Segmenter.load(trained[0], tmp_path / "none.pth")
    state = torch.load(trained[1], weights_only=True)
    state["state_dict"].pop("head.bias")
    torch.save(state, tmp_path / "half.pth")
    with pytest.raises(ClipkitError, match=r"head\.bias"):
        Segmenter.load(trained[0], tmp_path / "half.pth")


def test_predict_writes_everything_and_goes_on_after_a_bad_file(trained, tmp_path, capsys):
    images = tmp_path / "images"
    (images / "more").mkdir(parents=True)
    for name in ("a.png", "more/a.png"):
        Image.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(images / name)
    (images / "b.png").write_text("no picture")
    out = tmp_path / "out"
    labels = ["--labels", "grass, unicorn; red star"]
    code = predict([str(trained[0]), str(trained[1]), str(images), *labels, "--out", str(out)])
    text = capsys.readouterr()
    assert code == 1 and "2 of 3 images" in text.out
    assert text.err.count("\n") == 1 and "b.png" in text.err
    for stem in ("a", "a-2"):
        record = json.loads((out / f"{stem}.json").read_text())
        assert record["labels"] == ["grass", "unicorn"] and record["size"] == [50, 40]
        assert sum(record["shares"].values()) == pytest.approx(100, abs=0.01)
        with Image.open(out / record["label_map"]) as labels:
            ids = np.asarray(labels)
        assert ids.shape == (40, 50)
        share = 100 * float((ids == 0).mean())
        assert record["shares"].get("grass", 0.0) == pytest.approx(share, abs=0.01)
        with Image.open(out / f"{stem}_overlay.png") as picture:
            assert picture.height >= 320  # small images are enlarged: the picture is for people


def test_a_work_folder_is_a_model_wherever_it_lies(trained, segmenter, tmp_path, capsys):
    moved = tmp_path / "moved"
    shutil.copytree(trained[2] / "work", moved)
    assert str(trained[2]) not in (moved / "trained/config.py").read_text().replace(str(trained[2] / "work"), "")
    rgb = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    assert torch.equal(Segmenter.load(moved)(rgb, "grass, brick").labels, segmenter(rgb, "grass, brick").labels)
    Image.fromarray(rgb).save(tmp_path / "x.png")
    arguments = [str(tmp_path / "x.png"), "--labels", "grass, brick", "--out", str(tmp_path / "out"), "--beside"]
    assert predict([str(moved), *arguments]) == 0
    assert "1 of 1 images, 2 labels" in capsys.readouterr().out
    with Image.open(tmp_path / "out/x_overlay.png") as picture:
        assert picture.width > 2 * 64 * 6
    with pytest.raises(ClipkitError, match="no work folder"):
        predict([str(trained[0]), str(tmp_path / "x.png")])


def test_equal_sizes_share_a_pass_and_the_order_stays(segmenter, monkeypatch):
    random = np.random.default_rng(2)
    sizes = [(32, 48), (24, 24), (32, 48), (32, 48), (24, 24)]
    images = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    alone = [segmenter(image, "grass, brick, unicorn") for image in images]
    passes = []
    step = segmenter.model.test_step
    monkeypatch.setattr(segmenter.model, "test_step", lambda batch: passes.append(len(batch["inputs"])) or step(batch))
    together = segmenter(images, "grass, brick, unicorn")
    assert passes == [3, 2]
    for one, other, image in zip(together, alone, images):
        torch.testing.assert_close(one.scores, other.scores, atol=1e-4, rtol=0)
        assert (one.labels == other.labels).float().mean() > 0.99 and one.image is not None
        assert np.array_equal(one.image, image)
    assert [len(list(segmenter.each(images, batch_size=2))), passes[2:]] == [5, [2, 1, 2]]


def test_a_video_gives_a_film(trained, tmp_path, capsys):
    pytest.importorskip("av")
    from clipkit.data import probe_video
    from clipkit.shapes.film_files import write_film

    write_film(np.random.default_rng(0).integers(0, 256, (6, 48, 64, 3), dtype=np.uint8), tmp_path / "a.mkv", 8)
    assert (
        predict([str(trained[2] / "work"), str(tmp_path / "a.mkv"), "--out", str(tmp_path), "--labels", "grass"]) == 0
    )
    assert "6 frames" in capsys.readouterr().out
    film = probe_video(tmp_path / "a.mp4")
    assert film.frames == 6 and film.fps == pytest.approx(8, abs=0.01) and min(film.size) >= 240


def test_browse_draws_what_the_pipeline_gives(trained, tmp_path, capsys):
    assert browse([str(trained[0]), "--out", str(tmp_path), "--count", "3", "--cfg-options", "variables.scenes=5"]) == 0
    assert "3 of 5 train items" in capsys.readouterr().out
    with Image.open(tmp_path / "tiny_train.png") as picture:
        assert picture.width > 6 * 128
    with pytest.raises(ClipkitError, match="at least 1"):
        browse([str(trained[0]), "--count", "0"])


def metric_on(predictions, targets, meta, label_names=None, vocabulary=None):
    metric = SeenUnseenIoU()
    metric.dataset_meta = meta
    if vocabulary is not None:
        metric.set_labels(vocabulary)
    samples = []
    for p, t in zip(predictions, targets):
        samples.append({"pred_sem_seg": {"data": p[None]}, "gt_sem_seg": {"data": t[None]}})
        if label_names is not None:
            samples[-1]["label_names"] = label_names
    metric.process({}, samples)
    return metric.compute_metrics(metric.results)


def test_metric_equals_mmseg_and_splits_seen_from_unseen():
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(4, (3, 8, 8), generator=generator)
    targets[:, 0] = 255
    predictions = torch.where(torch.rand(3, 8, 8, generator=generator) < 0.7, targets % 4, targets.flip(0) % 4)
    meta = {"classes": ("a", "b", "c", "d"), "seen": [True, True, False, False]}
    ours = metric_on(predictions, targets, meta)
    theirs = IoUMetric()
    theirs.dataset_meta = meta
    pairs = zip(predictions, targets)
    theirs.process({}, [{"pred_sem_seg": {"data": p[None]}, "gt_sem_seg": {"data": t[None]}} for p, t in pairs])
    wanted = theirs.compute_metrics(theirs.results)
    assert ours["mIoU"] == pytest.approx(wanted["mIoU"], abs=0.01)
    assert ours["aAcc"] == pytest.approx(wanted["aAcc"], abs=0.01)
    assert (ours["seen"] + ours["unseen"]) / 2 == pytest.approx(ours["mIoU"], abs=0.02)


def test_metric_with_replaced_labels():
    targets = torch.tensor([[[0, 0, 1, 2]]])
    # labels: b by a synonym, a distractor, a; class c is left out
    vocabulary = Vocabulary(["bee", "dragon", "a"], synonyms=[["b"], [], []])
    predictions = torch.tensor([[[2, 1, 0, 0]]])
    meta = {"classes": ("a", "b", "c")}
    scores = metric_on(predictions, targets, meta, vocabulary.names, vocabulary)
    assert scores["mIoU"] == 75.0  # a: 1 of 2, the dragon costs; b: 1 of 1, its pixel on c is ignored
    assert scores["aAcc"] == pytest.approx(66.67)
    assert "unseen" not in scores
    # With only seen classes left there is no unseen mean: no NaN in tables and JSON.
    scores = metric_on(predictions, targets, {**meta, "seen": [True, True, False]}, vocabulary.names, vocabulary)
    assert set(scores) == {"mIoU", "aAcc"}


def test_test_tool_takes_other_labels(trained):
    from clipkit.commands.test import run_test

    runner = build_runner(trained[0], work_dir=trained[2] / "test", checkpoint=trained[1], for_training=False)
    scores = run_test(runner, Vocabulary(["grass", "unicorn", "meadow"], synonyms=[[], [], ["brick"]]))
    assert set(scores) >= {"mIoU", "aAcc"}
    assert (trained[2] / "test" / "predictions.png").is_file()
