"""The page in a real browser: Debian's chromium, driven by Playwright."""

import base64
import io
import json
import os
import shutil
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

import clipkit
from clipkit.demo.limits import Limits
from clipkit.demo.models import Models, open_index
from clipkit.predict.dense import DenseSegmenter
from clipkit.predict.segmenter import Segmenter

pytest.importorskip("gradio", reason="needs the extra demo")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs the extra test-slow")
pytest.importorskip("mmseg", reason="needs the extra seg")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium, or its path in $CHROMIUM"),
]

SCENE = clipkit.example("scene")
WORDS = "orange star, yellow triangle, blue ring, wood, grass"
CONFIG = "dense_clip/dense_tiny_shapes.py"
WAIT = 60_000  # milliseconds: the machine may be busy


@pytest.fixture(scope="module")
def vqa(tmp_path_factory):
    """A work folder of two steps of training: it answers, if not well."""
    from clipkit.engine.build import build_runner

    folder = tmp_path_factory.mktemp("vqa")
    sizes = {f"{part}_dataloader.dataset.length": 12 for part in ("train", "val", "test")}
    few = {"train_cfg.max_iters": 2, "train_cfg.val_interval": 2, "model.dim": 32}
    options = {
        **sizes,
        **few,
        "variables.store": str(folder / "store"),
        "val_evaluator.answers": str(folder / "a.json"),
    }
    build_runner("vqa/vqa_tiny_shapes.py", work_dir=str(folder / "work"), cfg_options=options, seed=0).train()
    return str(folder / "work")


