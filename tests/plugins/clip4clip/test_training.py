"""CLIP4Clip through the real Runner on real video files: heads, cached or raw, frozen or tuned; the films' tasks."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("decord")
pytest.importorskip("av")
pytest.importorskip("mmengine")

import clipkit_plugins.clip4clip  # noqa: F401  # registers CLIP4Clip
from mmengine.registry import DefaultScope

from clipkit.claims.definition import read_claim
from clipkit.cli import main
from clipkit.embed import frame_source
from clipkit.engine import VideoRetriever
from clipkit.engine.build import build_runner, prepare_config
from clipkit.engine.config import find_config, parse_options
from clipkit.engine.register import register_all
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.video.datasets import VideoTexts, collate_lists, equal_text_id
from clipkit.video.films import FilmMetric, FilmTexts, label_accuracy, pair_accuracy, retold
from clipkit.video.metrics import RetrievalMetric
from support.video_files import with_a_cut_film

HEADS = ("meanp", "lstm", "", "tight", "query", "wti", "frozen")
TASKS = ["direction", "reversed", "static"]
FILM = dict(frames=6)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder whose films and stores all tests here share."""
    register_all()
    return tmp_path_factory.mktemp("clip4clip")


def films(work, *, n=8, seed=0, store=True, **options):
    config = dict(clip=dict(name="tiny_clip"), sampling=dict(uniform=6), max_frames=6, dtype="fp32", film=FILM)
    config.update(store=str(work / "store") if store else None, **options)
    return FilmTexts(str(work / f"films{n}-{seed}"), TASKS, n, seed, **config)


def options(work, iterations=2):
    part = {"tasks": TASKS, "n": 8, "film": FILM, "sampling": {"uniform": 6}, "max_frames": 6}
    found = {
        "variables.films": str(work / "films8-0"),
        "variables.test_films": str(work / "films8-1"),
        "variables.store": str(work / "store"),
        "train_cfg.max_iters": iterations,
        "train_cfg.val_interval": iterations,
        "train_dataloader.batch_size": 6,
    }
    loaders = ("train_dataloader", "val_dataloader", "test_dataloader")
    return {**found, **{f"{loader}.dataset.{key}": value for loader in loaders for key, value in part.items()}}


def build(head="meanP", **changes):
    torch.manual_seed(0)
    config = dict(type="CLIP4Clip", clip=dict(name="tiny_clip"), head=dict(type=head), **changes)
    with DefaultScope.overwrite_default_scope("clipkit"):
        return MODELS.build(config)


def batch(dataset, indices):
    return collate_lists([dataset[i] for i in indices])


def test_negatives_are_for_heads_that_score_pairs():
    with pytest.raises(ClipkitError, match="MeanPool scores all pairs at once"):
        build("meanP", negatives=dict(hard=1))
    with pytest.raises(ClipkitError, match="negatives: "):
        build("tightTransf", negatives=dict(hart=1))


# ---- training -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
def test_a_head_trains_through_the_runner(work, tmp_path, head):
    name = f"clip4clip/clip4clip_tiny_films{'_' + head if head else ''}.py"
    runner = build_runner(name, work_dir=tmp_path, cfg_options=options(work), seed=0)
    before = {key: value.clone() for key, value in runner.bare_model.state_dict().items()}
    runner.train()
    changed = {k.split(".")[0] for k, v in runner.bare_model.state_dict().items() if not torch.equal(v, before[k])}
    learned = {"meanp": set(), "query": set(), "tight": {"head"}}.get(head, {"head"})
    scaled = set() if head == "tight" else {"logit_scale"}
    assert changed == learned | scaled | (set() if head == "frozen" else {"clip"})
    scores = runner.val_loop.evaluator.metrics[0].compute_metrics  # the metric was given the head
    assert callable(scores) and runner.message_hub.get_scalar("val/pairs").current() >= 0
    retriever = VideoRetriever.load(name, tmp_path, cfg_options=options(work))
    assert torch.equal(retriever.model.state_dict()["logit_scale.log_scale"], runner.bare_model.logit_scale.log_scale)


