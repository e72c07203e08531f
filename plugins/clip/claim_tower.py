"""C36's other towers: the tiny CLIP's, trained with labels or not at all, and what is answered from their grids."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from clipkit_plugins.clip.supervised import SupervisedClassifier, guess, pixels, train_to

from clipkit.backbone import save_open_clip_folder
from clipkit.classification.image_sets import ShapesImages
from clipkit.engine.build import build_runner
from clipkit.files import write_text


def labelled_tower(folder: str | Path, train: int = 12000, val: int = 1000, steps: int = 1500) -> dict[str, float]:
    """Trains the tower, on scenes of one object in all textures and grounds, with as many steps of as many images as
    the tiny CLIP's first stage, and keeps it as an open_clip folder; one that is there is not trained again. With no
    steps it stays random, but for the statistics of its batch norms.

    Returns:
        the accuracy on scenes of its own that it reached, in percent, and the steps taken.
    """
    record = Path(folder) / "reached.json"
    if not record.is_file():
        torch.manual_seed(0)
        images, held_out = ShapesImages(train, seed=1), ShapesImages(val, seed=0)
        model = SupervisedClassifier(len(images.names))
        if steps:
            reached = train_to(model, images, held_out, 100.0, seed=0, steps=steps)
        else:
            model.train()
            with torch.no_grad():
                for part in torch.arange(len(images)).split(128)[:30]:
                    model(pixels(images, part.numpy()))
            right = guess(model, held_out) == torch.from_numpy(held_out.labels)
            reached = {"accuracy": 100 * right.double().mean().item(), "steps": 0}
        save_open_clip_folder(model.clip, folder, "fp32")
        write_text(record, json.dumps(reached))  # comes last: the tower is whole where it is there
    return json.loads(record.read_text(encoding="utf-8"))


def towers_answers(
    seed: int,
    work_dir: str | Path,
    config: str,
    metric: Sequence[str],
    amp: bool | str = False,
    cfg_options: Mapping[str, Any] | None = None,
    **tower: int,
) -> dict[str, float]:
    """The scores of `config`, trained on the grid of such a tower, and the tower's accuracy.

    The tower is one for all seeds, as the tiny CLIP is: the first run makes it.
    """
    folder = Path(work_dir).parent / ("classifier" if tower.get("steps", 1) else "random")
    reached = labelled_tower(folder, **tower)
    options = {"variables.clip": f"local-dir:{folder.resolve()}", "variables.store": str(folder / "store")}
    options |= cfg_options or {}
    runner = build_runner(config, work_dir=str(work_dir), seed=seed, resume=True, amp=amp, cfg_options=options)
    runner.train()
    scores = runner.test()
    return {**{name: scores[name] for name in metric}, "names": reached["accuracy"], "steps": reached["steps"]}
