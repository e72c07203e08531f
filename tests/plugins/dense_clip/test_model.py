"""Training-free dense CLIP: the whole pipeline against plain float64 loops, words, background, no checkpoint."""

import copy
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

pytest.importorskip("mmseg")

import clipkit_plugins.dense_clip  # noqa: F401
from mmengine.registry import DefaultScope
from mmseg.structures import SegDataSample

from clipkit import cli
from clipkit.adapters import to_whole_patches
from clipkit.engine.build import prepare_config
from clipkit.engine.class_names import read_classes
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.segmentation.metrics import SeenUnseenIoU
from clipkit.shapes import render
from clipkit.text import Background, Vocabulary

ROOT = Path(__file__).parents[3]
NAMES = ["background", "red circle", "blue star"]
PREPROCESSOR = dict(type="mmseg.SegDataPreProcessor", mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True)


def build(classes=NAMES, dense="maskclip", **changes):
    config = dict(
        type="DenseCLIP",
        classes=classes,
        text=dict(clip="tiny_shapes", dense=dense),
        precision="fp32",
        data_preprocessor=PREPROCESSOR,
    )
    config.update(changes)
    with DefaultScope.overwrite_default_scope("clipkit"):
        return MODELS.build(config).eval()


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "cls_three.txt"
    path.write_text("grass, water, wood\ncircle, disc\nblue star\n")
    return dict(path=str(path), separator=", ")


def bilinear(values, size):
    """(R, h, w) -> (R, *size): half-pixel centres, borders repeated; in loops."""
    out = torch.zeros(len(values), *size, dtype=torch.float64)
    height, width = values.shape[1:]
    for y in range(size[0]):
        for x in range(size[1]):
            v = min(max((y + 0.5) * height / size[0] - 0.5, 0), height - 1)
            u = min(max((x + 0.5) * width / size[1] - 0.5, 0), width - 1)
            v0, u0 = int(v), int(u)
            v1, u1 = min(v0 + 1, height - 1), min(u0 + 1, width - 1)
            top = values[:, v0, u0] * (1 - (u - u0)) + values[:, v0, u1] * (u - u0)
            bottom = values[:, v1, u0] * (1 - (u - u0)) + values[:, v1, u1] * (u - u0)
            out[:, y, x] = top * (1 - (v - v0)) + bottom * (v - v0)
    return out


def starts(length, window, stride):
    count = max(length - window + stride - 1, 0) // stride + 1
    return [max(min(i * stride, length - window), 0) for i in range(count)]


def loops(model, rgb, original, window, stride, groups):
    """log p of SCLIP's pipeline: cosines of every word, upsampled, averaged over windows, resized to the original size;
    times the scale; softmax over words; maximum over a class's words."""
    clip = copy.deepcopy(model.text.clip).double()
    flat = [word for group in groups for word in group]
    text = clip.encode_text(flat)
    total = torch.zeros(len(flat), *rgb.shape[1:], dtype=torch.float64)
    count = torch.zeros(rgb.shape[1:], dtype=torch.float64)
    for y in starts(rgb.shape[1], window, stride):
        for x in starts(rgb.shape[2], window, stride):
            features = clip.features(rgb[None, :, y : y + window, x : x + window].double()).dense[0]
            cosines = torch.zeros(len(flat), *features.shape[1:], dtype=torch.float64)
            for r, i, j in np.ndindex(*cosines.shape):
                cosines[r, i, j] = text[r] @ features[:, i, j] / text[r].norm() / features[:, i, j].norm()
            total[:, y : y + window, x : x + window] += bilinear(cosines, (window, window))
            count[y : y + window, x : x + window] += 1
    cosines = bilinear(total / count, original)
    log_p = torch.zeros(len(groups), *original, dtype=torch.float64)
    for y, x in np.ndindex(*original):
        e = [math.exp(model.logit_scale * float(c)) for c in cosines[:, y, x]]
        start = 0
        for c, group in enumerate(groups):
            log_p[c, y, x] = math.log(max(e[start : start + len(group)]) / sum(e))
            start += len(group)
    return log_p


