"""Segmentation by sentences against a loop over frames, and its accuracy counted by hand."""

import pytest
import torch

from clipkit.adapters import MaskedMean, MeanPool, SeqTransformer, TightTransformer
from clipkit.evaluation import frame_accuracy, segment_film

TIMES = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.5, 4.0, 4.5, 9.0], dtype=torch.float64)
FRAMES = torch.randn(9, 8, generator=torch.Generator().manual_seed(0))
TEXT = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))


def loops(head, text, window, **options):
    """One frame's window at a time, nothing padded."""
    found = []
    for second in TIMES.tolist():
        own = [i for i, other in enumerate(TIMES.tolist()) if abs(other - second) <= window / 2]
        with torch.no_grad():
            scores = [float(head.similarity(text[n : n + 1], FRAMES[own][None], **options)) for n in range(len(text))]
        found.append(scores.index(max(scores)))
    return found


@pytest.mark.parametrize("window", [0.4, 2.0, 30.0])
@pytest.mark.parametrize("kind", ["mean", "transformer", "tight"])
def test_each_frame_has_the_best_sentence_of_its_window(kind, window):
    torch.manual_seed(0)
    heads = {
        "mean": MeanPool,
        "transformer": lambda: SeqTransformer(8, layers=1, heads=2),
        "tight": lambda: TightTransformer(8, layers=2, heads=2),
    }
    head = heads[kind]().train()
    found = segment_film(head, TEXT, FRAMES, TIMES, window=window)
    assert head.training and found.dtype == torch.int64
    assert found.tolist() == loops(head.eval(), TEXT, window)


def test_sentences_may_have_all_their_tokens():
    text = torch.randn(4, 3, 8, generator=torch.Generator().manual_seed(2))
    found = segment_film(MaskedMean(), text, FRAMES, TIMES, text_mask=torch.ones(4, 3, dtype=torch.bool), window=2.0)
    assert found.tolist() == loops(MaskedMean(), text, 2.0)


def test_a_window_of_too_many_frames_keeps_the_nearest():
    one = segment_film(MeanPool(), TEXT, FRAMES, TIMES, window=30.0, most=1)
    assert one.tolist() == segment_film(MeanPool(), TEXT, FRAMES, TIMES, window=0.1).tolist()


def test_frames_at_which_nothing_is_said_do_not_count():
    """Frames at 0, 0.5 are of the first span, 2 to 4.5 of the others, which read the same; 1, 1.5, 9 of none."""
    spans, texts = [(0, 1), (2, 4), (3.5, 5)], ["mix", "fry", "fry"]
    found = torch.tensor([0, 1, 0, 0, 2, 1, 0, 2, 0])
    right = frame_accuracy(found, TIMES, spans, texts)
    assert right.tolist() == [True, False, True, True, False, True]
    assert len(frame_accuracy(found, TIMES, [], [])) == 0


@pytest.mark.parametrize("options", [dict(window=0), dict(most=0)])
def test_a_window_has_a_length(options):
    with pytest.raises(ValueError, match="must be positive"):
        segment_film(MeanPool(), TEXT, FRAMES, TIMES, **options)
