import os
import signal
import warnings

import open_clip
import pytest
import torch
from torch.nn import functional as F

from clipkit.backbone import FrozenCLIP
from clipkit.text import TextBank, Vocabulary

NAMES = ["tench", "goldfish", "great white shark", "cock", "hen"]


def tiny_model(seed: int) -> open_clip.CLIP:
    torch.manual_seed(seed)
    model = open_clip.CLIP(
        embed_dim=32,
        vision_cfg={"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        text_cfg={"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
    )
    # Strong words and weak positions, so that a prompt's embedding depends on its words.
    with torch.no_grad():
        model.token_embedding.weight.mul_(50)
    return model


@pytest.fixture(scope="module")
def clip():
    torch.set_num_threads(1)
    return FrozenCLIP(tiny_model(0), tokenizer=open_clip.get_tokenizer("ViT-B-32"))


@pytest.fixture
def counted(clip, monkeypatch):
    """Every text that reaches the tower, in a list."""
    seen: list[str] = []
    real = clip.encode_text

    def spy(texts, normalize=True):
        seen.extend(texts)
        return real(texts, normalize=normalize)

    monkeypatch.setattr(clip, "encode_text", spy)
    return seen


def test_rows_are_float32_whatever_the_caller_computes_in(clip, tmp_path):
    with torch.autocast("cpu", torch.bfloat16):
        found = TextBank(clip, tmp_path, progress=False).encode(NAMES).matrix
    assert torch.equal(found, TextBank(clip, progress=False).encode(NAMES).matrix)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("templates", ["simple", "lseg", "openai"])
def test_equals_open_clips_zero_shot_classifier(clip, tmp_path, templates, cached):
    names = NAMES[:2] if templates == "openai" else NAMES
    vocabulary = Vocabulary(names, templates=templates)
    theirs = open_clip.build_zero_shot_classifier(
        clip.model, open_clip.get_tokenizer("ViT-B-32"), names, [t.format for t in vocabulary.templates]
    )
    bank = TextBank(clip, tmp_path if cached else None, batch_size=7, progress=False)
    found = bank.encode(vocabulary)
    assert found.matrix.dtype == torch.float32 and found.row_class.tolist() == list(range(len(names)))
    torch.testing.assert_close(found.matrix, theirs.T, rtol=0, atol=1e-6)
    spread = (theirs.T @ theirs - torch.eye(len(names))).max()
    assert spread < 0.9999, "rows must differ, or the order is not tested"


def test_rows_follow_the_callers_order(clip):
    bank = TextBank(clip, progress=False)
    forward, backward = bank.encode(NAMES), bank.encode(NAMES[::-1])
    assert backward.names == tuple(NAMES[::-1])
    torch.testing.assert_close(backward.matrix.flip(0), forward.matrix, rtol=0, atol=0)


def test_synonyms_reduce_by_mean_of_normalised_rows_or_stay_for_max(clip):
    bank = TextBank(clip, progress=False)
    words = {"cock": ["rooster", "male chicken"]}
    single = bank.encode(["cock", "rooster", "male chicken", "hen"]).matrix
    mean = bank.encode(Vocabulary(["cock", "hen"], words))
    torch.testing.assert_close(mean.matrix, torch.stack([F.normalize(single[:3].mean(0), dim=0), single[3]]))
    best = bank.encode(Vocabulary(["cock", "hen"], words, reduce="max"))
    assert best.row_class.tolist() == [0, 0, 0, 1]
    image = F.normalize(torch.randn(9, 32, generator=torch.Generator().manual_seed(1)), dim=1)
    expected = torch.stack([(image @ single[:3].T).amax(1), image @ single[3]], dim=1)
    torch.testing.assert_close(best.class_scores(image @ best.matrix.T), expected)


def test_background_words_follow_the_classes_and_stay_apart(clip):
    bank = TextBank(clip, progress=False)
    found = bank.encode(Vocabulary(["cat", "dog"], background=["sky", "wall"]))
    assert found.row_class.tolist() == [0, 1, 2, 2] and found.class_names[-1] == "background"
    torch.testing.assert_close(found.matrix[2:], bank.encode(["sky", "wall"]).matrix)
    others = bank.encode(Vocabulary(["cat", "dog"], background="others"))
    torch.testing.assert_close(others.matrix[2:], bank.encode(["others"]).matrix)
    for policy in (None, 0.5, "learned"):
        assert len(bank.encode(Vocabulary(["cat", "dog"], background=policy)).matrix) == 2


def test_a_word_is_encoded_once_in_memory_and_once_on_disk(clip, counted, tmp_path):
    for cache in (None, tmp_path):
        bank = TextBank(clip, cache, progress=False)
        first = bank.encode(Vocabulary(NAMES, templates="simple"))
        assert len(counted) == len(NAMES) * 7
        bank.encode(Vocabulary(["dog", *NAMES[::-1]], templates="simple"))
        assert len(counted) == len(NAMES) * 7 + 7, "one new label costs its own prompts only"
        counted.clear()
    again = TextBank(clip, tmp_path, progress=False).encode(Vocabulary(NAMES, templates="simple"))
    assert counted == [] and torch.equal(again.matrix, first.matrix)
    # Another ensemble shares the prompts that are equal.
    TextBank(clip, tmp_path, progress=False).encode(Vocabulary(["hen"], templates=["itap of a {}.", "a {}?"]))
    assert counted == ["a hen?"]


def test_other_weights_and_other_tokenizers_have_their_own_cache(clip, tmp_path):
    TextBank(clip, tmp_path, progress=False).encode(["hen"])
    other = FrozenCLIP(tiny_model(1), tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    found = TextBank(other, tmp_path, progress=False).encode(["hen"]).matrix
    torch.testing.assert_close(found, other.encode_text(["hen"]))
    swapped = FrozenCLIP(clip.model, tokenizer=lambda texts: open_clip.tokenize([t[::-1] for t in texts]))
    found = TextBank(swapped, tmp_path, progress=False).encode(["hen"]).matrix
    torch.testing.assert_close(found, swapped.encode_text(["hen"]))
    assert len(list(tmp_path.iterdir())) == 3


def test_repeated_prompts_and_many_blocks_keep_their_rows(clip, tmp_path):
    prompts = [f"number {i % 11}" for i in range(40)]
    expected = clip.encode_text(prompts)
    for cache in (None, tmp_path):
        bank = TextBank(clip, cache, batch_size=2, progress=False)
        torch.testing.assert_close(bank.encode_prompts(prompts), expected)
        names = [f"number {i}" for i in range(40)]
        found = bank.encode(Vocabulary(names, templates=["{}", "{}!"])).matrix
        a, b = clip.encode_text(names), clip.encode_text([n + "!" for n in names])
        torch.testing.assert_close(found, F.normalize((a + b) / 2, dim=1))


def test_a_cut_prompt_warns_with_a_cold_and_with_a_warm_cache(clip, tmp_path):
    long = ["cat " * 90 + "zebra"]
    for cache in (None, tmp_path, tmp_path):
        with pytest.warns(UserWarning, match="zebra"):
            TextBank(clip, cache, progress=False).encode(long)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TextBank(clip, tmp_path, progress=False).encode(["a short one"])


def test_a_missing_tokenizer_says_so(clip, tmp_path):
    def missing(texts):
        raise RuntimeError("this model needs a Hugging Face tokenizer: pass tokenizer=")

    bare = FrozenCLIP(clip.model, tokenizer=missing)
    for cache in (None, tmp_path):
        with pytest.raises(RuntimeError, match="needs a Hugging Face tokenizer"):
            TextBank(bare, cache, progress=False).encode(["cat"])


def test_rows_carry_no_graph_and_come_to_the_cpu_as_float32(clip):
    found = TextBank(clip, progress=False).encode(["cat"])
    assert not found.matrix.requires_grad and found.matrix.device.type == "cpu"
    torch.testing.assert_close(found.matrix.norm(dim=1), torch.ones(1))


class Tower:
    """Rows from the letters alone; `limit` prompts, then the process is killed."""

    weights_hash = "f" * 64
    embed_dim = 4

    def __init__(self, limit: int) -> None:
        self.limit, self.seen = limit, 0

    def tokenize(self, texts):
        return torch.tensor([[len(text)] for text in texts])

    def encode_text(self, texts, normalize=True):
        self.seen += len(texts)
        if self.seen > self.limit:
            os.kill(os.getpid(), signal.SIGKILL)
        rows = torch.tensor([[len(t), sum(t.encode()), t.encode()[-1], 1] for t in texts]).float()
        return F.normalize(rows, dim=1)


def encode_200(folder, limit):
    """1,400 prompts, in three shards of 512, 512 and 376."""
    names, templates = [f"name {i}" for i in range(200)], [f"{{}}{mark}" for mark in "abcdefg"]
    tower = Tower(limit)
    rows = TextBank(tower, folder, batch_size=50, progress=False).encode(Vocabulary(names, templates=templates)).matrix
    return tower.seen, rows


def test_a_killed_encoding_goes_on_where_it_stopped(tmp_path):
    pid = os.fork()
    if pid == 0:
        encode_200(tmp_path / "a", 700)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    seen, resumed = encode_200(tmp_path / "a", 10**6)
    assert seen == 1400 - 512
    seen, whole = encode_200(tmp_path / "b", 10**6)
    assert seen == 1400 and torch.equal(whole, resumed)
    files = [
        {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (tmp_path / "a", tmp_path / "b")
    ]
    assert files[0] == files[1] and len(files[0]) == 5  # store, part, three shards
    torch.testing.assert_close(encode_200(None, 10**6)[1], whole)


@pytest.mark.parametrize("cached", [False, True])
def test_a_progress_bar_for_several_batches_only(clip, tmp_path, monkeypatch, capsys, cached):
    import tqdm

    real = tqdm.tqdm
    monkeypatch.setattr(tqdm, "tqdm", lambda **options: real(**{**options, "delay": 0, "mininterval": 0}))
    TextBank(clip, tmp_path / "a" if cached else None, batch_size=512).encode(NAMES)
    assert capsys.readouterr().err == ""
    store_batch = 512
    many = [f"thing {number}" for number in range(store_batch + 3 if cached else len(NAMES))]
    TextBank(clip, tmp_path / "b" if cached else None, batch_size=store_batch if cached else 2).encode(many)
    assert f"{len(many)}/{len(many)}" in capsys.readouterr().err


def test_words_alone_are_rows_of_the_same_ensemble(clip, counted):
    templates = ["a {}.", "the {}."]
    bank = TextBank(clip)
    whole = bank.encode(Vocabulary(NAMES, templates=templates)).matrix
    counted.clear()
    rows = bank.encode_words(
        ["hen", "tench", "hen", "Hen"], templates
    )  # repeats and other spellings, unlike in a Vocabulary
    assert counted == ["a Hen.", "the Hen."]
    torch.testing.assert_close(rows[:3], whole[[4, 0, 4]], rtol=0, atol=0)
    torch.testing.assert_close(rows[3], whole[4])  # CLIP's tokens know no case
