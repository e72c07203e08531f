"""Videos with actions: the files that Kinetics, HMDB51 and UCF101 come with, plain lists, and folders of one's own.

list       ROOT is a text file, a line a video: `path label`, or `path frames label` for folders of pictures (TSN's
           and ActionCLIP's lists; the count is not used); labels are ids into `labels=`
folder     ROOT/<split>/<class>/*.mp4, or ROOT/<class>/*.mp4 where there is no such split
kinetics   ROOT/<split>.csv of the publishers (label, youtube_id, time_start, time_end, split) and videos
           <youtube_id>_<start>_<end>.mp4 with six digits each, in any folders
hmdb51     ROOT/testTrainMulti_7030_splits/<class>_test_split1.txt and ROOT/videos/<class>/*.avi; splits train1, test1,
           train2, …
ucf101     ROOT/ucfTrainTestlist/{classInd,trainlist01,testlist01}.txt and ROOT/videos/<class>/*.avi; splits train1,
           test1, train2, …
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipkit.errors import ClipkitError, did_you_mean

from ._paths import below, walk
from ._tables import read_lines, read_table
from .pairs import Problems
from .video import VIDEO_SUFFIXES

_LISTED = re.compile(r"(.+?)(?:\s+[0-9]{1,9})?\s+([0-9]{1,9})")  # the path may hold spaces
# Published numbers of videos.
COUNTS = {
    ("hmdb51", "train1"): 3570,
    ("hmdb51", "test1"): 1530,
    ("ucf101", "train1"): 9537,
    ("ucf101", "test1"): 3783,
}


@dataclass(frozen=True)
class ActionVideo:
    """The file, or the folder of pictures, at `path` shows the action `label`. `id` is what the list calls it."""

    id: str
    path: Path
    label: int


@dataclass(frozen=True)
class ActionSet:
    """The videos of a split that are there, the names of all classes, and what is wrong with the rest."""

    videos: list[ActionVideo]
    classes: list[str]
    problems: Problems


def read_action_set(
    name: str,
    root: str | Path,
    split: str = "train",
    videos: str | Path | None = None,
    labels: str | Path | None = None,
) -> ActionSet:
    """A split of a data set; the layouts are above.

    Args:
        name: list, folder, kinetics, hmdb51 or ucf101.
        root: the folder; for list the file.
        split: see above; not used for list.
        videos: folder of the videos; default ROOT/videos, for list the file's own folder.
        labels: names of the classes in order, a table with the columns `id,name` or a text file with a name a line.
            A list needs it; for kinetics it replaces the sorted names of the split.

    Raises:
        ClipkitError, FileNotFoundError: a file is missing or not in its format, or no video is there; one line.
    """
    if name not in READERS:
        raise ClipkitError(f'no set of actions "{name}"; {did_you_mean(name, READERS)}')
    root = Path(root)
    folder = Path(videos) if videos is not None else {"list": root.parent, "folder": root}.get(name, root / "videos")
    listed, classes = READERS[name](root, split, labels)
    problems, found = Problems(), []
    places = _places(folder) if name == "kinetics" else {}
    label_of: dict[str, int] = {}
    if name == "folder":
        for path in _too_deep(_base(root, split)):
            problems.add("videos that lie deeper than in the folder of a class", path.relative_to(root).as_posix())
    for identifier, label in listed:
        if not 0 <= label < len(classes):
            raise ClipkitError(f"{root}: {identifier} has label {label}, and there are {len(classes)} classes")
        path = places.get(identifier) or below(folder, identifier, root, "videos=")
        if (first := label_of.setdefault(identifier, label)) != label:
            said = f"{identifier} ({classes[first]}, {classes[label]})"
            problems.add("videos that are listed as two actions, of which the first counts", said)
        elif path.exists():
            found.append(ActionVideo(identifier, path, label))
        else:
            problems.add(f"videos that are not in {folder}", identifier)
    if not found:
        why = problems.summary() or "the list is empty"
        raise ClipkitError(f"{root}: not one of {len(listed)} videos of {name} {split} is there: {why}")
    published = COUNTS.get((name, split))
    if published is not None and len(listed) != published:
        problems.add("numbers that are not the published ones", f"{len(listed):,} videos instead of {published:,}")
    return ActionSet(found, classes, problems)


def first_shots(videos: Sequence[ActionVideo], shots: int, seed: int = 0) -> list[ActionVideo]:
    """`shots` videos of each class, drawn by `seed`; all of a class that has fewer. The order is kept."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(len(videos))
    taken: dict[int, int] = {}
    kept = []
    for index in order.tolist():
        label = videos[index].label
        if taken.get(label, 0) < shots:
            taken[label] = taken.get(label, 0) + 1
            kept.append(index)
    return [videos[index] for index in sorted(kept)]


