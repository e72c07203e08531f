"""Files of strangers: one line, and onnxruntime never sees what was not looked at."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="the extra onnx")
pytest.importorskip("onnxruntime", reason="the extra onnx")

from onnx import TensorProto, helper

from clipkit.errors import ClipkitError
from clipkit.export import OnnxFile, open_onnx, read
from clipkit.text import TextEmbeddings
from fuzz.read_exports import small_about, small_model


def model(nodes=None, initializers=(), metadata=None):
    made = small_model(small_about())
    if nodes is not None:
        del made.graph.node[:]
        made.graph.node.extend(nodes)
        made.opset_import.extend(helper.make_opsetid(node.domain, 1) for node in nodes if node.domain)
    made.graph.initializer.extend(initializers)
    if metadata is not None:
        del made.metadata_props[:]
    if metadata:
        made.metadata_props.add(key="clipkit", value=metadata)
    return made


def test_a_file_that_was_written_by_hand_predicts(tmp_path):
    (tmp_path / "a.onnx").write_bytes(model().SerializeToString())
    predictor, _ = open_onnx(tmp_path / "a.onnx")
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:, 3:, 1] = 9
    assert predictor(picture).labels.tolist() == [[0, 0, 0, 1, 1, 1]] * 4


def outside(location):
    tensor = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


BRANCH = helper.make_graph(
    [helper.make_node("Constant", [], ["x"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [0.0]))],
    "inner", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
)  # fmt: skip
REFUSED = {
    "another project's": (dict(metadata=""), "no metadata of clipkit"),
    "metadata that are no JSON": (dict(metadata="{"), "metadata are broken"),
    "an unknown kind": (dict(metadata=small_about(kind="x")), "metadata are broken"),
    "another format": (dict(metadata=small_about(format=9)), "format 9"),
    "rows of another number": (
        dict(metadata=small_about(labels={**json.loads(small_about())["labels"], "row_class": [0, 5]})),
        "metadata are broken",
    ),
    "weights in a file above": (dict(initializers=[outside("../../secret")]), "weights in other files"),
    "weights in a file beside": (dict(initializers=[outside("a.bin")]), "weights in other files"),
    "operators of another": (
        dict(nodes=[helper.make_node("Run", ["pictures"], ["scores"], domain="evil")]),
        "uses evil",
    ),
    "a branch": (
        dict(nodes=[helper.make_node("If", ["ends"], ["scores"], then_branch=BRANCH, else_branch=BRANCH)]),
        "uses If",
    ),
    "an operator that is not there": (dict(nodes=[helper.make_node("Nope", ["pictures"], ["scores"])]), "is damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_line(name, tmp_path):
    options, said = REFUSED[name]
    (tmp_path / "a.onnx").write_bytes(model(**options).SerializeToString())
    with pytest.raises(ClipkitError, match=said) as caught:
        OnnxFile(tmp_path / "a.onnx")
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize("kind", ["ConstantOfShape", "Expand", "Tile"])
def test_constants_that_take_the_machine_are_never_computed(kind, tmp_path, monkeypatch):
    monkeypatch.delattr(read, "open_session")
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [40_000, 40_000])
    one = helper.make_tensor("one", TensorProto.FLOAT, [1, 1], [1.0])
    given = ["shape"] if kind == "ConstantOfShape" else ["one", "shape"]
    made = model(initializers=[shape, one])
    made.graph.node.insert(0, helper.make_node(kind, given, ["large"]))
    (tmp_path / "a.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(ClipkitError, match=r"a\.onnx: 'large', which it computes, would grow to 5\.96 GiB"):
        OnnxFile(tmp_path / "a.onnx")


@pytest.mark.parametrize("content", [b"\n", b"PK\x03\x04", b"\x80\x05K\x01.", b"hello"])
def test_what_is_no_onnx(content, tmp_path):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(ClipkitError, match=r"a\.onnx: (is no ONNX file|holds no metadata)"):
        OnnxFile(tmp_path / "a.onnx")


def test_no_such_file(tmp_path):
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(ClipkitError, match="is empty"):
        OnnxFile(tmp_path / "empty.onnx")
    with pytest.raises(FileNotFoundError, match="no such file"):
        OnnxFile(tmp_path / "a.onnx")


OPTIONS = {
    "a window of no pixels": dict(windows=dict(window=0, stride=0)),
    "a window that is a word": dict(windows=dict(window="x", stride=1)),
    "a resize to a million": dict(resize=dict(scale=[10**6, 10**6], keep_ratio=False)),
    "a resize without a size": dict(resize=dict(antialias=True)),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_that_no_export_writes(name, tmp_path):
    (tmp_path / "a.onnx").write_bytes(model(metadata=small_about(options=OPTIONS[name])).SerializeToString())
    with pytest.raises(ClipkitError, match=r"a\.onnx: its metadata are broken"):
        open_onnx(tmp_path / "a.onnx")


def test_scores_of_other_rows(tmp_path):
    (tmp_path / "a.onnx").write_bytes(model().SerializeToString())
    with pytest.raises(ClipkitError, match=r"a\.onnx: gives no scores of 3 rows"):
        open_onnx(tmp_path / "a.onnx")[0](np.zeros((4, 4, 3), np.uint8), TextEmbeddings(("a", "b", "c"), torch.eye(3)))


def test_inputs_that_do_not_fit_are_one_line(tmp_path):
    (tmp_path / "a.onnx").write_bytes(model().SerializeToString())
    with pytest.raises(ClipkitError, match="onnxruntime cannot run it"):
        OnnxFile(tmp_path / "a.onnx").run(pictures=np.zeros((1, 4, 4, 3), np.float32))
