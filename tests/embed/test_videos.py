"""Stores of frame and sentence embeddings: equal to CLIP on the decoded frames, decoded once, resumed, keyed."""

import csv
import math
import shutil

import numpy as np
import pytest
import torch

pytest.importorskip("decord")
pytest.importorskip("av")

from PIL import Image

from clipkit.cli import main
from clipkit.data import video as video_module
from clipkit.data.video import BackendMissing, Fps, Uniform, read_video
from clipkit.data.video_sets import CaptionedVideo
from clipkit.embed.captions import embed_captions
from clipkit.embed.encoder import load_frozen
from clipkit.embed.frame_source import FrameSource, make_sampling, prepare_frames
from clipkit.embed.frame_store import FrameStore
from clipkit.embed.videos import embed_frames
from clipkit.errors import ClipkitError
from clipkit.shapes.film_files import write_film
from clipkit.store import StoreError

UNIFORM = FrameSource({"uniform": 3})


@pytest.fixture(scope="module")
def clip():
    return load_frozen("tiny_clip")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Five films of 6 frames; the last is of another size."""
    folder = tmp_path_factory.mktemp("films")
    g = torch.Generator().manual_seed(0)
    for number in range(5):
        size = (64, 64) if number < 4 else (48, 80)
        write_film(torch.rand(6, 3, *size, generator=g), folder / f"{number}.mkv", fps=2.0)
    return folder


def videos(folder, count=5):
    return [CaptionedVideo(f"film{i}", folder / f"{i}.mkv", (f"film {i}", "a film")) for i in range(count)]


class Counting(FrameSource):
    """Notes what is decoded."""

    seen: list = []

    def stream(self, video, *args):
        self.seen.append(video.id)
        return super().stream(video, *args)


@pytest.fixture
def counting():
    Counting.seen = []
    return Counting({"uniform": 3})


def test_what_is_stored_is_what_clip_says_of_the_decoded_frames(tmp_path, files, clip):
    encoder, made_by = clip
    assert not embed_frames(tmp_path / "s", videos(files), UNIFORM, encoder, made_by, dtype="fp32", progress=False)
    store = FrameStore(tmp_path / "s")
    for number in range(5):
        read = read_video(files / f"{number}.mkv", Uniform(3))
        pictures = torch.stack([encoder.preprocess(Image.fromarray(frame)) for frame in read.frames])
        expected = encoder.encode_image(pictures, normalize=False)
        found = store[f"film{number}"]
        torch.testing.assert_close(torch.from_numpy(found.embeddings), expected, rtol=0, atol=1e-5)
        assert np.array_equal(found.timestamps, read.timestamps)
        assert (expected.norm(dim=-1) - 1).abs().min() > 1e-3  # not normalised


def test_each_video_is_decoded_once_and_never_again(tmp_path, files, clip, counting):
    for count in (3, 5, 5):
        embed_frames(tmp_path / "s", videos(files, count), counting, *clip, progress=False)
    assert sorted(counting.seen) == [f"film{i}" for i in range(5)]


def test_a_run_that_was_stopped_goes_on(tmp_path, files, clip, monkeypatch):
    monkeypatch.setattr("clipkit.embed.videos.SHARD", 2)
    monkeypatch.setattr("clipkit.embed.videos.VIDEOS", 1)
    encoder, made_by = clip
    passes = []
    encode = encoder.encode_image

    def stops(pixels, **options):
        passes.append(len(pixels))
        if len(passes) == 4:
            raise KeyboardInterrupt
        return encode(pixels, **options)

    monkeypatch.setattr(encoder, "encode_image", stops)
    with pytest.raises(KeyboardInterrupt):
        embed_frames(tmp_path / "s", videos(files), UNIFORM, encoder, made_by, progress=False)
    embed_frames(tmp_path / "s", videos(files), UNIFORM, encoder, made_by, progress=False)
    assert len(passes) == 4 + 3  # the first shard of two stayed
    monkeypatch.undo()
    monkeypatch.setattr("clipkit.embed.videos.SHARD", 2)
    monkeypatch.setattr("clipkit.embed.videos.VIDEOS", 1)
    embed_frames(tmp_path / "whole", videos(files), UNIFORM, encoder, made_by, progress=False)
    for path in sorted((tmp_path / "whole/frames").iterdir()):
        assert path.read_bytes() == (tmp_path / "s/frames" / path.name).read_bytes()


def test_broken_videos_are_left_empty_and_named_or_stop(tmp_path, files, clip, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(files, folder)
    (folder / "1.mkv").write_bytes(b"no film" * 100)
    broken = embed_frames(tmp_path / "s", videos(folder), UNIFORM, *clip, progress=False)
    assert list(broken) == ["film1"] and "1.mkv" in broken["film1"] and "\n" not in broken["film1"]
    store = FrameStore(tmp_path / "s")
    assert [store.count(f"film{i}") for i in range(5)] == [3, 0, 3, 3, 3]
    assert "skipped: " in capsys.readouterr().err
    with pytest.raises(ClipkitError, match=r"1\.mkv"):
        embed_frames(tmp_path / "stop", videos(folder), UNIFORM, *clip, on_bad="raise", progress=False)
    shutil.copy(files / "1.mkv", folder / "1.mkv")  # repaired: another file, another record
    assert not embed_frames(tmp_path / "s", videos(folder), UNIFORM, *clip, progress=False)
    assert FrameStore(tmp_path / "s").count("film1") == 3


def test_another_clip_or_sampling_is_refused(tmp_path, files, clip):
    encoder, made_by = clip
    embed_frames(tmp_path / "s", videos(files, 1), UNIFORM, encoder, made_by, progress=False)
    with pytest.raises(StoreError, match="weights is"):
        embed_frames(tmp_path / "s", videos(files, 1), UNIFORM, encoder, {**made_by, "weights": "0"}, progress=False)
    with pytest.raises(StoreError, match=r"sampling\.fps is absent in the store and 1"):
        embed_frames(tmp_path / "s", videos(files, 1), FrameSource({"fps": 1}), encoder, made_by, progress=False)


def test_a_piece_of_a_video(files, clip):
    encoder, _ = clip
    whole = prepare_frames(encoder, read_video(files / "0.mkv", Fps(2.0)).frames)
    source = FrameSource({"fps": 2.0})

    def piece(*span):
        return CaptionedVideo("x", files / "0.mkv", ("x",), span)

    for span, wanted in {(0.5, 2.0): [0.5, 1.0, 1.5], (1.2, 1.4): [1.0], (2.0, math.inf): [2.0, 2.5]}.items():
        frames, times = source.read(piece(*span), encoder)
        assert times.tolist() == wanted
        assert torch.equal(frames, whole[[int(2 * t) for t in wanted]])
    assert source.read(piece(0.5, 2.0), encoder, most=2)[1].tolist() == [0.5, 1.5]
    with pytest.raises(ClipkitError, match="needs sampling=dict"):
        UNIFORM.read(piece(0.5, 2.0), encoder)
    with pytest.raises(ClipkitError, match="has no frame between 50 and 60 seconds: it ends at 3"):
        source.read(piece(50, 60), encoder)


def test_a_file_that_was_repaired_after_a_stop_goes_on(tmp_path, files, clip, monkeypatch):
    monkeypatch.setattr("clipkit.embed.videos.SHARD", 2)
    folder = tmp_path / "films"
    shutil.copytree(files, folder)
    (folder / "1.mkv").write_bytes(b"no video" * 50)
    with pytest.raises(ClipkitError, match=r"1\.mkv"):
        embed_frames(tmp_path / "s", videos(folder), UNIFORM, *clip, on_bad="raise", progress=False)
    shutil.copy(files / "1.mkv", folder / "1.mkv")
    assert not embed_frames(tmp_path / "s", videos(folder), UNIFORM, *clip, on_bad="raise", progress=False)
    store = FrameStore(tmp_path / "s", videos=videos(folder))
    assert [store.count(f"film{i}") for i in range(5)] == [3] * 5


def test_a_file_that_is_put_back_has_its_own_embeddings_again(tmp_path, files, clip):
    one, other = ([CaptionedVideo("film", files / f"{i}.mkv", ("x",))] for i in (0, 1))
    for video in (one, other, one):
        embed_frames(tmp_path / "s", video, UNIFORM, *clip, progress=False)
    first, second = (FrameStore(tmp_path / "s", videos=video)["film"].embeddings for video in (one, other))
    assert not np.array_equal(first, second)
    assert np.array_equal(FrameStore(tmp_path / "s")["film"].embeddings, second)  # of no file: the last


def test_a_missing_backend_ends_the_run_and_is_not_stored(tmp_path, files, clip, monkeypatch):
    monkeypatch.setitem(video_module.MODULES, "decord", "no_such_module")
    with pytest.raises(BackendMissing, match=r"\.mkv: no_such_module is not installed.*pip install decord"):
        embed_frames(tmp_path / "s", videos(files, 1), UNIFORM, *clip, progress=False)
    monkeypatch.undo()
    assert not embed_frames(tmp_path / "s", videos(files, 1), UNIFORM, *clip, progress=False)


def test_sentences(tmp_path, files, clip):
    encoder, made_by = clip
    texts = ["a red circle moves left", "blue", "a red circle moves left"]
    embed_frames(tmp_path / "s", videos(files, 1), UNIFORM, encoder, made_by, progress=False)
    embed_captions(tmp_path / "s", texts, encoder, made_by, dtype="fp32", progress=False)
    embed_captions(tmp_path / "s", texts, encoder, made_by, tokens=True, dtype="fp32", progress=False)
    plain, tokens = FrameStore(tmp_path / "s"), FrameStore(tmp_path / "s", tokens=True)
    expected = encoder.encode_text(texts, normalize=False)
    for text, row in zip(texts, expected):
        torch.testing.assert_close(torch.from_numpy(plain.caption(text)), row, rtol=0, atol=1e-5)
        torch.testing.assert_close(torch.from_numpy(tokens.caption(text)[-1]), row, rtol=0, atol=1e-5)
    assert len(tokens.caption("blue")) == 3  # start, blue, end
    with pytest.raises(KeyError):
        plain.caption("never embedded")


def test_frames_of_the_models_own_size_are_not_touched(clip):
    encoder, _ = clip
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    assert torch.equal(prepare_frames(encoder, frames), torch.from_numpy(frames).permute(0, 3, 1, 2))
    through = torch.stack([encoder.preprocess(Image.fromarray(frame)) for frame in frames])
    assert torch.equal(prepare_frames(encoder, frames).float() / 255, through)


def test_an_unknown_sampling_is_one_line():
    with pytest.raises(ClipkitError, match="give one of fps, uniform, segments"):
        make_sampling({"every": 3})


def test_the_command(tmp_path, files, capsys):
    with (tmp_path / "own.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["video", "sentence"], ["0.mkv", "x"], ["1.mkv", "y"], ["gone.mkv", "z"]])
    words = ["frames", "csv", str(tmp_path / "own.csv"), "--videos", str(files), "--out", str(tmp_path / "s")]
    assert main([*words, "--clip", "tiny_clip", "--uniform", "2", "--device", "cpu"]) == 1
    said = capsys.readouterr()
    assert "2 videos, 2 sentences" in said.out and "gone.mkv" in said.err
    store = FrameStore(tmp_path / "s")
    assert store["0.mkv"].embeddings.shape == (2, 128) and store.caption("y").shape == (128,)
