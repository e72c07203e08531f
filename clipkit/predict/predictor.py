"""A trained model as a Python object: what the predictors of all tasks share, and which of them a model is for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipkit.data.fetch import fetch, is_address
from clipkit.data.images import array_to_rgb, read_bytes, read_image, to_rgb
from clipkit.device import own_device, usable_device
from clipkit.engine.tasks import TASKS
from clipkit.errors import ClipkitError, one_line
from clipkit.predict.sharing import Origin, Shared
from clipkit.text.familiar import warn_unfamiliar
from clipkit.text.labels import TextLabels

ImageLike = str | Path | bytes | Image.Image | np.ndarray | Tensor
Self = TypeVar("Self", bound="Predictor")
WINDOW = 8 * 2**20
"""Pixels: a photo of a telephone has more and goes alone; its logits take 4 bytes a pixel and label."""


class Predictor(Shared):
    """A model, the `Resize` of its config's test pipeline, and the labels that it predicts now.

    A task's own predictor says by `handles` which models are its own, and is a row of the table of tasks
    (`clipkit.engine.tasks.register_task`).
    """

    def __init__(self, model: torch.nn.Module, resize: Any = None):
        self.model: Any = model.eval()
        self.resize = resize
        self._current: Any = None

    @classmethod
    def load(
        cls: type[Self],
        config: Any,
        checkpoint: str | Path | None = None,
        device: str | torch.device | None = None,
        cfg_options: dict | None = None,
    ) -> Self:
        """Builds the config's model and loads its weights.

        Args:
            config: a work folder or a bundle, which hold all that is needed; or the path of a config, the name of an
                installed one, or a mmengine `Config`.
            checkpoint: what training wrote; a work folder stands for its newest checkpoint; None for a model that
                trains nothing. Of a work folder as `config`, None is its newest one.
            device: default: a GPU if there is one.
            cfg_options: dotted key -> value.

        Raises:
            ClipkitError: what is wrong with config or checkpoint, in one line.
        """
        model, origin = _open_model(config, checkpoint, device, cfg_options)
        return _with_origin(cls.from_config(model, origin.cfg), origin)

    @classmethod
    def from_pretrained(
        cls: type[Self],
        source: str | Path,
        *,
        revision: str | None = None,
        device: str | torch.device | None = None,
        cfg_options: dict | None = None,
    ) -> Self:
        """Opens a bundle, which may be a stranger's; `Predictor` itself opens one of any task.

        Args:
            source: a folder that `save_pretrained` or `clipkit bundle` wrote; or `hf-hub:owner/name`.
            revision: a branch, tag or commit of the repository.
            device, cfg_options: see `load`.

        Raises:
            ClipkitError: it cannot be fetched, is damaged, holds what a bundle may not, or a model of another task.
        """
        from clipkit.bundle import find_bundle

        predictor, _ = _predictor_of(*_open_bundle(find_bundle(source, revision), device, cfg_options), source)
        if not isinstance(predictor, cls):
            raise ClipkitError(f"{source}: holds a model for {type(predictor).__name__}, not for {cls.__name__}")
        return predictor

    @classmethod
    def from_config(cls: type[Self], model: torch.nn.Module, cfg: Any) -> Self:
        """With a model that is built and loaded, and the rest from its whole config, a mmengine `Config`."""
        return cls(model, _build_resize(cfg))

    @classmethod
    def handles(cls, model: torch.nn.Module) -> bool:
        """Whether a model is one to predict with like this; of a `DistilledModel` it is asked for the student."""
        raise NotImplementedError(f"{cls.__name__} does not say which models it handles")

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def set_labels(self, labels: Any = None) -> tuple[str, ...]:
        """Labels for the next calls: a `Vocabulary`, a list of names, 'a, b; synonym', or what the model's
        `encode_labels` made of one; None: the config's own. Words that mean nothing to the model's CLIP are one line on
        stderr."""
        key = tuple(labels) if isinstance(labels, (list, tuple)) else labels
        # Of vocabularies and embeddings only the same object is surely the same.
        same = key is self._current or (isinstance(key, (str, tuple)) and key == self._current)
        if not same:
            if not hasattr(self.model, "set_labels"):
                raise ClipkitError(f"{type(self.model).__name__} has fixed classes: leave the labels out")
            self.model.set_labels(labels)
            self._current = key
            self._warn_unfamiliar()
        return tuple(self.model.label_names)

    def _warn_unfamiliar(self) -> None:
        if self._current is None or not isinstance(self.model, TextLabels):
            return
        labels, clip = self.model.labels, self.model.text.clip
        if clip is not None:  # as it is where the model's embeddings come from a file
            groups = labels.info.get("words") or [(name,) for name in labels.names]
            warn_unfamiliar(clip, groups, "the model's CLIP", "take other words, or train with another CLIP")

    def resized(self, bgr: np.ndarray) -> dict[str, Any]:
        """The picture `(H, W, 3)` at the size that the model was tested at, as mmcv's `Resize` gives it.

        Raises:
            ClipkitError: that leaves nothing of it.
        """
        height, width = bgr.shape[:2]
        results: dict[str, Any] = {"img": bgr, "img_shape": (height, width)}
        try:
            return results if self.resize is None else self.resize(results)
        except Exception as error:  # OpenCV's own type
            raise ClipkitError(
                f"a picture of {width} x {height} pixels is too flat for the Resize of the config's test pipeline "
                f"({one_line(error, 80)}); cut it into pieces"
            ) from error


class ImagePredictor(Predictor):
    """What takes images: `predictor(image, labels)`, `predictor(images, labels)`."""

    def __call__(self, image: ImageLike | Sequence[ImageLike], labels: Any = None) -> Any:
        """The result of one image at its own size, or a list of results of a list.

        Args:
            image: a path or an http(s) address; the bytes of a file; a PIL image; an array, see `array_to_rgb`; a
                tensor (3, H, W) RGB, uint8 or float in [0, 1]; or a list of these.
            labels: see `set_labels`.

        Raises:
            ClipkitError, ValueError, FileNotFoundError: an image cannot be used; the line says why.
        """
        if isinstance(image, (list, tuple)):
            return list(self.each(image, labels))
        return next(self.each([image], labels))  # type: ignore[list-item]

    def each(self, images: Iterable[ImageLike], labels: Any = None, batch_size: int = 8) -> Iterator[Any]:
        """Results in the order of the images, of which those of equal size share a forward pass, as far as they are
        near each other: memory does not grow with their number, see `windows`."""
        names = self.set_labels(labels)
        for group in windows(map(as_rgb, images), batch_size):
            results: list[Any] = [None] * len(group)
            for places in equal_sizes(group, batch_size):
                for place, result in zip(places, self.predict([group[i] for i in places], names)):
                    results[place] = result
            yield from results

    def predict(self, images: Sequence[np.ndarray], names: tuple[str, ...]) -> list[Any]:
        """Results of (H, W, 3) uint8 images of equal size in one pass, for the labels that are set."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it predicts")


