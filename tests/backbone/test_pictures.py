"""What may be given to a CLIP as pictures, and one line for what may not."""

import numpy as np
import pytest
import torch
from PIL import Image

from clipkit.adapters import CLIPTeacher
from clipkit.backbone import FrozenCLIP
from clipkit.errors import ClipkitError
from support.backbone_models import photos, small_model


@pytest.fixture(scope="module")
def clip():
    return FrozenCLIP(small_model("vit"))


@pytest.fixture
def files(tmp_path):
    """Two photos, one lying on its side as its EXIF says."""
    pixels = (photos(2, 40, 60, 3) * 255).round().byte().numpy()
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(pixels[0]).save(tmp_path / "a.png")
    Image.fromarray(pixels[1]).save(tmp_path / "b.png", exif=turned)
    return [tmp_path / "a.png", tmp_path / "b.png"], [pixels[0], np.rot90(pixels[1], -1)]


def test_all_kinds_of_pictures_are_one(clip, files):
    paths, arrays = files
    prepared = torch.stack([clip.preprocess(Image.fromarray(array)) for array in arrays])
    expected = clip.encode_image(prepared)
    opened = [Image.open(path) for path in paths]
    for given in (paths, [str(path) for path in paths], opened, arrays, list(prepared), (paths[0], arrays[1])):
        assert torch.equal(clip(given), expected)
    for number, path in enumerate(paths):
        assert torch.equal(clip(path), clip(prepared[number : number + 1]))
        assert torch.equal(clip(opened[number]), clip(path))
    assert torch.equal(clip.features(paths).dense, clip.features(prepared).dense)
    teacher = CLIPTeacher(clip)
    assert torch.equal(teacher.image(paths), expected)
    assert torch.equal(teacher.dense(opened), teacher.dense(prepared))


def test_uint8_is_the_same_picture(clip, files):
    small = np.ascontiguousarray(files[1][0])
    batch = torch.from_numpy(np.stack([small, small[::-1]])).permute(0, 3, 1, 2)
    assert torch.equal(clip(batch), clip(batch.float() / 255))
    assert torch.equal(clip.encode_frames(batch[None]), clip.encode_frames(batch[None].float() / 255))
    boxes = [torch.tensor([[2.0, 3.0, 30.0, 33.0]])] * 2
    teacher = CLIPTeacher(clip)
    for source in ("crops", "dense"):
        of_uint8 = teacher.regions(batch, boxes, source)
        assert torch.equal(of_uint8, teacher.regions(batch.float() / 255, boxes, source))


def test_boxes_are_of_the_pictures_own_pixels(clip, files):
    paths, arrays = files
    boxes = [torch.tensor([[2.0, 3.0, 30.0, 33.0]]), torch.tensor([[0.0, 0.0, 10.0, 50.0], [5.0, 5.0, 35.0, 25.0]])]
    tensors = [torch.tensor(array.copy()).permute(2, 0, 1).float() / 255 for array in arrays]
    assert torch.equal(CLIPTeacher(clip).regions(paths, boxes), CLIPTeacher(clip).regions(tensors, boxes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x * 255, r"must lie in \[0, 1\], got \S+\.\.255: divide by 255, or give uint8"),
        (lambda x: (x - 0.45) / 0.27, r"got -1\.\d+\.\.2\.04: leave out your normalisation"),
    ],
)
def test_images_out_of_range_are_refused_in_one_line(clip, change, message):
    images = change(photos(2, 3, 32, 32))
    for use in (clip, clip.features, CLIPTeacher(clip).image):
        with pytest.raises(ValueError, match=message):
            use(images)


def test_what_resampling_and_noise_add_is_let_through(clip):
    clip(photos(1, 3, 32, 32) * 1.2 - 0.1)


def test_what_is_no_picture_is_explained(clip, tmp_path):
    (tmp_path / "x.jpg").write_text("no picture")
    with pytest.raises(ClipkitError, match=r"x\.jpg: not a readable image"):
        clip(tmp_path / "x.jpg")
    with pytest.raises(FileNotFoundError, match="no such image"):
        clip(["nowhere.jpg"])
    for wrong, message in (
        ([], "one size, got none"),
        ([torch.zeros(3, 8, 8), torch.zeros(3, 8, 9)], "one size"),
        (np.zeros((4, 4, 3)), "uint8 RGB"),
        ([7], "not int"),
        (torch.zeros(3, 8, 8), "shape"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), "float RGB"),
    ):
        with pytest.raises(ValueError, match=message):
            clip(wrong)
