"""Captioned pictures in webdataset shards: plain tar files of `KEY.jpg`, `KEY.txt`, perhaps `KEY.json`."""

import glob
import json
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose
from mmengine.logging import print_log
from PIL import Image
from torch.utils.data import Dataset

from clipkit.engine.registry import DATASETS, TRANSFORMS
from clipkit.errors import ClipkitError, one_line, some
from clipkit.files import writing
from clipkit.safe import open_npz, read_bytes

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
LARGEST = 2**28  # bytes of a member
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@DATASETS.register_module()
class CaptionShards(Dataset):
    """Pictures and captions of tar files, read where they lie; nothing is unpacked.

    The members' places are read once at the start, or from `index`. A sample has `img` (H, W, 3) uint8 BGR, `caption`,
    `nouns` (the list under "nouns" of the sample's `.json`, or none), and `img_path`. A picture that cannot be read is
    named once in the log, and the next one stands for it.

    Args:
        shards: paths with `*`, one or several.
        index: a file that keeps the members' places between runs; None for none. It is refused where shards changed.
        pipeline: transforms on a sample.
        test_mode: accepted because mmengine passes it.

    Raises:
        ClipkitError: no shard, a file that is no tar, or shards without a captioned picture.
    """

    def __init__(
        self,
        shards: str | Sequence[str],
        index: str | None = None,
        pipeline: Sequence[dict] = (),
        test_mode: bool = False,
    ) -> None:
        patterns = [shards] if isinstance(shards, str) else list(shards)
        self.paths = [path for pattern in patterns for path in sorted(glob.glob(str(pattern)))]
        if not self.paths:
            raise ClipkitError(f"{some(patterns)}: no such shard; say where they lie: variables.data=PATH")
        self.metainfo: dict = {}
        self.pipeline = Compose(list(pipeline))
        self.places = _places(self.paths, None if index is None else Path(index))
        if not len(self.places):
            raise ClipkitError(f"{some(self.paths)}: hold no picture with a .txt of the same name")
        stored = int((self.places[:, 6] > 0).sum())
        print_log(f"{len(self)} captioned pictures, {stored} with a .json that may hold nouns", "current")
        self._bad: set[int] = set()

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict:
        """The pipeline's result for sample `index`."""
        for step in range(min(len(self), 100)):
            place = (int(index) + step) % len(self)
            try:
                return self.pipeline(self.read(place))
            except ClipkitError as error:
                if place not in self._bad:
                    self._bad.add(place)
                    print_log(f"left out: {one_line(error)}", "current", 30)
        raise ClipkitError(f"{self.paths[0]}: 100 pictures in a row cannot be read; are the shards whole?")

    def read(self, index: int) -> dict:
        """A sample before the pipeline."""
        shard, *spans = self.places[index].tolist()
        path = self.paths[shard]
        with open(path, "rb") as stream:
            name = f"{path}@{spans[0]}"
            picture, text, extra = (_span(stream, name, *spans[i : i + 2]) for i in (0, 2, 4))
        image = np.ascontiguousarray(read_bytes(picture, name)[..., ::-1])
        nouns = _nouns(extra, name) if extra else []
        caption = text.decode("utf-8", "replace").strip()
        sample = {"img": image, "caption": caption, "nouns": nouns, "img_path": name}
        return {**sample, "img_shape": image.shape[:2], "ori_shape": image.shape[:2]}


def _span(stream: BinaryIO, name: str, start: int, length: int) -> bytes:
    if length > LARGEST:
        raise ClipkitError(f"{name}: a member of {length} bytes is no captioned picture")
    stream.seek(start)
    return stream.read(length)


def _nouns(content: bytes, name: str) -> list[str]:
    try:
        found = json.loads(content).get("nouns", [])
    except (ValueError, AttributeError, RecursionError) as error:
        raise ClipkitError(f"{name}: its .json cannot be read ({one_line(error, 80)})") from error
    if not isinstance(found, list) or not all(isinstance(noun, str) for noun in found):
        raise ClipkitError(f'{name}: "nouns" in its .json is no list of strings')
    return found


