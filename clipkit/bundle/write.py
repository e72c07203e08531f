"""Writing a bundle: whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from clipkit import __version__
from clipkit.backbone.fetched import find_weights
from clipkit.backbone.options import is_shipped
from clipkit.bundle._checked import check_config, clips_in, pack
from clipkit.bundle._inference import InferenceConfig
from clipkit.bundle._layout import CARD, ENDINGS, FORMAT, INDEX, LABELS, SCORES, WEIGHTS, digest, file_record
from clipkit.bundle.card import write_card
from clipkit.bundle.records import Records
from clipkit.engine.frozen import drop_frozen, frozen_records, left_out
from clipkit.errors import ClipkitError
from clipkit.files import write_text


def save_bundle(
    model: torch.nn.Module,
    cfg: Any,
    folder: str | Path,
    *,
    records: Records,
    predictor: str = "clipkit.predict.predictor.Predictor",
    tag: str = "",
    licence: str | None = None,
) -> Path:
    """Writes a model with all that predicting needs; returns the folder.

    `bundle.json` (the config as data), `model.safetensors`, `labels.json`, `scores.json`, `README.md` (the card), and
    where the config needs them `files/` (label files, rows of embeddings) and `clip/` (a frozen CLIP that has no public
    name). All of it is written beside the folder, then renamed: the folder is there whole or not at all.

    Args:
        model: as it was built and loaded by `cfg`.
        cfg: its whole config, a mmengine `Config`.
        folder: must not exist.
        records: see `clipkit.bundle.read_records`.
        predictor, tag: 'module.Class' and the hub's word for the task, for the card.
        licence: for the card, as the hub writes it ('apache-2.0'); None: the card says that nobody has said one.

    Raises:
        ClipkitError: the folder exists, or the config holds what a bundle may not: code, a path that a stranger does
            not have, a part that is not on the list.
    """
    folder = Path(folder)
    if os.path.lexists(folder):
        raise ClipkitError(f"{folder}: exists; a bundle is written to a new folder: remove it, or give another name")
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}.", suffix=".partial", dir=folder.absolute().parent))
    try:
        _fill(aside, folder.name, model, cfg, records, predictor, tag, licence)
        for path in (aside, *aside.rglob("*")):  # what is made aside is its owner's alone
            path.chmod((0o777 if path.is_dir() else 0o666) & ~_umask())
        if os.path.lexists(folder):  # in the meantime; rename would replace an empty folder
            raise ClipkitError(f"{folder}: was made meanwhile; nothing was written over it")
        aside.rename(folder)
    except OSError as error:
        raise ClipkitError(f"{folder}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _fill(
    aside: Path, name: str, model: Any, cfg: Any, records: Records, predictor: str, tag: str, licence: str | None
) -> None:
    config = InferenceConfig(cfg, aside).values
    frozen = [{**one, "name": _public(one["name"])} for one in frozen_records(model)]
    # In the header too, for `clipkit test CONFIG BUNDLE`, which reads the weights alone. Of several entries safetensors
    # would write any first, and the same model would give other bytes.
    save_file(_weights(model), str(aside / WEIGHTS), metadata={"frozen": json.dumps(frozen)})
    write_text(aside / LABELS, json.dumps(list(records.labels), ensure_ascii=False, indent=0) + "\n")
    scores = {"measured": list(records.measured), "scores": records.scores, "trained": records.trained}
    write_text(aside / SCORES, json.dumps(scores, ensure_ascii=False, indent=1) + "\n")
    files = {str(file.relative_to(aside).as_posix()): file for file in sorted(aside.rglob("*")) if file.is_file()}
    if odd := [file for file in files if not file.endswith(ENDINGS)]:
        raise ClipkitError(f"{odd[0]}: a bundle holds no such file")
    check_config(config, files, f"{name} cannot be bundled: {INDEX}")
    index = {
        "format": FORMAT,
        "clipkit": __version__,
        "config": pack(config),
        "frozen": frozen,
        "files": {file: file_record(path) for file, path in files.items()},
    }
    index["sha256"] = digest(index)
    write_text(aside / INDEX, json.dumps(index, ensure_ascii=False, indent=1) + "\n")
    clips = [(shown, _repository(options)) for options in clips_in(config) if (shown := _said(options))]
    kind = str(config["model"].get("type"))
    write_text(aside / CARD, write_card(name, kind, predictor, tag, records, list(dict.fromkeys(clips)), licence))


def _weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The model's own, without frozen CLIPs; each with memory of its own, as safetensors wants it."""
    state = drop_frozen(model.state_dict(), left_out(model))
    if odd := [key for key, value in state.items() if not isinstance(value, torch.Tensor)]:
        raise ClipkitError(f"{type(model).__name__}: {odd[0]} is no tensor, and a bundle holds tensors alone")
    return {key: value.detach().cpu().clone().contiguous() for key, value in state.items()}


def _public(name: str) -> str:
    """A CLIP's name without a folder of this machine."""
    return is_shipped(name) or ("a folder" if name.startswith("local-dir:") else name)


def _said(options: dict[str, Any]) -> str:
    """A CLIP that is named, as `name:tag`; '' of one that the bundle holds."""
    name, tag = str(options["name"]), options.get("pretrained")
    return "" if name.startswith("local-dir:") else f"{name}:{tag}" if tag else name


def _repository(options: dict[str, Any]) -> str:
    """Where its weights lie on the hub, OWNER/NAME; '' of those that lie elsewhere."""
    found = find_weights(str(options["name"]), options.get("pretrained"))
    return "/".join(found.address.split("/")[-2:]) if found else ""


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
