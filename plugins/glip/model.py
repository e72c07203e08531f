"""GLIP on mmdet's single-stage detector (Li et al., "Grounded Language-Image Pre-training", CVPR 2022,
arXiv:2112.03857)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from clipkit_plugins.glip.head import phrase_scores
from clipkit_plugins.glip.text import PromptTokens
from mmcv.ops import batched_nms
from mmdet.models.detectors import SingleStageDetector
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor

from clipkit.detection.prompts import Prompt, list_prompt, read_sentence
from clipkit.engine.class_names import read_classes
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.text import Vocabulary
from clipkit.text.label_file import refuse_path


@MODELS.register_module()
class GLIP(SingleStageDetector):
    """A detector that is asked in words: names of a list, or phrases of a sentence.

    Args:
        text: config of what makes tokens of prompts, `dict(type='clipkit.ClipPrompts', …)` or `BertPrompts`.
        backbone, neck, data_preprocessor: mmdet's.
        bbox_head: of `GLIPHead`; `text_width` is taken from `text`.
        classes: names that are predicted until `set_labels` says otherwise; see `read_classes`. None: nothing, the
            model answers prompts of samples and labels that are set.
        train_cfg: `dict(assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1)`.
        test_cfg: `score_thr`, `nms_pre` (a level), `max_per_img`, `nms` as in mmdet's; `nms_over`: 'class' (the
            default), or 'all' where an object has one name; `chunk_tokens`: of a prompt that asks for names, by default
            all that `text` takes.

    Raises:
        ClipkitError: an unknown `nms_over`.
    """

    def __init__(
        self,
        text: dict,
        backbone: dict,
        bbox_head: dict,
        neck: dict | None = None,
        classes: str | Sequence[str] | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        built = MODELS.build(text)
        head = {"type": "clipkit.GLIPHead", **bbox_head, "text_width": built.width}
        with DefaultScope.overwrite_default_scope("mmdet"):
            super().__init__(backbone, neck, head, train_cfg, test_cfg or {}, data_preprocessor, init_cfg)
        if (over := self.test_cfg.get("nms_over", "class")) not in ("class", "all"):
            raise ClipkitError(f"test_cfg.nms_over='{over}' is unknown; known: class, all")
        self.text = built
        self.classes = [] if classes is None else read_classes(classes)
        self.sentence: Prompt | None = None
        self.set_labels()

    # ---- labels -----------------------------------------------------------------------------------------------------

    def set_labels(self, labels: str | Sequence[str] | Vocabulary | Prompt | None = None) -> tuple[str, ...]:
        """What `predict` looks for: names, `'a, b; synonym'`, a `Vocabulary` (a label's score is its best word's), a
        sentence as `read_sentence` gives it; None for the config's classes. Returns `label_names`.

        Raises:
            ClipkitError: a name that is too long, or a background policy, which a detector of phrases has no place for.
        """
        self.sentence = labels if isinstance(labels, Prompt) else None
        if isinstance(labels, Prompt):
            self.label_names: tuple[str, ...] = labels.phrases
            self.chunks = [(labels, list(range(len(labels.phrases))))]
            return self.label_names
        if isinstance(labels, str):
            refuse_path(labels)
            labels = Vocabulary.parse(labels)
        if labels is None:
            groups = [(name,) for name in self.classes]
        else:
            vocabulary = labels if isinstance(labels, Vocabulary) else Vocabulary(labels)
            if vocabulary.background.kind != "none":
                raise ClipkitError(f"GLIP takes no {vocabulary.background.kind} background from its labels")
            groups = vocabulary.words
        self.label_names = tuple(group[0] for group in groups)
        words = [word for group in groups for word in group]
        owners = [i for i, group in enumerate(groups) for _ in group]
        self.chunks = [
            (list_prompt([words[i] for i in part]), [owners[i] for i in part]) for part in self._chunked(words)
        ]
        return self.label_names

    @staticmethod
    def read_sentence(text: str) -> Prompt:
        """For `clipkit predict --sentence`."""
        return read_sentence(text)

    def _chunked(self, words: Sequence[str]) -> list[list[int]]:
        """Places of the words, as many in a chunk as its tokens allow."""
        room = self.test_cfg.get("chunk_tokens", self.text.max_tokens) - self.text.around
        parts: list[list[int]] = []
        used = room + 1
        for i, count in enumerate(self.text.count(words) if words else ()):
            if used + count > room:
                parts.append([])
                used = 0
            parts[-1].append(i)
            used += count
        return parts

    # ---- forward ----------------------------------------------------------------------------------------------------

    def loss(self, batch_inputs: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        """See `GLIPHead.loss`. A sample's metainfo has its `prompt`, and of each object the phrases that name it
        (`object_phrases`), as `clipkit.GroundingPrompt` gives them.

        Raises:
            ClipkitError: samples without them.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        if not all("prompt" in meta and "object_phrases" in meta for meta in metas):
            raise ClipkitError("GLIP trains on prompts: put clipkit.GroundingPrompt before the step that packs")
        text = self.text([meta["prompt"] for meta in metas])
        positives = [
            torch.stack([phrases[list(own)].any(0) for own in meta["object_phrases"]])
            if meta["object_phrases"]
            else phrases[:0]
            for meta, phrases in zip(metas, text.phrases)
        ]
        return self.bbox_head.loss(self.extract_feat(batch_inputs), text, batch_data_samples, positives)

    @torch.no_grad()
    def predict(self, batch_inputs: Tensor, batch_data_samples: list, rescale: bool = True) -> list:
        """`pred_instances`, whose labels are indices into the metainfo `label_names`; and where a sample has `prompts`
        in its metainfo, `phrase_boxes` there: of each prompt a list of each phrase's boxes (k, 4), best first."""
        levels = self.extract_feat(batch_inputs)
        sizes = [tuple(level.shape[-2:]) for level in levels]
        seen = levels if self.bbox_head.deep else self.bbox_head.see(levels)
        metas = [sample.metainfo for sample in batch_data_samples]
        found: list[list[InstanceData]] = [[] for _ in metas]
        for prompt, owners in self.chunks:
            for place, part in enumerate(self._candidates(seen, sizes, self.text([prompt]), metas)):
                part.labels = torch.tensor(owners, device=part.labels.device)[part.labels]
                found[place].append(part)
        for i, (sample, parts) in enumerate(zip(batch_data_samples, found)):
            sample.pred_instances = self._select(parts, sample.metainfo, rescale)
            sample.set_metainfo({"label_names": self.label_names})
            if "prompts" in sample.metainfo:
                own = [level[i : i + 1] for level in seen]
                boxes = [self._ground(own, sizes, prompt, sample.metainfo, rescale) for prompt in metas[i]["prompts"]]
                sample.set_metainfo({"phrase_boxes": boxes})
        return batch_data_samples

    def _ground(
        self, levels: list[Tensor], sizes: list, prompt: Prompt, meta: dict, rescale: bool, most: int = 10
    ) -> list[Tensor]:
        """Of each phrase its best boxes."""
        (found,) = self._candidates(levels, sizes, self.text([prompt]), [meta], threshold=0.0)
        best = self._select([found], meta, rescale, over="class", most=most * len(prompt.spans))
        return [best.bboxes[best.labels == i][:most].cpu() for i in range(len(prompt.spans))]

    def _candidates(
        self,
        levels: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        text: PromptTokens,
        metas: Sequence[dict],
        threshold: float | None = None,
    ) -> list[InstanceData]:
        """Of each image the best of each level for one prompt: `bboxes`, `scores`, `labels` (its phrases), `levels`."""
        out = self.bbox_head(levels, text)
        boxes = self.bbox_head.boxes_of(out, sizes, metas)
        level = torch.arange(len(sizes), device=boxes.device).repeat_interleave(
            torch.tensor([h * w for h, w in sizes], device=boxes.device)
        )
        least = self.test_cfg.get("score_thr", 0.05) if threshold is None else threshold
        images = []
        for logits, centerness, own in zip(out.logits, out.centerness, boxes):
            # The threshold is on the phrase alone, as in the release.
            mean, scores = phrase_scores(logits, centerness, text.phrases[0])
            place, phrase = (mean > least).nonzero().unbind(1)
            whole = InstanceData(bboxes=own[place], scores=scores[place, phrase], labels=phrase, levels=level[place])
            images.append(self._best_of_levels(whole))
        return images

    def _best_of_levels(self, found: InstanceData) -> InstanceData:
        """The `nms_pre` best of each level; of all chunks together these are the best of each chunk's."""
        most = self.test_cfg.get("nms_pre", 1000)
        kept = []
        for level in range(int(found.levels.max()) + 1 if len(found) else 0):
            own = (found.levels == level).nonzero()[:, 0]
            if len(own) > most:  # sorting all of them is half of what a prompt costs beyond the head
                own = own[found.scores[own] >= found.scores[own].topk(most).values[-1]]
            kept.append(own[found.scores[own].argsort(descending=True, stable=True)][:most])
        return found[torch.cat(kept)] if kept else found

    def _select(
        self, parts: list[InstanceData], meta: dict, rescale: bool, over: str | None = None, most: int | None = None
    ) -> InstanceData:
        """One suppression and one cut over all chunks, in pixels of the original image."""
        if not any(map(len, parts)):  # mmcv's suppression takes no empty list
            empty = torch.zeros(0, device=self.bbox_head.bias.device)
            return InstanceData(bboxes=empty.view(0, 4), scores=empty, labels=empty.long())
        found = self._best_of_levels(InstanceData.cat(parts))
        over = over or self.test_cfg.get("nms_over", "class")
        nms: dict[str, Any] = dict(self.test_cfg.get("nms") or {"type": "nms", "iou_threshold": 0.6})
        _, kept = batched_nms(found.bboxes, found.scores, found.labels, nms, class_agnostic=over == "all")
        found = found[kept[: self.test_cfg.get("max_per_img", 100) if most is None else most]]
        if rescale:
            scale = found.bboxes.new_tensor(meta.get("scale_factor", (1.0, 1.0))).repeat(2)
            found.bboxes = found.bboxes / scale
        del found.levels
        return found
