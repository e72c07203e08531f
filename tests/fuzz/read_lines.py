"""Rows: lines that runs leave behind, and the options of a command line."""

import json
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from PIL import Image

from clipkit import cli
from clipkit.claims.curve import ScoreCurve
from clipkit.engine.build import prepare_config
from clipkit.engine.config import parse_options
from clipkit.predict.detections import Detections
from clipkit.predict.label_photos import label_photos
from clipkit.shapes.film_files import film_set
from fuzz.read_media import picture
from fuzz.table import Reader, command, only
from support import tiny_parts

# -- results ----------------------------------------------------------------------------------------------------------


def _results(root: Path) -> None:
    about = {"commit": "abc", "hardware": "2 cores", "date": "2026-11-21T00:00:00Z"}
    rows = [
        {"claim": "ViLD", "arm": arm, "seed": seed, "metric": {"novel_AP50": seed + 0.5, "open": {"seen": 1}}, **about}
        for arm in ("text", "vild")
        for seed in range(3)
    ]
    (root / "claims").mkdir()
    (root / "claims/vild.jsonl").write_text("\n".join(map(json.dumps, rows)))


def _report(folder: Path) -> Any:
    page = folder.with_name("report.html")
    command(lambda arguments: cli.run("report", arguments), only(folder), "--work-dir", folder / "none", "--out", page)
    return page.read_text(encoding="utf-8").replace(str(folder), "")


def _curves(root: Path) -> None:
    (root / "curve").mkdir()
    (root / "curve/curve.json").write_text(json.dumps({"100": {"mIoU": 0.5}, "200": {"mIoU": 0.75}}))


def _read_curve(folder: Path) -> Any:
    return ScoreCurve(only(folder)).read()


def _label_logs(root: Path) -> None:
    for number in range(2):
        file = root / f".photos/{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(picture(seed=number)).save(file)
    (root / "log").mkdir()
    _label(root / "log", root)
    for path in (root / "log").iterdir():  # what is read again is the log alone
        path.unlink() if path.suffix != ".jsonl" else None


def _label(out: Path, root: Path | None = None) -> Any:
    """Labels the photos beside the seeds as a run that goes on does."""
    mask = torch.zeros(1, 24, 40, dtype=torch.bool)
    mask[:, 3:9, 4:20] = True
    names = ("cat", "dog")
    found = Detections(torch.tensor([[4.0, 3, 20, 9]]), torch.tensor([0.9]), torch.tensor([0]), mask, names, (24, 40))
    photos = (root or out.parent / "seeds") / ".photos"
    label_photos([str(photos)], lambda: lambda image: found, names, out, "coco", {"model": "x"}, min_score=0.1)
    return json.loads((out / "annotations.json").read_text())


def _film_sets(root: Path) -> None:
    film_set(root / "films", tasks=("static",), n=2, seed=0)
    for path in (root / "films").iterdir():
        path.unlink() if path.suffix != ".jsonl" else None


def _read_film_set(folder: Path) -> Any:
    return film_set(folder, tasks=("static",), n=2, seed=0)


# -- options ----------------------------------------------------------------------------------------------------------

_OPTIONS = (
    "train_cfg.max_iters=100", "optim_wrapper.optimizer.lr=1e-3", "train_dataloader.batch_size=8", "work_dir=2024",
    "param_scheduler.0.end=12", "model.dim=6", "default_hooks.checkpoint.interval=5", "randomness.seed=3",
    "val_dataloader.dataset.length=4", "model.dump=None", "custom_hooks=[]", "env_cfg.cudnn_benchmark=True",
    "train_dataloader.sampler.type=ResumableInfiniteSampler", "load_from=a/b.pth", 'experiment_name="a b"',
    "val_evaluator={'type': 'TinyMetric'}", "find_unused_parameters=(a, b)", "default_hooks.logger.interval=[1, 2]",
)  # fmt: skip


def _options(root: Path) -> None:
    (root / "options").mkdir()
    (root / "options/options.txt").write_text("\n".join(_OPTIONS))


def _merge(folder: Path) -> Any:
    file = only(folder)
    lines = file.read_bytes().decode("utf-8", "surrogateescape").split("\n") if file.is_file() else []
    config = Config.fromstring(tiny_parts.CONFIG, ".py")
    return prepare_config(config, cfg_options=parse_options(lines)).to_dict()


READERS = [
    Reader("results", _results, _report, share=0.5),
    Reader("curves", _curves, _read_curve, share=0.3),
    Reader("logs of labelling", _label_logs, _label, share=0.3),
    Reader("sets of made-up films", _film_sets, _read_film_set, share=0.3),
    Reader("options", _options, _merge, share=2),
]
