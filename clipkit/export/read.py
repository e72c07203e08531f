"""Opens an exported file: looked at before onnxruntime sees it, for a graph may come from a stranger."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clipkit.device import usable_device
from clipkit.errors import ClipkitError, one_line, shown, some
from clipkit.export.about import KEY, About, parse_about
from clipkit.safe import require

DOMAINS = ("", "ai.onnx")
_SHAPE = 64  # more numbers than a shape has
_PICTURES = 64 << 20  # bytes that a file is granted beside its own, for what is as large as pictures
_PLACES = ("If", "Loop", "Scan", "SequenceMap")  # no graph of clipkit's branches or repeats


class OnnxFile:
    """An exported file: `file.about`, and `file.run(pictures=…, text=…)`.

    Args:
        path: what `clipkit export` wrote.
        device: 'cpu' (also None), or 'cuda' where onnxruntime has it.
        threads: of onnxruntime on the CPU; None: as many as torch uses.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: one line: it is no such file, damaged, or asks for what no graph of clipkit's needs.
    """

    def __init__(self, path: str | Path, device: str | None = None, threads: int | None = None) -> None:
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        content = path.read_bytes()
        if not content:
            raise ClipkitError(f"{path}: is empty: copy or export it again")
        self.about: About = parse_about(checked_metadata(content, path), path)
        self.session = open_session(content, device, str(path), threads)
        self.inputs = [one.name for one in self.session.get_inputs()]
        self.outputs = [one.name for one in self.session.get_outputs()]
        self.path = path

    def run(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """All outputs, in order.

        Raises:
            ClipkitError: onnxruntime refuses the inputs.
        """
        try:
            return self.session.run(None, inputs)
        except Exception as error:  # onnxruntime's own kinds
            raise ClipkitError(f"{self.path}: onnxruntime cannot run it ({one_line(error, 200)})") from error


def checked_metadata(content: bytes, path: object) -> str | None:
    """clipkit's metadata of a model in ONNX's format.

    Raises:
        ClipkitError: the bytes are no model, or one with data outside of the file, operators of others, branches or
            loops.
    """
    onnx = package("onnx")
    try:
        model = onnx.load_model_from_string(content)
        metadata = {entry.key: entry.value for entry in model.metadata_props}.get(KEY)
        foreign = sorted({one.domain for one in _nodes(model.graph) if one.domain not in DOMAINS})
        branches = sorted({one.op_type for one in _nodes(model.graph) if one.op_type in _PLACES})
        outside = any(one.external_data or one.data_location for one in _tensors(model.graph))
        has_functions = bool(model.functions)
    except Exception as error:  # protobuf's own kinds
        raise ClipkitError(f"{path}: is no ONNX file, or damaged ({one_line(error, 120)})") from error
    if outside:
        raise ClipkitError(f"{path}: keeps weights in other files, which are not read: export it again")
    if foreign or has_functions or branches:
        what = some([*foreign, *branches], 3) or "functions of its own"
        raise ClipkitError(f"{path}: uses {what}, as no graph of `clipkit export` does: refused")
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise ClipkitError(f"{path}: its graph is damaged ({one_line(error, 200)})") from error
    _check_sizes(model, len(content), path)
    return metadata


def _check_sizes(model: Any, size: int, path: object) -> None:
    """Raises OverBudget where a result whose shape the graph itself says would be too large; onnxruntime computes
    constants as it opens a file. Weights are dropped from `model`: their shapes are enough."""
    onnx = package("onnx")
    for one in model.graph.initializer:
        if math.prod(one.dims) > _SHAPE:
            for name in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
                one.ClearField(name)
    model.graph.ClearField("value_info")  # what it says itself, which after a change of precision may be old
    try:
        known = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception as error:
        raise ClipkitError(f"{path}: the shapes in its graph are damaged ({one_line(error, 200)})") from error
    for one in (*known.value_info, *known.output):
        tensor = one.type.tensor_type
        values = math.prod(max(side.dim_value, 1) for side in tensor.shape.dim)
        width = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).itemsize if tensor.elem_type else 1
        what = f"{shown(one.name, 40)!r}, which it computes,"
        require(path, size + _PICTURES, values * width, what, "the file counts as")


def open_session(content: bytes, device: str | None = None, name: str = "the graph", threads: int | None = None) -> Any:
    """onnxruntime's session of a checked model.

    Raises:
        ClipkitError: onnxruntime refuses it, or lacks the device.
    """
    runtime = package("onnxruntime")
    providers = ["CPUExecutionProvider"]
    if device is not None and usable_device(device).type != "cpu":
        providers.insert(0, "CUDAExecutionProvider")
        if providers[0] not in runtime.get_available_providers():
            raise ClipkitError(f"onnxruntime has no {device} here: pip install onnxruntime-gpu, or --device cpu")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 4  # what it logs it also raises
    try:
        return runtime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # its own kinds
        raise ClipkitError(f"{name}: onnxruntime refuses it ({one_line(error, 200)})") from error


def package(name: str) -> Any:
    """A package of the extra `onnx`, or a module of one.

    Raises:
        ClipkitError: it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ClipkitError(f'this needs {name}, which is not installed: pip install -e ".[onnx]"') from error


def _nodes(graph: Any) -> Iterator[Any]:
    """All nodes, those of graphs inside them too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _tensors(graph: Any) -> Iterator[Any]:
    """All constants."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in _nodes(graph):
        for attribute in node.attribute:
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            yield from (attribute.t, *attribute.tensors)
