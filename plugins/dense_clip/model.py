"""Training-free dense CLIP as a segmentor: a frozen CLIP's patch embeddings, classified by words.

The method is a variant of CLIP's last block (`clipkit.backbone`: maskclip, sclip, clearclip, naclip, vanilla) and the
pipeline around it, on which the papers' results depend as much: size, windows, words, scale, thresholds.
"""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from clipkit.adapters import to_whole_patches
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.segmentation.test_time import LabelChunks
from clipkit.segmentation.text_segmentor import TextSegmentor
from clipkit.text import Background, TextEmbeddings, Vocabulary, read_class_file
from clipkit.text.class_rows import as_vocabulary
from clipkit.text.labels import Labels

BACKGROUND = "background"


@MODELS.register_module()
class DenseCLIP(TextSegmentor):
    """p[c] = max over the words r of class c of softmax_r(s · cos(patch embedding, text embedding r)); argmax over c.

    Word scores are upsampled and averaged over windows before softmax and maximum (Wang et al., "SCLIP",
    arXiv:2312.01597, its released code). Nothing trains and there is no checkpoint: `clipkit test CONFIG none`.

    A class named `background` is background: its words compete, and pixels of low probability go to it too.

    Args:
        classes, test_cfg, precision, data_preprocessor: see `TextSegmentor`.
        text: `dict(clip=..., templates=..., dense=...)`; `dense` is the variant.
        logit_scale: s; constant. SCLIP and NACLIP 40 (50 or 65 on some data sets), ClearCLIP 50, MaskCLIP 100.
        words: `dict(path=..., separator=...)` of `read_class_file`: line i holds the words for class i. Default: a
            class's name.
        threshold: pixels whose best p is below it are background (SCLIP's `prob_thd`). Needs a class `background`.
        area: classes that win at most this share of the image's foreground are left out (SCLIP's `area_thd`). Needs a
            class `background`.
        denoise: classes whose largest p in a window is below it are left out of that window (Zhou et al., "MaskCLIP",
            arXiv:2112.01071, 3.3, prompt denoising; 0.5 there), and so of what it shares with overlapping ones.
        upsample: images are enlarged by this before CLIP sees them, the grid of patches with them.

    Raises:
        ClipkitError: `text` has no CLIP; `words` has more or fewer lines than there are classes; a threshold without a
            background.
    """

    reduce = "max"
    threshold: float | None = None

    def __init__(
        self,
        classes: str | Sequence[str],
        text: dict,
        logit_scale: float = 40.0,
        words: Mapping[str, str] | None = None,
        threshold: float | None = None,
        area: float | None = None,
        denoise: float | None = None,
        upsample: float = 1.0,
        test_cfg: dict | None = None,
        precision: str = "auto",
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        if "clip" not in text:
            raise ClipkitError("DenseCLIP needs text=dict(clip=...): embeddings from a file hold no image tower")
        super().__init__(classes, text, test_cfg, precision, data_preprocessor, init_cfg)
        self.logit_scale = logit_scale
        self.threshold, self.area, self.denoise = threshold, area, denoise
        self.upsample = upsample
        if BACKGROUND not in self.classes and (threshold is not None or area is not None):
            raise ClipkitError(f"threshold= and area= need a class named '{BACKGROUND}' that pixels can go to")
        groups = [(name,) for name in self.classes] if words is None else read_class_file(**words)
        if len(groups) != len(self.classes):
            path, count = (words or {}).get("path"), len(self.classes)
            raise ClipkitError(f"{path}: has {len(groups)} lines for {count} classes; line i is for class i")
        self.own_labels = self._encode_words(self.classes, groups)
        self.set_labels()

    def _encode_words(self, names: Sequence[str], groups: Sequence[Sequence[str]]) -> TextEmbeddings:
        """A row a word, each class under its name: what it is asked for by may be other words, or another class's."""
        classes = [i for i, name in enumerate(names) if name != BACKGROUND]
        owner = [(position, word) for position, i in enumerate(classes) for word in groups[i]]
        behind = groups[names.index(BACKGROUND)] if BACKGROUND in names else ()
        owner += [(len(classes), word) for word in behind]
        return TextEmbeddings(
            tuple(names[i] for i in classes),
            self.text.encode_words([word for _, word in owner]),
            torch.tensor([position for position, _ in owner]),
            Background("words", tuple(behind), self.threshold) if behind else Background(),
        )

    def encode_labels(self, labels: Labels) -> TextEmbeddings:
        """As `TextLabels.encode_labels`; a name `background` among plain names is background here too."""
        if not isinstance(labels, (Vocabulary, TextEmbeddings)):
            labels = self.own_prompts(as_vocabulary(labels, self.text.templates, self.reduce))
        return super().encode_labels(labels)

    def own_prompts(self, vocabulary: Vocabulary) -> Vocabulary:
        """Also takes a label `background` for the background."""
        words = dict(zip(vocabulary.names, vocabulary.words))
        behind = words.pop(BACKGROUND, None)
        if behind is None or vocabulary.background.has_class or not words:
            return super().own_prompts(vocabulary)
        synonyms = [group[1:] for group in words.values()]
        background = Background("words", behind, self.threshold)
        return Vocabulary(list(words), synonyms, self.text.templates, self.reduce, background)

    @property
    def label_chunks(self) -> LabelChunks | None:  # type: ignore[override]
        """Words, unless something asks for the logits of all: `decide` without `area` is the best word's class."""
        return "words" if self.denoise is None and self.area is None else None

    # ---- forward --------------------------------------------------------------------------------------------------

    def scale(self) -> float:
        """The constant factor of the cosines."""
        return self.logit_scale

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """`inputs` (B, 3, H, W) as the preprocessor gives them -> patch embeddings (B, D, h, w), not normalised."""
        images = self._unit_range(inputs)
        if self.upsample != 1.0:
            images = F.interpolate(images, scale_factor=self.upsample, mode="bilinear", align_corners=False)
        with self._autocast(inputs.device):
            return self.text.clip.features(to_whole_patches(images, self.text.clip.patch_size)).dense

    def encode_decode(self, inputs: Tensor, batch_data_samples=None) -> Tensor:
        """`inputs` (B, 3, H, W) -> logits of every word (B, R, H, W); `decide` joins the words of a class."""
        logits = self.label_logits(self.extract_feat(inputs), self.label_text)
        if self.denoise is not None:
            best = logits.softmax(1).amax((2, 3), keepdim=True)
            unlikely = best < self.denoise  # where all are, all stay
            logits = logits.masked_fill(unlikely & ~unlikely.all(1, keepdim=True), -100 * self.logit_scale)
        return F.interpolate(logits, size=inputs.shape[-2:], mode="bilinear", align_corners=self.align_corners)

    def decide(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the words (R, H, W) -> label map (1, H, W), and log p of the labels that have words (N, H, W)."""
        scores = self.labels.class_scores(logits.log_softmax(0), dim=0)
        background, classes = self.labels.background, len(self.labels)
        if self.area is not None and background.has_class:
            areas = scores.argmax(0).flatten().bincount(minlength=len(scores))[:classes]
            small = areas <= self.area * areas.sum()
            scores[:classes] = scores[:classes].masked_fill(small[:, None, None], -1e4)
        best, labels = scores.max(0, keepdim=True)
        if background.threshold is not None:
            labels = labels.masked_fill(best < math.log(background.threshold), classes)
        return labels, scores

    def probability(self, scores: Tensor) -> Tensor:
        """log p of the classes (N, H, W), as `decide` gives them -> p of the best (H, W). They do not sum to 1: the
        softmax is over words."""
        return scores.amax(0).exp()

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """There is none."""
        raise ClipkitError("DenseCLIP has nothing to train; test it: clipkit test CONFIG none")
