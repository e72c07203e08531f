"""A folder of images and a folder of masks as pairs, with everything that is wrong counted and named."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clipkit.errors import ClipkitError, some

from ._paths import walk
from .images import IMAGE_SUFFIXES, MASK_SUFFIXES, SIDEWAYS, image_size, read_mask


class Problems(dict[str, list[str]]):
    """What is wrong -> where."""

    def add(self, kind: str, where: str) -> None:
        """Notes a problem at a file."""
        self.setdefault(kind, []).append(where)

    def summary(self) -> str:
        """One line: each kind of problem, how often, and the first three files; empty when all is well."""
        return "; ".join(f"{len(where)} {kind}: {some(where)}" for kind, where in self.items())


@dataclass
class Pairs:
    """`good` (image, mask) files in the order of their names, `problems` with the others, and those of the good images
    that their EXIF turns: loaders show them upright, so that their masks must be upright too. `values`: how many pixels
    of all masks that were read hold each id."""

    good: list[tuple[Path, Path]] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)
    turned: list[Path] = field(default_factory=list)
    values: dict[int, int] = field(default_factory=dict)

    def summary(self) -> str:
        """The problems in one line."""
        return self.problems.summary()


IGNORED = 255  # what mmseg's loaders make of ids that count nowhere
_LEAK = 8  # grey values by which JPEG blurs black and white
BLACK_AND_WHITE = (
    "black-and-white masks (0 and 255), whose white is ignored, so that no class but the first has a pixel: name two "
    "classes and say mask_values=[0,255]"
)


class MaskIds:
    """What the values of a mask mean.

    Args:
        num_classes: of the list of names.
        ignore_index: the value that counts nowhere.
        reduce_zero_label: 0 counts nowhere, value i is class i - 1, as in mmsegmentation.
        mask_values: the value of each class in the order of the names, such as (0, 255) for black-and-white masks;
            None: the ids 0, 1, ….

    Attributes:
        class_of: value -> class, or `ignore_index` for what counts nowhere.

    Raises:
        ClipkitError: options that contradict each other.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: int = IGNORED,
        reduce_zero_label: bool = False,
        mask_values: Sequence[int] | None = None,
    ) -> None:
        self.num_classes, self.ignore_index, self.given = num_classes, ignore_index, mask_values is not None
        if mask_values is not None:
            values = list(mask_values)
            whole = all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 255 for v in values)
            if reduce_zero_label or not whole or len(values) != num_classes or len(set(values)) != num_classes:
                raise ClipkitError(
                    f"mask_values={values}: give {num_classes} different values of 0..255, one a class, and no "
                    "reduce_zero_label with them"
                )
            self.class_of = {ignore_index: ignore_index, **{value: i for i, value in enumerate(values)}}
            self.allowed = f"{', '.join(map(str, values))}, or {ignore_index} for ignored"
        elif reduce_zero_label:
            classes = {i + 1: i for i in range(num_classes)}
            self.class_of = {**classes, 0: IGNORED, IGNORED: IGNORED, ignore_index: ignore_index}
            self.allowed = f"1..{num_classes}, or 0 and {ignore_index} for ignored"
        else:
            self.class_of = {**{i: i for i in range(num_classes)}, ignore_index: ignore_index}
            self.allowed = f"0..{num_classes - 1}, or {ignore_index} for ignored"

    def count(self, values: dict[int, int]) -> list[int]:
        """Pixels of each class, of the pixels that hold each value."""
        counts = [0] * self.num_classes
        for value, pixels in values.items():
            owner = self.class_of.get(value, self.ignore_index)
            if owner != self.ignore_index and owner < self.num_classes:
                counts[owner] += pixels
        return counts

    def judge(self, pairs: Pairs) -> None:
        """Notes what only all masks together tell: black and white where ids are wanted, in whatever disguise."""
        found = sorted(pairs.values)
        if self.given or not found:
            return
        if found[0] == 0 and found[-1] == self.ignore_index == IGNORED and len(found) == 2:
            pairs.problems[BLACK_AND_WHITE] = [mask.name for _, mask in pairs.good]
            pairs.good, pairs.turned = [], []
        elif any(value not in self.class_of for value in found):
            blurred = sum(count for value, count in pairs.values.items() if _LEAK < value < IGNORED - _LEAK)
            if len(found) == self.num_classes:
                pairs.problems.add("way to read all these masks", f"mask_values=[{','.join(map(str, found))}]")
            elif found[-1] > IGNORED - _LEAK and blurred * 50 < sum(pairs.values.values()):
                hint = "threshold them at 128, save PNGs, and say mask_values=[0,255]"
                pairs.problems.add("sign of black-and-white masks that JPEG or resizing blurred", hint)


