"""What `test_cfg` of a text segmentor asks for: whole images, windows, scales, mirroring; and label maps of
vocabularies whose logits for every pixel would not fit into memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from clipkit.engine.traps import normalises
from clipkit.errors import ClipkitError
from clipkit.inference import (
    Placed,
    classify_placed,
    embed_views,
    multi_scale,
    multi_scale_views,
    resample,
    sliding_window,
    window_views,
)

WINDOWS = ("window", "stride", "batch_size")
SCALES = ("scales", "flip", "base_size")
MAX_LOGITS = 2**30
LabelChunks = Literal["classes", "words"]


class Segmentor(Protocol):
    """What is read of a model here; see `TextSegmentor`."""

    test_cfg: Any
    data_preprocessor: Any
    align_corners: bool
    label_chunks: LabelChunks | None
    label_head: Any
    label_names: tuple[str, ...]
    label_text: Any
    labels: Any

    def scale(self) -> Tensor | float: ...

    def extract_feat(self, inputs: Tensor) -> Tensor: ...

    def encode_decode(self, inputs: Tensor, batch_data_samples: Any = None) -> Tensor: ...


def check_test_cfg(test_cfg: Mapping[str, Any] | None) -> dict[str, Any]:
    """`test_cfg` as a dict, `dict(mode='whole')` for None.

    Raises:
        ClipkitError: an option that does not exist, or that its mode does not read.
    """
    cfg = dict(test_cfg or {})
    mode = cfg.setdefault("mode", "whole")
    if mode not in ("whole", "slide"):
        raise ClipkitError(f"test_cfg mode '{mode}' is unknown; known: whole, slide")
    known = {"mode", "max_logits", *SCALES, *(WINDOWS if mode == "slide" else ())}
    unknown = sorted(set(cfg) - known)
    if unknown:
        raise ClipkitError(f"test_cfg mode '{mode}' has no {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    needed = ["window"] if _sums_views(cfg) else ["window", "stride"]
    missing = [key for key in needed if mode == "slide" and key not in cfg]
    if missing:
        raise ClipkitError(f"test_cfg mode 'slide' needs {' and '.join(missing)}, in pixels")
    return cfg


def image_logits(model: Segmentor, inputs: Tensor) -> Tensor:
    """`inputs` (B, 3, H, W) -> logits (B, K, H, W). Over scales and mirrorings it is the mean: the argmax is that of
    the sum, and probabilities and thresholds keep their meaning."""
    options, views = _options(model)
    if views:
        return multi_scale(model.encode_decode, inputs, **options).div_(views)
    if options:
        return sliding_window(model.encode_decode, inputs, **options)
    return model.encode_decode(inputs)


def too_many_logits(model: Segmentor, inputs: Tensor, samples: Sequence[SegDataSample] | None) -> bool:
    """True when the logits of a batch need more bytes than `test_cfg['max_logits']`, and can be done without.

    Raises:
        ClipkitError: `max_logits` is given, and the model cannot take labels in chunks.
    """
    kind = model.label_chunks
    labels = len(model.label_text) if kind == "words" else len(model.label_names)
    pixels = max(_size(sample)[0] * _size(sample)[1] for sample in samples) if samples else 0
    pixels = len(inputs) * max(pixels, inputs.shape[-2] * inputs.shape[-1])
    if labels * pixels * 4 <= model.test_cfg.get("max_logits", MAX_LOGITS):
        return False
    if kind is None and "max_logits" in model.test_cfg:
        raise ClipkitError(
            f"{type(model).__name__} computes label maps from all labels at once, as it is configured: raise "
            "test_cfg['max_logits'], or give fewer labels"
        )
    return kind is not None


def predict_streamed(model: Segmentor, inputs: Tensor, samples: Sequence[SegDataSample] | None) -> list[SegDataSample]:
    """What `TextSegmentor.predict` gives, from embeddings and chunks of labels: `pred_sem_seg`, and `pred_scores` (the
    best label's softmax probability) instead of `seg_logits`."""
    out = list(samples) if samples else [SegDataSample() for _ in inputs]
    for image, sample in zip(inputs, out):
        labels, probability = _classify(model, image, sample if samples else None)
        threshold = model.labels.background.threshold
        if threshold is not None:
            labels = labels.masked_fill(probability < threshold, len(model.label_names) - 1)
        sample.set_data({"pred_sem_seg": PixelData(data=labels[None])})
        sample.set_data({"pred_scores": PixelData(data=probability[None])})
        sample.set_metainfo({"label_names": model.label_names})
    return out


def _classify(model: Segmentor, image: Tensor, sample: SegDataSample | None) -> tuple[Tensor, Tensor]:
    """Labels and their probabilities (H, W), at the original size."""
    options, count = _options(model)
    batch_size = options.pop("batch_size", 8)
    if count:
        views = multi_scale_views(image, **options)
    elif options:
        views = window_views(image, **options)
    else:
        views = multi_scale_views(image)
    parts = [
        _at_original_size(Placed(part.values, part.rows / max(count, 1), part.columns), sample, model.align_corners)
        for part in embed_views(model.extract_feat, views, model.align_corners, batch_size)
    ]
    text, scale, row_class = model.label_text, model.scale(), model.labels.row_class.to(image.device)
    if model.label_chunks == "classes":
        found = classify_placed(parts, text, scale, row_class=row_class, head=model.label_head)
        return found.labels, found.probability
    found = classify_placed(parts, text, scale, head=model.label_head)
    return row_class[found.labels], found.probability


def _sums_views(cfg: Mapping[str, Any]) -> bool:
    return any(cfg.get(key) for key in SCALES)


def _options(model: Segmentor) -> tuple[dict[str, Any], int]:
    """Arguments for `multi_scale`, and how many views it sums; or for `sliding_window`, and 0; or none, and 0."""
    cfg = model.test_cfg
    if not _sums_views(cfg):
        return {key: cfg[key] for key in WINDOWS if key in cfg}, 0
    options = {key: cfg[key] for key in (*WINDOWS, *SCALES) if cfg.get(key) is not None}
    views = len(options.get("scales", (1.0,))) * (2 if options.get("flip") else 1)
    prep = model.data_preprocessor
    if normalises(prep):  # windows beyond the border are filled with black, as LSeg does
        options["pad_value"] = (-prep.mean / prep.std).flatten().tolist()
    return options, views


def _at_original_size(part: Placed, sample: SegDataSample | None, align_corners: bool) -> Placed:
    """What mmseg's `postprocess_result` does to logits: padding is cut off, mirroring undone, the rest resized to the
    size of the image file."""
    if sample is None:
        return part
    left, right, top, bottom = sample.get("img_padding_size", sample.get("padding_size", [0] * 4))
    rows = part.rows[top : len(part.rows) - bottom]
    columns = part.columns[left : len(part.columns) - right]
    if sample.get("flip"):
        if sample.get("flip_direction") == "horizontal":
            columns = columns.flip(0)
        else:
            rows = rows.flip(0)
    height, width = _size(sample)
    return Placed(part.values, resample(rows, height, align_corners), resample(columns, width, align_corners))


def _size(sample: SegDataSample) -> tuple[int, int]:
    return tuple(sample.metainfo["ori_shape"][:2])
