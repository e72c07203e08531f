"""Training by the real runner in the world, on a folder and on ModelNet40's files, then names from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clipkit import cli
from clipkit.claims.definition import read_claim
from clipkit.engine.build import build_runner, prepare_config
from clipkit.errors import ClipkitError
from clipkit.predict.clouds import CloudNamer
from clipkit.shapes import SHAPES, render_clouds

ROOT = Path(__file__).parents[3]
FEW = {"train_cfg.max_iters": 2, "train_cfg.val_interval": 2}
TINY = {
    **FEW,
    "variables.clip": "tiny_clip",
    "variables.weights": None,
    "variables.shots": 1,
    **{f"{loader}_dataloader.num_workers": 0 for loader in ("train", "val", "test")},
    **{f"{loader}_dataloader.persistent_workers": False for loader in ("train", "val", "test")},
    **{f"{loader}_dataloader.dataset.projection.size": 64 for loader in ("train", "val", "test")},
    "model.projection.size": 64,
    "train_dataloader.batch_size": 2,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pointclip")
    sets = {f"{loader}_dataloader.dataset.clouds.length": 12 for loader in ("train", "val", "test")}
    more = {"variables.shots": 1, "variables.store": str(folder / "store"), "train_dataloader.batch_size": 12}
    runner = build_runner(
        "pointclip/pointclip_tiny_shapes.py", work_dir=str(folder / "work"), cfg_options={**FEW, **sets, **more}, seed=0
    )
    before = {name: value.clone() for name, value in runner.model.named_parameters()}
    runner.train()
    changed = {name for name, value in runner.model.named_parameters() if not torch.equal(value, before[name])}
    assert {"view_weights", "adapter.fusion", "adapter.gather.weight", "network.points.0.weight"} <= changed
    assert not [name for name in changed if name.startswith("text.")]
    return folder, runner.test()


def write_ply(path, points):
    head = (
        f"ply\nformat ascii 1.0\nelement vertex {len(points)}\nproperty float x\nproperty float y\nproperty float z\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + "end_header\n" + "\n".join(" ".join(map(str, row)) for row in points.tolist()) + "\n")
    return path


def test_the_front_view_names_most(trained):
    scores = trained[1]
    assert {"top1", "zero-shot", "weighted", "adapter", "network", "front", "mean_class"} == set(scores)
    assert scores["front"] >= 75 > scores["zero-shot"]


def test_names_from_the_command_line(trained, capsys):
    folder, _ = trained
    file = write_ply(folder / "star.ply", render_clouds(12, points=512, seed=9).points[SHAPES.index("star")])
    bad = folder / "bad.ply"
    bad.write_text("ply")
    options = ["--cfg-options", "model.predict=[zero-shot]", "--out", str(folder / "out")]
    assert cli.main(["predict", str(folder / "work"), str(file), str(bad), *options]) == 1
    said = capsys.readouterr()
    assert "star_views.png" in said.out and said.err.count("bad.ply") == 1
    record = json.loads((folder / "out/star.json").read_text())
    assert record["views"][0] == "star" and len(record["views"]) == 10
    assert set(record["parts"]) == {"zero-shot", "weighted", "adapter", "network"}
    scores = [row["score"] for row in record["names"]]
    assert scores == sorted(scores, reverse=True) and len(scores) == 5
    assert Image.open(folder / "out/star_views.png").size[0] > 5 * 128


def test_one_front_view_in_python(tmp_path):
    config = "pointclip/pointclip_zeroshot_tiny_shapes.py"
    namer = CloudNamer.load(config, cfg_options={"model.classes": list(SHAPES)})
    cloud = render_clouds(12, seed=9).points[SHAPES.index("star")]
    assert namer(cloud.numpy()).best(1)[0][0] == "star"
    found = namer(cloud.numpy(), "star, bar")
    assert found.names == ("star", "bar") and float(found.scores.sum()) == pytest.approx(1, abs=1e-5)
    assert found.pictures.shape == (1, 3, 64, 64) and found.plot().size[0] >= 128
    with pytest.raises(ClipkitError, match="finite"):
        namer(np.full((4, 3), np.nan))


def test_a_folder_of_ones_own(tmp_path):
    made = render_clouds(12, points=300, seed=3)
    for split in ("train", "test"):
        for name in ("star", "bar"):
            for number in range(2):
                write_ply(tmp_path / "own" / split / name / f"{number}.ply", made.points[SHAPES.index(name)] + number)
    more = {"variables.root": str(tmp_path / "own"), "variables.store": str(tmp_path / "store")}
    runner = build_runner("pointclip/pointclip_folder.py", work_dir=str(tmp_path / "w"), cfg_options={**TINY, **more})
    runner.train()
    assert runner.model.label_names == ("bar", "star")
    assert CloudNamer.load(tmp_path / "w")(tmp_path / "own/test/star/0.ply").names == ("bar", "star")
    with pytest.raises(ClipkitError, match="shots=3"):
        build_runner(
            "pointclip/pointclip_folder.py", work_dir=str(tmp_path / "x"),
            cfg_options={**TINY, **more, "variables.shots": 3},
        ).train()  # fmt: skip


def test_modelnet40s_files(tmp_path):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "shape_names.txt").write_text("\n".join(SHAPES))
    for split in ("train", "test"):
        (tmp_path / f"{split}_files.txt").write_text(f"data/{split}0.h5\n")
        made = render_clouds(12, points=64, seed=len(split))
        with h5py.File(tmp_path / f"{split}0.h5", "w") as file:
            file["data"], file["label"] = made.points.numpy(), made.shape[:, None].numpy().astype(np.uint8)
    more = {"variables.root": str(tmp_path), "variables.store": str(tmp_path / "store")}
    runner = build_runner(
        "pointclip/pointclip_modelnet40.py", work_dir=str(tmp_path / "w"), cfg_options={**TINY, **more}
    )
    runner.train()
    assert set(runner.test()) == {"top1", "mean_class", "zero-shot", "adapter", "front"}


@pytest.mark.parametrize("path", sorted((ROOT / "configs/pointclip").glob("*.py")), ids=lambda path: path.stem)
def test_configs_load(path):
    cfg = prepare_config(path, for_training="zeroshot" not in path.stem)
    assert cfg.model.type == "PointCLIP" and cfg.test_dataloader.dataset.type == "CloudViews"


@pytest.mark.parametrize("name", ["c31", "c32"])
def test_claims_train_a_config(name):
    _, definition = read_claim(ROOT / "configs" / "claims" / f"{name}.py")
    (run,) = definition["arms"].values()
    assert {s[side] for s in definition["statements"] for side in ("better", "than")} <= set(run["arms"])
    prepare_config(run["kwargs"]["config"], cfg_options={"variables.draw": 10, **run["kwargs"].get("cfg_options", {})})
