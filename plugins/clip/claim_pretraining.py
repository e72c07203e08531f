"""Claims about CLIP's pretraining, for `clipkit claim` (configs/claims/c1, c2, c7): each pretrains tiny CLIPs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from clipkit_plugins.clip.sizes import register_sizes
from mmengine.hooks import Hook
from torch.nn import functional as F

from clipkit.engine.build import build_runner
from clipkit.engine.registry import HOOKS
from clipkit.files import append_lines
from clipkit.shapes import class_names
from clipkit.shapes.evaluate import HELD_OUT, embed_images, embed_texts, single_objects

_NAMES = class_names()[:96]
BARS = (10, 20, 40, 80)


def composition(model: Any, seed: int, count: int) -> float:
    """Zero-shot accuracy (%) among the 96 names on held-out single objects, of a `ContrastivePretrainer` or of a
    `WordPredictor`."""
    scenes = single_objects(count, HELD_OUT + 1000 + seed)
    labels = scenes.colour[:, 0] * 12 + scenes.shape[:, 0]
    was_training = model.training
    model.eval()
    if hasattr(model, "guess"):
        found = model.guess(scenes.images, _NAMES)
    else:
        with torch.no_grad():
            rows = F.normalize(embed_texts(model.clip, [f"a photo of a {name}" for name in _NAMES]), dim=-1)
            found = (embed_images(model.clip, scenes.images) @ rows.T).argmax(1)
    model.train(was_training)
    return 100 * (found == labels).double().mean().item()


@HOOKS.register_module()
class CompositionCurveHook(Hook):
    """Writes zero-shot accuracy over images seen to `curve.jsonl` in the work directory, every `interval` steps."""

    def __init__(self, interval: int, seed: int, count: int) -> None:
        self.interval, self.seed, self.count = interval, seed, count

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        step = runner.iter + 1
        if step % self.interval == 0 or step == runner.max_iters:
            seen = step * runner.train_dataloader.dataset.batch
            line = {"images": seen, "composition": composition(runner.bare_model, self.seed, self.count)}
            append_lines(Path(runner.work_dir) / "curve.jsonl", [json.dumps(line)])


def pretrain(
    seed: int,
    work_dir: str | Path,
    iterations: int,
    model: str = "tiny-shapes",
    words: bool = False,
    interval: int = 50,
    count: int = 1000,
    amp: bool | str = True,
) -> dict[str, float]:
    """One pretraining as clip/tiny_shapes.py says, shorter: its curve of zero-shot accuracy (%).

    Returns:
        `top1` at the end, `parameters`, and for each of the bars 10, 20, 40 and 80 % `images_to_…`: images seen when
        the curve first reached it; all images where it did not.
    """
    register_sizes()
    warm = min(100, iterations // 2)
    options: dict[str, Any] = {
        "train_cfg.max_iters": iterations,
        "train_cfg.val_interval": 10 * iterations,  # the curve is what counts
        "param_scheduler.0.end": warm,
        "param_scheduler.1.begin": warm,
        "param_scheduler.1.end": iterations,
        "train_dataloader.dataset.seed": seed,
        "model.clip": model,
        "custom_hooks": [dict(type="CompositionCurveHook", interval=interval, seed=seed, count=count)],
        "plugins": ["clip"],
    }
    if words:
        options["model.type"] = "WordPredictor"
    work_dir = Path(work_dir)
    runner = build_runner(
        "clip/tiny_shapes.py", work_dir=work_dir, resume=True, amp=amp, seed=seed, cfg_options=options
    )
    runner.train()
    lines = (work_dir / "curve.jsonl").read_text(encoding="utf-8").splitlines()
    curve = {
        record["images"]: record["composition"] for record in map(json.loads, lines)
    }  # a resumed run says some twice
    last = max(curve)
    bars = {f"images_to_{bar}": float(next((n for n in sorted(curve) if curve[n] >= bar), last)) for bar in BARS}
    weights = sum(parameter.numel() for parameter in runner.bare_model.parameters())
    return {"top1": curve[last], "parameters": float(weights), **bars}
