"""What `from_pretrained(name, pretrained)` means: which architecture, which weights, which activation."""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import open_clip
from open_clip.pretrained import download_pretrained_from_hf, get_pretrained_cfg

from clipkit.backbone.fetched import announced
from clipkit.errors import some
from clipkit.hub import download_failed, downloading
from clipkit.safe import read_json

from ._checked_config import check_sizes, checked_config
from ._transformers_folder import convert_config, convert_preprocess, is_transformers_folder

__all__ = ["Source", "find_source"]

# open_clip's order of preference, so that a folder means the same to both.
_WEIGHT_FILES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)
_PREPROCESS_KEYS = ("mean", "std", "interpolation", "resize_mode")


@dataclass(frozen=True)
class Source:
    """An architecture and where its weights come from; nothing has been built or read yet.

    Attributes:
        name: as the user gave it.
        kind: 'builtin' (a name of open_clip), 'open_clip_folder', 'transformers_folder' or 'hub'.
        model_cfg: open_clip's configuration with `quick_gelu` as the weights need it.
        preprocess_cfg: mean, std, interpolation, resize_mode, as far as the source states them.
        weights: local file (or a transformers folder) for `load_weights`; None: random, or downloaded by `tag`.
        tag: open_clip's tag to download.
        tokenizer: the name to give to `open_clip.get_tokenizer`; '' where it has none.
    """

    name: str
    kind: Literal["builtin", "open_clip_folder", "transformers_folder", "hub"]
    model_cfg: dict[str, Any] = field(default_factory=dict)
    preprocess_cfg: dict[str, Any] = field(default_factory=dict)
    weights: Path | None = None
    tag: str | None = None
    tokenizer: str = ""

    @contextlib.contextmanager
    def factory_name(self) -> Iterator[str]:
        """The name for `open_clip.create_model`, valid inside the `with`.

        A folder or repository is described to the factory by a temporary `open_clip_config.json`, which holds what
        was checked and nothing else."""
        if self.kind == "builtin":
            yield self.name
            return
        with tempfile.TemporaryDirectory() as folder:
            config = {"model_cfg": self.model_cfg, "preprocess_cfg": self.preprocess_cfg}
            (Path(folder) / "open_clip_config.json").write_text(json.dumps(config))
            yield f"local-dir:{folder}"


def find_source(name: str, pretrained: str | Path | None = None) -> Source:
    """Resolves a name and a tag or file.

    Args:
        name: open_clip's model name, `local-dir:/folder` (open_clip's or transformers' CLIPModel) or `hf-hub:org/repo`.
        pretrained: open_clip's tag, the path of a local file, or None for random weights (a folder brings its own).

    Raises:
        FileNotFoundError: a folder or file that is not there.
        ValueError: one line: unknown name or tag, or a tag whose activation contradicts the name.
    """
    if name.startswith("local-dir:"):
        return _folder_source(name, _override(pretrained))
    if name.startswith("hf-hub:"):
        if pretrained is not None:
            raise ValueError(f"{name} brings its own weights: leave out pretrained={str(pretrained)!r}")
        return _hub_source(name)
    builtin = name.replace("/", "-")
    config = open_clip.get_model_config(builtin)
    if config is None:
        raise ValueError(_unknown_name(name))
    if pretrained is None:
        return Source(builtin, "builtin", config, tokenizer=builtin)
    tag_cfg = get_pretrained_cfg(builtin, str(pretrained))
    if tag_cfg:
        quick = _tag_activation(
            builtin, str(pretrained), bool(config.get("quick_gelu")), bool(tag_cfg.get("quick_gelu"))
        )
        config["quick_gelu"] = quick
        preprocess = {key: tag_cfg[key] for key in _PREPROCESS_KEYS if tag_cfg.get(key) is not None}
        return Source(builtin, "builtin", config, preprocess, tag=str(pretrained), tokenizer=builtin)
    weights = _override(pretrained, builtin)
    return Source(builtin, "builtin", config, _common_preprocess(builtin), weights=weights, tokenizer=builtin)


def _override(pretrained: str | Path | None, name: str = "") -> Path | None:
    if pretrained is None:
        return None
    path = Path(pretrained).expanduser()
    if path.is_dir():
        raise ValueError(f"{path}: is a folder: name it as the model, from_pretrained('local-dir:{path}')")
    if path.is_file():
        return path
    if not name:
        raise FileNotFoundError(f"{path}: no such file; a folder brings its own weights: leave pretrained out")
    if path.suffix or path.name != str(pretrained):
        raise FileNotFoundError(f"{path}: no such file")
    tags = open_clip.list_pretrained_tags_by_model(name)
    others = [f"{m} has it" for m, t in open_clip.list_pretrained() if t == str(pretrained)][:1]
    close = difflib.get_close_matches(str(pretrained), tags, n=1, cutoff=0.7)
    known = some(tags, 6) or "none"
    hint = f"did you mean {close[0]!r}?" if close else "; ".join(others) or "give one of them, or a file"
    raise ValueError(f"{name} has no tag {str(pretrained)!r} (tags: {known}): {hint}")


