"""`clipkit browse CONFIG --out DIR`: what the data pipeline feeds the model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipkit.commands import _options


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit browse`."""
    parser = argparse.ArgumentParser(
        prog="clipkit browse",
        description="Draw what the data pipeline feeds the model: images, masks, legend.",
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
    import numpy as np
    from mmengine.registry import DefaultScope
    from PIL import Image

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
    with friendly_build(), DefaultScope.overwrite_default_scope(cfg.default_scope):
        dataset = DATASETS.build(loader["dataset"])
        if hasattr(dataset, "full_init"):
            dataset.full_init()
    order = np.random.default_rng(args.seed).permutation(len(dataset))[: args.count]
    items = []
    for index in order.tolist():
        seed_everything(args.seed, index)
        items.append(dataset[index])
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{Path(cfg.filename).stem}_{args.split}.png"
    save_picture(Image.fromarray(draw_items(items, dataset.metainfo)), path)
    print(f"{len(items)} of {len(dataset)} {args.split} items -> {path}")
    return 0


def draw_items(items: Sequence[dict], metainfo: dict) -> Any:
    """Grid of images and masks, with a legend of the classes that occur; ignored pixels are black."""
    from clipkit.data import colour_map, enlarge, grid, palette, used_entries, with_legend
    from clipkit.errors import ClipkitError

    if not items or "gt_sem_seg" not in items[0]["data_samples"]:
        raise ClipkitError("these items hold no masks; browse draws segmentation data")
    names = list(metainfo.get("classes") or [])
    colours = palette(len(names))
    cells, maps = [], []
    for item in items:
        image = item["inputs"].flip(0).permute(1, 2, 0).byte().numpy()
        mask = item["data_samples"].gt_sem_seg.data[0].numpy()
        maps.append(mask)
        cells += [enlarge(image, 160), enlarge(colour_map(mask, colours), 160)]
    columns = 2 * min(3, len(items))
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    return with_legend(grid(rows, ["image", "mask"] * (columns // 2)), used_entries(maps, names, colours))
