"""The configs of public data sets read made-up folders of the official layouts, and map their masks right."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mmseg")

from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from scipy.io import savemat

from clipkit.engine.build import prepare_config
from clipkit.engine.class_names import read_classes
from clipkit.engine.registry import DATASETS, METRICS, MODELS
from clipkit.errors import ClipkitError

BASES = Path(__file__).parents[2] / "configs" / "_base_"
HEIGHT, WIDTH = 30, 45


def stripes(ids, dtype=np.uint8):
    """(30, 45) with the ids in columns of equal width."""
    return np.repeat(np.asarray(ids), -(-WIDTH // len(ids)))[None, :WIDTH].repeat(HEIGHT, 0).astype(dtype)


def put(root, path, content):
    path = root / path
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content)
    elif path.suffix == ".mat":
        savemat(path, {"LabelMap": content})
    else:
        Image.fromarray(content).save(path)


def photo(root, path):
    put(root, path, np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))


def palette_mask(ids):
    """As VOC writes masks: the ids are indices into a palette."""
    image = Image.fromarray(stripes(ids))
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    return image


def ade20k(root):
    for split in ("training", "validation"):
        photo(root, f"images/{split}/ADE_1.jpg")
        put(root, f"annotations/{split}/ADE_1.png", stripes([0, 1, 150]))


def voc(root, year_lists, masks, ids):
    photo(root, "JPEGImages/2007_1.jpg")
    photo(root, "JPEGImages/2007_2.jpg")  # in no list
    for split in ("train", "val"):
        put(root, f"ImageSets/{year_lists}/{split}.txt", "2007_1\n")
    (root / masks).mkdir()
    palette_mask(ids).save(root / masks / "2007_1.png")


def coco(root):
    for split in ("train2017", "val2017"):
        photo(root, f"images/{split}/000000000139.jpg")
        put(root, f"annotations/{split}/000000000139_labelTrainIds.png", stripes([0, 79, 80, 170, 255]))


def cityscapes(root):
    for split in ("train", "val"):
        photo(root, f"leftImg8bit/{split}/ulm/ulm_0_0_leftImg8bit.png")
        put(root, f"gtFine/{split}/ulm/ulm_0_0_gtFine_labelTrainIds.png", stripes([0, 18, 255]))
        put(root, f"gtFine/{split}/ulm/ulm_0_0_gtFine_color.png", stripes([7]))


def ade20k_full(root):
    put(root, "names.json", json.dumps([f"thing, number {i}" for i in range(847)]))
    for split in ("training", "validation"):
        photo(root, f"images_detectron2/{split}/ADE_1.jpg")
        put(root, f"annotations_detectron2/{split}/ADE_1.tif", stripes([0, 255, 256, 846, 65535], np.uint16))


def pc459(root):
    photo(root, "JPEGImages/2008_1.jpg")
    put(root, "labels.txt", "".join(f"{i + 1}: thing{i}\n" for i in range(459)))
    put(root, "trainval/2008_1.mat", stripes([1, 256, 459], np.uint16))
    for split in ("train", "val"):
        put(root, f"ImageSets/SegmentationContext/{split}.txt", "2008_1\n")


LAYOUTS = {
    # what writes the folder, number of classes, first and last name, ids that the masks above turn into
    "seg_ade20k": (ade20k, 150, "wall", "flag", [255, 0, 149]),
    "seg_ade20k_full": (ade20k_full, 847, "thing, number 0", "thing, number 846", [0, 255, 256, 846, 65535]),
    "seg_pc59": (
        lambda root: voc(root, "SegmentationContext", "SegmentationClassContext", [0, 1, 59]),
        59, "aeroplane", "wood", [255, 0, 58],
    ),
    "seg_pc60": (
        lambda root: voc(root, "SegmentationContext", "SegmentationClassContext", [0, 1, 59]),
        60, "background", "wood", [0, 1, 59],
    ),
    "seg_pc459": (pc459, 459, "thing0", "thing458", [0, 255, 458]),
    "seg_voc21": (
        lambda root: voc(root, "Segmentation", "SegmentationClass", [0, 1, 20, 255]),
        21, "background", "tvmonitor", [0, 1, 20, 255],
    ),
    "seg_voc20": (
        lambda root: voc(root, "Segmentation", "SegmentationClass", [0, 1, 20, 255]),
        20, "aeroplane", "tvmonitor", [255, 0, 19, 255],
    ),
    "seg_cocostuff": (coco, 171, "person", "wood", [0, 79, 80, 170, 255]),
    "seg_cocoobject": (coco, 81, "background", "toothbrush", [1, 80, 0, 0, 0]),
    "seg_cityscapes": (cityscapes, 19, "road", "bicycle", [0, 18, 255]),
}  # fmt: skip


def options_of(name, root):
    options = {"variables.data": str(root)}
    if name in ("seg_ade20k_full", "seg_pc459"):
        options["variables.names"] = str(root / ("names.json" if name == "seg_ade20k_full" else "labels.txt"))
    return options


def load(name, root, part):
    cfg = prepare_config(BASES / f"{name}.py", cfg_options=options_of(name, root))
    with DefaultScope.overwrite_default_scope("clipkit"):
        return cfg, DATASETS.build(cfg[f"{part}_dataloader"]["dataset"])


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_official_layout(name, tmp_path):
    write, count, first, last, ids = LAYOUTS[name]
    write(tmp_path)
    cfg, dataset = load(name, tmp_path, "test")
    names = read_classes(cfg.classes)
    assert names == list(dataset.metainfo["classes"]) and len(names) == count
    assert (names[0], names[-1]) == (first, last)
    assert len(dataset) == 1
    item = dataset[0]
    wide = name in ("seg_ade20k_full", "seg_pc459")
    assert np.array_equal(item["data_samples"].gt_sem_seg.data[0].numpy(), stripes(ids, np.int64))
    assert item["inputs"].shape == (3, HEIGHT, WIDTH)
    _, train = load(name, tmp_path, "train")
    item, crop = train[0], (768 if name == "seg_cityscapes" else 480)
    mask = item["data_samples"].gt_sem_seg.data[0]
    assert item["inputs"].shape == (3, crop, crop) and mask.shape == (crop, crop)
    ignored = 65535 if wide else 255
    assert set(mask.unique().tolist()) <= {*ids, ignored}
    assert cfg.data_preprocessor.seg_pad_val == ignored == cfg.test_evaluator.get("ignore_index", 255)


LSEG = {
    "seg_ade20k": 303150, "seg_ade20k_full": 303150, "seg_pc59": 74970, "seg_pc459": 74970, "seg_voc21": 21960,
    "seg_voc20": 21960, "seg_cocostuff": 160000, "seg_cityscapes": 44625,
}  # fmt: skip


QUICK = ("seg_voc20", "seg_cocostuff")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in LSEG])
def test_lseg_on_the_official_layout(name, tmp_path):
    """LSeg's config of the data set: a training step and a prediction on a made-up folder. Tower and CLIP are small,
    everything else is the config's."""
    write, count, _, _, ids = LAYOUTS[name]
    write(tmp_path)
    config = BASES.parent / "lseg" / f"{name.replace('seg', 'lseg', 1)}.py"
    cfg = prepare_config(config, cfg_options=options_of(name, tmp_path))
    assert (cfg.model.type, cfg.model.tower.type, cfg.model.tower.layers) == ("LSeg", "TimmTower", (5, 11, 17, 23))
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[0].end == LSEG[name]
    assert cfg.optim_wrapper.optimizer.type == "SGD" and cfg.auto_scale_lr.base_batch_size == 16
    # One stage: torch 2.15 crashes in the gradient of narrow 1x1 convolutions of stride 2, channels last, on CPUs.
    cfg.model.tower = dict(type="ConvTower", channels=(8,), blocks=(1,), stem_stride=4)
    cfg.model.decoder = dict(type="FPNDecoder", features=8)
    cfg.model.text = dict(clip="tiny_shapes")
    cfg.model.precision = "fp32"
    with DefaultScope.overwrite_default_scope("clipkit"):
        model = MODELS.build(cfg.model)
        train, test = (DATASETS.build(cfg[f"{part}_dataloader"]["dataset"]) for part in ("train", "test"))
    batch = model.data_preprocessor(pseudo_collate([train[0]]), training=True)
    loss = model(**batch, mode="loss")["loss"]
    loss.backward()
    assert 0 < float(loss.detach()) < 100 and len(model.label_names) == count
    sample = model.eval().test_step(pseudo_collate([test[0]]))[0]
    assert sample.pred_sem_seg.data.shape == (1, HEIGHT, WIDTH)
    metric = METRICS.build(cfg.test_evaluator)
    metric.dataset_meta = test.metainfo
    metric.process({}, [sample.to_dict()])
    assert int(metric.results[0][3].sum()) == int((stripes(ids, np.int64) != metric.ignore_index).sum())


