"""What the tiny CLIP must know: the bars of the embedded world, measured on held-out scenes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clipkit.backbone import ClipModel
from clipkit.evaluation.retrieval import retrieval_ranks
from clipkit.evaluation.zeroshot import accuracy
from clipkit.shapes._words import COLOURS, SHAPES, STUFF, TEXTURES, class_names
from clipkit.shapes.closeups import labelled_closeups
from clipkit.shapes.render import Scenes, render

HELD_OUT = 2**40
"""Seeds from here on are for evaluation; training never draws them."""


@torch.no_grad()
def embed_images(clip: ClipModel, images: Tensor, batch: int = 250) -> Tensor:
    """(B, D) unit float32 on the CPU."""
    return torch.cat([clip.encode_image(part.to(clip.device)).float().cpu() for part in images.split(batch)])


@torch.no_grad()
def embed_texts(clip: ClipModel, texts: Sequence[str], batch: int = 500) -> Tensor:
    """(N, D) unit float32 on the CPU."""
    parts = [clip.encode_text(list(texts[i : i + batch])).float().cpu() for i in range(0, len(texts), batch)]
    return torch.cat(parts)


def single_objects(count: int = 1000, seed: int = HELD_OUT, **options) -> Scenes:
    """Held-out scenes with one object each."""
    return render(count, seed=seed, objects=(1, 1), **options)


def distinct_pairs(count: int = 1000, seed: int = HELD_OUT + 1) -> tuple[Tensor, list[str]]:
    """Images (count, 3, H, W) of two-object scenes and their exhaustive captions, no two alike."""
    scenes = render(2 * count, seed=seed, objects=(2, 2))
    first: dict[str, int] = {}
    for index, (text, whole) in enumerate(zip(scenes.full_captions, scenes.present.all(1).tolist())):
        if whole:
            first.setdefault(text, index)
    texts = list(first)[:count]
    return scenes.images[[first[text] for text in texts]], texts


def evaluate(clip: ClipModel, count: int = 1000, seed: int = HELD_OUT) -> dict[str, float]:
    """Zero-shot accuracies (%) and text → image retrieval on `count` held-out scenes each.

    composition: 96 colour × shape names, prompt "a photo of a {}"; texture: that of the best of all 384 names of
    texture, colour and shape, same prompt; closeups: the 96 names on objects cut out of crowded scenes; stuff: 6
    names, "a scene on {}", on the scenes with one background; R@1, R@5, R@10 and MdR: exhaustive captions among
    `count` two-object scenes.
    """
    was_training = clip.training
    clip.eval()
    try:
        scenes = single_objects(count, seed)
        images = embed_images(clip, scenes.images)
        names = class_names()[: len(COLOURS) * len(SHAPES)]
        composition = embed_texts(clip, [f"a photo of a {name}" for name in names])
        textured = embed_texts(clip, [f"a photo of a {word} {name}" for word in TEXTURES for name in names])
        texture_of_row = torch.arange(len(TEXTURES)).repeat_interleave(len(names))
        labels = scenes.colour[:, 0] * len(SHAPES) + scenes.shape[:, 0]
        crops, crop_labels = labelled_closeups(count, seed=seed + 2)
        ground = embed_texts(clip, [f"a scene on {name}" for name in STUFF])
        uniform = scenes.stuff[:, 0] == scenes.stuff[:, 1]
        pair_images, pair_texts = distinct_pairs(count, seed + 1)
        ranks = retrieval_ranks(embed_texts(clip, pair_texts) @ embed_images(clip, pair_images).T).text_to_video
        found = ranks.metrics("pessimistic")
        return {
            "composition": accuracy(images, composition, labels),
            "texture": accuracy(images, textured, scenes.texture[:, 0], texture_of_row),
            "closeups": accuracy(embed_images(clip, crops), composition, crop_labels),
            "stuff": accuracy(images[uniform], ground, scenes.stuff[uniform, 0]),
            **{key: found[key] for key in ("R@1", "R@5", "R@10", "MdR")},
        }
    finally:
        clip.train(was_training)
