"""What clipkit 0.1.0 wrote, and configs of its time, are read by today's code; README.md says how each was made."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("mmseg")

from mmengine.registry import DefaultScope

from clipkit import cli
from clipkit.embed.frame_store import FrameStore
from clipkit.embed.region_store import TeacherStore
from clipkit.engine.build import build_runner, prepare_config
from clipkit.engine.registry import MODELS
from clipkit.search.index import SearchIndex
from clipkit.shapes import tiny_clip

CLIP = ("--clip", "tiny_clip", "--precision", "fp32")


@pytest.fixture
def old(tmp_path, monkeypatch):
    """The folder that 0.1.0 left, to be written to."""
    folder = shutil.copytree(Path(__file__).parent / "v0_1_0", tmp_path / "v0_1_0")
    monkeypatch.chdir(folder)
    return folder


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_checkpoint_predicts_what_it_predicted(old):
    assert cli.run("predict", ["lseg.py", "work/iter_2.pth", "images/one/0.png", "--out", "now"]) == 0
    was, now = (json.loads(Path(f"{out}/0.json").read_text()) for out in ("predicted", "now"))
    assert now["labels"] == was["labels"] and now["mean_scores"] == pytest.approx(was["mean_scores"], abs=1e-3)


def test_a_training_goes_on(old):
    runner = build_runner("lseg.py", work_dir="work", resume=True, cfg_options={"train_cfg.max_iters": 3})
    runner.train()
    assert runner.iter == 3


@pytest.mark.parametrize(
    ("store", "command"),
    [
        ("frames", ["frames", "csv", "films.csv", "--out", "frames", "--uniform", "3", *CLIP]),
        ("regions", ["precompute", "images", "--grid", "--max-boxes", "4", "--out", "regions", *CLIP]),
        ("features", ["test", "zeroshot.py", "none", "--work-dir", "work"]),
    ],
)
def test_the_command_that_made_a_store_finds_it_complete(old, store, command):
    before = content(store)
    assert cli.main(command) == 0
    assert content(store) == before and len(before) > 1


def test_stores_are_opened_by_name(old):
    clip = tiny_clip()
    frames = FrameStore("frames")
    assert sorted(frames) == ["films/000000.mkv", "films/000001.mkv"] and frames.key["weights"] == clip.weights_hash
    assert frames["films/000000.mkv"].embeddings.shape == (3, clip.embed_dim)
    regions = TeacherStore("regions", {"weights": clip.weights_hash, "dtype": "fp16"})
    assert len(regions) == 4 and regions["one/0.png"].embeddings.shape == (4, clip.embed_dim)


def test_an_index_answers_and_grows(old, capsys):
    rows = len(SearchIndex("index"))
    assert rows > 1 and cli.main(["search", "query", "index", "a yellow dome", "--top", "1"]) == 0
    said = capsys.readouterr()  # the films lay elsewhere, and what is gone is no answer
    assert "no file that was indexed is still there" in said.out + said.err and "films/0000" in said.err
    assert cli.main(["search", "index", "images/one/0.png", "--out", "index"]) == 0  # the model that the index names
    assert len(SearchIndex("index")) == rows + 1


@pytest.mark.parametrize("number", range(3))
def test_spellings_of_a_clip(old, number):
    config = prepare_config("spellings.py")
    with DefaultScope.overwrite_default_scope("clipkit"):
        model = MODELS.build(config.models[number])
    clips = [part for part in model.modules() if getattr(part, "weights_hash", None)]
    assert {clip.weights_hash for clip in clips} == {tiny_clip().weights_hash}
