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
_WORDS, _QUESTIONS = "Words, a comma between them, ; before a synonym", "Questions, one a line"
_THRESHOLDS = {"segment": 0.0, "detect": 0.3}
_HERE = Path(__file__).parent
_OPACITY = "value => { document.documentElement.style.setProperty('--demo-opacity', value); }"


def build_page(models: Models) -> gr.Blocks:
    """The page with a tab for each of `models.tabs()`; it is served by `clipkit.demo.serve`."""
    page = gr.Blocks(title="clipkit", analytics_enabled=False)
    page.state_session_capacity = 64  # visitors whose pictures are in memory
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
                    with gr.Tab(name.title(), id=name):
                        boxes.append(_FILL[name](models, picture, name))
        if picture is not None:
            examples = {_WORDS: WORDS, _QUESTIONS: QUESTION}
            filled = [box for box in boxes if box.label in examples]
            values = json.dumps([_example(), *(examples[str(box.label)] for box in filled)])
            shown.click(None, None, [picture, *filled], js=f"() => {values}")
        page.unload(forget(page))
    page.queue(max_size=WAITING, api_open=False)
    return page


def _regions(models: Models, picture: Any, name: str) -> gr.Textbox:
    words, model = _words(), _model(models, name)
    with gr.Row():
        threshold = gr.Slider(0, 1, _THRESHOLDS[name], step=0.01, label="Threshold", buttons=[])
        opacity = gr.Slider(0, 1, 0.6, step=0.01, label="Opacity", buttons=[])
    opacity.change(None, opacity, None, js=_OPACITY)
    _answers(models, name, [picture, words, model, threshold], threshold)
    return words


def _classify(models: Models, picture: Any, name: str) -> gr.Textbox:
    words = _words()
    _answers(models, name, [picture, words])
    return words


def _search(models: Models, picture: Any, name: str) -> gr.Textbox:
    words = gr.Textbox(label="What to look for", placeholder="a red ball, not grass", max_lines=1)
    _answers(models, name, [words])
    return words


def _draw(models: Models, picture: Any, name: str) -> gr.Textbox:
    words = gr.Textbox(label="What to draw; empty: the picture", placeholder="a red heart", max_lines=1)
    with gr.Row():
        strokes = gr.Slider(4, 64, 16, step=1, label="Strokes", buttons=[])
        steps = gr.Slider(10, 300, 100, step=10, label="Steps", buttons=[])
    _answers(models, name, [picture, words, strokes, steps])
    return words


def _ask(models: Models, picture: Any, name: str) -> gr.Textbox:
    questions = gr.Textbox(label=_QUESTIONS, placeholder=QUESTION, lines=2, max_lines=6)
    _answers(models, name, [picture, questions, _model(models, name)])
    return questions


_FILL: dict[str, Callable[[Models, Any, str], gr.Textbox]] = {
    "segment": _regions, "detect": _regions, "classify": _classify, "search": _search, "draw": _draw, "ask": _ask,
}  # fmt: skip


def _words() -> gr.Textbox:
    return gr.Textbox(label=_WORDS, placeholder="cat, bench; park bench, grass", max_lines=4)


def _model(models: Models, task: str) -> gr.Dropdown:
    names = models.names(task)
    return gr.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1)


def _own(name: str, **properties: Any) -> gr.HTML:
    """One of the two components of our own."""
    html, script = ((_HERE / f"{name}.{ending}").read_text(encoding="utf-8") for ending in ("html", "js"))
    return gr.HTML(html_template=html, js_on_load=script, apply_default_css=False, elem_id=name, **properties)


def _answers(models: Models, name: str, inputs: list[Any], slider: Any = None) -> None:
    """A button whose answer is shown below; Enter in the words asks too, and the slider again when it is let go."""
    button = gr.Button(name.title(), variant="primary", elem_id=f"run-{name}")
    result = _own("result")
    result.elem_id = f"result-{name}"
    events = [button.click, next(one for one in inputs if isinstance(one, gr.Textbox)).submit]
    events += [slider.release] if slider is not None else []
    gr.on(
        events, answering(models, getattr(models, name)), inputs, result,
        concurrency_limit=1, concurrency_id="model",  # one at a time of all tabs and users: a model holds one's labels
        trigger_mode="always_last", api_visibility="private",
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
