"""GroupViT as a segmentor: labels, windows, streaming, one encoding, frozen tokens, training, errors."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from clipkit_plugins.groupvit import FrozenTokens, GroupIoU, StemTokens
from clipkit_plugins.groupvit import metric as metric_module
from clipkit_plugins.groupvit import model as model_module
from mmseg.structures import SegDataSample
from PIL import Image

from clipkit import cli
from clipkit.errors import ClipkitError
from clipkit.shapes import render
from clipkit.text import Background, Vocabulary
from support.groupvit_parts import CLASSES, small

NAMES = ["red circle", "blue star", "grass", "water"]
FROZEN = dict(
    text=dict(clip="tiny_clip"),
    tokens=dict(type="FrozenTokens", dim=24, width=144, stride=4),
    encoder=dict(dim=24, heads=2, depths=(0, 1), tokens=(5, 0), groups=(5, 0), cosine=True, init="unit"),
)


@pytest.fixture(scope="module")
def frozen():
    torch.manual_seed(0)
    return small(NAMES, **FROZEN).float().eval()


@pytest.fixture(scope="module")
def images():
    return render(3, seed=4).images * 255


@torch.no_grad()
def test_logits_are_those_of_each_pixels_group(frozen, images):
    groups, _, maps = frozen.encode(images)
    assert groups.shape == (3, 5, 128) and maps.shape == (3, 5, 16, 16)
    torch.testing.assert_close(maps.sum(1), torch.ones(3, 16, 16), rtol=0, atol=1e-4)
    logits = frozen.encode_decode(images)
    up = F.interpolate(maps, size=(64, 64), mode="bilinear", align_corners=False).argmax(1)
    rows = frozen.text.clip.encode_text(NAMES)
    for b, y, x in ((0, 0, 0), (1, 40, 12), (2, 63, 63)):
        wanted = frozen.scale() * F.normalize(groups[b, up[b, y, x]], dim=0) @ rows.T
        torch.testing.assert_close(logits[b, :, y, x], wanted, rtol=0, atol=1e-4)


@torch.no_grad()
def test_soft_cells_are_named_by_all_of_their_groups(frozen, images, monkeypatch):
    monkeypatch.setattr(frozen, "soft", True)
    groups, _, maps = frozen.encode(images)
    cell = sum(share * group / group.norm() for share, group in zip(maps[1, :, 10, 3], groups[1]))
    torch.testing.assert_close(frozen.extract_feat(images)[1, :, 10, 3], cell)
    wanted = frozen.scale() * F.normalize(cell, dim=0) @ frozen.text.clip.encode_text(NAMES).T
    logits = frozen.encode_decode(images)
    of_cells = frozen.label_logits(frozen.extract_feat(images), frozen.label_text)
    torch.testing.assert_close(of_cells[1, :, 10, 3], wanted, rtol=0, atol=1e-4)
    up = F.interpolate(of_cells, size=(64, 64), mode="bilinear", align_corners=False)
    torch.testing.assert_close(logits, up, rtol=0, atol=1e-4)
    assert torch.equal(frozen.winners, frozen._winners(maps, (64, 64)))  # segments stay those of the largest


def test_each_picture_is_encoded_once(frozen, images, monkeypatch):
    """The original encodes a window twice, for its maps and for its features."""
    seen = []
    original = frozen.encoder.forward
    monkeypatch.setattr(frozen.encoder, "forward", lambda x: (seen.append(len(x)), original(x))[1])
    frozen.test_step({"inputs": [image.byte().flip(0) for image in images], "data_samples": samples(3)})
    assert seen == [3]


def samples(count, size=(64, 64)):
    return [SegDataSample(metainfo={"ori_shape": size, "img_shape": size}) for _ in range(count)]


@torch.no_grad()
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("mode", [dict(mode="whole"), dict(mode="slide", window=48, stride=16, batch_size=2)])
def test_labels_in_chunks_give_the_same_map(images, mode, soft):
    torch.manual_seed(0)
    model = small(NAMES, test_cfg=mode, soft=soft, **FROZEN).float().eval()
    model.set_labels(Vocabulary([*NAMES, "ring"], [["disc"], [], [], [], []], reduce="max"))
    batch = {"inputs": [image.byte().flip(0) for image in images], "data_samples": samples(3)}
    plain = model.test_step(dict(batch))
    maps = [one.pred_sem_seg.data.clone() for one in plain]
    assert ("pred_groups" in plain[0]) == (mode["mode"] == "whole")
    model.test_cfg["max_logits"] = 0
    streamed = model.test_step({"inputs": batch["inputs"], "data_samples": samples(3)})
    for a, b in zip(maps, streamed):
        assert (a == b.pred_sem_seg.data).double().mean() > 0.999 and "seg_logits" not in b


@torch.no_grad()
def test_words_of_a_threshold_background(frozen, images):
    frozen.set_labels(Vocabulary(NAMES, background=Background("threshold", threshold=0.99)))
    assert frozen.label_names == (*NAMES, "background")
    logits = frozen.encode_decode(images)
    labels, _ = frozen.decide(logits[0])
    assert torch.equal(labels[0] == len(NAMES), logits[0].softmax(0).amax(0) < 0.99)
    frozen.set_labels()


def test_background_is_background_from_a_command():
    model = small(["background", *CLASSES], top_classes=5, threshold=0.9)
    assert model.label_names == (*CLASSES, "background")
    assert model.set_labels("wood, background; sky, ring; donut") == ("wood", "ring", "background")
    assert model.labels.background == Background("threshold", threshold=0.9)
    assert small(["background", *CLASSES]).label_names == ("background", *CLASSES)  # a word like any other


@torch.no_grad()
def test_words_and_a_threshold_share_the_background():
    model = small(top_classes=3)
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    model.set_labels(Vocabulary(["ring", "heart"], background=Background("words", ("sky", "sea"))))
    plain = model.encode_decode(images)
    model.set_labels(Vocabulary(["ring", "heart"], background=Background("words", ("sky", "sea"), threshold=0.99)))
    both = model.encode_decode(images)
    assert model.label_names == ("ring", "heart", "background") and plain.shape == both.shape == (1, 3, 32, 32)
    assert torch.equal(plain[:, :2], both[:, :2])
    below = plain.amax(1) < plain.amax()  # what is below the best of the groups, which is below 0.99 here
    assert torch.equal(both[:, 2], torch.where(below, torch.ones(()).double(), plain[:, 2]).to(both))


def test_names_follow_a_text_tower_that_trains():
    model = small()
    before = model.label_text.float()
    with torch.no_grad():
        model.text.projector[3].weight.mul_(-1)
        model.text.projector[3].bias.mul_(-1)
    model._stale = True
    model.predict(torch.zeros(1, 3, 32, 32).double(), samples(1, (32, 32)))
    torch.testing.assert_close(model.label_text, -before, rtol=0, atol=1e-6)
    model.set_labels(["ring"])
    model._stale = True
    model.predict(torch.zeros(1, 3, 32, 32).double(), samples(1, (32, 32)))
    assert model.label_names == ("ring",)
    model.load_state_dict(model.state_dict())
    assert model._stale


def test_encoding_labels_moves_no_running_mean():
    model = small().train()
    before = model.text.projector[1].running_mean.clone()
    model.encode_labels(["ring", "heart"])
    assert torch.equal(before, model.text.projector[1].running_mean) and model.text.training


def test_frozen_tokens_are_the_clips_and_are_kept():
    tokens = FrozenTokens(8, 144, stride=4, cache=True)
    model = small(NAMES, **FROZEN).float()
    clip, pictures = model.text.clip, render(4, seed=9).images
    plain = clip.features(pictures, (-1,), dense=False, stride=4).maps[0]
    names, calls = ["a", "b", "c", "d"], []
    original = clip.features
    clip.features = lambda images, *a, **k: (calls.append(len(images)), original(images, *a, **k))[1]
    first = tokens.of(pictures[:3], clip, names[:3])
    again = tokens.of(pictures[[2, 3, 0]], clip, ["c", "d", "a"])
    assert calls == [3, 3]
    assert torch.equal(tokens.of(pictures[:3], clip, names[:3]), first) and calls == [3, 3]
    torch.testing.assert_close(first, plain[:3].bfloat16().float(), rtol=0, atol=0.1)
    torch.testing.assert_close(again[2], first[0], rtol=0, atol=0)
    torch.testing.assert_close(tokens.of(pictures, clip), plain)  # nothing is kept without names
    assert calls == [3, 3, 4]
    assert not [key for key in model.state_dict() if key.startswith("text.")]  # no checkpoint holds the CLIP


def test_a_stem_has_its_stride():
    x, grid = StemTokens(channels=(4, 8, 8), strides=(2, 1, 2), size=32)(torch.zeros(2, 3, 32, 48))
    assert grid == (8, 12) and x.shape == (2, 96, 8)


def test_a_scale_that_no_loss_reads_does_not_learn():
    assert "phrase_scale.log_scale" not in dict(small(losses=dict(phrases=0.0)).named_parameters())
    assert "logit_scale.log_scale" not in dict(small(losses=dict(caption=0.0)).named_parameters())


def test_losses_reach_every_part_that_they_should():
    torch.manual_seed(0)
    model = small(losses=dict(caption=1.0, phrases=1.0, groups=1.0)).float().train()
    data = samples(3, (32, 32))
    phrases = [["red circle", "grass"], ["grass"], ["blue star"]]
    for sample, own in zip(data, phrases):
        sample.set_metainfo({"caption": " and ".join(own), "phrases": own})
    found = model.loss(torch.rand(3, 3, 32, 32), data)
    assert set(found) == {"loss_caption", "loss_phrases", "loss_groups", "groups_used", "scale"}
    assert 1 <= found["groups_used"] <= 4
    sum(value for key, value in found.items() if key.startswith("loss")).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert not without
    model.weights["phrases"] = model.weights["groups"] = 0.0
    bare = samples(1, (32, 32))
    bare[0].set_metainfo({"caption": "grass"})
    with torch.no_grad():
        assert set(model.eval().loss(torch.rand(1, 3, 32, 32), bare)) == {"loss_caption", "groups_used", "scale"}


def test_the_metric_knows_segments_from_names():
    metric = GroupIoU()
    metric.dataset_meta = {"classes": ("a", "b", "c")}
    truth = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 255]])
    groups = torch.tensor([[3, 3, 0, 0], [3, 0, 0, 0]])
    said = torch.tensor([[0, 0, 2, 2], [0, 2, 2, 2]])
    sample = {key: {"data": value[None]} for key, value in (("gt_sem_seg", truth), ("pred_sem_seg", said))}
    metric.process({}, [{**sample, "pred_groups": {"data": groups[None]}}])
    scores = metric.compute_metrics(metric.results)
    # Best names: group 3 is a, group 0 is b, which costs a pixel of a. Found: a of a and b. Predicted: a and c.
    assert scores["oracle"] == pytest.approx(100 * (3 / 4 + 3 / 4) / 2, abs=0.01)
    assert (scores["found"], scores["precision"], scores["groups"]) == (50.0, 50.0, 2.0)
    metric.results.clear()
    metric.process({}, [sample])  # a model without groups
    assert "oracle" not in metric.compute_metrics(metric.results)


def test_the_metric_says_a_collapse_in_one_line(monkeypatch):
    said = []
    monkeypatch.setattr(metric_module, "print_log", lambda text, *a: said.append(text))
    metric = GroupIoU()
    metric.dataset_meta = {"classes": ("a", "b")}
    truth = torch.tensor([[0, 1]])
    sample = {key: {"data": truth[None]} for key in ("gt_sem_seg", "pred_sem_seg")}
    metric.process({}, [{**sample, "pred_groups": {"data": torch.tensor([[[5, 5, 5]]])}}])  # of another size
    metric.compute_metrics(metric.results)
    assert [line for line in said if "the groups have collapsed: 1.0 a picture" in line and "\n" not in line]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (dict(tokens=FROZEN["tokens"]), r"tokens FrozenTokens need text=dict\(clip=\.\.\.\)"),
        (dict(losses=dict(group=1.0)), "losses has no group; known: caption, phrases, groups"),
        (dict(threshold=0.9), "threshold= needs a class named 'background'"),
        (dict(text=dict(clip="tiny_clip", whiten=["a", "b"])), "no whiten="),
        (dict(encoder=dict(dim=32, heads=2, depths=(1, 1), tokens=(4,), groups=(4,))), "one number a stage"),
        (dict(encoder=dict(dim=32, heads=2, depths=(1, 1), tokens=(0, 4), groups=(0, 4))), "each stage groups"),
        (dict(encoder=dict(dim=32, heads=2, depths=(1,), tokens=(4,), groups=(4,), init="x")), "known: paper, unit"),
        (dict(tokens=dict(type="StemTokens", channels=(4, 8), strides=(2,))), "2 convolutions and strides 1"),
        (dict(soft=True, top_classes=5), "soft=True does not go with top_classes="),
        (dict(clusters="words"), "clusters='words': known are tokens, of a GroupingEncoder, and colours"),
    ],
)
def test_errors_say_what_is_wrong(changes, line):
    with pytest.raises(ClipkitError, match=line):
        small(**changes)


def test_captions_that_are_cut_are_said_once(monkeypatch, recwarn):
    said = []
    monkeypatch.setattr(model_module, "print_log", lambda text, *a: said.append(text))
    model = small(NAMES, **FROZEN).float()
    for start in ("a", "b"):
        model._texts([f"{start} red circle" * 20, f"{start} blue star" * 20], torch.device("cpu"))
    assert len(said) == 1 and "is longer than 32 tokens" in said[0] and not recwarn.list


def test_captions_are_asked_for():
    with pytest.raises(ClipkitError, match=r"loss needs caption, phrases: see PickPhrases"):
        small().loss(torch.rand(2, 3, 32, 32), samples(2, (32, 32)))


CONFIG = """
_base_ = ["{base}"]
train_dataloader = dict(batch_size=8, dataset=dict(length=16))
val_dataloader = dict(batch_size=4, dataset=dict(length=4))
test_dataloader = dict(batch_size=4, dataset=dict(length=4))
model = dict(precision="fp32")
train_cfg = dict(max_iters=3, val_interval=3)
custom_hooks = []
"""


@pytest.fixture
def config(tmp_path):
    base = Path(__file__).parents[3] / "configs" / "groupvit" / "groupvit_tiny_shapes_frozen.py"
    (tmp_path / "c.py").write_text(CONFIG.format(base=base))
    return str(tmp_path / "c.py")


def test_commands_train_resume_test_and_predict(config, tmp_path, capsys):
    work = str(tmp_path / "work")
    assert cli.run("train", [config, "--work-dir", work]) == 0
    out = str(tmp_path / "scores.json")
    assert cli.run("test", [config, work, "--work-dir", work, "--out", out]) == 0
    scores = json.loads(Path(out).read_text())["scores"]
    assert set(scores) >= {"mIoU", "oracle", "found", "precision", "groups"}
    assert 1 <= scores["groups"] <= 8
    picture = tmp_path / "x.png"
    Image.fromarray((render(1, seed=1).images[0].movedim(0, 2).numpy() * 255).astype(np.uint8)).save(picture)
    assert (
        cli.run("predict", [config, work, str(picture), "--labels", "grass, ring", "--out", str(tmp_path / "o")]) == 0
    )
    assert json.loads((tmp_path / "o" / "x.json").read_text())["labels"] == ["grass", "ring"]
