"""Scenes of `clipkit.shapes` as a data set for grounding: boxes, names, and captions whose phrases name objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

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

WAYS = ("left of", "right of", "above", "below")


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
        ask: 'names', as above, or 'relations': two of three objects have one shape, and a prompt is "a circle left of
            a star", true of one of them alone (`PhraseRecall` also counts how often the other one is taken); in place
            of captions are lists of one to four such phrases, which differ in the relation. Scenes in which no relation
            tells the two apart are left out.
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
        else:
            results["object_names"] = [self.names[label] for label in self.labels[index]]
        if (relation := self.relations[index]) is not None:
            if self.test_mode:
                right = int(boxes[:2].sum()) % 2  # either is asked for as often
                results["prompts"] = [list_prompt([relation.phrases[relation.owns[right]]])]
                results["phrase_truth"] = [[[boxes[right].tolist()]]]
                results["phrase_twins"] = [[[boxes[1 - right].tolist()]]]
            else:
                drawn = np.random.permutation(4)[: np.random.randint(1, 5)].tolist()
                results["caption"] = list_prompt([relation.phrases[i] for i in drawn])
                owners = [(drawn.index(i),) if i in drawn else () for i in relation.owns]
                results["caption_objects"] = [*owners, ()]
        elif not self.test_mode:
            told = self.captions[index][np.random.randint(len(self.captions[index]))]
            spans = [span for span in told.spans if span.object is not None]
            results["caption"] = Prompt(told.text, tuple(((span.start, span.end),) for span in spans))
            results["caption_objects"] = [
                [i for i, span in enumerate(spans) if span.object == place] for place in range(self.present.shape[1])
            ]
        return self.pipeline(results)


class Relation(NamedTuple):
    """What tells two objects of one shape apart, the first two of three.

    Attributes:
        phrases: "a circle left of a star", and the three other relations.
        owns: which of them is true of the first twin, and which of the second.
    """

    phrases: list[str]
    owns: tuple[int, int]


def relation_of_twins(boxes: np.ndarray, shapes: np.ndarray) -> Relation | None:
    """None where both twins lie to the third object in the same way."""
    owns = _relation(boxes[0], boxes[2]), _relation(boxes[1], boxes[2])
    if owns[0] == owns[1]:
        return None
    twin, third = (f"{'an' if SHAPES[i][0] in 'aeiou' else 'a'} {SHAPES[i]}" for i in (shapes[0], shapes[2]))
    return Relation([f"{twin} {way} {third}" for way in WAYS], owns)


def _relation(a: np.ndarray, b: np.ndarray) -> int:
    """How box `a` lies to `b`, along the axis on which their centres are farther apart, as captions say it."""
    x, y = (a[:2] + a[2:] - b[:2] - b[2:]).tolist()
    return int(x > 0) if abs(x) > abs(y) else 2 + int(y >= 0)
