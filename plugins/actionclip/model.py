"""ActionCLIP: action recognition as the matching of videos and sentences about actions (Wang et al., "ActionCLIP: A New
Paradigm for Video Action Recognition", 2021, arXiv:2109.08472)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from clipkit_plugins.actionclip.prompts import visual_prompt
from mmengine.model import BaseModel
from torch import Tensor

from clipkit.adapters import ContrastiveLoss, LogitScale, MeanPool, MultiPositiveLoss
from clipkit.backbone import FrozenCLIP, TunableCLIP
from clipkit.backbone.options import build_frozen, clip_options
from clipkit.backbone.tune import changed_towers, refuse_stored
from clipkit.backbone.tune import tune as apply_tune
from clipkit.embed.frame_source import as_pixels
from clipkit.engine.class_names import read_classes
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.text import TextBank, Vocabulary, get_templates
from clipkit.text.templates import fill

PROMPTS_AT_ONCE = 256
VIEWS_AT_ONCE = 16  # in prediction, where a video may have 30


@MODELS.register_module()
class ActionCLIP(BaseModel):
    """Recognises actions by their names.

    Training: each video of a batch is told by one sentence, its class in a random template; a KL divergence in both
    directions pulls videos and sentences of a class together (section 3.2). Prediction: softmax over the classes in
    each template, then the mean over templates and over the views of a video.

    Args:
        clip: a name, or `dict(name=..., pretrained=..., precision=...)`; 'tiny_clip' is the shipped one.
        head: `dict(type='Transf', ...)`, a visual prompt of `clipkit_plugins.actionclip.prompts` and its options.
        classes: names, see `clipkit.engine.class_names.read_classes`; None: `ActionClassesHook` brings the data's.
        wordings: other names of the same classes, `{"unseen": [...]}`; prediction then gives `scores_unseen` too.
        templates: of `clipkit.text.get_templates`.
        tune: None: CLIP is frozen, and samples may bring embeddings from a store. Else what of it trains, see
            `clipkit.backbone.tune`; `shift_tokens` and `join_frames` are the paper's in-network and pre-network
            prompts.
        targets: 'softmax' (the release) or 'normalized', of `MultiPositiveLoss`; 'pairs': cross-entropy over the batch
            (`ContrastiveLoss`), where a video's own sentence alone is right, and not those of others of its class.
        logit_scale: options of `LogitScale`; default: it starts at the CLIP's own.
        test_scale: of the cosines in prediction.

    Raises:
        ClipkitError: unknown names; wordings of another number; joined frames with a prompt over time.
    """

    def __init__(
        self,
        clip: str | Mapping[str, Any],
        head: Mapping[str, Any],
        classes: str | Sequence[str] | None = None,
        wordings: Mapping[str, Sequence[str]] | None = None,
        templates: str | Sequence[str] = "actionclip",
        tune: Mapping[str, Any] | None = None,
        targets: str = "softmax",
        logit_scale: Mapping[str, Any] | None = None,
        test_scale: float = 100.0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        kind = dict(head)
        self.clip: FrozenCLIP | TunableCLIP
        self.changed: set[str] = set()
        if tune is None:
            self.clip = build_frozen(clip_options(clip))
        else:
            self.clip = apply_tune(TunableCLIP.from_pretrained(**clip_options(clip)), tune)
            self.changed = changed_towers(self.clip, tune)
        self.head = visual_prompt(kind.pop("type"), self.clip.embed_dim, **kind)
        if (tune or {}).get("join_frames") and not isinstance(self.head, MeanPool):
            raise ClipkitError("join_frames gives a video one embedding, which leaves a prompt no time: use head meanP")
        self.logit_scale = LogitScale(**(logit_scale or {"init": min(self.clip.logit_scale, 100.0)}))
        self.objective = ContrastiveLoss() if targets == "pairs" else MultiPositiveLoss(targets)
        self.templates = get_templates(templates)
        self.test_scale = test_scale
        self.classes: list[str] = [] if classes is None else read_classes(classes)
        self.test_classes = self.classes
        self.named = classes is not None
        self.wordings = {key: list(names) for key, names in (wordings or {}).items()}
        wrong = [key for key, names in self.wordings.items() if len(names) != len(self.classes)]
        if wrong:
            raise ClipkitError(f"wordings[{wrong[0]!r}] must have a name for each of the {len(self.classes)} classes")
        self.synonyms: dict[str, tuple[str, ...]] = {}
        self._rows: dict[tuple[str, ...], Tensor] = {}

    def forward(self, frames: Sequence[Tensor], label: Sequence[Tensor], mode: str = "tensor", **about: Any) -> Any:
        """B samples.

        Args:
            frames: of each its V views (one in training): embeddings `(V, F, D)`, or `(V, F, 3, h, w)` uint8 RGB.
            label: of each its class, 0-d.
            mode: 'loss'; 'predict' gives a dict a sample with `scores` `(K,)`, probabilities over the test classes, and
                whatever the samples say beside; 'tensor' gives the embeddings of all views, `(sum of V, D)`.
        """
        video = self.embed_videos(frames)
        if mode == "tensor":
            return video
        labels = torch.stack([torch.as_tensor(one) for one in label]).to(video.device)
        if mode == "loss":
            if len(video) != len(labels):
                raise ClipkitError("training takes one view a video: say train=True in the training data")
            text = self._sentences(labels)
            classes = () if isinstance(self.objective, ContrastiveLoss) else (labels,)
            loss = self.objective(video, text, self.logit_scale(), *classes)
            return {"loss": loss, "scale": self.logit_scale().detach()}
        counts = [len(own) for own in frames]
        names = {"scores": self.test_classes, **{f"scores_{key}": own for key, own in self.wordings.items()}}
        scores = {key: self.probabilities(video, own).split(counts) for key, own in names.items()}
        return [
            {
                **{key: own[i].mean(0).cpu() for key, own in scores.items()},
                **{key: values[i] for key, values in about.items()},
                "label": int(labels[i]),
            }
            for i in range(len(counts))
        ]

    def embed_videos(self, frames: Sequence[Tensor]) -> Tensor:
        """Embeddings of all views, unit length, `(sum of V, D)`."""
        views = torch.cat(list(frames))
        if views.ndim == 5:
            step = len(views) if torch.is_grad_enabled() else VIEWS_AT_ONCE
            views = torch.cat([self.clip.encode_frames(as_pixels(part)) for part in views.split(max(step, 1))])
        elif "visual" in self.changed:
            refuse_stored("visual")
        return self.head(views.float())

    def probabilities(self, video: Tensor, names: Sequence[str]) -> Tensor:
        """`(V, D)` unit rows to `(V, K)`: softmax over the names in each template, mean over the templates."""
        rows = self.class_rows(names).to(video.dtype)
        return torch.stack([(self.test_scale * video @ own.T).softmax(-1) for own in rows]).mean(0)

    def set_classes(self, names: Sequence[str]) -> None:
        """Names of the training classes, unless the constructor was given some."""
        if not self.named:
            self.classes = list(names)

    def set_test_classes(self, names: Sequence[str]) -> None:
        """Names of the classes of prediction, unless the constructor was given some."""
        if not self.named:
            self.test_classes = list(names)

    def set_labels(self, vocabulary: Vocabulary) -> None:
        """Other actions for prediction; the scores are then theirs. A row of an action with synonyms is their mean."""
        self.test_classes = list(vocabulary.names)
        self.synonyms = dict(zip(vocabulary.names, vocabulary.words))
        self._rows.clear()

    # ---- text -----------------------------------------------------------------------------------------------------

    def class_rows(self, names: Sequence[str]) -> Tensor:
        """Unit rows of all templates and names, `(T, K, D)`; kept until the text tower may have changed.

        Raises:
            ClipkitError: no names.
        """
        if not names:
            raise ClipkitError(
                "nobody named the classes: say classes=, or custom_hooks=[dict(type='ActionClassesHook')]"
            )
        key = tuple(names)
        if key not in self._rows:
            words = [self.synonyms.get(name, (name,)) for name in names]
            prompts = [fill(template, word) for template in self.templates for own in words for word in own]
            with torch.no_grad():
                if isinstance(self.clip, FrozenCLIP):
                    rows = TextBank(self.clip, progress=False).encode_prompts(prompts)
                else:
                    parts = range(0, len(prompts), PROMPTS_AT_ONCE)
                    rows = torch.cat([self.clip.encode_text(prompts[i : i + PROMPTS_AT_ONCE]) for i in parts]).float()
            of_classes = rows.view(len(self.templates), -1, rows.shape[-1]).split([len(own) for own in words], 1)
            self._rows[key] = torch.stack(
                [own[:, 0] if own.shape[1] == 1 else F.normalize(own.mean(1), dim=-1) for own in of_classes], 1
            )
        self._rows[key] = self._rows[key].to(self.clip.device)
        return self._rows[key]

    def _sentences(self, labels: Tensor) -> Tensor:
        """A sentence for each label, in a template drawn for each, `(B, D)`."""
        drawn = torch.randint(len(self.templates), (len(labels),))
        if isinstance(self.clip, FrozenCLIP):
            return self.class_rows(self.classes)[drawn.to(labels.device), labels]
        self._rows.clear()  # the text tower moves with every step
        prompts = [fill(self.templates[t], self.classes[k]) for t, k in zip(drawn.tolist(), labels.tolist())]
        place = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}  # with few classes many are equal
        rows = F.normalize(self.clip.encode_text(list(place), normalize=False).float(), dim=-1)
        return rows[torch.tensor([place[prompt] for prompt in prompts], device=rows.device)]

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._rows.clear()
        super()._load_from_state_dict(*args, **kwargs)
