"""C36's classifier: the tiny CLIP's image tower trained with labels, and what is answered from its grid."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from clipkit_plugins.clip.supervised import SupervisedClassifier, train_to

from clipkit.backbone import save_open_clip_folder
from clipkit.classification.image_sets import ShapesImages
from clipkit.engine.build import build_runner
from clipkit.files import write_text


def classifier_tower(folder: str | Path, train: int = 12000, val: int = 1000, steps: int = 1500) -> dict[str, float]:
    """Trains the tower, on scenes of one object in all textures and grounds, with as many steps of as many images as
    the tiny CLIP's first stage, and keeps it as an open_clip folder; one that is there is not trained again.

    Returns:
        the accuracy on scenes of its own that it reached, in percent, and the steps taken.
    """
    record = Path(folder) / "reached.json"
    if not record.is_file():
        torch.manual_seed(0)
        images, held_out = ShapesImages(train, seed=1), ShapesImages(val, seed=0)
        model = SupervisedClassifier(len(images.names))
        reached = train_to(model, images, held_out, 100.0, seed=0, steps=steps)
        save_open_clip_folder(model.clip, folder, "fp32")
        write_text(record, json.dumps(reached))  # comes last: the tower is whole where it is there
    return json.loads(record.read_text(encoding="utf-8"))


def classifiers_answers(
    seed: int,
    work_dir: str | Path,
    config: str,
    metric: Sequence[str],
    amp: bool | str = False,
    cfg_options: Mapping[str, Any] | None = None,
    **tower: int,
) -> dict[str, float]:
    """The scores of `config`, trained on the grid of a classifier of colour and shape, and the classifier's accuracy.

    The tower is one for all seeds, as the tiny CLIP is: the first run trains it.
    """
    folder = Path(work_dir).parent / "classifier"
    reached = classifier_tower(folder, **tower)
    options = {"variables.clip": f"local-dir:{folder.resolve()}", "variables.store": str(folder / "store")}
    options |= cfg_options or {}
    runner = build_runner(config, work_dir=str(work_dir), seed=seed, resume=True, amp=amp, cfg_options=options)
    runner.train()
    scores = runner.test()
    return {**{name: scores[name] for name in metric}, "names": reached["accuracy"], "steps": reached["steps"]}
