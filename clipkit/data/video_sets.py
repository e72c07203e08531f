"""Videos with sentences: the public retrieval sets as CLIP4Clip (Luo et al. 2021, section 4.1) has them, and one's own.

What must lie in ROOT; videos may lie in subfolders of `ROOT/videos` (or of `videos=`), with any ending:

    msrvtt       MSRVTT_data.json and MSRVTT_train.9k.csv, MSRVTT_train.7k.csv, MSRVTT_JSFUSION_test.csv
                 splits train9k, train7k, test1k ("1k-A"); videos/video0.mp4
    msvd         train_list.txt, val_list.txt, test_list.txt and captions_msvd.json ({id: [sentence, …]}) or
                 raw-captions.pkl ({id: [[word, …], …]}); splits train, val, test; videos/-4wsuPCjDBc_5_15.avi
    lsmdc        LSMDC16_annos_training.csv, LSMDC16_annos_val.csv, LSMDC16_challenge_1000_publictect.csv (tabs)
                 splits train, val, test; videos/0001_American_Beauty/0001_American_Beauty_00.00.51.926-00.00.54.129.avi
    activitynet  train_ids.json, train.json, val_ids.json, val_1.json; splits train, val; a video's sentences are one
                 paragraph; videos/v_QOlSCBRmfWY.mp4, or without v_
    didemo       train_list.txt, train_data.json, …; splits train, val, test; a paragraph; the first 31 seconds count;
                 videos/54322086@N00_2408598493_274c77d26a.avi
    csv          ROOT is a table with the columns video and sentence, and optionally start, end (seconds) and split;
                 a row a sentence; videos are paths below its folder, or below `videos=`

Licences of these data differ, and none lets others pass them on: fetch them from their makers.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipkit.errors import ClipkitError, did_you_mean
from clipkit.safe import load_plain_pickle

from .pairs import Problems
from .video import VIDEO_SUFFIXES

# Videos and sentences of each split as published; None where a number is not.
COUNTS: dict[tuple[str, str], tuple[int | None, int]] = {
    ("msrvtt", "train9k"): (9000, 180000),
    ("msrvtt", "train7k"): (7010, 140200),
    ("msrvtt", "test1k"): (1000, 1000),
    ("msvd", "train"): (1200, 48774),
    ("msvd", "val"): (100, 4290),
    ("msvd", "test"): (670, 27763),
    ("lsmdc", "train"): (None, 101079),
    ("lsmdc", "val"): (None, 7408),
    ("lsmdc", "test"): (1000, 1000),
    ("activitynet", "val"): (4917, 4917),
    ("didemo", "train"): (8395, 8395),
    ("didemo", "val"): (1065, 1065),
    ("didemo", "test"): (1004, 1004),
}


@dataclass(frozen=True)
class CaptionedVideo:
    """`captions` of the file at `path`, or of its seconds `span` (start, end)."""

    id: str
    path: Path
    captions: tuple[str, ...]
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class VideoSet:
    """The videos of a split that are there, in the order of its lists, and what is wrong with the rest."""

    videos: list[CaptionedVideo]
    problems: Problems

    @property
    def captions(self) -> int:
        """How many sentences all videos have."""
        return sum(len(video.captions) for video in self.videos)


def read_video_set(name: str, root: str | Path, split: str = "train", videos: str | Path | None = None) -> VideoSet:
    """A split of a data set; the layouts are above.

    Args:
        name: msrvtt, msvd, lsmdc, activitynet, didemo or csv.
        root: the folder; for csv the file.
        split: csv: rows whose column `split` says so; all rows of a table without that column.
        videos: folder of the videos; default `root/videos`, for csv the folder of the table.

    Returns:
        The videos found. `problems` names those without a file, without a sentence, and numbers of videos or sentences
        that are not the published ones.

    Raises:
        FileNotFoundError: no such folder or file.
        ClipkitError: a file of another format; an unknown set or split; not a single video found.
    """
    if name not in READERS:
        raise ClipkitError(f'unknown set of videos "{name}"; {did_you_mean(name, READERS)}')
    splits = [known for set_name, known in COUNTS if set_name == name] + ["train"] * (name == "activitynet")
    if splits and split not in splits:
        raise ClipkitError(f'{name} has no split "{split}"; {did_you_mean(split, splits)}')
    root, problems = Path(root), Problems()
    folder = Path(videos) if videos is not None else (root.parent if name == "csv" else root / "videos")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of videos")
    listed = list(READERS[name](root, split))
    _compare_counts(name, split, listed, problems)
    files = _Files(folder)
    found: list[CaptionedVideo] = []
    names: dict[tuple[Path, Any], str] = {}
    for file, captions, span in listed:
        identifier = file if span is None else f"{file}@{span[0]:g}-{span[1]:g}"
        paths = files.find(file)
        kept = tuple(text for text in (" ".join(caption.split()) for caption in captions) if text)
        if not paths:
            problems.add(f"videos that are not in {folder}", file)
        elif len(paths) > 1:
            problems.add("names of several videos, which want their folder too", f"{file} ({paths[0]}, {paths[1]})")
        elif not kept:
            problems.add("videos without a sentence", identifier)
        elif (first := names.setdefault((paths[0], span), identifier)) != identifier:
            problems.add("other names of a video that is listed already", f"{identifier} ({first})")
        else:
            found.append(CaptionedVideo(identifier, paths[0], kept, span))
    if not found:
        raise ClipkitError(f"{root}: not one of {len(listed)} videos of {name} {split} is usable: {problems.summary()}")
    return VideoSet(found, problems)


Entry = tuple[str, list[str], tuple[float, float] | None]


def _msrvtt(root: Path, split: str) -> Iterator[Entry]:
    if split == "test1k":
        rows = _table(root / "MSRVTT_JSFUSION_test.csv", ("video_id", "sentence"))
        yield from ((row["video_id"], [row["sentence"]], None) for row in rows)
        return
    path = root / "MSRVTT_data.json"
    sentences: dict[str, list[str]] = {}
    with _reading(path):
        for item in _json(path)["sentences"]:
            sentences.setdefault(item["video_id"], []).append(item["caption"])
    for row in _table(root / f"MSRVTT_train.{split[-2:]}.csv", ("video_id",)):
        yield row["video_id"], sentences.get(row["video_id"], []), None


def _msvd(root: Path, split: str) -> Iterator[Entry]:
    path = root / "captions_msvd.json"
    if path.is_file():
        captions = _json(path)
    else:
        path = root / "raw-captions.pkl"
        captions = load_plain_pickle(_existing(path))
    with _reading(path):
        for identifier in _lines(root / f"{split}_list.txt"):
            texts = captions.get(identifier, [])
            yield identifier, [text if isinstance(text, str) else " ".join(text) for text in texts], None


def _lsmdc(root: Path, split: str) -> Iterator[Entry]:
    name = {"train": "annos_training", "val": "annos_val", "test": "challenge_1000_publictect"}[split]
    sentences: dict[str, list[str]] = {}
    path = root / f"LSMDC16_{name}.csv"
    for number, line in enumerate(_lines(path), 1):
        fields = line.split("\t")
        if len(fields) != 6:
            raise ClipkitError(f"{path}: line {number} has {len(fields)} fields between tabs instead of 6")
        sentences.setdefault(fields[0], []).append(fields[5])
    yield from ((clip, texts, None) for clip, texts in sentences.items())


def _activitynet(root: Path, split: str) -> Iterator[Entry]:
    path = root / ("train.json" if split == "train" else "val_1.json")
    described = _json(path)
    with _reading(path):
        for identifier in _json(root / f"{split}_ids.json"):
            if identifier in described:  # the list of ids has videos that nobody described
                yield identifier, [" ".join(described[identifier]["sentences"])], None


def _didemo(root: Path, split: str) -> Iterator[Entry]:
    path = root / f"{split}_data.json"
    sentences: dict[str, list[str]] = {}
    with _reading(path):
        for item in _json(path):
            sentences.setdefault(item["video"], []).append(item["description"])
    listed = set(_lines(root / f"{split}_list.txt"))
    # Annotators saw 30 seconds: six pieces of five (Hendricks et al. 2017); CLIP4Clip takes one second more.
    yield from ((video, [" ".join(texts)], (0.0, 31.0)) for video, texts in sentences.items() if video in listed)


def _own(path: Path, split: str) -> Iterator[Entry]:
    rows = _table(path, ("video", "sentence"))
    grouped: dict[tuple[str, tuple[float, float] | None], list[str]] = {}
    span: tuple[float, float] | None
    for number, row in enumerate(rows, 2):
        if "split" in row and row["split"] != split:
            continue
        try:
            span = float(row.get("start") or 0), float(row.get("end") or math.inf)
        except ValueError:
            raise ClipkitError(f"{path}: line {number}: start and end must be seconds") from None
        if span == (0, math.inf):
            span = None
        elif not 0 <= span[0] < span[1]:
            raise ClipkitError(f"{path}: line {number}: start {span[0]:g} and end {span[1]:g} are no piece of a video")
        grouped.setdefault((row["video"], span), []).append(row["sentence"])
    if not grouped:
        raise ClipkitError(f'{path}: has no rows of split "{split}"')
    yield from ((video, texts, span) for (video, span), texts in grouped.items())


READERS: dict[str, Callable[[Path, str], Iterator[Entry]]] = {
    "msrvtt": _msrvtt,
    "msvd": _msvd,
    "lsmdc": _lsmdc,
    "activitynet": _activitynet,
    "didemo": _didemo,
    "csv": _own,
}


class _Files:
    """Videos below a folder, found by path or by name, each with or without its ending."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: dict[str, list[Path]] = {}
        for place, folders, names in os.walk(folder):
            folders.sort()
            for path in (Path(place, name) for name in sorted(names)):
                if path.suffix.lower() in VIDEO_SUFFIXES:
                    inside = path.relative_to(folder)
                    keys = (path.name, path.stem, inside.as_posix(), inside.with_suffix("").as_posix())
                    for key in dict.fromkeys(keys):
                        self.paths.setdefault(key, []).append(path)

    def find(self, identifier: str) -> list[Path]:
        """The file; several where only their folders tell them apart and the identifier names none."""
        whole = self.folder / identifier
        if whole.suffix and whole.is_file():
            return [whole]
        name = Path(identifier)
        # DiDeMo's names have the uploaded file's ending, often no longer the one on disk; ActivityNet's a prefix.
        candidates = [name.as_posix(), name.with_name(name.name.removeprefix("v_")).as_posix()] if name.name else []
        if name.suffix.lower() in VIDEO_SUFFIXES:
            candidates.append(name.with_suffix("").as_posix())
        return next((self.paths[key] for key in candidates if key in self.paths), [])


