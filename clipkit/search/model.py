"""The CLIP of an index: which one it was made by, and how it is loaded again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clipkit.backbone import FrozenCLIP
from clipkit.device import own_device, usable_device
from clipkit.embed.encoder import load_frozen
from clipkit.errors import ClipkitError
from clipkit.safe import read_json

FORMAT = 1  # of an index
CLIP, TAG = "ViT-B-16-quickgelu", "openai"  # of `clipkit try` too: one download serves both


def about_index(folder: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an existing index says of itself: the model's name, and its key; both empty where there is none.

    Raises:
        ClipkitError: its files are damaged.
    """
    model, store = Path(folder) / "model.json", Path(folder) / "frames/store.json"
    if not (model.is_file() and store.is_file()):
        return {}, {}
    try:
        named, key = read_json(model), read_json(store)["key"]
        if not all(isinstance(named.get(part), (str, type(None))) for part in ("clip", "pretrained")):
            raise ValueError
        if not isinstance(key, dict) or not isinstance(key.get("fps", 2.0), (int, float)):
            raise ValueError
    except (ValueError, KeyError):
        raise ClipkitError(f"{folder}: its {model.name} or {store.name} is damaged; make the index again") from None
    return named, key


def index_key(made_by: dict[str, Any], fps: float, resize: str | None = None) -> dict[str, Any]:
    """What the rows of an index depend on.

    Args:
        made_by: of `clipkit.embed.encoder.load_frozen`.
        resize: how a picture becomes CLIP's square: None, as CLIP's own preprocessing has it (most: the shorter side,
            and the middle of the longer one); 'squash', the whole of it, out of proportion.
    """
    own = made_by["preprocessing"]
    resize = resize or own.get("resize_mode", "shortest")
    resampler = "bicubic" if resize == "squash" else own.get("interpolation", "bicubic")
    preprocessing = {"size": own["size"], "resize_mode": resize, "resampler": resampler}
    return {"kind": "frames", "format": FORMAT, "fps": fps, "dtype": "fp16", **made_by, "preprocessing": preprocessing}


def load_model(
    folder: str | Path, clip: str | None, pretrained: str | None, precision: str, device: str | None = None
) -> tuple[FrozenCLIP, dict[str, Any], dict[str, Any]]:
    """The model, the part of the index's key that it makes, and how to load it again.

    Args:
        folder: the index, or where one will be.
        clip, pretrained: see `FrozenCLIP.from_pretrained`; None for the index's own, of a new one for `CLIP` and `TAG`.
        precision: see `load_frozen`.
        device: None for this process's GPU if there is one.

    Raises:
        ClipkitError: the index names no model, or one that is not loaded unasked.
    """
    named, _ = about_index(folder)
    if clip is None and not named and (Path(folder) / "frames/store.json").is_file():
        raise ClipkitError(f"{folder}: has no model.json, which says what CLIP made it; name that one with --clip")
    if clip is None and named.get("clip") is not None:
        _refuse_own_model(Path(folder), named)
    name = clip or named.get("clip") or CLIP
    if pretrained is None:
        pretrained = named.get("pretrained") if name == named.get("clip") else TAG if name == CLIP else None
    model, made_by = load_frozen(name, pretrained, precision, usable_device(device or own_device()))
    return model, made_by, {"clip": _absolute(name), "pretrained": pretrained and _absolute(pretrained)}


def _absolute(name: str) -> str:
    """A folder or file by its whole path, so that the index means the same model from everywhere."""
    prefix = "local-dir:" if name.startswith("local-dir:") else ""
    place = Path(name.removeprefix(prefix)).expanduser()
    return f"{prefix}{place.absolute()}" if prefix or place.is_file() else name


def _refuse_own_model(index: Path, named: dict[str, Any]) -> None:
    """An index may come from a stranger: what it brings along is no model to load unasked."""
    for name in filter(None, (named["clip"], named.get("pretrained"))):
        place = Path(name.removeprefix("local-dir:"))
        is_path = name.startswith("local-dir:") or place.exists() or len(place.parts) > 2
        if is_path and (not place.is_absolute() or index.resolve() in (place.resolve(), *place.resolve().parents)):
            raise ClipkitError(
                f"{index / 'model.json'}: names a model by a path inside or relative to the index, which is not "
                "followed; if you know the model, name it with --clip"
            )
