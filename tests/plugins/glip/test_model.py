"""GLIP's dot product, losses and scores against plain loops in float64; chunks, sentences, one step of training."""

import json
import math
import random

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmdet)

pytest.importorskip("mmdet")
pytest.importorskip("transformers")

from clipkit_plugins.glip.head import phrase_scores
from clipkit_plugins.glip.text import BertPrompts, PromptTokens
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from PIL import Image
from safetensors.torch import save_file

from clipkit.cli import main
from clipkit.detection.prompts import Prompt, list_prompt, read_sentence
from clipkit.engine.build import build_runner
from clipkit.engine.class_names import read_classes
from clipkit.errors import ClipkitError
from clipkit.predict.detector import Detector
from clipkit.shapes import render
from clipkit.text import Vocabulary
from support.closed_form import closed_form_
from support.glip_parts import released, world

TINY = {
    "train_cfg.max_iters": 2,
    "train_cfg.val_interval": 2,
    "train_dataloader.batch_size": 4,
    "train_dataloader.dataset.length": 8,
    "val_dataloader.dataset.length": 4,
}


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def sample(size=64, **about):
    meta = {"img_shape": (size, size), "ori_shape": (size, size), "pad_shape": (size, size), "img_id": 0}
    return DetDataSample(metainfo={**meta, "scale_factor": (1.0, 1.0), **about})


@pytest.fixture(scope="module")
def shallow():
    return world()


@pytest.fixture(scope="module")
def deep():
    return world(deep=True)


def detect(model, names, images, **cfg):
    """Scores of every (place, name) above the threshold, as predictions."""
    model.test_cfg.update(cfg)
    model.set_labels(names)
    batch = {"inputs": list((images * 255).round().flip(1).byte()), "data_samples": [sample() for _ in images]}
    with torch.no_grad():
        return [one.pred_instances for one in model.test_step(batch)]


def test_token_logits_are_the_formula(shallow):
    head = shallow.bbox_head
    with torch.no_grad():
        head.log_scale.fill_(0.3)
        closed_form_(head.project_text, 0.5)
        head.bias_text.copy_(torch.linspace(-0.4, 0.7, len(head.bias_text)))
    places, tokens = torch.randn(1, 3, 96), torch.randn(1, 2, 96)
    found = head.token_logits(places, tokens)
    weight, bias = head.project_text.weight.double().tolist(), head.project_text.bias.double().tolist()
    by_token, start = head.bias_text.double().tolist(), float(head.bias)
    for n in range(3):
        for i in range(2):
            e = tokens[0, i].double().tolist()
            length = math.sqrt(sum(x * x for x in e))
            e = [x / length for x in e]
            key = [sum(w * x / 2 for w, x in zip(row, e)) + b for row, b in zip(weight, bias)]
            wanted = sum(v * k for v, k in zip(places[0, n].double().tolist(), key)) / math.exp(float(head.log_scale))
            wanted += sum(x * b for x, b in zip(e, by_token)) + start
            assert abs(float(found[0, n, i]) - wanted) <= 1e-5
    assert float(head.token_logits(places * 1e8, tokens).abs().max()) == 50_000
    with torch.no_grad():
        head.log_scale.zero_(), head.bias_text.zero_()


