"""Text of strangers is shown: letters of every script, and nothing that moves a cursor, forges a line or turns it."""

import io
import logging

import pytest

from clipkit import cli
from clipkit.claims.page import page
from clipkit.claims.results import Claim
from clipkit.data.pairs import Problems
from clipkit.errors import ClipkitError, ShownRecord, one_line, shown, some

LETTERS = "cat, chat, кошка, γάτα, חתול, قطة, बिल्ली, 猫, 고양이, แมว, naïve, e\u0301, 👩\u200d🚀, می\u200cخواهم"
HIDDEN = [chr(c) for c in (*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029, 0x61C, 0x200E, 0x200F, 0xFEFF)]
HIDDEN += [chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xD800, 0xDCFF)]


def test_letters_stay_and_hidden_characters_are_spelled():
    assert shown(LETTERS) == LETTERS
    for character in HIDDEN:
        text = shown(f"a{character}b")
        assert text.isprintable() and text[0] == "a" and text[-1] == "b" and text[1] == "\\", repr(character)
        assert text.encode("utf-8")
        assert shown(text) == text
    assert shown("\x1b[2J\x1b]0;title\x07") == "\\x1b[2J\\x1b]0;title\\x07"


def test_long_text_is_cut():
    assert shown("a" * 200) == "a" * 200
    assert shown("a" * 201) == "a" * 199 + "…"
    assert len(one_line("x " * 1_000_000)) == 2000
    assert one_line(ClipkitError("a\n\x1b[31mred\u202e")) == "a \\x1b[31mred\\u202e"


def test_the_command_shows_its_error(monkeypatch, capsys):
    import clipkit.commands.doctor as doctor

    def fail(_):
        raise ClipkitError("\x1b]0;owned\x07name\u202egnp.exe")

    monkeypatch.setattr(doctor, "main", fail)
    assert cli.run("doctor", []) == 2
    assert capsys.readouterr().err == "error: \\x1b]0;owned\\x07name\\u202egnp.exe\n"


def test_a_log_shows_what_it_is_given(monkeypatch):
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(ShownRecord)
    try:
        stream = io.StringIO()
        logger = logging.Logger("test")
        logger.addHandler(logging.StreamHandler(stream))
        logger.warning("two\nlines, %s", "\x1b[2Jקובץ")
        assert stream.getvalue() == "two\nlines, \\x1b[2Jקובץ\n"
    finally:
        logging.setLogRecordFactory(before)


def test_summaries_of_data_show_names():
    problems = Problems()
    problems.add("missing images", "a\x1b[2J\n.jpg")
    assert problems.summary() == "1 missing images: a\\x1b[2J\\n.jpg"
    assert some(["a\u202eb", "c"], 1) == "a\\u202eb and 1 more"


def test_the_page_of_claims_shows_names():
    arms = {"a\x1b<b>": {"m\u202e": {0: 1.0}}}
    text = page([Claim("C1", "t\u2066", "c1", [], arms, {"<i>\x07"})])
    for said in (r"a\x1b&lt;b&gt;", r"<th>m\u202e</th>", r"t\u2066", r"&lt;i&gt;\x07"):
        assert said in text
    assert "<figure><svg" in text


def test_answers_of_a_search_show_names(tmp_path, capsysbinary):
    pytest.importorskip("torch")
    import numpy as np
    from PIL import Image

    name = b"kot\x1b[2J\xff\xe2\x80\xae.png".decode("utf-8", "surrogateescape")
    Image.fromarray(np.full((64, 64, 3), 120, np.uint8)).save(tmp_path / name)
    index = str(tmp_path / "index")
    made = ["index", str(tmp_path / name), "--out", index, "--clip", "tiny_clip", "--precision", "fp32"]
    assert cli.run("search", made) == 0
    assert cli.run("search", ["query", index, "a red circle"]) == 0
    assert rb"kot\x1b[2J\udcff\u202e.png" in capsysbinary.readouterr().out