@pytest.mark.parametrize("dense", ["maskclip", "sclip", "clearclip", "naclip", "vanilla"])
def test_pipeline_equals_loops(tmp_path, dense):
    groups = [["grass", "water", "wood"], ["ring", "square"], ["cloud", "white cross"]]  # each wins somewhere
    words = dict(path=str(tmp_path / "cls.txt"), separator=", ")
    (tmp_path / "cls.txt").write_text("\n".join(map(", ".join, groups)))
    test_cfg = dict(mode="slide", window=24, stride=16, batch_size=2)
    model = build(dense=dense, words=words, threshold=0.5, test_cfg=test_cfg)
    scene = render(1, seed=5, objects=(2, 2)).images[0, :, 16:48, 12:52]
    image = (scene * 255).round().to(torch.uint8)
    sample = SegDataSample(metainfo={"ori_shape": (20, 30), "img_shape": (32, 40)})
    log_p = loops(model, image / 255, (20, 30), 24, 16, groups)
    threshold = float(log_p.amax(0).exp().quantile(0.2))
    model.labels.background = Background("words", ("grass",), threshold)
    with torch.no_grad():
        result = model.test_step({"inputs": [image.flip(0)], "data_samples": [sample]})[0]
    names = result.metainfo["label_names"]
    assert names == ("red circle", "blue star", "background")
    order = [NAMES.index(name) for name in names]
    torch.testing.assert_close(result.seg_logits.data.double() / 40, log_p[order] / 40, atol=1e-5, rtol=0)
    labels = log_p.argmax(0).masked_fill(log_p.amax(0) < math.log(threshold), 0)
    assert len(labels.unique()) > 1
    # Labels can be compared where there is a margin: between the best two, and to the threshold.
    best, second = log_p.topk(2, dim=0).values
    clear = ((best - second) > 1e-3) & ((best - math.log(threshold)).abs() > 1e-3)
    found = torch.tensor(order)[result.pred_sem_seg.data[0]]
    assert clear.double().mean() > 0.9 and torch.equal(found[clear], labels[clear])


def test_the_probability_is_of_words_not_of_classes():
    model = build(threshold=0.5)
    model.set_labels(
        Vocabulary(["a", "b"], [["c", "d"], []], reduce="max", background=Background("words", ("e",), threshold=0.5))
    )
    rows = torch.tensor([1.0, 1.0, 1.0, 0.0, -5.0])[:, None, None]  # a: three words, b, background
    labels, scores = model.decide(rows)
    e = torch.tensor([math.e, 1.0, math.exp(-5)]) / (3 * math.e + 1 + math.exp(-5))
    torch.testing.assert_close(scores[:, 0, 0].exp(), e)
    # Among words 0.30 is below the threshold; among classes e / (e + 1) would not be.
    assert int(labels) == 2
    model.set_labels(Vocabulary(["a", "b"], [["c", "d"], []], reduce="max", background=["e"]))
    assert int(model.decide(rows)[0]) == 0


def test_small_classes_are_left_out():
    model = build(["background", "a", "b", "c"], area=0.125)
    winner = torch.tensor([[0, 0, 0, 0, 1], [3, 0, 0, 2, 3]])  # of 8 pixels of foreground a has 6, b and c one each
    rows = 10 * F.one_hot(winner, 4).permute(2, 0, 1).float()
    rows[3] += 1  # background is second everywhere
    labels, scores = model.decide(rows)
    assert labels[0].tolist() == [[0, 0, 0, 0, 3], [3, 0, 0, 3, 3]]
    assert (scores[1:3].exp() == 0).all()
    model.area = 0.0625
    assert model.decide(rows)[0][0].tolist() == winner.tolist()


