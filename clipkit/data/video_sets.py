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
    youcook2     youcookii_annotations_trainval.json; splits train, val; a step of a recipe and its seconds are one
                 video with one sentence; videos/training/101/-AwyG1JcMp8.mp4, or without folders
    csv          ROOT is a table (.csv with commas, .tsv with tabs) with the columns video and sentence, and optionally
                 start, end (seconds) and split; a row a sentence; videos are paths below its folder, or below `videos=`

Licences of these data differ, and none lets others pass them on: fetch them from their makers.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from clipkit.errors import ClipkitError, did_you_mean
from clipkit.safe import load_plain_pickle

from ._paths import below, walk
from ._tables import as_list, as_object, as_text, read_json, read_lines, read_table
from .overlapped_pairs import TimedText
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
        name: msrvtt, msvd, lsmdc, activitynet, didemo, youcook2 or csv.
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
    splits += YOUCOOK2 if name == "youcook2" else ()
    if splits and split not in splits:
        raise ClipkitError(f'{name} has no split "{split}"; {did_you_mean(split, splits)}')
    root, problems = Path(root), Problems()
    folder = Path(videos) if videos is not None else (root.parent if name == "csv" else root / "videos")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of videos")
    listed = list(READERS[name](root, split))
    _compare_counts(name, split, listed, problems)
    files = VideoFiles(folder, root)
    found: list[CaptionedVideo] = []
    names: dict[tuple[Path, Any], str] = {}
    ids: set[str] = set()
    for file, captions, span in listed:
        identifier = file if span is None else f"{file}@{_seconds(span[0])}-{_seconds(span[1])}"
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
        elif identifier in ids:  # a file may be called as a piece of another is
            problems.add("names that another video has", identifier)
        else:
            if len(kept) < len(captions):
                problems.add("videos with an empty sentence", identifier)
            ids.add(identifier)
            found.append(CaptionedVideo(identifier, paths[0], kept, span))
    if not found:
        raise ClipkitError(f"{root}: not one of {len(listed)} videos of {name} {split} is usable: {problems.summary()}")
    return VideoSet(found, problems)


