"""Films of the embedded world with their actions as labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from clipkit.engine.registry import DATASETS
from clipkit.shapes import action_names
from clipkit.video.films import FilmTexts


@DATASETS.register_module()
class FilmActions(FilmTexts):
    """The films of `FilmTexts` that show an action, one view each, see `ActionVideos`; `task` says of which kind.

    Args:
        actions: tasks whose films are kept; their actions, in this order, are the classes.
        options: of `FilmTexts`.
    """

    def __init__(self, *args: Any, actions: Sequence[str] = ("direction", "reversed", "speed"), **options: Any) -> None:
        super().__init__(*args, **{**options, "strings": True})  # their sentences are of no use here
        names = {task: action_names(task) for task in actions}
        self.metainfo = {"classes": tuple(name for task in actions for name in names[task])}
        self.first = {task: self.metainfo["classes"].index(own[0]) for task, own in names.items()}
        self.groups = [group for group in self.groups if self.about[group[0]]["task"] in names]

    def __getitem__(self, index: int) -> Any:
        """`frames` `(1, F, D)`, or `(1, F, 3, h, w)` without a store; `label`, `name`, `task`; or a list of two."""
        found = super().__getitem__(index)
        return [self._action(sample) for sample in found] if self.in_pairs else self._action(found)

    def _action(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        label = torch.tensor(self.first[sample["task"]] + sample["label"])
        return {"frames": sample["frames"][None], "label": label, "name": sample["name"], "task": sample["task"]}
