"""Claim C3: a prompt beats the bare name, an ensemble beats one prompt (Radford et al. 2021, section 3.1.4)."""

from pathlib import Path
from typing import Any, cast

import torch
from torch.nn import functional as F

from clipkit.backbone import ClipModel
from clipkit.engine.build import build_runner
from clipkit.evaluation.zeroshot import accuracy
from clipkit.shapes import AMBIGUOUS, SHAPES
from clipkit.shapes.evaluate import HELD_OUT, embed_images, embed_texts, single_objects

STYLES = {
    "bare": ("{}",),
    "prompt": ("a photo of a {}",),
    "ensemble": (
        "a {}",
        "a photo of a {}",
        "a picture of a {}",
        "an image of a {}",
        "there is a {}",
        "a scene with a {}",
        "a small {}",
        "a large {}",
    ),
}


def class_words() -> list[str]:
    """The twelve shapes, three of them by an ambiguous word: `dot` and `bar` also mean textures, `brick` a wall."""
    word_of = {shape: word for word, shape in AMBIGUOUS.items()}
    return [word_of.get(name, name) for name in SHAPES]


@torch.no_grad()
def prompt_styles(clip: ClipModel, seed: int, count: int = 2000) -> dict[str, dict[str, float]]:
    """Zero-shot accuracy (%) among the twelve shapes for each style of prompt, over all single-object scenes and over
    those whose object has an ambiguous name."""
    scenes = single_objects(count, HELD_OUT + 1000 + seed)
    images, labels = embed_images(clip, scenes.images), scenes.shape[:, 0]
    words = class_words()
    ambiguous = torch.tensor([word in AMBIGUOUS for word in words])[labels]
    found = {}
    for style, templates in STYLES.items():
        rows = torch.stack([embed_texts(clip, [template.format(word) for word in words]) for template in templates])
        classifier = F.normalize(rows.mean(0), dim=-1)
        found[style] = {
            "all": accuracy(images, classifier, labels),
            "ambiguous": accuracy(images[ambiguous], classifier, labels[ambiguous]),
        }
    return found


def run(seed: int, work_dir: str | Path, iterations: int, amp: bool | str = True) -> dict[str, Any]:
    """Pretrains a tiny CLIP with this seed, then measures the three styles with it."""
    options = {
        "train_cfg.max_iters": iterations,
        "train_cfg.val_interval": iterations,
        "param_scheduler.1.end": iterations,
        "train_dataloader.dataset.seed": seed,
    }
    runner = build_runner(
        "clip/tiny_shapes.py", work_dir=work_dir, resume=True, amp=amp, seed=seed, cfg_options=options
    )
    runner.train()
    clip = cast(ClipModel, runner.bare_model.clip)
    clip.eval()
    return prompt_styles(clip, seed)
