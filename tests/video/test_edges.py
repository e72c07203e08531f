"""What users' videos and options do at the edges: stopped stores, broken files, synonyms, names twice, one frame."""

import csv
import pickle
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("decord")
pytest.importorskip("av")

import open_clip
from clipkit_plugins.actionclip.dataset import ActionVideos
from clipkit_plugins.actionclip.model import ActionCLIP
from clipkit_plugins.clip4clip.model import CLIP4Clip, _samples
from mmengine.logging import MMLogger

from clipkit.backbone import FrozenCLIP
from clipkit.data.video import Fps
from clipkit.data.video_sets import CaptionedVideo, read_video_set
from clipkit.embed.captions import sentence_rows
from clipkit.embed.encoder import load_frozen
from clipkit.embed.frame_source import FrameSource
from clipkit.embed.frame_store import FrameStore
from clipkit.embed.videos import embed_frames
from clipkit.errors import ClipkitError
from clipkit.evaluation import retrieve
from clipkit.shapes.film_files import write_film
from clipkit.text import Vocabulary, get_templates
from clipkit.video.metrics import RetrievalMetric

SOURCE = FrameSource({"uniform": 3})


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """train/ab holds two films and two files that are none."""
    folder = tmp_path_factory.mktemp("films") / "train" / "ab"
    folder.mkdir(parents=True)
    for number in range(4):
        write_film(torch.rand(6, 3, 64, 64), folder / f"{number}.mkv", fps=2.0)
    for number in (2, 3):
        (folder / f"{number}.mkv").write_bytes(b"no video")
    return folder.parents[1]


def test_videos_that_a_stopped_run_planned_are_embedded_when_they_are_wanted_again(tmp_path, monkeypatch):
    for number in range(5):
        write_film(torch.rand(6, 3, 64, 64), tmp_path / f"{number}.mkv", fps=2.0)
    videos = [CaptionedVideo(f"{i}", tmp_path / f"{i}.mkv", ("a film",)) for i in range(5)]
    encoder, made_by = load_frozen("tiny_clip")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(encoder), "encode_image", killed)
        embed_frames(tmp_path / "s", videos, SOURCE, encoder, made_by, progress=False)
    assert not embed_frames(tmp_path / "s", videos[:3], SOURCE, encoder, made_by, progress=False)
    for _ in range(2):
        assert not embed_frames(tmp_path / "s", videos, SOURCE, encoder, made_by, progress=False)
        for store in (FrameStore(tmp_path / "s"), FrameStore(tmp_path / "s", videos=videos)):
            assert [store.count(str(i)) for i in range(5)] == [3] * 5 and set(store) == set("01234")


def test_a_broken_file_is_tried_once_more_and_then_left(tmp_path):
    (tmp_path / "a.mkv").write_bytes(b"no video")
    encoder, made_by = load_frozen("tiny_clip")
    video = [CaptionedVideo("a", tmp_path / "a.mkv", ("a film",))]
    for _ in range(3):
        assert set(embed_frames(tmp_path / "s", video, SOURCE, encoder, made_by, progress=False)) == {"a"}
    assert FrameStore(tmp_path / "s").count("a") == 0


def test_samples_that_ranks_send_hold_their_own_numbers_alone():
    text, frames = torch.randn(320, 128), torch.randn(8, 3, 128)
    found = _samples(frames, torch.ones(8, 3, dtype=torch.bool), (text,), [40] * 8, {"name": "abcdefgh"})
    assert len(pickle.dumps(found[:1])) < 2 * (40 + 3) * 128 * 4
    assert torch.equal(found[1]["texts"][0], text[40])


def test_training_finds_the_videos_that_can_be_read(root):
    data = ActionVideos("folder", str(root), "train", segments=2, size=32, train=True)
    np.random.seed(0)
    assert all(data[2]["readable"] for _ in range(40))  # two of four: drawing alone misses both one time in eight


