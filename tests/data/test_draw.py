"""Pictures of label maps."""

import numpy as np
from PIL import Image

from clipkit.data import (
    colour_map,
    enlarge,
    grid,
    legend,
    overlay,
    palette,
    save_indexed_png,
    used_entries,
    with_legend,
)

RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_palette_is_distinct_and_stable():
    colours = palette(110)
    assert len(set(colours)) == 110 and palette(7) == colours[:7]
    near = np.abs(np.array(colours[:-1], int) - np.array(colours[1:], int)).sum(1)
    assert near.min() > 60


def test_colours_and_overlay():
    labels = np.array([[0, 1], [255, -1]])
    painted = colour_map(labels, [RED, BLUE])
    assert painted.tolist() == [[[255, 0, 0], [0, 0, 255]], [[0, 0, 0], [0, 0, 0]]]
    image = np.full((2, 2, 3), 100, np.uint8)
    mixed = overlay(image, labels, [RED, BLUE], alpha=0.5)
    assert mixed[0, 0].tolist() == [177, 50, 50] and mixed[1].tolist() == [[100] * 3] * 2


def test_legend_wraps_and_shows_every_colour():
    colours = palette(12)
    key = legend([(f"name number {i}", c) for i, c in enumerate(colours)], width=300)
    assert key.shape[1] == 300 and key.shape[0] > 60
    pixels = set(map(tuple, key.reshape(-1, 3).tolist()))
    assert all(colour in pixels for colour in colours)
    assert with_legend(np.zeros((10, 20, 3), np.uint8), [("a", RED)]).shape[1] == 240


def test_grid_places_cells():
    cell = enlarge(np.full((2, 3, 3), 9, np.uint8), 6)
    assert cell.shape == (6, 9, 3)
    sheet = grid([[cell, cell], [cell]], titles=["a", "b"])
    assert (sheet == 9).all(-1).sum() == 3 * 6 * 9


def test_used_entries_and_indexed_png(tmp_path):
    maps = [np.array([[2, 255]]), np.array([[0, 0]])]
    assert [name for name, _ in used_entries(maps, ["a", "b", "c"], palette(3))] == ["a", "c"]
    labels = np.array([[0, 1, 5]])
    save_indexed_png(labels, tmp_path / "x.png", 6)
    with Image.open(tmp_path / "x.png") as image:
        assert image.mode == "P" and (np.asarray(image) == labels).all()
        assert np.asarray(image.convert("RGB"))[0, 2].tolist() == list(palette(6)[5])
    save_indexed_png(labels + 300, tmp_path / "y.png", 400)
    with Image.open(tmp_path / "y.png") as image:
        assert (np.asarray(image) == labels + 300).all()
