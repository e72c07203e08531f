"""From a name to an open_clip model, with every failure in one line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import open_clip
import torch

from clipkit.backbone._load import load_weights
from clipkit.backbone._load_source import Source, find_source
from clipkit.backbone._names import local_name
from clipkit.backbone._text import MissingText
from clipkit.backbone.fetched import announced
from clipkit.errors import one_line
from clipkit.hub import download_failed, downloading, hub_reachable

PRECISIONS = ("fp32", "bf16", "fp16")
# Built in place of a Hugging Face text tower that is not here, then thrown away.
_STUB_TEXT = {"context_length": 8, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1}


def build(name: str, pretrained: str | None, precision: str, device: str | torch.device | None) -> dict[str, Any]:
    """Keyword arguments for `ClipModel`: `model`, `name`, `tokenizer_name`, `model_cfg`, `preprocess_cfg`."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is unknown; known: {', '.join(PRECISIONS)}")
    name = local_name(name)
    source = find_source(name, pretrained)
    config = source.model_cfg
    model = _create(source, config, precision, torch.device(device if device is not None else "cpu"))
    return {
        "model": model,
        "name": name,
        "tokenizer_name": source.tokenizer,
        "model_cfg": config,
        "preprocess_cfg": source.preprocess_cfg,
    }


def _create(source: Source, config: dict[str, Any], precision: str, device: torch.device) -> Any:
    downloads = source.tag is not None
    options: dict[str, Any] = {"pretrained_text": False, "load_weights": downloads}
    if config.get("quick_gelu"):
        options["force_quick_gelu"] = True
    no_text = missing_text(source.name, config)
    if no_text:
        if downloads:
            raise ValueError(f"{no_text}; to use its image tower alone, give the weights as a local file")
        options["text_cfg"] = _STUB_TEXT
    try:
        with _quiet(), source.factory_name() as factory_name, ExitStack() as fetching:
            if downloads:
                fetching.enter_context(downloading())
                fetching.enter_context(announced(source.name, source.tag))
            model = open_clip.create_model(factory_name, source.tag, precision=precision, device=device, **options)
    except Exception as error:
        what = f"{source.name!r} with weights {source.tag!r}" if source.tag else repr(source.name)
        reason = one_line(error, 240)
        if "download" in str(error).lower():
            known = open_clip.get_pretrained_cfg(source.name, source.tag) if source.tag else {}
            raise ValueError(download_failed(what, known.get("hf_hub", ""), error)) from error
        raise ValueError(f"{what} cannot be built: {reason}") from error
    if no_text:
        model.text = MissingText(f"{no_text}; its image side works")
    if source.weights is not None:
        skip = "text." if no_text else ""
        model.load_state_dict(load_weights(source.weights, model, name=source.name, skip=skip))
    return model


def missing_text(name: str, config: dict[str, Any]) -> str:
    """Why the text tower of this configuration cannot be built here, or ''."""
    wanted = config.get("text_cfg", {}).get("hf_model_name")
    if not wanted:
        return ""
    try:
        from transformers import AutoConfig
    except ImportError:
        return f"{name!r} has the Hugging Face text tower {wanted!r}: pip install transformers"
    try:
        found = AutoConfig.from_pretrained(wanted, local_files_only=not hub_reachable(), trust_remote_code=False)
    except Exception as error:
        if "custom code" in str(error):
            return f"{name!r} has the Hugging Face text tower {wanted!r}, which brings code of its own, never run here"
        return (
            f"{name!r} has the Hugging Face text tower {wanted!r}, which is not on this machine and not to be reached"
        )
    _refuse_code(wanted, found)
    return ""


def _refuse_code(name: str, config: Any) -> None:
    """open_clip builds the tower by this configuration without saying that no code of the repository may run."""
    attention = getattr(config, "_attn_implementation", None)
    if getattr(config, "auto_map", None) or attention not in (None, "eager", "sdpa"):
        raise ValueError(f"{name}: its config.json asks for code of its own, which is never run here")


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip warns on the root logger that weights are random when asked for none, or before ours are loaded, and
    says there before it raises what it raises."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
