"""ActionCLIP: prompts against loops, the model, its data and scores, and one run through the real runner."""

import json
import math
import runpy
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("decord")

from clipkit_plugins.actionclip.dataset import ActionVideos
from clipkit_plugins.actionclip.films import FilmActions
from clipkit_plugins.actionclip.metric import ActionAccuracy
from clipkit_plugins.actionclip.model import ActionCLIP
from clipkit_plugins.actionclip.prompts import KINDS, ShiftConv, visual_prompt
from clipkit_plugins.actionclip.views import MultiScaleCrop, train_transform
from clipkit_plugins.actionclip.views import test_crops as crops_of

from clipkit.claims.definition import read_claim
from clipkit.cli import main
from clipkit.engine.build import prepare_config
from clipkit.engine.config import find_config
from clipkit.errors import ClipkitError
from clipkit.shapes.film_files import write_film
from clipkit.shapes.films import render_films
from clipkit.text import Vocabulary, get_templates
from support.closed_form import closed_form_
from support.video_files import with_a_cut_film

D, T = 16, 4
NAMES = ["moves left", "moves right", "moves up"]


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- prompts --------------------------------------------------------------------------------------------------------


def conv_loops(frames, weight, compatible):
    """One video, `(T, D)`."""
    length, dim = frames.shape
    rows = frames.reshape(dim, length) if compatible else frames.T
    out = np.zeros((length, dim))
    for t in range(length):
        for d in range(dim):
            out[t, d] = frames[t, d] + sum(
                weight[d, 0, k] * rows[d, t + k - 1] for k in range(3) if 0 <= t + k - 1 < length
            )
    mean = out.mean(0)
    return mean / math.sqrt(mean @ mean)


@pytest.mark.parametrize("compatible", [False, True])
def test_conv_equals_loops(compatible):
    head = closed_form_(ShiftConv(D, compatible), scale=0.5).double()
    frames = randn(3, T, D).double()
    expected = [conv_loops(video.numpy(), head.shift.weight.detach().numpy(), compatible) for video in frames]
    assert np.abs(head(frames).detach().numpy() - expected).max() <= 1e-12


def test_the_compatible_conv_mixes_channels_into_time():
    """With its first weights the correct one moves a quarter of the channels by one frame; the original's does not."""
    frames = torch.zeros(1, T, D)
    frames[0, 1, 0] = 1.0
    moved = ShiftConv(D).temporal(frames, torch.ones(1, T, dtype=torch.bool)) - frames
    assert moved[0, 2, 0] == 1.0 and moved.sum() == 1.0
    scrambled = ShiftConv(D, compatible=True).temporal(frames, torch.ones(1, T, dtype=torch.bool)) - frames
    assert scrambled[0, 2, 0] == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_and_the_order_of_frames(kind):
    head = visual_prompt(kind, D, **({"max_frames": T} if kind == "Transf_cls" else {})).eval()
    with torch.no_grad():
        for number, parameter in enumerate(head.parameters()):
            parameter.add_(0.3 * randn(*parameter.shape, seed=number))
    frames = randn(2, T, D)
    video = head(frames)
    torch.testing.assert_close(video.norm(dim=-1), torch.ones(2))
    change = (head(frames.flip(1)) - video).abs().max()
    assert change <= 1e-6 if kind == "meanP" else change > 1e-4
    if kind != "Conv1D":
        mask = torch.arange(T) < torch.tensor([[2], [4]])
        other = torch.where(mask[..., None], frames, 100 * randn(2, T, D, seed=1))
        torch.testing.assert_close(head(frames, mask), head(other, mask), rtol=0, atol=1e-5)


def test_frames_are_averaged_before_they_get_length_one():
    frames = torch.tensor([[[10.0, 0.0], [0.0, 1.0]]])
    torch.testing.assert_close(visual_prompt("meanP", 2)(frames), F.normalize(torch.tensor([[10.0, 1.0]]), dim=-1))


# ---- model ----------------------------------------------------------------------------------------------------------


def model(kind="meanP", classes=NAMES, **options):
    return ActionCLIP(clip=dict(name="tiny_clip"), head=dict(type=kind), classes=classes, **options).eval()