Listed = tuple[list[tuple[str, int]], list[str]]


def _list(path: Path, split: str, labels: str | Path | None) -> Listed:
    if labels is None:
        raise ClipkitError(f"{path}: a list needs labels=, a file with the names of its classes")
    names, rows = read_labels(labels), []
    for number, line in _lines(path):
        found = _LISTED.fullmatch(line)
        if found is None:
            raise ClipkitError(f"{path}: line {number} is not `path label` or `path frames label`: {line[:60]!r}")
        rows.append((found[1], int(found[2])))
    return rows, names


def read_labels(path: str | Path) -> list[str]:
    """Names of classes: a table with the columns `id,name` whose ids count from 0, or a name a line.

    Raises:
        ClipkitError, FileNotFoundError: no such file, ids that do not count, a name twice or none.
    """
    lines = _lines(Path(path))
    if not lines:
        raise ClipkitError(f"{path}: is empty, and holds the names of classes, one a line")
    columns = [word.strip().strip('"').lower() for word in lines[0][1].split(",")]
    if sorted(columns) == ["id", "name"]:
        lines = []
        for number, row in read_table(path, ()):
            identifier, name = row.values() if columns[0] == "id" else reversed(row.values())
            if identifier != str(len(lines)):
                raise ClipkitError(f"{path}: line {number}: its rows must be `0,name`, `1,name`, … without a gap")
            lines.append((number, name))
    seen: dict[str, int] = {}
    for number, name in lines:
        if not name or seen.setdefault(name, number) != number:
            what = f"{name[:60]!r} is the name of line {seen[name]} already" if name else "holds no name"
            raise ClipkitError(f"{path}: line {number}: {what}; a class needs one of its own")
    return list(seen)


def _folder(root: Path, split: str, labels: str | Path | None) -> Listed:
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    base = _base(root, split)
    # A class that this split lacks keeps its id. What lies beside the splits, without videos, is none.
    splits = root.iterdir() if base != root else (root,)
    folders = [path for part in splits if part.is_dir() for path in part.iterdir() if _may_be_a_class(path)]
    classes = sorted({path.name for path in folders if any(f.suffix.lower() in VIDEO_SUFFIXES for f in path.iterdir())})
    rows = [
        (path.relative_to(root).as_posix(), label)
        for label, name in enumerate(classes)
        for path in sorted((base / name).glob("*"))
        if path.suffix.lower() in VIDEO_SUFFIXES
    ]
    return rows, [_spoken(name) for name in classes]


def _base(root: Path, split: str) -> Path:
    return root / split if (root / split).is_dir() else root


