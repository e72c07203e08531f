"""Token ids, with a warning where a prompt does not fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
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