def windows(images: Iterable[Any], batch_size: int) -> Iterator[list[Any]]:
    """Neighbours among which equal sizes are looked for: four batches, or as many pictures as hold `WINDOW` pixels.
    What is no picture keeps its place."""
    group: list[Any] = []
    pixels = 0
    for image in images:
        group.append(image)
        pixels += image.shape[0] * image.shape[1] if isinstance(image, np.ndarray) else 0
        if len(group) == 4 * batch_size or pixels >= WINDOW:
            yield group
            group, pixels = [], 0
    if group:
        yield group


def equal_sizes(group: Sequence[Any], batch_size: int) -> Iterator[list[int]]:
    """Places in a window of pictures of equal size, at most `batch_size` of them, which share a forward pass."""
    sizes: dict[tuple[int, ...], list[int]] = {}
    for place, image in enumerate(group):
        if isinstance(image, np.ndarray):
            sizes.setdefault(image.shape, []).append(place)
    for places in sizes.values():
        for start in range(0, len(places), batch_size):
            yield places[start : start + batch_size]


def open_predictor(
    config: Any,
    checkpoint: str | Path | None = None,
    device: str | torch.device | None = None,
    cfg_options: dict | None = None,
) -> tuple[Predictor, Any]:
    """A predictor of the task that the config's model is for, and the class that writes its files (None without).

    The task that was registered last is asked first, so that a plugin's goes before those of clipkit.

    Raises:
        ClipkitError: as `Predictor.load`, or no task has such a model.
    """
    return _predictor_of(*_open_model(config, checkpoint, device, cfg_options), config)


def _predictor_of(model: torch.nn.Module, origin: Origin, config: Any) -> tuple[Predictor, Any]:
    bare = getattr(model, "student", model)
    for task in reversed(TASKS.values()):
        predictor, writer = task.load()
        if predictor.handles(bare):
            return _with_origin(predictor.from_config(model, origin.cfg), origin), writer
    raise ClipkitError(
        f"{config}: its model {type(model).__name__} neither segments nor detects, nor is it for another task of "
        f"`clipkit predict` ({', '.join(TASKS)}): use `clipkit test`"
    )


def _with_origin(predictor: Self, origin: Origin) -> Self:
    predictor.origin = origin
    return predictor


def is_instance_of(model: torch.nn.Module, module: str, name: str) -> bool:
    """`isinstance` for a class of a package that may not be installed: where it was never imported, nothing is one."""
    return module in sys.modules and isinstance(model, getattr(sys.modules[module], name))


