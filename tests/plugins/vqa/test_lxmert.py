"""LXMERT's layers against transformers' and the converter of files in its layout, key for key."""

import pytest
import torch

pytest.importorskip("transformers")

import transformers
from clipkit_plugins.vqa.convert import DROPPED, convert

from clipkit.convert.checkpoints import convert_file
from clipkit.embed.grids import Grid
from clipkit.engine.plugins import load_plugins
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.shapes import render

SIZES = dict(width=24, heads=3, hidden=32)
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "what", "colour", "is", "the", "star", "##s", "?"]


@pytest.fixture(scope="module")
def vocab(tmp_path_factory):
    path = tmp_path_factory.mktemp("bert") / "vocab.txt"
    path.write_text("\n".join(PIECES) + "\n")
    return str(path)


def build(vocab, **options):
    torch.manual_seed(1)
    options = dict(text_layers=2, cell_layers=1, cross_layers=2) | SIZES | options
    load_plugins("vqa")
    found = dict(type="LxmertVQA", clip="tiny_clip", vocabulary="shapes", vocab=vocab, **options)
    return MODELS.build(found).eval()


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    config = transformers.LxmertConfig(
        hidden_size=24, num_attention_heads=3, intermediate_size=32, l_layers=2, r_layers=1, x_layers=2,
        visual_feat_dim=144, num_qa_labels=48,
    )  # fmt: skip
    model = transformers.LxmertForQuestionAnswering(config).eval()
    for value in model.parameters():  # random everywhere, also where it begins with 0 or 1
        value.data.normal_(0, 0.3)
    features = model.lxmert.encoder.visn_fc
    features.forward = lambda cells, boxes: features.visn_layer_norm(features.visn_fc(cells))  # a grid has no boxes
    return model


@torch.no_grad()
def test_as_transformers(vocab, theirs):
    ours = build(vocab)
    state = convert(theirs.state_dict()).state
    left = set(ours.state_dict()) - set(state)
    assert left == {"vocabulary"} and not set(state) - set(ours.state_dict())
    ours.classify[3] = torch.nn.Linear(48, 48)
    ours.load_state_dict(state, strict=False)
    ids = torch.randint(1, 30000, (3, 7))
    mask = torch.arange(7) < torch.tensor([7, 4, 5])[:, None]
    cells, seen = torch.randn(3, 6, 144), torch.arange(6) < torch.tensor([6, 6, 3])[:, None]
    found = theirs(ids, cells, torch.zeros(3, 6, 4), attention_mask=mask.long(), visual_attention_mask=seen.long())
    inner = theirs.lxmert(ids, cells, torch.zeros(3, 6, 4), attention_mask=mask.long(), visual_attention_mask=seen)
    embedded = torch.stack([ours.embed(Grid(one, None, None)) for one in cells])
    text, visual = ours.fuse(ids, mask, embedded, seen)
    torch.testing.assert_close(text[mask], inner.language_output[mask], rtol=0, atol=1e-5)
    torch.testing.assert_close(visual[seen], inner.vision_output[seen], rtol=0, atol=1e-5)
    logits = ours.classify(ours.pool(text[:, 0]).tanh())
    torch.testing.assert_close(logits, found.question_answering_score, rtol=0, atol=1e-5)


def clip_vil(model):
    """A state dict in CLIP-ViL's layout, of one row of layers, that stands for a joint model."""
    torch.manual_seed(2)
    config = transformers.BertConfig(
        hidden_size=24, num_attention_heads=3, intermediate_size=32, num_hidden_layers=2, attn_implementation="eager"
    )
    bert = transformers.BertModel(config).eval()
    state = {f"lxrt_encoder.model.bert.{key}": value for key, value in bert.state_dict().items()}
    more = {
        "encoder.visn_fc.visn_fc": model.embed.proj,
        "encoder.visn_fc.visn_layer_norm": model.embed.norm,
        "encoder.visn_fc.box_fc": torch.nn.Linear(4, 24),
        "encoder.visual_pos.x_position_embedding": model.embed.row,
        "encoder.visual_pos.y_position_embedding": model.embed.column,
        "encoder.visual_model": model.clip.model,
    }
    for name, module in more.items():
        state |= {f"lxrt_encoder.model.bert.{name}.{key}": value for key, value in module.state_dict().items()}
    return bert, state | {f"logit_fc.{key}": value for key, value in model.classify.state_dict().items()}


