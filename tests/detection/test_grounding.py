"""Prompts, the data sets that bring them, and the recall of phrases."""

import json

import numpy as np
import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmdet)

pytest.importorskip("mmdet")

from PIL import Image

from clipkit.detection.grounding import GroundingPrompt
from clipkit.detection.grounding_datasets import GroundedCaptions
from clipkit.detection.grounding_metric import PhraseRecall
from clipkit.detection.prompts import Prompt, list_prompt, read_sentence
from clipkit.detection.shapes_grounding import ShapesGroundingDataset
from clipkit.engine.class_names import read_classes
from clipkit.errors import ClipkitError

NAMES = read_classes("shapes:objects")


def test_a_list_says_where_its_names_are():
    prompt = list_prompt(["red star", "ring"])
    assert prompt.text == "red star. ring" and prompt.listed and prompt.phrases == ("red star", "ring")
    assert prompt.pieces() == [("red star", (0,)), (". ", ()), ("ring", (1,))]


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("[a man] left of [the red car]", ("a man", "the red car")),
        ("a man left of the red car", ("a man", "the red car")),
        ("a man to the left of the red car.", ("a man", "the red car")),
        ("a man riding a bike on the street", ("a man", "a bike", "the street")),
        ("a running dog and two cats", ("a running dog", "two cats")),
        ("there is a small striped star with a red ring", ("a small striped star", "a red ring")),
        ("the left hand", ("the left hand",)),
    ],
)
def test_phrases_of_a_sentence(text, phrases):
    prompt = read_sentence(text)
    assert prompt.phrases == phrases and not prompt.listed
    assert "".join(piece for piece, _ in prompt.pieces()) == prompt.text == text.replace("[", "").replace("]", "")


@pytest.mark.parametrize("text", ["[a man", "a] man", "[] left", "[[a]]", "[ ]", "of", ""])
def test_bad_sentences_are_one_line(text):
    with pytest.raises(ClipkitError, match="bracket"):
        read_sentence(text)


def results(*labels, **more):
    return {
        "gt_bboxes_labels": np.array(labels, dtype=np.int64),
        "gt_bboxes": torch.arange(4.0 * len(labels)).view(-1, 4),
        "gt_ignore_flags": np.zeros(len(labels), dtype=bool),
        **more,
    }


def test_lists_hold_the_pictures_names_and_hard_and_easy_others():
    np.random.seed(0)
    step = GroundingPrompt(classes="shapes:objects", names=(6, 12), hard=0.5, empty=0.25)
    mine = NAMES.index("red star"), NAMES.index("blue ring")
    empty, near, lengths = 0, [], []
    for _ in range(400):
        out = step(results(mine[0], mine[1], mine[0]))
        names, owned = out["prompt"].phrases, out["object_phrases"]
        assert len(set(names)) == len(names) and out["prompt"].listed
        others = [name for name in names if name not in ("red star", "blue ring")]
        near.append(sum(bool(set(name.split()) & {"red", "star", "blue", "ring"}) for name in others) / len(others))
        lengths.append(len(names))
        if not owned:
            empty += 1
            assert len(others) == len(names) and len(out["gt_bboxes"]) == 0 == len(out["gt_bboxes_labels"])
        else:
            assert [names[phrase] for (phrase,) in owned] == ["red star", "blue ring", "red star"]
            assert len(out["gt_bboxes"]) == 3
    assert 0.19 < empty / 400 < 0.31 and (min(lengths), max(lengths)) == (6, 12)
    assert 0.6 < np.mean(near) < 0.85  # half are drawn near, and of the rest some are


def test_captions_name_their_objects_and_the_others_are_left_out():
    caption = Prompt("a star left of a ring", (((2, 6),), ((17, 21),)))
    sample = {"caption": caption, "caption_objects": [(0,), (), (0, 1)], "object_names": ["a", "b", "c"]}
    out = GroundingPrompt()(results(2, 1, 0, **sample))
    assert out["prompt"] is caption and out["object_phrases"] == [(0, 1), (0,)]
    assert out["gt_bboxes_labels"].tolist() == [2, 0] and out["gt_bboxes"][1].tolist() == [8, 9, 10, 11]
    with pytest.raises(ClipkitError, match="has no caption"):
        GroundingPrompt()(results(0, img_path="a.jpg"))


