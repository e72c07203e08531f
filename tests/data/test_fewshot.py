"""Folds, lists and episodes of few-shot segmentation, from made-up folders of the official layouts."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from clipkit.data import fewshot, fewshot_lists
from clipkit.data.fewshot import Example, evaluation_episodes, fold_examples, fss_examples, read_example
from clipkit.errors import ClipkitError
from support import fewshot_folders

pytestmark = pytest.mark.filterwarnings("ignore:__array__")  # pycocotools under numpy 2


@pytest.fixture(scope="module")
def pascal(tmp_path_factory):
    root = fewshot_folders.pascal(tmp_path_factory.mktemp("pascal") / "VOC2012")
    assert fewshot_lists.main(["pascal5i", str(root)]) == 0
    return root


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    pytest.importorskip("pycocotools")
    root = fewshot_folders.coco(tmp_path_factory.mktemp("coco"))
    assert fewshot_lists.main(["coco20i", str(root)]) == 0
    return root


@pytest.fixture(scope="module")
def fss(tmp_path_factory):
    root = fewshot_folders.fss(tmp_path_factory.mktemp("fss"))
    assert fewshot_lists.main(["fss1000", str(root)]) == 0
    return root


@pytest.mark.parametrize("benchmark, count", [("pascal5i", 20), ("coco20i", 80)])
def test_each_class_is_held_out_by_one_fold(benchmark, count):
    folds = [fewshot.held_out_classes(benchmark, fold) for fold in range(4)]
    assert sorted(c for fold in folds for c in fold) == list(range(count))
    assert fewshot.held_out_classes("pascal5i", 2) == [10, 11, 12, 13, 14]
    assert fewshot.held_out_classes("coco20i", 1)[:3] == [1, 5, 9]


def test_pascal_lists_equal_a_count_over_masks(pascal):
    for subset, names in (("trn", (2007, 2009)), ("val", (2008,))):
        expected = {fold: set() for fold in range(4)}
        for year in names:
            for class_id in range(20):
                folder = "SegmentationClassAug" if year == 2009 else "SegmentationClass"
                mask = np.asarray(Image.open(pascal / folder / f"{year}_{class_id:06d}.png"))
                for value, area in Counter(mask.ravel().tolist()).items():
                    if 1 <= value <= 20 and area >= 2048:
                        expected[(value - 1) // 5].add(f"{year}_{class_id:06d}__{value:02d}")
        for fold in range(4):
            lines = (pascal / "splits" / subset / f"fold{fold}.txt").read_text().splitlines()
            assert lines == sorted(lines) and set(lines) == expected[fold]


def test_training_and_test_of_a_fold_share_neither_class_nor_image(pascal):
    for fold in range(4):
        train, test = (fold_examples("pascal5i", pascal, fold, subset) for subset in ("train", "test"))
        held_out = set(range(5 * fold, 5 * fold + 5))
        assert {e.class_id for e in test} == held_out
        assert {e.class_id for e in train} == set(range(20)) - held_out
        assert not {e.image for e in train} & {e.image for e in test}
    assert train[0].mask.endswith("SegmentationClass/2007_000000.png")  # VOC's own masks come first
    assert any("SegmentationClassAug/2009" in e.mask for e in train)


def test_pascal_episodes_cycle_and_cocos_are_the_draws_of_numpys_seed_0(pascal, coco):
    examples = fold_examples("pascal5i", pascal, 1, "test")
    episodes = evaluation_episodes("pascal5i", examples)
    assert len(episodes) == 1000 and episodes[: len(examples)] == examples
    assert episodes[len(examples)] == examples[0]

    examples = fold_examples("coco20i", coco, 3, "test")
    names = {c: [e.image for e in examples if e.class_id == c] for c in range(80)}
    np.random.seed(0)  # as the published evaluation: the global generator, names instead of places
    for episode in evaluation_episodes("coco20i", examples, 50):
        class_id = np.random.choice([3 + 4 * v for v in range(20)], 1, replace=False)[0]
        assert (episode.class_id, episode.image) == (class_id, np.random.choice(names[class_id], 1, replace=False)[0])


def test_image_and_mask_equal_the_published_preprocessing(pascal):
    """The image antialiased, against torch's; the mask by the floor of the scaled index, in plain loops."""
    example = next(e for e in fold_examples("pascal5i", pascal, 0, "test") if e.class_id == 2)
    image, mask = read_example(example, 20, size=48)
    full = torch.from_numpy(np.array(Image.open(example.image).convert("RGB"))).permute(2, 0, 1)[None].double()
    resized = F.interpolate(full, size=(48, 48), mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(image, resized, atol=1.01)  # Pillow rounds after each direction
    ids = np.asarray(Image.open(example.mask))
    for y, x in np.ndindex(48, 48):
        value = ids[y * ids.shape[0] // 48, x * ids.shape[1] // 48]
        assert mask[y, x] == (255 if value == 255 else int(value == 3))
    assert set(np.unique(mask)) == {0, 1, 255}


def test_coco_masks_show_the_smaller_object_in_front(coco):
    mask = np.asarray(Image.open(coco / "annotations" / "val2014" / "COCO_val2014_000000000042.png"))
    expected = fewshot_folders.mask_of(42, 80)
    expected[5:9, 5:9] = 44 + 1
    expected[:20, 86:] = 49 + 1
    np.testing.assert_array_equal(mask, expected)
    assert "val2014/COCO_val2014_000000000042__43" in (coco / "splits/val/fold2.txt").read_text().splitlines()


def test_coco_masks_go_on_after_a_stop(coco, tmp_path):
    source = coco / "annotations" / "instances_val2014.json"
    fewshot_lists.write_coco_masks(source, tmp_path)
    first, second = sorted(tmp_path.iterdir())[:2]
    whole = first.read_bytes()
    first.unlink()
    second.write_bytes(b"kept")
    fewshot_lists.write_coco_masks(source, tmp_path)
    assert first.read_bytes() == whole and second.read_bytes() == b"kept"
    assert len(list(tmp_path.iterdir())) == 80


def test_fss_classes_keep_the_official_test_split(fss):
    parts = {subset: fss_examples(fss, subset) for subset in ("train", "val", "test")}
    names, ids = parts["test"][1], parts["test"][2]
    assert [names[i] for i in ids] == ["cup", "hat"] and len(names) == 11
    assert [len(part[2]) for part in parts.values()] == [6, 3, 2]  # 520 : 240 of the other nine
    assert sorted(i for part in parts.values() for i in part[2]) == list(range(11))
    examples = parts["test"][0]
    assert len(examples) == 6 and evaluation_episodes("fss1000", examples) == examples
    _, mask = read_example(examples[0], None, size=64)
    assert set(np.unique(mask)) == {0, 1}
    expected = np.asarray(Image.open(examples[0].mask).convert("L")) >= 128
    assert mask.mean() == pytest.approx(expected.mean(), abs=0.01)


def test_what_is_wrong_is_said_in_one_line(pascal, coco, fss, tmp_path):
    with pytest.raises(ClipkitError, match="fold 4 of pascal5i does not exist"):
        fold_examples("pascal5i", pascal, 4, "test")
    with pytest.raises(ClipkitError, match="benchmark 'voc' has no folds"):
        fold_examples("voc", pascal, 0, "test")
    with pytest.raises(ClipkitError, match="subset 'val' of coco20i"):
        fold_examples("coco20i", coco, 0, "val")
    with pytest.raises(ClipkitError, match=r"fold0.txt: no such list; write .*fewshot_lists"):
        fold_examples("coco20i", tmp_path, 0, "test")
    with pytest.raises(ClipkitError, match=r"JPEGImages/2008_.*: no such file"):
        fold_examples("pascal5i", tmp_path, 0, "test", splits=pascal / "splits")

    (tmp_path / "val").mkdir()
    bad = tmp_path / "val" / "fold0.txt"
    for content, message in (
        ("2008_000000__06\n", "fold0.txt:1: class 06 is not of this fold"),
        ("2008_000000__01\n2008_000001\n", "fold0.txt:2: '2008_000001' is not 'image__class'"),
        ("\n", "the list is empty"),
    ):
        bad.write_text(content)
        with pytest.raises(ClipkitError, match=message):
            fold_examples("pascal5i", pascal, 0, "test", splits=tmp_path)
    bad.write_bytes(b"\x80\x03}q\x00(\xff")
    with pytest.raises(ClipkitError, match="is not UTF-8 text"):
        fold_examples("pascal5i", pascal, 0, "test", splits=tmp_path)

    with pytest.raises(ClipkitError, match="holds id 100; allowed: 0"):
        wrong = fewshot_folders.mask_of(3, 20)
        wrong[0] = 100
        Image.fromarray(wrong).save(tmp_path / "wrong.png")
        read_example(Example(str(pascal / "JPEGImages/2007_000003.jpg"), str(tmp_path / "wrong.png"), 3), 20)
    with pytest.raises(ClipkitError, match="8 x 8 pixels, but its image"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "small.png")
        read_example(Example(str(pascal / "JPEGImages/2007_000003.jpg"), str(tmp_path / "small.png"), 3), 20)

    (tmp_path / "trn.txt").write_text("bat\ncup\n")
    (tmp_path / "val.txt").write_text("hat\n")
    (tmp_path / "test.txt").write_text("cup\n")
    with pytest.raises(ClipkitError, match="cup is in two lists"):
        fss_examples(fss, "test", splits=tmp_path)
    (tmp_path / "test.txt").write_text("unicorn\n")
    with pytest.raises(ClipkitError, match=r"unicorn: no images of this class"):
        fss_examples(fss, "test", splits=tmp_path)


def test_the_command_says_what_is_missing(pascal, tmp_path, capsys):
    def says(*argv):
        assert fewshot_lists.main(argv) == 2
        return capsys.readouterr().err

    assert "exists already; delete it" in says("pascal5i", str(pascal))
    assert "trainaug.txt: no such image set" in says("pascal5i", str(tmp_path))
    assert "instances_train2014.json: no such file; unpack" in says("coco20i", str(tmp_path))
    assert "--test-set" in says("fss1000", str(tmp_path))
    (tmp_path / "fss_test_set.txt").write_bytes(b"hat\n\xe1\n")
    assert "fss_test_set.txt:2: is not UTF-8 text" in says("fss1000", str(tmp_path))
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train2014.json").write_text('{"images": []}')
    assert "is not COCO's file of instances" in says("coco20i", str(tmp_path))
    made = json.loads((fewshot_folders.coco(tmp_path / "made", 1) / "annotations/instances_val2014.json").read_text())
    for key, change in (
        ("annotations", {"segmentation": [[0, 0, 9, 9, 1.8e19, 9]]}), ("annotations", {"category_id": 12}),
        ("annotations", {"area": None}), ("images", {"height": 1 << 40}), ("images", {"file_name": "a\ud800"}),
    ):  # fmt: skip
        wrong = {**made, key: [{**made[key][0], **change}, *made[key][1:]]}
        (tmp_path / "annotations" / "instances_train2014.json").write_text(json.dumps(wrong))
        assert says("coco20i", str(tmp_path)).startswith(f"error: {tmp_path}/annotations/instances_train2014.json: ")

    other = fewshot_folders.pascal(tmp_path / "VOC2012")
    sets = other / "ImageSets" / "Segmentation"
    (sets / "trainaug.txt").write_text((sets / "val.txt").read_text())
    assert "shares 20 images with 'val'" in says("pascal5i", str(other))
    (sets / "trainaug.txt").write_text("2010_000001\n")
    assert "2010_000001.png: no such mask" in says("pascal5i", str(other))
    assert fewshot_lists.main(["pascal5i", str(other), "--train", "train"]) == 0