def test_a_store_without_a_video_s_frames_is_named_or_refused(root, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(MMLogger, "_instance_dict", {})  # one of an earlier test's runner writes to that test's stream
    encoder, made_by = load_frozen("tiny_clip")
    videos = [CaptionedVideo(f"train/ab/{i}.mkv", root / f"train/ab/{i}.mkv", ("a",)) for i in range(4)]
    embed_frames(tmp_path / "s", videos, SOURCE, encoder, made_by, progress=False)
    listed = ActionVideos("folder", str(root), "train", segments=2, size=32)
    embed_frames(
        tmp_path / "t",
        [CaptionedVideo(video.id, video.path, ("a",)) for video in listed.videos],
        SOURCE, encoder, made_by, progress=False,
    )  # fmt: skip
    data = ActionVideos("folder", str(root), "train", segments=2, store=str(tmp_path / "t"))
    assert sorted(data[i]["readable"] for i in range(4)) == [False, False, True, True]
    assert "2 videos could not be read" in "".join(capfd.readouterr())
    with pytest.raises(ClipkitError, match="2 videos could not be read when they were embedded"):
        ActionVideos("folder", str(root), "train", segments=2, store=str(tmp_path / "t"), on_bad="raise")


def test_synonyms_of_an_action_are_averaged():
    actions = ActionCLIP(clip=dict(name="tiny_clip"), head=dict(type="meanP"), classes=["x"]).eval()
    actions.set_labels(Vocabulary(["red star", "blue ring"], synonyms={"red star": ["scarlet star"]}))
    rows = actions.class_rows(actions.test_classes)
    for number, template in enumerate(get_templates("actionclip")):
        own = actions.clip.encode_text([template.format(word) for word in ("red star", "scarlet star")])
        torch.testing.assert_close(rows[number, 0], F.normalize(own.mean(0), dim=0), atol=1e-5, rtol=0)
        alone = actions.clip.encode_text([template.format("blue ring")])[0]
        torch.testing.assert_close(rows[number, 1], alone, atol=1e-5, rtol=0)
    actions.set_labels(Vocabulary(["red star", "blue ring"]))
    assert not torch.allclose(actions.class_rows(actions.test_classes)[:, 0], rows[:, 0], atol=1e-4)


@pytest.mark.parametrize("pool", ["last", "argmax"])
def test_words_of_a_sentence_end_where_its_tower_reads_it(pool):
    vision = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16}
    text = {"context_length": 12, "width": 16, "heads": 2, "layers": 1, "pool_type": pool}
    torch.manual_seed(0)
    clip = FrozenCLIP(
        open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text),
        tokenizer=open_clip.SimpleTokenizer(context_length=12),
    )
    texts = ["a film", "the red star moves left"]
    if pool == "last":
        with pytest.raises(ClipkitError, match="sentences do not end in a token of their own"):
            sentence_rows(clip, texts, tokens=True)
    else:
        whole = clip.encode_text(texts, normalize=False)
        rows = sentence_rows(clip, texts, tokens=True)
        assert [len(row) for row in rows] == [4, 7]
        torch.testing.assert_close(torch.stack([row[-1] for row in rows]), whole)


def test_options_that_cannot_be_are_refused_at_once():
    with pytest.raises(ClipkitError, match="rerank is a number of videos, at least 1"):
        RetrievalMetric(rerank=0)
    with pytest.raises(ClipkitError, match='unknown ties "expect"; did you mean "expected"'):
        RetrievalMetric(ties="expect")
    tune = dict(join_frames=4)
    with pytest.raises(ClipkitError, match="use head meanP"):
        CLIP4Clip(clip=dict(name="tiny_clip"), head=dict(type="seqTransf"), tune=tune)
    model = CLIP4Clip(clip=dict(name="tiny_clip"), head=dict(type="meanP"), tune=tune)
    with pytest.raises(ValueError, match="rerank must be at least 1"):
        retrieve(model.head, torch.randn(2, 128), torch.randn(2, 3, 128), rerank=-1)


def test_a_video_of_one_frame_has_it_in_any_piece_that_begins_there():
    assert Fps(1.0, span=(0.0, 31.0)).choose(np.array([0.0]), 0.0).tolist() == [0]
    with pytest.raises(ValueError, match="no frame between 5 and 6"):
        Fps(1.0, span=(5.0, 6.0)).choose(np.array([0.0]), 0.0)


def test_a_file_with_several_names_is_one_video(root, tmp_path):
    for name in ("a.mkv", "b.mkv"):
        shutil.copy2(root / "train/ab/0.mkv", tmp_path / name)
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("video", "sentence"), ("a.mkv", "x"), ("b.mkv", "y"), ("./a.mkv", "z"), ("a", "w")]
        )
    found = read_video_set("csv", tmp_path / "t.csv")
    assert [video.path.name for video in found.videos] == ["a.mkv", "b.mkv"]
    assert "2 other names of a video that is listed already" in found.problems.summary()
