"""A photo and words in, an answer out, in one line of Python: what `clipkit try` and `clipkit search` do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from clipkit.data import list_images, read_image
from clipkit.data.draw import legend
from clipkit.data.picture import Picture
from clipkit.errors import ClipkitError, did_you_mean, one_line
from clipkit.predict.dense import CLIP, TAG, DenseSegmenter
from clipkit.predict.predictor import ImageLike, as_rgb
from clipkit.predict.segmenter import Segmentation
from clipkit.search.media import Moment
from clipkit.search.sheet import contact_sheet
from clipkit.text import Vocabulary
from clipkit.text.familiar import warn_unfamiliar

Words = str | Sequence[str] | Vocabulary
EXAMPLES = Path(__file__).parents[1] / "data" / "examples"
BATCH = 32


@dataclass
class Classes(Picture):
    """Names with their probabilities, best first.

    Attributes:
        image: (H, W, 3) uint8.
        names: of the classes.
        probabilities: they sum to 1.
    """

    image: np.ndarray
    names: tuple[str, ...]
    probabilities: tuple[float, ...]

    def plot(self) -> Image.Image:
        """The photo above its five best names."""
        photo = Image.fromarray(self.image)
        photo.thumbnail((600, 600))
        best = [f"{name} {p:.2f}" for name, p in zip(self.names[:5], self.probabilities)]
        below = Image.fromarray(legend([(text, (90, 90, 90)) for text in best], max(photo.width, 240)))
        canvas = Image.new("RGB", (below.width, photo.height + below.height), "white")
        canvas.paste(photo, (0, 0))
        canvas.paste(below, (0, photo.height))
        return canvas

    def __repr__(self) -> str:
        return ", ".join(f"{name} {p:.2f}" for name, p in zip(self.names, self.probabilities))


@dataclass
class Matches(Picture):
    """Pictures that fit a text, best first.

    Attributes:
        text: what was asked for.
        paths: of the pictures.
        scores: cosines.
    """

    text: str
    paths: tuple[Path, ...]
    scores: tuple[float, ...]

    def plot(self) -> Image.Image:
        """Thumbnails with names and scores."""
        moments = [Moment(str(path), 0, 0, score, 0, 0) for path, score in zip(self.paths, self.scores)]
        return Image.fromarray(contact_sheet(self.text, moments))

    def __repr__(self) -> str:
        return "\n".join(f"{score:.3f}  {path}" for path, score in zip(self.paths, self.scores))


def segment(image: ImageLike, labels: Words, clip: str = CLIP, pretrained: str | None = None) -> Segmentation:
    """Where the words are in a photo; what fits none of them is `none of these`.

    Args:
        image: a path, a PIL image, an array (H, W, 3) uint8 or a tensor (3, H, W).
        labels: names, or 'cat, bench; park bench, grass' with synonyms behind a semicolon.
        clip, pretrained: see `FrozenCLIP.from_pretrained`; the default has OpenAI's weights, which are fetched once.
            `tiny_clip` comes with the package and knows a small world of shapes.

    Examples:
        >>> result = segment(example("scene"), "orange star, blue ring, wood", clip="tiny_clip")
        >>> result.names
        ('orange star', 'blue ring', 'wood', 'none of these')
    """
    return _loaded(clip, pretrained)(image, _asked(labels, clip, pretrained))


def classify(image: ImageLike, names: Words, clip: str = CLIP, pretrained: str | None = None) -> Classes:
    """Which of the names fits a photo best: softmax of CLIP's scaled cosines (Radford et al. 2021, section 3.1.2).

    Args: see `segment`.
    """
    return classify_by(_loaded(clip, pretrained), image, _asked(names, clip, pretrained))


@torch.no_grad()
def classify_by(segmenter: DenseSegmenter, image: ImageLike, asked: Vocabulary) -> Classes:
    """`classify` with a CLIP that is loaded already."""
    text = segmenter.bank.encode(Vocabulary(asked.names, [g[1:] for g in asked.words], segmenter.templates, "max"))
    rgb = as_rgb(image)
    model = segmenter.clip
    pixels = model.preprocess(Image.fromarray(rgb))[None].to(model.device, model.dtype)
    logits = model.logit_scale * model.encode_image(pixels).float().cpu() @ text.matrix.float().T
    probabilities = text.class_scores(logits, dim=1).softmax(1)[0]
    order = probabilities.argsort(descending=True).tolist()
    return Classes(rgb, tuple(text.names[i] for i in order), tuple(probabilities[order].tolist()))


@torch.no_grad()
def find(folder: str | Path, text: str, top: int = 5, clip: str = CLIP, pretrained: str | None = None) -> Matches:
    """The pictures below a folder that fit a text best. For many pictures, or asked more than once: `clipkit search`,
    which keeps what it has embedded.

    Args: see `segment`; `top`: how many.
    """
    model = _loaded(clip, pretrained).clip
    rows, paths, batch = [], [], []
    files = list_images([folder])
    with tqdm(files, unit="picture", delay=2) as bar:
        for file in bar:
            try:
                batch.append(model.preprocess(Image.fromarray(read_image(file))))
                paths.append(file)
            except (ClipkitError, OSError) as error:
                tqdm.write(f"skipped: {one_line(error)}")
            if len(batch) == BATCH or (batch and file is files[-1]):
                rows.append(model.encode_image(torch.stack(batch).to(model.device, model.dtype)).float().cpu())
                batch.clear()
    if not paths:
        raise ClipkitError(f"{folder}: none of its pictures can be read")
    scores = torch.cat(rows) @ model.encode_text([text]).float().cpu()[0]
    best = scores.topk(min(top, len(paths))).indices.tolist()
    return Matches(text, tuple(paths[i] for i in best), tuple(scores[best].tolist()))


def example(name: str) -> Path:
    """A picture that comes with the package: `scene`.

    Raises:
        ClipkitError: there is no such picture.
    """
    known = {path.stem: path for path in sorted(EXAMPLES.iterdir())}
    if name not in known:
        raise ClipkitError(f'no example "{name}"; {did_you_mean(name, known)}')
    return known[name]


def _asked(words: Words, clip: str, pretrained: str | None) -> Vocabulary:
    asked = Vocabulary.parse(words) if isinstance(words, str) else words
    vocabulary = asked if isinstance(asked, Vocabulary) else Vocabulary(asked)
    _warn_once(tuple(vocabulary.words), clip, pretrained)
    return vocabulary


@lru_cache(maxsize=32)
def _warn_once(groups: tuple[tuple[str, ...], ...], clip: str, pretrained: str | None) -> None:
    warn_unfamiliar(_loaded(clip, pretrained).clip, groups, clip, "take another clip=")


@lru_cache(maxsize=2)
def _loaded(clip: str, pretrained: str | None) -> DenseSegmenter:
    return DenseSegmenter.load(clip, TAG if clip == CLIP and pretrained is None else pretrained)
