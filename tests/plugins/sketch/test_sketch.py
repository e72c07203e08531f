"""Where strokes begin, what the judge learns, and that a drawing goes towards its picture."""

import numpy as np
import pytest
import torch
from clipkit_plugins.sketch.claims import measure, measure_words
from clipkit_plugins.sketch.clipasso import clipasso, first_strokes
from clipkit_plugins.sketch.clipdraw import clipdraw
from clipkit_plugins.sketch.saliency import edges, start_points, where_clip_looks
from torch.nn import functional as F

from clipkit.backbone import FrozenCLIP
from clipkit.engine.build import build_runner
from clipkit.errors import ClipkitError
from clipkit.shapes import SHAPES, render_outlines, tiny_clip


@pytest.fixture(scope="module")
def clip():
    return tiny_clip()


@pytest.fixture(scope="module")
def hearts():
    return render_outlines(2, shapes=torch.tensor([6, 3]), still=True, filled=1.0)[0]


def test_attention_is_that_of_the_blocks_themselves(clip, hearts):
    """Softmax of queries and keys, which a hook on each block's own layer sees."""
    blocks, seen = clip.model.visual.trunk.blocks, []
    hooks = [b.attn.qkv.register_forward_hook(lambda module, args, out: seen.append(out.double())) for b in blocks]
    for block in blocks:
        block.attn.fused_attn = True
    clip.features(hearts, layers=range(len(blocks)), dense=False)
    for hook in hooks:
        hook.remove()
    found = clip.attention(hearts)
    assert found.shape == (2, len(blocks), 8, 8)
    for layer, qkv in enumerate(seen):
        heads = blocks[layer].attn.num_heads
        query, key, _ = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        for picture in range(2):
            total = np.zeros(64)
            for head in range(heads):
                scores = [float(query[picture, head, 0] @ row) / query.shape[-1] ** 0.5 for row in key[picture, head]]
                shares = np.exp(scores) / np.exp(scores).sum()
                total += shares[1:] / heads
            np.testing.assert_allclose(found[picture, layer].flatten().numpy(), total, atol=1e-6)


def test_a_convolutional_tower_looks_too(hearts):
    rn = FrozenCLIP.from_pretrained("RN50")
    looks = where_clip_looks(rn, F.interpolate(hearts, (96, 96)))
    assert looks.shape == (2, 96, 96) and looks.min() == 0 and looks.max() == 1
    with pytest.raises(ValueError, match="attention"):
        rn.attention(hearts)


def test_edges_are_where_ink_meets_paper(hearts):
    found = edges(hearts)
    near = F.max_pool2d((hearts[:, 0] < 0.5).float()[:, None], 9, 1, 4)[:, 0] > 0
    inside = -F.max_pool2d(-(hearts[:, 0] < 0.5).float()[:, None], 13, 1, 6)[:, 0] > 0
    assert found.any() and not (found & ~near).any()
    assert (found & inside).float().sum() <= inside.sum()


def test_strokes_begin_where_the_mask_allows(clip, hearts):
    g = torch.Generator().manual_seed(0)
    masks = torch.zeros(2, 64, 64)
    masks[:, :, :32] = 1
    points = start_points(clip, hearts, 8, g, masks)
    assert points.shape == (2, 8, 2) and points[..., 0].max() < 32
    assert len({tuple(p) for p in points[0].tolist()}) == 8  # without replacement
    white = start_points(clip, torch.ones(1, 3, 64, 64), 5, g)
    assert torch.isfinite(white).all()


