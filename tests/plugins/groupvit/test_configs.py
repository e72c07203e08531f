"""GroupViT's configs: the original's protocol on made-up data sets in their official layouts, training, claims."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from PIL import Image

from clipkit import cli
from clipkit.claims.definition import read_claim
from clipkit.engine.build import build_runner, prepare_config
from clipkit.engine.registry import MODELS
from clipkit.shapes import render

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / "configs" / "groupvit"
SMALL = """
model = dict(
    text=dict(width=16, layers=1, heads=2, hidden=16, dim=8),
    tokens=dict(dim=32, patch=8, size=32),
    encoder=dict(dim=32, heads=2, depths=(1, 1, 1), tokens=(6, 4, 0), groups=(6, 4, 0)),
    hidden=16,
    precision="fp32",
    data_preprocessor=dict(size=(32, 32)),
)
"""
SETS = {
    # config: threshold, classes, layout: pictures and masks below the root, list, ids of the mask
    "groupvit_voc": (0.95, 21, ("JPEGImages/a.jpg", "SegmentationClass/a.png", "ImageSets/Segmentation/val.txt")),
    "groupvit_context": (
        0.35, 60, ("JPEGImages/a.jpg", "SegmentationClassContext/a.png", "ImageSets/SegmentationContext/val.txt"),
    ),
    "groupvit_coco": (0.95, 81, ("images/val2017/a.jpg", "annotations/val2017/a_labelTrainIds.png", None)),
}  # fmt: skip


def child(tmp_path, name, more=""):
    path = tmp_path / f"{name}_small.py"
    path.write_text(f'_base_ = ["{CONFIGS / name}.py"]\n{SMALL}{more}')
    return str(path)


@pytest.mark.parametrize("name", SETS)
def test_the_originals_protocol(name, tmp_path):
    threshold, classes, (picture, mask, names) = SETS[name]
    cfg = prepare_config(CONFIGS / f"{name}.py", for_training=False)
    assert (cfg.model.threshold, cfg.model.top_classes) == (threshold, 5)
    assert (cfg.model.test_cfg.window, cfg.model.test_cfg.stride) == (448, 224)
    assert tuple(cfg.test_dataloader.dataset.pipeline[1].scale) == (2048, 448)
    assert cfg.model.encoder.tokens == (64, 8, 0) and cfg.model.equal_phrases is False
    root = tmp_path / "data"
    rng = np.random.default_rng(0)
    for file in (picture, mask, *((names,) if names else ())):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (40, 64, 3), dtype=np.uint8)).save(root / picture)
    Image.fromarray(rng.integers(0, min(classes, 60), (40, 64), dtype=np.uint8)).save(root / mask)
    if names:
        (root / names).write_text("a\n")
    more = "\nmodel['test_cfg'] = dict(mode='slide', window=64, stride=32)\ntest_dataloader = dict(num_workers=0, "
    more += "persistent_workers=False)\n"
    path = child(tmp_path, name, more)
    runner = build_runner(path, work_dir=tmp_path / "w", cfg_options={"variables.data": str(root)}, for_training=False)
    assert len(runner.bare_model.label_names) == classes and runner.bare_model.label_names[-1] == "background"
    assert set(runner.test()) >= {"mIoU", "aAcc"}


@pytest.mark.parametrize("name", ["groupvit_gcc_yfcc", "groupvit_gcc_redcaps"])
def test_training_from_shards(name, tmp_path):
    cfg = prepare_config(CONFIGS / f"{name}.py", for_training=True)
    assert cfg.optim_wrapper.optimizer.lr == 1.6e-3 and cfg.optim_wrapper.clip_grad.max_norm == 5.0
    data = tmp_path / "data"
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(stream, "JPEG")
    for folder in ("gcc3m", "gcc12m", "yfcc14m", "redcaps12m"):
        (data / folder).mkdir(parents=True)
        with tarfile.open(data / folder / "00000.tar", "w") as tar:
            extra = json.dumps({"nouns": ["dog", folder]}).encode()
            for kind, content in (("jpg", stream.getvalue()), ("txt", f"a dog of {folder}".encode()), ("json", extra)):
                for i in range(2):
                    info = tarfile.TarInfo(f"{i}.{kind}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    more = (
        "\ntrain_dataloader = dict(batch_size=3, num_workers=0, persistent_workers=False)\n"
        "train_cfg = dict(max_iters=2, val_interval=10)\n"
    )
    options = [f"variables.data={data}", "train_dataloader.dataset.pipeline.1.size=32"]
    arguments = [child(tmp_path, name, more), "--work-dir", str(tmp_path / "w"), "--cfg-options", *options]
    assert cli.run("train", arguments) == 0
    assert (data / f"{name.removeprefix('groupvit_')}_index.npz").is_file()


def test_zero_shot_classification(tmp_path):
    cfg = prepare_config(CONFIGS / "groupvit_imagenet.py", for_training=False)
    assert cfg.test_dataloader.dataset.names == "imagenet" and cfg.model.text.templates == "openai"
    base = CONFIGS / "groupvit_tiny_shapes_frozen.py"
    (tmp_path / "c.py").write_text(
        f'_base_ = ["{base}"]\n'
        "train_dataloader = dict(batch_size=8, dataset=dict(length=16))\n"
        "train_cfg = dict(max_iters=1, val_interval=10)\ncustom_hooks = []\n"
    )
    work = str(tmp_path / "w")
    assert cli.run("train", [str(tmp_path / "c.py"), "--work-dir", work]) == 0
    (tmp_path / "t.py").write_text(
        f'_base_ = ["{tmp_path / "c.py"}"]\n'
        'test_dataloader = dict(dataset=dict(_delete_=True, type="ShapesImages", length=40))\n'
        'test_cfg = dict(_delete_=True, type="GroupZeroShotLoop", size=64, crop=64, batch=16)\n'
        "test_evaluator = []\n"
    )
    out = str(tmp_path / "scores.json")
    assert cli.run("test", [str(tmp_path / "t.py"), work, "--work-dir", work, "--out", out]) == 0
    scores = json.loads(Path(out).read_text())["scores"]
    assert set(scores) == {"top1", "top5"} and 0 <= scores["top1"] <= scores["top5"] <= 100


@pytest.mark.parametrize("kind", ["", "_frozen", "_two_stages", "_kmeans"])
def test_the_worlds_models_learn(kind):
    cfg = prepare_config(CONFIGS / f"groupvit_tiny_shapes{kind}.py")
    with DefaultScope.overwrite_default_scope("clipkit"):
        model = MODELS.build(cfg.model).train()
    scenes = render(4, seed=1)
    told = scenes.tell()
    phrases = [[caption.text[span.start : span.end] for span in caption.spans] for caption in told]
    inputs = (scenes.images * 255 - 127) / 64
    found = model.losses(model.look(inputs), [caption.text for caption in told], phrases)
    assert set(found) == {"loss_caption", "loss_groups", "groups_used", "scale"}
    assert found["groups_used"] >= 1  # untrained groups of two stages may be one
    (found["loss_caption"] + found["loss_groups"]).backward()
    assert not [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]


@pytest.mark.parametrize("name", ["c15", "c16", "c17"])
def test_claims_name_configs_that_exist(name):
    path, definition = read_claim(ROOT / "configs" / "claims" / f"{name}.py")
    assert len(definition["arms"]) >= 2 and path.is_file()
    for run in definition["arms"].values():
        for test in run.get("tests", {"": {}}).values():
            options = {**run.get("cfg_options", {}), **test}
            cfg = prepare_config(run["config"], cfg_options=options, for_training=run.get("train", True))
            assert cfg.model.type in ("GroupViT", "KMeansCLIP")
