"""Training by the real runner, on scenes and on photos in VQAv2's layout, then answers from the command line."""

import json

import pytest
import torch
from PIL import Image

from clipkit import cli
from clipkit.convert.checkpoints import convert_file
from clipkit.data.images import read_image
from clipkit.engine.build import build_runner
from clipkit.errors import ClipkitError
from clipkit.predict.answerer import Answerer
from clipkit.shapes import render
from clipkit.shapes.chunks import to_bytes

SMALL = {
    "train_dataloader.dataset.length": 24,
    "val_dataloader.dataset.length": 12,
    "test_dataloader.dataset.length": 12,
}
FEW = {"train_cfg.max_iters": 2, "train_cfg.val_interval": 2, "model.dim": 32}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vqa")
    options = {
        **SMALL,
        **FEW,
        "variables.store": str(folder / "store"),
        "val_evaluator.answers": str(folder / "a.json"),
    }
    runner = build_runner("vqa/vqa_tiny_shapes.py", work_dir=str(folder / "work"), cfg_options=options, seed=0)
    before = {name: value.clone() for name, value in runner.model.named_parameters()}
    runner.train()
    changed = {name for name, value in runner.model.named_parameters() if not torch.equal(value, before[name])}
    assert not [name for name in changed if name.startswith("clip.")]
    assert {"alignment", "proj.weight", "text.words.embedding.weight"} <= changed
    return folder


def photo(folder, seed=5):
    path = folder / f"scene{seed}.png"
    Image.fromarray(to_bytes(render(1, seed=seed).images)[0]).save(path)
    return path


def test_every_question_of_the_test_is_answered(trained):
    rows = json.loads((trained / "a.json").read_text())
    assert len(rows) == len({row["question_id"] for row in rows}) > 70
    assert {row["question_id"].split("/")[0] for row in rows} == {str(i) for i in range(12)}


def test_answers_from_the_command_line(trained, capsys):
    path, out = photo(trained), trained / "out"
    asked = ["what colour is the star?", "where is it?"]
    command = ["predict", str(trained / "work"), str(path), "--out", str(out)]
    assert cli.main([*command, "--ask", asked[0], "--ask", asked[1]]) == 0
    assert "1 of 1 images, 2 questions" in capsys.readouterr().out
    record = json.loads((out / "scene5.json").read_text())
    assert [one["question"] for one in record["answers"]] == asked
    scores = [row["score"] for row in record["answers"][0]["answers"]]
    assert scores == sorted(scores, reverse=True) and len(scores) == 5
    assert Image.open(out / "scene5_answer.png").size[0] > 2 * 256

    answerer = Answerer.load(trained / "work")
    (first, _) = answerer(path, asked)
    assert [name for name, _ in first.answers] == [row["answer"] for row in record["answers"][0]["answers"]]
    assert first.looked.shape == (8, 8) and float(first.looked.sum()) == pytest.approx(1, abs=1e-4)
    wide = Image.fromarray(read_image(path)).resize((128, 64))
    assert answerer(wide, "what is the ground?")[0].looked.shape == (8, 16)  # any size


def test_what_a_person_can_get_wrong(trained, tmp_path):
    path = photo(tmp_path)
    with pytest.raises(ClipkitError, match="--ask"):
        Answerer.load(trained / "work")(path)
    with pytest.raises(SystemExit):
        cli.main(["predict", str(trained / "work"), str(path), "--ask"])
    assert cli.main(["predict", str(trained / "work"), str(path), "--ask", "is it?", "--labels", "a"]) == 2
    segmenter = ["predict", "dense_clip/dense_tiny_shapes.py", "none", str(path), "--out", str(tmp_path / "o")]
    assert cli.main([*segmenter, "--ask", "is it?"]) == 2


def vqa_files(folder):
    """Two photos with three questions each, in VQAv2's layout."""
    questions, annotations = [], []
    for split in ("train", "val"):
        (folder / f"{split}2014").mkdir()
        questions, annotations = [], []
        for image in (1, 2):
            to = folder / f"{split}2014" / f"COCO_{split}2014_{image:012d}.jpg"
            Image.fromarray(to_bytes(render(1, seed=image).images)[0]).resize((96, 64)).save(to)
            for n, (text, answer) in enumerate([("Is it red?", "yes"), ("How many?", "2"), ("What is it?", "a star")]):
                number = 10 * image + n
                questions.append({"image_id": image, "question": text, "question_id": number})
                people = [{"answer": answer, "answer_id": k, "answer_confidence": "yes"} for k in range(10)]
                annotations.append(
                    {"question_id": number, "question_type": text.split()[0], "answer_type": "other", "answers": people}
                )
        name = f"v2_OpenEnded_mscoco_{split}2014_questions.json"
        (folder / name).write_text(json.dumps({"questions": questions}))
        (folder / f"v2_mscoco_{split}2014_annotations.json").write_text(json.dumps({"annotations": annotations}))