def test_scenes_bring_boxes_captions_and_phrases():
    data = ShapesGroundingDataset(12, seed=3, subset="seen")
    for item in (data[i] for i in range(12)):
        boxes, caption = item["gt_bboxes"].tensor, item["caption"]
        assert len(boxes) == len(item["gt_bboxes_labels"]) and set(data.metainfo["base_classes"]) >= {
            item["object_names"][label] for label in item["gt_bboxes_labels"]
        }
        for label in item["gt_bboxes_labels"]:
            for phrase in item["caption_objects"][label]:
                assert caption.phrases[phrase].split()  # words of the caption
    test = ShapesGroundingDataset(12, seed=3, test_mode=True)
    for item in (test[i] for i in range(12)):
        asked = [prompt.phrases[0] for prompt in item["prompts"]]
        assert sorted(set(asked)) == sorted({NAMES[one["bbox_label"]] for one in item["instances"]})
        assert sum(len(truth[0]) for truth in item["phrase_truth"]) == len(item["instances"])


def test_a_caption_of_a_scene_names_the_object_that_is_there():
    """The colour that a phrase says is the colour of its object."""
    data = ShapesGroundingDataset(40, seed=5)
    told = 0
    for i in range(40):
        item = data[i]
        for place, phrases in enumerate(item["caption_objects"]):
            for phrase in phrases:
                colour = item["object_names"][place].split()[0]
                words = item["caption"].phrases[phrase].split()
                other = {name.split()[0] for name in NAMES} - {colour}
                assert not other & set(words)
                told += colour in words
    assert told > 20


def test_relations_are_true_of_one_twin_alone():
    train, test = (ShapesGroundingDataset(60, seed=4, ask="relations", test_mode=mode) for mode in (False, True))
    assert 20 < len(train) == len(test) < 60  # scenes that no relation decides are out
    holds = {
        "left of": lambda a, b: a[0] + a[2] < b[0] + b[2],
        "right of": lambda a, b: a[0] + a[2] > b[0] + b[2],
        "above": lambda a, b: a[1] + a[3] < b[1] + b[3],
        "below": lambda a, b: a[1] + a[3] > b[1] + b[3],
    }

    def parts(phrase):
        between = next(way for way in holds if f" {way} " in phrase)
        first, last = (words.split()[1] for words in phrase.split(between))
        return first, between, last

    taken, lengths = [], set()
    for i in range(len(test)):
        item, own = test[i], train[i]
        ((phrase,),) = (prompt.phrases for prompt in item["prompts"])
        (((right,),),), (((twin,),),) = item["phrase_truth"], item["phrase_twins"]
        boxes = [one["bbox"] for one in item["instances"]]
        shapes = [NAMES[one["bbox_label"]].split()[1] for one in item["instances"]]
        first, between, last = parts(phrase)
        assert shapes == [first, first, last] and last != first
        assert holds[between](right, boxes[2]) and sorted([right, twin]) == sorted(boxes[:2])
        taken.append(boxes.index(right))
        asked = own["caption"].phrases
        lengths.add(len(asked))
        assert own["caption"].listed and len({parts(one)[1] for one in asked}) == len(asked)
        assert {(parts(one)[0], parts(one)[2]) for one in asked} == {(first, last)}
        assert own["caption_objects"][2] == () and own["object_names"][2].split()[1] == last
        for place, owned in enumerate(own["caption_objects"][:2]):
            assert boxes[place] == right or phrase not in [asked[k] for k in owned]
            assert all(holds[parts(asked[k])[1]](boxes[place], boxes[2]) for k in owned)
        if phrase in asked:
            assert own["caption_objects"][taken[-1]] == (asked.index(phrase),)
    assert 0.2 < np.mean(taken) < 0.8 and lengths == {1, 2, 3, 4}
    with pytest.raises(ClipkitError, match="ask='x' is unknown"):
        ShapesGroundingDataset(4, ask="x")


