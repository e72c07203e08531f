"""LSeg with a text encoder that learns: gradients reach it, predictions follow it, and it is saved."""

import numpy as np
import pytest
import torch

pytest.importorskip("mmseg")

import clipkit_plugins.lseg  # noqa: F401
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.shapes import tiny_clip


def build(**text):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("clipkit"):
        return MODELS.build(
            dict(
                type="TunedTextLSeg",
                classes=["red circle", "blue star", "grass"],
                train_classes=["grass", "red circle"],
                text=dict(text or dict(clip="tiny_shapes")),
                tower=dict(type="ConvTower", channels=(4, 6), blocks=(1, 1)),
                decoder=dict(type="FPNDecoder", features=6),
                precision="fp32",
                data_preprocessor=dict(type="mmseg.SegDataPreProcessor", mean=[127.0] * 3, std=[64.0] * 3),
            )
        )


def test_settings_of_the_clip_are_kept_and_what_cannot_train_is_refused(tmp_path):
    frozen, tuned = tiny_clip(), build(clip="tiny_shapes", templates="vild").text.clip
    for name in ("model_cfg", "preprocess_cfg", "dense_variant", "_tokenizer_name"):
        assert getattr(tuned, name) == getattr(frozen, name)
    np.save(tmp_path / "rows.npy", np.eye(2, dtype=np.float32))
    (tmp_path / "rows.json").write_text('["red circle", "grass"]')
    for text in (dict(clip="tiny_shapes", whiten=["red circle", "grass"]), dict(path=str(tmp_path / "rows.npy"))):
        with pytest.raises(ClipkitError, match="trains a CLIP's text tower"):
            build(**text)


def test_the_text_tower_learns_and_predictions_follow_it():
    model = build().train()
    torch.testing.assert_close(model.label_text, model.text.clip.encode_text(["red circle", "blue star", "grass"]))
    images, sample = torch.randn(2, 3, 16, 16), SegDataSample()
    sample.gt_sem_seg = PixelData(data=torch.randint(3, (1, 16, 16)))
    model.loss(images, [sample] * 2)["loss"].backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None and name.startswith("text.")}
    assert trained and not [name for name in trained if ".visual." in name]
    torch.optim.SGD(model.parameters(), 0.5).step()
    model.eval()
    with torch.no_grad():
        model.set_labels("grass, unicorn")
        model.predict(images)
        torch.testing.assert_close(model.label_text, model.text.clip.encode_text(["grass", "unicorn"]))
        # what was trained is saved, and a fresh model that loads it predicts with it
        other = build().eval()
        other.predict(images)
        other.load_state_dict(model.state_dict())
        other.set_labels("grass, unicorn")
        other.predict(images)
    torch.testing.assert_close(other.label_text, model.label_text)
    assert not torch.allclose(build().text.clip.encode_text(["grass"]), model.label_text[:1], atol=1e-3)
