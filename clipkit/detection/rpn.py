"""Where `clipkit precompute` gets its boxes from: a file, contrast, or a detector's region proposal network.

Each is called with an image and its pixels and gives boxes `(M, 4)` x1 y1 x2 y2 and scores `(M,)`; its `key` is what
they depend on, for the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from clipkit.data import sliding_boxes
from clipkit.data.proposals import ImageFile, read_proposals
from clipkit.errors import ClipkitError, some
from clipkit.store import hash_file

Found = tuple[np.ndarray, np.ndarray]


class RegionSource(Protocol):
    """What proposes boxes. `pixels` are `(H, W, 3)` uint8 RGB."""

    key: dict[str, Any]

    def __call__(self, image: ImageFile, pixels: np.ndarray) -> Found: ...


class FileProposals:
    """Boxes of a file, see `clipkit.data.proposals`.

    Attributes:
        missing: names of the images that the file does not have; they get no boxes.
    """

    def __init__(self, path: str | Path, images: Sequence[ImageFile], folder: str | Path) -> None:
        proposals = read_proposals(path)
        self.key = {"from": "file", "sha256": hash_file(path)}
        # Looked up now, so that a file for another data set is found out before hours of work.
        self._found = {image.name: proposals.of(image, Path(folder)) for image in images}
        self.missing = [name for name, found in self._found.items() if found is None]
        if len(self.missing) == len(images):
            names = some(map(repr, proposals.by_key)) or "nothing"
            raise ClipkitError(
                f"{path}: has boxes for none of the {len(images)} images; it names {names}, the images are named "
                f"{images[0].name!r}, …"
            )

    def __call__(self, image: ImageFile, pixels: np.ndarray) -> Found:
        return self._found[image.name] or (np.zeros((0, 4)), np.zeros(0))


class ContrastProposals:
    """Sliding boxes that stand out from their surround; needs no training. See `clipkit.data.sliding_boxes`."""

    def __init__(self, most: int) -> None:
        self.most = most
        names = ("RATIOS", "STEP", "SMALLEST", "STRIDE", "RING")
        self.key = {"from": "contrast", **{name.lower(): getattr(sliding_boxes, name) for name in names}}

    def __call__(self, image: ImageFile, pixels: np.ndarray) -> Found:
        return sliding_boxes.propose(pixels, self.most)


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


def _plain(value: Any) -> Any:
    """A config's dicts and lists as JSON has them; anything else as its text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
