"""Claim C35 for `clipkit claim`: what more strokes are worth, and what it is worth to begin where CLIP looks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from clipkit_plugins.sketch.clipasso import clipasso
from clipkit_plugins.sketch.clipdraw import clipdraw
from clipkit_plugins.sketch.judge import ShapeJudge
from PIL import Image
from torch import Tensor

from clipkit.backbone import FrozenCLIP
from clipkit.data.draw import save_picture
from clipkit.engine.build import build_runner
from clipkit.files import write_text
from clipkit.shapes import SHAPES, render_outlines


def measure(
    seed: int,
    work_dir: str | Path,
    arms: Mapping[str, Mapping[str, Any]],
    config: str = "sketch/judge_tiny.py",
    cfg_options: Mapping[str, Any] | None = None,
    pictures: Mapping[str, Any] | None = None,
    clip: str = "tiny_clip",
    early: int = 100,
    every: int = 25,
    judged_in: str = "judge",
    **options: Any,
) -> dict[str, dict[str, float]]:
    """Arm -> what was seen of its drawings of the twelve shapes, which lie in `work_dir/ARM.png` to be looked at.

    `named`: the judge's share named right; `fooled`: that of the CLIP for which they were drawn; `loss` in the end and
    `early_loss` after `early` steps, each times 100; `below`: in percent of the shapes, how often the early loss is
    below that of the arm with as many strokes and another start, if there is one. One arm more, `clean outlines`, is
    the judge's `named` of the drawings that its config tests it with.

    Args:
        seed: of the drawings.
        work_dir: the judge is one for all seeds, in the folder above: the first run trains it.
        judged_in: its name there; another judge needs one of its own.
        arms: arm -> `strokes`, `start` and other options of `clipasso`.
        config, cfg_options: of the judge's training.
        pictures: options of `render_outlines`: what is drawn, upright and in the middle; default filled shapes.
        clip: for which is drawn, see `FrozenCLIP.from_pretrained`.
        early, every: steps until the early loss, a multiple of those between two looks at the drawings.
        options: of `clipasso`, for all arms.
    """
    judge, clean = trained_judge(Path(work_dir).parent / judged_in, config, cfg_options)
    drawn_for = FrozenCLIP.from_pretrained(clip)
    truth = torch.arange(len(SHAPES))
    targets, _ = render_outlines(len(SHAPES), shapes=truth, still=True, **(pictures or {"filled": 1.0}))
    out = {"clean outlines": {"named": clean}}
    at: dict[str, Tensor] = {}
    for arm, own in arms.items():
        _, found = clipasso(drawn_for, targets, seeds=(seed,), every=every, **{**options, **own})
        _keep(found.pictures, Path(work_dir) / f"{arm}.png")
        at[arm] = found.history[early // every - 1]
        out[arm] = {
            "named": _share(named_by_judge(judge, found.pictures) == truth),
            "fooled": _share(named_by_clip(drawn_for, found.pictures) == truth),
            "loss": 100 * found.loss.mean().item(),
            "early_loss": 100 * at[arm].mean().item(),
        }
    for arm, own in arms.items():
        for other, others in arms.items():
            if own["strokes"] == others["strokes"] and own.get("start") != others.get("start"):
                out[arm]["below"] = _share(at[arm] < at[other])
    return out


def measure_words(
    seed: int,
    work_dir: str | Path,
    config: str = "sketch/judge_tiny.py",
    cfg_options: Mapping[str, Any] | None = None,
    clip: str = "tiny_clip",
    colour: str = "red",
    **options: Any,
) -> dict[str, dict[str, float]]:
    """Drawings of "a red heart" and so on, which of the twelve shapes CLIP sees in them, and which one the judge sees:
    `{"words by CLIP": {"named": …}, "words by the judge": {"named": …}}`, percent.

    Args:
        seed, work_dir, config, cfg_options, clip: see `measure`.
        colour: one of the world's.
        options: of `clipdraw`.
    """
    judge, _ = trained_judge(Path(work_dir).parent / "judge", config, cfg_options)
    drawn_for = FrozenCLIP.from_pretrained(clip)
    truth = torch.arange(len(SHAPES))
    drawn = [clipdraw(drawn_for, f"a {colour} {shape}", seeds=(seed,), **options)[1].pictures for shape in SHAPES]
    pictures = torch.cat(drawn)
    _keep(pictures, Path(work_dir) / "words.png")
    return {
        "words by CLIP": {"named": _share(named_by_clip(drawn_for, pictures, colour) == truth)},
        "words by the judge": {"named": _share(named_by_judge(judge, pictures) == truth)},
    }


def trained_judge(
    folder: str | Path, config: str, cfg_options: Mapping[str, Any] | None = None
) -> tuple[ShapeJudge, float]:
    """The judge, trained by its config with seed 0 where `folder` has none, and its share of clean outlines right."""
    ended = Path(folder) / "ended.txt"
    options: dict[str, Any] = dict(work_dir=str(folder), cfg_options=dict(cfg_options or {}))
    if not ended.is_file():
        build_runner(config, seed=0, resume=True, **options).train()
        write_text(ended, "")
    runner = build_runner(config, checkpoint=folder, for_training=False, **options)
    clean = runner.test()["named"]
    return runner.model.eval(), clean


@torch.no_grad()
def named_by_judge(judge: ShapeJudge, pictures: Tensor) -> Tensor:
    """`(B,)` int64 indices into SHAPES."""
    return judge.logits(pictures.to(next(judge.parameters()).device)).argmax(1).cpu()


@torch.no_grad()
def named_by_clip(clip: FrozenCLIP, pictures: Tensor, colour: str = "black") -> Tensor:
    """`(B,)` int64 indices into SHAPES: the name whose text is nearest, "a black heart"."""
    texts = clip.encode_text([f"a {colour} {shape}" for shape in SHAPES])
    return (clip.encode_image(pictures.to(clip.device)) @ texts.T).argmax(1).cpu()


def _keep(pictures: Tensor, path: Path) -> None:
    """`(B, 3, H, W)` side by side."""
    row = torch.cat([*pictures], -1).clamp(0, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_picture(Image.fromarray((row * 255).round().byte().permute(1, 2, 0).numpy()), path)


def _share(right: Tensor) -> float:
    return 100 * right.double().mean().item()
