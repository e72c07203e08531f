"""Questions with the answers that people gave: VQAv2's files as they are, and one's own JSON lines."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clipkit.errors import ClipkitError, some
from clipkit.evaluation.vqa import normalise
from clipkit.files import write_text

from ._paths import below, is_file
from ._tables import as_list, as_object, as_text, read_json, read_lines

PEOPLE = 10
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


class Asked(NamedTuple):
    """A question about a picture.

    Attributes:
        id: of the question, as its file has it.
        answers: what people answered, one each; none where that is not told (VQAv2's test split).
        kind: the question's type, such as "what color is the"; '' where its file has none.
        answer_type: 'yes/no', 'number', 'other', or ''.
        any_object: see `clipkit.shapes.Question`.
    """

    id: int | str
    image: str
    text: str
    answers: tuple[str, ...]
    kind: str = ""
    answer_type: str = ""
    any_object: float | None = None


def words(text: str) -> list[tuple[str, int, int]]:
    """The words of a question in small letters, and the characters that each of them is, `text[start:end]`."""
    return [(found.group().lower(), found.start(), found.end()) for found in _WORD.finditer(text)]


def read_vqa(questions: str | Path, annotations: str | Path | None, image_name: str) -> list[Asked]:
    """VQAv2's `v2_OpenEnded_mscoco_*_questions.json` and `v2_mscoco_*_annotations.json`.

    Args:
        annotations: None for a split whose answers are not told.
        image_name: how an image's file is called, such as `COCO_train2014_{:012d}.jpg`.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: a file of another form, a question without annotation, or the reverse.
    """
    try:
        image_name.format(1)
    except (ValueError, IndexError, KeyError) as error:
        raise ClipkitError(
            f"image_name {image_name!r} takes no number ({error}); e.g. COCO_val2014_{{:012d}}.jpg"
        ) from None
    given: dict[int, tuple[tuple[str, ...], str, str]] = {}
    if annotations is not None:
        for place, row in _rows(annotations, "annotations"):
            answers = tuple(
                as_text(as_object(one, annotations, place).get("answer"), annotations, f"{place}: answer")
                for one in as_list(row.get("answers"), annotations, f"{place}: answers")
            )
            kinds = (str(row.get("question_type", "")), str(row.get("answer_type", "")))
            given[_number(row, "question_id", annotations, place)] = (answers, *kinds)
    found = []
    for place, row in _rows(questions, "questions"):
        number = _number(row, "question_id", questions, place)
        if annotations is not None and number not in given:
            raise ClipkitError(
                f"{annotations}: has no question {number}, which {questions} asks: are they of one split?"
            )
        image = image_name.format(_number(row, "image_id", questions, place))
        text = as_text(row.get("question"), questions, f"{place}: question")
        found.append(Asked(number, image, text, *given.pop(number, ((), "", ""))))
    if given:
        raise ClipkitError(f"{questions}: lacks {len(given)} questions of {annotations}: {some(given)}")
    return found


def read_own(path: str | Path) -> list[Asked]:
    """One's own questions, a JSON object a line: `{"image": "a.jpg", "question": "what is it?", "answer": "a cat"}`.

    In place of `answer`, `answers` of several people; an `answer` counts as ten people's. `type` groups the scores,
    `id` is the line's number where it is not told. Without an answer a question is only answered.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: a line that is no such object.
    """
    found = []
    for number, line in read_lines(path):
        place = f"line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise ClipkitError(f"{path}: {place}: is no JSON object; one object a line is needed") from None
        row = as_object(row, path, place)
        if "answers" in row:
            answers = tuple(
                as_text(one, path, f"{place}: answers") for one in as_list(row["answers"], path, f"{place}: answers")
            )
        else:
            answers = (as_text(row["answer"], path, f"{place}: answer"),) * PEOPLE if "answer" in row else ()
        image, text = (as_text(row.get(key), path, f"{place}: {key}") for key in ("image", "question"))
        own = row.get("id", number)
        if not isinstance(own, (int, str)):
            raise ClipkitError(f"{path}: {place}: its id is neither a number nor a text")
        found.append(Asked(own, image, text, answers, str(row.get("type", ""))))
    if not found:
        raise ClipkitError(f"{path}: asks nothing")
    return found


def read_questions(
    questions: str | Path, annotations: str | Path | None = None, image_name: str = "{}.jpg"
) -> list[Asked]:
    """`read_own` of a `.jsonl`, `read_vqa` of anything else."""
    own = Path(questions).suffix == ".jsonl"
    return read_own(questions) if own else read_vqa(questions, annotations, image_name)


def frequent_answers(asked: Iterable[Asked], at_least: int = 9) -> list[str]:
    """Normalised answers that most people gave to at least so many questions, the most frequent first (VQAv2's
    training and validation questions: 3,129)."""
    counts = Counter(Counter(map(normalise, one.answers)).most_common(1)[0][0] for one in asked if one.answers)
    return [answer for answer, count in counts.most_common() if count >= at_least and answer]


class Vocabulary(NamedTuple):
    """What a model can answer, and which words it reads; others are all the same to it."""

    answers: tuple[str, ...]
    words: tuple[str, ...]


def learn_vocabulary(
    file: str | Path, questions: str | Path, annotations: str | Path | None = None, at_least: int = 9, seen: int = 2
) -> Vocabulary:
    """What `file` holds; where it is not there, it is made of training questions and kept.

    Args:
        questions, annotations: VQAv2's, or `.jsonl` of one's own.
        at_least: questions that must have an answer, see `frequent_answers`.
        seen: questions that must have a word.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: as for reading them; or no answer is as frequent.
    """
    if is_file(Path(file)):
        return read_vocabulary(file)
    asked = read_questions(questions, annotations)
    answers = frequent_answers(asked, at_least)
    if not answers:
        raise ClipkitError(f"{questions}: no answer is that of {at_least} questions: set at_least to fewer")
    counts = Counter(word for one in asked for word in {word for word, _, _ in words(one.text)})
    common = sorted(word for word, count in counts.items() if count >= seen)
    vocabulary = Vocabulary(tuple(answers), tuple(common))
    save_vocabulary(file, vocabulary)
    return vocabulary


def save_vocabulary(path: str | Path, vocabulary: Vocabulary) -> None:
    """Writes a vocabulary's file, whole or not at all."""
    content = {"answers": list(vocabulary.answers), "words": list(vocabulary.words)}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, ensure_ascii=False, indent=0) + "\n")


