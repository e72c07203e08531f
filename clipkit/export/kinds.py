"""From a trained model, or a bare CLIP, to the graph that is exported and what it says of itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from clipkit.backbone import ClipModel
from clipkit.backbone.options import build_frozen, clip_options
from clipkit.embed.encoder import preprocessing
from clipkit.engine.traps import normalises
from clipkit.errors import ClipkitError
from clipkit.export.about import About
from clipkit.export.graphs import ClassifyGraph, DenseGraph, Graph, SegmentorGraph
from clipkit.export.regions import RegionGraph
from clipkit.export.sequences import SoundGraph, VideoGraph, ViewGraph
from clipkit.predict.dense import NEUTRAL, DenseSegmenter
from clipkit.predict.predictor import is_instance_of
from clipkit.text import TextEmbeddings, get_templates

Size = tuple[int, int] | None | str
"""Height and width; 'any' for pictures that come ready; None: the model's own."""
_COARSEST = 32  # cells of the coarsest map of a pyramid, in pixels


def clip_graph(clip: Mapping[str, Any], size: Size = None, templates: str | Sequence[str] = "simple") -> Any:
    """Of a CLIP alone: names of whole pictures, or with `dense` among its options a map, windows as `clipkit try` has
    them.

    Args:
        clip: `name`, `pretrained` and `dense`, see `FrozenCLIP.from_pretrained`.
        size: see `Size`.
        templates: prompts of names, see `get_templates`.

    Returns:
        Graph, and About without labels of its own.

    Raises:
        ClipkitError: this tower cannot take pictures of that size.
    """
    options = clip_options(clip)
    model = build_frozen(options)
    text = _text_of(options, model, get_templates(templates))
    if "dense" not in options:
        return _classify(model, size, text)
    native = model.image_size
    plan = DenseSegmenter(model) if native[0] >= 128 else None
    window, short = (plan.window, plan.short_side) if plan else (native[0], native[0])
    chosen = _chosen(size, (window, window), model.patch_size or 1)
    graph = DenseGraph(model, chosen, plan.scale if plan else 40.0)
    text |= {"reduce": "max", "neutral": list(NEUTRAL)}
    about = About("segment", type(model).__name__, chosen, graph.multiple, text)
    about.options = {
        **_normalisation(model),
        "resize": {"short_side": short, "antialias": True},
        "windows": {"window": window, "stride": window // 2},
        "join": "words",
        "align_corners": False,
    }
    return graph, about


def model_graph(model: Any, cfg: Any, size: Size = None) -> tuple[Graph, About]:
    """Of a trained model.

    Args:
        model: as `clipkit.predict.predictor.load_model` gives it; it computes in float32 from then on.
        cfg: its whole config.
        size: see `Size`.

    Raises:
        ClipkitError: why there is no graph of this model.
    """
    bare = getattr(model, "student", model)
    bare_config = cfg.model.get("student", cfg.model)
    graph, about = _graph_of(bare, bare_config, cfg, size)
    for module in bare.modules():
        if isinstance(getattr(module, "precision", None), str):
            module.precision = "fp32"
    return graph.eval().float(), about  # the hash of the CLIP's weights was taken before


def _graph_of(bare: Any, written: Any, cfg: Any, size: Size) -> tuple[Graph, About]:
    if is_instance_of(bare, "clipkit.classification.classifier", "ClipClassifier"):
        templates = list(bare.ensembles.values())[-1]
        return _classify(bare.clip, size, _text_of(clip_options(written.clip), bare.clip, templates))
    if is_instance_of(bare, "clipkit.segmentation.text_segmentor", "TextSegmentor"):
        return _segmentor(bare, written, cfg, size)
    if type(bare).__name__ == "ViLD":
        return _detector(bare, written, cfg, size)
    if type(bare).__name__ in ("CLIP4Clip", "ActionCLIP"):
        return _videos(bare, written, cfg, size)
    if type(bare).__name__ == "PointCLIP":
        return _clouds(bare, written, size)
    if type(bare).__name__ == "AudioCLIP":
        return _sounds(bare, written, size)
    raise ClipkitError(f"{type(bare).__name__} has no form for export: {_WHY.get(type(bare).__name__, _REST)}")


_REST = "exported are CLIPs, classification, LSeg, dense CLIP, GroupViT, ViLD, temporal heads, PointCLIP and AudioCLIP"
_WHY = {
    "GLIP": "its fusion reads the tokens of the prompt in every block; use `clipkit predict`",
}


def _classify(clip: ClipModel, size: Size, text: dict[str, Any]) -> tuple[Graph, About]:
    graph = ClassifyGraph(clip, _chosen(size, clip.image_size, clip.patch_size or _COARSEST))
    about = About("classify", type(clip).__name__, graph.size, graph.multiple, text)
    about.options = {**_normalisation(clip), "preprocessing": preprocessing(clip)}
    return graph, about


def _segmentor(model: Any, written: Any, cfg: Any, size: Size) -> tuple[Graph, About]:
    kind = type(model).__name__
    for name in ("denoise", "area", "top_classes", "clusters"):
        if getattr(model, name, None) is not None:
            raise ClipkitError(f"{kind}: {name}= looks at all labels and pixels at once, which no file here does")
    if getattr(model, "upsample", 1.0) != 1.0:
        raise ClipkitError(f"{kind}: upsample= is not exported: give --size what it should come to")
    if getattr(model, "test_cfg", {}).keys() & {"scales", "flip", "base_size"}:
        print("scales, flip and base_size of test_cfg are left out: one scale is exported", file=sys.stderr)
    windows = {key: model.test_cfg[key] for key in ("window", "stride") if key in model.test_cfg}
    clip = model.text.clip
    patch = (clip.patch_size if clip is not None else None) or _COARSEST
    multiple = _COARSEST if _COARSEST % patch == 0 else patch
    if kind == "DenseCLIP":
        multiple = patch
    chosen = _chosen(size, _own_size(windows, cfg), multiple)
    if chosen and windows and chosen != _pair(windows["window"]):
        raise ClipkitError(f"its windows have {windows['window']} pixels: leave --size out, or say --size any")
    graph = SegmentorGraph(model, chosen, multiple)
    text = _rows_of(model, written) | {"threshold": getattr(model, "threshold", None)}
    text["background_label"] = {"DenseCLIP": "words", "GroupViT": text["threshold"] and "threshold"}.get(kind)
    about = About("segment", kind, chosen, multiple, text)
    prep = model.data_preprocessor
    about.options = {
        **({key: getattr(prep, key).flatten().tolist() for key in ("mean", "std")} if normalises(prep) else {}),
        "resize": _resize_of(cfg),
        "windows": windows,
        "join": "words" if kind == "DenseCLIP" else "classes",
        "align_corners": bool(model.align_corners),
    }
    trained = not text.get("clip") and hasattr(model.text, "encode_text")  # GroupViT's, whose rows are as old as itself
    about.keep(model.encode_labels([model.classes[i] for i in model.named]) if trained else model.own_labels)
    return graph, about


def _detector(model: Any, written: Any, cfg: Any, size: Size) -> tuple[Graph, About]:
    if model.variant == "crops":
        raise ClipkitError("ViLD: variant 'crops' runs CLIP on every box, which no file here does")
    rule = model.roi_head.test_cfg
    if rule["nms"].get("type", "nms") != "nms":
        raise ClipkitError(f"ViLD: between objects it has {rule['nms']['type']}, and an exported file `nms` alone")
    multiple = int(getattr(model.data_preprocessor, "pad_size_divisor", 1))
    resize = _resize_of(cfg)
    own = None
    if resize is not None:  # with keep_ratio it may be the height or the width that is the longer one
        wide, high = [max(resize["scale"])] * 2 if resize["keep_ratio"] else resize["scale"]
        own = (-(-high // multiple) * multiple, -(-wide // multiple) * multiple)
    chosen = _chosen(size, own, multiple)
    if chosen is None:
        raise ClipkitError("ViLD: its pictures are put into arrays of one size: give it by --size, as HEIGHTxWIDTH")
    if model.with_mask:
        print("its masks are left out: boxes alone are exported", file=sys.stderr)
    graph = RegionGraph(model, chosen, multiple)
    classifier = model.classifier
    scale = float(classifier.scale().detach() if classifier.test_scale is None else classifier.test_scale)
    about = About("detect", type(model).__name__, chosen, multiple, _rows_of(model, written))
    about.options = {
        "resize": resize,
        "score": float(rule["score_thr"]),
        "iou": float(rule["nms"]["iou_threshold"]),
        "most": int(rule["max_per_img"]) if rule["max_per_img"] > 0 else 10**6,
        "scale": scale,
        "image_scale": scale if classifier.image_scale is None else float(classifier.image_scale),
        "base": list(model.base_classes),
        "base_weight": float(classifier.base_weight),
        "novel_weight": float(classifier.novel_weight),
    }
    about.keep(model.own_labels)
    return graph, about


def _videos(model: Any, written: Any, cfg: Any, size: Size) -> tuple[Graph, About]:
    head, kind = model.head, type(model).__name__
    if not (head.pools or type(head).__name__ == "QueryScoring"):
        raise ClipkitError(f"{kind}: its head {type(head).__name__} reads each word of a sentence, and rows hold none")
    chosen = _chosen(size, model.clip.image_size, 1)
    if chosen is None:
        raise ClipkitError(f"{kind}: frames have one size in a file: give --size")
    tune = written.get("tune") or {}
    free = not (set(tune) & {"join_frames", "shift_tokens", "frames"}) and type(head).__name__ != "SeqLSTM"
    scale = float(model.test_scale) if kind == "ActionCLIP" else float(model.logit_scale().detach())
    data = (cfg.get("test_dataloader") or {}).get("dataset") or {}
    frames = int(data.get("max_frames") or data.get("frames") or 8)
    graph = VideoGraph(model.clip, head, scale if head.cosine else 1.0, chosen, frames, free)
    templates = model.templates if kind == "ActionCLIP" else ("{}",)
    # Rows of other names need what was trained in the CLIP.
    text = {} if tune else _text_of(clip_options(written.clip), model.clip, templates)
    about = About("videos", kind, chosen, 1, text)
    about.options = {**_normalisation(model.clip), "frames": frames, "any_number_of_frames": free}
    return graph, about


def _clouds(model: Any, written: Any, size: Size) -> tuple[Graph, About]:
    if size is not None:
        raise ClipkitError("PointCLIP: its views have one size: leave --size out")
    if "network" in model.predicting:
        raise ClipkitError("PointCLIP: its network reads points, no views: set model.predict to the other parts")
    graph = ViewGraph(model)
    text = _text_of(clip_options(written.get("clip", "tiny_clip")), model.clip, model.text.templates)
    about = About("clouds", type(model).__name__, graph.shape[2:], 1, text)
    about.options = {"projection": dict(written.get("projection") or {}), "parts": list(model.predicting)}
    if getattr(model, "label_names", ()):
        about.keep(TextEmbeddings(model.label_names, model.rows()))
    return graph, about


def _sounds(model: Any, written: Any, size: Size) -> tuple[Graph, About]:
    if size is not None:
        raise ClipkitError("AudioCLIP: its windows have one length: leave --size out")
    waves = torch.zeros(1, round(model.seconds * model.rate))
    shape = tuple((waves if model.takes_waves else model.spectrogram(waves)).shape[1:])
    scale = float(model.loss.scales["audio-text"]().detach())
    graph = SoundGraph(model.tower, shape, model.clip.embed_dim, scale)
    text = _text_of(clip_options(written.clip), model.clip, (model.prompt,))
    if model.heads or written.get("own_clip"):
        text = {}  # rows of other names need what was trained beside or in the CLIP
    about = About("sounds", type(model).__name__, None, 1, text)
    about.options = {"rate": model.rate, "seconds": model.seconds, "scale": scale, "waves": model.takes_waves}
    about.options |= {} if model.takes_waves else {"spectrogram": dict(model.spectrogram.settings)}
    if names := getattr(model, "label_names", ()):
        about.keep(TextEmbeddings(tuple(names), model.encode_names(names)))
    return graph, about


def _rows_of(model: Any, written: Any) -> dict[str, Any]:
    """Of a model with labels: where rows of other names come from, if anywhere."""
    clip, text = model.text.clip, {}
    # Rows of other names would need the whitening's names too.
    if clip is not None and model.text.whitening is None:
        text = _text_of(clip_options(written.text["clip"]), clip, model.text.templates)
    return text | {"reduce": model.reduce}


def _text_of(clip: Mapping[str, Any], model: ClipModel, templates: Sequence[Any]) -> dict[str, Any]:
    if not all(isinstance(one, str) for one in templates):
        raise ClipkitError("templates that are functions cannot be written into a file: give format strings")
    named = {key: clip[key] for key in ("name", "pretrained", "precision") if clip.get(key) is not None}
    return {"clip": named, "weights": model.weights_hash, "templates": list(templates), "reduce": "mean"}


def _normalisation(clip: ClipModel) -> dict[str, Any]:
    """What the graph does to pixels in [0, 1]; nobody has to do it again."""
    return {key: list(clip.preprocess_cfg[key]) for key in ("mean", "std")}


def _own_size(windows: Mapping[str, Any], cfg: Any) -> tuple[int, int] | None:
    """Of its windows, or of a Resize to one size."""
    if windows:
        return _pair(windows["window"])
    resize = _resize_of(cfg)
    return None if resize is None or resize.get("keep_ratio") else (resize["scale"][1], resize["scale"][0])


def _resize_of(cfg: Any) -> dict[str, Any] | None:
    """The Resize of the config's test pipeline: `scale` (w, h) and `keep_ratio`.

    Raises:
        ClipkitError: one that is told in another way.
    """
    pipeline = (cfg.get("test_dataloader") or {}).get("dataset", {}).get("pipeline") or []
    step = next((dict(step) for step in pipeline if str(step.get("type", "")).endswith("Resize")), None)
    if step is None:
        return None
    if str(step["type"]).rpartition(".")[2] != "Resize" or set(step) - {"type", "scale", "keep_ratio"}:
        raise ClipkitError(f"the test pipeline's {step['type']} is not one that an exported file can describe")
    return {"scale": [int(side) for side in step["scale"]], "keep_ratio": bool(step.get("keep_ratio"))}


def _chosen(size: Size, own: tuple[int, int] | None, multiple: int) -> tuple[int, int] | None:
    if size == "any" or (size is None and own is None):
        return None
    chosen = own if size is None else size
    assert isinstance(chosen, tuple)
    if size is not None and any(side % multiple for side in chosen):  # a tower's own may leave a rest unseen
        raise ClipkitError(f"--size {chosen[0]}x{chosen[1]}: both sides must be multiples of {multiple}")
    return chosen


def _pair(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, (int, float)) else (int(value[0]), int(value[1]))