def test_phrase_scores_are_the_formula():
    logits, centerness = torch.randn(4, 5), torch.randn(4)
    phrases = torch.tensor([[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.bool)
    mean, score = phrase_scores(logits, centerness, phrases)
    for n in range(4):
        for p, row in enumerate(phrases.tolist()):
            own = [sigmoid(float(logits[n, i])) for i, on in enumerate(row) if on]
            wanted = sum(own) / max(len(own), 1)
            assert abs(float(mean[n, p]) - wanted) <= 1e-6
            assert abs(float(score[n, p]) - math.sqrt(wanted * sigmoid(float(centerness[n])))) <= 1e-6


def giou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    inter = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return inter / union - (hull - union) / hull


@pytest.mark.parametrize("coder", ["DeltaXYWHBBoxCoder", "DeltaXYWHBBoxCoderForGLIP"])
def test_losses_are_loops(coder):
    """One picture, two objects, one of them named by two phrases; the assignment itself is mmdet's."""
    head = world(**{"model.bbox_head.bbox_coder.type": coder}).bbox_head
    closed_form_(head, 0.2)
    levels = [torch.randn(1, 96, n, n, generator=torch.Generator().manual_seed(n)) for n in (8, 4)]
    tokens = torch.randn(1, 4, 96, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, True, True, False]])
    phrases = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], dtype=torch.bool)
    text = PromptTokens(tokens, mask, mask[:, None], [phrases])
    truth = torch.tensor([[10.0, 12.0, 30.0, 40.0], [35.0, 8.0, 60.0, 30.0]])
    one = sample()
    one.gt_instances = InstanceData(bboxes=truth, labels=torch.tensor([7, 7]))
    positives = torch.stack([phrases[0] | phrases[1], phrases[2]])
    found = head.loss(levels, text, [one], [positives])

    shift = 1.0 if head.inclusive else 0.0
    seen = head.see(levels)
    out = head(seen, text)
    priors = torch.cat(head.prior_generator.grid_priors([(8, 8), (4, 4)], device="cpu"))
    moved = priors - torch.tensor([0, 0, shift, shift])
    boxes = truth - torch.tensor([0, 0, shift, shift])
    owner = head.assigner.assign(
        InstanceData(priors=moved), [64, 16], InstanceData(bboxes=boxes, labels=torch.tensor([0, 1]))
    ).gt_inds.tolist()
    on = [n for n, one in enumerate(owner) if one > 0]
    assert len(on) > 2 and {owner[n] for n in on} == {1, 2}
    logits = out.logits[0].double().tolist()
    focal = 0.0
    for n in range(80):
        for i in range(3):  # the fourth token is padding
            p = sigmoid(logits[n][i])
            hit = owner[n] > 0 and bool(positives[owner[n] - 1, i])
            focal += -0.25 * (1 - p) ** 2 * math.log(p) if hit else -0.75 * p**2 * math.log(1 - p)
    assert abs(float(found["loss_cls"]) - focal / len(on)) <= 1e-5 * max(1, focal / len(on))

    box_loss = centre_loss = weights = 0.0
    decoded = head.bbox_coder.decode(priors, out.deltas[0]).double().tolist()
    for n in on:
        box, prior = boxes[owner[n] - 1].tolist(), moved[n].tolist()
        x, y = (prior[0] + prior[2]) / 2, (prior[1] + prior[3]) / 2
        sides = (x - box[0], box[2] - x), (y - box[1], box[3] - y)
        centre = math.sqrt(math.prod(min(side) / max(side) for side in sides))
        box_loss += 2 * centre * (1 - giou(decoded[n], box))
        logit = float(out.centerness[0, n])
        centre_loss += -centre * math.log(sigmoid(logit)) - (1 - centre) * math.log(1 - sigmoid(logit))
        weights += centre
    assert abs(float(found["loss_bbox"]) - box_loss / max(weights, 1)) <= 1e-5
    assert abs(float(found["loss_centerness"]) - centre_loss / len(on)) <= 1e-5


def test_a_picture_without_objects_has_a_loss(shallow):
    text = shallow.text([list_prompt(["red star", "blue ring"])])
    one = sample()
    one.gt_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64))
    levels = shallow.extract_feat(torch.zeros(1, 3, 64, 64))
    losses = shallow.bbox_head.loss(levels, text, [one], [text.phrases[0][:0]])
    assert float(losses["loss_cls"]) > 0 and float(losses["loss_bbox"]) == 0 == float(losses["loss_centerness"])
    sum(losses.values()).backward()


def test_shallow_scores_are_the_same_for_any_chunks(shallow):
    """30 names in any order, 2 to 30 a prompt: logits of each name's tokens, and the boxes in the end."""
    names = read_classes("shapes:objects")[:30]
    levels = shallow.bbox_head.see(shallow.extract_feat(torch.rand(2, 3, 64, 64)))

    def scores(parts):
        table = {}
        for part in parts:
            text = shallow.text([list_prompt(part)])
            out = shallow.bbox_head(levels, text)
            for b in range(2):
                mean, _ = phrase_scores(out.logits[b], out.centerness[b], text.phrases[0])
                table |= {(b, name): mean[:, i] for i, name in enumerate(part)}
        return table

    with torch.no_grad():
        whole = scores([names])
        for seed, size in ((0, 2), (1, 7), (2, 13)):
            order = random.Random(seed).sample(names, len(names))
            parts = scores([order[i : i + size] for i in range(0, len(order), size)])
            assert max(float((parts[key] - whole[key]).abs().max()) for key in whole) <= 1e-5
    images = render(2, seed=3).images
    one = detect(shallow, names, images, chunk_tokens=256, score_thr=0.0)
    assert len(shallow.chunks) == 1
    many = detect(shallow, names, images, chunk_tokens=9, score_thr=0.0)
    assert len(shallow.chunks) > 8
    for a, b in zip(one, many):
        assert len(a) == 100 and (a.scores - b.scores).abs().max() <= 1e-5


def test_deep_scores_depend_on_the_prompt(deep):
    """What shallow promises, deep cannot; this is why its chunks are as in training."""
    levels = deep.extract_feat(torch.rand(1, 3, 64, 64))
    with torch.no_grad():
        for block in deep.bbox_head.tower:
            block.fuse.scale_v.fill_(1.0)
        alone = deep.bbox_head(levels, deep.text([list_prompt(["red star"])])).logits[0]
        both = deep.bbox_head(levels, deep.text([list_prompt(["red star", "blue ring"])])).logits[
            0, :, : alone.shape[1]
        ]
    assert (alone - both).abs().max() > 1e-6


