"""The classification side of ViLD, in the form in which mmdet's box heads take it: as their `loss_cls`."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from clipkit_plugins.vild.formulas import NOVEL, cosine_logits, ensemble_scores, log_probabilities, text_loss
from torch import Tensor, nn

from clipkit.adapters import LogitScale
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.text import LearnedBackground, TextEmbeddings

VARIANTS = ("text", "image", "vild", "ensemble", "crops")
BACKGROUNDS = ("learned", "raw", "zeros", "word", "tuned-word")


@MODELS.register_module()
class ViLDClassifier(nn.Module):
    """Region embeddings against text embeddings: loss in training, class scores at test time (ViLD, section 3.2-3.4).

    mmdet asks a `loss_cls` with `custom_cls_channels` how wide the head's last layer is: as wide as the embedding.

    Args:
        embed_dim: `D`.
        variant: 'text', 'image', 'vild' (text and distillation on one embedding), 'ensemble' (on two), or 'crops', the
            upper row: the trained 'text', whose second embedding is CLIP's own of each region's crop.
        scale: factor of the cosines, 1 / temperature.
        test_scale: another one for scores (DetPro: 100 / 0.7); None: the same.
        image_scale: another one for the second embedding's scores (F-ViT: 75); None: `test_scale`.
        learn_scale: train the scale, starting at `scale` (F-ViT).
        background: 'learned' vector, normalised; 'raw': learned and not normalised (jhoowy); 'zeros': its logit is 0
            (Detic); 'word': the embedding of the word "background"; 'tuned-word': trained from there (F-ViT).
        background_std: of a learned vector's start; 0.01 in the release.
        background_weight: of background regions in the loss (BARON 0.7, F-ViT 0.6).
        novel: what the loss does with logits of novel classes, see `hide_novel`.
        image_background: 'remove' or 'keep' (ovdet) background in the softmax of the second embedding. DetPro's logit
            of -1e11 is the same as 'remove'. It also says whether ViLD-image alone has a background.
        base_weight, novel_weight: of the text head on base and of the image head on novel classes; see
            `ensemble_scores`. F-ViT on COCO has 0.9 and 0.8.

    Raises:
        ClipkitError: an unknown word.
    """

    # What mmdet's BBoxHead looks for.
    custom_cls_channels = custom_activation = custom_accuracy = True
    train_text: Tensor
    train_base: Tensor
    label_text: Tensor
    label_base: Tensor

    def __init__(
        self,
        embed_dim: int = 512,
        variant: str = "vild",
        scale: float = 100.0,
        test_scale: float | None = None,
        image_scale: float | None = None,
        learn_scale: bool = False,
        background: str = "learned",
        background_std: float = 0.01,
        background_weight: float = 1.0,
        novel: str = "zero",
        image_background: str = "remove",
        base_weight: float = 2 / 3,
        novel_weight: float = 2 / 3,
    ):
        super().__init__()
        for word, known in ((variant, VARIANTS), (background, BACKGROUNDS), (novel, NOVEL)):
            if word not in known:
                raise ClipkitError(f"ViLDClassifier: '{word}' is unknown; known: {', '.join(known)}")
        if image_background not in ("remove", "keep"):
            raise ClipkitError(f"image_background is 'remove' or 'keep', got '{image_background}'")
        self.embed_dim, self.variant = embed_dim, variant
        self.scale = LogitScale(scale, maximum=max(100.0, scale), learned=learn_scale)
        self.test_scale, self.image_scale = test_scale, image_scale
        self.background_kind, self.background_weight = background, background_weight
        self.novel, self.image_background = novel, image_background
        self.base_weight, self.novel_weight = base_weight, novel_weight
        self.background: LearnedBackground | None = None
        # Without a text loss nothing would train it.
        if background in ("learned", "raw", "tuned-word") and variant != "image":
            self.background = LearnedBackground(embed_dim, std=background_std, normalize=background != "raw")
        for name in ("train_text", "train_base", "label_text", "label_base", "background_word"):
            self.register_buffer(name, torch.empty(0), persistent=False)
        self.labels: TextEmbeddings | None = None

    def set_training_classes(self, rows: Tensor, base: Tensor, background_word: Tensor) -> None:
        """Rows (K, D) of the annotations' classes, which of them are base (K,), and the row (D,) of "background"."""
        self.train_text, self.train_base, self.background_word = rows, base, background_word
        if self.background is not None and self.background_kind == "tuned-word":
            with torch.no_grad():
                self.background.vector.copy_(background_word)

    def set_labels(self, labels: TextEmbeddings, base: Sequence[bool]) -> None:
        """What scores are for; `base` says of each label whether it was trained."""
        device = self.train_text.device
        self.labels = labels
        self.label_text = labels.matrix.to(device)
        self.label_base = torch.tensor(base, dtype=torch.bool, device=device)

    # ---- mmdet's interface ------------------------------------------------------------------------------------------

    def get_cls_channels(self, num_classes: int) -> int:
        """Width of the head's classification output: `D`, whatever the number of classes."""
        return self.embed_dim

    def forward(
        self,
        cls_score: Tensor,
        labels: Tensor,
        label_weights: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> dict[str, Tensor]:
        """Embeddings (n, D) -> `loss_cls`; nothing for 'image', whose only teacher is CLIP."""
        if self.variant == "image":
            return {}
        options = {"novel": self.novel, "background_weight": self.background_weight, "weights": label_weights}
        return {"loss_cls": text_loss(self._logits(cls_score), labels, self.train_base, divisor=avg_factor, **options)}

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """`acc`, % of the sampled regions whose best class, background among them, is right."""
        if self.variant == "image" or len(labels) == 0:
            return {}
        hit = self._logits(cls_score.detach()).detach().argmax(1) == labels
        return {"acc": 100 * hit.float().mean()}

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Embeddings (n, D), or (n, 2D) text first, -> scores of the current labels (n, N + 1).

        The last column is mmdet's background and always dropped; here it is 0.
        """
        return F.pad(self.scores(cls_score[:, : self.embed_dim], cls_score[:, self.embed_dim :]), (0, 1))

    # ---- logits and scores ------------------------------------------------------------------------------------------

    def _logits(self, embedding: Tensor) -> Tensor:
        """Training logits (n, K + 1)."""
        rows = torch.cat([self.train_text, self.background_row()])
        return cosine_logits(embedding[:, : self.embed_dim], rows, self.scale())

    def background_row(self) -> Tensor:
        """(1, D), what competes with the labels as background."""
        if self.background is not None:
            return self.background(self.train_text.new_empty(0, self.embed_dim))
        return (
            self.background_word[None]
            if "word" in self.background_kind
            else self.train_text.new_zeros(1, self.embed_dim)
        )

    def label_cosines(self, embedding: Tensor) -> Tensor:
        """(n, D) -> (n, R), the raw cosines to the rows of the current labels; a row never sees the others."""
        return cosine_logits(embedding, self.label_text)

    def _log_probabilities(self, embedding: Tensor, scale: Tensor | float, background: bool) -> Tensor:
        assert self.labels is not None
        logits = self.labels.class_scores(scale * self.label_cosines(embedding))
        if not background:
            return log_probabilities(logits)
        return log_probabilities(logits, cosine_logits(embedding, self.background_row(), scale))

    def scores(self, text: Tensor, image: Tensor | None = None) -> Tensor:
        """(n, D) of each head -> (n, N) scores; only 'ensemble' and 'crops' read `image`."""
        scale = self.scale() if self.test_scale is None else self.test_scale
        keep = self.image_background == "keep"
        if self.variant == "image":
            return self._log_probabilities(text, scale, keep).exp()
        by_text = self._log_probabilities(text, scale, True)
        if self.variant in ("text", "vild"):
            return by_text.exp()
        image_scale = scale if self.image_scale is None else self.image_scale
        by_image = self._log_probabilities(image, image_scale, keep)
        return ensemble_scores(by_text, by_image, self.label_base, self.base_weight, self.novel_weight)
