"""Writes a graph as ONNX, whole or not at all, after it was compared with torch."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from clipkit.errors import ClipkitError, one_line
from clipkit.export.about import KEY, About
from clipkit.export.check import Check, compare
from clipkit.export.graphs import Graph
from clipkit.export.precision import lowered
from clipkit.export.read import open_session
from clipkit.files import write_bytes, writing

OPSET = 18  # the first one whose Resize has antialias
LIMIT = 2**31 - 2**20  # bytes that protobuf takes


def export_onnx(graph: Graph, about: About, path: str | Path) -> Check:
    """Writes `graph` with its metadata, in the precision that they name; returns how far onnxruntime is from torch in
    float32.

    Raises:
        ClipkitError: the graph cannot be expressed in ONNX or in that precision, differs from torch (fp32), overflows,
            or is too large for one file; nothing is written then.
    """
    if about.kind == "detect" and about.precision == "fp16":
        raise ClipkitError("fp16 would move a detector's boxes by pixels: leave --precision out, or take int8")
    proto = onnx_model(graph)
    with _quiet():
        proto = lowered(proto, about.precision)
    proto.metadata_props.add(key=KEY, value=about.dump())
    size = proto.ByteSize()
    if size > LIMIT:
        raise ClipkitError(f"{path}: would have {size / 2**30:.1f} GiB, and one ONNX file holds 2: use --format pt2")
    content = proto.SerializeToString()
    session = open_session(content)
    found = compare(graph, lambda inputs: session.run(None, dict(zip(graph.inputs, inputs))))
    found.require(str(path), about.precision)
    write_bytes(path, content)
    return found


def export_pt2(graph: Graph, about: About, path: str | Path) -> Check:
    """Writes `graph` as torch.export's own `.pt2`, with its metadata as the extra file `clipkit`; read it by
    `torch.export.load`, and only where you trust who wrote it. Returns how far the traced graph is from the module.

    Raises:
        ClipkitError: see `export_onnx`; a precision other than fp32.
    """
    if about.precision != "fp32":
        raise ClipkitError(f"{about.precision} is of ONNX alone: leave --precision out, or --format pt2")
    program = export_program(graph)
    traced = program.module()

    def run(inputs: list[Any]) -> list[Any]:
        found = traced(*map(torch.from_numpy, inputs))
        return [one.numpy() for one in ([found] if isinstance(found, torch.Tensor) else found)]

    found = compare(graph, run)
    found.require(str(path))
    with writing(path) as partial, _quiet(), partial.open("wb") as file:
        torch.export.save(program, file, extra_files={KEY: about.dump()})
    return found


def onnx_model(graph: Graph) -> Any:
    """The graph as an `onnx.ModelProto`.

    Raises:
        ClipkitError: see `export_onnx`.
    """
    program = export_program(graph)
    try:
        with _quiet():
            made = torch.onnx.export(
                program, input_names=graph.inputs, output_names=graph.outputs, opset_version=OPSET, verbose=False
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise ClipkitError(f"this model cannot be written as ONNX: {one_line(_cause(error), 300)}") from error
    assert made is not None
    return made.model_proto


def export_program(graph: Graph) -> torch.export.ExportedProgram:
    """The graph as torch.export traces it, sizes left free where `axes` says so.

    Raises:
        ClipkitError: it cannot be traced.
    """
    try:
        with _quiet(), torch.no_grad():
            program = torch.export.export(
                graph.eval(), graph.example(0), dynamic_shapes=graph.axes(), strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,  # a size of its own is no other case to a tower
            )  # fmt: skip
            _without_assertions(program)
            return program
    except Exception as error:  # torch's own kinds, of which some are not public
        raise ClipkitError(f"torch.export cannot trace this model: {one_line(_cause(error), 300)}") from error


def _without_assertions(program: torch.export.ExportedProgram) -> None:
    """Takes out that a size differs from the tower's own: what was traced, which resizes positions, is right for that
    size too, as `compare` tries."""
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if node.target is torch.ops.aten._assert_scalar.default:
            graph.erase_node(node)
    graph.eliminate_dead_code()
    program.graph_module.recompile()


def _cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides what the exporters print and log of their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
