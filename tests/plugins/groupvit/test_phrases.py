"""Which phrases of a caption are asked for."""

import sys
import types

import numpy as np
import pytest
from clipkit_plugins.groupvit import CaptionedScenes, PickPhrases
from clipkit_plugins.groupvit.phrases import listed, nouns_by_nltk

from clipkit.errors import ClipkitError
from clipkit.shapes._words import COLOUR_SYNONYMS, SHAPE_SYNONYMS, STUFF_SYNONYMS, TEXTURE_NOUNS

STORED = {"caption": "a red circle on grass", "nouns": ["red circle", "grass", "red circle"]}


def test_all_stored_phrases_once_in_their_order():
    assert PickPhrases(count=None).transform(dict(STORED))["phrases"] == ["red circle", "grass"]
    assert PickPhrases(count=None).transform({"caption": "hm", "nouns": []})["phrases"] == ["hm"]


def test_a_number_of_phrases_is_drawn_or_filled_up_with_the_caption():
    np.random.seed(0)
    many = {"caption": "c", "nouns": list("abcdefgh")}
    drawn = [tuple(PickPhrases(count=3).transform(dict(many))["phrases"]) for _ in range(50)]
    assert all(len(set(one)) == 3 and set(one) <= set("abcdefgh") for one in drawn) and len(set(drawn)) > 20
    few = PickPhrases(count=3, templates="photo").transform(dict(STORED))["phrases"]
    assert few == ["a photo of a red circle.", "a photo of a grass.", STORED["caption"]]


def test_prompts_are_drawn():
    np.random.seed(0)
    pick = PickPhrases(count=1, templates=["a {}", "the {}"])
    assert {pick.transform({"caption": "c", "nouns": ["x"]})["phrases"][0] for _ in range(30)} == {"a x", "the x"}


def test_a_list_of_words_takes_the_longest_at_each_place(tmp_path):
    words = frozenset({"red", "circle", "red circle", "tiger lily"})
    assert listed("A Red circle, a red\ttiger and a tiger-lily", words, 2) == ["red circle", "red"]
    assert listed("red circle red circle", words, 2) == ["red circle"]
    (tmp_path / "words.txt").write_text("Red circle\ngrass\n\n")
    pick = PickPhrases("words", None, words=str(tmp_path / "words.txt"))
    assert pick.transform({"caption": "a red circle on grass"})["phrases"] == ["red circle", "grass"]


def test_nltk_tags_nouns_and_verbs(monkeypatch):
    fake = types.ModuleType("nltk")
    fake.word_tokenize = str.split
    fake.pos_tag = lambda words: [(w, {"dog": "NN", "runs": "VBZ", "a": "DT"}.get(w, "JJ")) for w in words]
    monkeypatch.setitem(sys.modules, "nltk", fake)
    assert nouns_by_nltk("a brown dog runs dog") == ["dog", "runs"]  # also the last one, which the original loses


def test_nltk_without_package_or_data_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "nltk", None)
    with pytest.raises(ClipkitError, match="needs the package nltk"):
        PickPhrases("nltk")

    def lacks(text):
        raise LookupError("Resource punkt not found\n many lines")

    fake = types.ModuleType("nltk")
    fake.word_tokenize = lacks
    monkeypatch.setitem(sys.modules, "nltk", fake)
    with pytest.raises(ClipkitError, match=r"nltk's data on this machine: python -m nltk\.downloader"):
        PickPhrases("nltk")


def test_errors_say_what_is_wrong():
    with pytest.raises(ClipkitError, match="is unknown; known: stored, words, nltk"):
        PickPhrases("spacy")
    with pytest.raises(ClipkitError, match="words= is the list of source='words'"):
        PickPhrases("words")
    with pytest.raises(ClipkitError, match="one way at least"):
        CaptionedScenes(2, captions=0)


def test_scenes_hold_words_and_no_masks():
    data = CaptionedScenes(4, seed=3, captions=3)
    np.random.seed(0)
    told = set()
    for _ in range(30):
        sample = data[1]
        assert not {"gt_seg_map", "seg_fields", "boxes"} & set(sample)
        assert all(noun in sample["caption"] for noun in sample["nouns"]) and sample["img_path"] == data[1]["img_path"]
        told.add(sample["caption"])
    assert len(told) == 3
    known = {w for table in (COLOUR_SYNONYMS, SHAPE_SYNONYMS, STUFF_SYNONYMS) for ws in table.values() for w in ws}
    known |= {*TEXTURE_NOUNS.values(), *TEXTURE_NOUNS, "plain", "small", "large", "with", "a", "pattern"}
    assert all(set(noun.split()) <= known for i in range(4) for _, nouns in data.told[i] for noun in nouns)
    assert data[0]["img_path"] != CaptionedScenes(4, seed=4)[0]["img_path"]
