"""Files of public action sets, made up in their formats."""

import pytest

from clipkit.data.action_sets import first_shots, read_action_set, read_labels
from clipkit.errors import ClipkitError


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def touch(folder, *names):
    for name in names:
        write(folder / name, "x")


def told(found):
    return [(video.id, video.label) for video in found.videos]


def test_lists_of_videos_and_of_folders_with_frames(tmp_path):
    labels = write(tmp_path / "labels.csv", 'id,name\n0,brush hair\n1,"pour, slowly"\n')
    touch(tmp_path, "a.mp4", "with space/b.mp4", "frames/c/img_00001.jpg")
    rows = write(tmp_path / "val.txt", "a.mp4 0\nwith space/b.mp4 1\nframes/c 120 1\n\nlost.mp4 0\n")
    found = read_action_set("list", rows, labels=labels)
    assert found.classes == ["brush hair", "pour, slowly"]
    assert told(found) == [("a.mp4", 0), ("with space/b.mp4", 1), ("frames/c", 1)]
    assert all(video.path.exists() for video in found.videos)
    assert found.problems.summary() == f"1 videos that are not in {tmp_path}: lost.mp4"
    assert read_labels(write(tmp_path / "names.txt", "run\nwalk\n")) == ["run", "walk"]


def test_lists_that_are_none(tmp_path):
    labels = write(tmp_path / "labels.txt", "run\nwalk\n")
    touch(tmp_path, "a.mp4")
    with pytest.raises(ClipkitError, match="a list needs labels="):
        read_action_set("list", write(tmp_path / "a.txt", "a.mp4 0\n"))
    for text, match in (("a.mp4\n", "line 1 is not"), ("a.mp4 2\n", "a.mp4 has label 2, and there are 2 classes"),
                        ("b.mp4 1\n", "not one of 1 videos"), ("", "the list is empty")):  # fmt: skip
        with pytest.raises(ClipkitError, match=match):
            read_action_set("list", write(tmp_path / "a.txt", text), labels=labels)
    with pytest.raises(ClipkitError, match="without a gap"):
        read_labels(write(tmp_path / "labels.csv", "id,name\n0,run\n2,walk\n"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_action_set("list", tmp_path / "none.txt", labels=labels)
    with pytest.raises(ClipkitError, match='did you mean "kinetics"'):
        read_action_set("kinetic", tmp_path)


def test_lists_with_tabs_or_wide_gaps(tmp_path):
    labels = write(tmp_path / "labels.csv", "name,id\nrun,0\nwalk,1\n")
    touch(tmp_path, "a.mp4", "two words.mp4")
    rows = write(tmp_path / "val.txt", "a.mp4\t1\ntwo words.mp4   30  0\n")
    found = read_action_set("list", rows, labels=labels)
    assert told(found) == [("a.mp4", 1), ("two words.mp4", 0)] and found.classes == ["run", "walk"]


def test_a_video_listed_as_two_actions_is_named(tmp_path):
    labels = write(tmp_path / "labels.txt", "run\nwalk\n")
    touch(tmp_path, "a.mp4", "videos/x_000001_000011.mp4")
    found = read_action_set("list", write(tmp_path / "l.txt", "a.mp4 0\na.mp4 0\na.mp4 1\n"), labels=labels)
    assert told(found) == [("a.mp4", 0), ("a.mp4", 0)]
    assert found.problems.summary().endswith("two actions, of which the first counts: a.mp4 (run, walk)")
    head = "label,youtube_id,time_start,time_end,split\n"
    write(tmp_path / "train.csv", f"{head}run,x,1,11,train\nwalk,x,1,11,train\n")
    assert read_action_set("kinetics", tmp_path).problems.summary().endswith("x_000001_000011 (run, walk)")
    write(tmp_path / "train.csv", f"{head},x,1,11,train\n")
    with pytest.raises(ClipkitError, match=r"train\.csv: line 2: names no action"):
        read_action_set("kinetics", tmp_path)


def test_videos_deeper_than_their_class_are_named_and_hidden_folders_are_none(tmp_path):
    touch(tmp_path, "run/a.mp4", "run/set1/b.mp4", ".trash/c.mp4")
    found = read_action_set("folder", tmp_path)
    assert found.classes == ["run"] and told(found) == [("run/a.mp4", 0)]
    assert found.problems.summary() == "1 videos that lie deeper than in the folder of a class: run/set1/b.mp4"


def test_folders_of_ones_own_keep_the_ids_of_all_splits(tmp_path):
    touch(tmp_path, "train/run/a.mp4", "train/take_off/b.mov", "train/take_off/note.txt", "val/take_off/c.mp4")
    train, val = (read_action_set("folder", tmp_path, split) for split in ("train", "val"))
    assert train.classes == val.classes == ["run", "take off"]
    assert told(train) == [("train/run/a.mp4", 0), ("train/take_off/b.mov", 1)]
    assert told(val) == [("val/take_off/c.mp4", 1)]
    touch(tmp_path, "raw/2021-05-03/notes.txt")  # beside the splits, no class
    assert read_action_set("folder", tmp_path, "val").classes == val.classes
    touch(tmp_path / "plain", "jump/d.mp4")
    assert told(read_action_set("folder", tmp_path / "plain")) == [("jump/d.mp4", 0)]


def test_kinetics(tmp_path):
    head = "label,youtube_id,time_start,time_end,split,is_cc\n"
    rows = "zumba,-3B32lodo2M,59,69,val,0\nabseiling,abc,0,10,val,0\nabseiling,gone,1,11,val,1\n"
    write(tmp_path / "val.csv", head + rows)
    touch(tmp_path / "videos", "zumba/-3B32lodo2M_000059_000069.mp4", "abc_000000_000010.mkv")
    found = read_action_set("kinetics", tmp_path, "val")
    assert found.classes == ["abseiling", "zumba"]
    assert told(found) == [("-3B32lodo2M_000059_000069", 1), ("abc_000000_000010", 0)]
    assert "gone_000001_000011" in found.problems.summary()
    labels = write(tmp_path / "labels.txt", "zumba\nabseiling\nyoga\n")
    assert told(read_action_set("kinetics", tmp_path, "val", labels=labels))[0][1] == 0
    with pytest.raises(ClipkitError, match="'abseiling' is not among the classes"):
        read_action_set("kinetics", tmp_path, "val", labels=write(labels, "zumba\n"))
    with pytest.raises(ClipkitError, match=r"short\.csv: line 2: has 2 values, and the first line names 6"):
        write(tmp_path / "short.csv", head + "yoga,abc\n")
        read_action_set("kinetics", tmp_path, "short")
    with pytest.raises(ClipkitError, match="no column time_end"):
        write(tmp_path / "train.csv", "label,youtube_id,time_start\n")
        read_action_set("kinetics", tmp_path, "train")


def test_hmdb51(tmp_path):
    folder = tmp_path / "testTrainMulti_7030_splits"
    write(folder / "brush_hair_test_split1.txt", "a.avi 1 \nb.avi 2 \nc.avi 0 \n")
    write(folder / "wave_test_split1.txt", "d.avi 1 \n")
    write(folder / "wave_test_split2.txt", "d.avi 2 \n")
    touch(tmp_path / "videos", "brush_hair/a.avi", "brush_hair/b.avi", "wave/d.avi")
    found = read_action_set("hmdb51", tmp_path, "train1")
    assert found.classes == ["brush hair", "wave"]
    assert told(found) == [("brush_hair/a.avi", 0), ("wave/d.avi", 1)]
    assert "2 videos instead of 3,570" in found.problems.summary()
    assert told(read_action_set("hmdb51", tmp_path, "test1")) == [("brush_hair/b.avi", 0)]
    with pytest.raises(ClipkitError, match="train1, test1"):
        read_action_set("hmdb51", tmp_path, "val")
    with pytest.raises(FileNotFoundError, match=r"has no files \*_test_split3\.txt"):
        read_action_set("hmdb51", tmp_path, "train3")


def test_ucf101(tmp_path):
    folder = tmp_path / "ucfTrainTestlist"
    write(folder / "classInd.txt", "1 ApplyEyeMakeup\n2 YoYo\n")
    write(folder / "trainlist01.txt", "ApplyEyeMakeup/v_a.avi 1\nYoYo/v_b.avi 2\n")
    write(folder / "testlist01.txt", "YoYo/v_c.avi\n")
    touch(tmp_path / "videos", "ApplyEyeMakeup/v_a.avi", "YoYo/v_b.avi", "YoYo/v_c.avi")
    found = read_action_set("ucf101", tmp_path, "train1")
    assert found.classes == ["Apply Eye Makeup", "Yo Yo"]
    assert told(found) == [("ApplyEyeMakeup/v_a.avi", 0), ("YoYo/v_b.avi", 1)]
    assert told(read_action_set("ucf101", tmp_path, "test1")) == [("YoYo/v_c.avi", 1)]
    write(folder / "testlist01.txt", "Other/v_c.avi\n")
    with pytest.raises(ClipkitError, match="of no class in classInd"):
        read_action_set("ucf101", tmp_path, "test1")


def test_ucf101_whose_files_contradict_each_other(tmp_path):
    write(tmp_path / "ucfTrainTestlist/classInd.txt", "1 YoYo\n2 TaiChi\n")
    write(tmp_path / "ucfTrainTestlist/trainlist01.txt", "YoYo/a.avi 2\n")
    with pytest.raises(ClipkitError, match=r"trainlist01\.txt: line 1: 'YoYo/a\.avi 2' is class 1 in classInd\.txt"):
        read_action_set("ucf101", tmp_path, "train1")


def test_few_shots_of_each_class(tmp_path):
    touch(tmp_path, *(f"{name}/{i}.mp4" for name, count in (("run", 6), ("walk", 2)) for i in range(count)))
    videos = read_action_set("folder", tmp_path).videos
    few = first_shots(videos, 3, seed=1)
    assert [video.label for video in few] == [0, 0, 0, 1, 1]
    assert few == first_shots(videos, 3, seed=1) != first_shots(videos, 3, seed=2)
