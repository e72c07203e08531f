"""The page itself: gradio's tabs, sliders and queue around two components of our own, the picture and the result."""

from __future__ import annotations

import base64
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from clipkit.demo.models import Models
from clipkit.demo.views import View
from clipkit.errors import ClipkitError, one_line
from clipkit.explain import explain
from clipkit.predict.quick import example

WAITING = 16  # questions in the queue; one is computed at a time
WORDS = "orange star, yellow triangle, blue ring, wood, grass"  # of the example
QUESTION = "what colour is the star?"
_HERE = Path(__file__).parent
_TITLES = {
    "segment": "Segment", "detect": "Detect", "classify": "Classify", "search": "Search", "draw": "Draw", "ask": "Ask",
}  # fmt: skip
_OPACITY = "value => { document.documentElement.style.setProperty('--demo-opacity', value); }"


def build_page(models: Models) -> gr.Blocks:
    """The page with a tab for each of `models.tabs()`; it is served by `clipkit.demo.serve`."""
    page = gr.Blocks(title="clipkit", analytics_enabled=False)
    page.state_session_capacity = 64
    tabs = models.tabs()
    boxes: list[gr.Textbox] = []
    with page:
        gr.HTML("<h1>clipkit</h1>", elem_classes="demo-head", js_on_load=None)
        with gr.Row(equal_height=False):
            picture: Any = None
            if tabs != ["search"]:
                with gr.Column(scale=2, min_width=280):
                    picture = _own("picture", most=models.limits.megabytes)
                    shown = gr.Button("Example picture", size="sm", elem_id="example")
            with gr.Column(scale=3, min_width=280), gr.Tabs():
                for name in tabs:
                    with gr.Tab(_TITLES[name], id=name):
                        boxes.append(_FILL[name](models, picture))
        if picture is not None:
            filled = [
                QUESTION if box.label == _QUESTIONS else WORDS for box in boxes if box.label in (_QUESTIONS, _WORDS)
            ]
            values = json.dumps([_example(), *filled])
            targets = [picture, *(box for box in boxes if box.label in (_QUESTIONS, _WORDS))]
            shown.click(None, None, targets, js=f"() => {values}")
        page.unload(forget(page))
    page.queue(max_size=WAITING, api_open=False)
    return page


_WORDS, _QUESTIONS = "Words, a comma between them, ; before a synonym", "Questions, one a line"


def _segment(models: Models, picture: Any) -> gr.Textbox:
    words, model = _words(), _model(models, "segment")
    with gr.Row():
        threshold = gr.Slider(0, 1, 0, step=0.01, label="Threshold", buttons=[])
        _opacity()
    _answers(models, models.segment, [picture, words, model, threshold], "segment", threshold)
    return words


def _detect(models: Models, picture: Any) -> gr.Textbox:
    words, model = _words(), _model(models, "detect")
    with gr.Row():
        threshold = gr.Slider(0, 1, 0.3, step=0.01, label="Threshold", buttons=[])
        _opacity()
    _answers(models, models.detect, [picture, words, model, threshold], "detect", threshold)
    return words


def _classify(models: Models, picture: Any) -> gr.Textbox:
    words = _words()
    _answers(models, models.classify, [picture, words], "classify")
    return words


def _search(models: Models, picture: Any) -> gr.Textbox:
    words = gr.Textbox(label="What to look for", placeholder="a red ball, not grass", max_lines=1)
    _answers(models, models.search, [words], "search")
    return words


def _draw(models: Models, picture: Any) -> gr.Textbox:
    words = gr.Textbox(label="What to draw; empty: the picture", placeholder="a red heart", max_lines=1)
    with gr.Row():
        strokes = gr.Slider(4, 64, 16, step=1, label="Strokes", buttons=[])
        steps = gr.Slider(10, 300, 100, step=10, label="Steps", buttons=[])
    _answers(models, models.draw, [picture, words, strokes, steps], "draw")
    return words


def _ask(models: Models, picture: Any) -> gr.Textbox:
    questions = gr.Textbox(label=_QUESTIONS, placeholder=QUESTION, lines=2, max_lines=6)
    _answers(models, models.ask, [picture, questions, _model(models, "ask")], "ask")
    return questions


_FILL: dict[str, Callable[[Models, Any], gr.Textbox]] = {
    "segment": _segment, "detect": _detect, "classify": _classify, "search": _search, "draw": _draw, "ask": _ask,
}  # fmt: skip


def _words() -> gr.Textbox:
    return gr.Textbox(label=_WORDS, placeholder="cat, bench; park bench, grass", max_lines=4)


def _model(models: Models, task: str) -> gr.Dropdown:
    names = models.names(task)
    return gr.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1)


def _opacity() -> None:
    opacity = gr.Slider(0, 1, 0.6, step=0.01, label="Opacity", buttons=[])
    opacity.change(None, opacity, None, js=_OPACITY)


def _own(name: str, **properties: Any) -> gr.HTML:
    """One of the two components of our own."""
    html, script = ((_HERE / f"{name}.{ending}").read_text(encoding="utf-8") for ending in ("html", "js"))
    return gr.HTML(html_template=html, js_on_load=script, apply_default_css=False, elem_id=name, **properties)


def _answers(models: Models, ask: Callable[..., View], inputs: list[Any], name: str, slider: Any = None) -> None:
    """A button whose answer is shown below; Enter in the words asks too, and the slider again when it is let go."""
    button = gr.Button(_TITLES[name], variant="primary", elem_id=f"run-{name}")
    result = _own("result")
    result.elem_id = f"result-{name}"
    events = [button.click, next(one for one in inputs if isinstance(one, gr.Textbox)).submit]
    events += [slider.release] if slider is not None else []
    gr.on(
        events, answering(models, ask), inputs, result,
        concurrency_limit=1, concurrency_id="model",  # one at a time of all tabs and users: a model holds one's labels
        show_progress="full", trigger_mode="once", api_visibility="private",
    )  # fmt: skip


def answering(models: Models, ask: Callable[..., View]) -> Callable[..., View]:
    """`ask` within its time; what goes wrong is a line on the page, and a defect's traceback goes to the terminal."""

    def answer(*inputs: Any) -> View:
        try:
            with models.limits.clock():
                return ask(*inputs)
        except (ClipkitError, ValueError) as error:
            return {"error": one_line(error, 300)}
        except Exception as error:
            line = explain(error)
            print(line if line is not None else traceback.format_exc(), file=sys.stderr)
            return {"error": "this failed; the terminal of clipkit demo says why"}

    return answer


def forget(page: gr.Blocks) -> Callable[[gr.Request], None]:
    """What ends a session: gradio would keep its pictures and words in memory."""

    def end(request: gr.Request) -> None:
        ended = str(request.session_hash)
        page.state_holder.session_data.pop(ended, None)
        page.state_holder.time_last_used.pop(ended, None)

    return end


def _example() -> str:
    return f"data:image/png;base64,{base64.b64encode(example('scene').read_bytes()).decode()}"
