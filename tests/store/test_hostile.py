"""Folders that somebody else made: links lead nowhere, and a store that lies is one line."""

import json
import os
import shutil
import zlib

import numpy as np
import pytest

from clipkit.store import Store, StoreError

KEY = {"k": 1}


def rows(ids):
    return [np.zeros((1, 2), np.float32) for _ in ids]


def made(folder):
    store = Store(folder, KEY, shard_size=2, batch_size=2)
    store.build(["a", "b"], rows, progress=False)
    return store


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "precious"
    path.write_text("precious")
    return path


def plant_link(path, victim):
    os.symlink(victim, path)


def plant_hard_link(path, victim):
    os.link(victim, path)


def plant_dangling_link(path, victim):
    os.symlink(victim.with_name("not-there"), path)


def plant_pipe(path, victim):
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [plant_link, plant_hard_link, plant_dangling_link, plant_pipe])
@pytest.mark.parametrize("name", ["part-0001.json.tmp", "shard-000001.safetensors.tmp", "part-0009.json.tmp"])
def test_temporary_files_that_were_planted_are_not_written_through(tmp_path, victim, plant, name):
    made(tmp_path / "s")
    plant(tmp_path / "s" / name, victim)
    store = Store(tmp_path / "s", KEY)
    store.build(["a", "b", "c"], rows, progress=False)
    assert store.verify() == 3 and victim.read_text() == "precious"
    assert not victim.with_name("not-there").exists()
    assert not [path for path in (tmp_path / "s").iterdir() if path.is_symlink() or path.name.endswith(".tmp")]


@pytest.mark.parametrize("plant", [plant_link, plant_hard_link])
def test_a_new_store_is_not_written_through_what_was_planted(tmp_path, victim, plant):
    (tmp_path / "s").mkdir()
    plant(tmp_path / "s" / "store.json.tmp", victim)
    assert made(tmp_path / "s").verify() == 2 and victim.read_text() == "precious"


def test_a_folder_in_a_temporary_files_place_is_one_line(tmp_path):
    (tmp_path / "s" / "store.json.tmp").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"store\.json\.tmp: is a folder.*; remove it"):
        made(tmp_path / "s")


@pytest.mark.parametrize("plant", [plant_link, plant_pipe])
@pytest.mark.parametrize("name", ["store.json", "part-0000.json", "shard-000000.safetensors"])
def test_links_and_pipes_in_place_of_a_stores_files_are_not_read(tmp_path, victim, plant, name):
    made(tmp_path / "s")
    shutil.copy(tmp_path / "s" / name, victim)  # what it leads to would even fit
    (tmp_path / "s" / name).unlink()
    plant(tmp_path / "s" / name, victim)
    with pytest.raises(StoreError, match=r"is a link|is a pipe|no store\.json") as error:
        Store(tmp_path / "s", KEY).verify()
    assert str(tmp_path / "s") in str(error.value) and name in str(error.value) and "\n" not in str(error.value)


def change_json(name, edit):
    def change(folder):
        content = json.loads((folder / name).read_text())
        edit(content)
        (folder / name).write_text(json.dumps(content))

    return change


def change_shard(edit):
    """Edits a shard's header and computes its checksum anew, as whoever means harm would."""

    def change(folder):
        path = folder / "shard-000000.safetensors"
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        edit(header)
        if isinstance(header.get("__metadata__"), dict):
            header["__metadata__"]["crc32"] = "00000000"
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-(len(text) + 8) % 64)
        text = text.replace(b'"crc32":"00000000"', b'"crc32":"%08x"' % zlib.crc32(text), 1)
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])

    return change


def put(*path, value):
    def edit(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return edit


def drop(*path):
    def edit(content):
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return edit


HARM = {
    "store: no key": change_json("store.json", drop("key")),
    "store: key is text": change_json("store.json", put("key", value="x")),
    "store: format is a list": change_json("store.json", put("format", value=[1])),
    "store: no batch size": change_json("store.json", drop("batch_size")),
    "store: shard size 0": change_json("store.json", put("shard_size", value=0)),
    "store: shard size is true": change_json("store.json", put("shard_size", value=True)),
    "store: shard size is half": change_json("store.json", put("shard_size", value=0.5)),
    "part: no ids": change_json("part-0000.json", drop("ids")),
    "part: ids are text": change_json("part-0000.json", put("ids", value="ab")),
    "part: an id is a number": change_json("part-0000.json", put("ids", 0, value=3)),
    "part: an id is a list": change_json("part-0000.json", put("ids", 0, value=[1])),
    "part: an id twice": change_json("part-0000.json", put("ids", 0, value="b")),
    "part: another start": change_json("part-0000.json", put("first_shard", value="0")),
    "shard: no metadata": change_shard(drop("__metadata__")),
    "shard: metadata is text": change_shard(put("__metadata__", value="x")),
    "shard: no checksum of ids": change_shard(drop("__metadata__", "ids_crc32")),
    "shard: checksum is a number": change_shard(put("__metadata__", "index_crc32", value=3)),
    "shard: format is a list": change_shard(put("__metadata__", "format", value=[])),
    "shard: no index": change_shard(drop("index.offsets")),
    "shard: index of floats": change_shard(put("index.offsets", "dtype", value="F64")),
    "shard: index too long": change_shard(put("index.crc32", "shape", value=[1 << 40])),
    "shard: no array": change_shard(drop("data")),
    "shard: array is a list": change_shard(put("data", value=[])),
    "shard: no dtype": change_shard(drop("data", "dtype")),
    "shard: dtype is a list": change_shard(put("data", "dtype", value=["F32"])),
    "shard: another shape": change_shard(put("data", "shape", value=[5, 5])),
    "shard: no shape": change_shard(put("data", "shape", value=[])),
    "shard: shape is text": change_shard(put("data", "shape", value="22")),
    "shard: shape of text": change_shard(put("data", "shape", value=["2", "2"])),
    "shard: negative shape": change_shard(put("data", "shape", value=[-2, -2])),
    "shard: other rows": change_shard(put("data", "shape", value=[1, 4])),
    "shard: offsets of text": change_shard(put("data", "data_offsets", value=["a", "b"])),
    "shard: one offset": change_shard(put("data", "data_offsets", value=[0])),
    "shard: offsets beyond the end": change_shard(put("data", "data_offsets", value=[1 << 40, (1 << 40) + 16])),
    "shard: offsets in the index": change_shard(put("data", "data_offsets", value=[3, 19])),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_store_that_lies_is_one_line(tmp_path, harm):
    made(tmp_path / "s")
    HARM[harm](tmp_path / "s")
    with pytest.raises(StoreError) as error:
        store = Store(tmp_path / "s")
        store.verify()
    text = str(error.value)
    assert str(tmp_path / "s") in text and "\n" not in text and len(text) < 400
