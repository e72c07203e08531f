"""Ranks of retrieval between images and captions, as Flickr30k and COCO are scored.

    r(text i)  = 1 + #{images j other than its own : s_ij > s_i,own}
    r(image j) = 1 + #{texts i of other images : s_ij > max over j's own texts}

An image is found if any of its captions is; all captions of other images are its rivals, each by itself. (With five
captions an image this differs from `clipkit.evaluation.retrieval`, whose rivals of a video are videos: R@1 is the same,
R@5 and R@10 are lower here.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from clipkit.evaluation.retrieval import Ranks


def image_text_ranks(images: Tensor, texts: Tensor, owner: Tensor, chunk: int = 1024) -> dict[str, Ranks]:
    """Ranks of both directions by dot product; memory O(chunk · (M + N)).

    Args:
        images: `(M, D)`; texts: `(N, D)`.
        owner: `(N,)` int64, the image of each text. Images without a text are rivals only.
        chunk: queries at a time.

    Returns:
        'text_to_image' with N entries, and 'image_to_text' with one for each image that has a text, in order.

    Raises:
        ValueError: an owner that is no image, or none at all.
    """
    owner = owner.to(images.device)
    if len(owner) != len(texts) or len(owner) == 0 or int(owner.min()) < 0 or int(owner.max()) >= len(images):
        raise ValueError(f"{len(owner)} owners do not fit {len(texts)} texts of {len(images)} images")
    numbers = torch.arange(len(images), device=images.device)
    forward = [
        _ranks(part @ images.T, own[:, None] == numbers) for part, own in zip(texts.split(chunk), owner.split(chunk))
    ]
    described = owner.unique()
    backward = [_ranks(images[part] @ texts.T, part[:, None] == owner) for part in described.split(chunk)]
    return {"text_to_image": _join(forward), "image_to_text": _join(backward)}


def _ranks(scores: Tensor, right: Tensor) -> Ranks:
    best = scores.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
    same = (scores == best) & ~right
    higher = ~((scores < best) | (scores == best)) & ~right  # not `>`: a NaN is below nothing
    return Ranks(higher.sum(1).cpu(), same.sum(1).cpu())


def _join(parts: list[Ranks]) -> Ranks:
    return Ranks(*(torch.cat(column) for column in zip(*parts)))
