"""Every ViLD config reads a made-up folder in the layout that it names; the embedded world trains and predicts."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("mmdet")

import clipkit.engine  # noqa: F401  isort: skip

from mmengine.registry import DefaultScope

from clipkit import cli
from clipkit.claims.definition import read_claim
from clipkit.embed.region_store import pack, record_id
from clipkit.engine.build import prepare_config
from clipkit.engine.class_names import read_classes
from clipkit.engine.registry import DATASETS, METRICS, MODELS
from clipkit.errors import ClipkitError
from clipkit.store import Store, hash_file

TINY = {"model.text.clip": "tiny_shapes", "model.text.pretrained": None, "model.text.templates": ["{}"],
        "model.text.cache_dir": None}  # fmt: skip


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(path)


def coco(path, names, images, url=None, frequencies=None):
    """One image with one object of each class."""
    box, polygon = [4, 5, 20, 30], [[4, 5, 24, 5, 24, 35, 4, 35]]
    content = {
        "images": [{"id": 1, "width": 64, "height": 48, "file_name": "a.jpg"}],
        "categories": [{"id": 10 + i, "name": name} for i, name in enumerate(names)],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 10 + i, "bbox": box, "area": 600, "segmentation": polygon}
            for i in range(len(names))
        ],
    }  # fmt: skip
    if url:  # LVIS's way
        content["images"][0] |= {"coco_url": url, "neg_category_ids": [], "not_exhaustive_category_ids": []}
        del content["images"][0]["file_name"]
        for category, frequency in zip(content["categories"], frequencies):
            category["frequency"] = frequency
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    picture(images)


def store(folder, image, name, width=128):
    """A teacher's store with two regions of one image."""
    rows = np.eye(width, dtype=np.float32)[:2]
    made = Store(folder, {"kind": "regions"})
    made.build([record_id(name, hash_file(image))],
               lambda ids: [pack(np.array([[0, 0, 30, 30], [20, 10, 60, 40]]), np.ones(2), rows)])  # fmt: skip


def built(config, **options):
    """The config, its training and test data sets, and its model."""
    cfg = prepare_config(config, cfg_options=options)
    with DefaultScope.overwrite_default_scope("clipkit"):
        sets = [DATASETS.build(cfg[f"{part}_dataloader"].dataset) for part in ("train", "test")]
        METRICS.build(cfg.test_evaluator)
        return cfg, *sets, MODELS.build(cfg.model)


@pytest.fixture
def lvis(tmp_path):
    names = ["aerosol_can", "red circle", "blue star"]
    coco(tmp_path / "lvis/annotations/lvis_v1_train.json", names, tmp_path / "coco/train2017/a.jpg",
         "http://x/train2017/a.jpg", "frc")  # fmt: skip
    coco(tmp_path / "lvis/annotations/lvis_v1_val.json", names, tmp_path / "coco/val2017/a.jpg",
         "http://x/val2017/a.jpg", "frc")  # fmt: skip
    store(tmp_path / "teacher", tmp_path / "coco/train2017/a.jpg", "train2017/a.jpg")
    where = {"images": "coco", "data": "lvis", "teacher": "teacher", "norm": "BN"}
    options = {f"variables.{k}": v if k == "norm" else str(tmp_path / v) for k, v in where.items()}
    return {**options, **TINY}


@pytest.mark.parametrize("name", ["vild_lvis_text", "vild_lvis", "vild_lvis_short"])
def test_lvis_leaves_rare_classes_unlabelled(lvis, name):
    if name == "vild_lvis_text":  # which reads no teacher, and says so
        lvis = {key: value for key, value in lvis.items() if key != "variables.teacher"}
    cfg, train, test, model = built(f"vild/{name}.py", **lvis)
    assert train.metainfo["novel_classes"] == ("red circle",)
    sample = train[0]["data_samples"]
    assert set(sample.gt_instances.labels.tolist()) <= {0, 2}
    assert ("teacher_regions" in sample) == (name != "vild_lvis_text")
    assert len(test[0]["data_samples"].instances) == 3
    assert model.variant == ("text" if name == "vild_lvis_text" else "vild")
    assert model.classifier.label_base.tolist() == [True, False, True]
    head = model.roi_head.bbox_head
    assert (len(head.shared_convs), len(head.shared_fcs), len(head.shared_norms)) == (4, 2, 2)
    assert head.reg_class_agnostic and model.roi_head.mask_head.class_agnostic
    release = cfg.train_cfg.max_iters, cfg.optim_wrapper.optimizer.lr
    assert release == ((45000, 0.08) if name.endswith("short") else (180000, 0.32))