def _by_stem(folder: Path, suffixes: Iterable[str], pairs: Pairs) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in walk(folder):
        if path.suffix.lower() in suffixes:
            stem = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())  # a Mac's is NFD
            if stem in found:
                pairs.problems.add("with the same name but another ending", str(path.relative_to(folder)))
            else:
                found[stem] = path
    return found


def pair_folders(
    image_dir: str | Path,
    mask_dir: str | Path,
    mask_suffix: str = "",
    num_classes: int | None = None,
    ignore_index: int = 255,
    check: bool = True,
    reduce_zero_label: bool = False,
    mask_values: Sequence[int] | None = None,
) -> Pairs:
    """Pairs `image_dir/x.jpg` with `mask_dir/x<mask_suffix>.png`; endings may differ, subfolders must agree. A mask
    belongs to the picture as it is shown, turned as its EXIF says.

    Args:
        mask_suffix: what mask names have after the image's name, such as `_mask`, with or without an ending.
        num_classes: ids must be below it or equal to `ignore_index`; None allows any.
        ignore_index: the id that counts nowhere.
        check: read every file once; False pairs by name only.
        reduce_zero_label, mask_values: see `MaskIds`.

    Raises:
        FileNotFoundError: a folder does not exist, or holds no files of its kind.
        ClipkitError: options that contradict each other.
    """
    image_dir, mask_dir = Path(image_dir), Path(mask_dir)
    for name, folder in (("images", image_dir), ("masks", mask_dir)):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of {name}")
    pairs = Pairs()
    meaning = None if num_classes is None else MaskIds(num_classes, ignore_index, reduce_zero_label, mask_values)
    ending = next((ending for ending in MASK_SUFFIXES if mask_suffix.lower().endswith(ending)), "")
    mask_suffix = unicodedata.normalize("NFC", mask_suffix[: len(mask_suffix) - len(ending)])
    images, masks = _by_stem(image_dir, IMAGE_SUFFIXES, pairs), _by_stem(mask_dir, MASK_SUFFIXES, pairs)
    if not images:
        raise FileNotFoundError(f"{image_dir}: no images in this folder ({', '.join(IMAGE_SUFFIXES)})")
    if not masks:
        jpeg = any(path.suffix.lower() in (".jpg", ".jpeg") for path in walk(mask_dir))
        why = "; JPEG changes ids: save masks as PNG" if jpeg else ""
        raise FileNotFoundError(f"{mask_dir}: no masks in this folder ({', '.join(MASK_SUFFIXES)}){why}")
    for stem, image in images.items():
        mask = masks.pop(stem + mask_suffix, None)
        if mask is None:
            pairs.problems.add("images without a mask", image.name)
        elif not check or _check(image, mask, meaning, pairs):
            pairs.good.append((image, mask))
    for mask in masks.values():
        pairs.problems.add("masks without an image", mask.name)
    if meaning is not None and check:
        meaning.judge(pairs)
    return pairs


def _check(image: Path, mask: Path, meaning: MaskIds | None, pairs: Pairs) -> bool:
    """Notes what is wrong with a pair, and counts its ids; True when nothing is wrong."""
    try:
        size = image_size(image)
    except ClipkitError:
        pairs.problems.add("unreadable images", image.name)
        return False
    try:
        ids = read_mask(mask)
    except ClipkitError as error:
        if "in colours" in str(error):
            pairs.problems.add("masks in colours instead of class ids (convert to a grey or palette PNG)", mask.name)
        else:
            pairs.problems.add("unreadable masks", mask.name)
        return False
    if (ids.shape[1], ids.shape[0]) != size[:2]:
        stored = size.turn in SIDEWAYS and ids.shape == size[:2]
        turned = "masks that are not turned as their image is by its EXIF"
        pairs.problems.add(turned if stored else "masks of another size than their image", mask.name)
        return False
    if meaning is not None:
        values, counts = np.unique(ids, return_counts=True)
        seen = dict(zip(values.tolist(), counts.tolist()))
        for value, count in seen.items():
            pairs.values[value] = pairs.values.get(value, 0) + count
        if bad := [value for value in seen if value not in meaning.class_of]:
            shown = ", ".join(map(str, bad[:3]))
            pairs.problems.add(f"masks with ids that are no class ({meaning.allowed})", f"{mask.name} ({shown})")
            return False
    if size.turn is not None:
        pairs.turned.append(image)
    return True
