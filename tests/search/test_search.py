"""`clipkit search`: planted events are found in their file at their second; images too; foreign indexes are refused."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from clipkit import cli
from clipkit.search.index import SearchIndex
from clipkit.search.media import list_media
from clipkit.search.records import record_id
from clipkit.shapes import COLOURS, SHAPES, render, tiny_clip
from clipkit.shapes.tiny import FOLDER
from clipkit.store import Store

pytest.importorskip("av", reason="the test videos are written with PyAV")
from support.video_files import RATES, steady, variable, write_video

PLANTED = {
    "23.976": ("red circle", 6.0),
    "25": ("green star", 3.0),
    "29.97": ("purple heart", 7.0),
    "59.94": ("white cross", 5.0),
    "variable": ("yellow triangle", 2.0),
}
SECONDS, LENGTH = 9, 1.5


def pictures():
    """'red circle' -> scenes of one such object."""
    scenes = render(1500, seed=77, objects=(1, 1), split=None)
    found = {}
    for picture, colour, shape in zip(scenes.images, scenes.colour[:, 0], scenes.shape[:, 0]):
        rows = (picture * 255).round().byte().movedim(0, -1).numpy()
        found.setdefault(f"{COLOURS[colour]} {SHAPES[shape]}", []).append(rows)
    return found


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """A video of each rate: bars and squares in blue and orange, and for a second and a half one other thing."""
    root, scenes = tmp_path_factory.mktemp("media"), pictures()
    usual = [picture for name in ("blue square", "orange bar", "blue bar") for picture in scenes[name]]
    for number, (clock, (name, second)) in enumerate(PLANTED.items()):
        times = variable(110) if clock == "variable" else steady(RATES[clock], int(SECONDS * RATES[clock]))

        def picture(index, times=times, name=name, second=second, number=number):
            time = float(times[index])
            if second <= time < second + LENGTH:
                return scenes[name][0]
            return usual[(int(time) + 5 * number) % len(usual)]

        write_video(root / f"{clock}.mp4", times, picture=picture)
    Image.fromarray(scenes["cyan ring"][0]).save(root / "ring.png")
    Image.fromarray(scenes["orange bar"][0]).save(root / "bar.jpg")
    return root


@pytest.fixture(scope="module")
def index(media, tmp_path_factory):
    out = tmp_path_factory.mktemp("search") / "index"
    assert cli.run("search", ["index", str(media), "--out", str(out), "--clip", "tiny_clip", "--fps", "4"]) == 0
    return out


def query(index, text, *more):
    return cli.run("search", ["query", str(index), text, *map(str, more)])


@pytest.mark.parametrize("clock", PLANTED)
def test_a_planted_event_is_found_at_its_second(media, index, clock):
    name, second = PLANTED[clock]
    found = SearchIndex(index).search(tiny_clip().encode_text([f"a {name}"])[0].numpy(), 3)
    best = found[0]
    assert best.path == str(media / f"{clock}.mp4") and not best.is_image
    assert second <= best.time < second + LENGTH
    assert abs(best.start - second) <= 0.25 and abs(best.end - (second + LENGTH)) <= 0.26
    assert best.score > found[1].score + 0.2 > found[2].score


def test_the_command_prints_file_interval_and_score(media, index, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    assert query(index, "a red circle", "--top", 7, "--contact-sheet", sheet) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(str(media / "23.976.mp4")) and lines[0].split()[0] == "1"
    start, end = lines[0].split()[2].split("-")
    assert re.fullmatch(r"0:0(5\.[89]|6\.[0-3])", start) and re.fullmatch(r"0:07\.[3-8]", end)
    assert float(lines[0].split()[1]) > float(lines[1].split()[1])
    with Image.open(sheet) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
        assert picture.width > 5 * 200 and picture.height > 2 * 180
    red = (pixels[..., 0] > 130) & (pixels[..., 1] < 70) & (pixels[..., 2] < 70)
    columns = np.flatnonzero(red.any(0))
    assert len(columns) and columns.min() < 230, "the first thumbnail shows the red circle"


def test_images_are_found_by_text(media, index, capsys):
    assert query(index, "a cyan ring", "--top", 1) == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert line.split()[2] == "image" and line.endswith(str(media / "ring.png"))


def test_only_new_and_changed_files_are_embedded(media, tmp_path, capsys):
    folder, out = tmp_path / "files", tmp_path / "index"
    folder.mkdir()
    shutil.copy(media / "25.mp4", folder)
    command = ["index", str(folder), "--out", str(out)]
    assert cli.run("search", [*command, "--clip", "tiny_clip"]) == 0
    assert "1 of 1 files; 18 frames and images (+18)" in capsys.readouterr().out
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert cli.run("search", command) == 0  # the index knows its model
    assert "(+0)" in capsys.readouterr().out
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    shutil.copy(media / "ring.png", folder / "picture.png")
    assert cli.run("search", command) == 0
    assert "19 frames and images (+1)" in capsys.readouterr().out
    shutil.copy(media / "bar.jpg", folder / "picture.png")  # another picture under the same name
    assert cli.run("search", command) == 0
    assert "19 frames and images (+0)" in capsys.readouterr().out
    assert query(out, "a cyan ring", "--top", 9) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert all(float(row[1]) < 0.7 for row in rows), "the old picture is gone"
    assert len(list(out.glob("flat-*"))) == 1


def test_another_model_or_rate_is_refused(index, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(FOLDER, other)
    (file,) = other.glob("*.safetensors")
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    tensors["logit_scale"] += 1
    save_file(tensors, file)
    media = [str(index.parent / "x.png")]
    Image.new("RGB", (64, 64)).save(media[0])
    assert cli.run("search", ["index", *media, "--out", str(index), "--clip", f"local-dir:{other}"]) == 2
    assert "weights is" in (line := capsys.readouterr().err) and line.count("\n") == 1
    assert query(index, "a circle", "--clip", f"local-dir:{other}") == 2
    assert "was made by another model" in (line := capsys.readouterr().err) and line.count("\n") == 1
    assert cli.run("search", ["index", *media, "--out", str(index), "--fps", "1"]) == 2
    assert "fps is 4.0 in the store and 1.0 here" in capsys.readouterr().err
    assert json.loads((index / "model.json").read_text())["clip"] == "tiny_clip"


def test_a_broken_file_is_named_and_comes_in_when_it_is_repaired(media, tmp_path, capsys):
    folder, out = tmp_path / "files", tmp_path / "index"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"this is no video" * 100)
    (folder / "b.png").write_bytes(b"nor this a picture")
    shutil.copy(media / "ring.png", folder / "c.png")
    command = ["index", str(folder), "--out", str(out), "--clip", "tiny_clip"]
    assert cli.run("search", command) == 1
    captured = capsys.readouterr()
    skipped = [line for line in captured.err.splitlines() if line.startswith("skipped: ")]
    assert [name in line for name, line in zip(("a.mp4", "b.png"), skipped)] == [True, True]
    assert "1 of 3 files; 1 frames" in captured.out
    shutil.copy(media / "25.mp4", folder / "a.mp4")
    shutil.copy(media / "bar.jpg", folder / "b.png")
    assert cli.run("search", command) == 0
    assert "3 of 3 files; 20 frames and images (+19)" in capsys.readouterr().out


def test_what_a_person_gets_wrong_is_one_line(tmp_path, capsys):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    for command, expected in (
        (["query", str(tmp_path / "none"), "a circle"], "no index here"),
        (["index", str(tmp_path / "none.mp4"), "--out", str(tmp_path / "i")], "no such file or folder"),
    ):
        assert cli.run("search", command) == 2
        line = capsys.readouterr().err
        assert expected in line and line.count("\n") == 1
    assert not (tmp_path / "i").exists()


# ---------------------------------------------------------------------- the search itself


@pytest.fixture
def random_index(tmp_path):
    """12 files of 1 to 40 rows in 8 dimensions, with stretches that resemble each other."""
    rng = np.random.default_rng(5)
    store = Store(tmp_path / "frames", {"kind": "frames"})

    def record(name):
        rows = 1 + int(name.split("@")[1]) * 7 % 40
        walk = rng.standard_normal((rows, 8)).cumsum(0) + rng.standard_normal(8)
        begin = np.arange(rows) / 2
        return {"embeddings": walk.astype(np.float16), "frame": np.arange(rows), "start": begin, "end": begin + 0.5}

    store.build([f"/films/{n}.mp4@{n}" for n in range(12)], lambda ids: [record(i) for i in ids], progress=False)
    return SearchIndex(tmp_path)


def by_definition(index, query, top):
    """The moments in plain float64 loops."""
    unit = query / np.sqrt(sum(x * x for x in query))
    files = [(name.rpartition("@")[0], index.store[name]["embeddings"].astype(np.float64)) for name in index.store]
    scores = [[float(row @ unit / np.sqrt(row @ row)) for row in rows] for _, rows in files]
    ordinary = float(np.median([score for rows in scores for score in rows]))
    left = {(f, r) for f, rows in enumerate(scores) for r in range(len(rows))}
    found = []
    while left and len(found) < top:
        f, r = max(left, key=lambda place: scores[place[0]][place[1]])
        level = (scores[f][r] + min(ordinary, min(scores[f]))) / 2
        first = last = r
        while first > 0 and scores[f][first - 1] >= level:
            first -= 1
        while last + 1 < len(scores[f]) and scores[f][last + 1] >= level:
            last += 1
        own = {(f, row) for row in range(first, last + 1)}
        meets = not own <= left
        left -= own
        if not meets:
            found.append((files[f][0], first / 2, (last + 1) / 2, scores[f][r], r))
    return found


@pytest.mark.parametrize("top", [1, 5, 300])
def test_moments_are_those_of_the_definition(random_index, top):
    assert 100 < len(random_index) < 1000
    for seed in range(10):
        vector = np.random.default_rng(seed).standard_normal(8)
        expected = by_definition(random_index, vector, top)
        found = random_index.search(vector, top)
        assert [(m.path, m.start, m.end, m.frame) for m in found] == [(*e[:3], e[4]) for e in expected]
        np.testing.assert_allclose([m.score for m in found], [e[3] for e in expected], atol=1e-5)


def test_faiss_gives_the_same_answers(random_index):
    pytest.importorskip("faiss")
    for seed in range(10):
        vector = np.random.default_rng(seed).standard_normal(8)
        for top in (1, 5, 300):
            ours, theirs = random_index.search(vector, top), random_index.search(vector, top, faiss=True)
            assert [m.path for m in ours] == [m.path for m in theirs]
            assert [m.frame for m in ours] == [m.frame for m in theirs]
            np.testing.assert_allclose([m.score for m in ours], [m.score for m in theirs], atol=1e-6)


def test_rows_are_memory_mapped_and_unit(random_index):
    base = random_index.embeddings
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap) and base.base is not None:
        base = base.base
    assert not random_index.embeddings.flags.writeable and type(base).__name__ in ("memmap", "mmap")
    assert torch.allclose(torch.from_numpy(random_index.embeddings.copy()).norm(dim=1), torch.ones(len(random_index)))


def test_an_index_whose_writer_was_killed_goes_on(media, tmp_path):
    index = SearchIndex(tmp_path / "i", {"kind": "frames", "fps": 2.0, "precision": "fp32"})

    def killed(ids):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # after it had planned these files
        index.store.build([record_id(media / "ring.png")], killed, progress=False)
    index = SearchIndex(tmp_path / "i")
    assert [problem for _, problem in index.add([media / "bar.jpg"], tiny_clip())] == [None]
    assert len(index) == 1
    assert [problem for _, problem in index.add([media / "ring.png", media / "bar.jpg"], tiny_clip())] == [None, None]
    assert len(index) == 2
    rows = index.embeddings.copy()
    list(index.add([media / "ring.png"], tiny_clip()))
    assert np.array_equal(index.embeddings, rows)


def test_a_dangling_link_and_a_lost_file_cost_nothing_else(media, tmp_path):
    folder = tmp_path / "media"
    folder.mkdir()
    for name in ("bar.jpg", "ring.png"):
        shutil.copy2(media / name, folder / name)
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    files = list_media([folder])
    assert [path.name for path in files] == ["bar.jpg", "dangling.png", "ring.png"]
    index = SearchIndex(tmp_path / "i", {"kind": "frames", "fps": 2.0, "precision": "fp32"})
    problems = [problem for _, problem in index.add([*files, folder / "gone.png"], tiny_clip())]
    assert problems[0] is problems[2] is None and "dangling.png" in problems[1] and "gone.png" in problems[3]
    assert len(index) == 2


def test_a_file_that_is_put_back_is_what_is_found(media, tmp_path):
    place, index = tmp_path / "a.png", SearchIndex(tmp_path / "i", {"kind": "frames", "fps": 2.0, "precision": "fp32"})
    Image.open(media / "bar.jpg").save(tmp_path / "bar.png")
    seen = []
    for source in (media / "ring.png", tmp_path / "bar.png", media / "ring.png"):
        shutil.copy2(source, place)
        list(index.add([place], tiny_clip()))
        seen.append(index.embeddings.copy())
    assert np.array_equal(seen[0], seen[2]) and not np.array_equal(seen[0], seen[1])


KEY = {"kind": "frames", "fps": 2.0, "precision": "fp32"}


def rows_of(embeddings):
    number = np.arange(len(embeddings))
    return {"embeddings": embeddings.astype(np.float32), "frame": number, "start": number / 2, "end": (number + 1) / 2}


def test_equal_frames_are_all_compared(tmp_path):
    index, random = SearchIndex(tmp_path / "i", KEY), np.random.default_rng(0)
    rows = random.integers(0, 2, (400, 4)) + np.array([1, 0, 0, 0])  # few directions: many ties
    index._write({"/m/still.mp4@1:1": rows_of(rows)})
    index._load()
    query = np.float32([1, 0, 0, 0])
    ranked = list(index._ranked(query, 40, "numpy", None))
    expected = sorted(enumerate(index.embeddings @ query), key=lambda pair: (-pair[1], pair[0]))
    assert [row for row, _ in ranked] == [row for row, _ in expected]


def test_an_index_made_anew_by_another_model_keeps_nothing(tmp_path):
    random = np.random.default_rng(0)
    for weights in ("one", "two"):
        index, rows = SearchIndex(tmp_path / "i", {**KEY, "weights": weights}), random.normal(size=(5, 4))
        index._write({"/m/a.mp4@1:1": rows_of(rows)})
        index._load()
        assert np.allclose(index.embeddings, rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-6)
        shutil.rmtree(tmp_path / "i/frames")
