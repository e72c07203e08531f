"""What is searched: files as given, folders' videos and images sorted, everything once."""

import pytest

from clipkit.search.media import Moment, is_image, list_media


@pytest.fixture
def folder(tmp_path):
    for name in ("b.mp4", "a.JPG", "sub/c.mkv", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_folder_gives_its_videos_and_images_sorted_and_each_file_counts_once(folder):
    found = list_media([folder / "sub/c.mkv", folder, folder / "b.mp4"])
    assert [path.relative_to(folder).as_posix() for path in found] == ["sub/c.mkv", "a.JPG", "b.mp4"]


def test_a_file_that_is_named_is_taken_whatever_its_suffix(folder):
    assert list_media([folder / "notes.txt"]) == [folder / "notes.txt"]


def test_what_is_not_there_and_folders_without_media_are_named(folder):
    (folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty: no videos or images in this folder"):
        list_media([folder, folder / "empty"])
    with pytest.raises(FileNotFoundError, match=r"gone\.mp4: no such file or folder"):
        list_media([folder / "gone.mp4"])


def test_images_go_by_their_suffix(folder):
    assert is_image("x/A.JPG") and not is_image("x/a.mp4")
    assert Moment("a.png", 0, 0, 0.5, 0, 0).is_image and not Moment("a.mkv", 0, 1, 0.5, 0, 0).is_image
