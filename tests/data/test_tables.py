"""Lists, tables and JSON from strangers: what does not fit is one line that names the file and the line in it."""

import codecs
import json

import pytest

from clipkit.data._paths import below
from clipkit.data._tables import read_json, read_lines, read_table
from clipkit.data.action_sets import read_action_set, read_labels
from clipkit.data.captioned import KarpathyImages
from clipkit.data.fewshot import fold_examples
from clipkit.data.image_folder import class_words
from clipkit.data.proposals import list_dataset, read_proposals
from clipkit.data.video_sets import read_video_set
from clipkit.errors import ClipkitError

HEAD = "video,sentence\n"
TABLES = {
    "unquoted comma": (HEAD + "a.mp4,A man, a dog\n", "line 2: has 3 values, and the first line names 2"),
    "short row": ("video,sentence,split\n\na.mp4,a man\n", "line 3: has 2 values"),
    "unclosed quote": (HEAD + 'a.mp4,"a man\nb.mp4,a dog\n', "line 2: has a quote that is not closed"),
    "quote closed by a later row": (HEAD + 'a.mp4,"a man\nb.mp4,a dog"\n', "line 2: has a quote that is not closed"),
    "text after a quote": (HEAD + 'a.mp4,"a" man\n', "line 2: has ',' expected after"),
    "column twice": ("video,sentence,sentence\na.mp4,x,y\n", "line 1: names the column sentence twice"),
    "other separator": (
        "video;sentence\na.mp4;x\n",
        "has no column video; it has video;sentence (separated by commas)",
    ),
    "NUL": (HEAD + "a.mp4,x\nb.mp4,\0\n", "line 3: holds a NUL byte"),
    "Latin-1": ((HEAD + "a.mp4,x\nb.mp4,é\n").encode("latin-1"), "t.csv:3: is not UTF-8 text"),
    "no video": (HEAD + ",x\n", "line 2: names no video"),
    "seconds": ("video,sentence,start\na.mp4,x,0:10\n", "line 2: start and end must be seconds"),
    "outside": (HEAD + "../a.mp4,x\n", "names '../a.mp4', which lies outside"),
    "absolute": (HEAD + "/etc/a.mp4,x\n", r"names '/etc/a.mp4', which lies outside"),
    "long name": (HEAD + "x" * 300 + ",x\n", "which no file can be called"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_that_do_not_fit(tmp_path, kind):
    content, line = TABLES[kind]
    (tmp_path / "a.mp4").touch(), (tmp_path / "b.mp4").touch()
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ClipkitError) as caught:
        read_video_set("csv", path)
    assert str(path) in str(caught.value) and line in str(caught.value) and "\n" not in str(caught.value)


def test_good_tables_are_read_whatever_their_marks_line_ends_and_separators(tmp_path):
    (tmp_path / "a.mp4").touch()
    rows = 'video,sentence\r\na.mp4,"A man, a ""dog"""\r\n\r\na.mp4,é\r\n'
    (tmp_path / "t.csv").write_bytes(codecs.BOM_UTF8 + rows.encode())
    (tmp_path / "t.tsv").write_text("\tvideo\tsentence\n0\ta.mp4\tA man, a dog\n1\ta.mp4\té\n")
    assert read_video_set("csv", tmp_path / "t.csv").videos[0].captions == ('A man, a "dog"', "é")
    assert read_video_set("csv", tmp_path / "t.tsv").videos[0].captions == ("A man, a dog", "é")
    (tmp_path / "t.csv").write_bytes((HEAD + "a.mp4,é\n").encode("utf-16"))
    assert read_video_set("csv", tmp_path / "t.csv").videos[0].captions == ("é",)
    (tmp_path / "t.csv").write_text(HEAD + "a.mp4,one\na.mp4,\n")
    assert read_video_set("csv", tmp_path / "t.csv").problems.summary() == "1 videos with an empty sentence: a.mp4"


def test_pieces_of_long_films_have_ids_of_their_own_and_short_ones_the_ids_they_had(tmp_path):
    (tmp_path / "a.mp4").touch()
    spans = [("0.5", "2"), ("10000.11", "10000.92"), ("10000.14", "10000.94"), ("100000.2", "1e9"), ("100000.4", "1e9")]
    rows = [f"a.mp4,{n},{start},{end}" for n, (start, end) in enumerate(spans)]
    (tmp_path / "t.csv").write_text("\n".join(["video,sentence,start,end", *rows]))
    ids = [video.id for video in read_video_set("csv", tmp_path / "t.csv").videos]
    assert ids[:2] == ["a.mp4@0.5-2", "a.mp4@10000.11-10000.92"] and len(set(ids)) == len(spans)


def test_a_file_called_as_a_piece_of_another_is_named(tmp_path):
    for name in ("a.mp4", "a.mp4@0-5.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "t.csv").write_text("video,sentence,end\na.mp4,x,5\na.mp4@0-5,y,\n")
    found = read_video_set("csv", tmp_path / "t.csv")
    assert len(found.videos) == 1 and "names that another video has" in found.problems.summary()


JSON = {
    "deep": ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "name twice": ('{"a": 1, "a": 2}', "'a' stands twice"),
    "NaN": ('{"a": NaN}', "NaN is no number"),
    "cut": ('{"a": [', "not readable as JSON"),
    "Latin-1": ('{\n"é": 1}'.encode("latin-1"), r"x\.json:2: is not UTF-8 text"),
}


@pytest.mark.parametrize("kind", JSON)
def test_json_that_does_not_fit(tmp_path, kind):
    content, line = JSON[kind]
    path = tmp_path / "x.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for read in (read_json, read_proposals, lambda p: class_words(p, ["a"], "x"), lambda p: list_dataset(tmp_path, p)):
        with pytest.raises(ClipkitError, match=line) as caught:
            read(path)
        assert str(path) in str(caught.value)


WRONG = (None, 5, ["a"], {"a": 1}, True, "\ud800")


@pytest.mark.parametrize("value", WRONG)
def test_published_sets_with_values_of_another_type(tmp_path, value):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/v.mp4").touch()
    for name, text in (("train_list.txt", "v"), ("MSRVTT_train.9k.csv", "video_id\nv"), ("train_ids.json", '["v"]')):
        (tmp_path / name).write_text(text)
    files = {
        "msrvtt": ("MSRVTT_data.json", {"sentences": [{"video_id": "v", "caption": value}]}, "train9k"),
        "didemo": ("train_data.json", [{"video": "v", "description": value}], "train"),
        "activitynet": ("train.json", {"v": {"sentences": value if value != ["a"] else "letters"}}, "train"),
        "msvd": ("captions_msvd.json", {"v": [value] if value != ["a"] else "letters"}, "train"),
    }
    for kind, (name, content, split) in files.items():
        (tmp_path / name).write_text(json.dumps(content))
        with pytest.raises(ClipkitError) as caught:
            read_video_set(kind, tmp_path, split)
        assert str(tmp_path / name) in str(caught.value), kind
    for entry in ({"filename": value, "sentences": []}, {"filename": "a", "sentences": [{"raw": value}]}):
        (tmp_path / "k.json").write_text(json.dumps({"images": [{"split": "test", **entry}]}))
        with pytest.raises(ClipkitError, match=r"k\.json: images\[0\]"):
            KarpathyImages(tmp_path / "k.json", tmp_path)


def test_lists_of_actions_are_told_by_line(tmp_path):
    labels, path = tmp_path / "labels.csv", tmp_path / "list.txt"
    for text, line in (
        ("id,name\n0,run\n1,walk,fast\n", "line 3: has 3 values"),
        ('id,name\n0,run\n1,"walk\n', "line 3: has a quote"),
        ("id,name\n0,run\n2,walk\n", "line 3: its rows must be"),
        ("run\n\nrun\n", "line 3: 'run' is the name of line 1 already"),
        ("id,name\n0,run\n1,\n", "line 3: holds no name"),
        ("", "is empty"),
    ):
        labels.write_text(text)
        with pytest.raises(ClipkitError, match=f"labels.csv: {line}"):
            read_labels(labels)
    labels.write_text("run\nwalk\n")
    for text, line in (
        ("a.mp4 0\nb.mp4 ²\n", "line 2 is not"),
        ("../a.mp4 0\n", "names '../a.mp4', which lies outside"),
    ):
        path.write_text(text)
        with pytest.raises(ClipkitError, match=f"list.txt: {line}"):
            read_action_set("list", path, labels=labels)


def test_names_stay_below_their_root(tmp_path):
    assert below(tmp_path, "a/../b.png", "t", "x") == tmp_path / "a/../b.png"
    for name in ("..", "../x", "/x", "a/../../x"):
        with pytest.raises(ClipkitError, match=r"t\.json: names .* which lies outside .*; images= gives"):
            below(tmp_path / "root", name, "t.json", "images=")
    (tmp_path / "a.json").write_text('{"images": [{"id": 1, "file_name": "../../secret.png"}]}')
    with pytest.raises(ClipkitError, match=r"a\.json: names '../../secret\.png'"):
        list_dataset(tmp_path, tmp_path / "a.json")
    hostile = "\x1b[31m\u202e/../../x"
    with pytest.raises(ClipkitError) as caught:
        below(tmp_path, hostile, "t", "x")
    assert "\x1b" not in str(caught.value) and "\u202e" not in str(caught.value)


def test_lists_of_few_shots_stay_below_their_root_too(tmp_path):
    (tmp_path / "trn").mkdir()
    for fold in range(4):
        (tmp_path / f"trn/fold{fold}.txt").write_bytes(codecs.BOM_UTF8 + f"\n../../../x__{5 * fold + 1:02}\n".encode())
    with pytest.raises(ClipkitError, match=r"names 'JPEGImages/\.\./\.\./\.\./x', which lies outside"):
        fold_examples("pascal5i", tmp_path, 1, "train", tmp_path)
    (tmp_path / "trn/fold0.txt").write_text("\nx__99\n")
    with pytest.raises(ClipkitError, match=r"fold0\.txt:2: class 99"):
        fold_examples("pascal5i", tmp_path, 1, "train", tmp_path)


def test_numbers_of_lines_are_an_editors(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"a\x0cb\r\n\r\n c \n")
    assert read_lines(tmp_path / "x.txt") == [(1, "a\x0cb"), (3, "c")]
    (tmp_path / "x.csv").write_text("a,\n1,\n")
    assert list(read_table(tmp_path / "x.csv", ["a"])) == [(2, {"a": "1"})]