def read_vocabulary(path: str | Path) -> Vocabulary:
    """What `save_vocabulary` wrote.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: a file of another form, or an answer or word that comes twice.
    """
    content = as_object(read_json(path), path, "the file")
    parts = []
    for key in Vocabulary._fields:
        rows = [as_text(one, path, key) for one in as_list(content.get(key), path, key)]
        if len(set(rows)) != len(rows) or (key == "answers" and not rows):
            raise ClipkitError(f"{path}: its {key} are none, or one comes twice; make the file again")
        parts.append(tuple(rows))
    return Vocabulary(*parts)


def write_answers(path: str | Path, answers: Mapping[int | str, str]) -> None:
    """The file that VQA's server takes: `[{"question_id": 1, "answer": "yes"}, …]`."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    rows = [{"question_id": key, "answer": answer} for key, answer in answers.items()]
    write_text(path, json.dumps(rows, ensure_ascii=False) + "\n")


def image_paths(folder: str | Path, names: Sequence[str], where: str | Path) -> list[Path]:
    """The files of images, all of them there.

    Raises:
        ClipkitError: images are missing, or lie outside the folder; one line that counts them.
    """
    paths = [below(folder, name, where, "images=") for name in names]
    missing = [name for name, path in zip(names, paths) if not is_file(path)]
    if missing:
        raise ClipkitError(
            f"{folder}: lacks {len(missing)} of {len(names)} images that {where} asks about: {some(missing)}"
        )
    return paths


def _rows(path: str | Path, key: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    content = as_object(read_json(path), path, "the file")
    for number, row in enumerate(as_list(content.get(key), path, key)):
        place = f"{key}[{number}]"
        yield place, as_object(row, path, place)


def _number(row: Mapping[str, Any], key: str, path: str | Path, place: str) -> int:
    value = row.get(key)
    if type(value) is not int or value < 0:
        raise ClipkitError(f"{path}: {place}: {key} is {str(value)[:40]!r}, and a number is needed")
    return value
