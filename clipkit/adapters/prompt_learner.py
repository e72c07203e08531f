"""CoOp: prompts whose context words are learned vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clipkit.backbone import ClipModel

POSITIONS = ("end", "middle", "front")


class PromptLearner(nn.Module):
    """Class rows w_y = norm(g([v_1] … [v_M] name_y .)), with learned vectors v and CLIP's frozen text tower g

    (Zhou et al., "Learning to Prompt for Vision-Language Models", arXiv:2109.01134, section 3.2). Logits are
    s · cos(f, w_y); gradients pass through the tower and stop at the vectors, which are all that trains and all that a
    state dict holds: the names may be others when it is loaded, if the context is shared.

    Args:
        clip: a `FrozenCLIP` or `TunableCLIP`.
        names: K class names.
        context: M, the number of vectors (16 in the paper).
        per_class: each class has vectors of its own (the paper's class-specific context) instead of shared ones.
        position: where the name stands: at the 'end', in the 'middle' of the vectors, or in 'front' of them.
        words: begin as these words, such as 'a photo of a', whose number of tokens is then M; default: N(0, 0.02).
        seed: of the start.

    Raises:
        ValueError: an unknown position, or a name that does not fit beside the context.

    Examples:
        >>> from clipkit import FrozenCLIP
        >>> PromptLearner(FrozenCLIP.from_pretrained("tiny_clip"), ["red star", "blue ring"], context=4)().shape
        torch.Size([2, 128])
    """

    embedded: Tensor
    order: Tensor
    eot: Tensor

    def __init__(
        self,
        clip: ClipModel,
        names: Sequence[str],
        context: int = 16,
        per_class: bool = False,
        position: str = "end",
        words: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if position not in POSITIONS:
            raise ValueError(f"position is one of {', '.join(POSITIONS)}, got {position!r}")
        self.__dict__["clip"] = clip  # not a submodule: neither saved nor trained with this
        with torch.no_grad():
            ids = clip.tokenize([f"{name.replace('_', ' ')}." for name in names])
            ends = clip.eot_index(ids)
            alone = clip.eot_index(clip.tokenize([name.replace("_", " ") for name in names]))
            if ends is None or alone is None:
                raise ValueError("CoOp needs a text tower that reads the sentence at its end-of-text token")
            embedded = clip.embed_tokens(ids)
            start = self._start(clip, embedded, context, words, seed)
            length, vectors = ids.shape[1], len(start)
            longest = int(ends.max())
            if longest + vectors >= length:
                name = names[int(ends.argmax())]
                raise ValueError(f"{name!r} and {vectors} context vectors do not fit into {length} tokens")
            rows = [_order(length, vectors, int(end) - 1, position) for end in alone]
        count = (len(names),) if per_class else ()
        self.context = nn.Parameter(start.expand(*count, *start.shape).clone())
        self.register_buffer("embedded", embedded.detach(), persistent=False)
        self.register_buffer("order", torch.tensor(rows, device=embedded.device), persistent=False)
        self.register_buffer("eot", ends.to(embedded.device) + vectors, persistent=False)

    @staticmethod
    def _start(clip: ClipModel, embedded: Tensor, context: int, words: str | None, seed: int) -> Tensor:
        if words is None:
            drawn = torch.randn(context, embedded.shape[2], generator=torch.Generator().manual_seed(seed))
            return (0.02 * drawn).to(embedded)
        ids = clip.tokenize([words])
        return clip.embed_tokens(ids)[0, 1 : int(clip.eot_index(ids)[0])]  # type: ignore[index]

    def forward(self) -> Tensor:
        """The classifier, `(K, D)` rows of length 1."""
        clip: ClipModel = self.__dict__["clip"]
        count, _, width = self.embedded.shape
        vectors = self.context.expand(count, -1, -1) if self.context.ndim == 2 else self.context
        both = torch.cat([self.embedded, vectors.to(self.embedded)], 1)
        prompts = both.gather(1, self.order[..., None].expand(-1, -1, width))
        return clip.encode_embeddings(prompts, self.eot)


def _order(length: int, vectors: int, name: int, position: str) -> list[int]:
    """Places of the prompt's tokens in `[tokens (length); vectors]`: start, vectors and name of `name` tokens, rest."""
    words, learned = list(range(1, name + 1)), list(range(length, length + vectors))
    rest = list(range(name + 1, length))
    half = vectors // 2
    middle = {
        "end": learned + words,
        "middle": learned[:half] + words + learned[half:],
        "front": words + learned,
    }[position]
    return [0, *middle, *rest][:length]
