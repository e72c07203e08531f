"""An index of what `clipkit embed` wrote: the same answers as one of the files themselves."""

import csv
import json
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from clipkit import cli
from clipkit.data.samples import Part, address_of
from clipkit.embed.bulk import Embeddings
from clipkit.errors import ClipkitError
from clipkit.search.embedded import embedded_records, open_embedded
from clipkit.search.index import SearchIndex
from clipkit.search.sheet import frame_of
from clipkit.shapes import render
from clipkit.shapes.film_files import write_film
from clipkit.store import Store, StoreError
from support.scenes import write_scenes


@pytest.fixture
def photos(tmp_path):
    return write_scenes(tmp_path / "ph#o@tos", 6, seed=3)


def embed(out, *sources, more=()):
    return cli.run(
        "embed", [*map(str, sources), "--out", str(out), "--clip", "tiny_clip", "--precision", "fp32", *more]
    )


def index(out, *inputs, more=()):
    return cli.run("search", ["index", *map(str, inputs), "--out", str(out), *more])


def test_answers_are_those_of_the_files(photos, tmp_path, capsys):
    assert embed(tmp_path / "e", photos) == 0
    assert index(tmp_path / "a", tmp_path / "e", more=["--clip", "tiny_clip"]) == 0
    assert "6 frames and images (+6)" in capsys.readouterr().out
    assert index(tmp_path / "b", photos, more=["--clip", "tiny_clip", "--precision", "fp32", "--fps", "1"]) == 0
    taken, own = SearchIndex(tmp_path / "a"), SearchIndex(tmp_path / "b")
    assert taken.key == own.key
    for row in own.embeddings:
        ours, theirs = taken.search(row, 6), own.search(row, 6)
        assert [moment.path for moment in ours] == [moment.path for moment in theirs]
        assert np.allclose([moment.score for moment in ours], [moment.score for moment in theirs], atol=2e-3)
    assert all(os.path.isfile(moment.path) and moment.is_image for moment in ours)
    capsys.readouterr()
    assert index(tmp_path / "a", tmp_path / "e") == 0  # the model is known now
    told = capsys.readouterr()
    assert "(+0)" in told.out and "6 were there before" in told.err
    assert cli.run("search", ["query", str(tmp_path / "a"), "a red circle", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 5


def test_what_was_embedded_again_after_a_change_counts(photos, tmp_path):
    assert embed(tmp_path / "e", photos) == 0
    assert index(tmp_path / "a", tmp_path / "e", more=["--clip", "tiny_clip"]) == 0
    before = np.array(SearchIndex(tmp_path / "a").embeddings)
    Image.open(photos / "1.png").save(photos / "0.png")
    assert embed(tmp_path / "e", photos) == 0
    assert index(tmp_path / "a", tmp_path / "e") == 0
    after = SearchIndex(tmp_path / "a")
    assert len(after) == 6 and not np.allclose(before[0], before[1], atol=1e-2)
    found = {moment.path: moment.score for moment in after.search(before[1], 6)}
    assert found[str(photos / "0.png")] == pytest.approx(1, abs=2e-3) == found[str(photos / "1.png")]


def test_things_of_archives_and_lists_have_names(photos, tmp_path, capsys):
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        tar.add(photos / "0.png", "in/0.png")
        tar.add(photos / "1.png", "in/1.png")
    with open(photos.parent / "list.csv", "w", newline="") as file:
        csv.writer(file).writerows([["path"], [f"{photos.name}/2.png"], [f"{photos.name}/2.png"]])
    assert embed(tmp_path / "e", tmp_path / "t.tar", tmp_path / "list.csv") == 0
    assert index(tmp_path / "a", tmp_path / "e", more=["--clip", "tiny_clip"]) == 0
    found = SearchIndex(tmp_path / "a")
    moments = found.search(found.embeddings[0], 9)
    expected = {f"{tmp_path}/t.tar/in/0", f"{tmp_path}/t.tar/in/1", str(photos / "2.png")}
    assert {moment.path for moment in moments} == expected and all(moment.is_image for moment in moments)
    assert found.search(found.embeddings[0], 9, between=(0, 9)) == []
    assert len(found.search(found.embeddings[0], 9, paths="*.tar/*")) == 2
    assert (
        cli.run("search", ["query", str(tmp_path / "a"), "a red circle", "--contact-sheet", str(tmp_path / "s.png")])
        == 0
    )
    assert (tmp_path / "s.png").is_file()


def test_a_films_moment_shows_its_frame(tmp_path):
    pytest.importorskip("decord"), pytest.importorskip("av")
    frames = (render(8, size=64, seed=5).images * 255).round().byte().movedim(1, -1).numpy()
    (tmp_path / "films").mkdir()
    film = tmp_path / "films/a.mkv"
    write_film(frames, film, fps=2)
    assert embed(tmp_path / "e", film.parent, more=["--fps", "2"]) == 0
    assert index(tmp_path / "a", tmp_path / "e", more=["--clip", "tiny_clip"]) == 0
    found = SearchIndex(tmp_path / "a")
    assert len(found) == 8
    (best,) = found.search(found.embeddings[5], 1)
    assert (
        best.path == str(film) and best.frame == -1 and best.time == pytest.approx(2.5, abs=0.01) and not best.is_image
    )
    shown = frame_of(best).astype(float)
    assert np.abs(shown - frames[5]).mean() < min(np.abs(shown - other).mean() for other in (*frames[:5], *frames[6:]))
    assert found.search(found.embeddings[5], 1, between=(2, 3))[0].time == best.time


def test_what_cannot_be_taken_is_one_line_and_leaves_no_index(photos, tmp_path, capsys):
    (tmp_path / "t.txt").write_text("a red circle\n")
    assert embed(tmp_path / "texts", tmp_path / "t.txt", more=["--wanted", "texts"]) == 0
    assert embed(tmp_path / "e", photos) == 0
    with pytest.raises(ClipkitError, match="texts alone"):
        open_embedded(tmp_path / "texts")
    assert index(tmp_path / "a", tmp_path / "e") == 2 and "--clip" in capsys.readouterr().err
    made = Store(tmp_path / "e/embeddings").key
    for number, change in enumerate(
        ({"weights": "0" * 16}, {"sampling": {"uniform": 3}}, {"preprocessing": {"size": [64, 64], "resize_mode": []}})
    ):
        other = Store(tmp_path / f"o{number}/embeddings", {**made, **change}, shard_size=1)
        other.build(
            ["x@1"],
            lambda ids: [
                {
                    "name": np.zeros((1, 1), np.uint8),
                    "time": np.zeros(1),
                    "embeddings": np.full((1, 64), np.nan, np.float16),
                }
            ],
        )
        assert (
            cli.run(
                "search", ["index", str(tmp_path / f"o{number}"), "--out", str(tmp_path / "a"), "--clip", "tiny_clip"]
            )
            == 2
        )
        assert not (tmp_path / "a").exists()
    with pytest.raises(StoreError, match="holds no embeddings"):
        list(embedded_records(Embeddings(tmp_path / "o0")))


def test_addresses_of_parts(tmp_path):
    folder = tmp_path / "a#b"
    folder.mkdir()

    def address(source, kind, place, name):
        return address_of(Part(str(source), kind, place, "", (), "s@1").id.replace("s@1", "s1"), name)

    assert address(folder, "files", ("x#y@z.png", "w.png"), "w.png") == f"{folder}/w.png"
    assert address(folder / "l.csv", "list", (0, 9, 1), "../x.png") == f"{folder}/l.csv/../x.png"
    assert address(folder / "l.csv", "list", (0, 9, 1), f"{folder}/x.png") == f"{folder}/x.png"
    assert address(folder / "t.parquet", "parquet", (1,), "row 0 of group 1") == f"{folder}/t.parquet/row 0 of group 1"
    (folder / "p.png").touch()
    assert address(folder / "t.parquet", "parquet", (1,), "p.png") == f"{folder}/p.png"
    assert address("s3://b/t.TAR", "tar", (), "k") == "s3://b/t.TAR/k"
    assert address("s3://b/f", "files", ("k.png",), "k.png") == "s3://b/f/k.png"
