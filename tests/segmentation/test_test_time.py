"""`test_cfg` of a text segmentor: scales and mirroring, and labels in chunks, which must change nothing but memory."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("mmseg")

import clipkit_plugins.dense_clip
import clipkit_plugins.lseg
from mmengine.registry import DefaultScope
from mmseg.structures import SegDataSample

from clipkit.engine import Segmenter
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.inference import multi_scale
from clipkit.predict.files import SegmentationFiles
from clipkit.segmentation.test_time import image_logits
from clipkit.text import Vocabulary

NAMES = [f"thing {i}" for i in range(30)]
MULTI = dict(mode="slide", window=16, stride=10, scales=(0.5, 1.0, 1.5), flip=True, base_size=24, batch_size=5)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32))
    (folder / "rows.json").write_text(json.dumps(NAMES))
    return str(folder / "rows.npy")


def build(rows, test_cfg=None, kind="LSeg", **changes):
    torch.manual_seed(0)
    config = dict(
        type=kind,
        classes=NAMES,
        text=dict(path=rows),
        tower=dict(type="ConvTower", channels=(4, 6), blocks=(1, 1)),
        decoder=dict(type="FPNDecoder", features=6),
        precision="fp32",
        test_cfg=test_cfg,
        data_preprocessor=dict(
            type="mmseg.SegDataPreProcessor", mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 70.0], bgr_to_rgb=True
        ),
        **changes,
    )
    with DefaultScope.overwrite_default_scope("clipkit"):
        return MODELS.build(config).eval()


def images(batch=2, size=(20, 28)):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def samples(**meta):
    return [SegDataSample(metainfo=dict(meta)) for _ in range(2)]


CASES = {
    "whole": None,
    "slide": dict(mode="slide", window=12, stride=(7, 8), batch_size=3),
    "whole, scales": dict(scales=(0.5, 2.0)),
    "whole, flip": dict(flip=True),
    "LSeg's": MULTI,
}
METAS = {
    "as it is": None,
    "other original size": dict(ori_shape=(31, 23), img_shape=(20, 28)),
    "padded": dict(ori_shape=(30, 50), padding_size=[0, 3, 0, 2]),
    "mirrored": dict(ori_shape=(20, 28), flip=True, flip_direction="horizontal"),
    "upside down": dict(ori_shape=(25, 28), flip=True, flip_direction="vertical"),
}


def compare(model, meta, labels=None):
    """The same model with and without logits of all labels."""
    if labels is not None:
        model.set_labels(labels)
    given = [samples(**meta) if meta else None for _ in range(2)]
    kept = model.predict(images(), given[0])
    model.test_cfg["max_logits"] = 0
    streamed = model.predict(images(), given[1])
    for a, b in zip(kept, streamed):
        logits = a.seg_logits.data
        assert "seg_logits" not in b and "pred_scores" in b
        assert b.metainfo["label_names"] == a.metainfo["label_names"] == model.label_names
        probability = logits.softmax(0).amax(0, keepdim=True)
        torch.testing.assert_close(b.pred_scores.data, probability, atol=1e-5, rtol=0)
        two = logits.topk(min(2, len(logits)), dim=0).values
        clear = (two[0] - two[-1] > 1e-5) | (len(two) == 1)
        threshold = model.labels.background.threshold
        if threshold is not None:
            clear &= (probability[0] - threshold).abs() > 1e-5
        assert clear.double().mean() > 0.95
        assert torch.equal(a.pred_sem_seg.data[0][clear], b.pred_sem_seg.data[0][clear])
    return kept


@pytest.mark.parametrize("case", CASES)
def test_labels_in_chunks_change_nothing(rows, case):
    compare(build(rows, CASES[case]), None)


@pytest.mark.parametrize("meta", METAS)
@pytest.mark.parametrize("align_corners", [False, True])
def test_labels_in_chunks_follow_mmseg_to_the_original_size(rows, meta, align_corners):
    compare(build(rows, CASES["slide"], align_corners=align_corners), METAS[meta])


@pytest.mark.parametrize(
    "labels",
    [
        "thing 3",
        Vocabulary(NAMES[:9], background=NAMES[20:]),
        Vocabulary(NAMES[:3], synonyms=[NAMES[4:8], [], NAMES[9:11]], reduce="max"),
    ],
)
def test_policies_in_chunks(rows, labels):
    compare(build(rows, MULTI), METAS["other original size"], labels)


def test_threshold_in_chunks(rows):
    model = build(rows, MULTI)
    model.set_labels(NAMES[:9])
    median = model.predict(images())[0].seg_logits.data.softmax(0).amax(0).median().detach()
    kept = compare(model, METAS["other original size"], Vocabulary(NAMES[:9], background=median.item()))
    share = (kept[0].pred_sem_seg.data == 9).double().mean()
    assert 0.2 < share < 0.8  # both sides of the threshold occur


@pytest.mark.parametrize("kind", ["bottleneck", "depthwise"])
def test_blocks_in_chunks(rows, kind):
    for case in ("whole", "LSeg's"):
        compare(build(rows, CASES[case], block=dict(kind=kind, depth=2)), METAS["padded"])


def test_scales_are_averaged_and_windows_filled_with_black(rows):
    model = build(rows, MULTI)
    options = {key: value for key, value in MULTI.items() if key != "mode"}
    black = [-120 / 60, -110 / 50, -100 / 70]
    wanted = multi_scale(model.encode_decode, images(), pad_value=black, **options) / 6
    torch.testing.assert_close(image_logits(model, images()), wanted)
    assert not torch.allclose(wanted, multi_scale(model.encode_decode, images(), **options) / 6)


def test_text_is_not_encoded_again(rows, monkeypatch):
    model = build(rows, MULTI)
    monkeypatch.setattr(type(model.text), "encode", lambda *_: pytest.fail("encoded in prediction"))
    model.predict(images())
    model.test_cfg["max_logits"] = 0
    model.predict(images())


def test_the_budget_counts_the_larger_of_input_and_original_size(rows):
    model = build(rows, dict(max_logits=2 * 30 * 20 * 28 * 4))
    assert "seg_logits" in model.predict(images())[0]
    assert "seg_logits" in model.predict(images(), samples(ori_shape=(20, 28)))[0]
    assert "pred_scores" in model.predict(images(), samples(ori_shape=(20, 29)))[0]
    assert "pred_scores" in model.predict(images(size=(20, 29)))[0]
    assert "seg_logits" in model.predict(images(batch=1, size=(20, 29)))[0]


def test_segmenter_and_predict_take_both(rows, tmp_path):
    from PIL import Image

    rgb = np.random.default_rng(0).integers(0, 256, (20, 28, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(tmp_path / "x.png")
    segmenter = Segmenter(build(rows))
    kept = segmenter(rgb)
    segmenter.model.test_cfg["max_logits"] = 0
    streamed = segmenter(rgb)
    assert torch.equal(kept.labels, streamed.labels) and streamed.labels.dtype == torch.int64
    torch.testing.assert_close(streamed.scores, kept.scores, atol=1e-5, rtol=0)
    SegmentationFiles(segmenter, None, tmp_path).write(tmp_path / "x.png", "out")
    record = json.loads((tmp_path / "out.json").read_text())
    assert sum(record["shares"].values()) == pytest.approx(100, abs=0.05)


def test_a_formula_of_its_own_is_not_streamed(rows):
    @MODELS.register_module(force=True)
    class OtherLogits(clipkit_plugins.lseg.LSeg):
        def cosine_logits(self, embedding, text):
            return super().cosine_logits(embedding, text).relu()

    model = build(rows, kind="OtherLogits", test_cfg=dict(max_logits=0))
    with pytest.raises(ClipkitError, match=r"OtherLogits computes label maps from all labels.*max_logits"):
        model.predict(images())
    del model.test_cfg["max_logits"]  # not asked for: then it is done as always
    assert "seg_logits" in model.predict(images())[0]


@pytest.mark.parametrize("threshold", [None, 0.1])
def test_dense_clip_in_chunks_of_words(tmp_path, threshold):
    """Softmax over words, a class has its best word: another formula than LSeg's, and equal as well."""
    (tmp_path / "words.txt").write_text("red star, crimson star\nblue ring\ngrass, meadow, lawn\nwood, brick\n")
    config = dict(
        type="DenseCLIP",
        classes=["red star", "blue ring", "grass", "background"],
        text=dict(clip="tiny_shapes"),
        words=dict(path=str(tmp_path / "words.txt"), separator=", "),
        threshold=threshold,
        precision="fp32",
        test_cfg=dict(mode="slide", window=64, stride=32),
    )
    with DefaultScope.overwrite_default_scope("clipkit"):
        model = MODELS.build(config).eval()
    inputs = 255 * torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    kept = model.predict(inputs)[0]
    model.test_cfg["max_logits"] = 0
    streamed = model.predict(inputs)[0]
    torch.testing.assert_close(streamed.pred_scores.data, kept.seg_logits.data.exp().amax(0, True), atol=1e-5, rtol=0)
    same = streamed.pred_sem_seg.data == kept.pred_sem_seg.data
    assert same.double().mean() > 0.999 and len(kept.pred_sem_seg.data.unique()) > 1
    model.area = 0.1
    with pytest.raises(ClipkitError, match="DenseCLIP computes label maps from all labels at once"):
        model.predict(inputs)


