"""Claim C34 for `clipkit claim`: does a third modality harm the first two?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from clipkit_plugins.audioclip.dataset import SceneSounds
from clipkit_plugins.audioclip.metric import six_ways
from torch import Tensor
from torch.nn import functional as F

from clipkit.engine.build import build_runner
from clipkit.shapes.sounds import RATE

FIRST, SECOND = "audioclip/audioclip_tiny_shapes.py", "audioclip/audioclip_tiny_shapes_full.py"


def three_modalities(
    seed: int, work_dir: str | Path, length: int = 3200, test: int = 500, steps: int = 450, full_steps: int = 150
) -> dict[str, dict[str, float]]:
    """R@1 of all directions and `names` (%): 'CLIP' before anything trains, 'frozen' after the tower joined, 'full'
    after a second stage that trains linear heads on pictures and texts too. `unchanged`: share of test items of whose
    picture and text not a bit is another one. `order`: see `order_of_events`. Scenes differ with the seed."""
    work_dir = Path(work_dir)
    common = {
        "variables.store": str(work_dir / "store"),
        "train_dataloader.dataset.length": length,
        "train_dataloader.dataset.seed": 2 * seed + 1,
        **{f"{which}_dataloader.dataset.{key}": value for which in ("val", "test") for key, value in
           (("length", test), ("seed", 2 * seed))},
    }  # fmt: skip
    found: dict[str, dict[str, float]] = {}
    for name, config, count, begin in (("frozen", FIRST, steps, 5), ("full", SECOND, full_steps, 10)):
        options = {
            **common,
            "train_cfg.max_iters": count,
            "train_cfg.val_interval": count,
            "param_scheduler.0.end": count // begin,
            "param_scheduler.1.begin": count // begin,
            "param_scheduler.1.end": count,
        }
        if name == "full":
            options["variables.partial"] = str(work_dir / "frozen" / f"iter_{steps}.pth")
        runner = build_runner(config, work_dir=work_dir / name, seed=seed, resume=True, cfg_options=options)
        runner.train()
        scores = runner.test()
        data = runner.test_loop.dataloader.dataset
        kept = {key: float(value) for key, value in scores.items() if key.endswith("R@1") or key in ("names", "least")}
        kept["unchanged"] = float(scores["unchanged"])
        found[name] = {**kept, "order": order_of_events(runner.bare_model, data)}
    rows = {"image": F.normalize(data.images, dim=-1), "text": F.normalize(data.text_rows, dim=-1)}
    found["CLIP"] = {f"{way}/R@1": ranks.metrics()["R@1"] for way, ranks in six_ways(rows).items()}
    return {**found, "CLIP": {**found["CLIP"], "unchanged": 100.0}}


@torch.no_grad()
def order_of_events(model: Any, data: SceneSounds) -> float:
    """How often (%) of two sounds in one, half a second each, the text that tells them in their order scores higher
    than the one that turns them around. 50 is chance: a tower that pools over time hears no order, and a CLIP that saw
    pictures knows none."""
    names = [data.names[label] for label in data.labels.tolist()]
    half = RATE // 2
    waves = torch.stack([torch.from_numpy(wave) for wave in data.waves])
    first, second = waves[0::2][: len(waves) // 2], waves[1::2]
    sounds = model.encode_sound(torch.cat([first[:, :half], second[:, half:]], dim=1))
    pairs = list(zip(names[0::2], names[1::2]))

    def told(order: int) -> Tensor:
        return model.encode_text([f"a {pair[order]}, then a {pair[1 - order]}" for pair in pairs])

    right, wrong = ((sounds * told(order)).sum(1) for order in (0, 1))
    return 100 * float(((right > wrong).double() + 0.5 * (right == wrong).double()).mean())
