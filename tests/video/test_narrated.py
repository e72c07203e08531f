"""Narrated films through the real Runner: pairs from stored frames, retrieved batches, a resumed run, the metric."""

import csv
import json

import numpy as np
import pytest
import torch

pytest.importorskip("av")
pytest.importorskip("mmengine")

from clipkit_plugins.clip4clip.model import CLIP4Clip

from clipkit.adapters import MaskedMean, MeanPool
from clipkit.data import OverlappedPairs, TimedText
from clipkit.engine.build import build_runner
from clipkit.engine.sampler import Draw, SeededDataset
from clipkit.errors import ClipkitError
from clipkit.shapes import COLOURS, write_film
from clipkit.shapes.render import RGB
from clipkit.video.datasets import collate_lists
from clipkit.video.narrated import NarratedMetric, NarratedVideos, RetrievedBatchSampler, inside
from clipkit.video.stories import StoryMetric, StoryTexts

PAIRS = dict(seconds=(3, 8), words=(4, 12), pairs=3)
CONFIG = "clip4clip/clip4clip_tiny_stories.py"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("narrated")


def common(work, **options):
    clip = dict(clip=dict(name="tiny_clip"), dtype="fp32", backend="pyav")
    return dict(**clip, store=str(work / "store"), sampling=dict(fps=2.0), max_frames=8, **options)


def stories(work, n=4, seed=0, **options):
    return StoryTexts(str(work / f"stories{n}-{seed}"), n, seed, **common(work, pairs=PAIRS, **options))


def films(work):
    """Three films of four seconds, a colour each second, and the table that says so; one has no file."""
    words = list(COLOURS)
    rows = [("video", "sentence", "start", "end", "split")]
    for number in range(3):
        own = words[number : number + 4]
        ground = torch.tensor([RGB[name] for name in own]).repeat_interleave(2, 0)
        write_film(ground[:, :, None, None].expand(-1, -1, 64, 64), work / f"film{number}.mkv", fps=2.0)
        rows += [(f"film{number}.mkv", f"a {name} wall", i, i + 1, "train") for i, name in enumerate(own)]
    rows.append(("gone.mkv", "nobody", 0, 1, "train"))
    path = work / "said.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_a_pair_is_a_slice_of_the_stored_frames(work):
    data = NarratedVideos("csv", films(work), on_bad="skip", **common(work, pairs=PAIRS))
    assert len(data) == 3
    samples = data[1]
    said = [TimedText(i, i + 1, f"a {name} wall") for i, name in enumerate(list(COLOURS)[1:5])]
    drawn = OverlappedPairs(**PAIRS)("film1.mkv", said, 4.0, 0)
    film = data.store["film1.mkv"]
    for k, (sample, pair) in enumerate(zip(samples, drawn)):
        own = (film.timestamps >= pair.start) & (film.timestamps < pair.end)
        assert torch.equal(sample["frames"], torch.from_numpy(film.embeddings[own]))
        assert sample["texts"] == [pair.text] and sample["window"].tolist() == [1, pair.start, pair.end]
        assert sample["video"] == 3 + k
    with pytest.raises(ClipkitError, match=r"1 videos that are not in .*gone.mkv"):
        NarratedVideos("csv", films(work), **common(work))


def test_the_epoch_is_that_of_the_draw(work):
    data = SeededDataset(stories(work), seed=9)
    first, again, later = data[Draw(2, 2)], data[Draw(2, 3)], data[Draw(2, 4)]

    def windows(samples):
        return [(sample["window"].tolist(), sample["texts"]) for sample in samples]

    assert windows(first) == windows(again) != windows(later)


def test_frames_inside_a_window():
    times = np.array([0.0, 0.5, 1.0, 5.0])
    assert inside(times, 0, 1, 8).tolist() == [0, 1] and inside(times, 0, 9, 2).tolist() == [0, 3]
    assert inside(times, 2, 4, 8).tolist() == [2]  # a still: the frame on show
    assert inside(times, 9, 12, 8).tolist() == [3]


def test_sentences_are_late_in_training_alone(work):
    late, timely = stories(work), stories(work, test_mode=True)
    for one, other in zip(late.about, timely.about):
        lags = [said.start - event["start"] for said, event in zip(one["said"], one["events"])]
        assert all(0 <= lag <= 2 for lag in lags) and max(lags) > 0.5
        assert [said[:2] for said in other["said"]] == [(event["start"], event["end"]) for event in other["events"]]
    assert [about["said"] for about in stories(work).about] == [about["said"] for about in late.about]
    assert len(timely[0]["frames"]) == 2 * timely.about[0]["events"][-1]["end"]