def _seconds(value: float) -> str:
    """In the six digits that ids have had, or all of them where pieces of a long film need more to differ."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


Entry = tuple[str, list[str], tuple[float, float] | None]


def _msrvtt(root: Path, split: str) -> Iterator[Entry]:
    if split == "test1k":
        table = read_table(existing(root / "MSRVTT_JSFUSION_test.csv"), ("video_id", "sentence"))
        yield from ((row["video_id"], [row["sentence"]], None) for _, row in table)
        return
    sentences = _grouped(existing(root / "MSRVTT_data.json"), "sentences", "video_id", "caption")
    for _, row in read_table(existing(root / f"MSRVTT_train.{split[-2:]}.csv"), ("video_id",)):
        yield row["video_id"], sentences.get(row["video_id"], []), None


def _grouped(path: Path, key: str | None, video: str, sentence: str) -> dict[str, list[str]]:
    """Video -> its sentences, of a list of objects, which may be the value of `key`."""
    content = read_json(path)
    items = content if key is None else as_object(content, path, "what it holds", key)[key]
    found: dict[str, list[str]] = {}
    for number, item in enumerate(as_list(items, path, "what it holds" if key is None else f'"{key}"')):
        where = f"{key or 'entry'}[{number}]"
        as_object(item, path, where, video, sentence)
        name = as_text(item[video], path, f'{where}["{video}"]')
        found.setdefault(name, []).append(as_text(item[sentence], path, f'{where}["{sentence}"]'))
    return found


def _msvd(root: Path, split: str) -> Iterator[Entry]:
    path = root / "captions_msvd.json"
    if path.is_file():
        captions = read_json(path)
    else:
        path = root / "raw-captions.pkl"
        captions = load_plain_pickle(existing(path))
    captions = as_object(captions, path, "what it holds")
    for _, identifier in read_lines(existing(root / f"{split}_list.txt")):
        texts = as_list(captions.get(identifier, []), path, f"the entry of {identifier}")
        yield identifier, [_sentence(text, path, f"a sentence of {identifier}") for text in texts], None


def _sentence(value: Any, path: Path, where: str) -> str:
    """Text, or a list of words."""
    if isinstance(value, list):
        return " ".join(as_text(word, path, f"a word in {where}") for word in value)
    return as_text(value, path, where)


def _lsmdc(root: Path, split: str) -> Iterator[Entry]:
    name = {"train": "annos_training", "val": "annos_val", "test": "challenge_1000_publictect"}[split]
    sentences: dict[str, list[str]] = {}
    path = root / f"LSMDC16_{name}.csv"
    for number, line in read_lines(existing(path), strip=False):
        fields = line.split("\t")
        if len(fields) != 6:
            raise ClipkitError(f"{path}: line {number} has {len(fields)} fields between tabs instead of 6")
        sentences.setdefault(fields[0], []).append(fields[5])
    yield from ((clip, texts, None) for clip, texts in sentences.items())


def _activitynet(root: Path, split: str) -> Iterator[Entry]:
    path, listed = root / ("train.json" if split == "train" else "val_1.json"), root / f"{split}_ids.json"
    described = as_object(read_json(existing(path)), path, "what it holds")
    for place, identifier in enumerate(as_list(read_json(existing(listed)), listed, "what it holds")):
        if as_text(identifier, listed, f"entry[{place}]") in described:  # the list has videos that nobody described
            entry = as_object(described[identifier], path, f"the entry of {identifier}", "sentences")
            where = f"a sentence of {identifier}"
            texts = as_list(entry["sentences"], path, f"the sentences of {identifier}")
            yield identifier, [" ".join(as_text(text, path, where) for text in texts)], None


def _didemo(root: Path, split: str) -> Iterator[Entry]:
    sentences = _grouped(existing(root / f"{split}_data.json"), None, "video", "description")
    listed = {line for _, line in read_lines(existing(root / f"{split}_list.txt"))}
    # Annotators saw 30 seconds: six pieces of five (Hendricks et al. 2017); CLIP4Clip takes one second more.
    yield from ((video, [" ".join(texts)], (0.0, 31.0)) for video, texts in sentences.items() if video in listed)


YOUCOOK2 = {"train": "training", "val": "validation"}
"""Split -> what the annotations call it."""


def youcook2_steps(root: Path, split: str) -> Iterator[tuple[str, list[TimedText]]]:
    """Each video of a split of YouCook2 with the steps of its recipe."""
    path = root / "youcookii_annotations_trainval.json"
    videos = as_object(read_json(existing(path)), path, "what it holds", "database")["database"]
    for video, about in as_object(videos, path, '"database"').items():
        where = f"the entry of {video}"
        if as_object(about, path, where, "subset", "annotations")["subset"] != YOUCOOK2[split]:
            continue
        steps = []
        for number, step in enumerate(as_list(about["annotations"], path, f"the annotations of {video}")):
            place = f"annotations[{number}] of {video}"
            seconds = as_object(step, path, place, "segment", "sentence")["segment"]
            steps.append(timed_text(seconds, step["sentence"], path, place))
        yield video, steps


def timed_text(seconds: Any, text: Any, path: str | Path, where: str) -> TimedText:
    """[start, end] and a sentence of a file.

    Raises:
        ClipkitError: two finite numbers, not below 0, are needed, and text.
    """
    good = isinstance(seconds, list) and len(seconds) == 2 and all(type(value) in (int, float) for value in seconds)
    if not good or not all(0 <= value < math.inf for value in seconds):
        raise ClipkitError(f"{path}: {where}: {str(seconds)[:60]} is no first and last second")
    return TimedText(float(seconds[0]), float(seconds[1]), " ".join(as_text(text, path, where).split()))


def _youcook2(root: Path, split: str) -> Iterator[Entry]:
    for video, steps in youcook2_steps(root, split):
        for step in steps:
            if not step.start < step.end:
                raise ClipkitError(f"{root}: {video} has a step from {step.start:g} to {step.end:g} s, which is none")
            yield video, [step.text], (step.start, step.end)


def _own(path: Path, split: str) -> Iterator[Entry]:
    grouped: dict[tuple[str, tuple[float, float] | None], list[str]] = {}
    span: tuple[float, float] | None
    for number, row in read_table(existing(path), ("video", "sentence")):
        if not row["video"]:
            raise ClipkitError(f"{path}: line {number}: names no video")
        if not in_split(row, split, path, number):
            continue
        try:
            span = float(row.get("start") or 0), float(row.get("end") or math.inf)
        except ValueError:
            raise ClipkitError(f"{path}: line {number}: start and end must be seconds, such as 62.5") from None
        if span == (0, math.inf):
            span = None
        elif not 0 <= span[0] < span[1]:
            raise ClipkitError(f"{path}: line {number}: start {span[0]:g} and end {span[1]:g} are no piece of a video")
        grouped.setdefault((row["video"], span), []).append(row["sentence"])
    if not grouped:
        raise ClipkitError(f'{path}: has no rows of split "{split}"')
    yield from ((video, texts, span) for (video, span), texts in grouped.items())


def in_split(row: dict[str, str], split: str, path: Path, line: int) -> bool:
    """Whether a row of a table is of this split, as all are where it has no such column.

    Raises:
        ClipkitError: it names none, or this one in other letters: it would be in no split.
    """
    named = row.get("split", split)
    if not named:
        raise ClipkitError(f"{path}: line {line}: names no split; write one, or leave the column out")
    if named != split and named.casefold() == split.casefold():
        raise ClipkitError(f'{path}: line {line}: names the split "{named[:60]}", and "{split}" is asked for')
    return named == split


READERS: dict[str, Callable[[Path, str], Iterator[Entry]]] = {
    "msrvtt": _msrvtt,
    "msvd": _msvd,
    "lsmdc": _lsmdc,
    "activitynet": _activitynet,
    "didemo": _didemo,
    "youcook2": _youcook2,
    "csv": _own,
}


class VideoFiles:
    """Videos below a folder, found by path or by name, each with or without its ending."""

    def __init__(self, folder: Path, listed: Path) -> None:
        self.folder, self.listed = folder, listed

    @cached_property
    def paths(self) -> dict[str, list[Path]]:
        """Name -> the files that it may mean."""
        found: dict[str, list[Path]] = {}
        for path in walk(self.folder):
            if path.suffix.lower() in VIDEO_SUFFIXES:
                inside = path.relative_to(self.folder)
                keys = (path.name, path.stem, inside.as_posix(), inside.with_suffix("").as_posix())
                for key in dict.fromkeys(map(_composed, keys)):
                    found.setdefault(key, []).append(path)
        return found

    def find(self, identifier: str) -> list[Path]:
        """The file; several where only their folders tell them apart and the identifier names none."""
        whole = below(self.folder, identifier, self.listed, "videos= (--videos)")
        if whole.suffix and whole.is_file():
            return [whole]
        if "\\" in identifier:  # a table from Windows
            return self.find(identifier.replace("\\", "/"))
        name = Path(_composed(identifier))
        # DiDeMo's names have the uploaded file's ending, often no longer the one on disk; ActivityNet's a prefix.
        candidates = [name.as_posix()] if name.name else []
        if bare := name.name.removeprefix("v_"):
            candidates.append(name.with_name(bare).as_posix())
        if name.suffix.lower() in VIDEO_SUFFIXES:
            candidates.append(name.with_suffix("").as_posix())
        return next((self.paths[key] for key in candidates if key in self.paths), [])


def _composed(name: str) -> str:
    """One of the ways to write letters with accents: macOS has another than most tables."""
    return unicodedata.normalize("NFC", name)


def _compare_counts(name: str, split: str, listed: list[Entry], problems: Problems) -> None:
    videos, captions = COUNTS.get((name, split), (None, None))
    for what, published, found in (
        ("videos", videos, len(listed)),
        ("sentences", captions, sum(len(texts) for _, texts, _ in listed)),
    ):
        if published is not None and found != published:
            problems.add("numbers that are not the published ones", f"{found:,} {what} instead of {published:,}")


def existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; `clipkit frames --help` says what must lie where")
    return path
