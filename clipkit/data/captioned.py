"""Images with captions, for retrieval: Karpathy's splits of Flickr30k, Flickr8k and COCO."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipkit.errors import ClipkitError

from ._paths import find_below, is_file, outside
from ._tables import as_list, as_object, as_text, read_json
from .images import read_image

_DIGITS = 16  # of a content hash in an image's id


class CaptionedImages:
    """`M` images and `N` texts, each of one image.

    Args:
        paths: the images' files, no two the same.
        texts: the captions.
        owner: for each caption, the index of its image.
    """

    def __init__(self, paths: Sequence[Path], texts: Sequence[str], owner: Sequence[int]) -> None:
        if len(texts) != len(owner):
            raise ValueError(f"{len(texts)} texts, but {len(owner)} owners")
        self.paths, self.texts, self.owner = list(paths), list(texts), np.asarray(owner, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> np.ndarray:
        """Image `index` as (H, W, 3) uint8 RGB."""
        return read_image(self.paths[index])

    def identify(self, index: int) -> str:
        """Its path, and a hash of the file's content."""
        digest = hashlib.sha256(self.paths[index].read_bytes()).hexdigest()
        return f"{'/'.join(self.paths[index].parts[-2:])}@{digest[:_DIGITS]}"

    def __getitem__(self, index: int) -> tuple[np.ndarray, list[str]]:
        """The image and its captions."""
        return self.read(index), [self.texts[i] for i in np.flatnonzero(self.owner == index)]


class KarpathyImages(CaptionedImages):
    """A split of `dataset_flickr30k.json`, `dataset_flickr8k.json` or `dataset_coco.json` (Karpathy and Fei-Fei,
    arXiv:1412.2306): 1,000 images of Flickr30k or 5,000 of COCO for testing, five captions each or a few more.

    Args:
        annotations: the JSON.
        images: the folder that `filepath/filename` (COCO: `val2014/COCO_….jpg`) lies in; a file that is not there is
            looked for without its `filepath`.
        split: 'train', 'val', 'test'; COCO's 'train' has its 'restval' too.
        captions: use the first so many of an image; None: all.

    Raises:
        FileNotFoundError: no such file or folder.
        ClipkitError: the JSON is in another format, has no such split, or images are missing.
    """

    def __init__(
        self, annotations: str | Path, images: str | Path, split: str = "test", captions: int | None = None
    ) -> None:
        path, folder = Path(annotations), Path(images)
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of images")
        entries = _read(path)
        known = sorted({entry["split"] for entry in entries})
        wanted = {"train", "restval"} if split == "train" else {split}
        chosen = [entry for entry in entries if entry["split"] in wanted]
        if not chosen:
            raise ClipkitError(f'{path}: has no split "{split}"; it has {", ".join(known)}')
        places: list[Path] = []
        missing, texts, owner = [], [], []
        for entry in chosen:
            name = entry["filename"]
            names = [f"{entry['filepath']}/{name}", name] if entry.get("filepath") else [name]
            files = [find_below(folder, name) for name in names]
            file = next((file for file in files if file is not None and is_file(file)), None)
            if file is None and None in files:
                raise outside(folder, names[files.index(None)], path, "images=")
            if file is None:
                missing.append(name[:80])
                continue
            own = [sentence["raw"].strip() for sentence in entry["sentences"]][:captions]
            texts += own
            owner += [len(places)] * len(own)
            places.append(file)
        if missing:
            raise ClipkitError(f"{folder}: {len(missing)} of {len(chosen)} images are missing: {missing[0]}, …")
        if not texts:
            raise ClipkitError(f'{path}: the images of split "{split}" have no sentences')
        super().__init__(places, texts, owner)


def _read(path: Path) -> list[dict[str, Any]]:
    content = as_object(
        read_json(path, "annotation file"), path, "what it holds (Karpathy's splits hold images)", "images"
    )
    entries = as_list(content["images"], path, '"images"')
    for number, entry in enumerate(entries):
        where = f"images[{number}]"
        as_object(entry, path, where, "split", "filename", "sentences")
        for name in ("split", "filename", *(("filepath",) if "filepath" in entry else ())):
            as_text(entry[name], path, f'{where}["{name}"]')
        for place, sentence in enumerate(as_list(entry["sentences"], path, f'{where}["sentences"]')):
            inside = f'{where}["sentences"][{place}]'
            as_text(as_object(sentence, path, inside, "raw")["raw"], path, f'{inside}["raw"]')
    return entries
