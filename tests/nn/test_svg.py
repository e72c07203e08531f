"""Drawings as SVG: what is written is read back, by us and by another program; nothing else is."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from clipkit.errors import ClipkitError
from clipkit.nn import Strokes, read_svg, write_svg
from support.stroke_oracle import bent

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" width="32" height="24">'


def drawing():
    g = torch.Generator().manual_seed(0)
    points = bent(6, 64, 0, length=30)
    looks = {"colour": torch.rand(6, 3, generator=g), "opacity": 0.4 + 0.6 * torch.rand(6, generator=g)}
    ring = torch.cat([points, points[:, :1] + torch.tensor([[[9.0, 3.0], [2.0, 9.0]]])], 1)
    filled = torch.tensor([1, 0, 0, 1, 0, 0]) > 0
    background = torch.tensor([0.9, 1.0, 0.8])
    width = 1 + 4 * torch.rand(6, generator=g)
    return Strokes.of(ring, width, closed=True, size=(64, 80), filled=filled, background=background, **looks)


def test_what_is_written_is_read(tmp_path):
    strokes = drawing()
    write_svg(strokes, tmp_path / "a.svg")
    again = read_svg(tmp_path / "a.svg")
    assert again.size == strokes.size and again.filled.tolist() == strokes.filled.tolist()
    difference = (again() - strokes()).abs()
    assert difference.mean() < 1e-3 and difference.max() < 0.05  # eight bits a colour, 1/1000 pixel
    write_svg(again, tmp_path / "b.svg")
    assert (tmp_path / "b.svg").read_text() == (tmp_path / "a.svg").read_text()


def test_another_program_sees_the_same(tmp_path):
    resvg = pytest.importorskip("resvg_py", reason="needs resvg-py")
    strokes = drawing()
    write_svg(strokes, tmp_path / "a.svg")
    png = resvg.svg_to_bytes(svg_path=str(tmp_path / "a.svg"))
    seen = np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"))
    seen = torch.tensor(seen.copy()).permute(2, 0, 1)[None] / 255
    mine = strokes().detach()
    assert seen.shape == mine.shape
    assert (seen - mine).square().mean().sqrt() < 0.015 and (seen - mine).abs().mean() < 0.003


def test_one_drawing_of_a_batch(tmp_path):
    which = torch.tensor([0, 1, 1])
    strokes = Strokes.of(bent(3, 32, 0, 12), size=(32, 32), drawing=which, drawings=2)
    write_svg(strokes, tmp_path / "a.svg", drawing=1)
    torch.testing.assert_close(read_svg(tmp_path / "a.svg")(), strokes()[1:], atol=0.01, rtol=0)


def test_z_closes_by_a_line(tmp_path):
    (tmp_path / "a.svg").write_text(HEAD + '<path d="M4,4C12 4 20,4 28 4C28 8 28 16 28 20Z" fill="#000000"/></svg>')
    strokes = read_svg(tmp_path / "a.svg")
    assert len(strokes.segments) == 3 and strokes.filled.all() and strokes.width.item() == 0
    assert strokes()[0, 0, 7, 24] < 0.01 < 0.99 < strokes()[0, 0, 18, 6]


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        ("<script>alert(1)</script>", "holds <script>"),
        ('<image href="file:///etc/passwd"/>', "holds <image>"),
        ('<g><path d="M 0 0 C 1 1 2 2 3 3"/></g>', "holds <g>"),
        ('<path d="M 0 0 L 5 5" fill="none" stroke="#000000"/>', "write M x y C"),
        ('<path d="M 0 0 c 1 1 2 2 3 3" fill="none" stroke="#000000"/>', "write M x y C"),
        ('<path d="M 0 0 C 1 1 2 2 3" fill="none" stroke="#000000"/>', "write M x y C"),
        ('<path d="M 0 0 C 1 1 C 2 2 3 3" fill="none" stroke="#000000"/>', "write M x y C"),
        ('<path d="M 0 0 C 1 1 2 2 3 1e9" fill="none" stroke="#000000"/>', "write M x y C"),
        ('<path d="M 0 0 C ! 1 2 2 3 3" fill="none" stroke="#000000"/>', "write numbers"),
        ('<path d="" fill="none" stroke="#000000"/>', "write M x y C"),
        ('<path d="M 0 0 C 1 1 2 2 3 3" fill="none" stroke="red"/>', "#rrggbb"),
        ('<path d="M 0 0 C 1 1 2 2 3 3" fill="none" stroke="#000000" stroke-width="nan"/>', "plain numbers"),
        ('<path d="M 0 0 C 1 1 2 2 3 3" fill="none" stroke="#000000" opacity="2"/>', "plain numbers"),
        ('<path d="M 0 0 C 1 1 2 2 3 3" fill="none" stroke="#000000" transform="scale(2)"/>', "transform of a <path>"),
        ('<path d="M 0 0 C 1 1 2 2 3 3" fill="#ff0000"/>', "must end in Z"),
        ("<path", "no SVG that can be read"),
    ],
)
def test_nothing_else_is_interpreted(tmp_path, inside, says):
    (tmp_path / "a.svg").write_text(f"{HEAD}{inside}</svg>")
    with pytest.raises(ClipkitError, match=says) as caught:
        read_svg(tmp_path / "a.svg")
    assert "a.svg" in str(caught.value) and "\n" not in str(caught.value)


def test_entities_and_sizes_are_refused(tmp_path):
    (tmp_path / "a.svg").write_text('<!DOCTYPE svg [<!ENTITY a "b">]><svg width="3" height="3">&a;</svg>')
    with pytest.raises(ClipkitError, match="entities"):
        read_svg(tmp_path / "a.svg")
    for side in ("100%", "0", "99999", "-4"):
        (tmp_path / "a.svg").write_text(f'<svg width="{side}" height="8"/>')
        with pytest.raises(ClipkitError, match="width="):
            read_svg(tmp_path / "a.svg")
    (tmp_path / "a.svg").write_text('<svg width="4" height="8"/>')
    assert (read_svg(tmp_path / "a.svg")() == 1).all()
