"""An index that somebody else made is checked before it is searched."""

import os

import numpy as np
import pytest

from clipkit.errors import ClipkitError
from clipkit.search.index import SearchIndex
from clipkit.search.records import record_id
from clipkit.store import Store


def test_an_index_that_lies_is_one_line(tmp_path):
    whole = {
        "embeddings": np.ones((2, 4), np.float16), "frame": np.zeros(2, np.int64),
        "start": np.zeros(2), "end": np.ones(2),
    }  # fmt: skip
    for name, changes in enumerate((
        {"embeddings": None}, {"start": None}, {"embeddings": np.ones((2, 4, 1), np.float16)},
        {"embeddings": np.ones((2, 4), np.int64)}, {"end": np.ones((2, 1))}, {"frame": np.ones(2, bool)},
    )):  # fmt: skip
        folder = tmp_path / str(name)
        record = {key: value for key, value in {**whole, **changes}.items() if value is not None}
        Store(folder / "frames", {"k": 1}).build(["/a.jpg@1:1"], lambda ids, r=record: [r for _ in ids], progress=False)
        with pytest.raises(ClipkitError) as error:
            SearchIndex(folder)
        assert str(folder) in str(error.value) and "\n" not in str(error.value)
    picture = tmp_path / "a.jpg"  # a file that is gone would not be answered
    picture.touch()
    Store(tmp_path / "good" / "frames", {"k": 1}).build(
        [record_id(picture)], lambda ids: [whole for _ in ids], progress=False
    )
    index = SearchIndex(tmp_path / "good")
    assert [moment.path for moment in index.search(np.ones(4))] == [str(picture)]
    with pytest.raises(ClipkitError, match="width"):
        index.search(np.ones(5))
    os.symlink(tmp_path / "good" / "frames", tmp_path / "frames")
    with pytest.raises(ClipkitError, match="is a link"):
        SearchIndex(tmp_path)
