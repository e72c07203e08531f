"""What the page can ask: a CLIP, work folders by their task, an index of pictures; and what each answers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.nn import functional as F

from clipkit.demo import views
from clipkit.demo.limits import Limits
from clipkit.demo.views import View
from clipkit.errors import ClipkitError, did_you_mean, shown, some
from clipkit.predict.answerer import Answerer
from clipkit.predict.dense import DenseSegmenter
from clipkit.predict.detector import Detector
from clipkit.predict.predictor import ImagePredictor, open_predictor
from clipkit.predict.quick import classify_by
from clipkit.predict.segmenter import Segmenter
from clipkit.search.index import SearchIndex
from clipkit.search.model import about_index
from clipkit.search.sheet import frame_of, interval
from clipkit.text import TextBank, Vocabulary
from clipkit.text.familiar import unfamiliar

TASKS: dict[str, type[ImagePredictor]] = {"segment": Segmenter, "detect": Detector, "ask": Answerer}
MIN_AREA = 0.005  # share of the picture of the least region: 200 masks at most
TOP = 12  # pictures that a search answers with


@dataclass
class Models:
    """All that was loaded at the start.

    Attributes:
        limits: of a question.
        clip: answers from words alone; None where only work folders were given.
        clip_name: what the page calls it.
        trained: task (`TASKS`) -> name of the work folder -> predictor.
        index: what can be searched.
    """

    limits: Limits = field(default_factory=Limits)
    clip: DenseSegmenter | None = None
    clip_name: str = ""
    trained: dict[str, dict[str, ImagePredictor]] = field(default_factory=dict)
    index: SearchIndex | None = None

    def open(self, work_dirs: Sequence[str], device: str | None = None) -> None:
        """Loads what training wrote, each by the predictor of its task.

        Raises:
            ClipkitError: as `open_predictor`, or the page has no tab for such a model.
        """
        for place in work_dirs:
            predictor, _ = open_predictor(place, device=device)
            task = next((task for task, kind in TASKS.items() if isinstance(predictor, kind)), None)
            if task is None:
                raise ClipkitError(
                    f"{place}: the page has no tab for a {type(predictor).__name__}, but for models that "
                    f"{', '.join(TASKS)}: use `clipkit predict`"
                )
            assert isinstance(predictor, ImagePredictor)
            group = self.trained.setdefault(task, {})
            name = Path(place).name or place
            group[name if name not in group else place] = predictor

    def names(self, task: str) -> list[str]:
        """What a tab can choose from, the CLIP last; empty where there is no such tab."""
        names = [*self.trained.get(task, {})]
        return [*names, self.clip_name] if self.clip is not None and task in ("segment", "detect") else names

    def tabs(self) -> list[str]:
        """Those whose model is there."""
        found = [task for task in ("segment", "detect") if self.names(task)]
        found += ["classify"] if self.clip is not None else []
        found += ["search"] if self.index is not None else []
        found += ["draw"] if self.clip is not None else []
        return found + (["ask"] if self.names("ask") else [])

    def segment(self, picture: str, words: str, model: str, threshold: float) -> View:
        """Where the words are."""
        rgb = self.limits.picture(picture)
        predictor = self._trained("segment", model)
        if predictor is None:
            clip, vocabulary = self._asked(words)
            return self._noted(views.segmentation_view(clip(rgb, vocabulary), threshold), vocabulary)
        return views.segmentation_view(predictor(rgb, self._labels(predictor, words)), threshold)

    def detect(self, picture: str, words: str, model: str, threshold: float) -> View:
        """Boxes of the words; a CLIP's are those of its regions."""
        rgb = self.limits.picture(picture)
        predictor = self._trained("detect", model)
        if predictor is None:
            clip, vocabulary = self._asked(words)
            found = clip(rgb, vocabulary).regions(MIN_AREA, threshold)
            return self._noted(views.detection_view(found), vocabulary)
        return views.detection_view(predictor(rgb, self._labels(predictor, words)).above(threshold))

    def classify(self, picture: str, words: str) -> View:
        """Which word fits the whole picture."""
        rgb = self.limits.picture(picture)
        clip, vocabulary = self._asked(words)
        found = classify_by(clip, rgb, vocabulary)
        return self._noted(views.bars_view("", list(zip(found.names, found.probabilities))), vocabulary)

    def search(self, words: str) -> View:
        """Pictures and moments of films that fit the words."""
        assert self.index is not None
        tiles = []
        for moment in self.index.find(self.limits.one(words), top=TOP):
            try:
                picture = Image.fromarray(frame_of(moment))
            except (ClipkitError, OSError):
                picture = None
            when = "" if moment.is_image else f"{interval(moment)} · "
            tiles.append(views.tile(picture, shown(Path(moment.path).name), f"{when}{moment.score:.3f}"))
        return {"tiles": tiles, "note": "" if tiles else "no file that was indexed is still there"}

    def draw(self, picture: str, words: str, strokes: int, steps: int) -> View:
        """A drawing of the words, or without words of the picture."""
        from clipkit_plugins.sketch.clipasso import clipasso
        from clipkit_plugins.sketch.clipdraw import clipdraw

        from clipkit.nn import write_svg

        assert self.clip is not None
        options: dict[str, Any] = {"strokes": int(strokes), "steps": int(steps), "seeds": (0,)}
        if words.strip():
            drawn, found = clipdraw(self.clip.clip, self.limits.one(words), **options)
        else:
            pixels = torch.tensor(self.limits.picture(picture)).permute(2, 0, 1)[None] / 255
            scale = 224 / max(pixels.shape[-2:])
            size = [max(32, round(side * scale)) for side in pixels.shape[-2:]]
            small = F.interpolate(pixels, size, mode="bilinear", antialias=True).clamp(0, 1)
            drawn, found = clipasso(self.clip.clip, small, **options)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "drawing.svg")
            write_svg(drawn, file)
            svg = file.read_text(encoding="utf-8")
        return views.drawing_view(svg, f"{found.steps} steps, loss {float(found.loss[0]):.3f}")

    def ask(self, picture: str, questions: str, model: str) -> View:
        """Answers to the questions, one a line, and where the model looked."""
        rgb = self.limits.picture(picture)
        predictor = self._trained("ask", model)
        if predictor is None:
            raise ClipkitError("no model here answers questions")
        answers = predictor(rgb, self.limits.questions(questions))
        return {"parts": [views.bars_view(one.question, one.answers, Image.fromarray(one.lit())) for one in answers]}

    def _trained(self, task: str, name: str) -> ImagePredictor | None:
        """The work folder's predictor of this name; None for the CLIP."""
        if name not in self.names(task):
            raise ClipkitError(f'no model "{shown(name, 40)}" here; {did_you_mean(str(name), self.names(task))}')
        return self.trained.get(task, {}).get(name)

    def _asked(self, words: str) -> tuple[DenseSegmenter, Vocabulary]:
        assert self.clip is not None
        vocabulary = self.limits.vocabulary(words)
        if vocabulary is None:
            raise ClipkitError('no words yet, such as "cat, bench; park bench, grass"')
        self.clip.bank = TextBank(self.clip.clip)  # the one before knows the words of others, and would grow
        return self.clip, vocabulary

    def _labels(self, predictor: ImagePredictor, words: str) -> Any:
        """In the model's own prompts; None, its own labels, without words."""
        vocabulary = self.limits.vocabulary(words)
        own = getattr(predictor.model, "own_prompts", None)
        return vocabulary if vocabulary is None or own is None else own(vocabulary)

    def _noted(self, view: View, vocabulary: Vocabulary) -> View:
        assert self.clip is not None
        strange = unfamiliar(self.clip.clip, [word for group in vocabulary.words for word in group])
        if strange:
            view["note"] = f"{self.clip_name} never saw {some(strange, 6)}: what it says of them means nothing"
        return view


def open_index(folder: str, clip: str, pretrained: str | None, beside: Path) -> SearchIndex:
    """The index that a folder is, or one of a folder of pictures and films, made in `beside`.

    Raises:
        FileNotFoundError, ClipkitError: there is no such folder, or nothing in it; its model is another one.
    """
    index = SearchIndex(folder) if about_index(folder)[0] else SearchIndex.of(folder, beside, clip, pretrained)
    index.find("a photo", top=1)  # loads its CLIP, or says why not, before anybody asks
    return index
