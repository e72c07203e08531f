"""Rows: sets of videos, of narrated videos, of actions and of sounds."""

import json
import pickle
from pathlib import Path
from typing import Any

from clipkit.data.action_sets import read_action_set
from clipkit.data.narrated_sets import read_narrated_set
from clipkit.data.sound_sets import read_sound_set
from clipkit.data.video_sets import read_video_set
from fuzz.read_data import touch, write, write_table
from fuzz.table import Reader, inner


def _video_sets(root: Path) -> None:
    films = [f"video{i}" for i in range(4)]
    for name, place in {"msrvtt": "msrvtt", "msvd": "msvd", "words": "msvd", "activitynet": "activitynet"}.items():
        touch(root / name / place / "videos", *(f"{film}.mp4" for film in films))
    rows = [{"video_id": film, "caption": f"a cat {film}", "sen_id": 1} for film in films]
    folder = root / "msrvtt/msrvtt"
    write(folder / "MSRVTT_data.json", json.dumps({"sentences": rows, "videos": []}))
    write_table(folder / "MSRVTT_train.9k.csv", ("video_id",), *((film,) for film in films[:3]))
    write_table(
        folder / "MSRVTT_JSFUSION_test.csv", ("key", "video_id", "sentence"), *(("k", f, 'a "q", b') for f in films[3:])
    )
    captions = {film: [["a", "cat"], ["a", "dog"]] for film in films}
    (root / "msvd/msvd/raw-captions.pkl").write_bytes(pickle.dumps(captions))
    write(root / "words/msvd/captions_msvd.json", json.dumps(captions))
    for name in ("msvd", "words"):
        write(root / name / "msvd/train_list.txt", "\n".join(films))
    touch(root / "lsmdc/lsmdc/videos/f", "f_00.1.avi", "f_00.2.avi")
    write(root / "lsmdc/lsmdc/LSMDC16_annos_training.csv", "f_00.1\t0\t1\t0\t1\tOne smiles.\nf_00.2\t0\t1\t0\t1\tTwo.")
    described = {film: {"duration": 9.5, "timestamps": [[0, 4]], "sentences": ["One.", " Two. "]} for film in films}
    write(root / "activitynet/activitynet/train.json", json.dumps(described))
    write(root / "activitynet/activitynet/train_ids.json", json.dumps([*films, "v_none"]))
    told = [{"video": "a.mov", "description": f"part {k}", "times": [[0, k]]} for k in range(2)]
    write(root / "didemo/didemo/train_data.json", json.dumps(told))
    write(root / "didemo/didemo/train_list.txt", "a.mov\n")
    touch(root / "didemo/didemo/videos", "a.mp4")
    own = (
        ("video", "sentence", "split", "start", "end"),
        ("a.mp4", "a cat", "train", "0", "2.5"),
        ("a.mp4", "x, y", "train", "", ""),
    )
    for ending, delimiter in (("csv", ","), ("tsv", "\t")):
        write_table(root / ending / f"csv/t.{ending}", *own, delimiter=delimiter)
        touch(root / ending / "csv", "a.mp4")


def _read_videos(folder: Path) -> Any:
    place = inner(folder)
    root = _table_in(place) if place.name == "csv" else place
    splits = ("train9k", "test1k") if place.name == "msrvtt" else ("train",)
    return [read_video_set(place.name, root, split) for split in splits]


def _narrated(root: Path) -> None:
    for name in ("whole", "tables"):
        folder = root / name / "howto100m"
        touch(folder / "videos", "a.mp4", "sub/b.webm")
        write_table(folder / "HowTo100M_v1.csv", ("video_id", "rank"), ("a", "1"), ("b", "2"))
    told = {"start": [9.26, 3], "end": [13.1, 8.0], "text": ["then fry", "cut"]}
    write(root / "whole/howto100m/raw_caption.json", json.dumps({"a": told, "b": told}))
    for name in "ab":
        rows = (("", "start", "end", "text"), ("0", "3.5", "8", 'cut, "it"'), ("1", "9", "13.1", "fry"))
        write_table(root / f"tables/howto100m/howto100m_captions/{name}.csv", *rows)
    folder = root / "steps/youcook2"
    touch(folder / "videos", "training/101/a.mp4")
    steps = [{"segment": [4, 9.5], "id": 0, "sentence": "mix"}, {"segment": [12, 31], "id": 1, "sentence": "fry"}]
    entry = {"duration": 40.1, "subset": "training", "recipe_type": "101", "annotations": steps}
    write(folder / "youcookii_annotations_trainval.json", json.dumps({"database": {"a": entry}}))
    rows = (
        ("video", "sentence", "start", "end", "split"),
        ("a.mp4", "mix", "0", "4.5", "train"),
        ("a.mp4", "fry", "5", "9", "val"),
    )
    write_table(root / "own/csv/t.csv", *rows)
    touch(root / "own/csv", "a.mp4")