def test_retrieved_batches_bring_a_story_and_its_reverse_together(work):
    sampler = RetrievedBatchSampler(stories(work), films=2, candidates=2, seed=3)
    drawn = [int(index) for index, _ in zip(sampler, range(12))]
    assert all(one ^ 1 == other for one, other in zip(drawn[::2], drawn[1::2]))
    late = RetrievedBatchSampler(stories(work), films=2, candidates=2, seed=3)
    late.skip(7)
    assert [int(index) for index, _ in zip(late, range(5))] == drawn[7:]
    with pytest.raises(ClipkitError, match="as many candidates and films"):
        RetrievedBatchSampler(stories(work), films=5)


def options(work, iterations):
    part = {"sampling": {"fps": 2.0}, "max_frames": 8, "backend": "pyav"}
    found = {
        "variables.stories": str(work / "told4-0"),
        "variables.test_stories": str(work / "told4-1"),
        "variables.store": str(work / "store"),
        "variables.films": 2,
        "train_dataloader.dataset.pairs": PAIRS,
        "train_cfg.max_iters": iterations,
        "train_cfg.val_interval": iterations,
        "default_hooks.checkpoint.interval": 1,
        "param_scheduler": [dict(type="LinearLR", start_factor=0.5, by_epoch=False, begin=0, end=9)],
    }
    found["train_dataloader.sampler"] = dict(type="RetrievedBatchSampler", films=2, candidates=3)
    loaders = ("train_dataloader", "val_dataloader", "test_dataloader")
    sizes = {f"{loader}.dataset.n": 4 for loader in loaders}
    return {**found, **sizes, **{f"{loader}.dataset.{key}": value for loader in loaders for key, value in part.items()}}


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(work, tmp_path):
    weights = []
    for name, steps in (("whole", [5]), ("parts", [2, 5])):
        for count in steps:
            told = options(work, count)
            runner = build_runner(CONFIG, work_dir=tmp_path / name, cfg_options=told, seed=4, resume=True)
            runner.train()
        weights.append(runner.bare_model.state_dict())
    assert runner.iter == 5
    assert all(torch.equal(value, weights[0][key]) for key, value in weights[1].items())
    assert runner.message_hub.get_scalar("val/frame_accuracy").current() > 0


def official(work):
    """Miniatures of HowTo100M, YouCook2 and MSR-VTT in their layouts."""
    for number, name in enumerate(("howto100m", "youcook2", "msrvtt")):
        (work / name / "videos").mkdir(parents=True)
        for k, colour in enumerate(list(COLOURS)[number : number + 2]):
            ground = torch.tensor(RGB[colour])[:, None, None].expand(8, 3, 64, 64)
            write_film(ground, work / name / f"videos/{name}{k}.mkv", fps=1.0)
    told = {"start": [0.4, 4.0], "end": [3.5, 9.0], "text": ["this is a wall", "and so is that"]}
    names = [f"howto100m{k}" for k in range(2)]
    (work / "howto100m/raw_caption_superclean.json").write_text(json.dumps(dict.fromkeys(names, told)))
    (work / "howto100m/HowTo100M_v1.csv").write_text("\n".join(["video_id,rank", *(f"{name},1" for name in names)]))
    steps = [{"segment": [0, 3], "id": 0, "sentence": "a wall"}, {"segment": [3, 8], "id": 1, "sentence": "paint it"}]
    entries = {f"youcook2{k}": {"subset": "validation", "annotations": steps} for k in range(2)}
    (work / "youcook2/youcookii_annotations_trainval.json").write_text(json.dumps({"database": entries}))
    rows = ["key,vid_key,video_id,sentence", *(f"ret{k},m,msrvtt{k},a wall {k}" for k in range(2))]
    (work / "msrvtt/MSRVTT_JSFUSION_test.csv").write_text("\n".join(rows))


@pytest.mark.parametrize("test, split", [("youcook2", "val"), ("msrvtt", "test1k")])
def test_narrated_videos_train_and_other_sets_are_found_zero_shot(tmp_path, test, split):
    official(tmp_path)
    told = {"root": str(tmp_path / "howto100m"), "store": str(tmp_path / "store"), "clip": "tiny_clip", "weights": None}
    told |= {"test_data": test, "test_root": str(tmp_path / test), "test": split, "test_store": str(tmp_path / "other")}
    cfg_options = {f"variables.{key}": value for key, value in {**told, "films": 2, "candidates": 2}.items()}
    cfg_options |= {"train_cfg.max_iters": 2, "train_cfg.val_interval": 2}
    for part in ("train", "val", "test"):
        cfg_options |= {f"{part}_dataloader.num_workers": 0, f"{part}_dataloader.persistent_workers": False}
        cfg_options[f"{part}_dataloader.dataset.backend"] = "pyav"
    name = "clip4clip/clip4clip_howto100m.py"
    runner = build_runner(name, work_dir=tmp_path / "work", cfg_options=cfg_options, seed=0)
    runner.train()
    assert runner.iter == 2 and runner.message_hub.get_scalar("val/t2v_R@1").current() > 0


