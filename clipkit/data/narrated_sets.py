"""Videos in which somebody speaks, with the seconds of each sentence.

What must lie in ROOT; videos may lie in subfolders of `ROOT/videos` (or of `videos=`), with any ending:

    howto100m  howto100m_captions/nVbIUDjzWY4.csv, …, with the columns start, end, text; or one file
               raw_caption_superclean.json, raw_caption.json or caption.json, {id: {start: […], end: […], text: […]}};
               the ids of a split in how2_s3d_train.lst, how2_s3d_val.lst, a line each; without such a list
               HowTo100M_v1.csv (column video_id) names the split train; videos/nVbIUDjzWY4.mp4
    youcook2   youcookii_annotations_trainval.json; splits train, val; videos/training/101/-AwyG1JcMp8.mp4
    csv        ROOT is a table (.csv with commas, .tsv with tabs) with the columns video, sentence, start, end (seconds)
               and optionally split; a row a sentence; videos are paths below its folder, or below `videos=`

Licences of these data differ, and none lets others pass them on: fetch them from their makers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from clipkit.errors import ClipkitError, did_you_mean

from ._tables import as_list, as_object, read_json, read_lines, read_table
from .overlapped_pairs import TimedText
from .pairs import Problems
from .video_sets import YOUCOOK2, VideoFiles, existing, in_split, timed_text, youcook2_steps

_WHOLE = ("raw_caption_superclean.json", "raw_caption.json", "caption.json")


@dataclass(frozen=True)
class NarratedVideo:
    """The file at `path`, and what is `said` in it, in the order of the starts."""

    id: str
    path: Path
    said: tuple[TimedText, ...]


@dataclass(frozen=True)
class NarratedSet:
    """The videos of a split that are there, in the order of its lists, and what is wrong with the rest."""

    videos: list[NarratedVideo]
    problems: Problems


def read_narrated_set(
    name: str, root: str | Path, split: str = "train", videos: str | Path | None = None
) -> NarratedSet:
    """A split of a data set; the layouts are above.

    Args:
        name: howto100m, youcook2 or csv.
        root: the folder; for csv the file.
        split: csv: rows whose column `split` says so; all rows of a table without that column.
        videos: folder of the videos; default `root/videos`, for csv the folder of the table.

    Raises:
        FileNotFoundError: no such folder or file.
        ClipkitError: a file of another format; an unknown set or split; not a single video found.
    """
    if name not in READERS:
        raise ClipkitError(f'unknown set of narrated videos "{name}"; {did_you_mean(name, READERS)}')
    if name != "csv" and split not in YOUCOOK2:
        raise ClipkitError(f'{name} has no split "{split}"; {did_you_mean(split, YOUCOOK2)}')
    root, problems = Path(root), Problems()
    folder = Path(videos) if videos is not None else (root.parent if name == "csv" else root / "videos")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of videos")
    files, found, listed = VideoFiles(folder, root), [], 0
    names: dict[Path, str] = {}
    for video, said in READERS[name](root, split):
        listed += 1
        paths = files.find(video)
        kept = tuple(sorted(one for one in said if one.text and one.start <= one.end))
        if not paths:
            problems.add(f"videos that are not in {folder}", video)
        elif len(paths) > 1:
            problems.add("names of several videos, which want their folder too", f"{video} ({paths[0]}, {paths[1]})")
        elif not kept:
            problems.add("videos in which nothing is said", video)
        elif (first := names.setdefault(paths[0], video)) != video:
            problems.add("other names of a video that is listed already", f"{video} ({first})")
        else:
            if len(kept) < len(said):
                problems.add("videos with sentences that are empty or end before they start", video)
            found.append(NarratedVideo(video, paths[0], kept))
    if not found:
        raise ClipkitError(f"{root}: not one of {listed} videos of {name} {split} is usable: {problems.summary()}")
    return NarratedSet(found, problems)


Entry = tuple[str, list[TimedText]]


def _howto100m(root: Path, split: str) -> Iterator[Entry]:
    captions, listed = root / "howto100m_captions", root / f"how2_s3d_{split}.lst"
    if listed.is_file() or split != "train":
        ids = [line for _, line in read_lines(existing(listed))]
    else:
        ids = [row["video_id"] for _, row in read_table(existing(root / "HowTo100M_v1.csv"), ("video_id",))]
    ids = list(dict.fromkeys(ids))
    if captions.is_dir():
        yield from ((video, _told(captions / f"{Path(video).name}.csv")) for video in ids)
        return
    path = next((root / name for name in _WHOLE if (root / name).is_file()), root / _WHOLE[0])
    whole = as_object(read_json(existing(path)), path, "what it holds")
    for video in ids:
        about = as_object(whole.get(video, {"start": [], "end": [], "text": []}), path, video, "start", "end", "text")
        columns = [as_list(about[key], path, f"{key} of {video}") for key in ("start", "end", "text")]
        if len({len(column) for column in columns}) > 1:
            raise ClipkitError(f"{path}: {video} has {', '.join(str(len(c)) for c in columns)} starts, ends and texts")
        yield video, [timed_text([a, b], text, path, video) for a, b, text in zip(*columns)]


def _told(path: Path) -> list[TimedText]:
    """A table of one video; nothing is said where there is none."""
    if not path.is_file():
        return []
    table = read_table(path, ("start", "end", "text"))
    return [_timed(path, number, row["start"], row["end"], row["text"]) for number, row in table]


def _timed(path: Path, line: int, start: str, end: str, text: str) -> TimedText:
    try:
        seconds = [float(start), float(end)]
    except ValueError:
        what = f"start {start[:30]!r} and end {end[:30]!r}"
        raise ClipkitError(f"{path}: line {line}: {what} must be seconds, such as 62.5") from None
    return timed_text(seconds, text, path, f"line {line}")


def _own(path: Path, split: str) -> Iterator[Entry]:
    grouped: dict[str, list[TimedText]] = {}
    for number, row in read_table(existing(path), ("video", "sentence", "start", "end")):
        if not row["video"]:
            raise ClipkitError(f"{path}: line {number}: names no video")
        if in_split(row, split, path, number):
            one = _timed(path, number, row["start"], row["end"], row["sentence"])
            grouped.setdefault(row["video"], []).append(one)
    if not grouped:
        raise ClipkitError(f'{path}: has no rows of split "{split}"')
    yield from grouped.items()


READERS: dict[str, Callable[[Path, str], Iterator[Entry]]] = {
    "howto100m": _howto100m,
    "youcook2": youcook2_steps,
    "csv": _own,
}
