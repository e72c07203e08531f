"""Segmentors as ONNX: the same label maps as the model itself, with any labels, by `clipkit predict`."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime", reason="the extra onnx")
pytest.importorskip("mmseg")

from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from clipkit.cli import main
from clipkit.engine.plugins import load_plugins
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.export import Frozen, OnnxFile, export_onnx, model_graph, open_onnx
from clipkit.export.precision import lowered
from clipkit.predict.segmenter import Segmenter
from support.groupvit_parts import small
from support.scenes import scene

PREPROCESSOR = dict(
    type="mmseg.SegDataPreProcessor", mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True, size=(64, 64), seg_pad_val=255
)
LSEG = dict(
    type="LSeg", classes=["red circle", "grass", "blue ring"], text=dict(clip="tiny_clip"), precision="bf16",
    tower=dict(type="ConvTower", channels=(4, 8), blocks=(1, 1)), decoder=dict(type="FPNDecoder", features=8),
    data_preprocessor=PREPROCESSOR, test_cfg=dict(mode="slide", window=64, stride=32),
)  # fmt: skip
DENSE = dict(
    type="DenseCLIP", classes=["grass", "red circle", "background"], text=dict(clip="tiny_clip", dense="vanilla"),
    data_preprocessor=PREPROCESSOR, threshold=0.4, precision="fp32",
)  # fmt: skip


def built(plugin, **model):
    load_plugins([plugin])
    torch.manual_seed(0)
    cfg = Config(dict(model=model, test_dataloader=dict(dataset=dict(pipeline=[]))))
    with DefaultScope.overwrite_default_scope("clipkit"):
        return MODELS.build(cfg.model).eval(), cfg


def exported(path, plugin, model, size=None):
    module, cfg = built(plugin, **model)
    graph, about = model_graph(module, cfg, size)
    return Segmenter(module), export_onnx(graph, about, path), (graph, about)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("segment")


@pytest.fixture(scope="module")
def lseg(folder):
    """A work folder, which holds what training leaves, and its file by the command line."""
    work = folder / "lseg"
    work.mkdir()
    model, _ = built("lseg", **LSEG)
    Config(dict(default_scope="clipkit", plugins=["lseg"], model=LSEG)).dump(work / "config.py")
    torch.save({"state_dict": model.state_dict(), "meta": {}}, work / "iter_1.pth")
    assert main(["export", str(work)]) == 0
    return Segmenter.load(work, device="cpu", cfg_options={"model.precision": "fp32"}), work / "model.onnx"


@pytest.fixture(scope="module")
def dense(folder):
    segmenter, check, _ = exported(folder / "dense.onnx", "dense_clip", DENSE, "any")
    assert check.difference <= 1e-4 and check.agreement >= 0.999 and check.inputs == 10
    return segmenter, folder / "dense.onnx"


@pytest.fixture(scope="module")
def photo():
    return np.concatenate([scene(), scene()[:, ::-1]], axis=1)[:, :96].copy()


@pytest.mark.parametrize("labels", [None, "red circle, water; sea, grass", ["ring"]])
@pytest.mark.parametrize("kind", ["lseg", pytest.param("dense", marks=pytest.mark.slow)])
def test_label_maps_are_the_models_own(request, kind, labels, photo):
    segmenter, path = request.getfixturevalue(kind)
    wanted, found = segmenter(photo, labels), open_onnx(path)[0](photo, labels)
    assert found.names == wanted.names
    assert (found.labels == wanted.labels).float().mean() > 0.999
    assert torch.allclose(found.scores, wanted.scores, atol=1e-4)


def test_predict_writes_the_files_of_the_work_folder(lseg, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "photo.png")
    labels = "red circle, grass; meadow"
    assert main(["predict", str(lseg[1]), str(tmp_path / "photo.png"), "--labels", labels, "--out", str(tmp_path)]) == 0
    wanted = lseg[0](photo, labels)
    assert (np.asarray(Image.open(tmp_path / "photo_labels.png")) == wanted.labels.numpy()).mean() > 0.999
    record = json.loads((tmp_path / "photo.json").read_text())
    assert record["labels"] == ["red circle", "grass"] and record["size"] == [96, 64]
    assert (tmp_path / "photo_overlay.png").is_file()


def test_half_precision_of_a_work_folders_file(lseg, photo, tmp_path):
    import onnx

    made = lowered(onnx.load(lseg[1]), "fp16")
    assert onnx.TensorProto.FLOAT16 in {one.data_type for one in made.graph.initializer}
    (tmp_path / "a.onnx").write_bytes(made.SerializeToString())
    wanted, found = lseg[0](photo, ["water", "grass"]), open_onnx(tmp_path / "a.onnx")[0](photo, ["water", "grass"])
    assert (found.labels == wanted.labels).float().mean() > 0.98
    with pytest.raises(ClipkitError, match="this model has none: try fp16"):  # it is of convolutions alone
        lowered(onnx.load(lseg[1]), "int8")


@pytest.mark.slow
def test_frozen_labels_are_no_input(photo, tmp_path):
    segmenter, _, (graph, about) = exported(tmp_path / "free.onnx", "lseg", LSEG)
    own = segmenter.model.encode_labels(["water", "grass"])
    about = type(about)(**{**vars(about), "frozen": True})
    about.keep(own)
    assert export_onnx(Frozen(graph, own.matrix), about, tmp_path / "a.onnx").agreement >= 0.999
    assert OnnxFile(tmp_path / "a.onnx").inputs == ["pictures"]
    predictor, _ = open_onnx(tmp_path / "a.onnx")
    assert torch.equal(predictor(photo).labels, segmenter(photo, ["water", "grass"]).labels)
    with pytest.raises(ClipkitError, match="frozen"):
        predictor(photo, ["cat"])


@pytest.mark.slow
def test_groups_keep_their_own_text(photo, tmp_path):
    torch.manual_seed(0)  # of two groups that are nearly equal each library may take another
    model = small().float()
    cfg = Config(dict(model=dict(text=dict(width=16)), test_dataloader=dict(dataset=dict(pipeline=[]))))
    graph, about = model_graph(model, cfg)
    assert graph.size is None and not about.text.get("clip")
    check = export_onnx(graph, about, tmp_path / "a.onnx")
    wanted, predictor = Segmenter(model)(photo), open_onnx(tmp_path / "a.onnx")[0]
    assert check.difference <= 1e-4
    assert (predictor(photo).labels == wanted.labels).float().mean() > 0.999
    with pytest.raises(ClipkitError, match="names no CLIP"):
        predictor(photo, ["cat"])


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (dict(DENSE, area=0.1), "DenseCLIP: area= looks at all labels"),
        (dict(DENSE, upsample=2.0), "upsample= is not exported"),
    ],
)
def test_what_cannot_be_exported_says_why(model, said):
    with pytest.raises(ClipkitError, match=said):
        model_graph(*built("dense_clip", **model))


def test_sizes_that_do_not_fit():
    model, cfg = built("lseg", **LSEG)
    with pytest.raises(ClipkitError, match="its windows have 64 pixels"):
        model_graph(model, cfg, (96, 96))
    with pytest.raises(ClipkitError, match="multiples of 32"):
        model_graph(model, cfg, (100, 96))
