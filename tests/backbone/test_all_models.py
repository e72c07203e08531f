"""Every architecture that open_clip lists is served or refused by a sentence, and docs/models.md says which."""

import importlib.util
import re
from pathlib import Path

import open_clip
import pytest
import torch

from clipkit.backbone import FrozenCLIP
from clipkit.backbone.models_table import Outcome, check_model, markdown, row

has_transformers = importlib.util.find_spec("transformers") is not None
PAGE = Path(__file__).parents[2] / "docs" / "models.md"
# One of each kind of image tower and of text tower, the small ones.
FAMILIES = [
    "ViT-B-32-quickgelu",
    "RN50",
    "convnext_tiny",
    "EVA02-B-16",
    "MobileCLIP2-S0",
    "PE-Core-T-16-384",
    "ViT-B-16-SigLIP2",
    "coca_ViT-B-32",
    "swin_base_patch4_window7_224",
    pytest.param("roberta-ViT-B-32", marks=pytest.mark.skipif(not has_transformers, reason="transformers is missing")),
]


def documented():
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return {re.match(r"\| (\S+) ", line)[1]: line for line in lines[1:]}


def test_page_lists_every_model():
    missing = [name for name in open_clip.list_models() if name not in documented()]
    if f"open_clip {open_clip.__version__}" in PAGE.read_text(encoding="utf-8"):
        assert not missing
    assert len(documented()) >= 140


@pytest.mark.parametrize("name", FAMILIES)
def test_families_are_served_as_the_page_says(name):
    assert_as_documented(check_model(name), documented()[name])


def assert_as_documented(outcome, line):
    ours, page = (text.split(" | ") for text in (row(outcome), line))
    if outcome.text and page[5] == "no":  # a machine that has the Hugging Face text tower serves more
        ours[5], ours[8] = page[5], page[8]
    assert ours == page


@pytest.mark.slow  # 100 s on one idle core
def test_all_models_are_served_as_the_page_says():
    for name in open_clip.list_models():
        outcome = check_model(name)  # a crash is any exception but a ValueError of one line
        assert outcome.image, name  # no architecture of open_clip lacks its image side
        assert outcome.text or "Hugging Face" in outcome.note, outcome.note
        if name in documented():  # a newer open_clip may list more
            assert_as_documented(outcome, documented()[name])


def broken(monkeypatch, method, result):
    monkeypatch.setattr(FrozenCLIP, method, result)


def test_a_crash_is_not_taken_for_a_refusal(monkeypatch):
    def crash(self, images, *args, **kwargs):
        raise RuntimeError("size mismatch")

    broken(monkeypatch, "encode_image", crash)
    with pytest.raises(RuntimeError, match="size mismatch"):
        check_model("ViT-S-32")


def test_refusals_of_many_lines_and_wrong_shapes_are_not_accepted(monkeypatch):
    def refuse(self, ids, *args, **kwargs):
        raise ValueError("no\nreason")

    broken(monkeypatch, "encode_tokens", refuse)
    with pytest.raises(RuntimeError, match="more than one line"):
        check_model("ViT-S-32")
    broken(monkeypatch, "encode_tokens", lambda self, ids: torch.zeros(1, 3))
    with pytest.raises(RuntimeError, match="expected"):
        check_model("ViT-S-32")


def test_markdown_counts_and_escapes():
    one = Outcome("A", "VisionTransformer", 8, (32, 48), True, True, False, False, "dense: a | b")
    two = Outcome("B", "timm Eva", 8, (32, 32), True, False, True, True, "")
    shipped = Outcome("tiny-shapes", "timm VisionTransformer", 128, (64, 64), True, True, True, True, "")
    page = " ".join(markdown([one, two, shipped]).split())
    assert "each of the 2 architectures" in page and "images 3, images of any size 2, dense maps 2" in page
    assert "| A | VisionTransformer | 8 | 32×48 | yes | yes | no | no | dense: a \\| b |" in page