def test_synonyms_are_one_label_and_a_background_is_refused(shallow):
    images = render(2, seed=4).images
    found = detect(shallow, "red star; scarlet star, blue ring", images, score_thr=0.0)
    assert shallow.label_names == ("red star", "blue ring")
    assert {int(i) for one in found for i in one.labels} <= {0, 1}
    assert shallow.set_labels() == tuple(read_classes("shapes:objects"))
    with pytest.raises(ClipkitError, match="takes no others background"):
        shallow.set_labels(Vocabulary(["red star"], background="others"))


def test_a_name_that_is_too_long_is_named(shallow):
    long = "red " * 40 + "star"
    with pytest.raises(ClipkitError, match=r"red red .*has more tokens than this text tower takes, 30"):
        shallow.set_labels(["blue ring", long])


def test_suppression_over_all_names_leaves_one_name_a_place(shallow):
    images = render(2, seed=5).images
    names = read_classes("shapes:objects")[:12]
    alone = detect(shallow, names, images, score_thr=0.0, nms_over="all", max_per_img=1000)
    per_class = detect(shallow, names, images, score_thr=0.0, nms_over="class", max_per_img=1000)
    shallow.test_cfg.max_per_img = 100
    assert all(len(a) < len(b) for a, b in zip(alone, per_class))
    with pytest.raises(ClipkitError, match="nms_over='none' is unknown"):
        world(**{"model.test_cfg.nms_over": "none"})


def test_a_picture_in_which_nothing_is_found(shallow):
    found = detect(shallow, ["red ring"], torch.rand(1, 3, 64, 64), score_thr=1.0)[0]
    assert len(found) == 0 and found.bboxes.shape == (0, 4) and "levels" not in found


def test_text_of_a_list_and_of_a_sentence(shallow):
    listed = shallow.text([list_prompt(["red star", "blue ring"])])
    assert listed.phrases[0].shape == (2, 6) and listed.phrases[0].sum(1).tolist() == [3, 3]  # two words and an end
    assert not listed.attend[0, 0, 3] and listed.attend[0, 0, 2]
    sentence = shallow.text([read_sentence("[a red star] left of [a blue ring]"), list_prompt(["dot"])])
    assert sentence.mask[0].all() and not sentence.mask[1].all() and sentence.attend[0].all()
    assert (sentence.phrases[0].sum(0) <= 1).all() and not sentence.phrases[0][:, 4:7].any()  # "left of" names nothing
    two = Prompt("red star and ring", (((0, 8),), ((0, 3), (13, 17))))
    owned = shallow.text([two]).phrases[0]
    assert (owned.sum(0) == 2).any()  # "red" belongs to both
    with pytest.raises(ClipkitError, match="has 102 tokens, and 64 are read"):
        shallow.text([read_sentence("[a star] left of " * 17)])


def test_a_tuned_text_tower_trains_where_it_is_told_to(tmp_path):
    tune = {"model.text.tune": {"unfreeze": ["transformer.resblocks.0.*"]}}
    runner = build_runner("glip/glip_tiny_shapes.py", work_dir=tmp_path, seed=0, cfg_options={**TINY, **tune})
    text, names = runner.model.text, ["red star", "ring"]

    def states():
        """Of the path with gradients, and of what is remembered, which must be the same."""
        live = text._states(names)
        with torch.no_grad():
            kept = text._states(names)
        for name in names:
            assert live[name].requires_grad and (live[name] - kept[name]).abs().max() <= 1e-5
        return kept

    before, weights = states(), {k: v.clone() for k, v in text.clip.state_dict().items()}
    runner.train()
    assert all((before[name] - state).abs().max() > 1e-4 for name, state in states().items())
    changed = {k for k, v in text.clip.state_dict().items() if not torch.equal(v, weights[k])}
    assert changed and all(k.startswith("model.transformer.resblocks.0.") for k in changed)
    assert any(key.startswith("text.clip.") for key in runner.model.state_dict())  # the checkpoint has them


def test_a_sentence_gives_boxes_and_a_picture(shallow):
    detector = Detector(shallow)
    image = (render(1, seed=6).images[0].permute(1, 2, 0) * 255).byte().numpy()
    found = detector(image, GLIP_SENTENCE := shallow.read_sentence("[a red star] left of [the blue ring]"))
    assert found.names == ("a red star", "the blue ring") == GLIP_SENTENCE.phrases
    assert found.sentence == (("a red star", 0), (" left of ", None), ("the blue ring", 1))
    assert found.plot().size[1] > 320  # the sentence stands under the picture
    assert detector(image, "red star").sentence is None


