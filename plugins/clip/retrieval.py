"""Text to image and image to text retrieval."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from clipkit.classification.loops import FeatureLoop
from clipkit.engine.registry import LOOPS
from clipkit.errors import ClipkitError
from clipkit.evaluation.image_text import image_text_ranks
from clipkit.text import get_templates
from clipkit.text.templates import fill


@LOOPS.register_module()
class ImageTextLoop(FeatureLoop):
    """Recall both ways on a set of captioned images: R@1, R@5, R@10, median and mean rank.

    Args:
        prompt: what a caption is put into; CLIP's paper has 'a photo of {}' (section 3.1.5 and table 13).
        ties: see `clipkit.evaluation.retrieval.Ranks.metrics`.
        **kwargs: see `FeatureLoop`.
    """

    def __init__(self, *args: Any, prompt: str = "{}", ties: str = "expected", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        (self.prompt,) = get_templates([prompt])
        self.ties = ties

    def measure(self) -> dict[str, float]:
        captioned: Any = self.images
        if not hasattr(captioned, "owner"):
            raise ClipkitError(f"{type(captioned).__name__} has no captions; KarpathyImages and ShapesCaptioned have")
        device = self.model.clip.device
        images = F.normalize(self.features(captioned).embedding, dim=-1).to(device)
        texts = self.model.text.bank.encode_prompts([fill(self.prompt, text) for text in captioned.texts]).to(device)
        found = image_text_ranks(images, texts, torch.from_numpy(captioned.owner))
        metrics = {}
        for way, ranks in found.items():
            numbers = ranks.metrics(self.ties)
            metrics.update({f"{way}/{key}": value for key, value in numbers.items()})
            self.note("retrieval", numbers, direction=way, prompt=self.prompt, ties=self.ties, images=len(captioned),
                      texts=len(captioned.texts))  # fmt: skip
        return metrics