def test_small_images_are_padded_with_black_that_counts_nowhere(tmp_path):
    ade20k(tmp_path)
    _, train = load("seg_ade20k", tmp_path, "train")
    train.pipeline.transforms[2].ratio_range = (0.5, 0.5)  # long side 260
    train.pipeline.transforms = [t for t in train.pipeline.transforms if type(t).__name__ != "RandomFlip"]
    item = train[0]
    mask = item["data_samples"].gt_sem_seg.data[0]
    assert (mask[174:] == 255).all() and (item["inputs"][:, 174:] == 0).all()
    assert (mask[:, 260:] == 255).all() and (mask[:173, :260] != 255).any()


def test_wide_masks_that_do_not_fit_are_named(tmp_path):
    ade20k_full(tmp_path)
    put(tmp_path, "names.json", json.dumps(["a", "b"]))
    with pytest.raises(ClipkitError, match=r"ADE_1\.tif: holds id 846, but there are 2 classes from id 0"):
        load("seg_ade20k_full", tmp_path, "test")[1][0]
    (tmp_path / "annotations_detectron2/validation/ADE_1.tif").write_bytes(b"no picture")
    with pytest.raises(ClipkitError, match=r"ADE_1\.tif: cannot be read as a mask"):
        load("seg_ade20k_full", tmp_path, "test")[1][0]
    with pytest.raises(ClipkitError, match="no such folder of images"):
        DATASETS.build(dict(type="WideSegDataset", classes=["a"], data_prefix=dict(img_path="no", seg_map_path="no")))


def test_lists_of_names_that_are_none(tmp_path):
    put(tmp_path, "x.json", '{"a": 1}')
    with pytest.raises(ClipkitError, match=r"x\.json: must hold a JSON list of class names"):
        read_classes(str(tmp_path / "x.json"))
    put(tmp_path, "labels.txt", "1: a\n3: b\n")
    with pytest.raises(ClipkitError, match=r"labels\.txt: name 2 should be numbered '2: …'"):
        read_classes(str(tmp_path / "labels.txt"))
    with pytest.raises(ClipkitError, match=r"dataset:mmseg\.Nothing.*is unknown"):
        read_classes("dataset:mmseg.Nothing")
