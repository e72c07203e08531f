"""Readers of narrated videos: files made up in the official layouts, and with faults."""

import csv
import json

import pytest

from clipkit.data import TimedText
from clipkit.data.narrated_sets import read_narrated_set
from clipkit.data.video_sets import read_video_set
from clipkit.errors import ClipkitError

IDS = ("nVbIUDjzWY4", "-AwyG1JcMp8", "zzz")


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def table(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def howto100m(root):
    touch(root / "videos", f"{IDS[0]}.mp4", f"sub/{IDS[1]}.webm")
    head = ("video_id", "category_1", "category_2", "rank", "task_id")
    table(root / "HowTo100M_v1.csv", head, *((name, "Food", "Recipes", "1", "105222") for name in IDS))
    told = {
        "start": [9.26, 3.5],
        "end": [13.1, 8.0],
        "text": ["then fry them", "cut the  onions"],
    }
    (root / "raw_caption_superclean.json").write_text(json.dumps({IDS[0]: told, IDS[1]: told}))
    return told


def youcook2(root):
    touch(root / "videos", f"training/101/{IDS[0]}.mp4", f"validation/101/{IDS[1]}.mkv")
    steps = [
        {"segment": [20, 31], "id": 0, "sentence": "grill the tomatoes"},
        {"segment": [4, 9], "id": 1, "sentence": "mix"},
    ]
    database = {
        name: {"duration": 311.77, "subset": subset, "recipe_type": "101", "annotations": steps, "video_url": "u"}
        for name, subset in zip(IDS, ("training", "validation", "training"))
    }
    (root / "youcookii_annotations_trainval.json").write_text(json.dumps({"database": database}))


def test_howto100m_in_one_file_and_in_tables_are_the_same(tmp_path):
    told = howto100m(tmp_path)
    found = read_narrated_set("howto100m", tmp_path)
    assert [video.id for video in found.videos] == list(IDS[:2])
    assert found.videos[0].said == (TimedText(3.5, 8.0, "cut the onions"), TimedText(9.26, 13.1, "then fry them"))
    assert "1 videos that are not in" in found.problems.summary() and "zzz" in found.problems.summary()
    for name in IDS[:2]:
        rows = [("", *map(str, row)) for row in zip(told["start"], told["end"], told["text"])]
        table(tmp_path / f"howto100m_captions/{name}.csv", ("", "start", "end", "text"), *rows)
    assert read_narrated_set("howto100m", tmp_path).videos == found.videos


def test_lists_of_a_split_come_before_the_table(tmp_path):
    howto100m(tmp_path)
    (tmp_path / "how2_s3d_val.lst").write_text(f"{IDS[1]}\n")
    assert [video.id for video in read_narrated_set("howto100m", tmp_path, "val").videos] == [IDS[1]]
    (tmp_path / "how2_s3d_train.lst").write_text(f"{IDS[0]}\n")
    assert [video.id for video in read_narrated_set("howto100m", tmp_path).videos] == [IDS[0]]


def test_youcook2_as_films_and_as_clips(tmp_path):
    youcook2(tmp_path)
    (film,) = read_narrated_set("youcook2", tmp_path, "train").videos
    assert film.id == IDS[0]
    assert film.said == (TimedText(4.0, 9.0, "mix"), TimedText(20.0, 31.0, "grill the tomatoes"))
    clips = read_video_set("youcook2", tmp_path, "val").videos
    assert [(clip.captions, clip.span) for clip in clips] == [(("grill the tomatoes",), (20, 31)), (("mix",), (4, 9))]
    assert clips[0].path.name == f"{IDS[1]}.mkv"


def test_ones_own_table(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    path = table(
        tmp_path / "own.csv",
        ("video", "sentence", "start", "end", "split"),
        ("a.mp4", "second", "5", "9", "train"),
        ("a", "first", "0.5", "4", "train"),
        ("b.mp4", "", "0", "1", "train"),
        ("a.mp4", "backwards", "9", "5", "train"),
        ("c.mp4", "for the test", "0", "4", "test"),
    )
    found = read_narrated_set("csv", path)
    assert [(video.id, [one.text for one in video.said]) for video in found.videos] == [("a.mp4", ["second"])]
    summary = found.problems.summary()
    for kind in ("empty or end before they start: a.mp4", "listed already: a (a.mp4)", "nothing is said: b.mp4"):
        assert kind in summary


def test_seconds_and_splits_that_are_none_are_shown(tmp_path):
    touch(tmp_path, "a.mp4")
    head, path = ("video", "sentence", "start", "end", "split"), tmp_path / "own.csv"
    for row, message in (
        (("a.mp4", "x", "0:01", "2", "train"), "line 2: start '0:01' and end '2' must be seconds"),
        (("a.mp4", "x", "1", "2", ""), "line 2: names no split"),
    ):
        with pytest.raises(ClipkitError, match=message):
            read_narrated_set("csv", table(path, head, row))


@pytest.mark.parametrize(
    "fault, message",
    [
        ({"start": [1], "end": [2, 3], "text": ["a"]}, "1, 2, 1 starts, ends and texts"),
        ({"start": ["1"], "end": [2], "text": ["a"]}, "no first and last second"),
        ({"start": [-1], "end": [2], "text": ["a"]}, "no first and last second"),
        ({"start": [True], "end": [2], "text": ["a"]}, "no first and last second"),
        ({"start": [1], "end": [2], "text": [None]}, "text is needed"),
        ({"start": [1], "end": [2]}, 'no "text"'),
    ],
)
def test_captions_that_are_none_are_named(tmp_path, fault, message):
    howto100m(tmp_path)
    (tmp_path / "raw_caption_superclean.json").write_text(json.dumps({IDS[0]: fault}))
    with pytest.raises(ClipkitError, match=message) as error:
        read_narrated_set("howto100m", tmp_path)
    assert "raw_caption_superclean.json" in str(error.value) and "\n" not in str(error.value)


def test_a_step_without_length_is_no_clip(tmp_path):
    youcook2(tmp_path)
    path = tmp_path / "youcookii_annotations_trainval.json"
    path.write_text(path.read_text().replace("[4, 9]", "[4, 4]"))
    with pytest.raises(ClipkitError, match="a step from 4 to 4 s"):
        read_video_set("youcook2", tmp_path, "train")


def test_unknown_sets_and_splits(tmp_path):
    with pytest.raises(ClipkitError, match="howto100m"):
        read_narrated_set("howto", tmp_path)
    with pytest.raises(ClipkitError, match='no split "test"'):
        read_narrated_set("youcook2", tmp_path, "test")
    (tmp_path / "videos").mkdir()
    with pytest.raises(FileNotFoundError, match=r"HowTo100M_v1\.csv"):
        read_narrated_set("howto100m", tmp_path)
    howto100m(tmp_path)
    (tmp_path / f"videos/{IDS[0]}.mp4").unlink(), (tmp_path / f"videos/sub/{IDS[1]}.webm").unlink()
    with pytest.raises(ClipkitError, match="not one of 3 videos"):
        read_narrated_set("howto100m", tmp_path)
