"""Colours of labels and the picture that explains itself."""

import numpy as np

from clipkit.data.label_picture import label_picture
from clipkit.data.palette import label_colours


def test_a_colour_word_gives_its_colour_and_nothing_is_transparent():
    red, blue, none = label_colours(["red ball", "a navy coat", "none of these"])
    assert red == (255, 0, 0) and blue == (0, 0, 128) and none is None


def test_a_name_keeps_its_colour_in_another_list_where_it_is_free():
    assert label_colours(["cat", "dog"])[0] == label_colours(["cat", "tree", "road"])[0]


def test_colours_of_one_list_are_told_apart():
    names = [f"thing {i}" for i in range(24)] + ["red ball"]
    colours = label_colours(names)
    assert len(set(colours)) == len(names)


def test_the_photo_lies_beside_and_none_of_these_shows_the_photo():
    photo = np.full((400, 600, 3), 90, np.uint8)
    ids = np.ones((400, 600), np.int64)
    ids[:, :300] = 0
    picture = label_picture(photo, ids, ["red ball", "none of these"])
    assert picture.shape == (406, 1206, 3) or picture.shape[1] == 1206
    assert (picture[200, 100] == 90).all() and (picture[200, 606 + 450] == 90).all()
    r, g, b = picture[40, 606 + 60]
    assert r > 150 and g < 60 and b < 60


def test_small_regions_are_named_below():
    photo, ids = np.zeros((400, 600, 3), np.uint8), np.zeros((400, 600), np.int64)
    plain = label_picture(photo, ids, ["grass", "cat"])
    ids[:4, :4] = 1
    assert label_picture(photo, ids, ["grass", "cat"]).shape[0] > plain.shape[0]


def test_ids_without_a_name_are_left_as_they_are():
    photo = np.full((40, 40, 3), 50, np.uint8)
    picture = label_picture(photo, np.full((40, 40), 255), ["grass"], beside=False)
    assert (picture == 50).all()


def test_names_do_not_cover_each_other():
    photo, ids = np.zeros((400, 600, 3), np.uint8), np.zeros((400, 600), np.int64)
    ids[np.arange(400) // 12 % 2 == 1] = 1  # both are deepest near the middle
    apart = np.zeros_like(ids)
    apart[:, 300:] = 1
    heights = [label_picture(photo, of, ["grass", "cat"], beside=False).shape[0] for of in (apart, ids)]
    assert heights[0] == 400 and heights[1] > 400
