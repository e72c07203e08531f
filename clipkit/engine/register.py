"""Which room registers which part. Importing a room registers its parts; a plugin does so for the rooms it builds on,
and a look-up of a part that is not registered yet does so for its room."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Iterator

from clipkit.errors import ClipkitError

# Always registered: they need nothing of OpenMMLab but mmengine.
_ALWAYS = ("clipkit.engine.parts", "clipkit.hosts")
ROOMS: dict[str, tuple[str, ...]] = {
    "clipkit.engine.parts": (
        "AmpOptimWrapper",
        "AtomicCheckpointHook",
        "ChannelsLastHook",
        "CheckpointHook",
        "ClampHook",
        "ClipkitRunner",
        "FiniteLossHook",
        "ResumableInfiniteSampler",
        "ReseedHook",
        "SeededDataset",
    ),
    "clipkit.hosts": (
        "ConvTower",
        "CosineDistillLoss",
        "DPTDecoder",
        "DecoderNeck",
        "DistilledModel",
        "FPNDecoder",
        "FusedBackbone",
        "L1DistillLoss",
        "RelationalDistillLoss",
        "SimilarityKLLoss",
        "TimmPyramid",
        "TimmTower",
    ),
    "clipkit.classification": (
        "COCOBoxes",
        "ClipClassifier",
        "ImageFolder",
        "KarpathyImages",
        "ShapesCaptioned",
        "ShapesImages",
        "TorchvisionImages",
        "VOCBoxes",
        "ZeroShotLoop",
    ),
    "clipkit.detection": (
        "CocoJsonDataset",
        "DetectionAP",
        "FormatDataset",
        "GroundedCaptions",
        "GroundingPrompt",
        "PhraseRecall",
        "ShapesDetDataset",
        "ShapesGroundingDataset",
        "TeacherRegions",
        "VocXmlDataset",
    ),
    "clipkit.segmentation": (
        "COCOObjectDataset",
        "EpisodeDataset",
        "FewShotIoU",
        "FolderSegDataset",
        "FormatSegDataset",
        "LoadObjectMasks",
        "LoadWideAnnotations",
        "PointFCNHead",
        "SegPictureHook",
        "SeenUnseenIoU",
        "ShapesSegDataset",
        "WideSegDataset",
    ),
    "clipkit.sharding": ("FullyShard",),
    "clipkit.video": (
        "FilmMetric",
        "FilmTexts",
        "ModelForMetricsHook",
        "NarratedMetric",
        "NarratedVideos",
        "RetrievalMetric",
        "RetrievedBatchSampler",
        "StoryMetric",
        "StoryTexts",
        "VideoTexts",
        "collate_lists",
    ),
    # Once the engine's own, so that configs name them without their plugin.
    "clipkit_plugins.clip": (
        "ContrastivePretrainer",
        "ExportOpenClipHook",
        "ShapesCaptions",
        "ShapesZeroShotLoop",
    ),
}
ROOM_OF = {part: room for room, parts in ROOMS.items() for part in parts}
# mmcv puts its parts into mmengine's registries, under names without a scope.
_OF_MMCV = {"model": "mmcv.cnn", "transform": "mmcv.transforms"}
_EXTRAS = {"mmseg": "seg", "mmdet": "det", "mmcv": "seg", "decord": "video"}


def register_engine() -> None:
    """Registers the parts that are always there, and makes mmengine read pretrained weights safely."""
    from clipkit.engine.checkpoint import guard_pretrained
    from clipkit.engine.foreign_files import guard_files

    guard_pretrained()
    guard_files()
    with quiet_imports():
        for room in _ALWAYS:
            importlib.import_module(room)


def register_all() -> dict[str, str]:
    """Registers every part of clipkit, and mmcv's where it is installed.

    Returns:
        room -> package that it lacks, for the rooms that were left out.
    """
    register_engine()
    missing: dict[str, str] = {}
    for room in ROOMS:
        try:
            with quiet_imports():
                importlib.import_module(room)
        except ModuleNotFoundError as error:  # noqa: PERF203
            missing[room] = _lacks(error)
    for registry in _OF_MMCV:
        import_mmcv(registry)
    return missing


def import_room_of(part: str) -> None:
    """Imports the room that registers a part; nothing where no room does.

    Raises:
        ClipkitError: the room needs a package that is not installed.
    """
    if part not in ROOM_OF:
        return
    try:
        with quiet_imports():
            importlib.import_module(ROOM_OF[part])
    except ModuleNotFoundError as error:
        package = _lacks(error)
        raise ClipkitError(
            f'"{part}" needs the package {package}, which is not installed: pip install -e ".[{_EXTRAS[package]}]"'
        ) from error


def import_mmcv(registry: str) -> None:
    """Imports what mmcv registers in one of mmengine's registries (`transform`, `model`), where mmcv is installed."""
    if registry in _OF_MMCV:
        with contextlib.suppress(ModuleNotFoundError), quiet_imports():
            importlib.import_module(_OF_MMCV[registry])


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Hides what mmcv, mmseg and mmdet say when they are imported without compiled operators or optional packages:
    some of it by warnings, some logged, some printed. clipkit needs neither."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # mmengine's loggers stand outside logging's tree: only this reaches them
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _lacks(error: ModuleNotFoundError) -> str:
    """The optional package that an import missed; raises the error where it is none."""
    package = (error.name or "").partition(".")[0]
    if package not in _EXTRAS:
        raise error
    return package
