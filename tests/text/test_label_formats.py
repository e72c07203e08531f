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
    ],
)
def test_what_is_no_label_file_is_one_line(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    for read in (read_classes, lambda path: Vocabulary.from_file(path)):
        with pytest.raises((ClipkitError, ValueError), match=rf"{name}.*{said}") as error:
            read(str(tmp_path / name))
        assert "\n" not in str(error.value)


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
