"""Tokens of texts: features, masks, and which characters each token stands for."""

import pytest
import torch

from clipkit.backbone import FrozenCLIP
from clipkit.errors import ClipkitError
from clipkit.shapes import render, tiny_clip
from clipkit.text import TokenBank
from support.backbone_models import small_model


@pytest.fixture(scope="module")
def bank():
    return TokenBank(tiny_clip())


def test_features_are_the_text_towers_own(bank):
    texts = ["a striped scarlet disc left of a ring", "grass"]
    features, mask, spans = bank.tokens(texts)
    clip = bank.clip
    ids = clip.tokenize(texts)
    ends = clip.eot_index(ids).tolist()
    assert mask.sum(1).tolist() == [end + 1 for end in ends] and features.shape[:2] == mask.shape == spans.shape[:2]
    assert features.shape[1] == max(ends) + 1 and (features[~mask] == 0).all()
    for row, (text, end) in enumerate(zip(texts, ends)):
        projected = clip._text.project(features[row, end])
        torch.testing.assert_close(projected, clip.encode_text([text], normalize=False)[0], rtol=0, atol=1e-5)
    alone = bank.tokens(texts[1:])
    assert torch.equal(alone.features[0], features[1, : alone.features.shape[1]])


def test_each_string_is_encoded_once_and_the_oldest_is_forgotten(monkeypatch):
    bank, asked = TokenBank(tiny_clip(), kept=2), []
    original = bank._encode
    monkeypatch.setattr(bank, "_encode", lambda texts: (asked.append(list(texts)), original(texts)))
    first = bank.tokens(["a", "b", "a"]).features
    assert torch.equal(first, bank.tokens(["a", "b", "a"]).features) and asked == [["a", "b"]]
    bank.tokens(["c"])  # forgets "a"
    bank.tokens(["b", "c"])
    bank.tokens(["a"])
    assert asked == [["a", "b"], ["c"], ["a"]]


def test_what_is_kept_is_no_view_of_its_batch(bank):
    bank.tokens(["one", "two words here"])
    assert all(kept[0].untyped_storage().nbytes() == kept[0].numel() * 4 for kept in bank._known.values())


def test_tokens_of_the_worlds_captions_are_found_by_their_characters(bank):
    captions = render(64, seed=3, objects=(1, 4)).tell()
    for caption, spans in zip(captions, bank.clip.token_spans([c.text for c in captions])):
        assert "".join(caption.text[a:b] for a, b in spans.tolist()) == caption.text.replace(" ", "")
    tokens = bank.tokens([c.text for c in captions])
    for row, caption in enumerate(captions):
        for span in caption.spans:
            inside = tokens.covered(row, span.start, span.end)
            got = "".join(caption.text[a:b] for a, b in tokens.spans[row][inside].tolist())
            assert got == caption.text[span.start : span.end].replace(" ", "")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("A  Red\tCIRCLE", ["A", "Red", "CIRCLE"]),  # spaces and case
        ("  it's 42", ["it", "'s", "4", "2"]),
        ("rock &amp; roll", ["rock", "&", "roll"]),  # an entity is found by the character that it becomes
        ("naïve café", ["naïve", "café"]),
        ("\u201cquoted\u201d", ["\u201c", "quoted", "\u201d"]),  # which ftfy makes straight
        ("unbelievable", ["unbelievable"]),
        ("", []),
    ],
)
def test_spans_are_of_the_text_as_it_was_given(bank, text, parts):
    spans = [pair for pair in bank.clip.token_spans([text])[0].tolist() if pair != [0, 0]]
    ids = bank.clip.tokenize([text])[0]
    assert len(spans) == int(bank.clip.eot_index(ids[None])) - 1
    words = []
    for a, b in spans:  # pieces of a word touch
        if words and words[-1][1] == a and text[a - 1 : a + 1].isalpha():
            words[-1][1] = b
        elif not words or words[-1] != [a, b]:
            words.append([a, b])
    assert [text[a:b] for a, b in words] == parts


def test_pieces_of_one_character_have_its_span(bank):
    text = "a 漢 b"
    spans = [pair for pair in bank.clip.token_spans([text])[0].tolist() if pair != [0, 0]]
    assert {tuple(pair) for pair in spans} == {(0, 1), (2, 3), (4, 5)} and len(spans) > 3


def test_what_is_cut_has_no_spans(bank):
    text = "red circle " * 40
    with pytest.warns(UserWarning, match="is longer than"):
        spans = bank.clip.token_spans([text])[0]
    assert (
        spans.shape == (bank.clip.context_length, 2) and spans[-1].tolist() == [0, 0] and spans[-2].tolist() != [0, 0]
    )


def test_what_cannot_be_done_is_said(bank):
    with pytest.raises(ClipkitError, match="of no texts"):
        bank.tokens([])
    other = FrozenCLIP(small_model("vit"), tokenizer=lambda texts: torch.ones(len(texts), 16, dtype=torch.int64))
    with pytest.raises(ValueError, match="CLIP's own tokenizer only, not function"):
        other.token_spans(["a"])