def _may_be_a_class(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _too_deep(base: Path) -> list[Path]:
    """Videos below the folders of classes, which are not read: the next folder may be a split, or a class."""
    inside = [path for folder in base.iterdir() if _may_be_a_class(folder) for path in walk(folder)]
    return [path for path in inside if path.suffix.lower() in VIDEO_SUFFIXES and path.parent.parent != base]


def _kinetics(root: Path, split: str, labels: str | Path | None) -> Listed:
    path = root / f"{split}.csv"
    rows = list(read_table(_existing(path), ("label", "youtube_id", "time_start", "time_end")))
    classes = read_labels(labels) if labels else sorted({row["label"] for _, row in rows})
    place = {name: i for i, name in enumerate(classes)}
    found = []
    for number, row in rows:
        if not row["label"]:
            raise ClipkitError(f"{path}: line {number}: names no action")
        if row["label"] not in place:
            raise ClipkitError(f"{path}: line {number}: {row['label'][:60]!r} is not among the classes of {labels}")
        try:
            start, end = (int(float(row[column])) for column in ("time_start", "time_end"))
        except (ValueError, OverflowError) as error:
            raise ClipkitError(f"{path}: line {number}: a start or end is no number ({error})") from error
        found.append((f"{row['youtube_id']}_{start:06d}_{end:06d}", place[row["label"]]))
    return found, classes


def _hmdb51(root: Path, split: str, labels: str | Path | None) -> Listed:
    part, number = _numbered(split)
    wanted = {"train": "1", "test": "2"}[part]
    folder = root / "testTrainMulti_7030_splits"
    suffix = f"_test_split{number}.txt"
    files = sorted(folder.glob(f"*{suffix}"))
    if not files:
        raise FileNotFoundError(f"{folder}: has no files *{suffix}")
    names = [file.name.removesuffix(suffix) for file in files]
    rows = []
    for label, (file, name) in enumerate(zip(files, names)):
        for count, line in _lines(file):
            video, _, mark = line.rpartition(" ")
            if mark not in ("0", "1", "2"):
                raise ClipkitError(f"{file}: line {count}: is not `video.avi 0|1|2`: {line[:60]!r}")
            rows += [(f"{name}/{video.strip()}", label)] if mark == wanted else []
    return rows, [_spoken(name) for name in names]


def _ucf101(root: Path, split: str, labels: str | Path | None) -> Listed:
    part, number = _numbered(split)
    folder = root / "ucfTrainTestlist"
    names: list[str] = []
    for count, line in _lines(folder / "classInd.txt"):
        place_of, name = [*line.split(maxsplit=1), ""][:2]
        if place_of != str(wanted := len(names) + 1) or not name or name in names:
            raise ClipkitError(f"{folder / 'classInd.txt'}: line {count}: is not `{wanted} Name`: {line[:60]!r}")
        names.append(name)
    place = {name: i for i, name in enumerate(names)}
    path = folder / f"{part}list{number:02d}.txt"
    videos = []
    for count, line in _lines(path):
        video, *rest = line.split()
        label = place.get(video.partition("/")[0])
        if len(rest) > 1 or label is None:
            raise ClipkitError(f"{path}: line {count}: {line[:60]!r} is of no class in classInd.txt")
        if rest and rest[0] != str(label + 1):
            raise ClipkitError(f"{path}: line {count}: {line[:60]!r} is class {label + 1} in classInd.txt")
        videos.append(video)
    return [(video, place[video.partition("/")[0]]) for video in videos], [_camel(name) for name in names]


READERS: dict[str, Callable[[Path, str, str | Path | None], Listed]] = {
    "list": _list,
    "folder": _folder,
    "kinetics": _kinetics,
    "hmdb51": _hmdb51,
    "ucf101": _ucf101,
}


def _numbered(split: str) -> tuple[str, int]:
    part, number = split.rstrip("0123456789"), split[len(split.rstrip("0123456789")) :]
    if part not in ("train", "test") or number not in ("1", "2", "3"):
        raise ClipkitError(f'no split "{split}": train1, test1, train2, test2, train3 or test3')
    return part, int(number)


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _camel(name: str) -> str:
    """'ApplyEyeMakeup' -> 'Apply Eye Makeup'; 'YoYo' and 'TaiChi' too, as ActionCLIP's list has them."""
    return "".join(f" {c}" if c.isupper() and i and not name[i - 1].isupper() else c for i, c in enumerate(name))


def _places(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in walk(folder) if path.suffix.lower() in VIDEO_SUFFIXES}


def _lines(path: Path) -> list[tuple[int, str]]:
    return read_lines(_existing(path))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; clipkit/data/action_sets.py says what must lie where")
    return path
