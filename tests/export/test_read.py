"""Files of strangers: one line, and onnxruntime never sees what was not looked at."""

import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra onnx")
pytest.importorskip("onnxruntime", reason="the extra onnx")

from onnx import TensorProto, helper

from clipkit.errors import ClipkitError
from clipkit.export import About, OnnxFile, open_onnx
from clipkit.text import TextEmbeddings


def about(**changes):
    made = About("segment", "Small", None, 1, {"templates": ["{}"]}, options={"join": "classes"})
    import torch

    made.keep(TextEmbeddings(("a", "b"), torch.eye(2, 3)))
    return {**json.loads(made.dump()), **changes}


def model(nodes=None, initializers=(), metadata=None, opset=18):
    """Scores `(B, 2, h, w)`: red and green."""
    ends = helper.make_tensor("ends", TensorProto.INT64, [1], [2])
    starts = helper.make_tensor("starts", TensorProto.INT64, [1], [0])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [3])
    plain = [
        helper.make_node("Slice", ["pictures", "starts", "ends", "axes"], ["two"]),
        helper.make_node("Transpose", ["two"], ["turned"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["turned"], ["scores"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        plain if nodes is None else nodes, "small",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["b", "h", "w", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["b", 2, "h", "w"])],
        initializer=[starts, ends, axes, *initializers],
    )  # fmt: skip
    domains = sorted({"", *(node.domain for node in graph.node)})
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid(name, opset) for name in domains])
    made.ir_version = 10
    if metadata is not False:
        made.metadata_props.add(key="clipkit", value=json.dumps(about()) if metadata is None else metadata)
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
    "another project's": (dict(metadata=False), "no metadata of clipkit"),
    "metadata that are no JSON": (dict(metadata="{"), "metadata are broken"),
    "an unknown kind": (dict(metadata=json.dumps(about(kind="x"))), "metadata are broken"),
    "another format": (dict(metadata=json.dumps(about(format=9))), "format 9"),
    "rows of another number": (
        dict(metadata=json.dumps(about(labels={**about()["labels"], "row_class": [0, 5]}))),
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


def test_inputs_that_do_not_fit_are_one_line(tmp_path):
    (tmp_path / "a.onnx").write_bytes(model().SerializeToString())
    with pytest.raises(ClipkitError, match="onnxruntime cannot run it"):
        OnnxFile(tmp_path / "a.onnx").run(pictures=np.zeros((1, 4, 4, 3), np.float32))
