"""From a name to an open_clip model, with every failure in one line."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import open_clip
import torch

from clipkit.backbone._text import MissingText

PRECISIONS = ("fp32", "bf16", "fp16")
_STUB_TEXT = {"context_length": 77, "vocab_size": 2, "width": 8, "heads": 1, "layers": 1}


def build(name: str, pretrained: str | None, precision: str, device: str | torch.device | None) -> dict[str, Any]:
    """Keyword arguments for `ClipModel`: `model`, `name`, `model_cfg`."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is unknown; known: {', '.join(PRECISIONS)}")
    config = _config(name)
    path = _weight_file(name, pretrained, config)
    tag = None if path else pretrained
    if tag:
        _check_tag(name, tag, config)
    target = torch.device(device if device is not None else "cpu")
    model = _create(name, tag, config, precision, target, load=path is None)
    if path is not None:
        _load_file(model, path, name, config)
    return {"model": model, "name": name, "model_cfg": config}


def _config(name: str) -> dict[str, Any]:
    schema, _, rest = name.partition(":")
    if schema == "local-dir" and rest:
        folder = Path(rest)
        if not folder.is_dir():
            raise FileNotFoundError(f"{name!r}: there is no folder {folder}")
        if not (folder / "open_clip_config.json").is_file():
            raise FileNotFoundError(f"{folder} has no open_clip_config.json; save_open_clip_folder writes one")
    try:
        config = open_clip.get_model_config(name.replace("/", "-") if rest == "" else name)
    except Exception as error:
        raise ValueError(f"{name!r}: its configuration cannot be read: {_line(error)}") from error
    if config is None:
        close = difflib.get_close_matches(name, open_clip.list_models(), 3, 0.4)
        hint = f"; did you mean {', '.join(map(repr, close))}?" if close else ""
        raise ValueError(f"{name!r} is no open_clip model, no 'local-dir:/folder', no 'hf-hub:owner/name'{hint}")
    return deepcopy(config)


def _weight_file(name: str, pretrained: str | None, config: dict[str, Any]) -> Path | None:
    if pretrained is None:
        return None
    if ":" in name and name.split(":")[0] in ("local-dir", "hf-hub"):
        raise ValueError(f"pretrained={pretrained!r}: {name!r} brings its own weights; leave pretrained out")
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained in tags or open_clip.get_pretrained_cfg(name, pretrained):
        return None
    path = Path(pretrained)
    if path.exists():
        return path
    if path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(f"pretrained={pretrained!r}: there is no such file")
    raise ValueError(
        f"pretrained={pretrained!r} is no tag of {name!r} and no file; its tags: {', '.join(tags) or 'none'}"
    )


def _check_tag(name: str, tag: str, config: dict[str, Any]) -> None:
    trained = bool((open_clip.get_pretrained_cfg(name, tag) or {}).get("quick_gelu", False))
    built = bool(config.get("quick_gelu", False))
    if trained == built:
        return
    plain = name.removesuffix("-quickgelu")
    other = f"{plain}-quickgelu" if trained else plain
    kinds = ("QuickGELU", "GELU") if trained else ("GELU", "QuickGELU")
    raise ValueError(
        f"tag {tag!r} was trained with {kinds[0]}, but {name!r} is built with {kinds[1]}: use the name {other!r}"
    )


def _create(
    name: str, tag: str | None, config: dict[str, Any], precision: str, device: torch.device, load: bool
) -> Any:
    options: dict[str, Any] = {"precision": precision, "device": device, "load_weights": load, "pretrained_text": False}
    hf_name = config.get("text_cfg", {}).get("hf_model_name")
    reason = ""
    if hf_name and not _hf_config_here(hf_name):
        reason = (
            f"{name!r} has the Hugging Face text tower {hf_name!r}, which is not here: download it once with a network; "
            "its visual side works without"
        )
        options["text_cfg"] = _STUB_TEXT
        if load and (tag or ":" in name):
            raise ValueError(reason.replace("its visual side works without", "or pass the weights as a local file"))
    try:
        with _quiet():
            model = open_clip.create_model(name, tag, **options)
    except Exception as error:
        what = f"{name!r} with weights {tag!r}" if tag else repr(name)
        raise ValueError(f"{what} cannot be built: {_line(error)}") from error
    if reason:
        model.text = MissingText(reason)
    return model


def _hf_config_here(hf_name: str) -> bool:
    try:
        from transformers import AutoConfig

        AutoConfig.from_pretrained(hf_name)
    except Exception:
        return False
    return True


def _load_file(model: Any, path: Path, name: str, config: dict[str, Any]) -> None:
    try:
        with _quiet():
            open_clip.load_checkpoint(
                model, str(path), strict=not isinstance(getattr(model, "text", None), MissingText)
            )
    except Exception as error:
        raise ValueError(f"{path}: not weights of {name!r}: {_line(error)}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip warns on the root logger that weights are random when asked for none, or before ours are loaded."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _line(error: BaseException, limit: int = 240) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[:limit] + " …"
