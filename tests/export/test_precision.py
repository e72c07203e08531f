"""float16 and 8 bits: smaller, with a loss that is measured and said."""

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime", reason="the extra onnx")

import onnx

from clipkit.cli import main
from clipkit.errors import ClipkitError
from clipkit.export import About, Check, OnnxFile, compare, export_onnx, export_pt2
from clipkit.export.graphs import PictureGraph
from clipkit.export.precision import lowered
from fuzz.read_exports import small_about, small_model
from support.scenes import scene


class Colours(PictureGraph):
    """Scores of two layers on the mean colour of pictures."""

    outputs = ("scores",)

    def __init__(self):
        super().__init__(16, None, 8)
        torch.manual_seed(0)
        self.first, self.second = torch.nn.Linear(3, 256), torch.nn.Linear(256, 16)

    def forward(self, pictures, text):
        seen = self.second(self.first(self.read(pictures).mean((2, 3))))
        return torch.einsum("bd,kd->bk", seen, text)


@pytest.mark.parametrize(("precision", "most"), [("fp16", 2e-3), ("int8", 2e-2)])
def test_the_loss_is_that_of_the_file(precision, most, tmp_path):
    about = About("classify", "Colours", None, 8, precision=precision)
    check = export_onnx(Colours(), about, tmp_path / f"{precision}.onnx")
    assert 1e-6 < check.difference <= most and check.agreement >= 0.9
    file = OnnxFile(tmp_path / f"{precision}.onnx")
    assert file.about.precision == precision
    inputs = [Colours().example(seed) for seed in range(1, 11)]
    found = [file.run(pictures=a.numpy(), text=b.numpy())[0] for a, b in inputs]
    assert {one.dtype for one in found} == {np.dtype("float32")}
    with torch.no_grad():
        apart = max(float((Colours()(*given) - torch.from_numpy(one)).abs().max()) for given, one in zip(inputs, found))
    assert check.difference == pytest.approx(apart)


@pytest.mark.parametrize("said", [np.nan, np.inf])
def test_what_overflows_is_refused(said):
    check = compare(Colours(), lambda given: [np.full((len(given[0]), len(given[1])), said, np.float32)])
    with pytest.raises(ClipkitError, match="no numbers in fp16"):
        check.require("a.onnx", "fp16")


def test_without_products_there_are_no_8_bits():
    with pytest.raises(ClipkitError, match="this model has none: try fp16"):
        lowered(small_model(small_about()), "int8")


def test_what_the_converter_refuses_is_one_line():
    with pytest.raises(ClipkitError, match="cannot be converted to int8") as caught:
        lowered(onnx.ModelProto(), "int8")
    assert "\n" not in str(caught.value)


def test_pt2_has_one_precision(tmp_path):
    with pytest.raises(ClipkitError, match="fp16 is of ONNX alone"):
        export_pt2(Colours(), About("classify", precision="fp16"), tmp_path / "a.pt2")


def test_bounds_hold_for_float32_alone():
    Check(0.2, 0.99, 10).require("a.onnx", "int8")
    with pytest.raises(ClipkitError, match="would differ from torch"):
        Check(0.2, 0.99, 10).require("a.onnx")


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "least"), [("fp16", 0.995), ("int8", 0.98)])
def test_predict_takes_them(precision, least, tmp_path, capsys):
    from PIL import Image

    Image.fromarray(scene()).save(tmp_path / "photo.png")
    maps = []
    for given in ("fp32", precision):
        path, out = tmp_path / f"{given}.onnx", tmp_path / given
        export = ["export", "--clip", "tiny_clip", "--dense", "sclip", "--precision", given, "--out", str(path)]
        assert main(export) == 0 and f"MiB, {given})" in capsys.readouterr().out
        told = ["--labels", "red star, grass", "--out", str(out)]
        assert main(["predict", str(path), str(tmp_path / "photo.png"), *told]) == 0
        maps.append(np.asarray(Image.open(out / "photo_labels.png")))
    assert (maps[0] == maps[1]).mean() >= least
    assert path.stat().st_size < 0.6 * (tmp_path / "fp32.onnx").stat().st_size
