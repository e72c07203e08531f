"""FAISS indexes of an index: what they find, filters, files that are not this user's."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from clipkit import cli
from clipkit.errors import ClipkitError
from clipkit.search import matrix
from clipkit.search.approximate import Approximate, Questions, build
from clipkit.search.index import SearchIndex
from clipkit.search.rows import Stacked

pytest.importorskip("faiss")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def clustered(count, width=32, clusters=50, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, width))
    rows = centres[rng.integers(0, clusters, count)] + 0.5 * rng.standard_normal((count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


ROWS = clustered(4000)


@pytest.mark.parametrize("factory", ["IVF32,PQ16", "HNSW16", "PCA24,IVF16,SQ8", "Flat"])
def test_factory_strings_reach_the_recall_and_scores_are_exact(factory, tmp_path):
    setting, recall = build(tmp_path / "a", ROWS, factory, "x", recall=0.95, shard=1500)
    index = Approximate(tmp_path / "a", ROWS, "x")
    assert recall >= 0.95 and Questions(ROWS, seed=1).recall(index) > 0.9 and index.setting == setting
    assert set(setting) <= {"nprobe", "efSearch", "refine"} and len(setting) == 1 + (factory != "Flat")
    assert len(list((tmp_path / "a").glob("*.faiss"))) == 3
    rows, scores = index.search(ROWS[2000], 10)
    assert 2000 in rows and np.allclose(scores, ROWS[rows] @ ROWS[2000])
    odd = np.arange(len(ROWS)) % 2 == 1
    assert (index.search(ROWS[2000], 10, odd)[0] % 2 == 1).all()


def test_rows_in_several_matrices_are_one(tmp_path):
    stacked = Stacked([ROWS[:1000], ROWS[1000:1001], ROWS[1001:]])
    assert (
        stacked.shape == ROWS.shape
        and (stacked[::7] == ROWS[::7]).all()
        and (stacked[990:1010] == ROWS[990:1010]).all()
    )
    assert (stacked[np.array([3999, 0, 1000])] == ROWS[[3999, 0, 1000]]).all()
    np.testing.assert_allclose(stacked @ ROWS[5], ROWS @ ROWS[5], rtol=1e-6)


def test_bad_factories_are_one_line(tmp_path):
    build(tmp_path / "a", ROWS[:100], "Flat", "x")
    for factory in ("no such", "IVF5000,PQ16", "IVF16,PQ5", "IDMap,Flat", "IVF0,Flat"):
        with pytest.raises(
            ClipkitError, match=rf"^--factory {factory}: FAISS cannot make it of 4000 rows \("
        ) as caught:
            build(tmp_path / "a", ROWS, factory, "x")
        assert "\n" not in str(caught.value) and "/project/" not in str(caught.value)
    Approximate(tmp_path / "a", ROWS[:100], "x")  # the one that was there


def test_only_what_this_user_wrote_is_read(tmp_path, monkeypatch):
    build(tmp_path / "a", ROWS, "IVF16,PQ8", "x", shard=2500)
    with pytest.raises(ClipkitError, match="was made of other rows; run `clipkit search compress` again"):
        Approximate(tmp_path / "a", ROWS, "y")
    part = tmp_path / "a/part-0001.faiss"
    good = part.read_bytes()
    part.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(ClipkitError, match=r"part-0001\.faiss: is damaged or gone"):
        Approximate(tmp_path / "a", ROWS, "x")
    part.write_bytes(good)
    Approximate(tmp_path / "a", ROWS, "x")
    made = json.loads((tmp_path / "a/index.json").read_text())
    for bad in ("{", "[]", json.dumps({**made, "made": made["made"].replace("nprobe", "nprobf")}), '{"made": 1}'):
        (tmp_path / "a/index.json").write_text(bad)
        with pytest.raises(ClipkitError, match="was not written by this user's clipkit, and is not read"):
            Approximate(tmp_path / "a", ROWS, "x")
    (tmp_path / "a/index.json").write_text(json.dumps(made))
    assert os.stat(tmp_path / "state/clipkit/index.key").st_mode & 0o077 == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))  # as on another machine
    with pytest.raises(ClipkitError, match="was not written by this user's clipkit"):
        Approximate(tmp_path / "a", ROWS, "x")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Ten films of 390 frames and a hundred pictures, in matrices of at most 1000 rows."""
    monkeypatch.setattr(matrix, "CHUNK", 1000)
    monkeypatch.setattr(SearchIndex, "_is_current", lambda self, file: True)
    index = SearchIndex(tmp_path / "index", {"kind": "frames", "from": "random"})
    hand = {}
    for number in range(10):
        start = np.arange(390) / 2
        about = {"frame": np.arange(390), "start": start, "end": start + 0.5}
        folder = "even" if number % 2 == 0 else "odd"
        hand[f"/m/{folder}/{number}.mp4@1:1"] = {"embeddings": ROWS[390 * number :][:390].astype(np.float16), **about}
    for number in range(100):
        zero = np.zeros(1)
        row = ROWS[3900 + number][None].astype(np.float16)
        hand[f"/m/{number}.png@1:1"] = {"embeddings": row, "frame": zero.astype(np.int64), "start": zero, "end": zero}
    index._write(hand)
    index._load()
    return index


