"""ViLD as ONNX: the same objects as the model itself finds, with any labels, by `clipkit predict`."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime", reason="the extra onnx")
pytest.importorskip("mmdet")

from mmdet.structures import DetDataSample
from mmengine.config import Config
from PIL import Image
from torchvision.ops import box_iou

from clipkit.cli import main
from clipkit.errors import ClipkitError
from clipkit.export import About, OnnxFile, check, compare, export_onnx, model_graph, open_onnx
from clipkit.export.detector import fitted
from clipkit.predict.detector import Detector
from support.scenes import scene
from support.vild_parts import NAMES, build, model_config, write_embeddings

SIZE = (64, 96)
RESIZE = dict(type="mmdet.Resize", scale=(96, 64), keep_ratio=True)


def learned(folder, **changes):
    """A model whose boxes and scores differ, as those of a trained one do."""
    embeddings = write_embeddings(folder)
    model = build(embeddings, **changes).eval()
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model, model_config(embeddings, **changes)


def config_of(model, *pipeline):
    return Config(dict(model=model, test_dataloader=dict(dataset=dict(pipeline=list(pipeline)))))


def photo(high=SIZE[0], wide=SIZE[1], seed=3):
    drawn = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(drawn).resize((wide, high), Image.NEAREST))


def same(found, wanted):
    """Objects of equal labels: as many, and each has its partner."""
    assert len(found) == len(wanted) > 0
    distance = (found.boxes[:, None] - wanted.boxes).abs().amax(-1) + (found.scores[:, None] - wanted.scores).abs()
    distance += 1000.0 * (found.labels[:, None] != wanted.labels)
    assert distance.min(1).values.max() < 2e-3 and distance.min(0).values.max() < 2e-3


@pytest.fixture(scope="module", params=["vild", pytest.param("ensemble", marks=pytest.mark.slow)])
def pair(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("detect")
    model, written = learned(folder, variant=request.param)
    graph, about = model_graph(model, config_of(written, RESIZE), SIZE)
    found = export_onnx(graph, about, folder / "a.onnx")
    assert found.difference <= 1e-4 and found.agreement >= 0.999 and found.inputs == 10
    return model, folder / "a.onnx"


def test_the_same_objects_with_any_labels(pair):
    model, path = pair
    detector, exported = Detector(model), open_onnx(path)[0]
    for labels in (None, model.encode_labels(["unicorn", "red circle", "blue star"])):
        for one in range(2):
            same(exported(photo(seed=one), labels), detector(photo(seed=one), labels))
        first, second = exported([photo(seed=0), photo(seed=1)], labels)
        same(first, exported(photo(seed=0), labels)), same(second, exported(photo(seed=1), labels))
    model.set_labels(None)


def test_a_smaller_picture_is_padded_as_in_a_batch(pair):
    model, path = pair
    small, large = photo(48, 72), photo()
    samples = []
    for one in (small, large):
        about = {"ori_shape": one.shape[:2], "img_shape": one.shape[:2], "scale_factor": (1.0, 1.0), "img_id": 0}
        samples.append(DetDataSample(metainfo=about))
    inputs = [torch.from_numpy(np.ascontiguousarray(one[..., ::-1].transpose(2, 0, 1))) for one in (small, large)]
    with torch.no_grad():
        wanted = model.test_step({"inputs": inputs, "data_samples": samples})[0].pred_instances
    exported = open_onnx(path)[0]
    exported.options["resize"] = None
    found = exported(small)
    assert found.size == (48, 72) and found.boxes[:, 2].max() <= 72 and found.boxes[:, 3].max() <= 48
    same(found, Detector._read(wanted, found.names, small))


def test_large_and_flat_pictures_fit(pair):
    exported = open_onnx(pair[1])[0]
    for high, wide in ((300, 500), (500, 300), (2, 300), (1, 1)):
        found = exported(photo(high, wide))
        assert found.size == (high, wide)
        assert len(found) == 0 or (found.boxes[:, 2].max() <= wide + 1e-3 and found.boxes[:, 3].max() <= high + 1e-3)
    assert fitted((300, 500), SIZE) == (57, 96) and fitted((10, 20), SIZE) == (10, 20)
    assert fitted((1, 9999), SIZE) == (1, 96)


def test_the_picture_in_its_array_is_all_that_counts(pair):
    """What lies beside the picture changes nothing, and no box reaches it."""
    file = OnnxFile(pair[1])
    rows = np.eye(3, 8, dtype=np.float32)
    array = np.zeros((2, *SIZE, 3), np.uint8)
    array[:, :32, :48] = photo(32, 48)
    array[1, 32:] = 255
    sides = np.array([[32, 48]] * 2, np.float32)
    found = dict(zip(file.outputs, file.run(pictures=array, sides=sides, text=rows)))
    for name, output in found.items():
        assert np.allclose(output[0], output[1], atol=1e-4), name
    assert found["boxes"].min() >= 0 and (found["boxes"].max((0, 1)) <= [48, 32, 48, 32]).all()
    assert found["scores"].shape == (2, 3, 20) and (np.diff(found["objectness"]) <= 0).all()


def test_by_the_command_line(pair, tmp_path, capsys):
    Image.fromarray(photo()).save(tmp_path / "a.png")
    assert main(["predict", str(pair[1]), str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]) == 0
    record = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert [row["name"] for row in record["categories"]] == list(NAMES) and record["annotations"]
    assert (tmp_path / "out" / "a_objects.png").is_file()


@pytest.mark.parametrize(
    "shapes",
    [
        {"boxes": (1, 20, 3)}, {"boxes": (1, 19, 4)}, {"boxes": (20, 4)}, {"objectness": (1, 19)}, {"objectness": ()},
        {"background": (1, 19)}, {"background": (20,)}, {"scores": (1, 4, 19)}, {"scores": (1, 4)},
        {"scores": (1, 4, 20, 1)},
    ],
)  # fmt: skip
def test_outputs_that_do_not_fit_are_one_line(pair, shapes, monkeypatch):
    exported = open_onnx(pair[1])[0]
    right = {"scores": (1, 4, 20), "boxes": (1, 20, 4), "objectness": (1, 20), "background": (1, 20)}
    exported.outputs = list(right)
    made = [np.ones(shape, np.float32) for shape in (right | shapes).values()]
    monkeypatch.setattr(exported.model.file, "run", lambda **inputs: made)
    with pytest.raises(ClipkitError, match=r"a\.onnx: .* export it again"):
        exported(photo())


def test_what_says_why_it_is_not_exported(tmp_path, capsys):
    model, written = learned(tmp_path)
    with pytest.raises(ClipkitError, match="give it by --size"):
        model_graph(model, config_of(written))
    with pytest.raises(ClipkitError, match="give it by --size"):
        model_graph(model, config_of(written, RESIZE), "any")
    graph, _ = model_graph(model, config_of(written, dict(RESIZE, scale=(50, 40))))
    assert graph.array == (50, 50) and "masks are left out" in capsys.readouterr().err
    with pytest.raises(ClipkitError, match="move a detector's boxes"):
        export_onnx(graph, About("detect", precision="fp16"), tmp_path / "a.onnx")
    model.roi_head.test_cfg["nms"] = dict(type="soft_nms", iou_threshold=0.5)
    with pytest.raises(ClipkitError, match="between objects it has soft_nms"):
        model_graph(model, config_of(written), SIZE)


def test_a_box_of_one_side_alone_is_disagreement(tmp_path):
    """The comparison sees boxes that are missing, too many, elsewhere, or of another label."""
    model, written = learned(tmp_path)
    graph, _ = model_graph(model, config_of(written), SIZE)
    names = dict(zip(graph.outputs, range(9)))

    def changed(change):
        def run(inputs):
            with torch.no_grad():
                found = [one.clone() for one in graph(*map(torch.from_numpy, inputs))]
            change(found)
            return [one.numpy() for one in found]

        return compare(graph, run, 2)

    def reverse(found):
        for name, place in names.items():
            found[place] = found[place].flip(1 if name == "boxes" or found[place].ndim == 2 else 2)

    assert changed(reverse) == check.Check(0.0, 1.0, 2)  # the order of boxes is open
    gone = changed(lambda found: found[names["objectness"]][:, 0].fill_(-1.0))
    assert 0.9 < gone.agreement < 1
    moved = changed(lambda found: found[names["boxes"]][:, 0].add_(1.0))
    assert 0.9 < moved.agreement < 1
    other = changed(lambda found: found[names["scores"]].neg_())
    assert other.agreement < 0.9 and other.difference > 0.1


def test_hostile_metadata(pair):
    exported = open_onnx(pair[1])[0]
    for change in ({"iou": "0.5"}, {"score": float("nan")}, {"most": 0}, {"base": [1]}, {"resize": {"scale": [0, 1]}}):
        exported.about.options = {**exported.options, **change}
        with pytest.raises((ValueError, TypeError, KeyError)):
            type(exported)(exported.model)


def test_boxes_do_not_overlap(pair):
    found = open_onnx(pair[1])[0](scene())
    for label in found.labels.unique():
        boxes = found.boxes[found.labels == label]
        assert (box_iou(boxes, boxes).fill_diagonal_(0) <= 0.5 + 1e-6).all()
