"""`clipkit browse CONFIG --out DIR`: what the data pipeline feeds the model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipkit.commands import _options

SCENES = 256  # of the small world that are rendered at a time
WIDTH, FRAMES = 2000, 8  # of the picture in pixels, and of a film in frames


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit browse`."""
    parser = argparse.ArgumentParser(
        prog="clipkit browse",
        description="Draw what the data pipeline feeds the model: images with their masks or boxes, or films with "
        "their sentences.",
        parents=[_options.config()],
    )
    parser.add_argument("--out", default="browse", metavar="DIR", help="where the picture goes (default: browse)")
    parser.add_argument(
        "--split", default="train", choices=("train", "val", "test"), help="which data (default: train)"
    )
    parser.add_argument("--count", type=int, default=12, help="items to draw (default: 12)")
    parser.add_argument("--seed", type=int, default=0, help="which items, and their augmentation (default: 0)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Draws; returns 0."""
    args = parser().parse_args(argv)
    import tempfile

    import numpy as np
    from mmengine.registry import DefaultScope
    from PIL import Image
    from tqdm import tqdm

    from clipkit.data.draw import save_picture
    from clipkit.engine.build import prepare_config
    from clipkit.engine.config import parse_options
    from clipkit.engine.friendly import friendly_build
    from clipkit.engine.registry import DATASETS
    from clipkit.engine.sampler import seed_everything
    from clipkit.errors import ClipkitError

    cfg = prepare_config(args.config, cfg_options=parse_options(args.cfg_options))
    loader = cfg.get(f"{args.split}_dataloader")
    if loader is None:
        raise ClipkitError(f"{args.config} has no {args.split}_dataloader")
    if args.count < 1:
        raise ClipkitError(f"--count must be at least 1, got {args.count}")
    with tempfile.TemporaryDirectory() as aside:
        quick, left_out = lighten(loader["dataset"], Path(aside), args.count)
        with friendly_build(), DefaultScope.overwrite_default_scope(cfg.default_scope):
            dataset = DATASETS.build(quick)
            if hasattr(dataset, "full_init"):
                dataset.full_init()
        order = np.random.default_rng(args.seed).permutation(len(dataset))[: args.count]
        items = []
        for index in tqdm(order.tolist(), unit="item", delay=2):
            seed_everything(args.seed, index)
            items.append(dataset[index])
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{Path(cfg.filename).stem}_{args.split}.png"
    names = list(getattr(dataset, "metainfo", {}).get("classes") or [])
    save_picture(Image.fromarray(draw_items(items, names)), path)
    print(f"{len(items)} of {len(dataset)} {args.split} items{left_out} -> {path}")
    return 0


def lighten(dataset: Any, aside: Path, count: int) -> tuple[Any, str]:
    """A data set's config that opens at once, and what it leaves out: so many scenes as are rendered together, few
    films, written below `aside` unless theirs are there already, and nothing that a CLIP would embed first."""
    said = ""

    def walk(node: Any) -> Any:
        nonlocal said
        if isinstance(node, (list, tuple)):
            steps: list[Any] = []
            for item in node:
                teaches = isinstance(item, dict) and str(item.get("type")).endswith("TeacherRegions")
                steps += item.get("transforms", []) if teaches else [item]  # what it does beside the teacher's view
            return type(node)(map(walk, steps))
        if not isinstance(node, dict):
            return node
        found = {key: walk(value) for key, value in node.items() if key not in ("teacher", "store")}
        kind = str(found.get("type")).rpartition(".")[2]
        if kind.startswith("Shapes") and found.get("length", 0) > SCENES:
            said = f" (the first {SCENES} of {found['length']})"
            found["length"] = SCENES
        if kind == "FilmTexts" and not Path(found["folder"]).exists():
            said = " (films like those of the set, which is not written yet)"
            found |= {"folder": str(aside / "films"), "n": 2 * ((count + 1) // 2)}
        return found

    return walk(dataset), said


def draw_items(items: Sequence[Any], names: Sequence[str]) -> Any:
    """One picture of all items: images beside their masks, images with boxes, or films as strips of frames."""
    from clipkit.data import grid
    from clipkit.errors import ClipkitError

    flat = [sample for item in items for sample in (item if isinstance(item, list) else [item])]
    cells = [_draw_item(item, names) for item in flat]
    if not cells or any(cell is None for cell in cells):
        raise ClipkitError("browse draws masks, boxes and films, and these items hold none of them")
    columns = max(1, min(len(cells), WIDTH // cells[0].shape[1]))
    return grid([cells[i : i + columns] for i in range(0, len(cells), columns)])


def _draw_item(item: Any, names: Sequence[str]) -> Any:
    from clipkit.data.label_picture import label_picture

    if not isinstance(item, dict):
        return None
    if "frames" in item and item["frames"].ndim == 4:
        return _draw_film(item["frames"].movedim(1, -1).numpy(), item["texts"])
    if "data_samples" not in item:
        return None
    image = item["inputs"].flip(0).permute(1, 2, 0).byte().numpy()
    sample = item["data_samples"]
    if "gt_sem_seg" in sample:
        return label_picture(image, sample.gt_sem_seg.data[0].numpy(), names)
    return _draw_boxes(image, sample, names)


def _draw_boxes(image: Any, sample: Any, names: Sequence[str]) -> Any:
    import numpy as np

    from clipkit.data.draw_objects import draw_objects
    from clipkit.data.palette import label_colours

    masks = None
    if "gt_instances" in sample and "bboxes" in sample.gt_instances:
        found = sample.gt_instances
        boxes = getattr(found.bboxes, "tensor", found.bboxes).numpy()
        labels = found.labels.tolist()
        masks = found.masks.masks.astype(bool) if hasattr(found.get("masks"), "masks") else None
        masks = None if masks is None or masks.dtype == object or masks.ndim != 3 else masks
    elif "instances" in sample.metainfo:  # a test's pipeline keeps them at the image's own size
        rows = sample.metainfo["instances"]
        scale = np.tile(sample.metainfo.get("scale_factor", (1.0, 1.0)), 2)
        boxes = np.array([row["bbox"] for row in rows], dtype=float).reshape(-1, 4) * scale
        labels = [row["bbox_label"] for row in rows]
    else:
        return None
    colours = [colour or (128, 128, 128) for colour in label_colours(names)]
    factor = max(1, round(320 / image.shape[0]))
    said = [names[i] for i in labels]
    return draw_objects(image, boxes, [colours[i] for i in labels], said, masks, factor)


def _draw_film(frames: Any, texts: Sequence[Any]) -> Any:
    """Frames spread over the film, its sentences below."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    from clipkit.data.draw import INK, PAPER, enlarge
    from clipkit.data.padding import spread

    strip = np.concatenate([enlarge(frame, 112) for frame in frames[spread(len(frames), FRAMES)]], axis=1)
    lines = [str(text) for text in texts[:3]] + ([f"{len(texts) - 3} more"] if len(texts) > 3 else [])
    canvas = Image.new("RGB", (max(strip.shape[1], 600), strip.shape[0] + 20 * len(lines) + 6), PAPER)
    canvas.paste(Image.fromarray(strip), (0, 0))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=14)
    for number, line in enumerate(lines):
        draw.text((2, strip.shape[0] + 20 * number + 2), line, fill=INK, font=font)
    return np.asarray(canvas)