@pytest.fixture(scope="module")
def served(tmp_path_factory, vqa):
    """(address, page): all tabs, on a port that was free."""
    from clipkit.demo.serve import listen, server

    folder = tmp_path_factory.mktemp("demo")
    (folder / "photos").mkdir()
    shutil.copy(SCENE, folder / "photos" / "<b>scene.png")
    clip = DenseSegmenter.load("tiny_clip", None, device="cpu", precision="fp32")
    index = open_index(str(folder / "photos"), "tiny_clip", None, folder / "index")
    models = Models(Limits(megabytes=1, megapixels=2), clip, "tiny_clip", index=index)
    models.open([CONFIG, vqa], "cpu")
    bound = listen("127.0.0.1", 0)
    running = server(models, "127.0.0.1")
    thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]})
    thread.start()
    gradio = running.config.app.app.routes[-1].app
    yield f"http://127.0.0.1:{bound.getsockname()[1]}", gradio.get_blocks()
    running.should_exit = True
    thread.join(30)
    bound.close()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(served, browser):
    """Opens the page as a visitor of its own; what it asks of others, or complains of, fails the test."""
    contexts, complaints = [], []

    def visit(width=1200, height=900):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, has_touch=width < 500))
        page = contexts[-1].new_page()
        page.set_default_timeout(WAIT)
        own = (served[0] + "/", "data:", "blob:")
        page.on("request", lambda one: None if one.url.startswith(own) else complaints.append(one.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        page.goto(served[0])
        page.wait_for_selector("#run-segment")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


def choose(page, path=SCENE):
    page.set_input_files("#picture input[type=file]", str(path))


def ask(page, tab, words):
    """Runs a tab; waits for what comes."""
    page.get_by_role("tab", name=tab.title(), exact=True).click()
    result = page.locator(f"#result-{tab} .demo-result")
    before = result.inner_html()
    page.locator("textarea:visible, input[type=text]:visible").first.fill(words)
    page.click(f"#run-{tab}")
    page.wait_for_function(
        "([tab, before]) => document.querySelector(`#result-${tab} .demo-result`).innerHTML !== before",
        arg=[tab, before],
    )
    return result


def model(page, name):
    """Chooses a model of the tab that is shown."""
    page.locator("input[aria-label=Model]:visible").click()
    page.get_by_role("option", name=name, exact=True).click()


def kept(page, link):
    """The content of a file that a link offers."""
    with page.expect_download() as download:
        link.click()
    return open(download.value.path(), "rb").read()


def ids(page, result):
    return np.asarray(Image.open(io.BytesIO(kept(page, result.get_by_text("picture_labels.png")))))


def seen(page, result):
    """The colours over the picture, as the browser painted them: (H, W, 4)."""
    stream = result.locator("canvas").evaluate(
        "canvas => [...atob(canvas.toDataURL().split(',')[1])].map(c => c.charCodeAt())"
    )
    return np.asarray(Image.open(io.BytesIO(bytes(stream))).convert("RGBA"))


@pytest.mark.parametrize("name", ["dense_tiny_shapes.py", "tiny_clip"])
def test_a_picture_and_words_give_the_segmenter_s_own_pixels(visit, name):
    page = visit()
    choose(page)
    model(page, name)
    result = ask(page, "segment", WORDS)
    if name == "tiny_clip":
        expected = clipkit.segment(SCENE, WORDS, clip="tiny_clip")
    else:
        own = Segmenter.load(CONFIG, device="cpu")
        expected = own(SCENE, own.model.own_prompts(Limits().vocabulary(WORDS)))
    assert (ids(page, result) == expected.labels.numpy()).all()
    coco = json.loads(kept(page, result.get_by_text("picture_coco.json")))
    assert len(coco["annotations"]) == len(expected.regions())
    painted = seen(page, result)
    for number, label in enumerate(expected.names):
        here = (expected.labels == number).numpy()
        alpha = 0 if label == "none of these" else 255
        assert (painted[here][:, 3] == alpha).all()
    assert (painted[(expected.labels == 2).numpy()][:, :3] == (0, 0, 255)).all()  # as its word says
    height, width = expected.labels.shape
    stage, tip = result.locator(".demo-stage"), result.locator(".demo-tip")
    box = stage.bounding_box()
    for place in ((height * 3 // 4, width // 4), (height // 6, width // 6), (height * 3 // 4, width * 7 // 10)):
        y, x = ((at + 0.5) / side for at, side in zip(place, (height, width)))
        stage.hover(position={"x": x * box["width"], "y": y * box["height"]})
        there = expected.names[expected.labels[place]]
        if there == "none of these":
            assert tip.is_hidden()
        else:
            word, _, score = tip.inner_text().rpartition(" ")
            assert word == there and float(score) == pytest.approx(float(expected.scores[place]), abs=0.011)


def test_the_threshold_asks_again_and_opacity_is_seen_at_once(visit):
    page = visit()
    choose(page)
    model(page, "tiny_clip")
    result = ask(page, "segment", WORDS)
    expected = clipkit.segment(SCENE, WORDS, clip="tiny_clip")
    sliders = page.get_by_role("slider").and_(page.locator(":visible"))
    sliders.nth(0).fill("0.9")
    sliders.nth(0).dispatch_event("pointerup")
    sure = torch.where(expected.scores >= 0.9, expected.labels, expected.names.index("none of these")).numpy()
    left = f"{100 * (sure == expected.names.index('none of these')).mean():.0f} %"
    result.locator("li", has_text="none of these").filter(has_text=left).wait_for()
    assert (ids(page, result) == sure).all()
    canvas = result.locator("canvas")
    assert float(canvas.evaluate("one => getComputedStyle(one).opacity")) == pytest.approx(0.6)
    sliders.nth(1).fill("0.25")
    page.wait_for_function(
        "() => getComputedStyle(document.querySelector('#result-segment canvas')).opacity === '0.25'"
    )


SAID = {
    "detect": (WORDS, "blue ring"), "classify": (WORDS, "%"), "search": ("a star", "<b>scene.png"),
    "draw": ("a red heart", "10 steps"), "ask": ("what colour?", "what colour?"),
}  # fmt: skip


def test_every_tab_answers(visit):
    page = visit()
    choose(page)
    for tab, (words, said) in SAID.items():
        page.get_by_role("tab", name=tab.title(), exact=True).click()
        if tab == "draw":
            page.get_by_role("slider").and_(page.locator(":visible")).nth(1).fill("10")
        result = ask(page, tab, words)
        assert said in result.inner_text()
        if tab == "detect":
            result.locator(".demo-box").first.hover()
            assert " 0." in result.locator(".demo-tip").inner_text()
        if tab == "draw":
            assert kept(page, result.get_by_text("drawing.svg")).startswith(b"<svg")


def test_a_wrong_file_and_one_too_large_are_one_line(visit, tmp_path):
    page = visit()
    (tmp_path / "wrong.png").write_bytes(b"no picture at all")
    choose(page, tmp_path / "wrong.png")
    model(page, "tiny_clip")
    result = ask(page, "segment", WORDS)
    assert result.inner_text() == "the picture: not a readable image (unknown format)"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (800, 800, 3), dtype=np.uint8)).save(
        tmp_path / "large.png"
    )
    choose(page, tmp_path / "large.png")
    page.wait_for_selector("#picture .demo-error:visible")
    assert (
        page.locator("#picture .demo-error").inner_text() == "the picture's file is larger than 1 MB: make it smaller"
    )
    Image.new("RGB", (2000, 1100)).save(tmp_path / "wide.png")
    choose(page, tmp_path / "wide.png")
    result = ask(page, "segment", "wood")
    assert "2000 x 1100 pixels, more than 2 million" in result.inner_text()
    choose(page)
    result = ask(page, "segment", ", ".join(f"word {i}" for i in range(65)))
    assert result.inner_text() == "65 words are more than 64: leave some out"


def test_a_picture_can_be_pasted_or_taken_from_the_example(visit):
    page = visit()
    page.evaluate(
        """async (source) => {
            const bytes = await (await fetch(source)).arrayBuffer();
            const data = new DataTransfer();
            data.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
        }""",
        "data:image/png;base64," + base64.b64encode(SCENE.read_bytes()).decode(),
    )
    page.wait_for_selector("#picture img:visible")
    page = visit()
    page.click("#example")
    page.wait_for_selector("#picture img:visible")
    assert page.locator("textarea:visible, input[type=text]:visible").first.input_value() == WORDS


def test_two_at_once_see_their_own_words_and_nothing_stays(visit, served):
    pages = [visit(), visit()]
    words = ["orange star, wood", "blue ring, wood"]
    for page, mine in zip(pages, words):
        choose(page)
        page.locator("textarea:visible, input[type=text]:visible").first.fill(mine)
    for _ in range(3):
        for page in pages:
            page.click("#run-segment")
        for page, mine, other in zip(pages, words, reversed(words)):
            page.wait_for_selector("#result-segment canvas")
            page.wait_for_timeout(500)
            said = page.locator("#result-segment .demo-result").inner_text()
            assert mine.split(",")[0] in said and other.split(",")[0] not in said
    sessions = served[1].state_holder.session_data
    assert len(sessions) >= 2
    for page in pages:
        page.context.close()
    end = time.monotonic() + 60
    while sessions and time.monotonic() < end:
        time.sleep(0.5)
    assert not sessions, "a session that ended is still in memory"


def test_a_telephone_s_width_needs_no_scrolling_sideways(visit):
    page = visit(400, 800)
    choose(page)
    for tab in ("segment", "detect", "classify", "search", "draw", "ask"):
        if page.get_by_role("tab", name=tab.title(), exact=True).count():
            page.get_by_role("tab", name=tab.title(), exact=True).click()
        else:  # those that don't fit are in a menu
            page.locator(".overflow-menu > button").click()
            page.locator(".overflow-dropdown button", has_text=tab.title()).click()
        if tab in SAID:
            page.locator("textarea:visible, input[type=text]:visible").first.fill(SAID[tab][0])
        if tab != "draw":
            page.click(f"#run-{tab}")
            page.locator(f"#result-{tab} .demo-result > *").first.wait_for()
            assert page.locator(f"#result-{tab} .demo-error").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, tab
