"""CLIPs and few-shot heads as ONNX, from the command line to the files of `clipkit predict`."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("onnxruntime", reason="the extra onnx")

from clipkit.adapters import TipAdapter
from clipkit.backbone import FrozenCLIP
from clipkit.cli import main
from clipkit.export import About, HeadGraph, OnnxFile, export_onnx, open_onnx
from clipkit.export.about import parse_about
from clipkit.predict.dense import DenseSegmenter
from clipkit.predict.predictor import load_model
from support.scenes import scene


@pytest.fixture(scope="module")
def clip():
    return FrozenCLIP.from_pretrained("tiny_clip", dense="vanilla")


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    path = tmp_path_factory.mktemp("tower") / "tower.onnx"
    assert main(["export", "--clip", "tiny_clip", "--out", str(path)]) == 0
    return path


def test_the_tower_gives_cosines_and_embeddings(tower, clip):
    pictures = np.stack([scene(), scene()[::-1]])
    rows = clip.encode_text(["a red star", "grass", "water"])
    scores, embedding = OnnxFile(tower).run(pictures=pictures, text=rows.numpy())
    wanted = clip.encode_image(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    assert torch.allclose(torch.from_numpy(embedding), wanted, atol=1e-5)
    assert torch.allclose(torch.from_numpy(scores), clip.logit_scale * wanted @ rows.T, atol=1e-4)


def test_predict_names_pictures(tower, clip, tmp_path, capsys):
    from PIL import Image

    Image.fromarray(np.concatenate([scene(), scene()], 1)).save(tmp_path / "wide.png")
    told = ["--labels", "grass, blue ring; ring, water", "--out", str(tmp_path)]
    assert main(["predict", str(tower), str(tmp_path / "wide.png"), *told]) == 0
    found = json.loads((tmp_path / "wide.json").read_text())["names"]
    result = open_onnx(tower)[0](tmp_path / "wide.png", "grass, blue ring; ring, water")
    assert [name for name, _ in result.best()] == [one["name"] for one in found]
    cut = clip.preprocess(Image.open(tmp_path / "wide.png"))[None]
    from clipkit.text import TextBank, Vocabulary

    words = Vocabulary.parse("grass, blue ring; ring, water", templates="simple")
    wanted = (clip.logit_scale * clip.encode_image(cut) @ TextBank(clip).encode(words).matrix.T).softmax(1)[0]
    assert torch.allclose(result.scores, wanted, atol=1e-4)
    assert (tmp_path / "wide_named.png").is_file()


def test_without_labels_of_its_own_it_asks_for_some(tower, tmp_path, capsys):
    assert main(["predict", str(tower), str(tmp_path), "--out", str(tmp_path / "o")]) == 2
    assert main(["predict", str(tower), str(tower), "--out", str(tmp_path / "o")]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_a_dense_map_segments_as_try_does(clip, tmp_path):
    path = tmp_path / "dense.onnx"
    command = ["export", "--clip", "tiny_clip", "--dense", "vanilla", "--out", str(path)]
    assert main(command) == 0
    photo = np.concatenate([scene(), scene()[:, ::-1]], axis=1)
    options = {"short_side": 64, "window": 64, "stride": 32}
    wanted = DenseSegmenter(clip, **options)(photo, ["red star", "grass"])
    found = open_onnx(path)[0](photo, ["red star", "grass"])
    assert found.names == ("red star", "grass", "background")
    assert (found.labels == wanted.labels).float().mean() > 0.999


@pytest.mark.slow
def test_classification_names_with_the_prompts_of_its_config(clip, tmp_path):
    config = ["clip/zeroshot_tiny_shapes.py", "none"]
    assert main(["export", *config, "--out", str(tmp_path / "a.onnx")]) == 0
    file, given = open_onnx(tmp_path / "a.onnx")[0], ["a red star", "grass"]
    model, _ = load_model(*config[:1], None, "cpu")
    assert file.model.about.text["templates"] == list(list(model.ensembles.values())[-1])
    rows = file.model.encode_labels(given).matrix
    seen = clip.encode_image(torch.tensor(scene()[None]).permute(0, 3, 1, 2))
    assert torch.allclose(file(scene(), given).scores, (clip.logit_scale * seen @ rows.T).softmax(1)[0], atol=1e-4)


@pytest.mark.slow
def test_a_few_shot_head(clip, tmp_path):
    torch.manual_seed(0)
    rows, shots = F.normalize(torch.randn(3, 128), dim=1), torch.randn(1, 6, 128)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    head = TipAdapter(shots, labels, rows, 20.0)
    graph = HeadGraph(clip, head.eval(), (64, 64))
    about = About("classify", type(head).__name__, (64, 64), 8)
    assert export_onnx(graph, about, tmp_path / "head.onnx").agreement >= 0.999
    scores = OnnxFile(tmp_path / "head.onnx").run(pictures=scene()[None])[0]
    with torch.no_grad():
        wanted = head(clip.encode_image(torch.tensor(scene()[None]).permute(0, 3, 1, 2), normalize=False))
    assert np.allclose(scores, wanted.numpy(), atol=1e-4)


@pytest.mark.slow
def test_pt2_is_read_by_torch(clip, tmp_path, capsys):
    path = tmp_path / "tower.pt2"
    assert main(["export", "--clip", "tiny_clip", "--format", "pt2", "--size", "any", "--out", str(path)]) == 0
    assert "10 inputs: largest difference" in capsys.readouterr().out
    extra = {"clipkit": ""}
    program = torch.export.load(path, extra_files=extra)
    assert parse_about(extra["clipkit"], path).multiple == 8
    rows = clip.encode_text(["grass", "water"])
    scores, _ = program.module()(torch.from_numpy(scene()[None]), rows)
    wanted = clip.logit_scale * clip.encode_image(torch.tensor(scene()[None]).permute(0, 3, 1, 2)) @ rows.T
    assert torch.allclose(scores, wanted, atol=1e-4)