@torch.no_grad()
def test_clip_vils_one_row_of_layers(vocab):
    model = build(vocab, text_layers=0, cell_layers=0, cross_layers=0, joint_layers=2, positions=9)
    bert, state = clip_vil(model)
    converted = convert(state)
    assert "joint_layers=2, width=24, hidden=32, positions=9)" in converted.notes[0]
    assert any(note.startswith("left out: 2 of ") and "boxes" in note for note in converted.notes)
    clip = {key: value for key, value in converted.state.items() if key.startswith("clip.")}
    assert clip.keys() == {f"clip.{key}" for key in model.clip.state_dict()}
    converted.state["clip.model.logit_scale"] = torch.tensor(1.25)
    model.load_state_dict({**converted.state, "vocabulary": model.vocabulary}, strict=True)
    assert model.clip.model.logit_scale == 1.25
    ids, cells = torch.randint(1, 30000, (2, 5)), torch.randn(2, 4, 24)
    mask, seen = torch.arange(5) < torch.tensor([[5], [3]]), torch.ones(2, 4, dtype=torch.bool)
    text, visual = model.fuse(ids, mask, cells, seen)
    both = torch.cat([bert.embeddings(ids), cells], 1)
    added = torch.zeros(2, 1, 1, 9).masked_fill(~torch.cat([mask, seen], 1)[:, None, None], -1e4)
    wanted = bert.encoder(both, attention_mask=added).last_hidden_state
    torch.testing.assert_close(torch.cat([text, visual], 1)[:, 5:], wanted[:, 5:], rtol=0, atol=1e-5)
    torch.testing.assert_close(text[mask], wanted[:, :5][mask], rtol=0, atol=1e-5)


def test_what_does_not_fit(theirs, tmp_path, vocab):
    state = theirs.state_dict()
    with pytest.raises(ClipkitError, match=r"no place in LXMERT: lxmert_new"):
        convert(state | {"lxmert_new.weight": torch.zeros(1)})
    hole = {key: value for key, value in state.items() if "x_layers.0.lang_inter.dense.bias" not in key}
    with pytest.raises(ClipkitError, match=r"lacks weights of its layers: cross\.0\.text\.up\.bias"):
        convert(hole)
    with pytest.raises(ClipkitError, match="is no checkpoint of LXMERT"):
        convert({"logit_fc.0.weight": torch.zeros(1)})
    with pytest.raises(ClipkitError, match="not back"):
        convert(state, reverse=True)
    heads = {"cls.predictions.bias": torch.zeros(2), "obj_predict_head.transform.dense.bias": torch.zeros(2)}
    torch.save(state | heads, tmp_path / "lxmert.pth")
    lines = convert_file("vqa", tmp_path / "lxmert.pth", tmp_path / "ours.pth")
    assert "text_layers=2, cell_layers=1, cross_layers=2, joint_layers=0" in lines[1]
    assert sum(line.startswith("left out") for line in lines) == len(DROPPED) - 1  # all but the old constant
    assert any(line.startswith("48 answers") for line in lines)
    with pytest.raises(ClipkitError, match="set joint_layers, or"):
        build(vocab, joint_layers=2)
    with pytest.raises(ClipkitError, match=r"no such file: give bert-base-uncased's vocab\.txt"):
        build(str(tmp_path / "none.txt"))


@torch.no_grad()
def test_pictures_and_questions_do_not_see_each_other(vocab):
    model = build(vocab, positions=16)
    wide = torch.cat([render(1, seed=8).images, render(1, seed=9).images], dim=3)
    grids = [Grid(*(p if p is None else p[0] for p in model.look(i)[0])) for i in (render(1, seed=7).images, wide)]
    asked = [["what colour is the stars?", "what?"], ["is the star " + "the " * 30]]
    assert model.encode(asked[1])[0].shape == (1, 20) and model.encode(asked[1])[0][0, -1] == PIECES.index("[SEP]")
    together, maps = model.score(grids, asked, maps=True)
    for grid, own, logits, looked in zip(grids, asked, together, maps):
        assert looked.shape == (len(own), len(grid.cells))
        for question, row, where in zip(own, logits, looked):
            alone, map_alone = model.score([grid], [[question]], maps=True)
            torch.testing.assert_close(alone[0][0], row, rtol=0, atol=2e-5)
            torch.testing.assert_close(map_alone[0][0], where, rtol=0, atol=2e-5)
    turned = Grid(grids[0].cells, grids[0].place.flip(0), None)
    assert (model.score([turned], asked[:1])[0][0] - together[0]).abs().max() > 1e-4
    with pytest.raises(ClipkitError, match="a grid of 16 rows or columns, and 9 have positions"):
        build(vocab, positions=9).score(grids, asked)