def test_transfer_changes_the_vocabulary(lvis, tmp_path):
    root = tmp_path / "voc"
    picture(root / "JPEGImages/a.jpg")
    for folder in ("ImageSets/Main", "Annotations"):
        (root / folder).mkdir(parents=True)
    (root / "ImageSets/Main/test.txt").write_text("a\n")
    box = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>30</ymax></bndbox>"
    (root / "Annotations/a.xml").write_text(f"<a><object><name>dog</name>{box}</object></a>")
    _, _, test, model = built("vild/vild_lvis_on_voc.py", **lvis, **{"variables.target": str(root)})
    assert model.label_names == tuple(read_classes("dataset:mmdet.VOCDataset")) == test.metainfo["classes"]
    assert len(model.classifier.train_text) == 3 and test[0]["data_samples"].instances[0]["bbox_label"] == 11

    coco(tmp_path / "o/annotations/zhiyuan_objv2_val.json", ["Person", "Sneakers"], tmp_path / "o/val/a.jpg")
    _, _, test, model = built("vild/vild_lvis_on_objects365.py", **lvis, **{"variables.target": str(tmp_path / "o")})
    assert model.label_names == ("Person", "Sneakers") and len(test) == 1


def test_coco_has_48_base_and_17_novel_classes(tmp_path):
    names = read_classes("dataset:mmdet.CocoDataset")
    for part in ("train", "val"):
        coco(tmp_path / f"annotations/instances_{part}2017.json", names, tmp_path / f"{part}2017/a.jpg")
    store(tmp_path / "teacher", tmp_path / "train2017/a.jpg", "a.jpg")
    options = {"variables.data": str(tmp_path), "variables.teacher": str(tmp_path / "teacher"), "variables.norm": "BN"}
    cfg, train, test, model = built("vild/vild_coco48_17.py", **options, **TINY)
    assert (len(cfg.base_classes), len(cfg.novel_classes), len(set(cfg.classes) & set(names))) == (48, 17, 65)
    assert len(train[0]["data_samples"].gt_instances) == 48 and len(test[0]["data_samples"].instances) == 65
    assert int(model.classifier.train_base.sum()) == 48 and "teacher_regions" in train[0]["data_samples"]
    del options["variables.teacher"]
    _, train, _, model = built("vild/vild_coco48_17_text.py", **options, **TINY)  # whose RPN proposes for the teacher
    assert model.variant == "text" and "teacher_regions" not in train[0]["data_samples"]


def test_own_json_trains_on_chosen_classes(tmp_path):
    coco(tmp_path / "t.json", ["red circle", "blue star"], tmp_path / "images/a.jpg")
    (tmp_path / "base.txt").write_text("red circle\n")
    options = {
        "variables.train": str(tmp_path / "t.json"), "variables.train_images": str(tmp_path / "images"),
        "variables.val": str(tmp_path / "t.json"), "variables.val_images": str(tmp_path / "images"),
        "variables.base": str(tmp_path / "base.txt"),
    }  # fmt: skip
    _, train, _, model = built("vild/vild_coco_json.py", **options, **TINY)
    assert train[0]["data_samples"].gt_instances.labels.tolist() == [0] and not model.roi_head.with_mask
    store(tmp_path / "teacher", tmp_path / "images/a.jpg", "a.jpg")
    _, train, _, model = built(
        "vild/vild_coco_json_distilled.py", **options, **TINY, **{"variables.teacher": str(tmp_path / "teacher")}
    )
    assert model.variant == "vild" and "teacher_regions" in train[0]["data_samples"]
    del options["variables.base"]
    assert built("vild/vild_coco_json.py", **options, **TINY)[1].metainfo["novel_classes"] == ()


def test_bad_annotations_stop_or_are_left_out(tmp_path):
    coco(tmp_path / "t.json", ["red circle", "blue star"], tmp_path / "images/a.jpg")
    content = json.loads((tmp_path / "t.json").read_text())
    content["annotations"][1]["bbox"] = [70, 5, 4, 4]
    content["images"].append({"id": 2, "width": 5, "height": 5, "file_name": "gone.jpg"})
    (tmp_path / "t.json").write_text(json.dumps(content))
    config = dict(type="CocoJsonDataset", ann_file=str(tmp_path / "t.json"), images=str(tmp_path / "images"))
    with pytest.raises(ClipkitError, match=r"1 missing images: gone.jpg; 1 boxes outside .*: annotation 1. Repair"):
        DATASETS.build(config)
    kept = DATASETS.build(dict(config, on_bad="skip"))
    assert len(kept) == 1 and len(kept.get_data_info(0)["instances"]) == 1
    with pytest.raises(ClipkitError, match=r"variables\.…=PATH"):
        DATASETS.build(dict(config, images=str(tmp_path / "no")))


