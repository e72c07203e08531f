"""How the page asks: one question at a time, by the queue alone, and errors in one line."""

import pytest

from clipkit.demo.limits import Limits
from clipkit.demo.models import Models
from clipkit.errors import ClipkitError
from clipkit.predict.dense import DenseSegmenter

pytest.importorskip("gradio", reason="needs the extra demo")

from clipkit.demo.page import WAITING, answering, build_page  # isort: skip


@pytest.fixture(scope="module")
def clip():
    return DenseSegmenter.load("tiny_clip", None, device="cpu", precision="fp32")


def test_one_question_at_a_time_whatever_the_tab(clip):
    page = build_page(Models(Limits(), clip, "tiny_clip"))
    asking = [fn for fn in page.fns.values() if fn.fn is not None and not any(e == "unload" for _, e in fn.targets)]
    assert len(asking) == 4
    assert {(fn.concurrency_id, fn.concurrency_limit, fn.queue) for fn in asking} == {("model", 1, True)}
    assert page._queue.max_size == WAITING
    assert page.analytics_enabled is False


def test_what_goes_wrong_is_one_line(capsys):
    def fails(error):
        def ask(*_):
            raise error

        return answering(Models(), ask)()

    assert fails(ClipkitError("no\npicture")) == {"error": "no picture"}
    assert capsys.readouterr().err == ""
    said = {"error": "this failed; the terminal of clipkit demo says why"}
    assert fails(OSError(28, "No space left on device", "/secret/place")) == said
    assert "/secret/place" in capsys.readouterr().err
    assert fails(ZeroDivisionError("a defect")) == said
    assert "a defect" in capsys.readouterr().err


def test_a_question_ends_in_time(clip):
    models = Models(Limits(seconds=0.001), clip, "tiny_clip")
    answer = answering(models, models.draw)("", "a red heart", 64, 300)
    assert answer == {"error": "stopped after 0.001 seconds: a smaller picture or fewer words may do"}
