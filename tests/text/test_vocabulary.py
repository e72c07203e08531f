import pytest
import torch

from clipkit.text import Background, LearnedBackground, TextEmbeddings, Vocabulary


def test_order_is_the_callers():
    names = ["zebra", "ant", "Cat", "bee"]
    assert Vocabulary(names).names == tuple(names)
    assert Vocabulary.parse("zebra, ant; emmet, Cat,bee").words == [("zebra",), ("ant", "emmet"), ("Cat",), ("bee",)]


def test_synonyms_by_name_or_in_order():
    by_name = Vocabulary(["car", "cat"], {"car": ["auto", "Car", "auto "]})
    assert by_name.words == [("car", "auto"), ("cat",)] == Vocabulary(["car", "cat"], [["auto"], []]).words
    with pytest.raises(ValueError, match="'dog', which is not among the names"):
        Vocabulary(["car"], {"dog": ["puppy"]})
    with pytest.raises(ValueError, match="1 lists for 2 names"):
        Vocabulary(["car", "cat"], [["auto"]])
    with pytest.raises(ValueError, match="must be a list of words"):
        Vocabulary(["car"], {"car": "auto"})


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ([], "no label is given"),
        (["a", " "], "empty name"),
        (["traffic light", "Traffic_Light"], "'Traffic_Light' is given twice"),
        ("a, b", "use Vocabulary.parse"),
    ],
)
def test_bad_names(names, line):
    with pytest.raises(ValueError, match=line):
        Vocabulary(names)
    with pytest.raises(ValueError, match="known: mean, max"):
        Vocabulary(["a"], reduce="median")


def test_a_label_file_with_bom_crlf_and_comments(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeff# my labels\r\nC#\r\n\r\n  car ; auto;;\t# wheels\r\nПёс; собака\r\n".encode())
    assert Vocabulary.from_file(path, reduce="max").words == [("C#",), ("car", "auto"), ("Пёс", "собака")]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", ":1: holds no class"),
        (b"# nothing\r\n\r\n", ":1: holds no class"),
        (b"car\n\ncat\nCar\n", ":4: class 'Car' is already in line 1"),
        (b"car\r\n; auto\r\n", ":2: has synonyms but no name"),
        (b"car; auto; AUTO\n", ":1: 'auto' stands twice in the line"),
        (b"car\ncaf\xe9\n", ":2: is not UTF-8 text"),
        ("car\n".encode("utf-16")[:-1], ":1: is not UTF-8 text"),
        (b"car\n\x00\x01\n", ":2: holds the control character 0x00"),
    ],
)
def test_bad_label_files_are_named_with_their_line(tmp_path, data, line):
    path = tmp_path / "labels.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError) as caught:
        Vocabulary.from_file(path)
    assert str(caught.value).startswith(f"{path}{line}") and "\n" not in str(caught.value)


def test_label_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.txt: no such label file"):
        Vocabulary.from_file(tmp_path / "absent.txt")
    with pytest.raises(ValueError, match="is a folder"):
        Vocabulary.from_file(tmp_path)


def test_match_by_name_or_synonym_lists_what_is_left_over():
    labels = Vocabulary.parse("unicorn, automobile, Traffic_Light, auto; car, sofa; couch")
    match = labels.match(["tree", "car", "traffic  light", "couch"])
    assert match.label_to_class == (-1, -1, 2, 1, 3)
    assert match.distractors == ("unicorn", "automobile")
    assert match.ignored == ("tree",) and match.ignored_indices == (0,)
    assert match.class_to_labels == ((), (3,), (2,), (4,))
    assert "distractors: unicorn, automobile" in match.summary() and "left out of the score: tree" in match.summary()


def test_match_uses_the_data_sets_synonyms_and_prefers_names():
    classes = Vocabulary.parse("rodent; mouse, mouse; computer mouse, car; automobile")
    assert Vocabulary.parse("mouse, automobile, auto; car").match(classes).label_to_class == (1, 2, 2)
    with pytest.raises(ValueError, match="label 'vehicle' could stand for the classes 'car', 'truck'"):
        Vocabulary.parse("vehicle; car; truck").match(["car", "truck", "bus"])
    # One's own name decides, whatever its synonyms say.
    assert Vocabulary.parse("car; truck").match(["truck", "car"]).label_to_class == (1,)