def load_model(
    config: Any,
    checkpoint: str | Path | None,
    device: str | torch.device | None = None,
    cfg_options: dict | None = None,
) -> tuple[torch.nn.Module, Any]:
    """The config's model with the checkpoint's weights, and the whole config; see `Predictor.load`."""
    model, origin = _open_model(config, checkpoint, device, cfg_options)
    return model, origin.cfg


def _open_bundle(bundle: Any, device: Any, cfg_options: dict | None) -> tuple[torch.nn.Module, Origin]:
    from clipkit.bundle import open_bundle

    model, cfg = open_bundle(bundle, usable_device(device or own_device()), cfg_options)
    return model, Origin(cfg, None, bundle.records.labels, bundle.records)


def _open_model(
    config: Any, checkpoint: str | Path | None, device: str | torch.device | None, cfg_options: dict | None
) -> tuple[torch.nn.Module, Origin]:
    from mmengine.model import revert_sync_batchnorm
    from mmengine.registry import DefaultScope

    from clipkit.bundle import find_bundle, is_bundle
    from clipkit.engine.build import prepare_config
    from clipkit.engine.checkpoint import load_checkpoint, require_nothing_to_train, resolve_checkpoint
    from clipkit.engine.friendly import friendly_build
    from clipkit.engine.frozen import check_frozen, student_alone
    from clipkit.engine.registry import MODELS
    from clipkit.engine.weights import load_weights, unwrap_names
    from clipkit.engine.work_folder import find_record, newest_checkpoint, read_record

    if is_bundle(config):
        if checkpoint is not None:
            raise ClipkitError(f"{config}: a bundle brings its weights: leave the checkpoint out")
        return _open_bundle(find_bundle(config), device, cfg_options)
    device = usable_device(device or own_device())
    if isinstance(config, (str, Path)) and Path(config).is_dir():
        checkpoint = checkpoint or newest_checkpoint(config)
        config = read_record(find_record(config))
    state: dict = {"state_dict": {}}
    if checkpoint is not None:  # before the model is built: a wrong path should not cost half a minute
        checkpoint = resolve_checkpoint(checkpoint)
        state = load_checkpoint(checkpoint)
    cfg = prepare_config(config, cfg_options=cfg_options, for_training=False)
    if cfg.get("model") is None:
        raise ClipkitError(f"{cfg.filename} has no `model`")
    with friendly_build(), DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
        if checkpoint is None:
            require_nothing_to_train(model)
        else:
            weights = unwrap_names(state["state_dict"], model)
            weights, records = student_alone(model, weights, state.get("meta", {}).get("frozen", []))
            check_frozen(model, records, str(checkpoint))
            load_weights(model, weights, str(checkpoint), strict=True)
    if not hasattr(model, "label_names"):  # a closed-set model says its classes in the checkpoint
        model.label_names = tuple((state.get("meta", {}).get("dataset_meta") or {}).get("classes") or ())
    file = None if checkpoint is None else Path(checkpoint)
    return revert_sync_batchnorm(model).to(device), Origin(cfg, file, tuple(model.label_names))


def as_rgb(image: ImageLike) -> np.ndarray:
    """Whatever a predictor takes (see `ImagePredictor`) as (H, W, 3) uint8 RGB: the same pixels for a path, an address,
    the bytes of a file, a PIL image and an array of it; see `clipkit.data.images` for what happens to 16 bits,
    transparency and EXIF's turn."""
    if is_address(image):
        return read_bytes(fetch(str(image)), str(image))
    if isinstance(image, (str, Path)):
        return read_image(image)
    if isinstance(image, bytes):
        return read_bytes(image)
    if isinstance(image, Image.Image):
        return to_rgb(image)
    if isinstance(image, Tensor):
        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise ValueError(f"an image tensor must be (3, H, W) RGB, got {tuple(image.shape)}")
        image = image.detach().permute(1, 2, 0).cpu()
        image = (image.float() if image.is_floating_point() else image).numpy()  # NumPy has no bfloat16
    return array_to_rgb(np.asarray(image))


def _build_resize(cfg: Any) -> Any:
    """The `Resize` of the config's test pipeline, so that a picture meets the network at the size it was tested at;
    None without one."""
    from mmengine.registry import DefaultScope

    from clipkit.engine.friendly import friendly_build
    from clipkit.engine.registry import TRANSFORMS

    pipeline = (cfg.get("test_dataloader") or {}).get("dataset", {}).get("pipeline") or []
    step = next((dict(step) for step in pipeline if str(step.get("type", "")).endswith("Resize")), None)
    with friendly_build(), DefaultScope.overwrite_default_scope(cfg.default_scope):
        return TRANSFORMS.build(step) if step else None
