"""Pictures with questions as data sets: a sample is a picture's stored grid and several of its questions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from clipkit.backbone.options import clip_options
from clipkit.data.images import read_image
from clipkit.data.questions import PEOPLE, Asked, image_paths, read_questions
from clipkit.device import own_device
from clipkit.embed.encoder import load_frozen
from clipkit.embed.grids import embed_grids
from clipkit.embed.images import Images
from clipkit.engine.registry import DATASETS
from clipkit.errors import ClipkitError
from clipkit.shapes.chunks import SEED_STEP, chunks, to_bytes
from clipkit.shapes.questions import KINDS, Asker

_DIGITS = 16


class GridQuestions(Dataset):
    """What the data sets share: the store of grids, and how a sample looks. A subclass says `questions(index)`.

    Args:
        images: with `read` and `identify`, see `clipkit.embed.images.Images`.
        clip: a name, or `dict(name=..., pretrained=..., precision=...)`: the frozen CLIP of the grids.
        store: folder of the grids: made at the start, or completed.
        size, layer, stride, joint, workers: see `clipkit.embed.grids.embed_grids`; those of the model.
    """

    def __init__(
        self,
        images: Images,
        clip: str | Mapping[str, Any],
        store: str,
        size: int | None = None,
        layer: int = -1,
        stride: int | None = None,
        joint: bool = True,
        workers: int = 2,
    ) -> None:
        wanted = clip_options(clip)
        encoder, made_by = load_frozen(
            wanted["name"], wanted.get("pretrained"), wanted.get("precision", "fp32"), own_device()
        )
        self.grids = embed_grids(
            encoder, made_by, images, store, size=size, layer=layer, stride=stride, joint=joint, workers=workers
        )

    def __len__(self) -> int:
        return len(self.grids)

    def questions(self, index: int) -> Sequence[Asked]:
        """Those of a picture that make a sample."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it asks")

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`cells` (M, C), `place` (M, 2), `joint` (M, D) or None; `questions`, and of each of them `given`, the answers
        of people; `asked`, the rest that is known of them."""
        grid, asked = self.grids[index], self.questions(index)
        texts, given = [one.text for one in asked], [one.answers for one in asked]
        return {**grid._asdict(), "questions": texts, "given": given, "asked": [tuple(one) for one in asked]}


@DATASETS.register_module()
class SceneQuestions(GridQuestions):
    """`length` scenes of the embedded world, and questions about them, see `clipkit.shapes.Asker`.

    Args:
        length, seed, size, objects, split, subset: see `clipkit.shapes.render`; scenes of other seeds are others.
        each: questions of a sample; in a test there is one of each kind that a scene allows.
        mix: kind -> how often it is asked in training, against the 1 of those that are not named.
        test_mode: the same questions each time.
        options: of `GridQuestions`.

    Raises:
        ClipkitError: a kind that there is not.
    """

    def __init__(
        self,
        length: int,
        seed: int = 0,
        size: int = 64,
        objects: tuple[int, int] = (1, 3),
        split: str | None = None,
        subset: str = "all",
        each: int = 8,
        mix: Mapping[str, float] | None = None,
        test_mode: bool = False,
        **options: Any,
    ) -> None:
        if unknown := sorted(set(mix or {}) - set(KINDS)):
            raise ClipkitError(f'SceneQuestions: mix has no kind "{unknown[0]}"; known: {", ".join(KINDS)}')
        self.seed, self.each, self.test_mode = seed, each, test_mode
        self.weights = {kind: dict(mix or {}).get(kind, 1.0) for kind in KINDS}
        scene = dict(size=size, objects=tuple(objects), split=split, subset=subset)
        self.askers: list[Asker] = []
        pictures = _Pictures(f"scenes/{hashlib.sha256(repr(scene).encode()).hexdigest()[:_DIGITS]}/{seed}")
        for scenes, count in chunks(length, seed * SEED_STEP, **scene):
            pictures.add(to_bytes(scenes.images[:count]))
            self.askers.append(Asker(scenes))
        self.step = len(self.askers[0])
        super().__init__(pictures, **options)

    def questions(self, index: int) -> list[Asked]:
        """In training drawn anew each time."""
        asker, scene = self.askers[index // self.step], index % self.step
        kinds = asker.kinds(scene)
        if self.test_mode:
            random, chosen = Random(self.seed * SEED_STEP + index), kinds
        else:
            random = Random(np.random.randint(2**31))
            weights = [self.weights[kind] for kind in kinds]
            chosen = tuple(random.choices(kinds, weights, k=self.each))
        found = [asker.ask(scene, kind, random) for kind in chosen]
        return [
            Asked(f"{index}/{i}", str(index), one.text, (one.answer,) * PEOPLE, one.kind, "", one.any_object)
            for i, one in enumerate(found)
            if one is not None
        ]


@DATASETS.register_module()
class PhotoQuestions(GridQuestions):
    """Photos with questions: VQAv2's files, or one's own JSON lines; a sample is a photo.

    Args:
        questions: VQAv2's JSON, or a `.jsonl` of one's own, see `clipkit.data.questions.read_own`.
        images: folder of the photos.
        annotations: VQAv2's; None for its test split.
        image_name: of VQAv2, how an image's file is called.
        each: questions of a sample in training, drawn; None and in a test: all.
        test_mode: all questions.
        options: of `GridQuestions`.

    Raises:
        ClipkitError: files that do not fit, or photos that are not there, in one line.
    """

    def __init__(
        self,
        questions: str,
        images: str,
        annotations: str | None = None,
        image_name: str = "COCO_train2014_{:012d}.jpg",
        each: int | None = 8,
        test_mode: bool = False,
        **options: Any,
    ) -> None:
        asked = read_questions(questions, annotations, image_name)
        self.each, self.test_mode = each, test_mode
        self.of_image: dict[str, list[Asked]] = {}
        for one in asked:
            self.of_image.setdefault(one.image, []).append(one)
        self.names = list(self.of_image)
        self.photos = image_paths(images, self.names, questions)
        super().__init__(_Files(self.photos), **options)

    def questions(self, index: int) -> list[Asked]:
        """In training `each` of a photo's, drawn anew each time."""
        asked = self.of_image[self.names[index]]
        if self.test_mode or self.each is None or self.each >= len(asked):
            return asked
        return [asked[i] for i in np.random.choice(len(asked), self.each, replace=False)]


class _Pictures:
    """Pictures in memory, known by a name and their number."""

    def __init__(self, name: str) -> None:
        self.name, self.parts = name, [np.empty(0)][:0]

    def add(self, part: np.ndarray) -> None:
        self.parts.append(part)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def read(self, index: int) -> np.ndarray:
        return self.parts[index // len(self.parts[0])][index % len(self.parts[0])]

    def identify(self, index: int) -> str:
        return f"{self.name}/{index}"


class _Files:
    """Photos on disk, known by their content."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> np.ndarray:
        return read_image(self.paths[index])

    def identify(self, index: int) -> str:
        digest = hashlib.sha256(self.paths[index].read_bytes()).hexdigest()
        return f"{self.paths[index].name}@{digest[:_DIGITS]}"
