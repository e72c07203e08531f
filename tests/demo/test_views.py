"""What the page is given says the same as the results themselves."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coder

from clipkit.demo.views import SIDE, detection_view, segmentation_view
from clipkit.predict.segmenter import Segmentation


def opened(data):
    return base64.b64decode(data.partition(",")[2])


def segmentation(height=40, width=60, names=("red ball", "wood", "none of these")):
    labels = torch.ones(height, width, dtype=torch.int64)
    labels[:10, :20] = 0
    labels[30:] = 2
    scores = torch.full((height, width), 0.8)
    scores[:10, :10] = 0.2
    return Segmentation(labels, scores, names, np.full((height, width, 3), 90, np.uint8))


def test_the_map_holds_pieces_and_scores():
    view = segmentation_view(segmentation(), 0)
    pixels = np.asarray(Image.open(io.BytesIO(opened(view["map"]))))
    assert pixels.shape == (40, 60, 3)
    pieces = pixels[..., 0] + 256 * pixels[..., 2].astype(int)
    assert (pieces[:10, :20] == 1).all() and (pieces[10:30] == 2).all() and (pieces[30:] == 0).all()
    assert (pixels[:10, :10, 1] == 51).all() and (pixels[:10, 10:, 1] == 204).all()
    assert [piece["name"] for piece in view["pieces"]] == ["red ball", "wood", "none of these"]
    assert view["pieces"][0]["colour"] == "#ff0000" and view["pieces"][2]["colour"] is None
    assert view["legend"][0] == {**view["pieces"][1], "text": "67 % · 0.80"}


@pytest.mark.parametrize("names", [("red ball", "wood", "none of these"), ("red ball", "wood", "grass")])
def test_a_threshold_leaves_pixels_to_none_of_these(names):
    result = segmentation(names=names)
    ids = np.asarray(Image.open(io.BytesIO(opened(segmentation_view(result, 0.5)["files"][0]["data"]))))
    none = 2 if "none of these" in names else 3
    assert (ids[:10, :10] == none).all()
    rest = np.ones(ids.shape, bool)
    rest[:10, :10] = False
    assert (ids[rest] == result.labels.numpy()[rest]).all()


def test_files_have_all_pixels_and_the_page_fewer():
    view = segmentation_view(segmentation(20, 3 * SIDE), 0)
    assert Image.open(io.BytesIO(opened(view["map"]))).size == (SIDE, 7)
    assert Image.open(io.BytesIO(opened(view["photo"]))).size == (SIDE, 7)
    assert Image.open(io.BytesIO(opened(view["files"][0]["data"]))).size == (3 * SIDE, 20)


def test_objects_are_a_coco_file_and_numbers_in_a_picture():
    found = segmentation().regions()
    view = detection_view(found)
    ids = np.asarray(Image.open(io.BytesIO(opened(view["files"][0]["data"]))))
    coco = json.loads(opened(view["files"][1]["data"]))
    assert coco["images"] == [{"id": 1, "file_name": "picture", "width": 60, "height": 40}]
    assert [one["name"] for one in coco["categories"]] == ["red ball", "wood", "none of these"]
    assert len(coco["annotations"]) == 2
    for row in coco["annotations"]:
        mask = coder.decode(row["segmentation"]).astype(bool)
        assert (mask == (ids == row["id"])).all() and row["area"] == mask.sum()
    assert view["boxes"][1] == pytest.approx([0, 0, 20 / 60, 10 / 40])
    assert view["pieces"][1]["name"] == "red ball" and view["pieces"][1]["score"] == pytest.approx(0.5)


def test_boxes_without_masks_and_nothing_at_all():
    found = segmentation().regions()
    found.masks = None
    view = detection_view(found)
    assert [file["name"] for file in view["files"]] == ["picture_coco.json"]
    annotations = json.loads(opened(view["files"][0]["data"]))["annotations"]
    assert annotations[1]["area"] == 200 and "segmentation" not in annotations[1]
    assert detection_view(found.above(2))["note"] == "nothing as sure as the threshold"
