"""Tables, captions, class names and results that do not fit: each ends in one line that names the file."""

import json
import sys
import tempfile
from pathlib import Path

from clipkit.claims.results import read_results
from clipkit.cli import _USER_ERRORS
from clipkit.data.image_folder import class_words
from clipkit.data.proposals import read_proposals
from clipkit.data.video_sets import read_video_set
from clipkit.engine.class_names import read_classes
from clipkit.text import Vocabulary

FOLDER = Path(tempfile.mkdtemp())
DEEP = "[" * 100_000 + "]" * 100_000
RESULT = '{"claim":"C3","arm":"a","date":"d","seed":%s,"metric":%s}'
BOX = f'[{{"image_id":1,"score":1,"bbox":[{"1" * 400},1,1,1]}}]'


def written(name, text):
    (FOLDER / name).write_text(text)
    return str(FOLDER / name)


def msrvtt(caption):
    written("MSRVTT_train.9k.csv", "video_id\nvideo0\n")
    written("MSRVTT_data.json", json.dumps({"sentences": [{"video_id": "video0", "caption": caption}]}))
    read_video_set("msrvtt", FOLDER, "train9k")


def didemo(description):
    written("train_list.txt", "video0\n")
    written("train_data.json", json.dumps([{"video": "video0", "description": description}]))
    read_video_set("didemo", FOLDER, "train")


def frequent(categories):
    read_classes(written("x.json", json.dumps({"categories": categories})) + ":f")


def results(text):
    read_results([Path(written("r.jsonl", text))])


CASES = {
    "class names: category is text": lambda: frequent(["a"]),
    "class names: frequency is a list": lambda: frequent([{"name": "a", "frequency": ["f"]}]),
    "class names: nested deep": lambda: read_classes(written("x.json", DEEP)),
    "names of an image folder: nested deep": lambda: class_words(written("x.json", DEEP), ["a"], "x"),
    "MSR-VTT: caption is a list": lambda: msrvtt(["a"]),
    "DiDeMo: description is a number": lambda: didemo(5),
    "table: a video that is not there": lambda: read_video_set("csv", written("t.csv", "video,sentence\nv_,x\n")),
    "proposals: a number of 400 digits": lambda: read_proposals(written("x.json", BOX)),
    "results: nested deep": lambda: results(DEEP),
    "results: seed is infinite": lambda: results(RESULT % ("Infinity", "1")),
    "results: metric of 400 digits": lambda: results(RESULT % ("1", "1" * 400)),
    "label file: a class twice": lambda: Vocabulary.from_file(written("l.txt", "cat\ncat\n")),
}

(FOLDER / "videos").mkdir()
(FOLDER / "videos/video0.mp4").write_bytes(b"x")
bad = 0
for kind, read in CASES.items():
    try:
        read()
        print("accepted", kind)
    except _USER_ERRORS as error:  # noqa: PERF203
        named = str(FOLDER) in str(error)
        bad += not named
        print("one line" if named else "FILE NOT NAMED", kind, "|", str(error)[:110])
    except Exception as error:
        bad += 1
        print("TRACEBACK", kind, "|", type(error).__name__, str(error)[:110])
sys.exit(bad > 0)
