"""The loop: resumed bit for bit, the best kept, each picture for itself; and what it moves."""

import pytest
import torch

from clipkit.data import probe_video
from clipkit.errors import ClipkitError
from clipkit.nn import Strokes
from clipkit.optimise import ClipLoss, Cutouts, Fourier, Pixels, StrokeDrawing, optimise
from clipkit.shapes import render, tiny_clip
from support.stroke_oracle import bent

AIM = torch.tensor([0.2, 0.6, 0.9])[:, None, None]


def far(pictures):
    return {"far": (pictures - AIM).square().mean((1, 2, 3))}


def strokes(drawings=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    count = 3 * drawings
    looks = {"colour": torch.rand(count, 3, generator=g), "opacity": torch.full((count,), 0.7)}
    drawing = torch.arange(drawings).repeat_interleave(3)
    return Strokes.of(bent(count, 32, seed, 20), 3.0, size=(32, 32), drawing=drawing, drawings=drawings, **looks)


KINDS = {
    "pixels": lambda: Pixels(2, (20, 32)),
    "fourier": lambda: Fourier(2, (20, 31), noise=0.1),
    "strokes": lambda: StrokeDrawing(strokes(), {"points": 1.0, "width": 0.1, "colour": 0.01, "opacity": 0.01}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_goes_down(kind):
    parametrisation = KINDS[kind]()
    before = far(parametrisation.decode().detach())["far"]
    found = optimise(parametrisation, far, steps=20, lr=0.3, every=5)
    assert (found.loss < before).all() and found.history.shape == (4, 2) and found.steps == 20
    torch.testing.assert_close(parametrisation.decode(), found.pictures)


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_ends_the_same_bit_for_bit(kind, tmp_path):
    clip = tiny_clip()
    loss = ClipLoss(clip, ["a red heart"])

    def run(stop=None, **options):
        parametrisation, cutouts = KINDS[kind](), Cutouts(64, 2, noise=0.1, jitter=0.1)
        seen = 0

        def judged(pictures):
            nonlocal seen
            seen += 1
            if seen == stop:
                raise KeyboardInterrupt
            return loss(*cutouts(pictures))

        found = optimise(parametrisation, judged, steps=6, lr=0.1, every=2, generators=[cutouts.generator], **options)
        return found, seen

    whole, _ = run()
    with pytest.raises(KeyboardInterrupt):
        run(stop=6, checkpoint=tmp_path / "run.pt")
    resumed, steps = run(checkpoint=tmp_path / "run.pt")
    assert steps == 2  # four were kept
    for a, b in zip(whole, resumed):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
    assert run(checkpoint=tmp_path / "run.pt")[1] == 0


@pytest.mark.parametrize("kind", ["pixels", "strokes"])
def test_each_picture_is_moved_for_itself(kind):
    def alone(number):
        if kind == "pixels":
            own = Pixels(1, (8, 8))
            own.init_from(start[number : number + 1])
            return own
        all_ = strokes()
        keep = all_.drawing == number
        points = all_.points.detach().view(6, 4, 2)[keep]
        looks = {"colour": all_.colour.detach()[keep], "opacity": all_.opacity.detach()[keep]}
        return StrokeDrawing(Strokes.of(points, 3.0, size=(32, 32), **looks))

    start = torch.rand(2, 3, 8, 8)
    both = Pixels(2, (8, 8)) if kind == "pixels" else StrokeDrawing(strokes())
    if kind == "pixels":
        both.init_from(start)
    found = optimise(both, far, steps=8, lr=0.2).pictures
    for number in (0, 1):
        torch.testing.assert_close(optimise(alone(number), far, steps=8, lr=0.2).pictures[0], found[number])


def test_the_best_of_each_is_kept():
    """A judge that likes the first picture early and the second late."""
    asked = []

    def judge(pictures):
        asked.append(pictures.clone())
        return torch.tensor([float(len(asked)), -float(len(asked))])

    parametrisation = Pixels(2, (4, 4))
    found = optimise(parametrisation, far, steps=9, lr=0.1, every=3, judge=judge)
    assert found.step.tolist() == [3, 9] and found.loss.tolist() == [1, -3]
    assert torch.equal(found.pictures[0], asked[0][0]) and torch.equal(found.pictures[1], asked[2][1])
    torch.testing.assert_close(parametrisation.decode(), found.pictures)


def test_it_stops_when_nothing_changes():
    found = optimise(Pixels(1, (4, 4)), far, steps=100, lr=0.1, every=2, tolerance=0.0, judge=lambda x: torch.ones(1))
    assert found.steps == 6  # three judgements, two changes of nothing


def test_a_schedule_scales_the_rate():
    still = Pixels(1, (4, 4))
    found = optimise(still, far, steps=4, lr=1.0, schedule=lambda share: 1.0 if share < 0.5 else 0.0, every=1)
    assert found.history[2].item() == found.history[3].item() != found.history[1].item()


def test_a_film_of_it(tmp_path):
    pytest.importorskip("av")
    optimise(Pixels(2, (32, 32)), far, steps=6, lr=0.5, every=2, film=tmp_path / "film.mp4")
    info = probe_video(tmp_path / "film.mp4")
    assert (info.frames, info.size) == (3, (32, 64))


def test_bad_checkpoints_are_told(tmp_path):
    path = tmp_path / "run.pt"
    optimise(Pixels(1, (4, 4)), far, steps=2, lr=0.1, checkpoint=path)
    for other, steps in ((Pixels(1, (4, 5)), 2), (Pixels(1, (4, 4)), 3), (Fourier(1, (4, 4)), 2)):
        with pytest.raises(ClipkitError, match=r"run\.pt: cannot be taken up"):
            optimise(other, far, steps=steps, lr=0.1, checkpoint=path)
    with pytest.raises(ClipkitError, match="it is of another run"):
        optimise(Pixels(1, (4, 4)), far, steps=2, lr=0.1, checkpoint=path, about=["other words"])
    older = torch.load(path)
    del older["about"]
    torch.save(older, path)
    assert optimise(Pixels(1, (4, 4)), far, steps=2, lr=0.1, checkpoint=path, about=[torch.ones(2)]).steps == 2
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ClipkitError, match=r"run\.pt: cannot be taken up"):
        optimise(Pixels(1, (4, 4)), far, steps=2, lr=0.1, checkpoint=path)


def test_a_loss_that_is_not_finite_is_told():
    with pytest.raises(ClipkitError, match="smaller lr"):
        optimise(Pixels(1, (4, 4)), lambda x: {"nan": x.sum((1, 2, 3)) * float("nan")}, steps=2, lr=0.1)


@pytest.mark.parametrize("size", [(64, 64), (32, 40), (31, 33)])
@pytest.mark.parametrize("kind", [Pixels, Fourier])
def test_pictures_are_given_back(kind, size):
    given = torch.nn.functional.interpolate(render(2, seed=0).images, size).clamp(1 / 255, 254 / 255)
    parametrisation = kind(2, size)
    parametrisation.init_from(given)
    torch.testing.assert_close(parametrisation.decode(), given, atol=2e-5, rtol=0)


def test_strokes_take_the_colours_below_them_and_are_kept_in_bounds():
    drawing = StrokeDrawing(strokes(1), {"points": 1.0, "width": 1.0, "colour": 1.0}, widths=(1.0, 4.0))
    drawing.init_from(AIM.expand(1, 3, 32, 32))
    torch.testing.assert_close(drawing.strokes.colour.detach(), AIM[:, 0, 0].expand(3, 3), atol=1e-5, rtol=0)
    for name in ("points", "width", "colour"):
        getattr(drawing.strokes, name).data.mul_(1000)
    drawing.clamp_()
    assert drawing.strokes.points.max() <= 48 and drawing.strokes.width.max() == 4 and drawing.strokes.colour.max() == 1
    with pytest.raises(ValueError, match="black ink"):
        StrokeDrawing(Strokes.of(torch.zeros(1, 4, 2), size=(8, 8))).init_from(torch.zeros(1, 3, 8, 8))
