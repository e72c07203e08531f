"""Without a network: nothing is tried again or logged, and one line says what is missing and where to put it."""

import logging

import pytest

from clipkit import hub

constants = pytest.importorskip("huggingface_hub.constants")


@pytest.fixture
def unreachable(monkeypatch):
    monkeypatch.setattr(hub, "hub_reachable", lambda: False)


def test_an_unreachable_hub_is_not_asked(unreachable):
    logger = logging.getLogger("huggingface_hub")
    before = constants.HF_HUB_OFFLINE, logger.level
    with hub.downloading():
        assert constants.HF_HUB_OFFLINE is True
        assert not logger.isEnabledFor(logging.WARNING)  # retries
    assert (constants.HF_HUB_OFFLINE, logger.level) == before


def test_a_hub_that_answers_is_asked(monkeypatch):
    monkeypatch.setattr(hub, "hub_reachable", lambda: True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with hub.downloading():
        assert constants.HF_HUB_OFFLINE is False


def test_a_clip_that_cannot_be_downloaded_is_one_line(unreachable, caplog, capfd, monkeypatch, tmp_path):
    from clipkit import FrozenCLIP

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))  # nothing there yet
    name, tag = "ViT-B-32", "laion2b_s34b_b79k"
    with pytest.raises(ValueError, match="could not be downloaded; without a network give a local file") as raised:
        FrozenCLIP.from_pretrained(name, tag)
    said = str(raised.value)
    assert f"`hf download laion/CLIP-ViT-B-32-laion2B-s34B-b79K` puts into {tmp_path}" in said
    assert "HF_HUB_OFFLINE=1" in said and "\n" not in said
    assert not caplog.records and capfd.readouterr() == ("", "")


def test_a_network_of_timm_that_cannot_be_downloaded_is_one_line(unreachable, monkeypatch, tmp_path):
    pytest.importorskip("timm")
    from clipkit.nn import TimmPyramid

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"timm's resnet18 could not be downloaded; .* `hf download timm/resnet18"):
        TimmPyramid("resnet18", pretrained=True)