def test_the_twin_is_counted():
    here, there = [0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]
    metric = PhraseRecall()
    metric.dataset_meta = {}
    for first in (here, there, there, [80.0, 80.0, 90.0, 90.0]):
        one = {"prompts": [list_prompt(["a", "b"])], "phrase_truth": [[[here], [here]]]}
        boxes = [[torch.tensor([first]), torch.tensor([here])]]
        metric.process({}, [{**one, "phrase_boxes": boxes, "phrase_twins": [[[there], []]]}])
    found = metric.compute_metrics(metric.results)
    assert (found["relation_R@1"], found["twin"], found["R@1"]) == (25, 50, 62.5)


def recall(prompts, truth, boxes, **meta):
    metric = PhraseRecall()
    metric.dataset_meta = meta
    metric.process({}, [{"prompts": prompts, "phrase_truth": truth, "phrase_boxes": boxes}])
    return metric.compute_metrics(metric.results)


def test_recall_counts_the_first_right_box():
    here, there = [0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]
    prompts = [list_prompt(["red star", "blue ring"]), list_prompt(["dot"])]
    truth = [[[here], [there, here]], [[here]]]
    boxes = [[torch.tensor([there, here]), torch.tensor([[0.0, 0.0, 10.0, 9.0]])], [torch.zeros(0, 4)]]
    found = recall(prompts, truth, boxes, base_classes=("red star",), novel_classes=("blue ring", "dot"))
    assert found["R@1"] == 33.33 and found["R@5"] == 66.67 == found["R@10"]
    assert (found["base_R@1"], found["base_R@5"], found["novel_R@1"]) == (0, 100, 50)
    with pytest.raises(ClipkitError, match="phrase_truth"):
        PhraseRecall().process({}, [{"prompts": []}])


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (100, 80)).save(tmp_path / "a.jpg")
    return tmp_path


LINE = {
    "image": "a.jpg",
    "caption": "a man left of the red car",
    "phrases": [{"spans": [[0, 5]], "boxes": [[8, 9, 60, 70]]}, {"spans": [[14, 25]], "boxes": [[50, 9, 90, 70]]}],
}


def lines(folder, *rows):
    (folder / "mine.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return {"ann_file": "mine.jsonl", "images": ".", "data_root": str(folder)}


def test_own_captions_and_boxes(folder):
    data = GroundedCaptions(**lines(folder, LINE), test_mode=True)
    item = data.get_data_info(0)
    assert item["caption"].phrases == ("a man", "the red car") and item["caption_objects"] == [(0,), (1,)]
    assert item["phrase_truth"] == [[[[8, 9, 60, 70]], [[50, 9, 90, 70]]]]


def test_mdetrs_json(folder):
    content = {
        "images": [{"id": 3, "file_name": "a.jpg", "caption": LINE["caption"]}],
        "annotations": [
            {"image_id": 3, "bbox": [8, 9, 52, 61], "tokens_positive": [[0, 5]]},
            {"image_id": 3, "bbox": [8, 9, 52, 61], "tokens_positive": [[14, 17], [18, 25]]},
        ],
    }
    (folder / "goldg.json").write_text(json.dumps(content))
    item = GroundedCaptions("goldg.json", ".", str(folder)).get_data_info(0)
    assert item["caption"].phrases == ("a man", "the red car") and item["caption_objects"] == [(0, 1)]


SENTENCES = (
    "[/EN#1/people Two young guys] with [/EN#2/bodyparts shaggy hair] look at [/EN#0/notvisual it] .",
    "[/EN#1/people Both] (one in [/EN#3/clothing/other a red hat]) are outside [/EN#4/scene the house] .",
)
OBJECTS = (
    (("1",), (4, 5, 24, 35)),
    (("1", "2"), (31, 11, 56, 31)),
    (("3",), (90, 70, 100, 80)),
    (("4",), None),
)  # fmt: skip


def entities(folder, sentences=SENTENCES, objects=OBJECTS, size=(100, 80), names="a\n"):
    """Flickr30k Entities' files of one picture."""
    sides = ("xmin", "ymin", "xmax", "ymax")
    rows = [
        "".join(f"<name>{name}</name>" for name in owners)
        + (
            "<scene>1</scene><nobndbox>1</nobndbox>"
            if box is None
            else "<bndbox>" + "".join(f"<{side}>{value}</{side}>" for side, value in zip(sides, box)) + "</bndbox>"
        )
        for owners, box in objects
    ]
    body = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    xml = f"<annotation><filename>a.jpg</filename>{body}{''.join(f'<object>{row}</object>' for row in rows)}"
    for name, text in (("Annotations/a.xml", f"{xml}</annotation>"), ("Sentences/a.txt", "\n".join(sentences))):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "test.txt").write_text(names)
    return GroundedCaptions("test.txt", ".", str(folder), test_mode=True)


