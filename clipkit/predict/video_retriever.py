"""A trained text-video model as a Python object: videos and sentences in, the best of either out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from clipkit.data.video import VideoError
from clipkit.data.video_sets import CaptionedVideo
from clipkit.embed.videos import FrameSource
from clipkit.errors import ClipkitError, one_line
from clipkit.predict.predictor import load_model
from clipkit.video.datasets import pad_rows, spread


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


class VideoRetriever:
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
        self.model: Any = model.eval()
        self.source, self.max_frames = source, max_frames

    @classmethod
    def load(
        cls,
        config: Any,
        checkpoint: str | Path | None,
        device: str | torch.device | None = None,
        cfg_options: dict | None = None,
    ) -> VideoRetriever:
        """Builds the config's model, loads its weights, and reads videos as the config's test does.

        Args:
            config: path, name of an installed config, or a mmengine `Config`.
            checkpoint: what training wrote; a work folder stands for its newest checkpoint.
            device: default: a GPU if there is one.
            cfg_options: dotted key -> value.

        Raises:
            ClipkitError: what is wrong with config or checkpoint, in one line.
        """
        from clipkit.engine.build import prepare_config

        model, _ = load_model(config, checkpoint, device, cfg_options)
        if not hasattr(model, "embed_frames"):
            raise ClipkitError(f"{config}: its model {type(model).__name__} does not embed videos")
        cfg = prepare_config(config, cfg_options=cfg_options, for_training=False)
        data = (cfg.get("test_dataloader") or {}).get("dataset") or {}
        options = {key: data[key] for key in ("short_side", "backend", "timeout") if data.get(key) is not None}
        source = FrameSource(dict(data.get("sampling") or {"fps": 1.0}), **options)
        return cls(model, source, data.get("max_frames", 12))

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @torch.no_grad()
    def embed_videos(self, paths: Sequence[str | Path], broken: str = "skip") -> Gallery:
        """Reads and embeds videos.

        Args:
            broken: 'skip' leaves out what cannot be read, and says so on stderr; 'stop' raises.

        Raises:
            ClipkitError: a video cannot be read, and it is to stop; or none can.
        """
        rows, names, problems = [], [], {}
        for path in map(str, paths):
            try:
                video = CaptionedVideo(path, Path(path), ())
                frames, _ = self.source.read(video, self.model.clip, self.max_frames)
            except VideoError as error:
                if broken == "stop":
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