def _read_narrated(folder: Path) -> Any:
    place = inner(folder)
    if place.name == "csv":
        return read_narrated_set("csv", _table_in(place))
    found = read_narrated_set(place.name, place)
    return found, read_video_set("youcook2", place) if place.name == "youcook2" else None


def _table_in(place: Path) -> Path:
    return next((path for path in sorted(place.iterdir()) if path.suffix in (".csv", ".tsv")), place / "t.csv")


def _action_sets(root: Path) -> None:
    folder = root / "list/list"
    write(folder / "labels.csv", 'id,name\n0,brush hair\n1,"pour, slowly"\n')
    write(folder / "val.txt", "a.mp4 0\nwith space/b.mp4 1\nframes/c 120 1\n")
    touch(folder, "a.mp4", "with space/b.mp4", "frames/c/img_00001.jpg")
    touch(root / "folder/folder", "train/run/a.mp4", "train/take_off/b.mov", "val/take_off/c.mp4")
    folder = root / "kinetics/kinetics"
    write(
        folder / "train.csv", "label,youtube_id,time_start,time_end,split\nzumba,-3B,59,69,train\nyoga,abc,0,10,train\n"
    )
    touch(folder / "videos", "zumba/-3B_000059_000069.mp4", "abc_000000_000010.mkv")
    folder = root / "hmdb51/hmdb51"
    for name in ("run", "brush_hair"):
        write(folder / f"testTrainMulti_7030_splits/{name}_test_split1.txt", "a.avi 1 \nb.avi 2 \nc.avi 0 \n")
        touch(folder / "videos" / name, "a.avi", "b.avi")
    folder = root / "ucf101/ucf101"
    write(folder / "ucfTrainTestlist/classInd.txt", "1 ApplyEyeMakeup\n2 YoYo\n")
    write(folder / "ucfTrainTestlist/trainlist01.txt", "ApplyEyeMakeup/v_1.avi 1\nYoYo/v_2.avi 2\n")
    touch(folder / "videos", "ApplyEyeMakeup/v_1.avi", "YoYo/v_2.avi")


def _read_actions(folder: Path) -> Any:
    place = inner(folder)
    split = "train1" if place.name in ("hmdb51", "ucf101") else "train"
    if place.name == "list":
        return read_action_set("list", place / "val.txt", labels=place / "labels.csv")
    return read_action_set(place.name, place, split)


def _sound_sets(root: Path) -> None:
    folder = root / "esc50/esc50"
    write(folder / "meta/esc50.csv", "filename,fold,target,category\n1-a-0.wav,1,0,dog\n2-b-1.wav,2,1,sea_waves\n")
    touch(folder / "audio", "1-a-0.wav", "2-b-1.wav")
    folder = root / "urbansound8k/urbansound8k"
    header = "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
    write(folder / "metadata/UrbanSound8K.csv", header + "7-3-0-0.wav,7,0.0,4.0,1,5,3,dog_bark\n")
    touch(folder / "audio/fold5", "7-3-0-0.wav")
    touch(root / "folder/folder", "dog/a.wav", "sea_waves/b.mp4")


def _read_sounds(folder: Path) -> Any:
    place = inner(folder)
    return read_sound_set(place, place.name)


READERS = [
    Reader("sets of videos", _video_sets, _read_videos, share=3),
    Reader("sets of narrated videos", _narrated, _read_narrated, share=2),
    Reader("sets of actions", _action_sets, _read_actions, share=2),
    Reader("sets of sounds", _sound_sets, _read_sounds),
]
