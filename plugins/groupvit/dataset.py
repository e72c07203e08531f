"""Captioned scenes of the embedded world, without masks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dataset import Compose
from torch.utils.data import Dataset

from clipkit.engine.registry import DATASETS
from clipkit.errors import ClipkitError
from clipkit.shapes.chunks import SEED_STEP, chunks, to_bytes

_OTHER_WORDS = 2**30


@DATASETS.register_module()
class CaptionedScenes(Dataset):
    """`length` scenes, rendered once at the start and held as uint8, told in `captions` ways each.

    A sample has `img` (H, W, 3) uint8 BGR, `caption`, one of the scene's, drawn each time, and `nouns`, the noun
    phrases of that caption as they stand in it. Where an object is, and which phrase is of it, no sample says.

    Args:
        length: number of scenes.
        size, split, subset, style, objects: see `clipkit.shapes.render`.
        seed: scenes of different seeds are different.
        captions: ways in which a scene is told.
        pipeline: transforms on a sample.
        test_mode: accepted because mmengine passes it.

    Raises:
        ClipkitError: no caption.
    """

    def __init__(
        self,
        length: int,
        size: int = 64,
        seed: int = 0,
        split: str | None = "composition",
        subset: str = "seen",
        style: str = "photo",
        objects: tuple[int, int] = (1, 3),
        captions: int = 2,
        pipeline: Sequence[dict] = (),
        test_mode: bool = False,
    ) -> None:
        if captions < 1:
            raise ClipkitError(f"CaptionedScenes(captions={captions}): a scene is told in one way at least")
        self.metainfo: dict[str, Any] = {}
        self.pipeline = Compose(list(pipeline))
        self.place = f"captioned/{subset}/{seed}"
        options = dict(size=size, split=split, subset=subset, style=style, objects=tuple(objects))
        images: list[np.ndarray] = []
        self.told: list[list[tuple[str, list[str]]]] = []
        for scenes, count in chunks(length, seed * SEED_STEP, **options):
            images.append(to_bytes(scenes.images[:count])[..., ::-1])
            ways = [scenes.tell(scenes.seed + way * _OTHER_WORDS) for way in range(captions)]
            for one in list(zip(*ways))[:count]:
                self.told.append([(c.text, [c.text[span.start : span.end] for span in c.spans]) for c in one])
        self.images = np.concatenate(images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        """The pipeline's result for scene `index`."""
        image, told = self.images[index], self.told[index]
        caption, nouns = told[np.random.randint(len(told))]
        sample = {"img": image, "caption": caption, "nouns": nouns, "img_path": f"{self.place}/{int(index)}"}
        return self.pipeline({**sample, "img_shape": image.shape[:2], "ori_shape": image.shape[:2]})
