"""Token ids, with a warning where a prompt does not fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Any

from torch import Tensor

from clipkit.errors import shown


def tokenize(tokenizer: Callable[..., Tensor], texts: Sequence[str], context_length: int) -> Tensor:
    """`(N, L)` int64 ids of `texts`; open_clip cuts long prompts silently, here a warning shows what was cut.

    Raises:
        ValueError: a prompt is no string.
    """
    texts = list(texts)
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"prompts are strings, not {type(text).__name__}")
    ids = tokenizer(texts) if texts else tokenizer([""])[:0]
    if context_length and ids.shape[1] != context_length and hasattr(tokenizer, "context_length"):
        ids = tokenizer(texts or [""], context_length=context_length)[: len(texts)]
    # A row that ends in padding was not cut. Only full rows are worth a second tokenisation.
    full = (ids[:, -1] != 0).nonzero().flatten().tolist() if len(ids) else []
    for row in full:
        cut = cut_text(tokenizer, texts[row], ids.shape[1])
        if cut:
            lost = shown(repr(cut))
            warnings.warn(
                f"prompt {texts[row][:40]!r}… is longer than {ids.shape[1]} tokens; cut: {lost}", stacklevel=3
            )
    return ids.long()


def cut_text(tokenizer: Any, text: str, length: int) -> str:
    """The end of `text` that does not fit into `length` tokens, or '' if all fits or the tokenizer cannot tell."""
    if hasattr(tokenizer, "encode") and hasattr(tokenizer, "decode") and not hasattr(tokenizer, "tokenizer"):
        pieces = tokenizer.encode(text)  # without start and end of text
        return tokenizer.decode(pieces[length - 2 :]).strip() if len(pieces) > length - 2 else ""
    inner = getattr(tokenizer, "tokenizer", None)  # HFTokenizer
    if inner is None:
        return ""
    cleaned = tokenizer.clean_fn(text) if hasattr(tokenizer, "clean_fn") else text
    pieces = inner(cleaned, add_special_tokens=False)["input_ids"]
    room = length - inner.num_special_tokens_to_add()
    return inner.decode(pieces[room:]).strip() if len(pieces) > room else ""


def token_spans(tokenizer: Any, text: str) -> list[tuple[int, int]]:
    """`(start, end)` of the characters of `text` that each token stands for, start and end of text left out.

    CLIP's tokenizer cleans a text before it cuts it (case, spaces, HTML entities, broken Unicode); the spans are those
    of the text as it was given. Pieces of one character all have its span.

    Raises:
        ValueError: a tokenizer of another kind than CLIP's byte pairs.
    """
    if not all(hasattr(tokenizer, part) for part in ("pat", "bpe", "byte_encoder", "clean_fn")):
        raise ValueError(
            f"characters of tokens are known for CLIP's own tokenizer only, not {type(tokenizer).__name__}"
        )
    cleaned = tokenizer.clean_fn(text)
    place = _places(text, cleaned)
    spans = []
    for word in tokenizer.pat.finditer(cleaned):
        owners = [i for i, character in enumerate(word.group(), word.start()) for _ in character.encode("utf-8")]
        pieces = tokenizer.bpe("".join(tokenizer.byte_encoder[byte] for byte in word.group().encode("utf-8")))
        start = 0
        for piece in pieces.split(" "):
            end = start + len(piece.removesuffix("</w>"))
            spans.append((place[owners[start]][0], place[owners[end - 1]][1]))
            start = end
    return spans


def _places(text: str, cleaned: str) -> list[tuple[int, int]]:
    """For each character of `cleaned` where it stands in `text`."""
    lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    if lower == cleaned:
        return [(i, i + 1) for i in range(len(text))]
    places = []
    for kind, a, b, c, d in SequenceMatcher(None, lower, cleaned, autojunk=False).get_opcodes():
        places += [(a + i, a + i + 1) if kind == "equal" else (a, b) for i in range(d - c)]
    return places