def test_background_values():
    def kind(value):
        return Background.of(value).kind

    assert [kind(v) for v in (None, "none", 0.4, ["sky"], "learned", "others")] == [
        "none", "none", "threshold", "words", "learned", "others",
    ]  # fmt: skip
    assert Vocabulary(["a"], background="others").background.words == ("others",)
    for bad, line in ((1.5, "between 0 and 1"), ("bg", "known: none"), ([], "needs a list of words")):
        with pytest.raises(ValueError, match=line):
            Vocabulary(["a"], background=bad)
    with pytest.raises(ValueError, match="takes no threshold"):
        Background("none", threshold=0.5)


def embeddings(rows, owner, background=None, dim=5):
    matrix = torch.nn.functional.normalize(torch.randn(rows, dim, generator=torch.Generator().manual_seed(0)), dim=1)
    names = [f"c{i}" for i in range(3)]
    return TextEmbeddings(names, matrix, torch.tensor(owner), Background.of(background))


def test_row_scores_reduce_by_max_in_any_dim_with_right_gradients():
    text = embeddings(6, [0, 0, 0, 1, 2, 2])
    scores = torch.randn(2, 6, 4, 3, dtype=torch.float64, requires_grad=True)
    found = text.class_scores(scores, dim=1)
    expected = torch.stack([scores[:, :3].amax(1), scores[:, 3], scores[:, 4:].amax(1)], dim=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    weight = torch.randn_like(found)
    ours = torch.autograd.grad((found * weight).sum(), scores)[0]
    torch.testing.assert_close(ours, torch.autograd.grad((expected * weight).sum(), scores)[0])
    torch.testing.assert_close(text.class_scores(scores.movedim(1, -1)), expected.movedim(1, -1))
    with pytest.raises(ValueError, match="4 entries in dim 2, the vocabulary 6 rows"):
        text.class_scores(scores, dim=2)


def test_one_row_a_class_is_passed_through():
    text, scores = embeddings(3, [0, 1, 2]), torch.randn(7, 3)
    assert text.class_scores(scores) is scores and text.background_index is None
    torch.testing.assert_close(text.labels(scores), scores.argmax(-1))


def test_threshold_background_looks_at_the_probability():
    text = embeddings(3, [0, 1, 2], background=0.6)
    logits = torch.tensor([[5.0, 0, 0], [0.1, 0, 0], [0, 0, 9]])
    assert text.labels(logits).tolist() == [0, 3, 2]
    assert text.class_names == ("c0", "c1", "c2", "background") and text.background_index == 3


def test_word_background_competes_with_its_best_word():
    text = embeddings(5, [0, 1, 2, 3, 3], background=["sky", "wall"])
    assert text.labels(torch.tensor([[1.0, 2, 3, 0, 4], [1, 2, 3, 2, 1]])).tolist() == [3, 2]


def test_word_background_with_a_threshold_takes_both_ways():
    text = embeddings(4, [0, 1, 2, 3], background=Background("words", ("sky",), threshold=0.6))
    logits = torch.tensor([[5.0, 0, 0, 0], [0, 0, 0, 5], [0.1, 0, 0, 0]])
    assert text.labels(logits).tolist() == [0, 3, 3]
    for bad in (0.0, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            Background("words", ("sky",), threshold=bad)
    with pytest.raises(ValueError, match="between 0 and 1, got None"):
        Background("threshold")


def test_learned_background_is_a_row_of_length_one_that_trains():
    text, module = embeddings(4, [0, 0, 1, 2], background="learned"), LearnedBackground(5)
    rows = module(text.matrix)
    assert rows.shape == (5, 5)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(5))
    image = torch.nn.functional.normalize(module.vector.detach()[None], dim=1)
    assert text.labels(image @ rows.T).tolist() == [3]
    text.class_scores(image @ rows.T).sum().backward()
    assert module.vector.grad.norm() >= 0 and text.class_scores(image @ text.matrix.T).shape == (1, 3)


def test_a_background_says_the_words_that_it_competes_with():
    assert Background("others") == Background.of("others")  # without its word it could never be predicted
    for kind in ("none", "learned", "others"):
        with pytest.raises(ValueError, match="takes no words"):
            Background(kind, words=("sky",))
    with pytest.raises(ValueError, match="takes no words"):
        Background("threshold", words=("sky",), threshold=0.5)
