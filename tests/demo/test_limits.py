"""What a question may cost is refused in one line: bytes, pixels, words and seconds."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from clipkit.demo.limits import Limits, OutOfTimeError
from clipkit.errors import ClipkitError


def as_data(picture, format="PNG", kind="image/png"):
    stream = io.BytesIO()
    picture.save(stream, format=format)
    return f"data:{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def test_a_picture_is_read_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert (Limits().picture(as_data(Image.fromarray(pixels))) == pixels).all()
    assert Limits().picture(as_data(Image.fromarray(pixels), "TIFF", "")).shape == (20, 30, 3)


@pytest.mark.parametrize(
    "data, said",
    [
        (None, "no picture yet"),
        ("", "no picture yet"),
        ("http://127.0.0.1:9/cat.png", "addresses are not fetched"),
        ("file:///etc/hostname", "addresses are not fetched"),
        ("/etc/hostname", "addresses are not fetched"),
        ({"path": "/etc/hostname"}, "addresses are not fetched"),
        ("data:image/png;base64,####", "arrived damaged"),
        ("data:image/png;base64," + base64.b64encode(b"not a picture").decode(), "the picture: not a readable image"),
        ("data:image/png;base64," + "A" * 2_000_000, "larger than 1 MB"),
        ("data:image/png;base64," + base64.b64encode(bytes(1_100_000)).decode(), "larger than 1 MB"),
    ],
)
def test_what_is_no_picture(data, said):
    with pytest.raises(ClipkitError, match=said) as caught:
        Limits(megabytes=1).picture(data)
    assert "\n" not in str(caught.value)


def test_pixels_are_counted_before_they_are_decoded(monkeypatch):
    monkeypatch.setattr("clipkit.demo.limits.read_bytes", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ClipkitError, match=r"2000 x 1000 pixels, more than 1 million"):
        Limits(megapixels=1).picture(as_data(Image.new("1", (2000, 1000))))


def test_words_are_counted():
    assert Limits().vocabulary("  ") is None
    assert Limits(words=3).vocabulary("cat, bench; park bench").words == [("cat",), ("bench", "park bench")]
    with pytest.raises(ClipkitError, match="4 words are more than 3"):
        Limits(words=3).vocabulary("a, b; c, d")
    with pytest.raises(ClipkitError, match="has 81 letters, more than 80"):
        Limits().vocabulary("cat, " + "a" * 81)
    assert Limits().questions("what?\n\n where? \n") == ["what?", "where?"]
    with pytest.raises(ClipkitError, match="2 questions are more than 1"):
        Limits(words=1).questions("what?\nwhere?")
    with pytest.raises(ClipkitError, match="no question yet"):
        Limits().questions(" \n")
    with pytest.raises(ClipkitError, match="no words yet"):
        Limits().one(" ")


def test_computing_ends_in_time_and_the_clock_goes_away():
    layer, made = torch.nn.Linear(2, 2), 0
    with pytest.raises(OutOfTimeError, match=r"stopped after 0\.05 seconds"), Limits(seconds=0.05).clock():
        while True:
            layer(torch.zeros(1, 2))
            made += 1
    assert made
    with Limits(seconds=100).clock():
        layer(torch.zeros(1, 2))
    assert not torch.nn.modules.module._global_forward_pre_hooks
