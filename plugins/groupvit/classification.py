"""Zero-shot classification by a `GroupViT`: the mean of its groups among the names."""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.evaluator import Evaluator
from mmengine.runner import BaseLoop
from torch import Tensor
from tqdm import tqdm

from clipkit.engine.registry import LOOPS
from clipkit.evaluation.classification import classification_scores, rank_classes


@LOOPS.register_module()
class GroupZeroShotLoop(BaseLoop):
    """Top-1 and top-5 of an image set with labels, in percent. The data loader gives the set, and is not iterated.

    Args:
        size: the short side is resized to it (bicubic) and the middle is cut out, as the original does: 256 and 224.
        crop: pixels a side of what is cut out.
        batch: images a forward pass.
    """

    def __init__(
        self, runner: Any, dataloader: Any, evaluator: Any = None, size: int = 256, crop: int = 224, batch: int = 64
    ) -> None:
        super().__init__(runner, dataloader)
        self.evaluator = Evaluator([])  # where a hook looks for metrics
        self.size, self.crop, self.batch = size, crop, batch

    @torch.no_grad()
    def run(self) -> dict[str, float]:
        """Measures, between mmengine's hooks."""
        self.runner.call_hook("before_test")
        self.runner.call_hook("before_test_epoch")
        model, images = self.runner.bare_model, self.dataloader.dataset
        self.runner.model.eval()
        device = model.label_text.device
        rows = model.text.encode_words(images.names).to(device)
        found = []
        for start in tqdm(range(0, len(images), self.batch), desc="images", unit="batch", delay=1):
            inputs = [self._fitted(images.read(i)) for i in range(start, min(start + self.batch, len(images)))]
            batch = model.data_preprocessor({"inputs": inputs})["inputs"]
            embedding = F.normalize(model.encode(batch)[1], dim=-1)
            found.append(rank_classes(embedding, rows, None).cpu())
        scores = classification_scores(torch.cat(found), torch.from_numpy(images.labels), len(images.names))
        metrics = {"top1": round(scores.top1, 2), "top5": round(scores.topk, 2)}
        self.runner.call_hook("after_test_epoch", metrics=metrics)
        self.runner.call_hook("after_test")
        return metrics

    def _fitted(self, rgb: Any) -> Tensor:
        """(H, W, 3) uint8 RGB -> (3, crop, crop) BGR, 0 to 255, as a pipeline gives it."""
        image = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float()
        height, width = image.shape[-2:]
        factor = self.size / min(height, width)
        size = (max(round(height * factor), self.crop), max(round(width * factor), self.crop))
        if size != (height, width):
            image = F.interpolate(image, size=size, mode="bicubic", antialias=True).clamp(0, 255)
        top, left = (size[0] - self.crop) // 2, (size[1] - self.crop) // 2
        return image[0, :, top : top + self.crop, left : left + self.crop].flip(0)
