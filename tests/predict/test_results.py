"""Results as other tools take them, on maps and boxes that are known."""

import numpy as np
import pytest
import torch

from clipkit.errors import ClipkitError
from clipkit.predict.detections import Detections
from clipkit.predict.segmenter import Segmentation

NAMES = ("red ball", "grass", "none of these")


@pytest.fixture
def found() -> Segmentation:
    """Two balls, one twice as sure as the other, a speck of ball, and grass."""
    ids = torch.full((40, 60), 2)
    ids[2:12, 3:13], ids[20:30, 40:50], ids[0, 59], ids[35:] = 0, 0, 0, 1
    scores = torch.full((40, 60), 0.4)
    scores[20:30, 40:50] = 0.8
    return Segmentation(ids, scores, NAMES, np.full((40, 60, 3), 90, np.uint8))


def test_regions_are_connected_and_nothing_is_none(found):
    regions = found.regions()
    assert [regions.names[i] for i in regions.labels] == ["red ball", "red ball", "grass"]
    assert regions.boxes.tolist() == [[40, 20, 50, 30], [3, 2, 13, 12], [0, 35, 60, 40]]
    assert regions.scores.tolist() == pytest.approx([0.8, 0.4, 0.4])
    assert regions.masks.flatten(1).sum(1).tolist() == [100, 100, 300]
    assert (
        len(found.regions(min_area=0)) == 4 and len(found.regions(0.1)) == 1 and len(found.regions(min_score=0.5)) == 1
    )
    assert repr(regions) == "Detections(60 x 40: 2 red ball, 1 grass)" and "red ball" in repr(found)


def test_coco_rows_decode_to_the_masks(found):
    coder = pytest.importorskip("pycocotools.mask")
    rows = found.coco(5)
    assert [(row["image_id"], row["category_id"], row["bbox"]) for row in rows][:2] == [
        (5, 1, [40, 20, 10, 10]), (5, 1, [3, 2, 10, 10])
    ]  # fmt: skip
    for row, mask in zip(rows, found.regions().masks):
        assert np.array_equal(coder.decode(row["segmentation"]).astype(bool), mask.numpy())


def test_supervision_takes_them(found):
    pytest.importorskip("supervision")
    taken = found.to_supervision()
    assert taken.xyxy.tolist() == found.regions().boxes.tolist() and list(taken.data["class_name"])[-1] == "grass"
    assert taken.mask.sum() == 500 and taken.class_id.tolist() == [0, 0, 1]
    outlines = found.polygons()
    assert {name: len(parts) for name, parts in outlines.items()} == {"none of these": 3, "red ball": 2, "grass": 1}
    assert outlines["grass"][0].min(0).tolist() == [0, 35] and outlines["grass"][0].max(0).tolist() == [59, 39]
    assert [len(parts) for parts in found.regions().polygons()] == [1, 1, 1]
    boxes = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long), None, NAMES, (40, 60))
    assert len(boxes.to_supervision()) == 0
    with pytest.raises(ClipkitError, match="no mask head"):
        boxes.polygons()


def test_pictures_have_the_colour_that_the_words_say(found, tmp_path):
    shown = np.asarray(found.regions().plot())
    assert shown.shape[1] == 60 * 8
    inside = shown[25 * 8, 45 * 8].astype(int)
    assert inside[0] > inside[1] + 40 and inside[1] == inside[2]
    found.save(tmp_path / "a.png")
    found.regions().save(tmp_path / "b.jpg")
    assert np.asarray(found.regions().plot(beside=True)).shape[1] == 2 * 60 * 8 + 6
    assert (tmp_path / "a.png").stat().st_size and (tmp_path / "b.jpg").stat().st_size
