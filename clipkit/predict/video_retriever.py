"""A trained text-video model as a Python object: videos and sentences in, the best of either out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from clipkit.data.bad_files import read_on_bad
from clipkit.data.padding import pad_rows, spread
from clipkit.data.video import VideoError
from clipkit.data.video_sets import CaptionedVideo
from clipkit.embed.frame_source import FrameSource
from clipkit.errors import ClipkitError, one_line
from clipkit.predict.predictor import Predictor


class Found(NamedTuple):
    """A video, and its score for the sentence: a cosine, or what the model has instead."""

    path: str
    score: float


@dataclass
class Gallery:
    """Videos to search in.

    Attributes:
        paths: of those that could be read.
        frames, mask: `(M, F, D)` frame embeddings and `(M, F)` which of them are there.
        problems: path -> what is wrong with it.
    """

    paths: list[str]
    frames: Tensor
    mask: Tensor
    problems: dict[str, str]

    def __len__(self) -> int:
        return len(self.paths)


class VideoRetriever(Predictor):
    """`VideoRetriever.load(config, checkpoint)`.

    >>> retriever = VideoRetriever.load("clip4clip/clip4clip_tiny_films.py", "work_dirs/clip4clip_tiny_films")
    >>> gallery = retriever.embed_videos(sorted(Path("films").glob("*.mkv")))
    >>> retriever.search("a red circle moves left", gallery, top=5)

    Args:
        model: a `CLIP4Clip`, or what has its `embed_frames`, `embed_texts`, `score`, `head` and `clip`.
        source: how frames are read.
        max_frames: of a longer video so many are taken, spread evenly.
    """

    def __init__(self, model: torch.nn.Module, source: FrameSource, max_frames: int = 12) -> None:
        super().__init__(model)
        self.source, self.max_frames = source, max_frames

    @classmethod
    def handles(cls, model: torch.nn.Module) -> bool:
        """What embeds frames and sentences, and scores one by the other."""
        return all(hasattr(model, name) for name in ("embed_frames", "embed_texts", "score", "head", "clip"))

    @classmethod
    def from_config(cls, model: torch.nn.Module, cfg: Any) -> VideoRetriever:
        """Reads videos as the config's test does; see `Predictor.from_config`."""
        if not cls.handles(model):
            raise ClipkitError(f"{cfg.filename}: its model {type(model).__name__} does not embed videos")
        data = (cfg.get("test_dataloader") or {}).get("dataset") or {}
        options = {key: data[key] for key in ("short_side", "backend", "timeout") if data.get(key) is not None}
        source = FrameSource(dict(data.get("sampling") or {"fps": 1.0}), **options)
        return cls(model, source, data.get("max_frames", 12))

    @torch.no_grad()
    def embed_videos(self, paths: Sequence[str | Path], on_bad: str = "skip", broken: str | None = None) -> Gallery:
        """Reads and embeds videos.

        Args:
            on_bad: 'skip' leaves out what cannot be read, and says so on stderr; 'raise' raises.
            broken: the name of `on_bad` before, see `clipkit.data.bad_files`.

        Raises:
            ClipkitError: a video cannot be read, where `on_bad` raises; or none can.
        """
        on_bad = read_on_bad(on_bad, broken)
        rows, names, problems = [], [], {}
        for path in map(str, paths):
            try:
                video = CaptionedVideo(path, Path(path), ())
                frames, _ = self.source.read(video, self.model.clip, self.max_frames)
            except VideoError as error:
                if on_bad == "raise":
                    raise
                problems[path] = str(error)
                print(f"skipped: {one_line(error)}", file=sys.stderr)
                continue
            chosen = frames[spread(len(frames), self.max_frames)]
            embedded, mask = self.model.embed_frames([chosen.to(self.device)])
            rows.append(embedded[0, mask[0]])
            names.append(path)
        if not rows:
            raise ClipkitError(
                f"not one of {len(problems)} videos can be read: {'; '.join(list(problems.values())[:3])}"
            )
        return Gallery(names, *pad_rows(rows), problems)

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> tuple[Tensor, ...]:
        """Sentences `(N, D)`, or words and mask, as the model's head wants them: for `similarity`."""
        return self.model.embed_texts([str(text) for text in texts])

    @torch.no_grad()
    def similarity(self, texts: Sequence[str] | tuple[Tensor, ...], gallery: Gallery) -> Tensor:
        """`(N, M)` float32 on the CPU: cosines, or the logits of a head that has none.

        Args:
            texts: strings, or what `embed_texts` made of them.
        """
        parts = texts if isinstance(texts, tuple) and isinstance(texts[0], Tensor) else self.embed_texts(list(texts))  # type: ignore[arg-type]
        head = self.model.head
        frames, mask = gallery.frames.to(self.device), gallery.mask.to(self.device)
        videos = (head(frames, mask),) if head.pools else (frames, mask)
        scores = self.model.score(*parts, *videos)
        return (scores / self.model.logit_scale() if head.cosine else scores).float().cpu()

    def search(self, query: str, gallery: Gallery, top: int = 5) -> list[Found]:
        """The best `top` videos for a sentence, best first."""
        scores = self.similarity([query], gallery)[0]
        best = scores.argsort(descending=True, stable=True)[:top].tolist()
        return [Found(gallery.paths[i], float(scores[i])) for i in best]