def test_prediction_is_the_mean_of_softmaxes_over_templates_and_views():
    actions, views = model(), [randn(2, T, 128), randn(1, T, 128, seed=1)]
    found = actions(views, [torch.tensor(0), torch.tensor(2)], mode="predict", name=["a", "b"])
    assert [sample["name"] for sample in found] == ["a", "b"] and found[1]["label"] == 2
    for sample, own in zip(found, views):
        total = torch.zeros(3)
        for view in own:
            video = F.normalize(view.mean(0), dim=0)
            for template in get_templates("actionclip"):
                rows = actions.clip.encode_text([template.format(name) for name in NAMES])
                total += (100 * rows @ video).softmax(0)
        torch.testing.assert_close(sample["scores"], total / (16 * len(own)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["softmax", "normalized", "pairs"])
def test_the_objective_tells_each_video_by_its_class_in_a_drawn_template(kind):
    actions = model(targets=kind)
    frames, labels = [randn(1, T, 128, seed=i) for i in range(4)], [torch.tensor(i) for i in (2, 0, 2, 1)]
    torch.manual_seed(3)
    loss = actions(frames, labels, mode="loss")["loss"]
    torch.manual_seed(3)
    drawn = torch.randint(16, (4,)).tolist()
    prompts = [get_templates("actionclip")[t].format(NAMES[int(k)]) for t, k in zip(drawn, labels)]
    text = actions.clip.encode_text(prompts).double()
    video = F.normalize(torch.cat(frames).mean(1), dim=-1).double()
    scale, same = actions.logit_scale().item(), [[float(a == b) for b in labels] for a in labels]
    same = torch.tensor(same, dtype=torch.float64)
    rows = same / same.sum(1, keepdim=True)
    targets = {"softmax": (10 * same).softmax(1), "normalized": rows, "pairs": torch.eye(4).double()}[kind]
    both = 0.0
    for logits in (scale * video @ text.T, scale * text @ video.T):
        both += F.kl_div(logits.log_softmax(1), targets, reduction="batchmean").item() / 2
    assert loss.item() == pytest.approx(both, abs=1e-4)


def test_names_can_change():
    actions, sample = model(wordings={"unseen": ["drifts left", "drifts right", "climbs"]}), [randn(1, T, 128)]
    found = actions(sample, [torch.tensor(0)], mode="predict")[0]
    assert found["scores_unseen"].shape == (3,) and not torch.equal(found["scores_unseen"], found["scores"])
    actions.set_labels(Vocabulary(["grows", "shrinks"]))
    assert actions(sample, [torch.tensor(0)], mode="predict")[0]["scores"].shape == (2,)
    unnamed = model(classes=None)
    with pytest.raises(ClipkitError, match="nobody named the classes"):
        unnamed(sample, [torch.tensor(0)], mode="predict")
    unnamed.set_test_classes(["a", "b", "c", "d"])
    assert unnamed(sample, [torch.tensor(0)], mode="predict")[0]["scores"].shape == (4,)


def test_refusals():
    with pytest.raises(ClipkitError, match='no visual prompt is called "Conv"'):
        model("Conv")
    with pytest.raises(ClipkitError, match="must have a name for each of the 3 classes"):
        model(wordings={"unseen": ["one"]})
    with pytest.raises(ClipkitError, match="use head meanP"):
        model("LSTM", tune=dict(join_frames=4))
    with pytest.raises(ClipkitError, match='tune has no "unfrez"'):
        model(tune=dict(unfrez=["all"]))
    with pytest.raises(ClipkitError, match="one view a video"):
        model()([randn(2, T, 128)], [torch.tensor(0)], mode="loss")


@pytest.mark.parametrize(
    ("tune", "head"),
    [
        (dict(unfreeze=["visual"], shift_tokens=8), "Transf"),
        (dict(unfreeze=["visual"], join_frames=T), "meanP"),
        (dict(unfreeze=["all"], inflate_patches=True), "LSTM"),
        (dict(cross_modal=dict(bottleneck=4, shared=8)), "Conv1D"),
        (dict(unfreeze_from=3), "meanP"),
    ],
)
def test_what_is_tuned_learns_from_pixels(tune, head):
    torch.manual_seed(0)
    actions = model(head, tune=tune).train()
    films = render_films(4, "direction", frames=T).frames
    frames = [(255 * film).round().byte()[None] for film in films]
    labels = [torch.tensor(i % 3) for i in range(4)]
    chosen = [p for p in actions.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(chosen, lr=1e-3)
    losses = []
    for _ in range(4):
        torch.manual_seed(1)
        loss = actions(frames, labels, mode="loss")["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert actions.embed_videos(frames).shape == (4, 128)


def test_rows_follow_a_text_tower_that_trains():
    actions = model(tune=dict(unfreeze=["text"]))
    before = actions.class_rows(NAMES).clone()
    with torch.no_grad():
        actions.clip.model.ln_final.bias += 0.5
    assert torch.equal(actions.class_rows(NAMES), before)  # kept while nothing trains
    actions([randn(1, T, 128)] * 2, [torch.tensor(0), torch.tensor(1)], mode="loss")
    assert not torch.equal(actions.class_rows(NAMES), before)


# ---- data -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Six films of two actions as files in class folders, and one broken file."""
    root = tmp_path_factory.mktemp("films")
    for split, seed in (("train", 0), ("val", 1)):
        made = render_films(6, "direction", seed, frames=8)
        for i, (frames, label) in enumerate(zip(made.frames, made.labels.tolist())):
            folder = root / split / ("moves_back" if label % 2 else "moves_on")
            folder.mkdir(parents=True, exist_ok=True)
            write_film(frames, folder / f"{i}.mkv")
    return root


def test_views_of_real_files(films):
    data = ActionVideos("folder", str(films), "val", segments=4, clips=2, crops=3, size=32)
    assert data.metainfo["classes"] == ("moves back", "moves on") and len(data) == 6
    sample = data[0]
    assert sample["frames"].shape == (6, 4, 3, 32, 32) and sample["frames"].dtype == torch.uint8 and sample["readable"]
    # 8 frames, 4 segments, 2 clips: clip 0 has frames 0 2 4 6, clip 1 the others.
    assert data.choose(8).tolist() == [[0, 2, 4, 6], [1, 3, 5, 7]]
    one = ActionVideos("folder", str(films), "val", segments=4, size=32)
    assert one.choose(8).tolist() == [[1, 3, 5, 7]]
    torch.testing.assert_close(one[0]["frames"][0], sample["frames"][4])  # clip 1, the middle crop
    train = ActionVideos("folder", str(films), "train", segments=4, size=32, train=True, shots=1)
    assert len(train) == 2 and train[0]["frames"].shape == (1, 4, 3, 32, 32)


def test_videos_that_cannot_be_read(films, tmp_path, capfd):
    root = tmp_path
    shutil.copytree(films / "val", root / "val")
    (root / "val" / "moves_on" / "broken.mkv").write_bytes(b"no video")
    data = ActionVideos("folder", str(root), "val", segments=4, size=32)
    place = next(i for i, video in enumerate(data.videos) if "broken" in video.id)
    sample = data[place]
    assert (
        not sample["readable"]
        and sample["frames"].shape == (1, 4, 3, 32, 32)
        and "broken.mkv" in capfd.readouterr().err
    )
    train = ActionVideos("folder", str(root), "val", segments=4, size=32, train=True)
    assert train[place]["readable"] and "broken" not in train[place]["name"]
    with pytest.raises(ClipkitError, match=r"cannot be read|no film"):
        ActionVideos("folder", str(root), "val", segments=4, size=32, on_bad="raise")[place]
    with pytest.raises(ClipkitError, match="clips and crops are for testing"):
        ActionVideos("folder", str(root), "val", train=True, crops=3)


def test_crops_and_augmentation_treat_all_frames_alike():
    ramp = torch.arange(48, dtype=torch.uint8).expand(T, 3, 28, 48).contiguous()
    crops = crops_of(ramp, 28, 3)
    assert crops.shape == (3, T, 3, 28, 28)
    middles = crops.float().mean((1, 2, 3, 4))
    assert middles[0] < middles[1] < middles[2]
    assert torch.equal(crops_of(ramp, 28, 1)[0], crops[1])
    with pytest.raises(ValueError, match="crops is 1 or 3"):
        crops_of(ramp, 28, 2)
    still = torch.randint(0, 255, (3, 40, 60), dtype=torch.uint8).expand(T, 3, 40, 60)
    for seed in range(5):
        torch.manual_seed(seed)
        out = train_transform(32, (2, 9), True)(still)
        assert out.shape == (T, 3, 32, 32) and out.dtype == torch.uint8
        assert all(torch.equal(frame, out[0]) for frame in out)
    assert MultiScaleCrop(24)(still).shape == (T, 3, 24, 24)


def test_films_with_their_actions(tmp_path):
    options = dict(n=4, film=dict(frames=4), clip=dict(name="tiny_clip"), store=str(tmp_path / "store"),
                   sampling=dict(uniform=4), max_frames=4, dtype="fp32")  # fmt: skip
    films = FilmActions(str(tmp_path / "films"), in_pairs=True, **options)
    assert len(films) == 6 and len(films.metainfo["classes"]) == 10
    for i in range(6):
        one, two = films[i]
        assert one["frames"].shape == (1, 4, 128)
        torch.testing.assert_close(one["frames"], two["frames"].flip(1), rtol=0, atol=1e-5)
        assert two["label"] == one["label"] + 1
    classes = films.metainfo["classes"]
    assert {(s["task"], classes[s["label"]]) for i in range(6) for s in films[i]} >= {
        ("direction", "moves left"), ("direction", "moves down"), ("reversed", "vanishes"), ("speed", "slows down")
    }  # fmt: skip
    assert not (tmp_path / "store" / "captions").exists()
    assert FilmActions(str(tmp_path / "films"), **options)[0]["task"] == "direction"


def test_stored_embeddings_in_place_of_pixels(tmp_path):
    options = dict(n=2, tasks=("direction",), film=dict(frames=4), clip=dict(name="tiny_clip"), dtype="fp32",
                   store=str(tmp_path / "store"), sampling=dict(uniform=4), max_frames=4)  # fmt: skip
    stored = FilmActions(str(tmp_path / "films"), actions=("direction",), **options)
    (tmp_path / "labels.txt").write_text("moves left\nmoves right\n")
    (tmp_path / "list.txt").write_text("films/000000.mkv 0\nfilms/000001.mkv 1\n")
    place = dict(set="list", root=str(tmp_path / "list.txt"), labels=str(tmp_path / "labels.txt"), segments=2)
    data = ActionVideos(**place, clips=2, store=str(tmp_path / "store"))
    rows = stored[1]["frames"][0]
    assert torch.equal(data[1]["frames"], torch.stack([rows[[0, 2]], rows[[1, 3]]])) and data[1]["label"] == 1
    assert ActionVideos(**place, train=True, store=str(tmp_path / "store"))[0]["frames"].shape == (1, 2, 128)
    with pytest.raises(ClipkitError, match="a store of embeddings has no crops"):
        ActionVideos(**place, crops=3, store=str(tmp_path / "store"))
    (tmp_path / "other.mkv").write_bytes((tmp_path / "films" / "000000.mkv").read_bytes())
    (tmp_path / "list.txt").write_text("films/000000.mkv 0\nother.mkv 1\n")
    with pytest.raises(ClipkitError, match=r"lacks 1 of 2 videos, such as other\.mkv"):
        ActionVideos(**place, store=str(tmp_path / "store"))


# ---- scores ---------------------------------------------------------------------------------------------------------


def score(samples, classes=NAMES, vocabulary=None):
    metric = ActionAccuracy()
    metric.dataset_meta = {"classes": classes}
    if vocabulary is not None:
        metric.set_labels(vocabulary)
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_scores_count_every_video():
    samples = [
        {"scores": torch.tensor([0.7, 0.2, 0.1]), "label": 0},
        {"scores": torch.tensor([0.1, 0.2, 0.7]), "label": 0, "scores_unseen": None},
        {"scores": torch.tensor([0.1, 0.8, 0.1]), "label": 1, "readable": False},
        {"scores": torch.tensor([0.1, 0.8, 0.1]), "label": 1},
    ]
    for sample in samples:
        sample["scores_unseen"] = torch.tensor([1.0, 0.0, 0.0])
    got = score(samples)
    assert got == {"top1": 50.0, "top5": 75.0, "mean_class": 50.0, "videos": 4, "unseen_top1": 50.0}


def test_other_labels_are_matched_and_distractors_are_wrong():
    vocabulary = Vocabulary.parse("unicorn, climbs; moves up, moves left")
    samples = [
        {"scores": torch.tensor([0.1, 0.8, 0.1]), "label": 2},  # "climbs" stands for "moves up"
        {"scores": torch.tensor([0.9, 0.0, 0.1]), "label": 0},  # a unicorn
    ]
    assert score(samples, vocabulary=vocabulary)["top1"] == 50.0


# ---- the runner -----------------------------------------------------------------------------------------------------


SMALL = [
    "variables.clip=tiny_clip", "variables.weights=None", "variables.segments=4", "variables.size=64",
    "variables.flip=False", "model.tune.unfreeze_from=3", "model.tune.unfreeze=None", "model.head.layers=1",
    "train_dataloader.batch_size=4", "train_dataloader.num_workers=0", "train_dataloader.persistent_workers=False",
    "val_dataloader.num_workers=0", "val_dataloader.batch_size=4", "val_dataloader.persistent_workers=False",
]  # fmt: skip


def test_a_folder_of_videos_through_train_and_test(films, tmp_path, capsys):
    config = "actionclip/actionclip_folder.py"
    options = [
        *SMALL,
        f"variables.root={films}",
        "train_cfg.max_iters=2",
        "train_cfg.val_interval=2",
        "variables.crops=3",
    ]
    work = tmp_path / "work"
    assert main(["train", config, "--work-dir", str(work), "--cfg-options", *options]) == 0
    out = tmp_path / "scores.json"
    options += ["test_dataloader.num_workers=0", "test_dataloader.persistent_workers=False"]
    command = ["test", config, str(work), "--work-dir", str(tmp_path / "test"), "--out", str(out)]
    assert main([*command, "--cfg-options", *options]) == 0
    scores = json.loads(out.read_text())["scores"]
    assert scores["videos"] == 6  # 4 and 2: no clip is dropped
    assert main([*command, "--labels", "moves on, moves back, unicorn", "--cfg-options", *options]) == 0
    assert 0 <= json.loads(out.read_text())["scores"]["top1"] <= 100


@pytest.mark.slow
def test_an_epoch_on_real_files(tmp_path, data_root, capfd):
    """Everything in the shared folder with made-up labels; a film that was cut off is told and counts as wrong."""
    names = enumerate(with_a_cut_film(data_root / "videos", tmp_path / "videos"))
    (tmp_path / "list.txt").write_text("".join(f"{name} {i % 3}\n" for i, name in names))
    (tmp_path / "labels.txt").write_text("arm wrestling\nflipping a pancake\nturning\n")
    options = [
        *SMALL, "variables.data=list", f"variables.root={tmp_path}/list.txt", f"variables.labels={tmp_path}/labels.txt",
        f"variables.videos={tmp_path / 'videos'}", "train_cfg.max_iters=3", "train_cfg.val_interval=3",
    ]  # fmt: skip
    start = ["train", "actionclip/actionclip_folder.py", "--work-dir", str(tmp_path / "work"), "--cfg-options"]
    assert main([*start, *options]) == 0
    told = capfd.readouterr()
    assert "cut.mp4" in told.err and "1 of 11 videos could not be read" in told.out + told.err


@pytest.mark.parametrize("name", ["C29", "C30"])
def test_claims_name_configs_options_and_arms_that_exist(name):
    _, definition = read_claim(name)
    for run in definition["arms"].values():
        cfg = prepare_config(run["config"], cfg_options=run["cfg_options"])
        assert cfg.model.type == "ActionCLIP"
    statements = runpy.run_path(str(find_config(f"claims/{name.lower()}.py")))["statements"]
    assert all({one["better"], one["than"]} <= set(definition["arms"]) for one in statements)
