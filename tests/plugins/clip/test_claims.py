"""The claims about CLIP run, small; their files name what exists and state what can be judged."""

import runpy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("mmengine")

from clipkit_plugins.clip import claim_pretraining, claim_tower, claims
from clipkit_plugins.clip.supervised import SupervisedClassifier, guess, train_to
from clipkit_plugins.clip.words import WordPredictor, words_of

from clipkit.claims.definition import arm_names, read_claim
from clipkit.claims.one_run import execute
from clipkit.classification.image_sets import ShapesImages

CONFIGS = Path(__file__).parents[3] / "configs" / "claims"


@pytest.mark.parametrize("name", ["c1", "c2", "c4", "c5", "c6", "c7", "c8", "c36"])
def test_statements_speak_of_arms(name):
    _, definition = read_claim(CONFIGS / f"{name}.py")
    arms = {arm for run, config in definition["arms"].items() for arm in arm_names(run, config)}
    statements = runpy.run_path(str(CONFIGS / f"{name}.py"))["statements"]
    assert statements and {s[key] for s in statements for key in ("better", "than")} <= arms


def test_c4_measures_both_at_every_number_of_shots(tmp_path):
    run = {"function": "clipkit_plugins.clip.claims.few_shot_probe", "arms": ("zero-shot", "probe")}
    found = execute("shots", {**run, "kwargs": {"shots": (1, 2), "test": 200, "pool": 1500}}, 0, tmp_path)
    assert set(found["probe"]) == set(found["zero-shot"]) == {"1", "2"}
    assert found["zero-shot"]["1"] > 90 > found["probe"]["2"] > found["probe"]["1"] > 2


def test_c5_compares_on_every_shift(tmp_path):
    found = claims.robustness(0, tmp_path, train=200, test=60)
    assert set(found) == {"zero-shot", "probe"} and set(claims.SHIFTS) | {"styles"} == set(found["probe"])
    assert found["zero-shot"]["plain"] > 90 and found["probe"]["plain"] > 30


@pytest.mark.slow
def test_c5_trains_a_classifier_from_scratch(tmp_path):
    found = claims.supervised_robustness(0, tmp_path, train=200, test=60, steps=3)
    assert found["steps"] == 3 and found["target"] > 90 and set(claims.SHIFTS) <= set(found)


@pytest.mark.slow
def test_c36_trains_one_tower_for_all_seeds(tmp_path):
    few = {"train_cfg.max_iters": 2, "train_cfg.val_interval": 2, "model.dim": 32}
    lengths = {f"{split}_dataloader.dataset.length": 12 for split in ("train", "val", "test")}
    run = dict(config="vqa/vqa_tiny_shapes_plain.py", metric=("all", "ground"), cfg_options={**few, **lengths})
    tower = dict(train=140, val=20, steps=2)
    first = claim_tower.towers_answers(0, tmp_path / "a-0", **run, **tower)
    assert set(first) == {"all", "ground", "names", "steps"} and first["steps"] == 2
    weights = tmp_path / "classifier" / "open_clip_model.safetensors"
    before = weights.stat().st_mtime_ns
    claim_tower.towers_answers(1, tmp_path / "a-1", **run, **tower)
    assert weights.stat().st_mtime_ns == before
    claim_tower.labelled_tower(tmp_path / "random", train=140, val=20, steps=0)
    kept = [load_file(tmp_path / name / weights.name) for name in ("classifier", "random")]
    changed = {key for key, value in kept[0].items() if not torch.equal(value, kept[1][key])}
    assert changed and all(torch.isfinite(value).all() for value in kept[1].values())


def test_c6_has_words_for_neither(tmp_path):
    found = claims.unnamed(0, tmp_path, train=150, test=80)
    assert found["chance"] == {"glyphs": 10, "count": pytest.approx(100 / 3)}
    assert found["probe"]["glyphs"] > 30 > found["zero-shot"]["glyphs"]


def test_c8_learns_its_scale_and_keeps_fixed_ones(tmp_path):
    found = claims.temperature(0, tmp_path, fixed=(3.0, 30.0), pairs=400, test=100, steps=40, batch=64)
    assert found["3"]["scale"] == pytest.approx(3) and found["30"]["scale"] == pytest.approx(30)
    assert found["learned"]["scale"] != pytest.approx(1 / 0.07, abs=0.01)
    assert found["best fixed"]["top1"] == max(found["3"]["top1"], found["30"]["top1"])


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"words": True}, {"model": "tiny-shapes-s"}, {"model": "tiny-shapes-mlp"}])
def test_pretrainings_run_and_keep_their_curve(tmp_path, options):
    found = claim_pretraining.pretrain(0, tmp_path, iterations=4, interval=2, count=50, amp=False, **options)
    assert set(found) == {"top1", "parameters", *(f"images_to_{bar}" for bar in claim_pretraining.BARS)}
    assert found["images_to_80"] == 4 * 128 and 0 <= found["top1"] < 20
    assert len((tmp_path / "curve.jsonl").read_text().splitlines()) == 2


def test_a_word_predictor_learns_the_words_of_captions():
    torch.manual_seed(0)
    model = WordPredictor("tiny-shapes", fused_attention=False)
    bags = model.bags(["A red star, a red dome", "nothing known: xyzzy"])
    assert bags[0, model.place["red"]] == pytest.approx(2 / 6) and bags[0].sum() == pytest.approx(1)
    assert words_of("Two-tone RED") == ["two", "tone", "red"]
    images, texts = torch.rand(3, 3, 64, 64), [["a red star", "blue ring", "a dome"]]
    loss = model([images], texts, mode="loss")["loss"]
    log = model([images], texts)
    expected = -sum(
        sum(float(log[i, model.place[w]]) for w in words_of(text)) / len(words_of(text))
        for i, text in enumerate(texts[0])
    )
    assert loss.item() == pytest.approx(expected / 3, rel=1e-5)
    loss.backward()
    assert all(p.grad is None for n, p in model.clip.model.named_parameters() if not n.startswith("visual"))
    names = ["red star", "blue ring"]
    scores = [[sum(float(row[model.place[w]]) for w in name.split()) for name in names] for row in log]
    assert model.eval().guess(images, names).shape == (3,) and len(scores) == 3


def test_the_supervised_classifier_stops_at_its_target():
    torch.manual_seed(0)
    images = ShapesImages(40, label="colour")
    model = SupervisedClassifier(8)
    reached = train_to(model, images, images, target=0.0, seed=0, steps=2, batch=8)
    assert reached["steps"] == 2  # looks are every 100 steps and at the end
    assert guess(model, images).shape == (40,)
    torch.manual_seed(0)
    again = SupervisedClassifier(8)
    train_to(again, images, images, target=0.0, seed=0, steps=2, batch=8)
    assert torch.equal(again.head.weight, model.head.weight)
