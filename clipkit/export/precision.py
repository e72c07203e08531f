"""Smaller files: weights and products in float16, or weights in 8 bits, by onnxruntime's own converters."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clipkit.errors import ClipkitError, one_line
from clipkit.export.read import package

# Resize, normalise, products with rows: sums of squares leave float16's range, and scores near 100 have steps of 1/16.
FLOAT32 = ("Clip", "Div", "Einsum", "ReduceL2", "Resize")


def lowered(proto: Any, precision: str) -> Any:
    """A float32 `onnx.ModelProto` in another of `about.PRECISIONS`, inputs and outputs as they were; it may change the
    given one.

    Raises:
        ClipkitError: it cannot be converted.
    """
    if precision == "fp32":
        return proto
    convert: Callable[[Any], Any] = {"fp16": _half, "int8": _eight_bits}[precision]
    try:
        made = convert(proto)
    except Exception as error:  # the converters' own and protobuf's kinds
        raise ClipkitError(f"this model cannot be converted to {precision}: {one_line(error, 200)}") from error
    if precision == "int8" and not any(node.op_type == "MatMulInteger" for node in made.graph.node):
        raise ClipkitError("int8: only products with weights (MatMul) become 8 bits, and this model has none: try fp16")
    return made


def _half(proto: Any) -> Any:
    float16 = package("onnxruntime.transformers.float16")
    made = float16.convert_float_to_float16(
        proto, keep_io_types=True, op_block_list=[*float16.DEFAULT_OP_BLOCK_LIST, *FLOAT32],
        node_block_list=_last(proto.graph),
    )  # fmt: skip
    _skip_rounding(made.graph)
    package("onnxruntime.transformers.onnx_model").OnnxModel.graph_topological_sort(made.graph)
    return made


def _eight_bits(proto: Any) -> Any:
    quantization = package("onnxruntime.quantization")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        quantization.quantize_dynamic(
            proto, path, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True,
            # Signed ones overflow on processors with AVX2 alone, where scores would then differ.
            weight_type=quantization.QuantType.QUInt8, nodes_to_exclude=_last(proto.graph),
        )  # fmt: skip
        return package("onnx").load(path)


def _last(graph: Any) -> list[str]:
    """Nodes that write an output: with frozen labels one of them is the product with the rows."""
    outputs = {one.name for one in graph.output}
    return [node.name for node in graph.node if outputs & set(node.output)]


def _skip_rounding(graph: Any) -> None:
    """What is cast to float16 and back is taken from before: the converter puts such pairs between nodes that both
    stay in float32, and before outputs."""
    float32, float16 = 1, 10  # TensorProto.FLOAT, .FLOAT16
    casts = {node.output[0]: node for node in graph.node if node.op_type == "Cast"}
    for node in casts.values():
        before = casts.get(node.input[0])
        if before is not None and (node.attribute[0].i, before.attribute[0].i) == (float32, float16):
            node.input[0] = before.input[0]