@pytest.mark.parametrize(
    ("test_cfg", "message"),
    [
        (dict(mode="tiles"), "known: whole, slide"),
        (dict(mode="slide", window=16), "needs stride"),
        (dict(mode="slide", scales=(1, 2)), "needs window"),
        (dict(mode="whole", window=16), "has no window"),
        (dict(mode="slide", crop_size=16, window=16, stride=8), "has no crop_size"),
    ],
)
def test_options_that_nobody_reads_are_refused(rows, test_cfg, message):
    with pytest.raises(ClipkitError, match=message):
        build(rows, test_cfg)


PEAK = """
import sys
import numpy as np, torch
import clipkit_plugins.dense_clip
import clipkit_plugins.lseg
from mmengine.registry import DefaultScope
from mmseg.structures import SegDataSample
from clipkit.engine.registry import MODELS

count, height, width = (int(n) for n in sys.argv[2:])
torch.manual_seed(0)
with DefaultScope.overwrite_default_scope("clipkit"):
    model = MODELS.build(dict(
        type="LSeg", classes=[f"thing {i}" for i in range(count)], text=dict(path=sys.argv[1]),
        tower=dict(type="ConvTower", channels=(8, 16, 16), blocks=(1, 1, 1), stem_stride=2),
        decoder=dict(type="FPNDecoder", features=16), precision="fp32",
    )).eval()
sample = SegDataSample(metainfo=dict(ori_shape=(height, width), img_shape=(height, width)))
with torch.no_grad():
    result = model.predict(torch.randn(1, 3, height, width), [sample])[0]
assert result.pred_sem_seg.data.shape == (1, height, width) and ("pred_scores" in result) == (count > 1)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(("count", "height", "width"), [(847, 1024, 2048), (10_000, 1024, 1024)])
def test_memory_of_large_vocabularies(tmp_path, count, height, width):
    """At most 1.5 GB more than with one label; all logits at once would take 7.1 and 42 GB."""
    path = tmp_path / "rows.npy"
    np.save(path, np.random.default_rng(0).normal(size=(count, 64)).astype(np.float32))
    (tmp_path / "rows.json").write_text(json.dumps([f"thing {i}" for i in range(count)]))
    peaks = []
    for n in (1, count):
        command = [sys.executable, "-c", PEAK, str(path), str(n), str(height), str(width)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout.split()[-1]) * 1024)
    print(f"{count} labels at {height} x {width}: {(peaks[1] - peaks[0]) / 1e9:.2f} GB above one label")
    assert peaks[1] - peaks[0] < 1.5e9
