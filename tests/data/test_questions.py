"""Readers of questions: VQAv2's layout, one's own lines, the answer list, and what each refuses in one line."""

import json

import pytest

from clipkit.data.questions import (
    Vocabulary,
    frequent_answers,
    image_paths,
    learn_vocabulary,
    read_own,
    read_vocabulary,
    read_vqa,
    words,
    write_answers,
)
from clipkit.errors import ClipkitError

NAME = "COCO_val2014_{:012d}.jpg"


def vqa_files(folder, count=2):
    questions = [
        {"image_id": 40 + i, "question": f"What colour is it {i}?", "question_id": 400 + i} for i in range(count)
    ]
    annotations = [
        {
            "question_id": 400 + i,
            "image_id": 40 + i,
            "question_type": "what color is",
            "answer_type": "other",
            "multiple_choice_answer": "red",
            "answers": [
                {"answer": "red" if n < 6 else "blue", "answer_confidence": "yes", "answer_id": n + 1}
                for n in range(10)
            ],
        }
        for i in reversed(range(count))
    ]
    paths = folder / "questions.json", folder / "annotations.json"
    paths[0].write_text(json.dumps({"info": {}, "questions": questions}))
    paths[1].write_text(json.dumps({"annotations": annotations}))
    return paths


def test_vqa_files_as_they_are(tmp_path):
    questions, annotations = vqa_files(tmp_path)
    first, second = read_vqa(questions, annotations, NAME)
    assert (first.id, first.image, first.text) == (400, "COCO_val2014_000000000040.jpg", "What colour is it 0?")
    assert first.answers == ("red",) * 6 + ("blue",) * 4 and first.kind == "what color is"
    assert second.id == 401 and second.answer_type == "other"
    assert [one.answers for one in read_vqa(questions, None, NAME)] == [(), ()]


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda q, a: q.pop(), "lacks 1 questions"),
        (lambda q, a: a.pop(), "has no question 400"),
        (lambda q, a: q[0].update(question_id="x"), "question_id is 'x'"),
        (lambda q, a: q[0].update(question=3), "questions[0]: question is a number, and text is needed"),
        (lambda q, a: a[0].update(answers=None), "annotations[0]: answers is null, and a list is needed"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, said):
    paths = vqa_files(tmp_path)
    contents = [json.loads(path.read_text()) for path in paths]
    change(contents[0]["questions"], contents[1]["annotations"])
    for path, content in zip(paths, contents):
        path.write_text(json.dumps(content))
    with pytest.raises(ClipkitError) as error:
        read_vqa(*paths, NAME)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_an_image_name_that_takes_no_number(tmp_path):
    with pytest.raises(ClipkitError, match="takes no number"):
        read_vqa(*vqa_files(tmp_path), "{name}.jpg")


def test_own_lines(tmp_path):
    path = tmp_path / "own.jsonl"
    rows = [
        {"image": "a.jpg", "question": "what is it?", "answer": "a cat", "type": "what"},
        {"image": "b.jpg", "question": "is it?", "answers": ["yes", "no"], "id": "q7"},
        {"image": "b.jpg", "question": "why?"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    first, second, third = read_own(path)
    assert first.answers == ("a cat",) * 10 and first.id == 1 and first.kind == "what"
    assert second.answers == ("yes", "no") and second.id == "q7" and third.answers == ()
    for line, said in (
        ("{", "line 1: is no JSON object"),
        ("[]", "line 1 is a list, and an object"),
        ('{"image": "a.jpg"}', "line 1: question is null"),
        ("", "asks nothing"),
    ):
        path.write_text(line)
        with pytest.raises(ClipkitError) as error:
            read_own(path)
        assert said in str(error.value)


def test_answers_that_are_learned_and_words(tmp_path):
    path = tmp_path / "own.jsonl"
    rows = [{"image": "a.jpg", "question": f"who is the Cat {i}?", "answer": "The Cat"} for i in range(9)]
    rows += [{"image": "a.jpg", "question": "dogs?", "answers": ["dog"] * 6 + ["cat"] * 4} for _ in range(8)]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert frequent_answers(read_own(path)) == ["cat"]  # 8 questions have most often "dog"
    assert frequent_answers(read_own(path), at_least=8) == ["cat", "dog"]
    file = tmp_path / "made" / "vocabulary.json"
    made = learn_vocabulary(file, path)
    assert made == Vocabulary(("cat",), ("cat", "dogs", "is", "the", "who"))  # numbers come once each
    path.unlink()
    assert learn_vocabulary(file, path) == read_vocabulary(file) == made
    file.write_text('{"answers": ["a", "a"], "words": []}')
    with pytest.raises(ClipkitError, match="comes twice"):
        read_vocabulary(file)


def test_no_answer_is_frequent(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"image": "a.jpg", "question": "what?", "answer": "x"}')
    with pytest.raises(ClipkitError, match="at_least"):
        learn_vocabulary(tmp_path / "v.json", path)


def test_words_and_their_places():
    assert words("What's the T-shirt, 2?") == [
        ("what's", 0, 6),
        ("the", 7, 10),
        ("t", 11, 12),
        ("shirt", 13, 18),
        ("2", 20, 21),
    ]


def test_the_answers_file_is_what_the_server_takes(tmp_path):
    write_answers(tmp_path / "x" / "answers.json", {7: "yes", 9: "größer"})
    found = json.loads((tmp_path / "x" / "answers.json").read_text(encoding="utf-8"))
    assert found == [{"question_id": 7, "answer": "yes"}, {"question_id": 9, "answer": "größer"}]


def test_images_that_are_missing_or_outside(tmp_path):
    (tmp_path / "a.jpg").touch()
    assert image_paths(tmp_path, ["a.jpg"], "q.json") == [tmp_path / "a.jpg"]
    with pytest.raises(ClipkitError, match="lacks 1 of 2 images that"):
        image_paths(tmp_path, ["a.jpg", "b.jpg"], "q.json")
    with pytest.raises(ClipkitError, match="outside"):
        image_paths(tmp_path, ["../a.jpg"], "q.json")
