"""Models out of torch: one graph with pixels and rows of words in, and what predicts with it by onnxruntime."""

from clipkit.export.about import About
from clipkit.export.check import Check, compare
from clipkit.export.graphs import ClassifyGraph, DenseGraph, Frozen, Graph, HeadGraph, PictureGraph, SegmentorGraph
from clipkit.export.kinds import clip_graph, model_graph
from clipkit.export.onnx import export_onnx, export_pt2
from clipkit.export.predictors import open_onnx
from clipkit.export.read import OnnxFile

__all__ = [
    "About",
    "Check",
    "ClassifyGraph",
    "DenseGraph",
    "Frozen",
    "Graph",
    "HeadGraph",
    "OnnxFile",
    "PictureGraph",
    "SegmentorGraph",
    "clip_graph",
    "compare",
    "export_onnx",
    "export_pt2",
    "model_graph",
    "open_onnx",
]