def found(index, number, **options):
    return [(moment.path, moment.frame) for moment in index.search(ROWS[number], 5, **options)]


def test_an_index_beyond_one_matrix_answers_alike(index, tmp_path):
    assert isinstance(index.embeddings, Stacked) and len(index.embeddings.parts) == 5
    assert index.compress("Flat")[1] == 1.0
    for number in (0, 1000, 2500, 3950):
        exact = found(index, number)
        assert exact[0][0] == (
            f"/m/{'odd' if number // 390 % 2 else 'even'}/{number // 390}.mp4" if number < 3900 else "/m/50.png"
        )
        assert found(index, number, faiss=True) == exact == found(index, number, approximate=True)
    assert found(SearchIndex(tmp_path / "index"), 7, approximate=True)[0] == ("/m/even/0.mp4", 7)


def test_filters_by_path_and_by_time(index):
    index.compress("IVF16,PQ8")
    for options in ({}, {"approximate": True}, {"faiss": True}):
        assert all("/odd/" in path for path, _ in found(index, 5, paths="*/odd/*", **options))
        assert len(found(index, 5, paths="*/odd/*", **options)) == 5
        times = [moment.time for moment in index.search(ROWS[5], 5, between=(10, 20), **options)]
        assert times and all(10 <= time <= 20 for time in times)
        assert found(index, 3950, paths="/m/50.png", **options) == [("/m/50.png", 0)]
        assert found(index, 3950, paths="*.png", between=(0, 9), **options) == []
        assert found(index, 3950, paths="/nowhere", **options) == []
        between_two = {moment.time for moment in index.search(ROWS[5], 5, between=(10.1, 10.2), **options)}
        assert between_two == {10.0}  # no frame begins there: the one on show
    with pytest.raises(ClipkitError, match="between: needs a first second and a last one, got 20 and 10"):
        index.search(ROWS[5], between=(20, 10))
    with pytest.raises(ClipkitError, match="got nan and 1"):
        index.search(ROWS[5], between=(float("nan"), 1))


def test_a_search_that_asks_for_nothing_is_one_line(index):
    for top in (0, -1):
        with pytest.raises(ClipkitError, match=f"at least one answer is asked for, got {top}"):
            index.search(ROWS[0], top)
    for query in (0 * ROWS[0], np.nan * ROWS[0]):
        with pytest.raises(ClipkitError, match=r"the query's vector has the length (0|nan), and no direction"):
            index.search(query)


def test_a_file_that_is_gone_is_named_first(index):
    ((_, problem),) = index.add([Path("gone.png")], None)
    assert problem == "gone.png: No such file or directory"


def test_without_an_index_of_its_own_or_after_a_change_it_is_one_line(index):
    with pytest.raises(ClipkitError, match="has no compressed index; make it with `clipkit search compress`"):
        index.search(ROWS[0], approximate=True)
    index.compress("Flat")
    zero = np.zeros(1)
    new = {"embeddings": ROWS[:1].astype(np.float16), "frame": zero.astype(np.int64), "start": zero, "end": zero}
    index._write({"/m/new.png@1:1": new})
    index._load()
    with pytest.raises(ClipkitError, match="was made of other rows"):
        index.search(ROWS[0], approximate=True)


def test_as_commands(index, tmp_path, capsys, monkeypatch):
    folder = str(tmp_path / "index")
    assert cli.run("search", ["compress", folder, "--factory", "IVF16,PQ8"]) == 0
    assert "4000 rows in" in (said := capsys.readouterr().out) and "recall@10" in said
    assert cli.run("search", ["compress", folder, "--factory", "nothing"]) == 2
    assert capsys.readouterr().err.startswith("error: --factory nothing: FAISS cannot make it")
    shutil.rmtree(tmp_path / "index/approximate")
    assert cli.run("search", ["compress", folder, "--recall", "2"]) == 2