def options(folder):
    loaders = ("train_dataloader", "val_dataloader", "test_dataloader")
    quick = {f"{loader}.{key}": value for loader in loaders for key, value in
             (("num_workers", 0), ("persistent_workers", False), ("batch_size", 2))}  # fmt: skip
    return {
        **quick,
        **FEW,
        "model.heads": 2,
        "model.depth": 1,
        "variables.clip": "tiny_clip",
        "variables.weights": None,
        "variables.size": 64,
        "variables.store": str(folder / "grids"),
        "variables.vocabulary": str(folder / "vocabulary.json"),
        "val_evaluator.answers": str(folder / "answers.json"),
    }


def test_vqas_files(tmp_path):
    vqa_files(tmp_path)
    more = {"variables.root": str(tmp_path), "model.vocabulary.at_least": 1}
    runner = build_runner("vqa/vqa_v2.py", work_dir=str(tmp_path / "w"), cfg_options={**options(tmp_path), **more})
    runner.train()
    assert runner.model.answers == ("yes", "2", "star")
    assert [row["question_id"] for row in json.loads((tmp_path / "answers.json").read_text())] == [
        10,
        11,
        12,
        20,
        21,
        22,
    ]
    with pytest.raises(ClipkitError, match="at_least"):
        (tmp_path / "vocabulary.json").unlink()
        build_runner(
            "vqa/vqa_v2.py",
            work_dir=str(tmp_path / "x"),
            cfg_options={**options(tmp_path), **more, "model.vocabulary.at_least": 9},
        )


def test_ones_own_lines(tmp_path):
    photo(tmp_path)
    line = {"image": "scene5.png", "question": "what is it?", "answer": "a star"}
    lines = tmp_path / "own.jsonl"
    lines.write_text(json.dumps(line) + "\n" + json.dumps(line))
    more = {f"variables.{key}": value for key, value in
            dict(train=str(lines), test=str(lines), images=str(tmp_path), at_least=1).items()}  # fmt: skip
    runner = build_runner("vqa/vqa_folder.py", work_dir=str(tmp_path / "w"), cfg_options={**options(tmp_path), **more})
    runner.train()
    assert [row["answer"] for row in json.loads((tmp_path / "answers.json").read_text())] == ["star", "star"]


def test_lxmert_starts_from_a_converted_file(tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = dict(hidden_size=24, num_attention_heads=2, intermediate_size=32, l_layers=1, r_layers=1, x_layers=1)
    theirs = transformers.LxmertModel(transformers.LxmertConfig(visual_feat_dim=144, **sizes))
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    (note,) = (line for line in convert_file("vqa", tmp_path / "theirs.pth", tmp_path / "start.pth") if "for m" in line)
    found = dict(part.split("=") for part in note.rstrip(")").split(", ")[1:])
    vqa_files(tmp_path)
    (tmp_path / "bert.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nwhat\nis\nit\nred\n")
    own = {key: value for key, value in options(tmp_path).items() if key != "model.dim" and key != "model.depth"}
    more = {
        "variables.root": str(tmp_path),
        "variables.bert": str(tmp_path / "bert.txt"),
        "model.vocabulary.at_least": 1,
        "load_from": str(tmp_path / "start.pth"),
        "optim_wrapper.optimizer.lr": 0.0,
        **{f"model.{key}": int(value) for key, value in found.items()},
    }
    runner = build_runner("vqa/vqa_v2_lxmert.py", work_dir=str(tmp_path / "w"), cfg_options={**own, **more})
    runner.train()
    layer = theirs.encoder.x_layers[0].visual_attention.att.query.weight
    torch.testing.assert_close(runner.model.cross[0].cross.q_proj.weight, layer, rtol=0, atol=1e-4)
    answerer = Answerer.load(tmp_path / "w")
    (found,) = answerer(photo(tmp_path), ["what is it?"])
    assert found.looked.shape == (8, 8) and len(found.answers) == 3


def test_a_kind_that_there_is_not(tmp_path):
    with pytest.raises(ClipkitError, match='no kind "size"'):
        runner = build_runner("vqa/vqa_tiny_shapes.py", work_dir=str(tmp_path),
                              cfg_options={**SMALL, "train_dataloader.dataset.mix": dict(size=1)})  # fmt: skip
        runner.train()