def test_bert_prompts_read_a_whole_prompt(tmp_path):
    model = released(tmp_path)
    text = model.text([list_prompt(["a man", "red cars"]), list_prompt(["ring"])])
    # [CLS] a man . red car ##s [SEP]
    assert text.phrases[0].int().tolist() == [[0, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 0]]
    assert text.mask.sum(1).tolist() == [8, 3] and text.attend.shape == (2, 1, 8)
    assert model.text.count(["a man", "red cars"]) == [3, 4]
    model.set_labels(["a man", "red car", "ring"] * 1)
    assert len(model.chunks) == 1
    with pytest.raises(ClipkitError, match="has 41 tokens, and 32 are read"):
        model.text([list_prompt(["man"] * 19 + ["a"])])
    with pytest.raises(ClipkitError, match="more than 30"):
        model.text.count(["a " * 33])


def test_a_strangers_bert_is_sizes_and_tensors(tmp_path):
    model, folder = released(tmp_path), tmp_path
    state = {f"bert.{key}": value + 1 for key, value in model.text.bert.state_dict().items()}
    old = {key.replace("LayerNorm.weight", "LayerNorm.gamma"): value for key, value in state.items()}
    save_file({**old, "cls.predictions.bias": torch.zeros(3)}, folder / "model.safetensors")
    for key, value in BertPrompts(str(folder)).bert.state_dict().items():
        assert torch.equal(value, state[f"bert.{key}"]), key
    del old["bert.embeddings.word_embeddings.weight"]
    save_file(old, folder / "model.safetensors")
    with pytest.raises(ClipkitError, match=r"model\.safetensors: lacks embeddings\.word_embeddings\.weight"):
        BertPrompts(str(folder))
    config = json.loads((folder / "config.json").read_text())
    (folder / "model.safetensors").unlink()
    (folder / "config.json").write_text(json.dumps({**config, "attn_implementation": "someone/code"}))
    assert BertPrompts(str(folder)).bert.config._attn_implementation != "someone/code"
    for bad in ("24", 10**9, True, None):
        (folder / "config.json").write_text(json.dumps({**config, "hidden_size": bad}))
        with pytest.raises(ClipkitError, match=r"config\.json: hidden_size is"):
            BertPrompts(str(folder))


def test_the_released_architecture_predicts(tmp_path):
    model = released(tmp_path)
    found = detect(model, ["a man", "red car"], torch.rand(1, 3, 64, 96), score_thr=0.0)[0]
    assert len(found) > 10 and found.bboxes.isfinite().all()


@pytest.mark.parametrize("config", ["glip/glip_tiny_shapes.py", "glip/glip_tiny_shapes_deep.py"])
def test_one_training_step_through_the_runner(tmp_path, config):
    runner = build_runner(config, work_dir=tmp_path, seed=0, cfg_options=TINY)
    clip = runner.model.text.clip
    before, weights = clip.weights_hash, {k: v.clone() for k, v in runner.model.state_dict().items()}
    runner.train()
    assert clip.weights_hash == before and not any("clip" in key for key in weights)
    still = [k for k, v in runner.model.named_parameters() if v.requires_grad and torch.equal(v, weights[k])]
    assert not still


def test_predict_with_labels_and_with_a_sentence(tmp_path, capsys):
    work, out, photo = tmp_path / "work", tmp_path / "out", tmp_path / "a.png"
    build_runner("glip/glip_tiny_shapes.py", work_dir=work, seed=0, cfg_options=TINY).train()
    Image.fromarray((render(1, seed=6).images[0].permute(1, 2, 0) * 255).byte().numpy()).save(photo)
    asked = ["predict", str(work), str(photo), "--out", str(out), "--min-score", "0", "--device", "cpu"]
    assert main([*asked, "--sentence", "[a red circle] left of [a blue star]"]) == 0
    found = json.loads((out / "a.json").read_text())
    assert found["labels"] == ["a red circle", "a blue star"] and found["objects"]
    assert found["sentence"] == "a red circle left of a blue star" and (out / "a_objects.png").is_file()
    assert main([*asked, "--labels", "red circle, blue star"]) == 0
    assert "sentence" not in json.loads((out / "a.json").read_text())
    assert main([*asked, "--labels", "red circle", "--sentence", "a star"]) == 2
    assert "labels and --sentence: give one of them" in capsys.readouterr().err
    assert main([*asked, "--sentence", "of the"]) == 2
    assert "has no phrase" in capsys.readouterr().err


def test_samples_without_prompts_are_refused(shallow):
    with pytest.raises(ClipkitError, match=r"put clipkit\.GroundingPrompt before the step that packs"):
        shallow.loss(torch.zeros(1, 3, 64, 64), [sample()])
