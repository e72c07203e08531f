"""Detector as a Python object and `clipkit predict` on it: any image, any labels, files that others read."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("mmdet")

import clipkit.engine  # noqa: F401  isort: skip


from mmengine.config import Config
from mmengine.structures import InstanceData

from clipkit import cli
from clipkit.data.draw_objects import draw_objects
from clipkit.engine import Detector
from clipkit.errors import ClipkitError
from clipkit.predict.files import DetectionFiles
from support import vild_parts as parts


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A config and a checkpoint of an untrained model."""
    import clipkit_plugins.vild  # noqa: F401

    folder = tmp_path_factory.mktemp("detector")
    embeddings = parts.write_embeddings(folder)
    resize = dict(type="mmdet.Resize", scale=(96, 64), keep_ratio=True)
    Config(
        dict(
            plugins=["vild"],
            model=parts.model_config(embeddings).to_dict(),
            test_dataloader=dict(dataset=dict(pipeline=[dict(type="mmcv.LoadImageFromFile"), resize])),
        )
    ).dump(folder / "config.py")
    torch.save({"state_dict": parts.build(embeddings).state_dict()}, folder / "model.pth")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(folder / "a.png")
    return folder


@pytest.fixture(scope="module")
def detector(trained):
    return Detector.load(trained / "config.py", trained / "model.pth", "cpu")


def test_objects_come_at_the_image_s_size_best_first(detector, trained):
    found = detector(trained / "a.png")
    assert len(found) > 0 and found.masks.shape == (len(found), 40, 60) and found.size == (40, 60)
    assert (found.scores.diff() <= 0).all()
    assert (found.boxes >= 0).all() and (found.boxes <= torch.tensor([60.0, 40, 60, 40]) + 1e-3).all()
    assert found.names == tuple(parts.NAMES) and sum(found.counts().values()) == len(found)
    top = found.above(float(found.scores[2]))
    assert len(top) == len(top.masks) == int((found.scores >= found.scores[2]).sum()) < len(found)


def test_labels_are_replaced_and_come_back(detector, trained):
    plain = detector(trained / "a.png")
    other = detector(trained / "a.png", "unicorn, blue star")
    assert other.names == ("unicorn", "blue star") and int(other.labels.max()) <= 1
    encoded = detector.model.encode_labels(["grass"])
    assert detector(trained / "a.png", encoded).names == ("grass",)
    again = detector(trained / "a.png")
    assert again.names == plain.names and torch.equal(again.scores, plain.scores)
    with pytest.raises(ClipkitError, match="no embedding for zebra"):
        detector(trained / "a.png", "zebra")
    detector.set_labels()


def test_words_without_meaning_are_named(capsys):
    taught = Detector(parts.build("", text=dict(clip="tiny_clip")))
    assert taught.set_labels("red circle, unicorn") == ("red circle", "unicorn")
    said = capsys.readouterr().err
    assert said.count("warning") == 1 and "never saw unicorn:" in said


def test_coco_results_are_read_by_pycocotools(detector, trained):
    from pycocotools import mask

    found = detector(trained / "a.png")
    rows = found.coco(7)
    assert {row["image_id"] for row in rows} == {7} and min(row["category_id"] for row in rows) >= 1
    assert np.array_equal(mask.decode(rows[0]["segmentation"]).astype(bool), found.masks[0].numpy())
    x, y, w, h = rows[0]["bbox"]
    assert [x, y, x + w, y + h] == pytest.approx(found.boxes[0].tolist(), abs=1e-4)


def test_predict_writes_pictures_and_one_coco_file(trained, tmp_path, capsys):
    (trained / "broken.png").write_bytes(b"no picture")
    arguments = [
        str(trained / "config.py"),
        str(trained / "model.pth"),
        str(trained / "a.png"),
        str(trained / "broken.png"),
    ]
    options = ["--out", str(tmp_path), "--labels", "unicorn, blue star", "--min-score", "0"]
    assert cli.run("predict", [*arguments, *options]) == 1
    shown = capsys.readouterr()
    assert "1 of 2 images, 2 labels" in shown.out and "broken.png" in shown.err
    with Image.open(tmp_path / "a_objects.png") as picture:
        assert picture.width >= 480
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["labels"] == ["unicorn", "blue star"] and record["size"] == [60, 40]
    assert {o["label"] for o in record["objects"]} <= {"unicorn", "blue star"}
    whole = json.loads((tmp_path / "detections.json").read_text())
    assert [i["file_name"] for i in whole["images"]] == [str(trained / "a.png")]
    assert len(whole["annotations"]) == len(record["objects"]) > 0
    from pycocotools.coco import COCO

    assert len(COCO(str(tmp_path / "detections.json")).anns) == len(record["objects"])


class Nameless(torch.nn.Module):
    """A closed-set detector whose checkpoint does not say its classes."""

    label_names = ()

    def test_step(self, data):
        (sample,) = data["data_samples"]
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor([[1.0, 2, 9, 9]]), scores=torch.tensor([0.5]), labels=torch.tensor([3])
        )
        return [sample]


def test_an_image_may_be_called_detections_and_classes_may_have_no_names(trained, tmp_path, capsys):
    (trained / "detections.png").write_bytes((trained / "a.png").read_bytes())
    files = [str(trained / name) for name in ("config.py", "model.pth", "detections.png")]
    assert cli.run("predict", [*files, "--out", str(tmp_path), "--min-score", "0"]) == 0
    capsys.readouterr()
    assert "objects" in json.loads((tmp_path / "detections-2.json").read_text())
    assert "annotations" in json.loads((tmp_path / "detections.json").read_text())
    writer = DetectionFiles(Detector(Nameless()), None, tmp_path, 0.0)
    assert writer.write(trained / "a.png", "a") == "1 class 3"
    writer.finish()
    assert json.loads((tmp_path / "a.json").read_text())["objects"][0]["label"] == "class 3"
    assert json.loads((tmp_path / "detections.json").read_text())["categories"][3] == {"id": 4, "name": "class 3"}


def test_drawn_boxes_and_masks_are_where_they_should_be():
    mask = np.zeros((1, 10, 20), dtype=bool)
    mask[0, 2:4, 3:6] = True
    drawn = draw_objects(np.zeros((10, 20, 3), np.uint8), np.array([[10, 1, 18, 8]]), [(255, 0, 0)], [""], mask, 4, 1.0)
    assert drawn.shape == (40, 80, 3)
    red = (drawn == (255, 0, 0)).all(-1)
    assert red[8:16, 12:24].all() and red[4, 40:73].all() and red[4:33, 40].all() and not red[20, 50]


def test_the_name_of_a_small_box_hides_nothing_in_it():
    drawn = draw_objects(np.zeros((100, 100, 3), np.uint8), np.array([[40, 50, 56, 60]]), [(255, 0, 0)], ["cell"])
    assert not drawn[54:56, 45:51].any() and drawn[38:46, 41].any()  # the name stands above
    tall = draw_objects(np.zeros((100, 100, 3), np.uint8), np.array([[40, 50, 56, 99]]), [(255, 0, 0)], ["cell"])
    assert tall[54:56, 45:51].any() and not tall[38:46, 41].any()
