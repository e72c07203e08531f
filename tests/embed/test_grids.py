"""Stored grids: what the tower gives, for pictures of any size, once."""

import numpy as np
import pytest
import torch

from clipkit.embed import grids as module
from clipkit.embed.encoder import load_frozen
from clipkit.embed.grids import embed_grids, look, picture_tensor
from clipkit.errors import ClipkitError
from clipkit.shapes import render
from clipkit.shapes.chunks import to_bytes
from clipkit.store import StoreError


class Pictures:
    def __init__(self, *arrays):
        self.arrays = arrays

    def __len__(self):
        return len(self.arrays)

    def read(self, index):
        return self.arrays[index]

    def identify(self, index):
        return f"picture {self.arrays[index].shape} {int(self.arrays[index].sum())}"


@pytest.fixture(scope="module")
def encoder():
    return load_frozen("tiny_clip")


@pytest.fixture(scope="module")
def pictures():
    square = to_bytes(render(2, seed=3).images)
    return Pictures(square[0], np.concatenate([square[1], square[0]], axis=1), square[1])  # 64 x 64 and 64 x 128


def test_cells_joint_and_place_are_the_towers(encoder, pictures, tmp_path):
    found = embed_grids(*encoder, pictures, tmp_path, size=64)
    for index, wide in ((0, 8), (1, 16), (2, 8)):
        image = torch.from_numpy(pictures.read(index).transpose(2, 0, 1)[None].copy()).float() / 255
        seen = encoder[0].features(image, (-1,))
        grid = found[index]
        half = dict(rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(grid.cells, seen.maps[0].flatten(2)[0].T, **half)
        torch.testing.assert_close(grid.joint, seen.dense.flatten(2)[0].T, **half)
        # Row by row from the upper left, the middles of the cells.
        wanted = [[(x + 0.5) / wide, (y + 0.5) / 8] for y in range(8) for x in range(wide)]
        torch.testing.assert_close(grid.place, torch.tensor(wanted))


def test_a_picture_is_looked_at_once_and_what_changes_is_looked_at_again(encoder, pictures, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        module, "look", lambda clip, images, *how: (seen.append(len(images)), look(clip, images, *how))[1]
    )
    embed_grids(*encoder, pictures, tmp_path, size=64)
    embed_grids(*encoder, pictures, tmp_path, size=64)
    assert sum(seen) == 3
    embed_grids(*encoder, Pictures(*pictures.arrays, 255 - pictures.read(0)), tmp_path, size=64)
    assert sum(seen) == 4
    embed_grids(*encoder, pictures, tmp_path, size=64, joint=False)  # another store
    assert sum(seen) == 7


def test_a_larger_picture_has_more_cells_in_the_same_places(encoder):
    image = render(1, seed=3).images
    small, shape = look(encoder[0], image)
    large, larger = look(encoder[0], torch.nn.functional.interpolate(image, scale_factor=2, mode="bilinear"))
    fine, finer = look(encoder[0], image, stride=4)
    assert (shape, larger, finer) == ((8, 8), (16, 16), (16, 16))
    # Averaged over each place, a grid of the picture at twice its size is like the picture's: positions are resized.
    pooled = torch.nn.functional.avg_pool2d(large.joint.transpose(1, 2).unflatten(2, larger), 2).flatten(2)
    alike = torch.cosine_similarity(pooled.transpose(1, 2), small.joint, dim=2).mean()
    crossed = torch.cosine_similarity(pooled.transpose(1, 2).flip(1), small.joint, dim=2).mean()
    assert alike > 0.9 and alike > crossed + 0.05
    torch.testing.assert_close(fine.place, large.place)


def test_a_photo_keeps_its_form_in_whole_patches():
    assert picture_tensor(np.zeros((100, 150, 3), np.uint8), 64, 8).shape == (3, 64, 96)
    assert picture_tensor(np.zeros((100, 150, 3), np.uint8), None, 8).shape == (3, 100, 150)
    assert picture_tensor(np.zeros((3, 900, 3), np.uint8), 8, 8).shape == (3, 8, 2400)


def test_no_picture_and_a_folder_that_holds_something_else(encoder, pictures, tmp_path):
    with pytest.raises(ClipkitError, match="no images"):
        embed_grids(*encoder, Pictures(), tmp_path)
    found = embed_grids(*encoder, pictures, tmp_path, size=64)
    (found.store.folder / "store.json").write_text('{"format": 1, "key": {}, "shard_size": 128, "batch_size": 32}')
    with pytest.raises(StoreError, match="something else"):
        embed_grids(*encoder, pictures, tmp_path, size=64)
