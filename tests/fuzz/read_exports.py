"""Row: exported files, as `clipkit predict MODEL.onnx` opens and runs them."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clipkit.export import About, open_onnx
from clipkit.text import TextEmbeddings
from fuzz.table import Reader, only

HERE = importlib.util.find_spec("onnxruntime") is not None and importlib.util.find_spec("onnx") is not None


def small_model(metadata: str) -> Any:
    """An `onnx.ModelProto` that gives the red and green of pictures as the scores of two labels."""
    from onnx import TensorProto, helper

    numbers = {"starts": 0, "ends": 2, "axes": 3}
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["pictures", *numbers], ["two"]),
            helper.make_node("Transpose", ["two"], ["turned"], perm=[0, 3, 1, 2]),
            helper.make_node("Cast", ["turned"], ["scores"], to=TensorProto.FLOAT),
        ],
        "small",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["b", "h", "w", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["b", 2, "h", "w"])],
        initializer=[helper.make_tensor(name, TensorProto.INT64, [1], [n]) for name, n in numbers.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    made.ir_version = 10
    made.metadata_props.add(key="clipkit", value=metadata)
    return made


def small_about(**changes: Any) -> str:
    """Metadata of `small_model`, some of it changed."""
    made = About("segment", "Small", None, 1, {"templates": ["{}"]}, options={"join": "classes"})
    made.keep(TextEmbeddings(("a", "b"), torch.eye(2, 3)))
    return json.dumps({**json.loads(made.dump()), **changes})


def _seeds(root: Path) -> None:
    windows = {"join": "words", "resize": {"scale": [8, 6], "keep_ratio": True}, "windows": {"window": 4, "stride": 2}}
    for name, options in (("whole", {"join": "classes"}), ("windows", windows)):
        (root / name).mkdir()
        (root / name / "m.onnx").write_bytes(small_model(small_about(options=options)).SerializeToString())


def _read(folder: Path) -> Any:
    predictor, _ = open_onnx(only(folder))
    return predictor(np.zeros((6, 7, 3), np.uint8))


READERS = [Reader("exported models", _seeds, _read)] if HERE else []
