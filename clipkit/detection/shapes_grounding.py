"""Scenes of `clipkit.shapes` as a data set for grounding: boxes, names, and captions whose phrases name objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from torch.utils.data import Dataset

from clipkit.detection.datasets import class_info
from clipkit.detection.prompts import Prompt, list_prompt
from clipkit.engine.class_names import read_classes
from clipkit.engine.registry import DATASETS
from clipkit.errors import ClipkitError
from clipkit.shapes import SHAPES
from clipkit.shapes.chunks import SEED_STEP, chunks, to_bytes


@DATASETS.register_module()
class ShapesGroundingDataset(Dataset):
    """`length` scenes of `size` × `size` pixels, rendered at the start and held as uint8; images are BGR.

    The pipeline gets `img`, `gt_bboxes`, `gt_bboxes_labels` (an object's place in the scene), `gt_ignore_flags`,
    `object_names`, and for `GroundingPrompt` `caption` and `caption_objects`. In `test_mode` labels are places in
    `read_classes('shapes:objects')`; `instances` are for `DetectionAP`, and `prompts` with `phrase_truth` for
    `PhraseRecall`: each name of the scene asked alone.

    Args:
        length, size, seed, objects, style: see `clipkit.shapes.render`.
        split, subset: which compositions are base, and of which the objects are: 'seen' in training.
        tellings: captions of a scene, of which one is drawn each time.
        ask: 'names', as above, or 'relations': two of three objects have one shape, and caption and prompt are "a
            circle left of a star", true of one of them alone (`PhraseRecall` also counts how often the other one is
            taken); scenes in which no relation tells them apart are left out.
        pipeline: of mmdet.
        test_mode: see above.
    """

    def __init__(
        self,
        length: int,
        size: int = 64,
        seed: int = 0,
        split: str = "composition",
        subset: str = "all",
        objects: tuple[int, int] = (1, 3),
        style: str = "photo",
        tellings: int = 4,
        ask: str = "names",
        pipeline: Sequence[dict] = (),
        test_mode: bool = False,
    ):
        if ask not in ("names", "relations"):
            raise ClipkitError(f"ask='{ask}' is unknown; known: names, relations")
        self.names = read_classes("shapes:objects")
        self.metainfo = class_info(self.names, read_classes(f"shapes:objects:{split}"))
        self.test_mode, self.name = test_mode, f"shapes_grounding/{style}/{size}/{seed}"
        options: dict[str, Any] = {"size": size, "split": split, "subset": subset, "objects": tuple(objects)}
        if ask == "relations":
            options |= {"objects": (3, 3), "twins": True}
        images, parts, self.captions = [], [], []
        for scenes, count in chunks(length, seed * SEED_STEP, style=style, **options):
            images.append(to_bytes(scenes.images[:count])[..., ::-1])
            columns = (scenes.boxes, scenes.colour * 12 + scenes.shape, scenes.present)
            parts.append([column[:count].numpy() for column in columns])
            told = [scenes.tell(scenes.seed + i) for i in range(0 if test_mode else tellings)]
            self.captions += [list(one) for one in zip(*told)][:count]
        self.images = np.concatenate(images)
        self.boxes, self.labels, self.present = (np.concatenate(part) for part in zip(*parts))
        self.relations = [
            relation_of_twins(boxes, labels % 12) if ask == "relations" and there.all() else None
            for boxes, labels, there in zip(self.boxes, self.labels, self.present)
        ]
        self.kept = [i for i, told in enumerate(self.relations) if told is not None or ask == "names"]
        self.pipeline = Compose(list(pipeline))

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> dict:
        """The pipeline's result for scene `index`."""
        from mmdet.structures.bbox import HorizontalBoxes

        index = self.kept[int(index)]
        image, there = self.images[index], np.flatnonzero(self.present[index])
        boxes, labels = self.boxes[index, there], self.labels[index, there]
        results: dict[str, Any] = {
            "img": image,
            "img_id": index,
            "img_path": f"{self.name}/{index}",
            "img_shape": image.shape[:2],
            "ori_shape": image.shape[:2],
            "scale_factor": (1.0, 1.0),
            "gt_bboxes": HorizontalBoxes(boxes, dtype=torch.float32),
            "gt_bboxes_labels": labels.astype(np.int64) if self.test_mode else there,
            "gt_ignore_flags": np.zeros(len(there), dtype=bool),
        }
        if self.test_mode:
            results["instances"] = [
                {"bbox": box, "bbox_label": int(label), "ignore_flag": 0} for box, label in zip(boxes.tolist(), labels)
            ]
            asked = dict.fromkeys(labels.tolist())
            results["prompts"] = [list_prompt([self.names[label]]) for label in asked]
            results["phrase_truth"] = [[boxes[labels == label].tolist()] for label in asked]
        if (relation := self.relations[index]) is not None:
            prompt, right, twin = relation
            results |= {"caption": prompt, "caption_objects": [(0,) if i == right else () for i in range(3)]}
            results["caption_objects"][2] = (1,)
            if self.test_mode:
                results |= {"prompts": [prompt], "phrase_truth": [[[boxes[right].tolist()], [boxes[2].tolist()]]]}
                results["phrase_twins"] = [[[boxes[twin].tolist()], []]]
        elif not self.test_mode:
            told = self.captions[index][np.random.randint(len(self.captions[index]))]
            spans = [span for span in told.spans if span.object is not None]
            results["caption"] = Prompt(told.text, tuple(((span.start, span.end),) for span in spans))
            results["caption_objects"] = [
                [i for i, span in enumerate(spans) if span.object == place] for place in range(self.present.shape[1])
            ]
            results["object_names"] = [self.names[label] for label in self.labels[index]]
        return self.pipeline(results)


def relation_of_twins(boxes: np.ndarray, shapes: np.ndarray) -> tuple[Prompt, int, int] | None:
    """What tells two objects of one shape apart, the first two of three: "a circle left of a star", which of them it is
    true of, and the other one; None where both lie to the third in the same way."""
    ways = [_relation(boxes[i], boxes[2]) for i in (0, 1)]
    if ways[0] == ways[1]:
        return None
    right = int(boxes[:2].sum()) % 2  # either is asked for as often
    first, last = (f"{'an' if SHAPES[i][0] in 'aeiou' else 'a'} {SHAPES[i]}" for i in (shapes[right], shapes[2]))
    text = f"{first} {ways[right]} {last}"
    return Prompt(text, (((0, len(first)),), ((len(text) - len(last), len(text)),))), right, 1 - right


def _relation(a: np.ndarray, b: np.ndarray) -> str:
    """How box `a` lies to `b`, along the axis on which their centres are farther apart, as captions say it."""
    x, y = (a[:2] + a[2:] - b[:2] - b[2:]).tolist()
    if abs(x) > abs(y):
        return "left of" if x < 0 else "right of"
    return "above" if y < 0 else "below"
