"""A folder of images and a folder of masks as pairs, with everything that is wrong counted and named."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from clipkit.errors import ClipkitError, some
from clipkit.safe import exif_turn, open_picture

from .images import IMAGE_SUFFIXES, MASK_SUFFIXES, read_mask

_TURN = Image.Transpose
_SIDEWAYS = (_TURN.ROTATE_90, _TURN.ROTATE_270, _TURN.TRANSPOSE, _TURN.TRANSVERSE)


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
    that their EXIF turns: loaders show them upright, so that their masks must be upright too."""

    good: list[tuple[Path, Path]] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)
    turned: list[Path] = field(default_factory=list)

    def summary(self) -> str:
        """The problems in one line."""
        return self.problems.summary()


def _by_stem(folder: Path, suffixes: Iterable[str], pairs: Pairs) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in suffixes and path.is_file():
            stem = path.relative_to(folder).with_suffix("").as_posix()
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
) -> Pairs:
    """Pairs `image_dir/x.jpg` with `mask_dir/x<mask_suffix>.png`; endings may differ, subfolders must agree. A mask
    belongs to the picture as it is shown, turned as its EXIF says.

    Args:
        mask_suffix: what mask names have after the image's name, such as `_mask`.
        num_classes: ids must be below it or equal to `ignore_index`; None allows any.
        ignore_index: the id that counts nowhere.
        check: read every file once; False pairs by name only.

    Raises:
        FileNotFoundError: a folder does not exist, or holds no files of its kind.
    """
    image_dir, mask_dir = Path(image_dir), Path(mask_dir)
    for name, folder in (("images", image_dir), ("masks", mask_dir)):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of {name}")
    pairs = Pairs()
    images, masks = _by_stem(image_dir, IMAGE_SUFFIXES, pairs), _by_stem(mask_dir, MASK_SUFFIXES, pairs)
    if not images:
        raise FileNotFoundError(f"{image_dir}: no images in this folder ({', '.join(IMAGE_SUFFIXES)})")
    if not masks:
        raise FileNotFoundError(f"{mask_dir}: no masks in this folder ({', '.join(MASK_SUFFIXES)})")
    for stem, image in images.items():
        mask = masks.pop(stem + mask_suffix, None)
        if mask is None:
            pairs.problems.add("images without a mask", image.name)
        elif not check or _check(image, mask, num_classes, ignore_index, pairs):
            pairs.good.append((image, mask))
    for mask in masks.values():
        pairs.problems.add("masks without an image", mask.name)
    return pairs


def _check(image: Path, mask: Path, num_classes: int | None, ignore_index: int, pairs: Pairs) -> bool:
    """Notes what is wrong with a pair; True when nothing is."""
    try:
        with open_picture(image) as opened:
            size = opened.size
            # A JPEG that is cut off has a good header; decoding one eighth of the size finds it and is fast.
            opened.draft("RGB", (max(1, opened.width // 8), max(1, opened.height // 8)))
            turn = exif_turn(opened)
    except Exception:  # Pillow raises a dozen types on damaged files
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
    if turn in _SIDEWAYS:
        size = size[::-1]
    if (ids.shape[1], ids.shape[0]) != size:
        stored = turn in _SIDEWAYS and ids.shape == size
        turned = "masks that are not turned as their image is by its EXIF"
        pairs.problems.add(turned if stored else "masks of another size than their image", mask.name)
        return False
    if num_classes is not None:
        bad = ids[(ids >= num_classes) & (ids != ignore_index)]
        if bad.size:
            pairs.problems.add(
                f"masks with ids that are no class (0..{num_classes - 1}, or {ignore_index} for ignored)",
                f"{mask.name} ({', '.join(map(str, np.unique(bad)[:3].tolist()))})",
            )
            return False
    if turn is not None:
        pairs.turned.append(image)
    return True