def test_clip_runs_for_no_step_of_a_cached_training(work, tmp_path, monkeypatch):
    """Everything is in the store: neither tower computes, no file is read."""
    films(work), films(work, seed=1)
    runner = build_runner(
        "clip4clip/clip4clip_tiny_films_frozen.py", work_dir=tmp_path, cfg_options=options(work), seed=0
    )
    runner.train_dataloader, runner.val_loop  # noqa: B018  # the stores are looked at when the loaders are built

    def never(*args, **kwargs):
        raise AssertionError("CLIP was asked, or a video was read")

    clip = runner.bare_model.clip
    for name in ("encode_image", "encode_frames", "encode_text", "text_tokens", "features"):
        monkeypatch.setattr(clip, name, never)
    monkeypatch.setattr("clipkit.embed.frame_source.stream_video", never)
    runner.train()


def test_embeddings_from_the_store_and_raw_frames_give_the_same_loss(work):
    model = build("seqTransf").eval()
    cached, raw = batch(films(work), range(4)), batch(films(work, store=False), range(4))
    assert cached["frames"][0].shape == (6, 128) and raw["frames"][0].dtype == torch.uint8
    assert isinstance(raw["texts"][0][0], str)
    a, b = (model(**samples, mode="loss")["loss"] for samples in (cached, raw))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("tune", "part"),
    [
        (dict(unfreeze_from=3), "clip.model"),
        (dict(unfreeze_from=0, adapters=None, inflate_patches=False), "clip.model.visual.trunk.blocks.0"),
        (dict(adapters=dict(width=4)), "clip.adapters"),
        (dict(cross_modal=dict(bottleneck=4, shared=8)), "clip.adapters"),
        (dict(unfreeze=["visual"]), "clip.model.visual"),
    ],
)
def test_what_is_tuned_trains_and_the_rest_stays(work, tune, part):
    model = build("meanP", tune=tune).train()
    samples = batch(films(work, store=False), range(4))
    frozen = {key: p.detach().clone() for key, p in model.named_parameters() if not p.requires_grad}
    model(**samples, mode="loss")["loss"].backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1).step()
    moved = [key for key, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert any(key.startswith(part) for key in moved)
    assert all(key.startswith((part, "logit_scale", "clip.model")) for key in moved)
    if any("visual" in key for key in moved):  # and then embeddings of the frozen tower would be another model's
        with pytest.raises(ClipkitError, match=r"the visual tower trains.*set store=None"):
            model.embed_frames(batch(films(work), range(4))["frames"])
    for key, p in model.named_parameters():
        if key in frozen:
            assert torch.equal(p, frozen[key]), key


def test_videos_of_different_lengths_do_not_meet(work):
    """Padding is seen by nobody: alone and in a batch a video has the same embedding."""
    model = build("meanP", tune=dict(unfreeze_from=4)).eval()
    g = torch.Generator().manual_seed(0)
    clips = [torch.randint(0, 256, (n, 3, 64, 64), dtype=torch.uint8, generator=g) for n in (2, 5, 2)]
    together, mask = model.embed_frames(clips)
    assert mask.sum(1).tolist() == [2, 5, 2]
    for i, own in enumerate(clips):
        alone, _ = model.embed_frames([own])
        torch.testing.assert_close(together[i, : len(own)], alone[0], rtol=0, atol=1e-5)


def test_bad_options_are_one_line():
    with pytest.raises(ClipkitError, match='tune has no "unfreze"; did you mean "unfreeze"'):
        build(tune=dict(unfreze=1))
    with pytest.raises(ValueError, match="no temporal head is called 'seqTransformer'"):
        build("seqTransformer")


def test_sentences_that_do_not_fit_are_one_line(work):
    with pytest.raises(ClipkitError, match=r"needs sentences with all their tokens: set variables\.tokens=True"):
        build("wti")(**batch(films(work), range(4)), mode="loss")
    with pytest.raises(ClipkitError, match=r"takes sentences without their tokens: set variables\.tokens=False"):
        build("meanP")(**batch(films(work, tokens=True), range(4)), mode="loss")
    with pytest.raises(ClipkitError, match=r"the text tower trains.*set strings=True"):
        build("meanP", tune=dict(unfreeze=["text"]))(**batch(films(work), range(4)), mode="loss")
    metric = RetrievalMetric()
    metric.set_model(build("meanP"))
    with pytest.raises(ClipkitError, match="not one test video has a frame"):
        metric.compute_metrics([{"frames": torch.zeros(0, 128), "texts": [torch.zeros(128)]}])


# ---- what order is worth ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["meanP", "query_scoring", "wti"])
def test_what_is_blind_to_order_has_exactly_half_of_the_reversed_pairs(work, head):
    model = build(head).eval()
    data = films(work, n=16, tokens=head == "wti", test_mode=True)
    metric = FilmMetric()
    metric.set_model(model)
    metric.process(None, model(**batch(data, range(len(data))), mode="predict"))
    found = metric.compute_metrics(metric.results)
    assert found["pairs"] == found["direction"] == found["reversed"] == 50.0
    assert found["static"] > 50


def test_pair_accuracy_counts_choices():
    # films 0 and 1, 2 and 3 are pairs: sentence 1 prefers film 0, the rest is right
    scores = torch.tensor([[3.0, 1, 9, 9], [2, 1.5, 9, 9], [9, 9, 5, 4], [9, 9, 1, 2]])
    # given a sentence: right, wrong, right, right; given a film: 0 right, 1 right, 2 right, 3 wrong
    assert pair_accuracy(scores) == 100 * 6 / 8
    assert pair_accuracy(torch.zeros(4, 4)) == 50
    assert pair_accuracy(torch.zeros(4, 4), "pessimistic") == 0
    assert pair_accuracy(torch.full((2, 2), torch.nan)) == 0
    assert label_accuracy(torch.eye(3), torch.tensor([0, 1, 2])) == 100
    assert label_accuracy(torch.tensor([[0.0, 1], [1, 0]]), torch.tensor([4, 4])) == 100


# ---- data ---------------------------------------------------------------------------------------------------------


def table(folder, rows):
    lines = ["video,sentence", *(f"{video},{text}" for video, text in rows)]
    (folder / "own.csv").write_text("\n".join(lines))
    return str(folder / "own.csv")


def own_data(tmp_path, work, rows, **changes):
    films(work)
    config = dict(videos=str(work / "films8-0"), clip=dict(name="tiny_clip"), sampling=dict(uniform=2))
    config.update(changes)
    return VideoTexts("csv", table(tmp_path, rows), **config)


ROWS = [("000000.mkv", "one"), ("000000.mkv", "two"), ("000000.mkv", "Three"), ("000001.mkv", "three")]


@pytest.mark.parametrize("store", [True, False])
def test_a_pass_over_the_data_reads_each_video_once(tmp_path, work, monkeypatch, store):
    films(work)  # made before reading is counted
    read, real = [], frame_source.stream_video
    counted = lambda path, *a, **k: read.append(Path(path).name) or real(path, *a, **k)  # noqa: E731
    monkeypatch.setattr(frame_source, "stream_video", counted)
    data = own_data(tmp_path, work, ROWS, sentences=None, store=str(tmp_path / "s") if store else None)
    for _ in range(2):
        samples = [data[i] for i in range(len(data))]
    assert [len(sample["texts"]) for sample in samples] == [3, 1]
    assert set(read) == {"000000.mkv", "000001.mkv"}
    assert len(read) == (2 if store else 4)


def test_sentences_are_drawn_and_equal_ones_share_their_id(tmp_path, work):
    data = own_data(tmp_path, work, ROWS, sentences=1)
    np.random.seed(0)
    assert {data[0]["texts"][0] for _ in range(30)} == {"one", "two", "Three"}
    assert equal_text_id("Three") == equal_text_id("three") != equal_text_id("two")
    test = own_data(tmp_path, work, ROWS, test_mode=True)
    assert len(test[0]["texts"]) == 3 and test[0]["caption"][2] == test[1]["caption"][0]


def test_long_videos_are_thinned_evenly(tmp_path, work):
    whole = own_data(tmp_path, work, ROWS, sampling=dict(uniform=6))
    some = own_data(tmp_path, work, ROWS, sampling=dict(uniform=6), max_frames=2)
    assert torch.equal(some[0]["frames"], whole[0]["frames"][[0, 5]])


@pytest.mark.parametrize("store", [True, False])
def test_broken_videos(tmp_path, work, store, capsys):
    (tmp_path / "bad.mkv").write_bytes(b"no film" * 50)
    rows = [("bad.mkv", "x"), ("000000.mkv", "one")]
    films(work)
    good = tmp_path / "000000.mkv"
    good.write_bytes((work / "films8-0/000000.mkv").read_bytes())
    config = dict(videos=str(tmp_path), clip=dict(name="tiny_clip"), sampling=dict(uniform=2))
    config["store"] = str(tmp_path / "s") if store else None
    path = table(tmp_path, rows)
    if store:
        with pytest.raises(ClipkitError, match=r"1 of 2 videos cannot be read, such as .*bad\.mkv.*on_bad=skip"):
            VideoTexts("csv", path, **config)
        data = VideoTexts("csv", path, on_bad="skip", **config)
        assert len(data) == 1 and data[0]["name"] == "000000.mkv"
    else:
        with pytest.raises(ClipkitError, match=r"bad\.mkv.*leave it out with on_bad=skip"):
            VideoTexts("csv", path, **config)[0]
        data = VideoTexts("csv", path, on_bad="skip", **config)
        assert data[0]["name"] == "000000.mkv"  # the next one in its place
        assert capsys.readouterr().err.count("bad.mkv") == 1
        data[0]
        assert capsys.readouterr().err == ""  # not tried again
        test = VideoTexts("csv", path, on_bad="skip", test_mode=True, **config)
        model, metric = build().eval(), RetrievalMetric()
        metric.set_model(model)
        metric.process(None, model(**batch(test, [0, 1]), mode="predict"))
        assert [len(sample["frames"]) for sample in metric.results] == [0, 2]
        assert metric.compute_metrics(metric.results)["t2v_R@1"] == 100  # among the one that can be read


def test_missing_videos_and_folders_are_one_line(tmp_path, work):
    with pytest.raises(ClipkitError, match=r"1 videos that are not in .*: gone\.mkv\. Repair this"):
        own_data(tmp_path, work, [*ROWS, ("gone.mkv", "x")])
    assert len(own_data(tmp_path, work, [*ROWS, ("gone.mkv", "x")], on_bad="skip")) == 2
    with pytest.raises(ClipkitError, match=r"nowhere\.csv: no such file.*say where the data lie"):
        VideoTexts("csv", str(tmp_path / "nowhere.csv"), clip=dict(name="tiny_clip"))


@pytest.mark.parametrize("config", ["clip4clip_folder.py", "clip4clip_folder_tuned.py"])
def test_real_files_through_the_command_line(tmp_path, data_root, config):
    """The shared folder and a film that was cut off: from a store, and from raw frames with CLIP trained."""
    names = with_a_cut_film(data_root / "videos", tmp_path / "videos")
    path = table(tmp_path, [(name, f"{way} film {i}") for i, name in enumerate(names) for way in ("a", "the")])
    changes = [
        f"variables.root={path}", f"variables.videos={tmp_path / 'videos'}", f"variables.store={tmp_path / 'store'}",
        "variables.clip=tiny_clip", "variables.weights=None", "variables.on_bad=skip", "variables.max_frames=4",
        "train_cfg.max_iters=3", "train_cfg.val_interval=3", "train_dataloader.batch_size=4",
    ]  # fmt: skip
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        changes += [f"{loader}.num_workers=0", f"{loader}.persistent_workers=False"]
    work_dir = tmp_path / "work"
    assert main(["train", f"clip4clip/{config}", "--work-dir", str(work_dir), "--cfg-options", *changes]) == 0
    lines = [json.loads(line) for line in next(work_dir.rglob("scalars.json")).read_text().splitlines()]
    assert "t2v_R@1" in lines[-1]
    log = next(work_dir.rglob("*.log")).read_text()
    assert "left out" in log


# ---- for library users --------------------------------------------------------------------------------------------


def test_the_retriever_finds_what_the_metric_scores(work, tmp_path):
    name = "clip4clip/clip4clip_tiny_films.py"
    build_runner(name, work_dir=tmp_path, cfg_options=options(work), seed=0).train()
    retriever = VideoRetriever.load(name, tmp_path, cfg_options=options(work))
    data = films(work, seed=1, test_mode=True, strings=True)
    paths = [video.path for video in data.videos]
    bad = tmp_path / "bad.mkv"
    bad.write_bytes(b"no film" * 50)
    gallery = retriever.embed_videos([*paths, bad])
    assert len(gallery) == len(paths) and list(gallery.problems) == [str(bad)]
    texts = [video.captions[0] for video in data.videos]
    scores = retriever.similarity(texts, gallery)
    metric = FilmMetric()
    metric.set_model(retriever.model)
    samples = retriever.model(**batch(data, range(len(data))), mode="predict")
    torch.testing.assert_close(scores, metric.score_matrix(samples), rtol=0, atol=1e-4)
    found = retriever.search(texts[3], gallery, top=4)
    own = {str(path): score for path, score in zip(paths, scores[3].tolist())}
    best = sorted(own.values(), reverse=True)[:4]  # a film and its reverse are almost tied so early
    assert [item.score for item in found] == pytest.approx(best, abs=1e-5)
    assert [own[item.path] for item in found] == pytest.approx(best, abs=1e-5)
    again = retriever.similarity(retriever.embed_texts(texts), gallery)
    assert torch.equal(again, scores)
    with pytest.raises(ClipkitError, match="not one of 1 videos can be read"):
        retriever.embed_videos([bad])


CONFIGS = sorted((Path(__file__).parents[3] / "configs/clip4clip").glob("*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_are_read_and_name_parts_that_exist(path):
    cfg = prepare_config(path)
    for key in ("train_dataloader", "val_dataloader"):
        assert cfg[key].dataset.type in ("VideoTexts", "FilmTexts", "NarratedVideos", "StoryTexts")
        assert not re.search(r"{\w+}", json.dumps(cfg[key].dataset.to_dict()))
    assert cfg.model.type == "CLIP4Clip" and not re.search(r"{\w+}", json.dumps(cfg.model.to_dict()))
    header = path.read_text().split('"""')[1]
    for word in ("Command:", "Hardware:", "Time:", "Expected:"):
        assert word in header
    assert f"clip4clip/{path.name}" in header
    for key, value in re.findall(r'((?:model|variables)\.[\w.]+)=("[^"]+"|[\w.]+)', header):
        prepare_config(path, cfg_options=parse_options([f"{key}={value.strip(chr(34))}"]))


def test_pairs_come_into_a_batch_together(work):
    data = films(work, in_pairs=True)
    assert len(data) == 4 + 4 + 8
    for item in (data[i] for i in range(len(data))):
        assert len({(sample["task"], sample["pair"]) for sample in item}) == 1
        assert len(item) == (1 if item[0]["task"] == "static" else 2)
    assert torch.equal(data[0][0]["frames"].flip(0), data[0][1]["frames"])
    assert len(batch(data, [0, 15])["frames"]) == 3


def test_films_are_told_in_other_words_of_the_same_content(work):
    caption = "a red star after a blue ring"
    told = retold(dict(task="order", label=0, caption=caption), 4)
    assert len(told) == 4 and told[0] == caption and len(set(told)) == 4
    for other in told[1:]:
        assert ("after" in other) == (other.index("red star") < other.index("blue ring")) and "before" not in other
    moves = retold(dict(task="direction", label=0, caption="a film of a red star that moves left"), 6)
    assert len(moves) == 6 and all("red star" in text and "left" in text for text in moves)
    assert retold(dict(task="static", label=0, caption=caption), 1) == (caption,)
    assert {len(video.captions) for video in films(work, wordings=3).videos} <= {2, 3}


@pytest.mark.parametrize("name", ["films", "C25", "C26", "C27", "C28"])
def test_claims_name_configs_options_and_arms_that_exist(name):
    _, definition = read_claim(name)
    for run in definition["arms"].values():
        cfg = prepare_config(run["config"], cfg_options=run.get("cfg_options"))
        assert cfg.train_dataloader.dataset.type == "FilmTexts"
    statements = runpy.run_path(str(find_config(f"claims/{name.lower()}.py"))).get("statements", [])
    for statement in statements:
        assert {statement["better"], statement["than"]} <= set(definition["arms"])
