"""Few-shot adapters against the papers' formulae in plain float64 loops."""

import math

import pytest
import torch

from clipkit.adapters import ClipAdapter, PromptLearner, TipAdapter
from clipkit.backbone import FrozenCLIP, TunableCLIP
from clipkit.shapes import tiny_clip
from support.closed_form import closed_form_


def waves(*shape, start=0.0):
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) * math.sqrt(3) + start).reshape(shape)


def unit(row):
    length = math.sqrt(sum(float(v) ** 2 for v in row))
    return [float(v) / length for v in row]


def dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b))


CLASSIFIER = torch.tensor([unit(row) for row in waves(3, 8, start=5)], dtype=torch.float64)


def test_clip_adapter_is_the_paper_s_formula():
    module = closed_form_(ClipAdapter(CLASSIFIER, scale=20.0, ratio=0.3, reduction=2).double(), scale=0.7)
    images = 3 * waves(4, 8, start=1)
    found = module(images)
    down, up = module.down.weight.tolist(), module.up.weight.tolist()
    for i, image in enumerate(images.tolist()):
        hidden = [max(dot(row, image), 0) for row in down]
        adapted = [max(dot(row, hidden), 0) for row in up]
        mixed = unit([0.3 * a + 0.7 * f for a, f in zip(adapted, image)])
        for k in range(3):
            assert found[i, k].item() == pytest.approx(20 * dot(mixed, CLASSIFIER[k]), abs=1e-12)
    assert set(module.state_dict()) == {"down.weight", "up.weight"}
    zero = ClipAdapter(CLASSIFIER, scale=20.0, ratio=0.0).double()
    expected = 20 * torch.nn.functional.normalize(images, dim=-1) @ CLASSIFIER.T
    assert torch.allclose(zero(images), expected, atol=1e-12)


@pytest.mark.parametrize("views", [1, 3])
def test_tip_adapter_is_the_paper_s_formula(views):
    shots, labels = 2 * waves(views, 5, 8, start=2), torch.tensor([0, 2, 1, 2, 0])
    module = TipAdapter(shots[0] if views == 1 else shots, labels, CLASSIFIER, scale=30.0, alpha=1.4, beta=2.5)
    images = waves(4, 8, start=9)
    found = module(images)
    keys = []
    for m in range(5):
        rows = [unit(shots[v, m]) for v in range(views)]
        keys.append(unit([sum(row[d] for row in rows) / views for d in range(8)]))
    for i in range(4):
        image = unit(images[i])
        for k in range(3):
            cache = sum(math.exp(-2.5 * (1 - dot(image, key))) for key, y in zip(keys, labels.tolist()) if y == k)
            assert found[i, k].item() == pytest.approx(30 * dot(image, CLASSIFIER[k]) + 1.4 * cache, abs=1e-12)


def test_tip_adapter_searches_as_loops_do():
    shots, labels, val = waves(6, 8), torch.tensor([0, 1, 2, 0, 1, 2]), waves(40, 8, start=4)
    truth = (val @ shots.T).argmax(1) % 3  # the label of the nearest shot: the cache knows more than the classifier
    alphas, betas = (0.5, 3.0, 30.0), (0.5, 4.0)
    best = (-1.0, 0.0, 0.0)
    for beta in betas:
        for alpha in alphas:
            logits = TipAdapter(shots, labels, CLASSIFIER, 5.0, alpha, beta)(val)
            accuracy = 100 * (logits.argmax(1) == truth).double().mean().item()
            best = max(best, (accuracy, alpha, beta), key=lambda item: item[0])
    module = TipAdapter(shots, labels, CLASSIFIER, 5.0)
    found = module.search(val, truth, alphas, betas)
    assert (found.accuracy, found.alpha, found.beta) == best
    assert (module.alpha, module.beta) == best[1:]
    assert best[1] > 0.5  # there was something to find
    tie = module.search(val, truth, (0.0, 1e-9), (2.0, 3.0))  # of equally good ones the first
    assert (tie.alpha, tie.beta) == (0.0, 2.0)