def _compare_counts(name: str, split: str, listed: list[Entry], problems: Problems) -> None:
    videos, captions = COUNTS.get((name, split), (None, None))
    for what, published, found in (
        ("videos", videos, len(listed)),
        ("sentences", captions, sum(len(texts) for _, texts, _ in listed)),
    ):
        if published is not None and found != published:
            problems.add("numbers that are not the published ones", f"{found:,} {what} instead of {published:,}")


class _reading:
    """Turns what a file of another format raises into one line that names it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, (KeyError, TypeError, AttributeError, ValueError)):
            raise ClipkitError(f"{self.path}: not in the published format ({type(error).__name__}: {error})") from None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; `clipkit frames --help` says what must lie where")
    return path


def _lines(path: Path) -> list[str]:
    text = _existing(path).read_text(encoding="utf-8", errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _json(path: Path) -> Any:
    try:
        return json.loads(_existing(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ClipkitError(f"{path}: not readable as JSON ({str(error)[:80]})") from None


def _table(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    try:
        with _existing(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            if missing := [column for column in columns if column not in names]:
                raise ClipkitError(f"{path}: its first line has no column {missing[0]}; it has {', '.join(names)}")
            return [
                {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)} for row in reader
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ClipkitError(f"{path}: not a table in UTF-8 with commas ({str(error)[:80]})") from None
