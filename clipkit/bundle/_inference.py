"""From a training's config to what predicting needs of it, with nothing of the machine that it was trained on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from clipkit.backbone import FrozenCLIP, save_open_clip_folder
from clipkit.backbone.options import clip_options, is_shipped
from clipkit.bundle._checked import HERE, NAME_LISTS
from clipkit.engine.class_names import read_classes
from clipkit.errors import ClipkitError

_FREQUENCY = re.compile(r":[rcf]+$")  # LVIS's, behind a file's name, see `read_classes`
_COPIED = (".txt", ".json", ".npy", ".npz", ".safetensors")  # words, rows of embeddings with their names
_BESIDE = (".json", ".txt")  # names of rows
# Of a data set that videos are read by; of any other only the Resize of its pipeline.
_OF_VIDEOS = ("short_side", "backend", "timeout", "sampling", "max_frames")
_TRAINING = ("init_cfg", "cache_dir")


class InferenceConfig:
    """The config of a bundle, and the files that it names, which are written to `folder`.

    A frozen CLIP is named where its name is enough for everybody: one that ships with clipkit, a name and tag of
    open_clip, or `hf-hub:owner/name`. Of a folder, or a file of weights, a copy is written.

    Args:
        cfg: the whole config after options.
        folder: of the bundle that is being written.

    Attributes:
        values: plain values, for `clipkit.bundle._checked`.

    Raises:
        ClipkitError, ValueError: a file or a CLIP of the config cannot be read any more.
    """

    def __init__(self, cfg: Config, folder: Path) -> None:
        self.folder = folder
        self._copies: dict[str, str] = {}
        whole = cfg.to_dict()
        data = (whole.get("test_dataloader") or {}).get("dataset") or {}
        steps = [step for step in data.get("pipeline") or [] if str(step.get("type", "")).endswith("Resize")]
        kept = {key: data[key] for key in _OF_VIDEOS if data.get(key) is not None}
        self.values: dict[str, Any] = {
            "default_scope": whole.get("default_scope") or "clipkit",
            "plugins": list(whole.get("plugins") or []),
            "model": self._value("model", whole["model"]),
            "test_dataloader": {"dataset": {"pipeline": self._value("pipeline", steps[:1]), **kept}},
        }

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return self._mapping(key, value)
        if isinstance(value, str) and key.endswith(NAME_LISTS) and Path(_FREQUENCY.sub("", value)).is_file():
            return read_classes(value)  # an annotation file may hold much more than names
        if key == "clip" and isinstance(value, str):
            return self._clip({"name": value})["name"]
        if isinstance(value, (list, tuple)):
            return type(value)(self._value(key, item) for item in value)
        return self._text(value) if isinstance(value, str) else value

    def _mapping(self, key: str, value: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: item for name, item in value.items() if name not in _TRAINING}
        if key == "clip":
            own: dict[str, Any] = {name: given.pop(name) for name in ("name", "pretrained") if name in given}
            return {**given, **self._clip(own)}
        if isinstance(given.get("clip"), str) and given.get("pretrained"):  # as older configs write it
            given["clip"] = self._clip({"name": given["clip"], "pretrained": given.pop("pretrained")})
        if key == "vocabulary" and "file" in given:  # what its words were learned of is for training
            given["questions"], given["annotations"] = "", None
        if given.get("pretrained") is True or "://" in str(given.get("pretrained", "")):
            given["pretrained"] = None if isinstance(given["pretrained"], str) else False
        return {str(name): self._value(str(name), item) for name, item in given.items()}

    def _clip(self, given: dict[str, Any]) -> dict[str, Any]:
        """Options of a CLIP, as they are or of its copy."""
        options = clip_options(given)
        name, pretrained = options["name"], options.get("pretrained")
        if shipped := is_shipped(name):
            return {**options, "name": shipped}
        if not name.startswith("local-dir:") and not (pretrained and Path(pretrained).expanduser().is_file()):
            return options
        source = f"{name} {pretrained}"
        if source not in self._copies:
            self._copies[source] = "clip" if not (self.folder / "clip").exists() else f"clip-{len(self._copies)}"
            clip = FrozenCLIP.from_pretrained(name, pretrained)
            if (clip.model_cfg or {}).get("text_cfg", {}).get("hf_tokenizer_name"):
                raise ClipkitError(f"{name}: has a tokenizer of its own, which a bundle has no place for")
            save_open_clip_folder(clip, self.folder / self._copies[source], "fp32")
        return {"name": f"local-dir:{HERE}/{self._copies[source]}"}

    def _text(self, text: str) -> str:
        source = Path(text)
        if len(text) > 4096 or source.suffix.lower() not in _COPIED or not source.is_file():
            return text
        if text not in self._copies:
            target = self._free(source)
            self._copies[text] = f"{HERE}/files/{target.name}"
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, target)
            if source.suffix.lower() in (".npy", ".npz"):
                for beside in (source.with_suffix(ending) for ending in _BESIDE):
                    if beside.is_file():
                        shutil.copyfile(beside, target.with_suffix(beside.suffix))
        return self._copies[text]

    def _free(self, source: Path) -> Path:
        """A name that no file of the bundle has, with any ending."""
        stem = re.sub(r"[^\w.-]", "_", source.stem, flags=re.ASCII).lstrip(".") or "file"
        taken = {file.stem for file in self.folder.glob("files/*")}
        number, free = 1, stem
        while free in taken:
            number += 1
            free = f"{stem}-{number}"
        return self.folder / "files" / f"{free}{source.suffix.lower()}"
