"""Configs of data that is not here, on miniatures in the official layouts: they train, or test, from end to end."""

import json
import math

import pytest

import clipkit.engine  # noqa: F401  (before mmdet)

pytest.importorskip("mmdet")
pytest.importorskip("transformers")

from PIL import Image

from clipkit.engine.build import build_runner
from support.glip_parts import narrow

SMALL = (48, 64)


@pytest.fixture
def options(tmp_path):
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").touch()
    return narrow(tmp_path / "bert")


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.linear_gradient("L").resize((64, 48)).convert("RGB").save(path)


def objects(**more):
    """A file in COCO's form: a man and a blue car in one picture; nobody has a red ring."""
    names = {"red car": 2, "man": 3, "ring": 7}
    rows = [([3, 4, 20, 30], 3), ([30, 10, 25, 20], 2)]
    return {
        "images": [{"id": 5, "width": 64, "height": 48, **more}],
        "categories": [{"id": i, "name": name, "frequency": "rcf"[i % 3]} for name, i in names.items()],
        "annotations": [
            {"id": i, "image_id": 5, "category_id": c, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for i, (box, c) in enumerate(rows, 1)
        ],
    }


def test_objects365_trains_and_validates(tmp_path, options):
    for part in ("train", "val"):
        # As its files have it: folders before the name that the archives lack.
        picture(tmp_path / part / "patch0" / "objects365_v2_00000005.jpg")
        content = objects(file_name=f"images/v2/{part}/patch0/objects365_v2_00000005.jpg")
        (tmp_path / f"{part}.json").write_text(json.dumps(content))
    options |= {
        "variables.data": str(tmp_path),
        "train_cfg.max_iters": 1,
        "train_cfg.val_interval": 1,
        "train_dataloader.batch_size": 2,
        "train_dataloader.num_workers": 0,
        "train_dataloader.dataset.pipeline.2.scales": [SMALL],
        "val_dataloader.num_workers": 0,
        "val_dataloader.dataset.pipeline.1.scale": SMALL,
    }
    runner = build_runner("glip/glip_objects365.py", work_dir=tmp_path / "work", seed=0, cfg_options=options)
    runner.train()
    assert runner.iter == 1 and runner.message_hub.get_scalar("val/AP").current() >= 0


def test_lvis_is_judged_by_fixed_ap(tmp_path, options):
    picture(tmp_path / "coco" / "val2017" / "000000000005.jpg")
    more = {"neg_category_ids": [7], "not_exhaustive_category_ids": [2]}
    content = objects(coco_url="http://images.cocodataset.org/val2017/000000000005.jpg", **more)
    (tmp_path / "lvis.json").write_text(json.dumps(content))
    options |= {
        "variables.images": str(tmp_path / "coco"),
        "variables.file": str(tmp_path / "lvis.json"),
        "test_dataloader.num_workers": 0,
        "test_dataloader.dataset.pipeline.1.scale": SMALL,
        "model.test_cfg.chunk_tokens": 8,
    }
    runner = build_runner("glip/glip_lvis.py", work_dir=tmp_path / "work", cfg_options=options, for_training=False)
    assert len(runner.model.chunks) == 2
    found = runner.test()
    assert found["APr"] >= 0 <= found["APf"] and math.isnan(found["APc"])  # a class that no picture has counts nowhere
    assert runner.test_evaluator.metrics[0].rule == "lvis_fixed"


def test_flickr30k_entities(tmp_path, options):
    picture(tmp_path / "flickr30k-images" / "5.jpg")
    (tmp_path / "test.txt").write_text("5\n")
    for folder, name, text in (
        ("Sentences", "5.txt", "[/EN#1/people A man] left of [/EN#2/vehicles the red car] .\n[/EN#1/people A man] .\n"),
        (
            "Annotations",
            "5.xml",
            "<annotation><filename>5.jpg</filename><size><width>64</width><height>48</height></size>"
            "<object><name>1</name><bndbox><xmin>4</xmin><ymin>5</ymin><xmax>24</xmax><ymax>35</ymax></bndbox></object>"
            "<object><name>2</name><bndbox><xmin>31</xmin><ymin>11</ymin><xmax>56</xmax><ymax>31</ymax></bndbox>"
            "</object></annotation>",
        ),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    options |= {
        "variables.data": str(tmp_path),
        "test_dataloader.num_workers": 0,
        "test_dataloader.dataset.pipeline.1.scale": SMALL,
    }
    runner = build_runner("glip/glip_flickr30k.py", work_dir=tmp_path / "work", cfg_options=options, for_training=False)
    assert len(runner.test_dataloader.dataset) == 2
    assert 0 <= runner.test()["phrase/R@1"] <= runner.message_hub.get_scalar("test/phrase/R@10").current() <= 100
