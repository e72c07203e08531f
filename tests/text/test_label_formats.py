"""One reader for label files: whoever reads one, a list of names means the same in every format."""

import json

import pytest

pytest.importorskip("mmengine")

from clipkit.data.image_folder import class_words
from clipkit.engine.class_names import read_classes
from clipkit.errors import ClipkitError
from clipkit.text import Vocabulary
from clipkit.text.class_rows import as_vocabulary
from clipkit.text.label_file import refuse_path

NAMES = ("grass", "red circle", "sky")
FORMATS = {
    "plain.txt": "grass\nred circle\nsky\n",
    "numbered.txt": "1: grass\n2: red circle\n3: sky\n",
    "from0.txt": "0: grass\n1: red circle\n2: sky\n",
    "bom.txt": "\ufeffgrass\r\nred circle\r\nsky",
    "list.json": json.dumps(NAMES),
    "bom.json": "\ufeff" + json.dumps(NAMES),
    "words.json": json.dumps([["grass"], ["red circle", "disc"], ["sky"]]),
    "names.json": json.dumps({"names": NAMES}),
    "ids.json": json.dumps({"2": "sky", "0": "grass", "1": "red circle"}),
    "coco.json": json.dumps({"categories": [{"id": 9 - i, "name": name} for i, name in enumerate(NAMES)]}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_alike_by_all(tmp_path, name):
    path = tmp_path / name
    path.write_text(FORMATS[name], encoding="utf-8")
    assert Vocabulary.from_file(path).names == tuple(read_classes(str(path))) == NAMES
    if name != "ids.json":  # to a folder of classes an object is a word for each
        assert class_words(str(path), ["a", "b", "c"], "x") == NAMES


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_says_the_encoding(tmp_path, encoding):
    for name, text in {"a.txt": "Пёс\ncat\n", "a.json": '["Пёс", "cat"]'}.items():
        (tmp_path / name).write_bytes(text.encode(encoding))
        assert read_classes(str(tmp_path / name)) == ["Пёс", "cat"]


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("a.json", "[1, 2]", r"entry 1 is '1'"),
        ("a.json", "[]", "JSON list of class names"),
        ("a.json", "{", "not readable as JSON"),
        ("a.json", '{"0": "a", "2": "b"}', "its numbers are not 0, 1, 2"),
        ("a.json", '{"names": ["a"], "names": ["b"]}', "the key 'names' stands twice"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.txt", "1: a\nb\n", "name 2 should be numbered '2: …'"),
        ("a.json", '{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}', "holds WordNet's ids"),
        ("a.txt", "n01440764 tench, Tinca tinca\nn01443537 goldfish\n", "has WordNet's ids"),
        ("a.txt", "cat, dog, bird\n", "one line with commas; write one class a line"),
        ("a.txt", "cat,\ndog,\nbird\n", "has commas behind its names"),
        ("a.txt", "'cat'\n'dog'\n", "has quotes around its names"),
        ("a.txt", "['cat',\n 'dog']\n", "holds a list in brackets"),
        ("a.txt", "0 cat\n1 dog\n", "counts its names .'0 cat'.; write the names alone, one a line, or as '0: name'"),
        ("a.txt", "1. cat\n2. dog\n", "counts its names"),
        ("a.txt", "0\tcat\n1\tdog\n", "has columns"),
        ("a.csv", "id,name\n0,cat\n1,dog\n", "has a column of numbers .'0,cat'."),
        ("a.txt", "64 128 64 Animal\n192 0 128 Archway\n", "has columns of colours"),
        ("a.txt", "# label:color_rgb:parts:actions\ncat:128,0,0::\ndog:0,0,1::\n", "has columns of colours"),
        ("a.txt", "- cat\n- dog\n", "has dashes in front"),
        ("a.pbtxt", "item {\n  id: 1\n  name: 'cat'\n}\n", "TensorFlow's label maps"),
        ("a.yaml", "names: ['cat', 'dog']\n", "a YAML file is no label file"),
        ("a.txt", "cat\nd\u200bog\n", ":2: holds U.200B, which is not shown but read"),
        ("a.txt", "caf\u00e9\ncafe\u0301\n", "is already in line 1"),  # an accent as one character and as two
    ],
)
def test_what_is_no_label_file_is_one_line(tmp_path, name, text, said):
    (tmp_path / name).write_text(text, encoding="utf-8")
    for read in (read_classes, lambda path: Vocabulary.from_file(path)):
        with pytest.raises((ClipkitError, ValueError), match=rf"{name}.*{said}") as error:
            read(str(tmp_path / name))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "lines", [["1 euro", "5 euro"], ["tench, Tinca tinca", "goldfish"], ["stage 1", "stage 2"], ["7 up"], ["o'clock"]]
)
def test_names_with_numbers_commas_and_quotes_are_names(tmp_path, lines):
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    assert read_classes(str(tmp_path / "a.txt")) == lines


def test_a_class_twice_is_named_by_its_entry(tmp_path):
    (tmp_path / "a.json").write_text('["cat", "dog", "Cat"]')
    with pytest.raises(ValueError, match=r"a\.json: entry 3: class 'Cat' is already in entry 1"):
        Vocabulary.from_file(tmp_path / "a.json")


@pytest.mark.parametrize("labels", ["labels.txt", "/data/my labels.JSON", " names.csv "])
def test_a_path_given_as_labels_is_refused(labels):
    for read in (refuse_path, as_vocabulary):
        with pytest.raises(ValueError, match="are the name of a file: give it by --labels-file"):
            read(labels)
    assert as_vocabulary("cat.txt, dog").names == ("cat.txt", "dog")


def test_labels_of_a_command_are_not_taken_with_the_quotes_around_them():
    assert Vocabulary.parse("cat\ndog; puppy\n").words == [("cat",), ("dog", "puppy")]  # "$(cat labels.txt)"
    for labels in ("'cat', 'dog'", '"cat, dog"', "[cat, dog]"):
        with pytest.raises(ValueError, match="write them without"):
            Vocabulary.parse(labels)
