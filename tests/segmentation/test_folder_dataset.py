"""Folders of masks: what their values mean, what each class has, and that nothing empty is trained on."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mmseg")

from clipkit.data import pair_folders
from clipkit.data.pairs import MaskIds
from clipkit.engine.ignored import check_ignored
from clipkit.engine.register import register_all
from clipkit.errors import ClipkitError
from clipkit.segmentation.folder_dataset import FolderSegDataset

register_all()
LOAD = [dict(type="mmcv.LoadImageFromFile"), dict(type="mmseg.LoadAnnotations")]


def folders(root, *masks, mode=None):
    for name in ("i", "m"):
        (root / name).mkdir(exist_ok=True)
    for number, mask in enumerate(masks):
        picture = Image.fromarray(np.asarray(mask)) if mode is None else Image.fromarray(np.asarray(mask)).convert(mode)
        Image.new("RGB", picture.size).save(root / f"i/{number}.png")
        picture.save(root / f"m/{number}.png")
    return root


def data(root, classes=("ground", "star"), **options):
    options.setdefault("pipeline", LOAD)
    return FolderSegDataset(image_dir=root / "i", mask_dir=root / "m", classes=classes, **options)


def halves(low, high, dtype=np.uint8):
    mask = np.full((8, 6), low, dtype)
    mask[4:] = high
    return mask


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_black_and_white_masks_are_recognised_and_read_by_an_option(tmp_path, mode):
    root = folders(tmp_path, halves(0, 255), halves(0, 255))
    if mode == "P":
        for path in (root / "m").iterdir():
            Image.open(path).convert("P").save(path)
    if mode == "1":
        for path in (root / "m").iterdir():
            Image.open(path).convert("1").save(path)
        assert sorted(np.unique(data(root)[0]["gt_seg_map"])) == [0, 1]  # black and white of one bit are ids
        return
    with pytest.raises(ClipkitError, match=r"2 black-and-white masks .* say mask_values=\[0,255\]"):
        data(root)
    with pytest.raises(ClipkitError, match="no usable pair"):
        data(root, on_bad="skip")
    found = data(root, mask_values=[0, 255])[0]["gt_seg_map"]
    assert (found == halves(0, 1)).all()
    assert (data(root, mask_values=[255, 0])[0]["gt_seg_map"] == halves(1, 0)).all()


def test_one_mask_of_classes_and_ignored_pixels_is_no_black_and_white(tmp_path):
    assert len(data(folders(tmp_path, halves(0, 255), halves(0, 1)))) == 2


def test_scaled_and_blurred_masks_say_what_they_are(tmp_path):
    root = folders(tmp_path, halves(0, 128), halves(128, 255))
    with pytest.raises(ClipkitError, match=r"way to read all these masks: mask_values=\[0,128,255\]"):
        data(root, ("a", "b", "c"))
    assert (data(root, ("a", "b", "c"), mask_values=[0, 128, 255])[1]["gt_seg_map"] == halves(1, 2)).all()
    blurred = halves(0, 255)
    blurred[0, 0], blurred[7, 0], blurred[4, 4] = 3, 252, 249
    with pytest.raises(ClipkitError, match="JPEG or resizing blurred: threshold them at 128"):
        data(folders(tmp_path, blurred, blurred))
    (tmp_path / "j").mkdir()
    Image.fromarray(blurred).save(tmp_path / "j/0.jpg")
    with pytest.raises(FileNotFoundError, match="JPEG changes ids: save masks as PNG"):
        pair_folders(tmp_path / "i", tmp_path / "j")


def test_counts_of_classes_are_printed_and_an_empty_set_refused(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("clipkit.segmentation.folder_dataset.print_log", lambda line, logger: said.append(line))
    data(folders(tmp_path, halves(0, 2)), ("ground", "star", "ring"))
    assert said == [f"{tmp_path / 'm'}: 1 masks, 48 pixels: ground 50 %, ring 50 %; NONE of: star"]
    with pytest.raises(ClipkitError, match="no pixels of any class: every pixel is ignored"):
        data(folders(tmp_path, halves(255, 255)))


def test_zero_is_reduced_when_asked(tmp_path):
    root = folders(tmp_path, halves(0, 2), halves(1, 255))
    with pytest.raises(ClipkitError, match="ids that are no class"):
        data(root)
    found = data(root, reduce_zero_label=True)
    assert (found[0]["gt_seg_map"] == halves(255, 1)).all() and (found[1]["gt_seg_map"] == halves(0, 255)).all()
    loader = [LOAD[0], dict(type="mmseg.LoadAnnotations", reduce_zero_label=True)]
    assert (data(root, reduce_zero_label=True, pipeline=loader)[0]["gt_seg_map"] == halves(255, 1)).all()
    with pytest.raises(ClipkitError, match=r"say dataset\.reduce_zero_label=True"):
        data(root, ("a", "b", "c"), pipeline=loader)


@pytest.mark.parametrize("values", [[0], [0, 0], [0, 256], [0, True], [0, 1.5], ["0", 255]])
def test_values_that_are_none(values):
    with pytest.raises(ClipkitError, match=r"give 2 different values of 0\.\.255"):
        MaskIds(2, mask_values=values)
    with pytest.raises(ClipkitError, match="no reduce_zero_label"):
        MaskIds(2, mask_values=[0, 255], reduce_zero_label=True)


def test_a_picture_that_a_transform_cannot_use_is_named(tmp_path):
    root = folders(tmp_path, np.zeros((1, 2000), np.uint8))
    found = data(root, pipeline=[LOAD[0], dict(type="mmcv.Resize", scale=(64, 64), keep_ratio=True)])
    with pytest.raises(ClipkitError, match=r"i/0\.png.*cannot use this picture") as error:
        found[0]
    assert "\n" not in str(error.value)


def test_links_to_folders_are_followed_once(tmp_path):
    (tmp_path / "x").mkdir()
    root = folders(tmp_path / "x", halves(0, 1))
    for name in ("i", "m"):
        (tmp_path / f"far_{name}").mkdir()
        Image.fromarray(halves(0, 1)).save(tmp_path / f"far_{name}/z.png")
        (root / name / "more").symlink_to(tmp_path / f"far_{name}")
        (root / name / "loop").symlink_to(root / name)
        (tmp_path / f"far_{name}" / "back").symlink_to(root / name)
    pairs = pair_folders(root / "i", root / "m", num_classes=2)
    assert [image.relative_to(root / "i").as_posix() for image, _ in pairs.good] == ["0.png", "more/z.png"]
    assert not pairs.problems


def test_an_ignored_id_is_ignored_by_all():
    folder = {"type": "FolderSegDataset", "ignore_index": 0}
    tree = {"train_dataloader": {"dataset": folder}, "model": {"type": "LSeg"}}
    with pytest.raises(
        ClipkitError, match=r"ignore_index=0, but model\.ignore_index=255: pixels of 0 would still be tr"
    ):
        check_ignored(tree)
    check_ignored({**tree, "model": {"type": "LSeg", "ignore_index": 0}})
    heads = {"type": "EncoderDecoder", "decode_head": {"ignore_index": 0}, "auxiliary_head": {"type": "FCNHead"}}
    with pytest.raises(ClipkitError, match=r"model\.auxiliary_head\.ignore_index=255"):
        check_ignored({**tree, "model": heads})
    tested = {"test_dataloader": {"dataset": {"type": "RepeatDataset", "dataset": folder}}}
    with pytest.raises(
        ClipkitError, match=r"dataset\.dataset\.ignore_index=0, but test_evaluator\.1\.ignore_index=255"
    ):
        check_ignored({**tested, "test_evaluator": [{"type": "X"}, {"type": "SeenUnseenIoU"}]})
    check_ignored({**tested, "test_evaluator": {"type": "SeenUnseenIoU", "ignore_index": 0}})
