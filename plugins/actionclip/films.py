"""Films of the embedded world with their actions as labels."""

from collections.abc import Sequence
from typing import Any

import torch

from clipkit.engine.film_texts import FilmTexts
from clipkit.engine.registry import DATASETS
from clipkit.shapes import action_names


@DATASETS.register_module()
class FilmActions(FilmTexts):
    """The films of `FilmTexts` that show an action, one view each, see `ActionVideos`; `task` says of which kind.

    Args:
        actions: tasks whose films are kept; their actions, in this order, are the classes.
        options: of `FilmTexts`.
    """

    def __init__(self, *args: Any, actions: Sequence[str] = ("direction", "reversed", "speed"), **options: Any) -> None:
        super().__init__(*args, **options)
        names = {task: action_names(task) for task in actions}
        self.metainfo = {"classes": tuple(name for task in actions for name in names[task])}
        self.first = {task: self.metainfo["classes"].index(own[0]) for task, own in names.items()}
        kept = [i for i, about in enumerate(self.about) if about["task"] in names]
        self.videos, self.about = [self.videos[i] for i in kept], [self.about[i] for i in kept]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`frames` `(1, F, D)`, or `(1, F, 3, h, w)` without a store; `label`, `name`, `task`."""
        sample = super().__getitem__(index)
        label = self.first[sample["task"]] + sample["label"]
        return {"frames": sample["frames"][None], "label": torch.tensor(label),
                "name": sample["name"], "task": sample["task"]}  # fmt: skip