def test_tip_adapter_f_trains_its_keys_alone():
    module = TipAdapter(waves(6, 8), torch.tensor([0, 1, 2, 0, 1, 2]), CLASSIFIER, learn_keys=True)
    assert [name for name, _ in module.named_parameters()] == ["keys"]
    module(waves(3, 8)).sum().backward()
    assert module.keys.grad.abs().sum() > 0
    assert not list(TipAdapter(waves(6, 8), torch.zeros(6).long(), CLASSIFIER).parameters())
    with pytest.raises(ValueError, match="do not fit"):
        TipAdapter(waves(6, 8), torch.zeros(5).long(), CLASSIFIER)


@pytest.fixture(scope="module")
def clip():
    return tiny_clip()


@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("per_class", [False, True])
def test_prompt_learner_builds_coop_s_prompt(clip, position, per_class):
    """Token by token: start, vectors and name, full stop, end, padding; the end's state is the sentence's."""
    names = ["red star", "hourglass"]
    learner = PromptLearner(clip, names, context=4, per_class=per_class, position=position, seed=3)
    with torch.no_grad():
        learner.context.copy_(waves(*learner.context.shape).float())
    found = learner()
    for k, name in enumerate(names):
        ids = clip.tokenize([name])[0]
        stop = clip.tokenize(["."])[0, 1]
        end = int(ids.argmax())
        table = clip.model.token_embedding.weight
        start, words, eot, pad = table[ids[0]], list(table[ids[1:end]]), table[ids[end]], table[0]
        vectors = list(learner.context[k] if per_class else learner.context)
        if position == "end":
            middle = vectors + words
        elif position == "front":
            middle = words + vectors
        else:
            middle = vectors[:2] + words + vectors[2:]
        prompt = [start, *middle, table[stop], eot]
        place = len(prompt) - 1
        prompt += [pad] * (clip.context_length - len(prompt))
        expected = clip.encode_embeddings(torch.stack(prompt)[None], torch.tensor([place]))
        assert torch.allclose(found[k], expected[0], atol=1e-5)


def test_real_words_as_context_are_the_real_prompt(clip):
    learner = PromptLearner(clip, ["red star", "blue ring"], words="a photo of a")
    expected = clip.encode_text(["a photo of a red star.", "a photo of a blue ring."])
    assert torch.allclose(learner(), expected, atol=1e-5)


@pytest.mark.parametrize("kind", [FrozenCLIP, TunableCLIP])
def test_only_the_context_gets_gradients(kind):
    clip = kind.from_pretrained("tiny-shapes")
    before = clip.weights_hash
    learner = PromptLearner(clip, ["red star", "blue ring"], context=4)
    assert [name for name, _ in learner.named_parameters()] == ["context"]
    assert list(learner.state_dict()) == ["context"]
    optimizer = torch.optim.SGD(learner.parameters(), 1.0)
    loss = (learner() @ torch.ones(clip.embed_dim)).sum()
    loss.backward()
    assert learner.context.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in clip.parameters())
    old = learner.context.detach().clone()
    optimizer.step()
    assert not torch.equal(old, learner.context) and clip.weights_hash == before


def test_a_shared_context_moves_to_other_names(clip):
    learner = PromptLearner(clip, ["red star", "blue ring"], context=4, seed=1)
    other = PromptLearner(clip, ["white dome", "red star", "cyan bar"], context=4, seed=2)
    other.load_state_dict(learner.state_dict())
    assert torch.allclose(other()[1], learner()[0], atol=1e-6)


def test_what_does_not_fit_is_refused(clip):
    with pytest.raises(ValueError, match="do not fit into 32 tokens"):
        PromptLearner(clip, ["red star"], context=28)
    with pytest.raises(ValueError, match="position is one of"):
        PromptLearner(clip, ["red star"], position="last")
    with pytest.raises(ValueError, match="between 0 and 1"):
        ClipAdapter(CLASSIFIER, ratio=1.2)
