"""Readers of retrieval sets: files made up in the published formats, with the published counts, and with faults."""

import csv
import json
import math
import pickle

import pytest

from clipkit.data.video_sets import COUNTS, read_video_set
from clipkit.errors import ClipkitError


def touch(folder, names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_table(path, rows, delimiter=","):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def spread(total, parts):
    """`total` sentences over `parts` videos, at least one each."""
    return [total // parts + (i < total % parts) for i in range(parts)]


def make_msrvtt(root):
    ids = [f"video{i}" for i in range(10000)]
    rows = [{"sen_id": k, "video_id": v, "caption": f"sentence {k}"} for k, v in enumerate(ids * 20)]
    videos = [{"video_id": v, "split": "train", "url": "u"} for v in ids]
    (root / "MSRVTT_data.json").write_text(json.dumps({"videos": videos, "sentences": rows}))
    write_table(root / "MSRVTT_train.9k.csv", [["video_id"], *[[v] for v in ids[:9000]]])
    write_table(root / "MSRVTT_train.7k.csv", [["video_id"], *[[v] for v in ids[:7010]]])
    test = [[f"ret{i}", f"msr{v}", v, f"a query, {i}"] for i, v in enumerate(ids[9000:])]
    write_table(root / "MSRVTT_JSFUSION_test.csv", [["key", "vid_key", "video_id", "sentence"], *test])
    touch(root / "videos", [f"{v}.mp4" for v in ids])


def make_msvd(root):
    captions = {}
    for split in ("train", "val", "test"):
        videos, sentences = COUNTS["msvd", split]
        ids = [f"-{split}_{i}_1_9" for i in range(videos)]
        (root / f"{split}_list.txt").write_text("\n".join(ids) + "\n")
        for identifier, count in zip(ids, spread(sentences, videos)):
            captions[identifier] = [["a", "man", str(k)] for k in range(count)]
        touch(root / "videos", [f"{v}.avi" for v in ids])
    (root / "raw-captions.pkl").write_bytes(pickle.dumps(captions))


def make_lsmdc(root):
    files = {"train": "annos_training", "val": "annos_val", "test": "challenge_1000_publictect"}
    for split, name in files.items():
        sentences = COUNTS["lsmdc", split][1]
        clips = sentences if split == "test" else sentences - 20
        ids = [f"00{i % 7}_Film/00{i % 7}_Film_00.0{split[0]}.{i}.926-00.00.54.129" for i in range(clips)]
        lines = [f"{ids[k % clips].split('/')[1]}\t0\t1\t0\t1\tSOMEONE smiles {k}." for k in range(sentences)]
        (root / f"LSMDC16_{name}.csv").write_text("\n".join(lines))
        if split != "train":  # 100,000 files take seconds
            touch(root / "videos", [f"{v}.avi" for v in ids])
    touch(root / "videos", ["000_Film/000_Film_00.0t.0.926-00.00.54.129.avi"])


def make_activitynet(root):
    for split, name, count in (("train", "train", 30), ("val", "val_1", 4917)):
        ids = [f"v_{split}{i:06d}" for i in range(count)]
        described = {v: {"duration": 9.5, "timestamps": [[0, 4]], "sentences": ["One.", " Two. "]} for v in ids}
        (root / f"{name}.json").write_text(json.dumps(described))
        (root / f"{split}_ids.json").write_text(json.dumps([*ids, "v_notdescribed"]))
        touch(root / "videos", [f"{v[2:] if i % 2 else v}.mp4" for i, v in enumerate(ids)])


def make_didemo(root):
    for split in ("train", "val", "test"):
        ids = [f"{i}@N02_{split}.mov" for i in range(COUNTS["didemo", split][0])]
        rows = [
            {"video": v, "description": f"part {k}", "times": [[0, k]]} for k in range(3) for v in [*ids, "other.mov"]
        ]
        (root / f"{split}_data.json").write_text(json.dumps(rows))
        (root / f"{split}_list.txt").write_text("\n".join(ids))
        touch(root / "videos", [v.replace(".mov", ".mp4") for v in ids])


MAKERS = {
    "msrvtt": make_msrvtt,
    "msvd": make_msvd,
    "lsmdc": make_lsmdc,
    "activitynet": make_activitynet,
    "didemo": make_didemo,
}


@pytest.fixture(scope="module", params=MAKERS)
def made(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    MAKERS[request.param](root)
    return request.param, root


def test_counts_are_the_published_ones(made):
    name, root = made
    for (set_name, split), (videos, captions) in COUNTS.items():
        if set_name != name or (name, split) == ("lsmdc", "train"):
            continue
        found = read_video_set(name, root, split)
        assert not found.problems
        assert len(found.videos) == videos or videos is None
        assert found.captions == captions
        assert all(video.path.is_file() for video in found.videos)


def test_what_a_video_says(made):
    name, root = made
    first = read_video_set(name, root, {"msrvtt": "train9k", "lsmdc": "test"}.get(name, "val")).videos[0]
    expected = {
        "msrvtt": ("video0", "video0.mp4", "sentence 10000", None),
        "msvd": ("-val_0_1_9", "-val_0_1_9.avi", "a man 1", None),
        "lsmdc": ("000_Film_00.0t.0.926-00.00.54.129", None, "SOMEONE smiles 0.", None),
        "activitynet": ("v_val000000", "v_val000000.mp4", "One. Two.", None),
        "didemo": ("0@N02_val.mov@0-31", "0@N02_val.mp4", "part 0 part 1 part 2", (0, 31)),
    }[name]
    assert first.id == expected[0] and first.span == expected[3]
    assert first.path.name == expected[1] or expected[1] is None
    assert first.captions[min(1, len(first.captions) - 1)] == expected[2]


def test_videos_and_sentences_that_are_missing_are_counted_and_named(made):
    name, root = made
    split = {"msrvtt": "test1k", "lsmdc": "test"}.get(name, "val")
    whole = read_video_set(name, root, split)
    gone = whole.videos[3].path
    gone.rename(gone.with_suffix(".part"))
    try:
        found = read_video_set(name, root, split)
    finally:
        gone.with_suffix(".part").rename(gone)
    assert len(found.videos) == len(whole.videos) - 1
    assert f"1 videos that are not in {root / 'videos'}" in found.problems.summary()


def test_another_number_of_sentences_is_said(tmp_path):
    make_activitynet(tmp_path)
    ids = json.loads((tmp_path / "val_ids.json").read_text())
    (tmp_path / "val_ids.json").write_text(json.dumps(ids[:4000]))
    summary = read_video_set("activitynet", tmp_path, "val").problems.summary()
    assert "4,000 videos instead of 4,917" in summary and "4,000 sentences" in summary


def test_msvd_in_json_and_in_a_plain_pickle_are_the_same(tmp_path):
    make_msvd(tmp_path)
    from_pickle = read_video_set("msvd", tmp_path, "val")
    captions = pickle.loads((tmp_path / "raw-captions.pkl").read_bytes())
    texts = {key: [" ".join(words) for words in value] for key, value in captions.items()}
    (tmp_path / "captions_msvd.json").write_text(json.dumps(texts))
    assert read_video_set("msvd", tmp_path, "val").videos == from_pickle.videos


class Bomb:
    """Writes a file when it is unpickled by anyone who trusts it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_runs_something_is_not_run(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "val_list.txt").write_text("a\n")
    (tmp_path / "raw-captions.pkl").write_bytes(pickle.dumps({"a": Bomb(tmp_path / "owned")}))
    with pytest.raises(ClipkitError, match=r"raw-captions.pkl: not a pickle of plain lists and words \(it wants"):
        read_video_set("msvd", tmp_path, "val")
    assert not (tmp_path / "owned").exists()


def own(tmp_path, *rows):
    touch(tmp_path, ["a.mp4", "sub/b.avi"])
    write_table(tmp_path / "own.csv", rows)
    return tmp_path / "own.csv"


def test_ones_own_table(tmp_path):
    path = own(
        tmp_path,
        ["video", "sentence", "split", "start", "end"],
        ["a.mp4", "a red circle,  moving", "train", "", ""],
        ["sub/b", "second", "train", "1.5", "4"],
        ["a.mp4", "another", "train", "", ""],
        ["a.mp4", "for the test", "test", "", ""],
        ["sub/b.avi", "   ", "test", "", ""],
    )
    found = read_video_set("csv", path, "train").videos
    assert [(v.id, v.captions, v.span) for v in found] == [
        ("a.mp4", ("a red circle, moving", "another"), None),
        ("sub/b@1.5-4", ("second",), (1.5, 4.0)),
    ]
    test = read_video_set("csv", path, "test")
    assert test.videos[0].captions == ("for the test",)
    assert test.problems.summary() == "1 videos without a sentence: sub/b.avi"


def test_a_folder_in_a_name_counts(tmp_path):
    touch(tmp_path, ["cam1/0001.mkv", "cam2/0001.mkv", "cam2/0002.mkv"])
    rows = [["video", "sentence"], *([name, "x"] for name in ("cam2/0001", "cam1/0002.mkv", "0001", "0002"))]
    write_table(tmp_path / "own.csv", rows)
    found = read_video_set("csv", tmp_path / "own.csv")
    paths = {video.id: video.path.relative_to(tmp_path).as_posix() for video in found.videos}
    assert paths == {"cam2/0001": "cam2/0001.mkv", "0002": "cam2/0002.mkv"}
    assert "1 videos that are not in" in found.problems.summary() and "cam1/0002.mkv" in found.problems.summary()
    assert "names of several videos, which want their folder too: 0001 (" in found.problems.summary()


def test_names_as_windows_and_macos_write_them(tmp_path):
    touch(tmp_path, ["holiday/caf\u00e9.mp4"])
    for name in ("holiday\\caf\u00e9.mp4", "holiday/cafe\u0301.mp4", "cafe\u0301"):
        (video,) = read_video_set("csv", own(tmp_path, ["video", "sentence"], [name, "x"])).videos
        assert video.path == tmp_path / "holiday/caf\u00e9.mp4"
    with pytest.raises(ClipkitError, match="lies outside"):
        read_video_set("csv", own(tmp_path, ["video", "sentence"], ["..\\a.mp4", "x"]))


def test_an_open_end_is_the_end_of_the_video(tmp_path):
    rows = (["1", ""], ["", "2"], ["0", ""])
    path = own(tmp_path, ["video", "sentence", "start", "end"], *(["a.mp4", "x", *row] for row in rows))
    found = read_video_set("csv", path).videos
    assert [video.span for video in found] == [(1, math.inf), (0, 2), None]
    assert [video.id for video in found] == ["a.mp4@1-inf", "a.mp4@0-2", "a.mp4"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["file", "sentence"], ["a.mp4", "x"]], "no column video; it has file, sentence"),
        ([["video", "sentence", "split"], ["a.mp4", "x", "test"]], 'no rows of split "train"'),
        ([["video", "sentence", "start", "end"], ["a.mp4", "x", "soon", "2"]], "line 2: start and end must be seconds"),
        ([["video", "sentence", "start", "end"], ["a.mp4", "x", "3", "2"]], "line 2: start 3 and end 2 are no piece"),
        ([["video", "sentence", "split"], ["a.mp4", "x", ""]], "line 2: names no split"),
        ([["video", "sentence", "split"], ["a.mp4", "x", "Train"]], 'the split "Train", and "train" is asked for'),
        ([["video", "sentence"], ["gone.mp4", "x"]], "not one of 1 videos of csv train is usable"),
    ],
)
def test_a_table_with_faults_is_one_line(tmp_path, rows, message):
    with pytest.raises(ClipkitError, match=message) as caught:
        read_video_set("csv", own(tmp_path, *rows))
    assert "\n" not in str(caught.value) and "own.csv" in str(caught.value)


def test_files_of_another_format_are_one_line(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "LSMDC16_annos_val.csv").write_text("a\tb\tc\n")
    with pytest.raises(ClipkitError, match="line 1 has 3 fields between tabs instead of 6"):
        read_video_set("lsmdc", tmp_path, "val")
    (tmp_path / "MSRVTT_data.json").write_text('{"sentences": [{"video": 1}]}')
    with pytest.raises(ClipkitError, match=r'MSRVTT_data.json: sentences\[0\] has no "video_id"'):
        read_video_set("msrvtt", tmp_path, "train9k")
    with pytest.raises(FileNotFoundError, match=r"val_data.json: no such file; `clipkit frames --help` says"):
        read_video_set("didemo", tmp_path, "val")
    with pytest.raises(ClipkitError, match='unknown set of videos "msrvt"; did you mean "msrvtt"'):
        read_video_set("msrvt", tmp_path)
    with pytest.raises(ClipkitError, match=r'msrvtt has no split "train"; .*train9k'):
        read_video_set("msrvtt", tmp_path)
