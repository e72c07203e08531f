"""LSeg with labels for each image: "others" and one class (the zero-shot protocol of Li et al., ICLR 2022)."""

import torch
import torch.nn.functional as F
from clipkit_plugins.lseg.model import LSeg
from torch import Tensor

from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError


@MODELS.register_module()
class EpisodicLSeg(LSeg):
    """LSeg on the samples of `EpisodeDataset`: logits of ("others", the sample's class), by its metainfo `class_name`.

    loss = mean over all pixels of -log softmax(logits)[target], target 1 where the mask is 1, else 0: pixels that the
    metric ignores are background here, as in the original. Samples without a class (`clipkit predict`) get the labels
    of `classes` or of `set_labels`, as in LSeg.

    Args:
        others: the label of everything else.
        **kwargs: of `LSeg`; `classes` are only what `predict` says without a class. `train_classes` and `points` have
            no place here: the data set chooses the classes, and two labels cost little on all pixels.
    """

    label_chunks = "classes"

    def __init__(self, others: str = "others", **kwargs):
        refused = [name for name in ("train_classes", "points", "points_balance") if kwargs.get(name)]
        if refused:
            raise ClipkitError(f"EpisodicLSeg has no use for {' and '.join(refused)}: leave it out")
        super().__init__(**kwargs)
        if self.test_cfg["mode"] != "whole" or set(self.test_cfg) - {"mode", "max_logits"}:
            raise ClipkitError(
                "EpisodicLSeg predicts whole images: leave out test_cfg, or what it says but mode='whole'"
            )
        self.others = others
        self._pairs: dict[str, Tensor] = {}

    def episode_text(self, name: str) -> Tensor:
        """Unit rows of `others` and of the class, (2, D), on the model's device; encoded once a class."""
        if name not in self._pairs:
            self._pairs[name] = self.encode_labels([self.others, name]).matrix.to(self.label_text.device)
        return self._pairs[name]

    def episode_logits(self, inputs: Tensor, data_samples: list) -> Tensor:
        """`inputs` (B, 3, H, W) -> logits of (others, the sample's class), (B, 2, H, W)."""
        embedding = self.extract_feat(inputs)
        rows = [self.episode_text(sample.metainfo["class_name"]) for sample in data_samples]
        logits = torch.cat([self.label_logits(one[None], text) for one, text in zip(embedding, rows)])
        return F.interpolate(logits, inputs.shape[-2:], mode="bilinear", align_corners=self.align_corners)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """`loss`; `acc_pixel`, %, of all pixels; `scale`."""
        logits = self.episode_logits(inputs, data_samples)
        target = (torch.stack([sample.gt_sem_seg.data for sample in data_samples])[:, 0] == 1).long()
        correct = (logits.detach().argmax(1) == target).float().mean()
        return {"loss": F.cross_entropy(logits, target), "acc_pixel": 100 * correct, "scale": self.scale().detach()}

    def predict(self, inputs: Tensor, data_samples=None) -> list:
        """Maps of 0 (others) and 1 (the sample's class); for samples without a class, LSeg's label maps."""
        if not data_samples or "class_name" not in data_samples[0].metainfo:
            return super().predict(inputs, data_samples)
        return self.postprocess_result(self.episode_logits(inputs, data_samples), data_samples)
