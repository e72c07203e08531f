"""Class-name files of SCLIP and NACLIP (", "), ClearCLIP (",") and ProxyCLIP ("; ")."""

import pytest

from clipkit.text import Vocabulary, read_class_file


def file_of(tmp_path, rows, separator, end="\n"):
    path = tmp_path / "cls.txt"
    path.write_text("\n".join(separator.join(row) for row in rows) + end)
    return path


def rows_of(sizes):
    """Made-up names: a row of n words for each n; one of two words, as 'potted plant' is."""
    return [tuple(f"thing {i}{chr(97 + j)}" for j in range(n)) for i, n in enumerate(sizes)]


@pytest.mark.parametrize("separator", [", ", ",", "; "])
@pytest.mark.parametrize(
    ("rows", "names", "sizes"),
    [
        (21, 56, [26, *[1] * 13, 1, 7, *[1] * 3, 1, 5]),  # VOC21: 26 stuff words, 7 phrases of person, 5 of tvmonitor
        (81, 113, [26, 8, *[1] * 79]),  # COCO-Object
        (20, 30, [*[1] * 14, 7, *[1] * 4, 5]),  # VOC20
    ],
)
def test_counts_of_the_known_files(tmp_path, separator, rows, names, sizes):
    wanted = rows_of(sizes)
    for end in ("", "\n", "\n\n"):
        found = read_class_file(file_of(tmp_path, wanted, separator, end), separator)
        assert found == wanted and (len(found), sum(map(len, found))) == (rows, names)


def test_vocabulary_takes_the_separator(tmp_path):
    path = file_of(tmp_path, [("person", "person in shirt"), ("ship",)], ", ")
    vocabulary = Vocabulary.from_file(path, ", ", reduce="max")
    assert vocabulary.words == [("person", "person in shirt"), ("ship",)] and vocabulary.reduce == "max"
    assert Vocabulary.from_file(path).names == ("person, person in shirt", "ship")


@pytest.mark.parametrize(
    ("text", "separator", "line"),
    [
        ("a\n\nb\n", ", ", "cls.txt:2: holds no word, but a line is a class"),
        ("a\nb,,c\n", ",", "cls.txt:2: holds an empty word"),
        ("a\nb; c\n", ", ", r"cls.txt:2: 'b; c' is not one word: the separator is not ', '"),
        ("a,b\n", ", ", "cls.txt:1: 'a,b' is not one word"),
        ("\n", ", ", "cls.txt:1: holds no class"),
        ("a\x00\n", ", ", "cls.txt:1: holds the control character 0x00"),
        ("a b\n", " ", "would split names"),
    ],
)
def test_errors_name_file_and_line(tmp_path, text, separator, line):
    (tmp_path / "cls.txt").write_text(text)
    with pytest.raises(ValueError, match=line):
        read_class_file(tmp_path / "cls.txt", separator)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.txt: no such label file"):
        read_class_file(tmp_path / "no.txt")


def test_a_class_twice_is_named_with_its_line(tmp_path):
    path = file_of(tmp_path, [("cat",), ("hot dog",), ("Hot_dog", "pup")], ", ")
    with pytest.raises(ValueError, match=r"cls\.txt:3: class 'Hot_dog' is already in line 2"):
        Vocabulary.from_file(path, ", ")
