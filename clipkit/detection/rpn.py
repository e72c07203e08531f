"""Boxes of a detector's region proposal network, for `clipkit precompute`; see `clipkit.embed.proposals`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from clipkit.data.proposals import ImageFile
from clipkit.device import own_device, usable_device
from clipkit.embed.proposals import Found
from clipkit.errors import ClipkitError
from clipkit.store import hash_file


class RPNProposals:
    """Boxes of the region proposal network of a trained mmdet detector (RPN, or any two-stage one).

    Args:
        config: a config file, or the name of an installed one. Its test pipeline prepares the images, its
            `model.test_cfg.rpn` chooses among the proposals.
        checkpoint: the detector's weights.
        most: proposals wanted; `test_cfg.rpn.max_per_img` is set to it.

    Raises:
        ClipkitError: a detector without such a network or whose test pipeline does not pack, or weights that do not
            fit it.
    """

    def __init__(self, config: str, checkpoint: str, most: int, device: torch.device) -> None:
        from mmdet.utils import get_test_pipeline_cfg
        from mmengine.dataset import Compose
        from mmengine.model import revert_sync_batchnorm
        from mmengine.registry import DefaultScope

        from clipkit.engine.build import prepare_config
        from clipkit.engine.checkpoint import load_checkpoint, resolve_checkpoint
        from clipkit.engine.friendly import friendly_build
        from clipkit.engine.registry import MODELS
        from clipkit.engine.runner import load_weights

        self._made_of = (config, checkpoint, most)
        cfg = prepare_config(config, for_training=False)
        file = resolve_checkpoint(checkpoint)
        rpn = (cfg.model.get("test_cfg") or {}).get("rpn")
        if rpn is None:
            raise ClipkitError(f"{config}: the model has no region proposal network (no model.test_cfg.rpn)")
        rpn.max_per_img = most
        pipeline = [dict(step) for step in get_test_pipeline_cfg(cfg)]
        if not any("Pack" in str(step["type"]) for step in pipeline):
            raise ClipkitError(f"{config}: no step of its test pipeline packs, as mmdet.PackDetInputs does")
        loading = ("LoadImage", "LoadAnnotations")
        pipeline = [step for step in pipeline if not any(word in str(step["type"]) for word in loading)]
        pipeline = [{"type": "mmdet.LoadImageFromNDArray"}, *pipeline]
        with friendly_build(), DefaultScope.overwrite_default_scope(cfg.default_scope):
            self._model = revert_sync_batchnorm(MODELS.build(cfg.model))
            self._pipeline = Compose(pipeline)
        load_weights(self._model, load_checkpoint(file)["state_dict"], str(file), strict=True)
        self._model.eval().to(device)
        self._head = getattr(self._model, "rpn_head", None) or self._model.bbox_head
        self.key = {"from": "rpn", "model": _plain(cfg.model), "pipeline": _plain(pipeline), "weights": hash_file(file)}

    def __reduce__(self) -> Any:
        # On another machine the detector is loaded again, on that machine's device.
        return _load_here, self._made_of

    @torch.no_grad()
    def __call__(self, image: ImageFile, pixels: np.ndarray) -> Found:
        # mmdet's pictures are BGR from the file on; ori_shape comes from the array.
        bgr = np.ascontiguousarray(pixels[..., ::-1])
        item = self._pipeline({"img": bgr, "img_id": 0, "scale_factor": (1.0, 1.0)})  # where no step resizes
        batch = {"inputs": [item["inputs"]], "data_samples": [item["data_samples"]]}
        batch = self._model.data_preprocessor(batch, False)
        features = self._model.extract_feat(batch["inputs"])
        found = self._head.predict(features, batch["data_samples"], rescale=True)[0]
        return found.bboxes.double().cpu().numpy(), found.scores.double().cpu().numpy()


def _load_here(config: str, checkpoint: str, most: int) -> RPNProposals:
    return RPNProposals(config, checkpoint, most, usable_device(own_device()))


def _plain(value: Any) -> Any:
    """A config's dicts and lists as JSON has them; anything else as its text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
