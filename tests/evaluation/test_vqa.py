"""VQA's accuracy against cases computed by hand, and the script's normalisation against what it is known to do."""

import pytest

from clipkit.evaluation.vqa import APOSTROPHES, accuracy, normalise


@pytest.mark.parametrize(
    "given, same, wanted",
    [
        # n of ten gave the answer: n are left with n - 1 others, 10 - n with n.
        (0, 0, 0.0),
        (1, 1, 9 * (1 / 3) / 10),  # 0.3: the one who said it sees nobody else
        (2, 2, (2 * (1 / 3) + 8 * (2 / 3)) / 10),  # 0.6
        (3, 3, (3 * (2 / 3) + 7 * 1) / 10),  # 0.9
        (4, 4, 1.0),
        (10, 10, 1.0),
    ],
)
def test_leave_one_out_over_ten(given, same, wanted):
    answers = ["red"] * same + [f"other {i}" for i in range(10 - same)]
    assert accuracy("red", answers) == pytest.approx(wanted, abs=1e-12)


def test_what_is_compared_is_normalised_unless_all_gave_the_same():
    mixed = ["Two dogs."] * 4 + ["the 2 dogs"] * 3 + ["cats"] * 3
    assert accuracy("2 dogs", mixed) == 1.0
    assert accuracy("2 dogs", ["two dogs"] * 10) == 0.0  # the script looks at unanimous answers as they stand
    assert accuracy(" two\tdogs\n", ["two dogs"] * 10) == 1.0
    with pytest.raises(ValueError, match="nobody"):
        accuracy("red", [])


@pytest.mark.parametrize(
    "answer, wanted",
    [
        ("The Dog", "dog"),
        ("none", "0"),
        ("ten", "10"),
        ("eleven", "eleven"),
        ("dont know", "don't know"),
        ("couldntve", "couldntve"),  # the table knows each form with one apostrophe missing
        ("couldnt've", "couldn't've"),
        ("lets go", "lets go"),
        ("3.5", "3.5"),
        ("3.", "3"),
        ("u.s.", "us"),
        ("1,000", "1000"),  # a number with a comma: every mark goes without a space
        ("1,000-ish", "1000ish"),
        ("yes, sir", "yes sir"),
        ("black/white", "black white"),
        ("black / white", "black white"),
        ("t-shirt", "t shirt"),
        ("somebody'd", "somebodyd"),
    ],
)
def test_the_scripts_normalisation(answer, wanted):
    assert normalise(answer) == wanted


def test_each_form_is_known_with_one_apostrophe_missing():
    assert APOSTROPHES["'ows'at"] == APOSTROPHES["ow's'at"] == APOSTROPHES["'ow'sat"] == "'ow's'at"
    assert APOSTROPHES["y'alld've"] == "y'all'd've" and APOSTROPHES["hed've"] == "he'd've"
    assert not {"shes", "lets", "im", "ill", "well", "were", "wed", "id"} & set(APOSTROPHES)  # words of their own
