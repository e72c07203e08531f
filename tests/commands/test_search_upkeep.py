"""An index beside what happens to its files: queries while it grows, files that go or change, formats, sizes."""

import multiprocessing
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from clipkit import cli
from clipkit.data.images import IMAGE_SUFFIXES
from clipkit.search import index as module
from clipkit.search._lock import locked
from clipkit.search.embedding import embed
from clipkit.search.index import SearchIndex, index_key
from clipkit.search.media import describe, find_media
from clipkit.shapes import tiny_clip
from clipkit.store import StoreError

KEY = {"kind": "frames", "fps": 2.0, "precision": "fp32"}


def picture(path, colour="red", size=(64, 64)):
    Image.new("RGB", size, colour).save(path)
    return path


def paths_of(index, query):
    return [os.path.basename(moment.path) for moment in index.search(query, 10)]


@pytest.fixture(scope="module")
def clip():
    return tiny_clip()


@pytest.mark.parametrize("faiss", [False, True])
def test_files_that_are_gone_moved_changed_or_broken_are_not_answered(tmp_path, clip, faiss):
    if faiss:
        pytest.importorskip("faiss")
    files = [picture(tmp_path / f"{name}.png") for name in ("stays", "goes", "moves", "changes", "breaks")]
    assert not any(problem for _, problem in SearchIndex(tmp_path / "i", KEY).add(files, clip))
    files[1].unlink()
    files[2].rename(tmp_path / "moved.png")
    picture(files[3], "blue", (65, 64))
    files[4].write_bytes(b"broken")
    index, query = SearchIndex(tmp_path / "i"), clip.encode_text(["red"])[0].numpy()
    assert [os.path.basename(moment.path) for moment in index.search(query, 10, faiss=faiss)] == ["stays.png"]
    said = {os.path.basename(path): problem for path, problem in index.left_out.items()}
    gone, changed = "is gone", "has changed"
    assert said == {"goes.png": gone, "moves.png": gone, "changes.png": changed, "breaks.png": changed}
    problems = [problem for _, problem in index.add([tmp_path / "moved.png", files[3], files[4]], clip)]
    assert problems[:2] == [None, None] and "breaks.png: not a readable image" in problems[2]
    assert sorted(paths_of(SearchIndex(tmp_path / "i"), query)) == ["changes.png", "moved.png", "stays.png"]


def test_the_command_says_what_is_left_out(tmp_path, capsys):
    folder = tmp_path / "media"
    folder.mkdir()
    picture(folder / "a.png"), picture(folder / "b.png", "blue")
    (folder / "notes.txt").touch(), (folder / "x.HEIC").touch(), (folder / "y.heic").touch()
    assert cli.run("search", ["index", str(folder), "--out", str(tmp_path / "i"), "--clip", "tiny_clip"]) == 0
    said = capsys.readouterr().err
    assert "not read: 2 .heic, 1 .txt" in said and "its own preprocessing: the middle" in said
    (folder / "a.png").unlink()
    assert cli.run("search", ["query", str(tmp_path / "i"), "red"]) == 0
    printed = capsys.readouterr()
    assert "left out: 1 files" in printed.err and "a.png" in printed.err and "a.png" not in printed.out


def _fake(file, clip, fps, options):
    rows = np.random.default_rng(int(file.stem)).normal(size=(1, 16)).astype(np.float16)
    return {"embeddings": rows, "frame": np.zeros(1, np.int64), "start": np.zeros(1), "end": np.zeros(1)}


def _grow(folder, first, queue, done):
    try:
        for start in range(first, first + 40, 8):
            list(SearchIndex(folder, KEY).add([folder.parent / f"{n}.png" for n in range(start, start + 8)], None))
        queue.put(None)
    except BaseException as error:
        queue.put(repr(error))
    done.wait()


def _ask(folder, queue, done):
    try:
        while not done.is_set():
            SearchIndex(folder, KEY).search(np.ones(16, np.float32), 5)
        queue.put(None)
    except BaseException as error:
        queue.put(repr(error))


