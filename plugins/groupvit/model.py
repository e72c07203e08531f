"""GroupViT: segmentation from captions alone (Xu et al., "GroupViT: Semantic Segmentation Emerges from Text
Supervision", CVPR 2022, arXiv:2202.11094)."""

import warnings
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from clipkit_plugins.groupvit.encoder import GroupingEncoder
from clipkit_plugins.groupvit.kmeans import clusters_for_groups
from clipkit_plugins.groupvit.losses import phrase_loss
from clipkit_plugins.groupvit.text import Projector, TrainedText
from mmengine.logging import MMLogger, print_log
from mmengine.structures import PixelData
from torch import Tensor

from clipkit.adapters import ContrastiveLoss, LogitScale, to_whole_patches
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.segmentation.test_time import LabelChunks
from clipkit.segmentation.text_segmentor import TextSegmentor
from clipkit.text import Background, TextEmbeddings, Vocabulary
from clipkit.text.class_rows import as_vocabulary
from clipkit.text.labels import Labels

BACKGROUND = "background"
CLUSTERS = (None, "tokens", "colours")
LOSSES = {"caption": 1.0, "phrases": 1.0, "groups": 0.0}


@MODELS.register_module()
class GroupViT(TextSegmentor):
    """A pixel has the name of its group: tokens of the image are assigned to groups, each group meets the words.

    By default logits[p, k] = s · cos(z_g(p), e_k), like other segmentors of clipkit; with `soft` a cell's embedding is
    sum_g a_g z_g / |z_g|, a its soft assignment. With `top_classes` prediction is
    the original's: a group's softmax over the classes, times the softmax over the few classes that fit the whole image
    best; windows are averaged as probabilities, and there background is what stays below
    min(threshold, best of the window's groups).

    Args:
        classes, test_cfg, precision, data_preprocessor: see `TextSegmentor`.
        text: `dict(clip=...)` for a frozen CLIP's text tower, or the arguments of `TrainedText` for the paper's own.
        tokens: config of the image tokens: `PatchTokens`, `StemTokens`, `FrozenTokens`.
        encoder: arguments of `GroupingEncoder`, or with `type` config of another module with `dim` and `segments` that
            gives segments and maps.
        hidden: width inside the projector to the text's space.
        losses: weights of `caption` (InfoNCE of image and caption), `phrases` (the paper's multi-label loss) and
            `groups` (ours: each phrase meets its best group, see `losses.best_group`).
        equal_phrases: see `losses.phrase_loss`; the paper's is False.
        top_classes: how many classes of the whole image compete, the original's is 5; None: all, as above.
        threshold: pixels below it are background. Needs a class `background`, which then has no words.
        logit_scale: at first, of both losses; both are learned, up to 100.
        soft: not the paper's: cells are named by all of their groups, each by its share, and not by the largest alone.
            `pred_groups` stays the largest.
        clusters: predict with k-means in the groups' place, to see what grouping adds: of `tokens`, as the first stage
            would group them, or of the cells' mean `colours`; a cluster has the mean of its cells' groups. Not for
            training.

    Raises:
        ClipkitError: tokens of a frozen CLIP without `text=dict(clip=...)`; a threshold without a class `background`;
            `soft` beside `top_classes`; `clusters` of anything else, or beside an encoder without stages.
    """

    def __init__(
        self,
        classes: str | Sequence[str],
        text: dict,
        tokens: dict,
        encoder: dict,
        hidden: int = 4096,
        losses: Mapping[str, float] | None = None,
        equal_phrases: bool = True,
        top_classes: int | None = None,
        threshold: float | None = None,
        logit_scale: float = 1 / 0.07,
        soft: bool = False,
        clusters: str | None = None,
        test_cfg: dict | None = None,
        precision: str = "auto",
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(classes, text, test_cfg, precision, data_preprocessor, init_cfg)
        if "path" in text or self.text.whitening is not None:
            raise ClipkitError("GroupViT learns from captions: text= needs a text tower, no file, and no whiten=")
        self.tokens = MODELS.build(dict(tokens))
        if self.tokens.needs_clip and self.text.clip is None:
            raise ClipkitError(f"tokens {tokens['type']} need text=dict(clip=...): the CLIP whose tokens they are")
        encoder = dict(encoder)
        self.encoder = MODELS.build(encoder) if "type" in encoder else GroupingEncoder(**encoder)
        if clusters not in CLUSTERS or (clusters == "tokens" and not isinstance(self.encoder, GroupingEncoder)):
            raise ClipkitError(f"clusters={clusters!r}: known are tokens, of a GroupingEncoder, and colours")
        if soft and top_classes is not None:
            raise ClipkitError("soft=True does not go with top_classes=: the original's rule names each group once")
        self.soft, self.clusters = soft, clusters
        self.projector = Projector(self.encoder.dim, hidden, self.text.embed_dim)
        unknown = sorted(set(losses or {}) - set(LOSSES))
        if unknown:
            raise ClipkitError(f"losses has no {', '.join(unknown)}; known: {', '.join(LOSSES)}")
        self.weights = {**LOSSES, **(losses or {})}
        self.equal_phrases = equal_phrases
        # What no loss reads does not learn: DistributedDataParallel would wait for its gradient.
        self.logit_scale = LogitScale(logit_scale, learned=bool(self.weights["caption"]))
        of_phrases = bool(self.weights["phrases"] or self.weights["groups"])
        self.phrase_scale = LogitScale(logit_scale, learned=of_phrases)
        self.contrastive = ContrastiveLoss()
        self.top_classes, self.threshold = top_classes, threshold
        if threshold is not None and BACKGROUND not in self.classes:
            raise ClipkitError(f"threshold= needs a class named '{BACKGROUND}' that pixels can go to")
        self.winners: Tensor | None = None
        self._wanted: Labels | None = None
        self._stale = self._said_cut = False
        self._own_rows()

    # ---- labels ---------------------------------------------------------------------------------------------------

    def build_text(self, text: dict):
        """A frozen CLIP's text, or the paper's own."""
        return super().build_text(text) if "clip" in text or "path" in text else TrainedText(**text)

    def _own_rows(self) -> None:
        self.own_labels = self.encode_labels([self.classes[i] for i in self.named])
        self.set_labels(self._wanted)

    def encode_labels(self, labels: Labels) -> TextEmbeddings:
        """As `TextLabels.encode_labels`; a name `background` among plain names is what stays below the threshold."""
        if not isinstance(labels, (Vocabulary, TextEmbeddings)):
            labels = self.own_prompts(as_vocabulary(labels, self.text.templates, self.reduce))
        return super().encode_labels(labels)

    def own_prompts(self, vocabulary: Vocabulary) -> Vocabulary:
        """Also takes a label `background` for the background."""
        words = dict(zip(vocabulary.names, vocabulary.synonyms))
        threshold = getattr(self, "threshold", None)
        if BACKGROUND not in words or vocabulary.background.has_class or len(words) == 1 or threshold is None:
            return super().own_prompts(vocabulary)
        del words[BACKGROUND]
        background = Background("threshold", threshold=threshold)
        return Vocabulary(list(words), list(words.values()), self.text.templates, self.reduce, background)

    def set_labels(self, labels: Labels | None = None) -> tuple[str, ...]:
        """As `TextLabels.set_labels`; remembered, because the rows of the same words change where the text trains."""
        self._wanted = labels
        return super().set_labels(labels)

    @property
    def label_chunks(self) -> LabelChunks | None:  # type: ignore[override]
        """Classes, unless the whole image decides which of them compete."""
        return "classes" if self.top_classes is None else None

    # ---- forward --------------------------------------------------------------------------------------------------

    def scale(self) -> Tensor:
        """The factor of the cosines in prediction: that of the loss which groups were named by."""
        return self.phrase_scale() if self.weights["groups"] else self.logit_scale()

    def look(self, inputs: Tensor, names: Sequence[str] | None = None) -> Tensor:
        """What the tokens are made of: the CLIP's own tokens (B, C, h, w), or the image in whole patches.

        Args:
            inputs: (B, 3, H, W) as the preprocessor gives them, any size.
            names: of the images, see `FrozenTokens`.
        """
        if not self.tokens.needs_clip:
            return to_whole_patches(inputs, self.tokens.stride, clamp=False)
        images = to_whole_patches(self._unit_range(inputs), self.text.clip.patch_size)
        with self._autocast(inputs.device):
            return self.tokens.of(images, self.text.clip, names)

    def group(self, seen: Tensor, names: Sequence[str] | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """What `look` gives -> groups (B, G, D) and the image (B, D) in the text's space, neither normalised, and to
        which group cells belong (B, G, h, w), in [0, 1]."""
        with self._autocast(seen.device):
            x, grid = self.tokens(seen)
            what = seen.flatten(2).transpose(1, 2) if self.tokens.needs_clip else x
            segments, maps = self.encoder(x, what, names) if self.encoder.needs_seen else self.encoder(x)
            both = self.projector(torch.cat([segments, segments.mean(1, keepdim=True)], dim=1))
        return both[:, :-1].float(), both[:, -1].float(), maps.float().transpose(1, 2).unflatten(2, grid)

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`group` of what `look` sees in `inputs` (B, 3, H, W): one pass, or two with `clusters` of tokens."""
        seen = self.look(inputs)
        groups, image, maps = self.group(seen)
        if self.clusters is None:
            return groups, image, maps
        if self.clusters == "colours":
            what = F.adaptive_avg_pool2d(self._unit_range(inputs), maps.shape[2:]).flatten(2).transpose(1, 2)
        else:
            with self._autocast(inputs.device):
                what, _ = self.encoder.stages[0].attend(self.tokens(seen)[0], None)
        clusters, members = clusters_for_groups(what, groups, maps)
        return clusters, image, members

    def _winners(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, G, h, w) -> the group of each pixel (B, H, W)."""
        return F.interpolate(maps, size=size, mode="bilinear", align_corners=False).argmax(1)

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """`inputs` (B, 3, H, W) -> each pixel's group in the text's space (B, D, H, W), with `soft` each cell's mixture
        (B, D, h, w); not normalised."""
        groups, _, maps = self.encode(inputs)
        return _shared(groups, maps) if self.soft else _of_winners(groups, self._winners(maps, inputs.shape[-2:]))

    def encode_decode(self, inputs: Tensor, batch_data_samples=None) -> Tensor:
        """`inputs` (B, 3, H, W) -> logits of the current labels (B, K, H, W), or with `top_classes` probabilities."""
        groups, image, maps = self.encode(inputs)
        self.winners = self._winners(maps, inputs.shape[-2:])
        if self.soft:
            logits = self.labels.class_scores(self.label_logits(_shared(groups, maps), self.label_text), dim=1)
            return F.interpolate(logits, size=inputs.shape[-2:], mode="bilinear", align_corners=self.align_corners)
        scores = self.labels.class_scores(self._cosines(groups), dim=2)  # (B, G, K)
        if self.top_classes is not None:
            of_image = self.labels.class_scores(self._cosines(image[:, None]), dim=2)
            scores = self._original(scores, of_image)
        return _of_winners(scores, self.winners)

    def _cosines(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.scale() * F.normalize(x, dim=-1) @ self.label_text.to(x.dtype).T

    def _original(self, scores: Tensor, of_image: Tensor) -> Tensor:
        """Logits of groups (B, G, K) and of the image (B, 1, K) -> probabilities (B, G, K), and background's behind."""
        assert self.top_classes is not None
        best = of_image.topk(min(self.top_classes, of_image.shape[2]), dim=2)
        few = torch.full_like(of_image, -torch.inf).scatter_(2, best.indices, best.values)
        found = scores.softmax(2) * few.softmax(2)
        threshold = self.labels.background.threshold
        if threshold is None:
            return found
        highest = found.amax(2, keepdim=True)
        behind = highest < highest.amax(1, keepdim=True).clamp(max=threshold)
        if self.labels.background.kind == "threshold":
            return torch.cat([found, behind.to(found)], dim=2)
        words = torch.maximum(found[..., -1:], behind.to(found))  # words speak for the background too
        return torch.cat([found[..., :-1], words], dim=2)

    # ---- prediction -----------------------------------------------------------------------------------------------

    def predict(self, inputs: Tensor, data_samples=None) -> list:
        """`TextSegmentor.predict`; of whole images also `pred_groups`, the group of each pixel of the input."""
        if self._stale:
            self._own_rows()
            self._stale = False
        self.winners = None
        samples = super().predict(inputs, data_samples)
        whole = self.test_cfg["mode"] == "whole" and not any(self.test_cfg.get(key) for key in ("scales", "flip"))
        if whole and self.winners is not None:
            for sample, winners in zip(samples, self.winners):
                sample.set_data({"pred_groups": PixelData(data=winners[None])})
                sample.set_metainfo({"num_groups": self.encoder.segments})
        return samples

    def decide(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """As `TextSegmentor.decide`; with `top_classes` the best probability, background's among them."""
        return super().decide(logits) if self.top_classes is None else (logits.argmax(0, keepdim=True), logits)

    def probability(self, scores: Tensor) -> Tensor:
        """As `TextSegmentor.probability`; with `top_classes` scores are probabilities already."""
        return super().probability(scores) if self.top_classes is None else scores.amax(0)

    # ---- training -------------------------------------------------------------------------------------------------

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """The weighted losses, and `groups_used`, the mean number of groups that win a cell of an image.

        Raises:
            ClipkitError: samples without captions or phrases.
        """
        samples = [sample.metainfo for sample in data_samples]
        wanted = ["caption", *(["phrases"] if self.weights["phrases"] or self.weights["groups"] else [])]
        if lacking := [key for key in wanted if key not in samples[0]]:
            raise ClipkitError(
                f"GroupViT's loss needs {', '.join(lacking)}: see PickPhrases, and the packing's meta_keys"
            )
        names = [sample["img_path"] for sample in samples] if all("img_path" in sample for sample in samples) else None
        phrases = [sample["phrases"] for sample in samples] if len(wanted) > 1 else []
        return self.losses(self.look(inputs, names), [sample["caption"] for sample in samples], phrases, names)

    def losses(
        self,
        seen: Tensor,
        captions: Sequence[str],
        phrases: Sequence[Sequence[str]] = (),
        names: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """`loss` of what `look` gave for B images, their captions, and the phrases of each."""
        self._stale = isinstance(self.text, TrainedText)
        rows = self._texts([*captions, *(phrase for own in phrases for phrase in own)], seen.device)
        groups, image, maps = self.group(seen, names)
        found = {}
        if self.weights["caption"]:
            own = self.contrastive(image, rows[: len(captions)], self.logit_scale())
            found["loss_caption"] = self.weights["caption"] * own
        for key, target in (("phrases", image), ("groups", groups)):
            if self.weights[key]:
                of = phrase_loss(rows[len(captions) :], phrases, target, self.phrase_scale(), self.equal_phrases)
                found[f"loss_{key}"] = self.weights[key] * of
        winners = maps.detach().argmax(1).flatten(1)
        used = F.one_hot(winners, maps.shape[1]).amax(1).sum(1)
        return {**found, "groups_used": used.float().mean(), "scale": self.scale().detach()}

    def _texts(self, texts: Sequence[str], device: torch.device) -> Tensor:
        if isinstance(self.text, TrainedText):
            with self._autocast(device):
                return self.text(texts).float()
        with warnings.catch_warnings(record=True) as cut:  # one for each caption that is too long: thousands
            warnings.simplefilter("always")
            rows = self.text.bank.encode_words(texts)  # as they are: phrases have their prompts already
        if cut and not self._said_cut:
            self._said_cut = True
            print_log(f"the first of the texts that are cut: {cut[0].message}", MMLogger.get_current_instance(), 30)
        return rows.to(device)

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        self._stale = isinstance(self.text, TrainedText)
        super()._load_from_state_dict(*args, **kwargs)


def _shared(groups: Tensor, maps: Tensor) -> Tensor:
    """The directions of groups (B, G, D), each by its share of a cell (B, G, h, w): (B, D, h, w)."""
    return torch.einsum("bgd,bghw->bdhw", F.normalize(groups, dim=-1), maps)


def _of_winners(of_groups: Tensor, winners: Tensor) -> Tensor:
    """What groups have (B, G, K), for the group of each pixel (B, H, W): (B, K, H, W). A gather over all images at once
    takes less than half of the time that indexing each of them does."""
    columns = of_groups.transpose(1, 2)
    places = winners.flatten(1)[:, None].expand(-1, columns.shape[1], -1)
    return columns.gather(2, places).unflatten(2, winners.shape[1:])
