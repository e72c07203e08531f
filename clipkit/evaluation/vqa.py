"""VQA's accuracy as its official script computes it (Antol et al., ICCV 2015; `vqaEval.py` of GT-Vision-Lab/VQA)."""

from __future__ import annotations

import re
from collections.abc import Sequence

MARKS = ';/[]"{}()=+\\_-><@`,?!'
ARTICLES = ("a", "an", "the")
DIGITS = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
} | {"none": "0"}
# Each is also known with any one of its apostrophes missing. `let's`, `she's` and what begins with I are not in the
# script's table, or never found by it, since words are in small letters there.
SHORT_FORMS = """ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't
he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've
needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll
somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd
there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're
what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've"""
APOSTROPHES = {
    form[:i] + form[i + 1 :]: form for form in SHORT_FORMS.split() for i, mark in enumerate(form) if mark == "'"
} | {"somebody'd": "somebodyd"}

_NUMBER_WITH_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")


def normalise(answer: str) -> str:
    """An answer as the script compares it: small letters, without articles and most marks, number words as digits,
    forgotten apostrophes in their place.

    A mark becomes nothing where it stands beside a space anywhere in the answer, or where a number has a comma, and a
    space elsewhere; periods go unless a digit follows.
    """
    joined = _NUMBER_WITH_COMMA.search(answer) is not None
    text = answer
    for mark in MARKS:
        text = text.replace(mark, "" if joined or f"{mark} " in answer or f" {mark}" in answer else " ")
    words = [DIGITS.get(word, word) for word in _PERIOD.sub("", text).lower().split()]
    return " ".join(APOSTROPHES.get(word, word) for word in words if word not in ARTICLES)


def accuracy(answer: str, given: Sequence[str]) -> float:
    """In [0, 1]: for each of the people who `given` an answer, min(n / 3, 1) of the n others who gave this one; their
    mean. Where all gave the same words nothing is normalised, as in the script.

    Raises:
        ValueError: nobody gave an answer.
    """
    if not given:
        raise ValueError("nobody gave an answer")
    answer, given = _plain(answer), [_plain(one) for one in given]
    if len(set(given)) > 1:
        answer, given = normalise(answer), [normalise(one) for one in given]
    same = given.count(answer)
    left_out = [min((same - (one == answer)) / 3, 1.0) for one in given]
    return sum(left_out) / len(given)


def soft_target(count: int) -> float:
    """What an answer that `count` of ten people gave is trained towards: min(n / 3, 1)."""
    return min(count / 3, 1.0)


def _plain(answer: str) -> str:
    return answer.replace("\n", " ").replace("\t", " ").strip()