def test_processes_add_and_search_side_by_side(tmp_path, monkeypatch):
    for number in range(60):
        (tmp_path / f"{number}.png").write_bytes(b"%d" % number)
    monkeypatch.setattr(module, "embed_file", _fake)
    fork = multiprocessing.get_context("fork")
    queue, done = fork.Queue(), fork.Event()
    adding = [fork.Process(target=_grow, args=(tmp_path / "i", first, queue, done)) for first in (0, 20)]  # 20 in both
    asking = [fork.Process(target=_ask, args=(tmp_path / "i", queue, done)) for _ in range(2)]
    for process in (*adding, *asking):
        process.start()
    said = [queue.get(timeout=120) for _ in adding]
    done.set()
    said += [queue.get(timeout=120) for _ in asking]
    for process in (*adding, *asking):
        process.join()
    assert said == [None] * 4
    index = SearchIndex(tmp_path / "i")
    assert len(index) == 60 and len(index.search(np.ones(16, np.float32), 100)) == 60
    assert len(list((tmp_path / "i").glob("flat-*"))) == 1


def test_an_index_that_may_only_be_read_is_searched(tmp_path, clip, monkeypatch):
    list(SearchIndex(tmp_path / "i", KEY).add([picture(tmp_path / "a.png")], clip))
    for flat in (tmp_path / "i").glob("flat-*"):
        shutil.rmtree(flat)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    assert paths_of(SearchIndex(tmp_path / "i"), clip.encode_text(["red"])[0].numpy()) == ["a.png"]
    assert not list((tmp_path / "i").glob("flat-*"))


def test_a_planted_lock_is_refused(tmp_path):
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match=r"\.lock: cannot be opened"), locked(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_listing_takes_what_is_read_and_counts_the_rest(tmp_path):
    for name in ("a.GIF", "b.mts", "c.ogv", "d.m4v", "e.webp", "f.jfif", "g.heic", "h", ".hidden", "inner/i.avif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    os.symlink(tmp_path, tmp_path / "inner/circle")
    found, others = find_media([tmp_path])
    names = ["a.GIF", "b.mts", "c.ogv", "d.m4v", "e.webp", "f.jfif"]
    avif = ["i.avif"] if features.check("avif") else []
    assert [path.name for path in found] == names + avif
    assert others == Counter({".heic": 1, "": 1} if avif else {".heic": 1, "": 1, ".avif": 1})
    assert describe(Counter({".heic": 2, "": 1})) == "2 .heic, 1 without an ending"


@pytest.mark.skipif(".avif" not in IMAGE_SUFFIXES, reason="this Pillow reads no AVIF")
def test_pictures_of_newer_formats_are_indexed(tmp_path, clip):
    files = [picture(tmp_path / name) for name in ("a.avif", "b.webp", "c.gif")]
    index = SearchIndex(tmp_path / "i", KEY)
    pytest.importorskip("av", reason="a GIF is read as a film")
    assert [problem for _, problem in index.add(files, clip)] == [None] * 3 and len(index) == 3


def test_a_picture_is_preprocessed_as_clip_has_it_unless_it_is_to_be_squashed(clip):
    wide = np.random.default_rng(0).integers(0, 255, (1, 40, 120, 3), dtype=np.uint8)
    wide[:, :, :40], wide[:, :, 80:] = 0, 0
    own = clip.encode_image(clip.preprocess(Image.fromarray(wide[0]))[None]).detach().numpy()
    np.testing.assert_allclose(embed(wide, clip, "shortest"), own, atol=2e-3)
    assert np.abs(embed(wide, clip, "squash") - own).max() > 0.02
    made = {"weights": "w", "preprocessing": {"size": [64, 64], "interpolation": "bilinear"}}
    assert index_key(made, 2.0)["preprocessing"] == {
        "size": [64, 64],
        "resize_mode": "shortest",
        "resampler": "bilinear",
    }
    old = {"size": [64, 64], "resize_mode": "squash", "resampler": "bicubic"}
    assert index_key(made, 2.0, "squash")["preprocessing"] == old


def test_an_index_keeps_its_own_preprocessing(tmp_path, clip, capsys):
    picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    command = ["--out", str(tmp_path / "i"), "--clip", "tiny_clip"]
    assert cli.run("search", ["index", str(tmp_path / "a.png"), *command, "--resize", "squash"]) == 0
    assert cli.run("search", ["index", str(tmp_path / "b.png"), *command]) == 0
    assert capsys.readouterr().err.count("squashing the whole of it") == 2
    assert cli.run("search", ["index", str(Path(tmp_path / "b.png")), *command, "--resize", "own"]) == 2
    assert "resize_mode" in capsys.readouterr().err