def test_classes_that_no_window_shows_are_left_out():
    plain, model = build(logit_scale=20.0), build(logit_scale=20.0, denoise=0.5)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        cosines = plain.cosine_logits(plain.extract_feat(images), plain.label_text).double()
        wanted = cosines.clone()
        for b in range(2):
            p = cosines[b].softmax(0)
            for r in range(3):
                if p[r].max() < 0.5:
                    wanted[b, r] = -100 * 20
        assert (wanted == -2000).any() and (wanted > -2000).any()
        wanted = torch.stack([bilinear(w, (32, 32)) for w in wanted])
        torch.testing.assert_close(model.encode_decode(images).double(), wanted, atol=1e-4, rtol=1e-6)


def test_enlarged_images_give_a_finer_grid():
    images = torch.randn(1, 3, 32, 48)
    assert build().extract_feat(images).shape[-2:] == (4, 6)
    assert build(upsample=2.0).extract_feat(images).shape[-2:] == (8, 12)


def test_no_pixel_is_lost_at_the_border():
    """33 x 47 pixels are no whole patches of 8: all of them are stretched to 32 x 48, none is cut off."""
    model, images = build(), torch.rand(1, 3, 33, 47) * 255
    whole = model.extract_feat(images)
    stretched = to_whole_patches(model._unit_range(images), 8)
    assert whole.shape[-2:] == (4, 6) and stretched.shape[-2:] == (32, 48)
    torch.testing.assert_close(whole, model.text.clip.features(stretched).dense, rtol=0, atol=1e-5)


def test_where_every_class_is_unlikely_all_stay():
    plain, model = build(logit_scale=1.0), build(logit_scale=1.0, denoise=0.99)
    images = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(model.encode_decode(images), plain.encode_decode(images))


def test_background_is_background_from_python_too():
    model = build(threshold=0.3)
    for labels in ("background; wood, red star", ["background", "red star"]):
        model.set_labels(labels)
        assert model.labels.background.kind == "words" and model.labels.background.threshold == 0.3
        assert model.label_names == ("red star", "background")
    scores = torch.tensor([[0.1], [0.2]]).log()[..., None]
    assert model.probability(scores).item() == pytest.approx(0.2)  # of the best, not renormalised


def test_words_of_a_file_speak_for_the_class_of_their_line(words, tmp_path):
    model = build(words=words)
    assert model.label_names == ("red circle", "blue star", "background")
    rows = model.text.clip.encode_text(["circle", "disc", "blue star", "grass", "water", "wood"])
    torch.testing.assert_close(model.label_text, rows, atol=1e-5, rtol=0)
    own = model.label_text.clone()
    assert model.set_labels("ring; donut, sand") == ("ring", "sand") and len(model.label_text) == 3
    model.set_labels()
    assert torch.equal(model.label_text, own)
    with pytest.raises(ClipkitError, match=r"cls_three\.txt: has 3 lines for 2 classes"):
        build(NAMES[:2], words=words)


def test_labels_from_a_command_take_the_models_prompts():
    text = dict(clip="tiny_shapes", templates=["a photo of a {}", "a {} on grass"])
    model = build(text=text, threshold=0.3)
    got = model.own_prompts(Vocabulary.parse("ring; donut, background; wood"))
    assert got.templates == tuple(text["templates"]) and got.reduce == "max" and got.names == ("ring",)
    assert got.background == Background("words", ("background", "wood"), 0.3)
    assert model.own_prompts(Vocabulary.parse("ring")).background == Background()


def test_errors_say_what_is_wrong(tmp_path):
    with pytest.raises(ClipkitError, match="no image tower"):
        build(text=dict(path="rows.npy"))
    with pytest.raises(ClipkitError, match="need a class named 'background'"):
        build(["red circle", "blue star"], threshold=0.1)
    with pytest.raises(ClipkitError, match="nothing to train"):
        build().loss(torch.zeros(1, 3, 8, 8), [])


