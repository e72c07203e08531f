"""The two phrases that every error line is made of."""

import pytest

from clipkit.errors import did_you_mean, one_line, some


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], ""),
        (["a"], "a"),
        (("a", "b", "c"), "a, b, c"),
        (dict.fromkeys("abcd"), "a, b, c and 1 more"),
        (map(repr, range(8)), "0, 1, 2 and 5 more"),
    ],
)
def test_some_says_how_many_it_leaves_out(names, said):
    assert some(names) == said


def test_some_takes_another_limit():
    assert some("abc", 1) == "a and 2 more" and some("abc", 5) == "a, b, c"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("two\n  lines\tof it"), "two lines of it"),
        (RuntimeError(), "RuntimeError"),
        (KeyError("name"), "name"),
        ("plain\ntext", "plain text"),
        (
            RuntimeError(
                "Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
                '  File "x.py", line 1, in f\n    raise\nValueError: the reason\nin two lines'
            ),
            "the reason",
        ),
    ],
)
def test_one_line(error, said):
    assert one_line(error) == said


def test_a_line_is_cut_visibly():
    assert one_line("a" * 10, 10) == "a" * 10
    assert one_line("a" * 11, 10) == "a" * 9 + "…"


def test_the_closest_names_come_first_when_not_all_are_listed():
    known = [f"name{i}" for i in range(20)]
    assert did_you_mean("nam7", known, limit=2) == 'did you mean "name7"? Known: name7, name17 and 18 more'
    assert did_you_mean("zzz", ["b", "a"]) == "Known: a, b"