def test_flickr30k_entities_own_files(folder):
    data = entities(folder)
    first, second = (data.get_data_info(i) for i in range(2))
    assert first["caption"].text == "Two young guys with shaggy hair look at it ."
    assert first["caption"].phrases == ("Two young guys", "shaggy hair")  # what has no box is no phrase
    two = [[3, 4, 23, 34], [30, 10, 55, 30]]  # counted from 1
    assert first["phrase_truth"] == [[two, [two[1]]]] and first["caption_objects"] == [(0,), (0, 1)]
    assert second["caption"].text == "Both (one in a red hat) are outside the house ."
    assert second["caption"].phrases == ("Both", "a red hat")
    assert second["phrase_truth"] == [[two, [[89, 69, 99, 79]]]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (99, 80)}, r"images of another size than the annotations state: a\.jpg"),
        (
            {"sentences": ("[/EN#1/people a man",)},
            r"a phrase that is not written \[/EN#1/people a man\]: a\.txt line 1",
        ),
        ({"objects": ((("1",), (4, 5, "x", 35)),)}, "boxes that are no four numbers"),
        ({"objects": ((("1",), (400, 5, 500, 35)),)}, "outside their image"),
        ({"names": "../a\n"}, "lies outside"),
        ({"names": "b\n"}, r"images without an annotation file: b\.xml"),
        ({"sentences": ("a man",)}, "no picture with a phrase and a box"),
    ],
)
def test_bad_files_of_entities_are_named(folder, change, message):
    with pytest.raises(ClipkitError, match=message):
        entities(folder, **change)


def test_a_picture_without_its_files_is_named(folder):
    entities(folder)
    (folder / "Sentences/a.txt").unlink()
    with pytest.raises(ClipkitError, match=r"images without a file of sentences: a\.txt"):
        GroundedCaptions("test.txt", ".", str(folder))
    (folder / "a.jpg").unlink()
    (folder / "Sentences/a.txt").write_text("\n".join(SENTENCES))
    with pytest.raises(ClipkitError, match=r"missing images"):
        GroundedCaptions("test.txt", ".", str(folder))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**LINE, "image": "b.jpg"}, "missing images: b.jpg"),
        ({**LINE, "image": "../a.jpg"}, "lies outside"),
        ({**LINE, "caption": 3}, "line 1: caption is a number, and text is needed"),
        ({"image": "a.jpg"}, "line 1"),
        ({**LINE, "phrases": [{"spans": [[0, 99]], "boxes": []}]}, r"phrases whose spans are no \[start, end\]"),
        ({**LINE, "phrases": [{"spans": [[0, 5]], "boxes": [[1, 2, "x", 4]]}]}, "boxes that are no four numbers"),
        ({**LINE, "phrases": [{"spans": [[0, 5]], "boxes": [[200, 2, 300, 4]]}]}, "outside their image"),
        ({**LINE, "phrases": []}, "no picture with a phrase and a box"),
        ([1], "line 1"),
    ],
)
def test_bad_lines_are_named(folder, row, message):
    with pytest.raises(ClipkitError, match=message):
        GroundedCaptions(**lines(folder, row))


def test_a_line_that_is_no_json_and_what_is_skipped(folder):
    (folder / "mine.jsonl").write_text("{\n")
    with pytest.raises(ClipkitError, match=r"mine\.jsonl: line 1"):
        GroundedCaptions("mine.jsonl", ".", str(folder))
    data = GroundedCaptions(**lines(folder, LINE, {**LINE, "image": "b.jpg"}), on_bad="skip")
    assert len(data) == 1
    with pytest.raises(ClipkitError, match="on_bad='x' is unknown"):
        GroundedCaptions(**lines(folder, LINE), on_bad="x")
