"""Reading a bundle, which a stranger may have written: whole files of listed names, a config of listed parts and plain
values, tensors by safetensors alone, every name and shape as the model has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from clipkit.backbone.options import described_bytes
from clipkit.bundle._budget import TensorBudget
from clipkit.bundle._checked import check_config, clips_in, placed, unpack
from clipkit.bundle._layout import ENDINGS, FORMAT, INDEX, LABELS, MEMBER, SCORES, WEIGHTS, Bundle, digest, file_record
from clipkit.bundle.records import Records, checked_scores
from clipkit.engine.build import prepare_config
from clipkit.engine.checkpoint import require_nothing_to_train
from clipkit.engine.friendly import friendly_build
from clipkit.engine.frozen import check_frozen, drop_frozen, left_out
from clipkit.engine.registry import MODELS
from clipkit.engine.weights import load_weights
from clipkit.errors import ClipkitError, one_line, shown, some
from clipkit.safe import allowance, file_kind, load_tensors, read_json

_KEYS = {"format", "clipkit", "config", "frozen", "files", "sha256"}
_LARGEST_INDEX = 64 << 20  # bytes


def read_bundle(folder: str | Path, root: Path | None = None) -> Bundle:
    """Reads and checks everything but the weights' tensors.

    Args:
        root: what the files' links may lead into, the folder itself by default; a hub's cache links to its blobs.

    Raises:
        ClipkitError: one line: no bundle, another version's, damaged, or with something that it may not hold.
    """
    folder = Path(folder)
    path = folder / INDEX
    index = read_index(path)
    files = index["files"]
    inside = (root or folder).resolve()
    for name, record in files.items():
        file = folder / name
        if not file.is_file():
            raise ClipkitError(f"{folder}: lacks {name}; copy or fetch the bundle again")
        if not file.resolve().is_relative_to(inside):
            raise ClipkitError(f"{file}: is a link that leads out of the bundle: refused")
        if file_record(file) != record:
            raise ClipkitError(f"{file}: is not what {INDEX} says ({record['bytes']:,} bytes, and its sha256): damaged")
    config = unpack(index["config"], path)
    check_config(config, files, path)
    size = sum(record["bytes"] for name, record in files.items() if name.endswith(".safetensors"))
    return Bundle(folder, config, index["frozen"], _records(folder), size)


def read_index(path: Path) -> dict[str, Any]:
    """`bundle.json`, of which the files and the form are checked, and the config is not.

    Raises:
        ClipkitError: see `read_bundle`.
    """
    try:
        if path.is_file() and path.stat().st_size > _LARGEST_INDEX:
            raise ValueError(f"{path}: is larger than any config")
        index = read_json(path)
        if index.get("format") != FORMAT:
            raise ValueError(f"{path}: its format is {shown(repr(index.get('format')), 40)}, not {FORMAT}")
        if index.keys() != _KEYS:
            raise ValueError(f"{path}: has the entries {some(sorted(index), 8)}, not {some(sorted(_KEYS), 8)}")
        if index["sha256"] != digest(index):
            raise ValueError(f"{path}: was changed after it was written: copy or fetch it again")
        _check_files(path, index["files"])
        _check_frozen_records(path, index["frozen"])
    except (OSError, ValueError, RecursionError) as error:
        raise ClipkitError(one_line(error)) from error
    return index


def open_bundle(
    bundle: Bundle, device: torch.device | str = "cpu", cfg_options: dict | None = None
) -> tuple[torch.nn.Module, Config]:
    """Builds the model and loads its weights, strictly: no name too many or too few, every shape and type as built.

    Raises:
        ClipkitError: a model that the weights do not explain (see `clipkit.safe.require`), that cannot be built, that
            does not fit them, or whose frozen CLIP has other weights here.
    """
    from mmengine.model import revert_sync_batchnorm
    from mmengine.registry import DefaultScope

    path = bundle.folder / WEIGHTS
    if file_kind(path) != "safetensors":
        raise ClipkitError(f"{path}: is no safetensors file: refused")
    cfg = Config(placed(bundle.config, bundle.folder), filename=str(bundle.folder / INDEX))
    cfg = prepare_config(cfg, cfg_options=cfg_options, for_training=False)
    try:
        clips = sum(described_bytes(options) for options in clips_in(cfg.model.to_dict()))
        weights = load_tensors(path)
    except (OSError, ValueError) as error:
        raise ClipkitError(one_line(error)) from error
    size = bundle.size + 4 * clips  # of a CLIP its own reader knows the sizes
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = _build(cfg, bundle.folder / INDEX, size)
        check_frozen(model, bundle.frozen, str(path))
        _check_kinds(model, weights, path)
        load_weights(model, weights, str(path), strict=True)
    if not weights:
        require_nothing_to_train(model)
    if not hasattr(model, "label_names"):
        model.label_names = bundle.records.labels
    return revert_sync_batchnorm(model).to(device), cfg


def _build(cfg: Config, path: Path, size: int) -> Any:
    try:
        with friendly_build(), TensorBudget(path, size):
            return MODELS.build(cfg.model)
    except ClipkitError as error:
        if str(path) in str(error):
            raise
        raise ClipkitError(f"{path}: {error}") from error


def _check_kinds(model: torch.nn.Module, weights: dict[str, torch.Tensor], path: Path) -> None:
    own = drop_frozen(model.state_dict(), left_out(model))
    for name, value in weights.items():
        if name in own and (value.shape != own[name].shape or value.dtype != own[name].dtype):
            found, wanted = (f"{tensor.dtype} {tuple(tensor.shape)}" for tensor in (value, own[name]))
            raise ClipkitError(f"{path} does not fit the model: {shown(name)} is {found}, and {wanted} is needed")


def _check_files(path: Path, files: Any) -> None:
    if not isinstance(files, dict) or not {WEIGHTS, LABELS, SCORES} <= files.keys():
        raise ValueError(f"{path}: does not list {WEIGHTS}, {LABELS} and {SCORES}")
    for name, record in files.items():
        if not MEMBER.fullmatch(name) or not name.endswith(ENDINGS) or ".." in name:
            raise ValueError(f"{path}: lists the file {shown(repr(name), 80)}, which no bundle holds: refused")
        if not isinstance(record, dict) or record.keys() != {"bytes", "sha256"} or type(record["bytes"]) is not int:
            raise ValueError(f"{path}: does not say bytes and sha256 of {name}")


def _check_frozen_records(path: Path, records: Any) -> None:
    wanted = {"path", "name", "weights_hash"}
    if not isinstance(records, list) or not all(
        isinstance(one, dict) and one.keys() == wanted and all(isinstance(text, str) for text in one.values())
        for one in records
    ):
        raise ValueError(f"{path}: its `frozen` is not a list of {', '.join(sorted(wanted))}")


def _records(folder: Path) -> Records:
    try:
        if (folder / LABELS).stat().st_size > allowance(0):
            raise ValueError(f"{folder / LABELS}: is larger than any list of names")
        labels = json.loads((folder / LABELS).read_text(encoding="utf-8"))
        scores = read_json(folder / SCORES)
    except (ValueError, RecursionError, OSError) as error:
        line = one_line(error)
        where = "" if str(folder) in line else f"{folder / LABELS}: is no list of names: "
        raise ClipkitError(f"{where}{line}") from error
    measured, trained = scores.get("measured"), scores.get("trained")
    if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
        raise ClipkitError(f"{folder / LABELS}: is no list of names")
    if not isinstance(measured, list) or not all(isinstance(kind, str) for kind in measured):
        raise ClipkitError(f"{folder / SCORES}: does not say what was measured")
    steps = trained.get("iterations") if isinstance(trained, dict) else None
    kept = {"iterations": steps} if type(steps) is int else {}
    return Records(tuple(labels), checked_scores(scores.get("scores")), tuple(measured), kept)