def _tag_activation(name: str, tag: str, model_quick: bool, tag_quick: bool) -> bool:
    """The activation to build with. A plain name leaves it open for 'openai', whose models all are QuickGELU."""
    if tag_quick and not model_quick:
        if tag == "openai":
            return True
        twin = f"{name}-quickgelu"
        use = f"use {twin!r}" if twin in open_clip.list_models() else "no model of open_clip has it with QuickGELU"
        raise ValueError(f"the weights {tag!r} of {name} were trained with QuickGELU and {name} runs GELU: {use}")
    return model_quick


def _unknown_name(name: str) -> str:
    if Path(name).expanduser().is_dir():
        return f"{name!r} is a folder: write 'local-dir:{name}'"
    if Path(name).expanduser().is_file():
        return f"{name!r} is a file: give the architecture's name first, e.g. from_pretrained('ViT-B-32', {name!r})"
    close = difflib.get_close_matches(name, [*open_clip.list_models(), "tiny_clip", "distance_clip"], n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else "`open_clip.list_models()` lists the names"
    return f"{name!r} is no model of open_clip: {hint}"


def _common_preprocess(name: str) -> dict[str, Any]:
    """What all published weights of an architecture share: SigLIP's mean of 0.5 must not be lost with a local file."""
    tags = [get_pretrained_cfg(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)]
    result = {}
    for key in _PREPROCESS_KEYS:
        values = {json.dumps(cfg.get(key)) for cfg in tags}
        if len(values) == 1 and "null" not in values:
            result[key] = tags[0][key]
    return result


def _folder_source(name: str, weights: Path | None) -> Source:
    folder = Path(name.removeprefix("local-dir:")).expanduser()
    if not name.removeprefix("local-dir:") or not folder.is_dir():
        raise FileNotFoundError(f"{name}: no such folder")
    if is_transformers_folder(folder):
        config = convert_config(folder)
        # open_clip brings CLIP's own vocabulary; for another one the caller brings the tokenizer.
        tokenizer = "ViT-B-32" if config["text_cfg"]["vocab_size"] == open_clip.CLIPTextCfg.vocab_size else ""
        check_sizes(folder / "config.json", config, _bytes_of(weights or folder))
        preprocess = _checked_preprocess(folder / "preprocessor_config.json", convert_preprocess(folder))
        return Source(name, "transformers_folder", config, preprocess, weights or folder, None, tokenizer)
    path = folder / "open_clip_config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder}: has neither open_clip_config.json (open_clip) nor config.json (transformers' CLIPModel)"
        )
    return _described(name, "open_clip_folder", path, weights or _weights_in(folder))


def _hub_source(name: str) -> Source:
    """Downloads the configuration and the weights of a repository."""
    repository = name.removeprefix("hf-hub:")
    try:
        with downloading(), announced(name, None):
            path = download_pretrained_from_hf(repository, filename="open_clip_config.json")
            weights = download_pretrained_from_hf(repository)
    except Exception as error:
        raise ValueError(download_failed(f"{name!r}", repository, error)) from error
    return _described(name, "hub", Path(path), Path(weights))


def _described(name: str, kind: Literal["open_clip_folder", "hub"], path: Path, weights: Path) -> Source:
    content = read_json(path)
    config = content.get("model_cfg", {})
    if not isinstance(config, dict) or not config:
        raise ValueError(f"{path}: lacks the entry 'model_cfg'")
    config = checked_config(path, config)
    check_sizes(path, config, _bytes_of(weights))
    preprocess = content.get("preprocess_cfg") or {}
    return Source(name, kind, config, _checked_preprocess(path, preprocess), weights, tokenizer=name)


def _checked_preprocess(path: Path, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ValueError(f"{path}: preprocess_cfg is {str(given)[:40]!r}, and an object is needed")
    for key in ("mean", "std"):
        value = given.get(key, (0.0, 0.0, 0.0))
        numbers = value if isinstance(value, (list, tuple)) else ()
        if len(numbers) != 3 or not all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers):
            raise ValueError(f"{path}: preprocess_cfg.{key} is {str(value)[:40]}, and three numbers are needed")
    for key in ("interpolation", "resize_mode"):
        if not isinstance(given.get(key, ""), str):
            raise ValueError(f"{path}: preprocess_cfg.{key} is {str(given[key])[:40]}, and a word is needed")
    return {key: given[key] for key in _PREPROCESS_KEYS if key in given}


def _bytes_of(weights: Path) -> int:
    """Of a file, or of the weights in a transformers folder."""
    if weights.is_file():
        return weights.stat().st_size
    return sum(f.stat().st_size for f in weights.iterdir() if f.suffix in (".safetensors", ".bin") and f.is_file())


def _weights_in(folder: Path) -> Path:
    for name in _WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    others = sorted(p for suffix in ("*.safetensors", "*.bin", "*.pth", "*.pt") for p in folder.glob(suffix))
    if len(others) == 1:
        return others[0]
    found = f"several: {', '.join(p.name for p in others)}; name the right one {_WEIGHT_FILES[0]}" if others else "none"
    raise FileNotFoundError(f"{folder}: needs one file of weights (e.g. {_WEIGHT_FILES[0]}), found {found}")
