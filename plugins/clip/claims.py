"""Claims about CLIP that the shipped tiny CLIP can answer, for `clipkit claim`: C4, C5, C6, C8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clipkit_plugins.clip.supervised import SupervisedClassifier, guess, train_to
from torch import Tensor, nn
from torch.nn import functional as F

from clipkit.adapters import ContrastiveLoss, LogitScale
from clipkit.backbone import FrozenCLIP
from clipkit.classification.image_sets import ShapesImages
from clipkit.data.image_folder import ImageArray
from clipkit.data.shots import draw_shots
from clipkit.embed.images import ImageFeatures, image_features
from clipkit.evaluation.linear_probe import logistic_probe, sweep_logistic
from clipkit.shapes import TEXTURES, class_names, render, tiny_clip
from clipkit.shapes.evaluate import HELD_OUT, embed_texts
from clipkit.shapes.glyphs import GLYPHS, render_glyphs

PROMPT = "a photo of a {}"
_NAMES = 96  # colour and shape


def _features(clip: FrozenCLIP, images: ImageArray, work_dir: str | Path) -> ImageFeatures:
    return image_features(clip, images, Path(work_dir) / "features", progress=False)


def _rows(clip: FrozenCLIP, names: Sequence[str], prompt: str = PROMPT) -> Tensor:
    return embed_texts(clip, [prompt.format(name) for name in names])


def _accuracy(guesses: Tensor, images: ImageArray) -> float:
    return 100 * (guesses == torch.from_numpy(images.labels)).double().mean().item()


def _zero_shot(features: ImageFeatures, rows: Tensor, images: ImageArray) -> float:
    return _accuracy((F.normalize(features.embedding, dim=-1) @ rows.T).argmax(1), images)


def few_shot_probe(
    seed: int, work_dir: str | Path, shots: Sequence[int] = (1, 2, 4, 8, 16), test: int = 2000, pool: int = 6000
) -> dict[str, dict[str, float]]:
    """C4: zero-shot and, at each number of shots, a linear probe (C chosen on validation examples)."""
    clip = tiny_clip()
    images, source = ShapesImages(test, seed=2 * seed), ShapesImages(pool, seed=2 * seed + 1)
    found, known = _features(clip, images, work_dir), _features(clip, source, work_dir)
    zero = _zero_shot(found, _rows(clip, images.names), images)
    labels = torch.from_numpy(source.labels)
    probe = {}
    for count in shots:
        chosen, held = draw_shots(source.labels, count, seed)
        x, v = known.penultimate[chosen], known.penultimate[held]
        fitted = sweep_logistic(x, labels[chosen], v, labels[held], _NAMES).probe
        probe[f"{count}"] = _accuracy(fitted.scores(found.penultimate).argmax(1), images)
    return {"zero-shot": {f"{count}": zero for count in shots}, "probe": probe}


SHIFTS: Mapping[str, Mapping[str, Any]] = {
    "plain": dict(textures=["plain"]),
    "textures": dict(textures=[name for name in TEXTURES if name != "plain"]),
    "sketch": dict(textures=["plain"], style="sketch"),
    "night": dict(textures=["plain"], style="night"),
    "noise": dict(textures=["plain"], style="noise"),
}


def _shifted(name: str, count: int, seed: int) -> ShapesImages:
    """About `count` scenes of a shift: those of other textures are rendered and left out."""
    options = SHIFTS[name]
    return ShapesImages(round(count * len(TEXTURES) / len(options["textures"])), seed=seed, **options)


def _summary(scores: dict[str, float]) -> dict[str, float]:
    """Accuracies by shift, and the mean over the styles that no training saw."""
    return {**scores, "styles": float(np.mean([scores[name] for name in ("sketch", "night", "noise")]))}


def robustness(
    seed: int, work_dir: str | Path, train: int = 2000, test: int = 600, C: float = 1.0
) -> dict[str, dict[str, float]]:
    """C5: the tiny CLIP on plain objects in photo style and on shifts, zero-shot, and by a probe on its features that
    was fitted to plain objects in photo style. CLIP's pretraining saw the other textures; nothing saw the other
    styles."""
    clip = tiny_clip()
    source = _shifted("plain", train, 4 * seed + 2)
    rows = _rows(clip, source.names)
    known = _features(clip, source, work_dir).penultimate
    fitted = logistic_probe(known, torch.from_numpy(source.labels), C, _NAMES, tolerance=1e-5)
    zero, probe = {}, {}
    for name in SHIFTS:
        images = _shifted(name, test, 4 * seed)
        found = _features(clip, images, work_dir)
        zero[name] = _zero_shot(found, rows, images)
        probe[name] = _accuracy(fitted.scores(found.penultimate).argmax(1), images)
    return {"zero-shot": _summary(zero), "probe": _summary(probe)}


def supervised_robustness(
    seed: int, work_dir: str | Path, train: int = 10000, test: int = 1000, steps: int = 3000
) -> dict[str, float]:
    """C5: the same for a classifier that was trained from scratch on plain objects in photo style, until it was as good
    there as zero-shot is, on scenes of their own."""
    clip, val = tiny_clip(), _shifted("plain", test, 4 * seed + 1)
    target = _zero_shot(_features(clip, val, work_dir), _rows(clip, val.names), val)
    torch.manual_seed(seed)
    model = SupervisedClassifier(_NAMES)
    reached = train_to(model, _shifted("plain", train, 4 * seed + 3), val, target, seed=seed, steps=steps)
    sets = {name: _shifted(name, test, 4 * seed) for name in SHIFTS}
    scores = {name: _accuracy(guess(model, images), images) for name, images in sets.items()}
    return {**_summary(scores), "validation": reached["accuracy"], "target": target, "steps": reached["steps"]}


def unnamed(seed: int, work_dir: str | Path, train: int = 1000, test: int = 1000) -> dict[str, dict[str, float]]:
    """C6: glyphs and numbers of objects, which no caption ever named, zero-shot and by a probe; chance for both."""
    clip = tiny_clip()
    letters = [f"letter {name}" for name in GLYPHS]
    numbers = ["one object", "two objects", "three objects"]
    tasks = {
        "glyphs": ([_glyphs(n, HELD_OUT + 10 * seed + i) for i, n in enumerate((train, train // 4, test))], letters),
        "count": (
            [ShapesImages(n, seed=10 * seed + i, label="count") for i, n in enumerate((train, train // 4, test))],
            numbers,
        ),
    }
    zero, probe = {}, {}
    for name, (sets, words) in tasks.items():
        known, held, found = (_features(clip, images, work_dir) for images in sets)
        prompt = PROMPT if name == "glyphs" else "a photo of {}"
        zero[name] = _zero_shot(found, _rows(clip, words, prompt), sets[2])
        labels = [torch.from_numpy(images.labels) for images in sets]
        fitted = sweep_logistic(known.penultimate, labels[0], held.penultimate, labels[1], len(words)).probe
        probe[name] = _accuracy(fitted.scores(found.penultimate).argmax(1), sets[2])
    return {"zero-shot": zero, "probe": probe, "chance": {"glyphs": 100 / len(letters), "count": 100 / len(numbers)}}


def _glyphs(count: int, seed: int) -> ImageArray:
    images, labels = render_glyphs(count, seed=seed)
    return ImageArray((images * 255).byte().movedim(1, -1).numpy(), labels.numpy(), GLYPHS)


def temperature(
    seed: int,
    work_dir: str | Path,
    fixed: Sequence[float] = (1.0, 3.0, 10.0, 30.0, 100.0),
    pairs: int = 16000,
    test: int = 2000,
    steps: int = 1500,
    batch: int = 256,
    dim: int = 64,
) -> dict[str, dict[str, float]]:
    """C8: both projections of a CLIP trained anew, on the shipped towers' frozen outputs, with a learned logit scale
    and with fixed ones; zero-shot accuracy among 96 names. Whole pretrainings would say more and take hours."""
    clip = tiny_clip()
    scenes = render(pairs, seed=HELD_OUT + 7 * 10**6 + seed, objects=(1, 2))
    source = ImageArray((scenes.images * 255).byte().movedim(1, -1).numpy(), np.zeros(pairs), ["scene"])
    held_out = ShapesImages(test, seed=3 * seed)
    x, y = _features(clip, source, work_dir).penultimate, embed_texts(clip, scenes.captions)
    images, rows = _features(clip, held_out, work_dir).penultimate, _rows(clip, class_names()[:_NAMES])
    mean, spread = x.mean(0), x.std(0).clamp(min=1e-6)
    x, images = (x - mean) / spread, (images - mean) / spread
    result: dict[str, dict[str, float]] = {}
    for name, scale in {"learned": None, **{f"{value:g}": value for value in fixed}}.items():
        torch.manual_seed(seed)
        towers = nn.ModuleList([nn.Linear(x.shape[1], dim, bias=False), nn.Linear(y.shape[1], dim, bias=False)])
        logit_scale = LogitScale() if scale is None else LogitScale(scale, learned=False)
        _contrast(towers, logit_scale, x, y, seed, steps, batch)
        with torch.no_grad():
            found = F.normalize(towers[0](images), dim=-1) @ F.normalize(towers[1](rows), dim=-1).T
        result[name] = {"top1": _accuracy(found.argmax(1), held_out), "scale": float(logit_scale().detach())}
    best = max((name for name in result if name != "learned"), key=lambda name: result[name]["top1"])
    return {**result, "best fixed": result[best]}


def _contrast(
    towers: nn.ModuleList, scale: LogitScale, x: Tensor, y: Tensor, seed: int, steps: int, batch: int
) -> None:
    loss, generator = ContrastiveLoss(), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW([*towers.parameters(), *scale.parameters()], lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.randint(len(x), (batch,), generator=generator)
        image, text = (F.normalize(tower(part[chosen]), dim=-1) for tower, part in zip(towers, (x, y)))
        optimizer.zero_grad()
        loss(image, text, scale()).backward()
        optimizer.step()
        schedule.step()
        scale.clamp_()