@pytest.mark.parametrize("name", ["c18", "c19", "c20", "c21", "c22"])
def test_claims_name_what_exists(name):
    _, definition = read_claim(name)
    for run in definition["arms"].values():
        cfg = prepare_config(run["config"], cfg_options=run.get("cfg_options"))
        assert cfg.model.type == "ViLD" and cfg.test_evaluator.type == "DetectionAP"


SHORT = [
    "train_cfg.max_iters=2", "train_cfg.val_interval=2", "train_dataloader.batch_size=2", "param_scheduler.1.begin=1",
    "param_scheduler.0.end=1", "param_scheduler.1.end=2",
]  # fmt: skip


def test_the_embedded_world_trains_tests_and_predicts(tmp_path, capsys):
    """A tiny version of configs/vild/vild_tiny_shapes_ensemble.py: the teacher is made, two steps, AP, a picture."""
    options = [
        *SHORT, "train_dataloader.dataset.length=4", "val_dataloader.dataset.length=2",
        "test_dataloader.dataset.length=2", "train_dataloader.dataset.teacher.most=4",
        f"variables.teacher={tmp_path}/teacher",
    ]  # fmt: skip
    work = str(tmp_path / "w")
    name = "vild/vild_tiny_shapes_ensemble.py"
    assert cli.run("train", [name, "--work-dir", work, "--cfg-options", *options]) == 0
    assert "loss_distill" in capsys.readouterr().out
    assert (
        cli.run("test", [name, work, "--out", f"{tmp_path}/s.json", "--work-dir", work, "--cfg-options", *options]) == 0
    )
    scores = json.loads((tmp_path / "s.json").read_text())["scores"]
    assert {"AP", "AP50", "base_AP50", "novel_AP50", "segm_AP50"} <= set(scores)
    scene = Path(__file__).parents[3] / "examples/scene.png"
    arguments = [name, work, str(scene), "--labels", "orange star, blue ring", "--out", str(tmp_path / "p")]
    assert cli.run("predict", arguments) == 0
    assert (tmp_path / "p/scene_objects.png").is_file() and (tmp_path / "p/detections.json").is_file()
    weights = torch.load(next(Path(work).glob("iter_*.pth")), weights_only=False)["state_dict"]
    assert not [key for key in weights if key.startswith("text")]


def test_real_photos_of_cells_train_open_and_closed(tmp_path, data_root):
    if not (data_root / "bccd").is_dir():
        pytest.skip("no bccd/ in the data")
    data = tmp_path / "bccd"
    for folder in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (data / folder).mkdir(parents=True)
    names = (data_root / "bccd/ImageSets/Main/train.txt").read_text().split()[:3]
    for name in names:
        shutil.copy(data_root / f"bccd/Annotations/{name}.xml", data / "Annotations")
        shutil.copy(data_root / f"bccd/JPEGImages/{name}.jpg", data / "JPEGImages")
    for part in ("train", "val"):
        (data / f"ImageSets/Main/{part}.txt").write_text("\n".join(names))
    options = [
        *SHORT, f"variables.data={data}", "train_dataloader.num_workers=0", "train_dataloader.persistent_workers=False"
    ]  # fmt: skip
    for name in ("vild_bccd", "vild_bccd_closed"):
        work = str(tmp_path / name)
        assert cli.run("train", [f"vild/{name}.py", "--work-dir", work, "--cfg-options", *options]) == 0


def test_1203_names_from_a_file_are_a_vocabulary(data_root, tmp_path):
    from support import vild_parts as parts

    path = data_root / "clip_text/lvis_v1_vitb32_a.npy"
    if not path.is_file():
        pytest.skip("no clip_text/ in the data")
    model = parts.build(str(path), classes=["person", "dog"], base_classes=None)
    names = json.loads(path.with_suffix(".json").read_text())["names"]
    with torch.no_grad():
        assert len(model.set_labels(names)) == 1203
        scores = model.classifier.scores(torch.randn(5, 512))
    assert scores.shape == (5, 1203) and model.classifier.label_base.sum() == 2
