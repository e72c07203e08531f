"""`clipkit embed`: rows are what CLIP says, both layouts, resumption, ranks, what is left out, addresses in and out."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from clipkit import cli
from clipkit.data import addresses
from clipkit.embed import npy_parquet
from clipkit.embed.bulk import Embeddings
from clipkit.errors import ClipkitError
from clipkit.shapes import tiny_clip
from clipkit.store import StoreError, share
from support.scenes import write_scenes

pytest.importorskip("pyarrow")


@pytest.fixture
def photos(tmp_path):
    folder = write_scenes(tmp_path / "photos", 7, seed=2)
    for number in range(7):
        (folder / f"{number}.txt").write_text(f"a picture of {number} circles")
    return folder


@pytest.fixture
def lists(photos, monkeypatch):
    """Lists of two or three pictures, so that there are several parts."""
    found = []
    for start in (0, 2, 4):
        found.append(photos.parent / f"l{start}.txt")
        found[-1].write_text("".join(f"photos/{i}.png\n" for i in range(start, 7 if start == 4 else start + 2)))
    return found


def run(out, *sources, layout="store", more=()):
    options = ["--clip", "tiny_clip", "--precision", "fp32", "--layout", layout, *map(str, more)]
    return cli.run("embed", [*map(str, sources), "--out", str(out), *options])


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def by_hand(photos, count=7):
    clip = tiny_clip()
    pixels = [clip.preprocess(Image.open(photos / f"{number}.png")) for number in range(count)]
    texts = [f"a picture of {number} circles" for number in range(count)]
    with torch.no_grad():
        return clip.encode_image(torch.stack(pixels)).numpy(), clip.encode_text(texts).numpy()


def test_rows_are_what_clip_says_in_both_layouts(photos, tmp_path):
    pytest.importorskip("pyarrow")
    from pyarrow.parquet import read_table

    pictures, texts = by_hand(photos)
    assert run(tmp_path / "s", photos, more=["--wanted", "pairs"]) == 0
    ((names, rows),) = Embeddings(tmp_path / "s")
    assert names == [f"{i}.png" for i in range(7)] and np.isnan(rows["time"]).all()
    np.testing.assert_allclose(rows["embeddings"], pictures, atol=1e-3)
    np.testing.assert_allclose(rows["texts"], texts, atol=1e-3)
    assert run(tmp_path / "n", photos, layout="clip-retrieval", more=["--wanted", "pairs"]) == 0
    for kind, expected in (("img_emb", rows["embeddings"]), ("text_emb", rows["texts"])):
        assert (np.load(tmp_path / f"n/{kind}/{kind}_0.npy") == expected).all()
    about = read_table(tmp_path / "n/metadata/metadata_0.parquet").to_pydict()
    assert about["image_path"] == names and about["caption"][3] == "a picture of 3 circles"
    assert about["time"] == [None] * 7


def test_texts_alone(photos, tmp_path):
    assert run(tmp_path / "s", photos, more=["--wanted", "texts"]) == 0
    ((names, rows),) = Embeddings(tmp_path / "s")
    assert names[0] == "0.txt" and set(rows) == {"texts", "time"}
    np.testing.assert_allclose(rows["texts"], by_hand(photos)[1], atol=1e-3)


def test_frames_of_films_with_their_seconds(photos, tmp_path):
    pytest.importorskip("av")
    from support.video_files import steady, write_video

    write_video(photos / "film.mp4", steady(8, 24))
    assert run(tmp_path / "s", photos, more=["--fps", "2"]) == 0
    found = {name: rows for names, rows in Embeddings(tmp_path / "s") for name in names}
    assert found["film.mp4"]["time"].tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert len(found["film.mp4"]["embeddings"]) == 6 and math.isnan(found["0.png"]["time"][0])


class Stop(BaseException):
    pass


@pytest.mark.parametrize("layout", ["store", "clip-retrieval"])
def test_stopped_anywhere_it_ends_with_the_same_bytes(layout, lists, tmp_path, monkeypatch):
    assert run(tmp_path / "whole", *lists, layout=layout) == 0
    for stop in (1, 3, 5):  # calls that write a file: the second layout has two a part
        out, calls, write = tmp_path / f"{layout}{stop}", [0], npy_parquet.addresses.write
        commit = share.commit

        def stopping(call, calls=calls, stop=stop):
            def stopped(*arguments):
                calls[0] += 1
                if calls[0] == stop:
                    raise Stop
                return call(*arguments)

            return stopped

        monkeypatch.setattr(addresses, "write", stopping(write))
        monkeypatch.setattr(share, "commit", stopping(commit))
        with pytest.raises(Stop):
            run(out, *lists, layout=layout)
        monkeypatch.undo()
        assert run(out, *lists, layout=layout) == 0
        assert tree(out) == tree(tmp_path / "whole")


@pytest.mark.parametrize("names", [("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")])
@pytest.mark.parametrize("layout", ["store", "clip-retrieval"])
def test_ranks_of_torchrun_and_slurm_begin_with_their_own(layout, names, lists, tmp_path, monkeypatch):
    assert run(tmp_path / "whole", *lists, layout=layout) == 0
    done = []
    task = share.ShardTask if layout == "store" else npy_parquet.NpyTask
    compute = task.compute
    monkeypatch.setattr(task, "compute", lambda self, *more: done.append(self.number) or compute(self, *more))
    monkeypatch.setenv(names[0], "1")
    monkeypatch.setenv(names[1], "2")
    assert run(tmp_path / "s", *lists, layout=layout) == 0
    assert done == [1, 0, 2]
    monkeypatch.setenv(names[0], "0")
    assert run(tmp_path / "s", *lists, layout=layout) == 0
    assert tree(tmp_path / "s") == tree(tmp_path / "whole")


def test_what_is_left_out_is_counted_and_named(photos, tmp_path, capsys):
    (photos / "3.png").write_bytes(b"no picture")
    (photos / "x.pkl").write_bytes(b"x")
    (photos / "l.txt").write_text("0.png\ngone.png\n3.png\n\x1b[2J\n")
    assert run(tmp_path / "s", photos, photos / "l.txt") == 1
    lines = [json.loads(line) for line in (tmp_path / "s/skipped.jsonl").read_text().splitlines()]
    assert sum(line["count"] for line in lines if line["bad"]) == 4  # 3.png twice
    assert {line["name"] for line in lines if not line["bad"]} == {"*.pkl", "*.txt"}
    said = capsys.readouterr().err
    assert "4 could not be used" in said and "\x1b" not in said and "3.png" in said
    before = tree(tmp_path / "s")
    assert run(tmp_path / "s", photos, photos / "l.txt") == 1  # told again, nothing is done
    assert tree(tmp_path / "s") == before
    assert run(tmp_path / "t", photos, more=["--on-bad", "raise"]) == 2
    assert "3.png: not a readable image" in capsys.readouterr().err or "unknown format" in capsys.readouterr().err


def test_a_store_grows_and_the_other_layout_is_of_its_parts(lists, tmp_path, capsys):
    for layout, code in (("store", 0), ("clip-retrieval", 2)):
        assert run(tmp_path / layout, lists[0], layout=layout) == 0
        assert run(tmp_path / layout, *lists, layout=layout) == code
    assert "was made of other parts or files, or they have changed; use another folder" in capsys.readouterr().err
    assert [len(names) for names, _ in Embeddings(tmp_path / "store")] == [2, 2, 3]
    for layout in ("store", "clip-retrieval"):
        assert run(tmp_path / layout, lists[0], layout=layout, more=["--fps", "3"]) == 2
        assert "sampling.fps is 1.0 in the store and 3.0 here" in capsys.readouterr().err


def test_of_a_folder_that_changes_no_row_is_given_twice(photos, tmp_path, capsys):
    out = photos / "out"
    for number in range(3):
        Image.new("RGB", (8, 8)).save(photos / f"new{number}.png")
        assert run(out, photos) == 0
        given = [name for names, _ in Embeddings(out) for name in names]
        assert given == sorted(p.name for p in photos.glob("*.png"))
    assert len(Embeddings(out)) == 1
    (photos / "l.txt").write_text("0.png\n")
    assert run(out, photos / "l.txt") == 0 and len(Embeddings(out)) == 2  # another source outdates none
    for number in range(3):
        (photos / f"new{number}.png").unlink()
    (out / "outdated.json").write_text('{"parts": 3}')
    assert run(out, photos) == 2
    assert "outdated.json: names no parts" in capsys.readouterr().err
    assert run("", photos) == 2 and "--out is empty" in capsys.readouterr().err


def test_to_and_from_another_address(lists, photos, tmp_path):
    assert run(tmp_path / "n", *lists, layout="clip-retrieval") == 0
    for file in photos.glob("*.png"):
        addresses.write(f"memory://bulk/in/photos/{file.name}", file.read_bytes())
    for file in lists:
        addresses.write(f"memory://bulk/in/{file.name}", file.read_bytes())
    names = [f"memory://bulk/in/{file.name}" for file in lists]
    assert run("memory://bulk/out", *names, layout="clip-retrieval") == 0
    for path, data in tree(tmp_path / "n").items():
        if path != "plan.json":  # it names the sources
            with addresses.reading(f"memory://bulk/out/{path}") as file:
                assert file.read() == data
    assert run("memory://bulk/out", *names, layout="clip-retrieval") == 0


def test_a_store_lies_on_a_disk_and_holds_embeddings(lists, tmp_path, capsys):
    assert run("memory://bulk/store", lists[0]) == 2
    assert "for this address take --layout clip-retrieval" in capsys.readouterr().err
    from clipkit.store import Store

    Store(tmp_path / "x/embeddings", {"kind": "embeddings"}).build(["a"], lambda _: [np.zeros((1, 2))], progress=False)
    with pytest.raises(StoreError, match="holds no names and embeddings"):
        list(Embeddings(tmp_path / "x"))
    Store(tmp_path / "y/embeddings", {"kind": "odd"})
    with pytest.raises(ClipkitError, match="holds 'odd', not embeddings"):
        Embeddings(tmp_path / "y")
