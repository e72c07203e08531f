"""Rows: captions whose phrases have boxes, questions about pictures, shards of captioned pictures."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from clipkit_plugins.groupvit import CaptionShards
from PIL import Image

from clipkit.data.grounded import read_grounded
from clipkit.data.questions import Vocabulary, read_questions, read_vocabulary, save_vocabulary
from fuzz.read_media import picture
from fuzz.table import Reader

HEIGHT, WIDTH = 24, 40
CAPTION = "a man left of the red car"


def _pictures(folder: Path) -> None:
    for number in range(2):
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(HEIGHT, WIDTH, number)).save(folder / f"{number}.png")


def _grounded(root: Path) -> None:
    phrases = [{"spans": [[0, 5]], "boxes": [[3, 4, 20, 19]]}, {"spans": [[14, 25]], "boxes": [[1, 2, 9, 9]]}]
    lines = [json.dumps({"image": f"{n}.png", "caption": CAPTION, "phrases": phrases}) for n in range(2)]
    images = [
        {"id": n, "file_name": f"{n}.png", "caption": CAPTION, "width": WIDTH, "height": HEIGHT} for n in range(2)
    ]
    rows = [
        {"id": n, "image_id": n % 2, "bbox": [3, 4, 17, 15], "tokens_positive": [[0, 5]], "category_id": 1}
        for n in range(3)
    ]
    for name, text in (("own.jsonl", "\n".join(lines) + "\n"),
                       ("mdetr.json", json.dumps({"images": images, "annotations": rows}))):  # fmt: skip
        _pictures(root / name / "photos")
        (root / name / name).write_text(text, encoding="utf-8")
    box = "<bndbox><xmin>4</xmin><ymin>5</ymin><xmax>20</xmax><ymax>19</ymax></bndbox>"
    rows = f"<object><name>1</name><name>2</name>{box}</object><object><name>3</name><scene>1</scene></object>"
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    for n in range(2):
        Image.fromarray(picture(HEIGHT, WIDTH, n)).save(_below(root / "entities/photos", f"{n}.jpg"))
        _below(root / "entities/Annotations", f"{n}.xml").write_text(f"<annotation>{size}{rows}</annotation>")
        told = "[/EN#1/people A man] left of [/EN#2/vehicles/other the red car] .\n[/EN#3/scene A street] .\n"
        _below(root / "entities/Sentences", f"{n}.txt").write_text(told)
    (root / "entities/test.txt").write_text("0\n1\n")


def _below(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _read_grounded(folder: Path) -> Any:
    file = next((path for path in sorted(folder.iterdir()) if path.is_file()), folder / "own.jsonl")
    return read_grounded(file, folder / "photos")


def _questions(root: Path) -> None:
    own = [{"image": f"{n}.png", "question": "what is it?", "answer": "a cat", "type": "what"} for n in range(3)]
    own[2] = {"image": "2.png", "question": "is it red?", "answers": ["yes"] * 7 + ["no"] * 3, "id": "q2"}
    asked = [{"question_id": n, "image_id": n // 2, "question": f"what is {n}?"} for n in range(4)]
    told = [
        {"question_id": n, "image_id": n // 2, "question_type": "what is", "answer_type": "other",
         "answers": [{"answer": "cat", "answer_id": i} for i in range(10)]}
        for n in range(4)
    ]  # fmt: skip
    seeds = {
        "own": {"questions.jsonl": "".join(json.dumps(row) + "\n" for row in own)},
        "vqa": {
            "questions.json": json.dumps({"questions": asked}),
            "annotations.json": json.dumps({"annotations": told}),
        },
        "vocabulary": {},
    }
    for name, files in seeds.items():
        (root / name).mkdir(parents=True)
        for file, text in files.items():
            (root / name / file).write_text(text, encoding="utf-8")
    save_vocabulary(root / "vocabulary/vocabulary.json", Vocabulary(("yes", "no", "zwölf"), ("is", "it", "what")))


def _read_questions(folder: Path) -> Any:
    if (folder / "vocabulary.json").is_file():
        return read_vocabulary(folder / "vocabulary.json")
    if (folder / "questions.jsonl").is_file():
        return read_questions(folder / "questions.jsonl")
    return read_questions(folder / "questions.json", folder / "annotations.json")


def _shards(root: Path) -> None:
    folder = root / "shards"
    folder.mkdir(parents=True)
    for number in range(2):
        out = io.BytesIO()
        Image.fromarray(picture(HEIGHT, WIDTH, number)).save(out, ("PNG", "JPEG")[number])
        members = {
            f"000.{('png', 'jpg')[number]}": out.getvalue(),
            "000.txt": b"a man and a red car\n",
            "000.json": json.dumps({"nouns": ["man", "red car"]}).encode(),
        }
        with tarfile.open(folder / f"{number}.tar", "w") as tar:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    _read_shards(folder)  # leaves the index of places


def _read_shards(folder: Path) -> Any:
    shards = CaptionShards(str(folder / "*.tar"), index=str(folder / "places.npz"))
    return [shards.read(index) for index in range(len(shards))]


READERS = [
    Reader("captions with boxes", _grounded, _read_grounded),
    Reader("questions", _questions, _read_questions),
    Reader("shards of captions", _shards, _read_shards),
]
