"""Writing an open_clip folder, which `local-dir:` and open_clip itself read."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from clipkit.backbone._video import TemporalConv
from clipkit.backbone.clip import ClipModel
from clipkit.files import write_text, writing

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def save_open_clip_folder(model: ClipModel, folder: str | Path, precision: str = "fp16") -> Path:
    """Writes `open_clip_config.json` and `open_clip_model.safetensors`; returns the folder.

    Each file is written aside and renamed, so that a killed run leaves no half of one.

    Args:
        model: built by name, or wrapped with `model_cfg`.
        folder: created if missing.
        precision: of the stored weights: 'fp32', 'bf16' or 'fp16'.

    Raises:
        ValueError: unknown precision; no `model_cfg`; the model holds in-encoder adapters, for which the format has no
            place; a weight does not fit into the precision.
    """
    if precision not in _DTYPES:
        raise ValueError(f"precision={precision!r} is unknown; known: {', '.join(_DTYPES)}")
    if model.model_cfg is None:
        raise ValueError("save_open_clip_folder needs the model's configuration: wrap the model with model_cfg=")
    if len(getattr(model, "adapters", {})):
        raise ValueError("an open_clip folder has no place for in-encoder adapters; save `clip.adapters` beside it")
    if getattr(model, "time_embedding", None) is not None or any(isinstance(m, TemporalConv) for m in model.modules()):
        raise ValueError("an open_clip folder has no place for time in the image tower; save `clip.state_dict()`")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for key, value in model.model.state_dict().items():
        stored = value.detach().cpu().to(_DTYPES[precision]) if value.is_floating_point() else value.detach().cpu()
        if value.is_floating_point() and not torch.isfinite(stored).all():
            raise ValueError(
                f"{key} is not finite in {precision}; save in fp32, and look at the training if it stays so"
            )
        tensors[key] = stored.clone().contiguous()
    config = {"model_cfg": model.model_cfg, "preprocess_cfg": model.preprocess_cfg}
    with writing(folder / "open_clip_model.safetensors") as partial:
        save_file(tensors, str(partial))
    write_text(folder / "open_clip_config.json", json.dumps(config, indent=2, default=list) + "\n")
    return folder