def sample(frames, times, said, text):
    return {"frames": frames, "times": torch.tensor(times), "said": said, "texts": list(text), "name": "a"}


def test_the_metric_cuts_films_into_what_is_said_and_names_their_frames():
    """Frames equal to their sentences: all is found; with two sentences swapped, what belongs to them is wrong."""
    rows = torch.eye(6)
    said = [TimedText(0, 2, "one"), TimedText(2, 4, "two"), TimedText(4, 6, "three")]
    films = [
        sample(rows[[0, 0, 1, 1, 2, 2]], [0.0, 1, 2, 3, 4, 5], said, rows[:3]),
        sample(rows[[3, 3, 4, 4, 5, 5]], [0.0, 1, 2, 3, 4, 5], [(a, b, text * 2) for a, b, text in said], rows[3:]),
    ]
    metric = NarratedMetric(window=0.5)
    metric.set_model(type("Model", (), {"head": MeanPool()}))
    found = metric.compute_metrics(films)
    assert found["t2v_R@1"] == found["v2t_R@1"] == found["frame_accuracy"] == 100
    films[0]["texts"] = [rows[1], rows[0], rows[2]]
    found = metric.compute_metrics(films)
    assert found["t2v_R@1"] == pytest.approx(100 * 4 / 6, abs=0.01)
    assert found["frame_accuracy"] == pytest.approx(100 * 8 / 12, abs=0.01)


def model(**changes):
    torch.manual_seed(0)
    return CLIP4Clip(clip="tiny_clip", **changes)


def test_videoclips_form_trains_from_dot_products_of_means(work):
    """Its own loss equals the two cross-entropies of dot products, both summed."""
    net = model(
        head=dict(type="masked_mean"),
        tune=dict(unfreeze=["text_projection"]),
        objective=dict(directions="sum"),
    )
    samples = collate_lists([stories(work)[i] for i in range(2)])
    loss = net(**samples, mode="loss")["loss"]
    text = MaskedMean().text(*net.embed_texts([text for own in samples["texts"] for text in own]))
    dots = text @ torch.stack([own.mean(0) for own in samples["frames"]]).T
    labels = torch.arange(len(dots))
    expected = sum(torch.nn.functional.cross_entropy(part, labels) for part in (dots, dots.T))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in net.clip.parameters())
    scores = net(**samples, mode="tensor")
    torch.testing.assert_close(scores, dots)


def test_the_objective_leaves_out_windows_of_one_moment(work):
    samples = collate_lists([stories(work)[0]])
    samples["window"] = [torch.tensor([0.0, 0.0, 9.0], dtype=torch.float64)] * 3
    net = model(head=dict(type="meanP"), objective=dict(overlap=0.5))
    assert net(**samples, mode="loss")["loss"] == 0
    assert model(head=dict(type="meanP"), objective={})(**samples, mode="loss")["loss"] > 0


def test_what_does_not_fit_is_refused(work):
    with pytest.raises(ClipkitError, match="no embedding of its own"):
        model(head=dict(type="tightTransf"), objective={})
    with pytest.raises(ClipkitError, match=r"objective: .*'overlapp'"):
        model(head=dict(type="meanP"), objective=dict(overlapp=0.5))
    samples = collate_lists([stories(work)[0]])
    with pytest.raises(ClipkitError, match="needs samples with windows"):
        model(head=dict(type="meanP"), objective=dict(overlap=0.5))(
            **{key: value for key, value in samples.items() if key != "window"}, mode="loss"
        )
    with pytest.raises(ClipkitError, match="slices of a store"):
        NarratedVideos("csv", films(work), on_bad="skip", **{**common(work), "store": None})
    with pytest.raises(ClipkitError, match="slices of a store"):
        StoryTexts(str(work / "stories4-0"), 4, **{**common(work), "sampling": dict(uniform=4)})
    with pytest.raises(ClipkitError, match="pairs: "):
        StoryTexts(str(work / "stories4-0"), 4, **common(work, pairs=dict(seconds=(4, 3))))


def test_story_metric_has_the_films_numbers_too(work):
    data = stories(work, test_mode=True)
    net = model(head=dict(type="meanP"))
    metric = StoryMetric()
    metric.set_model(net)
    batch = collate_lists([data[i] for i in range(len(data))])
    metric.process(None, net(**batch, mode="predict"))
    found = metric.compute_metrics(metric.results)
    assert found["pairs"] == pytest.approx(50, abs=1)  # the mean is blind to order
    assert {"t2v_R@1", "frame_accuracy"} <= set(found)