def test_background_of_the_labels_is_that_of_the_data_set():
    metric = SeenUnseenIoU()
    metric.dataset_meta = {"classes": ("background", "a")}
    truth = torch.tensor([[0, 0, 1, 1]])
    sample = {"gt_sem_seg": {"data": truth[None]}, "label_names": ("a", "background")}
    sample["pred_sem_seg"] = {"data": torch.tensor([[[1, 1, 0, 1]]])}
    for vocabulary in (None, Vocabulary(["a"], background=0.5)):
        metric.results.clear()
        metric._to_class = None
        if vocabulary is not None:
            metric.set_labels(vocabulary)
        metric.process({}, [sample])
        assert metric.compute_metrics(metric.results) == {"mIoU": 58.33, "aAcc": 75.0}


CONFIG = """
default_scope = "clipkit"
plugins = ["dense_clip", "lseg"]
pipeline = [dict(type="mmseg.PackSegInputs", meta_keys=("img_path", "ori_shape", "img_shape"))]
test_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="ShapesSegDataset", length=2, seed=2, pipeline=pipeline),
)
test_evaluator = dict(type="SeenUnseenIoU")
test_cfg = dict(type="TestLoop")
model = dict(
    type="DenseCLIP", classes="shapes", text=dict(clip="tiny_shapes"), precision="fp32",
    data_preprocessor=dict(type="mmseg.SegDataPreProcessor", mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True),
)
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "dense.py"
    path.write_text(CONFIG)
    return str(path)


def test_commands_work_without_a_checkpoint(config, tmp_path, capsys):
    work = ["--work-dir", str(tmp_path / "work")]
    assert cli.run("test", [config, "none", *work, "--out", str(tmp_path / "scores.json")]) == 0
    assert set(json.loads((tmp_path / "scores.json").read_text())["scores"]) >= {"seen", "unseen"}
    (tmp_path / "names.txt").write_text("grass,lawn\nwood\n")
    labels = ["--labels-file", str(tmp_path / "names.txt"), "--separator", ","]
    assert cli.run("test", [config, "none", *work, *labels]) == 0
    Image.fromarray(np.full((40, 48, 3), 90, np.uint8)).save(tmp_path / "x.png")
    out = ["--out", str(tmp_path / "out")]
    assert cli.run("predict", [config, "none", str(tmp_path / "x.png"), *labels, *out]) == 0
    record = json.loads((tmp_path / "out" / "x.json").read_text())
    assert record["labels"] == ["grass", "wood"]
    assert cli.run("test", [config, "none", "--separator", ","]) == 2
    assert "--labels-file" in capsys.readouterr().err


def test_none_is_refused_for_a_model_that_trains(tmp_path, capsys):
    side = 'tower=dict(type="ConvTower", channels=(4,), blocks=(1,)), decoder=dict(type="FPNDecoder", features=4),'
    path = tmp_path / "lseg.py"
    path.write_text(CONFIG.replace("DenseCLIP", "LSeg").replace('precision="fp32",', side))
    assert cli.run("test", [str(path), "none", "--work-dir", str(tmp_path)]) == 2
    assert "LSeg has" in capsys.readouterr().err
    Image.fromarray(np.full((40, 48, 3), 90, np.uint8)).save(tmp_path / "x.png")
    assert cli.run("predict", [str(path), "none", str(tmp_path / "x.png")]) == 2
    assert "weights to train: give a checkpoint" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_test_a_model_that_trains_nothing(config, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone",
         str(ROOT / "tools" / "test.py"), config, "none", "--work-dir", str(tmp_path),
         "--out", str(tmp_path / "s.json")],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert cli.run("test", [config, "none", "--work-dir", str(tmp_path), "--out", str(tmp_path / "one.json")]) == 0
    two, one = (json.loads((tmp_path / name).read_text())["scores"] for name in ("s.json", "one.json"))
    assert two == one


PHOTOS = {
    # method and data set: variant, scale, window and stride (None: whole images), sizes of the long and short side,
    # threshold, area; see the papers' code
    "sclip_voc21": ("sclip", 65, (224, 112), (2048, 336), 0.1, 0.1),
    "sclip_voc20": ("sclip", 40, (224, 112), (2048, 336), None, None),
    "sclip_pc60": ("sclip", 50, (224, 112), (2048, 336), 0.1, None),
    "sclip_pc59": ("sclip", 40, (224, 112), (2048, 336), None, None),
    "sclip_cocoobject": ("sclip", 50, (224, 112), (2048, 336), 0.1, None),
    "sclip_cocostuff": ("sclip", 40, (224, 112), (2048, 448), None, None),
    "sclip_ade20k": ("sclip", 40, (224, 112), (2048, 336), None, None),
    "sclip_cityscapes": ("sclip", 40, (224, 112), (2048, 560), None, None),
    "clearclip_voc21": ("clearclip", 50, (448, 224), (2048, 448), 0.5, None),
    "clearclip_voc20": ("clearclip", 50, (448, 224), (2048, 448), None, None),
    "clearclip_cocostuff": ("clearclip", 50, (448, 224), (2048, 448), None, None),
    "clearclip_ade20k": ("clearclip", 50, (448, 224), (2048, 448), None, None),
    "clearclip_cityscapes": ("clearclip", 50, (224, 224), (2048, 448), None, None),
    "maskclip_voc20": ("maskclip", 100, None, (2048, 512), None, None),
    "maskclip_pc59": ("maskclip", 100, None, (520, 520), None, None),
    "maskclip_cocostuff": ("maskclip", 100, None, (2048, 512), None, None),
}


def test_configs_of_photos():
    folder = ROOT / "configs" / "dense_clip"
    assert {file.stem for file in folder.glob("*.py")} == {*PHOTOS, "dense_tiny_shapes"}
    for name, (dense, scale, window, resize, threshold, area) in PHOTOS.items():
        cfg = prepare_config(folder / f"{name}.py", for_training=False)
        model = cfg.model
        assert (model.text.dense, model.logit_scale) == (dense, scale)
        found = None if model.test_cfg.mode == "whole" else (model.test_cfg.window, model.test_cfg.stride)
        assert (found, model.get("threshold"), model.get("area")) == (window, threshold, area)
        assert tuple(cfg.test_dataloader.dataset.pipeline[1].scale) == resize
        assert threshold is None or "background" in read_classes(model.classes)


def test_config_of_photos_runs(tmp_path):
    """VOC's layout, with SCLIP's kind of class-name file, through the whole command; the CLIP is the tiny one."""
    for path in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / path).mkdir(parents=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (40, 64, 3), dtype=np.uint8)).save(tmp_path / "JPEGImages/a.jpg")
    Image.fromarray(np.full((40, 64), 1, np.uint8)).save(tmp_path / "SegmentationClass/a.png")
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("a\n")
    (tmp_path / "cls.txt").write_text("\n".join(["sky, wall", *(f"thing {i}" for i in range(20))]))
    options = [
        f"variables.data={tmp_path}", "variables.resize=(96,64)", "model.text.clip=tiny_shapes",
        "model.text.templates=['{}']", f"model.words.path={tmp_path}/cls.txt", "model.words.separator=, ",
        "model.text.dense=naclip", "test_dataloader.num_workers=0", "test_dataloader.persistent_workers=False",
    ]  # fmt: skip
    out = ["--work-dir", str(tmp_path), "--out", str(tmp_path / "s.json"), "--cfg-options", *options]
    assert cli.run("test", ["dense_clip/sclip_voc21.py", "none", *out]) == 0
    assert set(json.loads((tmp_path / "s.json").read_text())["scores"]) == {"mIoU", "aAcc"}
