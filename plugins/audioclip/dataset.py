"""Sounds with pictures, texts and names as data sets: a sample is a stored spectrogram beside stored embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from clipkit.backbone.options import clip_options
from clipkit.data.image_folder import ImageArray
from clipkit.data.sound_sets import read_sound_set
from clipkit.device import own_device
from clipkit.embed.captions import caption_rows
from clipkit.embed.encoder import load_frozen
from clipkit.embed.images import image_features
from clipkit.embed.sounds import SoundFiles, embed_sounds, windows
from clipkit.engine.registry import DATASETS
from clipkit.nn import LogMel
from clipkit.shapes import SHAPES, class_names
from clipkit.shapes.chunks import SEED_STEP, chunks, to_bytes
from clipkit.shapes.sounds import render_sounds

_DIGITS = 16
SCENES = 2**42  # no pretraining of the tiny CLIP draws a seed from here on


@DATASETS.register_module()
class SceneSounds(Dataset):
    """`length` scenes of one object: its sound, its picture and its exhaustive caption, see `clipkit.shapes.sounds`.

    A sample has `sound` (1, bands, frames), `image` and `text` (D,), not normalised, and `label`, the place of its
    colour and shape among `class_names()`. Everything is stored at the start.

    Args:
        clip: a name, or `dict(name=…, pretrained=…, precision=…)`: whose embeddings are stored.
        store: folder.
        spectrogram: arguments of `clipkit.nn.LogMel`; the model's.
        seed: scenes of other seeds are others.
        distinct: no two scenes with the same caption.
    """

    def __init__(
        self,
        length: int,
        clip: str | Mapping[str, Any],
        store: str,
        spectrogram: Mapping[str, Any] | None = None,
        seed: int = 0,
        distinct: bool = False,
    ) -> None:
        wanted = clip_options(clip)
        encoder, made_by = load_frozen(
            wanted["name"], wanted.get("pretrained"), wanted.get("precision", "fp32"), own_device()
        )
        front = LogMel(**dict(spectrogram or {}))
        pictures, self.waves, self.texts, labels = _scenes(length, seed, distinct, front.rate)
        self.names = class_names()[:96]
        self.metainfo = {"classes": self.names}
        self.labels = labels
        images = ImageArray(pictures, labels, self.names)
        self.images = image_features(encoder, images, store, progress=False).embedding
        self.text_rows = caption_rows(store, self.texts, encoder, made_by)
        name = hashlib.sha256(repr((seed, distinct, front.rate)).encode()).hexdigest()[:_DIGITS]
        self.sounds = embed_sounds(_Waves(self.waves, f"scenes/{name}"), front, 1.0, store)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {
            "sound": self.sounds[index],
            "image": self.images[index],
            "text": self.text_rows[index],
            "label": int(self.labels[index]),
        }


def _scenes(length: int, seed: int, distinct: bool, rate: int) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray]:
    """Pictures, waves, captions and labels of scenes whose object can be seen."""
    pictures, waves, texts, labels = [], [], [], []
    for scenes, _ in chunks(2 * length + 64, SCENES + seed * SEED_STEP, objects=(1, 1), split=None):
        sounds, captions, shown = render_sounds(scenes, rate=rate), scenes.full_captions, to_bytes(scenes.images)
        for i in scenes.present[:, 0].nonzero().flatten().tolist():
            if len(texts) < length and not (distinct and captions[i] in texts):
                pictures.append(shown[i])
                waves.append(sounds[i].numpy())
                texts.append(captions[i])
                labels.append(int(scenes.colour[i, 0] * len(SHAPES) + scenes.shape[i, 0]))
        if len(texts) == length:
            break
    return np.stack(pictures), np.stack(waves), texts, np.array(labels)


class _Waves:
    """Waves in memory, known by a name and their number."""

    def __init__(self, waves: np.ndarray, name: str) -> None:
        self.waves, self.name = waves, name

    def __len__(self) -> int:
        return len(self.waves)

    def read(self, index: int) -> np.ndarray:
        return self.waves[index]

    def identify(self, index: int) -> str:
        return f"{self.name}/{index}"


@DATASETS.register_module()
class SoundFolder(Dataset):
    """Labelled sounds: folders of one's own, ESC-50 or UrbanSound8K, see `clipkit.data.sound_sets`.

    A sample has `sound` (W, bands, frames), or (W, N) waves without a store, `label`, and `name`, the words for it.

    Args:
        root, layout, folds, names: see `read_sound_set`.
        store: folder of the spectrograms; None reads the files each time and gives waves, as a tower with a filter bank
            of its own wants them.
        spectrogram: arguments of `clipkit.nn.LogMel`; its `rate` counts for waves too.
        seconds: of a window; longer sounds have several, shorter ones are followed by silence.
    """

    def __init__(
        self,
        root: str,
        store: str | None,
        layout: str = "folder",
        folds: Sequence[int] | None = None,
        spectrogram: Mapping[str, Any] | None = None,
        seconds: float = 5.0,
        names: Sequence[str] | None = None,
    ) -> None:
        found = read_sound_set(root, layout, folds, names)
        front = LogMel(**dict(spectrogram or {}))
        self.names, self.labels, self.length = found.names, found.labels, round(seconds * front.rate)
        self.metainfo = {"classes": found.names}
        self.files = SoundFiles(found.paths, front.rate)
        self.sounds = None if store is None else embed_sounds(self.files, front, seconds, Path(store))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        label = self.labels[index]
        return {"sound": self._sound(index), "label": label, "name": self.names[label]}

    def _sound(self, index: int) -> Tensor:
        if self.sounds is not None:
            return self.sounds[index]
        return torch.from_numpy(windows(self.files.read(index), self.length))
