"""LSeg's zero-shot protocol: what is labelled in training, each image's own labels, and the three recipes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

pytest.importorskip("mmseg")

from clipkit_plugins.lseg.fewshot import EpisodicLSeg
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from clipkit.data import fewshot_lists
from clipkit.engine.build import build_runner, prepare_config
from clipkit.engine.registry import DATASETS, MODELS
from clipkit.errors import ClipkitError
from clipkit.segmentation.episode_metrics import FewShotIoU
from support import fewshot_folders

pytestmark = pytest.mark.filterwarnings("ignore:__array__")  # pycocotools under numpy 2
BENCHMARKS = ("pascal5i", "coco20i", "fss1000")
NAMES = {"pascal5i": [f"shape {i}" for i in range(20)], "coco20i": [f"shape {i}" for i in range(80)], "fss1000": []}
SMALL = {
    "model.text": dict(_delete_=True, clip="tiny_shapes"),
    "model.tower": dict(_delete_=True, type="ConvTower", channels=(4, 6), blocks=(1, 1)),
    "model.decoder": dict(_delete_=True, type="FPNDecoder", features=6),
    "model.precision": "fp32",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """benchmark -> root, with the lists that the command writes."""
    pytest.importorskip("pycocotools")
    roots = {}
    for benchmark in BENCHMARKS:
        root = tmp_path_factory.mktemp(benchmark)
        roots[benchmark] = getattr(fewshot_folders, benchmark.rstrip("0125i"))(root / "data")
        assert fewshot_lists.main([benchmark, str(roots[benchmark])]) == 0
    return roots


def dataset(benchmark, root, subset, fold=0, **options):
    return DATASETS.build(
        dict(
            type="EpisodeDataset",
            benchmark=benchmark,
            data_root=str(root),
            subset=subset,
            fold=fold,
            classes=NAMES[benchmark],
            size=32,
            **options,
        )
    )


@pytest.mark.parametrize("benchmark, folds", [("pascal5i", range(4)), ("coco20i", range(4)), ("fss1000", [0])])
def test_no_pixel_of_a_tested_class_is_labelled_in_training(folders, benchmark, folds):
    for fold in folds:
        train, test = (dataset(benchmark, folders[benchmark], subset, fold) for subset in ("train", "test"))
        tested = set(test.metainfo["tested"])
        labelled = set()
        for index in range(len(train)):
            np.random.seed(index)
            sample = train[index]
            labelled.add(sample["class_id"])
            assert (
                sample["class_id"] not in tested
                and sample["class_name"] == train.metainfo["all_classes"][sample["class_id"]]
            )
            if benchmark == "fss1000":
                continue
            ids = np.asarray(Image.open(sample["seg_map_path"]))
            ids = ids[np.arange(32) * ids.shape[0] // 32][:, np.arange(32) * ids.shape[1] // 32]
            assert set(np.unique(ids[sample["gt_seg_map"] == 1]) - 1) == {sample["class_id"]}
            assert (sample["gt_seg_map"][np.isin(ids, [c + 1 for c in tested])] == 0).all()
        assert len(labelled) > 0.6 * len(set(range(len(train.metainfo["all_classes"]))) - tested)
        assert {test[i]["class_id"] for i in range(min(len(test), 100))} <= tested


def test_coco_draws_classes_before_images(folders):
    """A class with many images comes as often as one with few."""
    data = dataset("coco20i", folders["coco20i"], "train")
    data.of_class = [data.examples[:1], data.examples[1:10]]
    np.random.seed(0)
    drawn = [data[0]["img_path"] == data.examples[0].image for _ in range(200)]
    assert 70 < sum(drawn) < 130


PARTS = dict(
    classes=["red star", "grass"],
    text=dict(clip="tiny_shapes"),
    tower=dict(type="ConvTower", channels=(4, 6), blocks=(1, 1)),
    decoder=dict(type="FPNDecoder", features=6),
    precision="fp32",
    data_preprocessor=dict(type="mmseg.SegDataPreProcessor", mean=[0] * 3, std=[255] * 3, bgr_to_rgb=True),
)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("clipkit"):
        return MODELS.build(dict(type="EpisodicLSeg", **PARTS)).eval()


def episode(name, seed):
    random = np.random.default_rng(seed)
    sample = SegDataSample(metainfo={"class_name": name, "ori_shape": (16, 12), "img_shape": (16, 12)})
    sample.gt_sem_seg = PixelData(data=torch.from_numpy(random.choice([0, 1, 255], (1, 16, 12))))
    return sample


def test_each_image_has_its_own_labels(model):
    names = ["blue ring", "red star", "blue ring"]
    images, samples = torch.randn(3, 3, 16, 12), [episode(name, i) for i, name in enumerate(names)]
    with torch.no_grad():
        loss = float(model.loss(images, samples)["loss"])
        results = model.predict(images, samples)
        expected = []
        for i, name in enumerate(names):
            model.set_labels(["others", name])
            alone = model.predict(images[i : i + 1])[0]
            torch.testing.assert_close(results[i].seg_logits.data, alone.seg_logits.data, atol=1e-5, rtol=0)
            assert torch.equal(results[i].pred_sem_seg.data, alone.pred_sem_seg.data)
            log_softmax = F.log_softmax(alone.seg_logits.data.double(), 0)
            for y, x in np.ndindex(16, 12):  # ignored pixels (255) are background in the loss
                is_class = int(samples[i].gt_sem_seg.data[0, y, x] == 1)
                expected.append(-float(log_softmax[is_class, y, x]))
    assert loss == pytest.approx(np.mean(expected), abs=1e-5)
    model.set_labels()
    assert model.predict(images)[0].metainfo["label_names"] == ("red star", "grass")


def test_text_is_encoded_once_a_class_and_gets_no_gradient(model, monkeypatch):
    calls = []
    encode = type(model.text).encode
    monkeypatch.setattr(
        type(model.text), "encode", lambda self, words: calls.append(words.names) or encode(self, words)
    )
    model._pairs.clear()
    for _ in range(3):
        names = ["green square", "red star", "green square"]
        loss = model.loss(torch.randn(3, 3, 16, 12), [episode(name, i) for i, name in enumerate(names)])["loss"]
    loss.backward()
    assert calls == [("others", "green square"), ("others", "red star")]
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    assert not any(rows.requires_grad for rows in model._pairs.values())


def test_what_has_no_place_is_refused(folders):
    with pytest.raises(ClipkitError, match="no use for points"):
        EpisodicLSeg(points=5)
    with pytest.raises(ClipkitError, match="leave --labels out"):
        FewShotIoU().set_labels(None)
    with pytest.raises(ClipkitError, match="predicts whole images"):
        EpisodicLSeg(**PARTS, test_cfg=dict(mode="slide", window=16, stride=8))
    with pytest.raises(ClipkitError, match=r"pascal5i has 20 classes, and classes= holds 80"):
        DATASETS.build(
            dict(
                type="EpisodeDataset",
                benchmark="pascal5i",
                data_root=str(folders["pascal5i"]),
                subset="train",
                classes=NAMES["coco20i"],
            )
        )


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_the_large_recipe_differs_in_the_tower_alone(benchmark):
    small, large = (prepare_config(f"lseg/lseg_{benchmark}{size}.py") for size in ("", "_vitl16"))
    assert large.model.tower.type == "TimmTower" and large.model.data_preprocessor.mean == [127.5] * 3
    for part in ("tower", "decoder", "data_preprocessor"):
        large.model[part] = small.model[part]
    assert large.model == small.model and large.optim_wrapper == small.optim_wrapper
    assert large.train_dataloader == small.train_dataloader and large.test_dataloader == small.test_dataloader


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_the_recipe_trains_and_tests(folders, benchmark, tmp_path, capsys):
    options = {
        **SMALL,
        "variables.data": str(folders[benchmark]),
        "variables.fold": 1,
        "auto_scale_lr.enable": False,  # the batch is a quarter here
        "train_cfg.max_iters": 2,
        "train_cfg.val_interval": 2,
    }
    for part in ("train", "val", "test"):
        options.update(
            {
                f"{part}_dataloader.{key}": value
                for key, value in {
                    "num_workers": 0,
                    "persistent_workers": False,
                    "batch_size": 4,
                    "dataset.size": 32,
                }.items()
            }
        )
        if part != "train" and benchmark != "fss1000":
            options[f"{part}_dataloader.dataset.length"] = 24
    runner = build_runner(f"lseg/lseg_{benchmark}.py", work_dir=tmp_path, cfg_options=options)
    runner.train()
    scores = runner.test()
    assert 0 <= scores["mIoU"] <= 100 and 0 <= scores["FB-IoU"] <= 100
    tested = runner.test_dataloader.dataset.metainfo["tested"]
    assert tuple(tested[:2]) == {"pascal5i": (5, 6), "coco20i": (1, 5), "fss1000": (9, 10)}[benchmark]
    assert (tmp_path / "predictions.png").is_file()
    rates = {id(group["params"][0]): group["initial_lr"] for group in runner.optim_wrapper.optimizer.param_groups}
    rate = {
        part: {rates[id(p)] for p in getattr(runner.model, part).parameters()} for part in ("tower", "decoder", "head")
    }
    assert rate == {"tower": {0.002}, "decoder": {0.02}, "head": {0.02}}
    assert "requires_grad" not in capsys.readouterr().out  # a line for each weight of the frozen CLIP
