"""Layouts of labelled sounds: ESC-50's and UrbanSound8K's tables with their folds, folders of one's own."""

import pytest

from clipkit.data.sound_sets import read_sound_set
from clipkit.errors import ClipkitError


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


@pytest.fixture
def esc50(tmp_path):
    rows = [("1-a-0.wav", 1, 0, "dog"), ("2-b-1.wav", 2, 1, "sea_waves"), ("3-c-0.wav", 2, 0, "dog")]
    (tmp_path / "meta").mkdir()
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    lines += [f"{file},{fold},{target},{name},False,1,A" for file, fold, target, name in rows]
    (tmp_path / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")
    for file, *_ in rows:
        touch(tmp_path / "audio" / file)
    return tmp_path


def test_esc50(esc50):
    whole = read_sound_set(esc50, "esc50")
    assert whole.names == ["dog", "sea waves"] and whole.labels == [0, 1, 0]
    part = read_sound_set(esc50, "esc50", [1])
    assert [path.name for path in part.paths] == ["1-a-0.wav"] and part.names == whole.names
    assert read_sound_set(esc50, "esc50", [2], ["barking", "waves"]).names == ["barking", "waves"]
    for folds, names, line in (([9], None, "no clip in folds"), (None, ["a"], "2 classes, and 1 names")):
        with pytest.raises(ClipkitError, match=line):
            read_sound_set(esc50, "esc50", folds, names)
    (esc50 / "audio" / "1-a-0.wav").unlink()
    with pytest.raises(ClipkitError, match=r"1 of 3 clips are not there.*1-a-0\.wav"):
        read_sound_set(esc50, "esc50")


def test_names_stay_below_the_set(esc50):
    table = esc50 / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace("1-a-0.wav", "../../secret.wav"))
    with pytest.raises(ClipkitError, match=r"line 2.*outside"):
        read_sound_set(esc50, "esc50")


def test_urbansound8k(tmp_path):
    (tmp_path / "metadata").mkdir()
    text = "slice_file_name,fsID,start,end,salience,fold,classID,class\n7-3-0-0.wav,7,0.0,4.0,1,5,3,dog_bark\n"
    text += "8-2-0-0.wav,8,0.0,4.0,1,10,2,children_playing\n"
    (tmp_path / "metadata" / "UrbanSound8K.csv").write_text(text)
    touch(tmp_path / "audio" / "fold5" / "7-3-0-0.wav")
    touch(tmp_path / "audio" / "fold10" / "8-2-0-0.wav")
    found = read_sound_set(tmp_path, "urbansound8k")
    assert found.names == ["children playing", "dog bark"] and found.labels == [1, 0]
    assert found.paths[0] == tmp_path / "audio" / "fold5" / "7-3-0-0.wav"
    (tmp_path / "metadata" / "UrbanSound8K.csv").write_text(text.replace(",5,3,", ",five,3,"))
    with pytest.raises(ClipkitError, match="line 2: needs a fold"):
        read_sound_set(tmp_path, "urbansound8k")


def test_folders(tmp_path):
    for name in ("sea_waves/b.flac", "dog/deep/a.WAV", "dog/film.mp4", "dog/notes.txt", ".hidden/c.wav"):
        touch(tmp_path / name)
    found = read_sound_set(tmp_path)
    assert found.names == ["dog", "sea waves"] and found.labels == [0, 0, 1]
    with pytest.raises(ClipkitError, match="no folds"):
        read_sound_set(tmp_path, folds=[1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ClipkitError, match="empty: holds no sound"):
        read_sound_set(tmp_path)
    with pytest.raises(ClipkitError, match="has no folders"):
        read_sound_set(tmp_path / "empty")
    with pytest.raises(ClipkitError, match="no layout"):
        read_sound_set(tmp_path, "esc60")
    with pytest.raises(FileNotFoundError):
        read_sound_set(tmp_path / "none")
