"""A trained model of sounds as a Python object: a sound or a film and names in, what is heard and when out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clipkit.data.audio import read_audio
from clipkit.data.draw import INK, PAPER, save_picture, with_legend
from clipkit.data.palette import label_colours
from clipkit.data.picture import Picture
from clipkit.errors import ClipkitError
from clipkit.files import write_text
from clipkit.predict.predictor import Predictor
from clipkit.text.class_rows import as_vocabulary

SHOWN = 5  # names of a sound
_WIDTH, _WAVE, _BAR = 800, 120, 24  # pixels
_ROOM = 256  # windows that are encoded at once


@dataclass(repr=False)
class Heard(Picture):
    """What is heard in a sound.

    Attributes:
        names: in the order of the labels.
        scores: `(K,)` float32, softmax over the names of the whole sound's embedding.
        cosines: `(W, K)` float32 of each window with each name.
        starts: `(W,)` seconds at which windows begin; seconds: how long each is.
        samples: `(N,)` float32, the sound.
    """

    names: tuple[str, ...]
    scores: Tensor
    cosines: Tensor
    starts: list[float]
    seconds: float
    samples: np.ndarray

    def best(self) -> list[tuple[str, float]]:
        """The best names with their scores, best first."""
        top = self.scores.topk(min(SHOWN, len(self.names)))
        return [(self.names[i], score) for i, score in zip(top.indices.tolist(), top.values.tolist())]

    def moments(self) -> list[tuple[float, float, str]]:
        """Start and end in seconds, and the best name there; neighbours of one name are one moment."""
        found: list[tuple[float, float, str]] = []
        for start, index in zip(self.starts, self.cosines.argmax(1).tolist()):
            if found and found[-1][2] == self.names[index]:
                start = found.pop()[0]
            elif found:
                found[-1] = (found[-1][0], start, found[-1][2])
            found.append((start, self._end(), self.names[index]))
        return found

    def plot(self, beside: bool = False) -> Image.Image:
        """The wave, under it a bar in the colours of what is heard best."""
        canvas = np.full((_WAVE + _BAR, _WIDTH, 3), PAPER, np.uint8)
        edges = np.linspace(0, len(self.samples), _WIDTH + 1).astype(int)
        for x, (a, b) in enumerate(pairwise(edges)):
            part = self.samples[a : max(b, a + 1)]
            top, bottom = ((0.5 - 0.5 * np.clip([part.max(), part.min()], -1, 1)) * (_WAVE - 1)).round().astype(int)
            canvas[top : bottom + 1, x] = INK
        moments = self.moments()
        shown = list(dict.fromkeys(name for *_, name in moments))
        colours = {name: colour or INK for name, colour in zip(shown, label_colours(shown))}
        for start, end, name in moments:
            a, b = (round(_WIDTH * second / self._end()) for second in (start, end))
            canvas[_WAVE:, a:b] = colours[name]
        return Image.fromarray(with_legend(canvas, [(name, colours[name]) for name in shown]))

    def _end(self) -> float:
        return max(self.starts[-1] + self.seconds, 1e-9)

    def __repr__(self) -> str:
        return "Heard(" + ", ".join(f"{name} {score:.2f}" for name, score in self.best()) + ")"


class Listener(Predictor):
    """`Listener.load(work_dir)("film.mp4", "a dog, rain")`."""

    hub_task = "audio-classification"
    names: tuple[str, ...] = ()
    rows: Tensor

    @classmethod
    def handles(cls, model: torch.nn.Module) -> bool:
        """What encodes sounds beside texts."""
        return callable(getattr(model, "encode_sound", None)) and callable(getattr(model, "encode_names", None))

    def set_labels(self, labels: Any = None) -> tuple[str, ...]:
        """Names for the next calls: as other predictors take them, but no embeddings; None: those of training.

        Raises:
            ClipkitError: no name is known.
        """
        labels = labels if labels is not None else self.names or self.model.label_names
        if not labels:
            raise ClipkitError('this model was trained without names: give some, --labels "a dog, rain"')
        vocabulary = as_vocabulary(labels, ("{}",), "mean")
        groups = [self.model.encode_names(words).mean(0) for words in vocabulary.words]
        self.rows = torch.nn.functional.normalize(torch.stack(groups), dim=-1)
        self.names = tuple(vocabulary.names)
        return self.names

    def __call__(self, path: str | Path, labels: Any = None) -> Heard:
        """What is heard in a file, a film's sound on the film's clock.

        Raises:
            AudioError: it has no sound, or cannot be read.
        """
        names = self.set_labels(labels)
        model = self.model
        wave = torch.from_numpy(read_audio(path, model.rate).samples[0])
        length = round(model.seconds * model.rate)
        padded = torch.nn.functional.pad(wave, (0, -len(wave) % length))
        parts = padded.view(-1, length).split(_ROOM)
        sounds = torch.cat([model.encode_sound(part) for part in parts])
        whole = torch.nn.functional.normalize(sounds.mean(0), dim=-1)
        scores = (model.loss.scales["audio-text"]() * self.rows @ whole).softmax(0)
        starts = [n * model.seconds for n in range(len(sounds))]
        return Heard(names, scores.cpu(), (sounds @ self.rows.T).cpu(), starts, model.seconds, wave.numpy())


class HeardFiles:
    """`<stem>.json`, and `<stem>_heard.png`: the wave, and what is heard when."""

    picture = "heard.png"
    reserved: frozenset[str] = frozenset()
    beside = False
    hears = True
    """Films are heard here, not drawn on frame by frame."""

    def __init__(self, listener: Listener, labels: Any, out: Path, min_score: float = 0.0) -> None:
        self.predictor, self.labels, self.out = listener, labels, out

    @torch.no_grad()
    def write(self, file: str | Path, stem: str) -> str:
        """Writes one file's files; returns what to print: the best names."""
        heard = self.predictor(file, self.labels)
        save_picture(heard.plot(), self.out / f"{stem}_heard.png")
        moments = [{"start": round(a, 3), "end": round(b, 3), "name": name} for a, b, name in heard.moments()]
        names = [{"name": name, "score": round(score, 4)} for name, score in heard.best()]
        record = {"file": str(file), "names": names, "moments": moments}
        write_text(self.out / f"{stem}.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        return ", ".join(f"{name} {100 * score:.0f} %" for name, score in heard.best())

    def finish(self) -> None:
        """Nothing is written for all files together."""
