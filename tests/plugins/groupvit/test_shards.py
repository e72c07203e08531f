"""webdataset shards: plain tar files, made up here, read where they lie."""

import io
import json
import tarfile

import numpy as np
import pytest
from clipkit_plugins.groupvit import CaptionShards, TimmAugment
from PIL import Image

from clipkit.errors import ClipkitError


def picture(shade, kind="PNG"):
    stream = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), shade, np.uint8)).save(stream, kind)
    return stream.getvalue()


def write(path, members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path):
    first = {
        "000.png": picture((10, 20, 30)),
        "000.txt": b"a dog\n",
        "000.json": json.dumps({"nouns": ["dog"], "url": "x"}).encode(),
        "only.txt": b"no picture",
        "part/001.jpg": picture((90, 90, 90), "JPEG"),
        "part/001.txt": "zwölf Katzen".encode(),
    }
    write(tmp_path / "a-000.tar", first)
    write(tmp_path / "a-001.tar", {"000.jpg": b"no picture at all", "000.txt": b"broken", "002.png": picture(0)})
    write(tmp_path / "a-002.tar", {"000.png": picture((200, 1, 2)), "000.txt": b"red"})
    return str(tmp_path / "a-*.tar")


def test_samples_are_the_captioned_pictures(shards):
    data = CaptionShards(shards)
    assert len(data) == 4
    one, two = data[0], data[1]
    assert one["caption"] == "a dog" and one["nouns"] == ["dog"] and one["img"][0, 0].tolist() == [30, 20, 10]  # BGR
    assert two["caption"] == "zwölf Katzen" and two["nouns"] == [] and two["img"].shape == (20, 30, 3)
    assert one["img_path"].startswith(shards.replace("*", "000")) and one["img_path"] != two["img_path"]


def test_a_bad_picture_is_named_and_the_next_one_stands_for_it(shards, monkeypatch):
    from clipkit_plugins.groupvit import shards as module

    said = []
    monkeypatch.setattr(module, "print_log", lambda text, *a: said.append(text))
    data = CaptionShards(shards)
    assert data[2]["caption"] == data[2]["caption"] == "red"
    assert len(said) == 1 and "a-001.tar@" in said[0] and "\n" not in said[0]


def test_the_index_is_kept_and_refused_where_shards_changed(shards, tmp_path):
    index = tmp_path / "kept" / "index.npz"
    first = CaptionShards(shards, str(index)).places
    assert np.array_equal(first, CaptionShards(shards, str(index)).places)
    write(tmp_path / "a-002.tar", {"000.png": picture(0), "000.txt": b"x" * 20_000})
    with pytest.raises(ClipkitError, match=r"index\.npz: was made of other shards; delete it"):
        CaptionShards(shards, str(index))
    index.write_bytes(b"nothing")
    with pytest.raises(ClipkitError, match=r"index\.npz: is no index of shards"):
        CaptionShards(shards, str(index))


def test_errors_name_the_shard(tmp_path):
    with pytest.raises(ClipkitError, match=r"x-\*\.tar: no such shard; say where they lie: variables\.data=PATH"):
        CaptionShards(str(tmp_path / "x-*.tar"))
    (tmp_path / "b.tar").write_bytes(b"x" * 2000)
    with pytest.raises(ClipkitError, match=r"b\.tar: cannot be read as a plain tar file"):
        CaptionShards(str(tmp_path / "b.tar"))
    write(tmp_path / "c.tar", {"0.txt": b"alone"})
    with pytest.raises(ClipkitError, match=r"c\.tar: hold no picture with a \.txt"):
        CaptionShards(str(tmp_path / "c.tar"))
    write(tmp_path / "d.tar", {"0.txt": b"x", "0.png": picture(1), "0.json": b'{"nouns": "dog"}'})
    with pytest.raises(ClipkitError, match="no list of strings"):
        CaptionShards(str(tmp_path / "d.tar")).read(0)


def test_augmented_pictures_have_one_size():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    done = TimmAugment(32, erase=0.0).transform({"img": image})
    assert done["img"].shape == (32, 32, 3) and done["img"].dtype == np.float32 and done["img_shape"] == (32, 32)
    assert done["img"].min() >= -1e-3 and done["img"].max() <= 255 + 1e-3