def _places(paths: Sequence[str], index: Path | None) -> np.ndarray:
    """(N, 7) int64: shard, then start and length of picture, text and JSON (0, 0 for none)."""
    sizes = np.array([Path(path).stat().st_size for path in paths], dtype=np.int64)
    if index is not None and os.path.lexists(index):
        return _kept(index, sizes)
    rows = [row for shard, path in enumerate(paths) for row in _members(shard, path)]
    places = np.array(rows, dtype=np.int64).reshape(-1, 7)
    if index is not None:
        index.parent.mkdir(parents=True, exist_ok=True)
        with writing(index) as partial, open(partial, "wb") as stream:
            np.savez(stream, sizes=sizes, places=places)
    return places


def _kept(index: Path, sizes: np.ndarray) -> np.ndarray:
    """The places in an index, of which none lies outside its shard."""
    try:
        if not index.is_file():  # a pipe would be waited for
            raise ValueError("it is no file")
        with open_npz(index) as kept:
            known, places = kept["sizes"], kept["places"]
    except Exception as error:  # damaged archives raise a dozen types
        raise ClipkitError(f"{index}: is no index of shards ({one_line(error, 80)}); delete it") from error
    if known.dtype != sizes.dtype or not np.array_equal(known, sizes):
        raise ClipkitError(f"{index}: was made of other shards; delete it, and it is made again")
    if places.dtype != np.int64 or places.ndim != 2 or places.shape[1] != 7:
        raise ClipkitError(f"{index}: is no index of shards; delete it")
    shard, starts, lengths = places[:, 0], places[:, 1::2], places[:, 2::2]
    if not ((shard >= 0) & (shard < len(sizes))).all() or (starts < 0).any() or (lengths < 0).any():
        raise ClipkitError(f"{index}: names places that no shard has; delete it")
    if (starts > sizes[shard][:, None] - lengths).any():
        raise ClipkitError(f"{index}: names places beyond the end of a shard; delete it")
    return places


def _members(shard: int, path: str) -> list[list[int]]:
    found: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.isfile():
                    # webdataset's rule: the key ends at the first dot of the name.
                    folder, _, name = member.name.rpartition("/")
                    key, _, kind = name.partition(".")
                    found.setdefault(f"{folder}/{key}", {})[f".{kind.lower()}"] = (member.offset_data, member.size)
    except tarfile.TarError as error:
        raise ClipkitError(f"{path}: cannot be read as a plain tar file ({one_line(error, 80)})") from error
    rows = []
    for kinds in found.values():
        picture = next((kinds[kind] for kind in PICTURES if kind in kinds), None)
        if picture is not None and ".txt" in kinds:
            rows.append([shard, *picture, *kinds[".txt"], *kinds.get(".json", (0, 0))])
    return rows


@TRANSFORMS.register_module()
class TimmAugment(BaseTransform):
    """timm's training augmentation, as the original has it: random resized crop, mirroring, RandAugment, erasing.

    `img` becomes (size, size, 3) float32 BGR in 0 to 255; what is erased may lie beyond. Normalise by ImageNet's mean
    and standard deviation afterwards.
    """

    def __init__(
        self, size: int = 224, auto_augment: str = "rand-m9-mstd0.5-inc1", jitter: float = 0.4, erase: float = 0.25
    ) -> None:
        from timm.data import create_transform

        self.augment = create_transform(
            size, is_training=True, auto_augment=auto_augment, color_jitter=jitter, re_prob=erase, re_mode="pixel",
            interpolation="bicubic", mean=MEAN, std=STD,
        )  # fmt: skip

    def transform(self, results: dict) -> dict:
        """Changes `img`."""
        done = self.augment(Image.fromarray(np.ascontiguousarray(results["img"][..., ::-1]))).numpy()
        whole = (done.transpose(1, 2, 0) * np.array(STD) + np.array(MEAN)) * 255
        results["img"] = np.ascontiguousarray(whole[..., ::-1], dtype=np.float32)
        results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
        return results
