"""What `clipkit predict` takes of a folder."""

import pytest

from clipkit.predict.inputs import list_inputs


def test_a_folder_of_clouds_or_sounds_is_read_where_no_photos_are(tmp_path):
    for name in ("b/chair.ply", "a.npy", "c.wav", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in list_inputs([str(tmp_path)])]
    assert found == ["a.npy", "b/chair.ply", "c.wav"]
    (tmp_path / "d.png").touch()
    assert list_inputs([str(tmp_path)]) == [tmp_path / "d.png"]
    (tmp_path / "e").mkdir()
    with pytest.raises(FileNotFoundError, match="no videos or images in this folder"):
        list_inputs([str(tmp_path / "e")])