def test_a_start_is_a_seeds(clip, hearts):
    one, same, other = (first_strokes(clip, hearts, 4, seeds=[seed]).points for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    both = first_strokes(clip, hearts, 4, seeds=[0, 1])
    torch.testing.assert_close(both.points.view(2, 2, 16, 2)[:, 1], other.view(2, 16, 2))
    with pytest.raises(ClipkitError, match="saliency, random"):
        first_strokes(clip, hearts, 4, start="somewhere")


def test_a_drawing_goes_towards_its_picture(clip, hearts):
    options = dict(strokes=4, seeds=(0, 1), copies=1, lr=0.5, every=6)
    strokes, found = clipasso(clip, hearts, steps=12, **options)
    assert strokes.drawings == 4 and found.pictures.shape == (4, 3, 64, 64)
    _, start = clipasso(clip, hearts, steps=1, **options)
    assert found.loss.mean() < start.loss.mean()
    torch.testing.assert_close(strokes().detach(), found.pictures)


def test_all_that_may_be_chosen(clip, hearts):
    masks = torch.ones(2, 64, 64)
    _, found = clipasso(
        clip, hearts, strokes=2, seeds=(0,), steps=1, copies=1, layers={-1: 1.0}, relative=True, semantic=clip,
        looks=clip, masks=masks, fill=0.0,
    )  # fmt: skip
    assert torch.isfinite(found.loss).all()


@pytest.mark.parametrize("what", ["pictures", "words"])
def test_a_drawing_that_was_interrupted_ends_the_same(what, clip, hearts, tmp_path):
    def draw(steps_seen=None, **more):
        def slower(share):
            seen.append(share)
            if len(set(seen)) == steps_seen:
                raise KeyboardInterrupt
            return 1.0

        seen: list[float] = []
        options = dict(strokes=3, seeds=(0, 1), copies=2, steps=6, every=2, lr=0.5, schedule=slower, **more)
        if what == "pictures":
            return *clipasso(clip, hearts, **options), len(set(seen))
        return *clipdraw(clip, "a red heart", size=(48, 48), **options), len(set(seen))

    whole, found, _ = draw()
    with pytest.raises(KeyboardInterrupt):
        draw(6, checkpoint=tmp_path / "drawing.pt")
    resumed, again, steps = draw(checkpoint=tmp_path / "drawing.pt")
    assert steps == 2  # four were kept
    assert torch.equal(whole.points, resumed.points) and torch.equal(found.history, again.history)


def test_words_that_a_drawing_shall_not_be_keep_away_from_it(clip):
    other = "a green circle"
    near = {}
    for away in ((), (other,)):
        strokes, found = clipdraw(
            clip, "a red heart", away_from=away, strokes=12, size=(64, 64), steps=15, copies=2, every=5
        )
        assert strokes.width.min() >= 1 and strokes.colour.min() >= 0 and strokes.colour.max() <= 1
        near[away] = (clip.encode_image(found.pictures) @ clip.encode_text([other]).T).item()
    assert near[(other,)] < near[()] - 0.05


QUICK = {
    "train_cfg.max_iters": 12, "train_cfg.val_interval": 12, "param_scheduler.1.end": 60,
    "train_dataloader.batch_size": 16, "val_dataloader.dataset.length": 64,
    "test_dataloader.dataset.length": 64,
}  # fmt: skip


def test_starts_are_compared_shape_by_shape_on_equal_seeds(tmp_path):
    arms = {name: dict(strokes=2, start=name) for name in ("saliency", "random")} | {"three": dict(strokes=3)}
    quick = dict(cfg_options=QUICK, early=1, every=1, steps=2, copies=0)
    found = measure(3, tmp_path / "run", arms, **quick)
    assert found["saliency"]["below"] + found["random"]["below"] == pytest.approx(100) and "below" not in found["three"]
    assert found["saliency"]["early_loss"] != found["random"]["early_loss"]
    assert all(0 <= found[arm]["loss"] <= found[arm]["early_loss"] for arm in arms)
    assert (tmp_path / "run" / "three.png").is_file()
    kept = (tmp_path / "judge" / "last_checkpoint").stat().st_mtime_ns
    again = measure(3, tmp_path / "other", {"random": arms["random"]}, **quick)
    assert again == {arm: {k: v for k, v in found[arm].items() if k != "below"} for arm in ("clean outlines", "random")}
    assert (tmp_path / "judge" / "last_checkpoint").stat().st_mtime_ns == kept
    words = measure_words(3, tmp_path / "words", cfg_options=QUICK, strokes=2, steps=1, copies=1, size=(32, 32))
    assert set(words) == {"words by CLIP", "words by the judge"} and 0 <= words["words by CLIP"]["named"] <= 100


def test_the_judge_learns_by_its_config(tmp_path):
    runner = build_runner("sketch/judge_tiny.py", work_dir=tmp_path, seed=0, cfg_options=QUICK, for_training=True)
    runner.train()
    scores = runner.val()
    assert 0 <= scores["named"] <= 100 and f"named_{SHAPES[0]}" in scores
    assert runner.model(*render_outlines(64, seed=5))["loss"] < 3


def test_a_hatched_shape_has_lines_inside_and_nothing_beside_it():
    options = dict(shapes=torch.full((32,), SHAPES.index("square")), still=True, width=(1.0, 1.0))
    filled = render_outlines(32, filled=1.0, **options)[0][:, 0] < 0.5
    drawn = render_outlines(32, hatched=1.0, **options)[0][:, 0] < 0.5
    assert not torch.equal(drawn, render_outlines(32, **options)[0][:, 0] < 0.5)
    near = F.max_pool2d(filled.float()[:, None], 7, 1, 3)[:, 0] > 0
    inside = -F.max_pool2d(-filled.float()[:, None], 7, 1, 3)[:, 0] > 0
    assert not (drawn & ~near).any()
    shares = (drawn & inside).flatten(1).sum(1) / inside.flatten(1).sum(1)
    assert shares.min() > 0.03 and shares.max() < 0.8


def test_outlines_are_a_seeds_and_as_wide_as_asked():
    one, label = render_outlines(24, seed=3)
    assert torch.equal(one, render_outlines(24, seed=3)[0]) and not torch.equal(one, render_outlines(24, seed=4)[0])
    assert one.shape == (24, 3, 64, 64) and one.min() >= 0 and one.max() <= 1 and label.max() < 12
    thin, thick = (
        (1 - render_outlines(1, shapes=torch.zeros(1, dtype=torch.int64), still=True, width=(w, w))[0])[:, 0].sum()
        for w in (1.0, 4.0)
    )
    circle = 2 * torch.pi * 0.95 * 0.36 * 64  # its line's length
    assert abs(thin / circle - 1.0) < 0.1 and abs(thick / circle - 4.0) < 0.2
